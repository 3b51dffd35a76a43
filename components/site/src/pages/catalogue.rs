//! The catalogue and the page of a course.

use crate::client::{Asked, Client, Context, Trouble, found};
use crate::documents::{Course, List};
use crate::filters;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::view;
use askama::Template;
use hal::Response;
use kernel::{CourseStatus, EduNo};
use std::fmt::Write as _;

/// How many courses are on a page.
const SIZE: u64 = 12;
/// The API looks no titles up: so many are read at once, so many times at the most, to look through them here.
const READ: u64 = 1000;
const READS: u64 = 5;

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    words: String,
    status: Option<CourseStatus>,
    /// From this day on, as the form has it.
    from: String,
    page: u64,
}

impl Wanted {
    fn of(visit: &Visit<'_>) -> Self {
        let get = |name| visit.request.query.get(name).ok().flatten().unwrap_or_default().trim();
        Self {
            words: get("q").chars().take(200).collect(),
            // Whoever does not say wants what can be applied for.
            status: if get("status") == "all" {
                None
            } else {
                Some(get("status").parse().unwrap_or(CourseStatus::Open))
            },
            from: get("from").to_owned(),
            page: get("page").parse().unwrap_or(0),
        }
    }

    /// Whether the API cannot look for it.
    fn needs_looking_through(&self) -> bool {
        !self.words.is_empty() || !self.from.is_empty()
    }

    fn fits(&self, course: &Course) -> bool {
        let title = course.title.to_lowercase();
        let has_words = self.words.to_lowercase().split_whitespace().all(|word| title.contains(word));
        has_words && (self.from.is_empty() || format::day(course.starts_at) >= self.from)
    }

    fn status_word(&self) -> &'static str {
        self.status.map_or("all", CourseStatus::as_str)
    }

    /// The same, on another page.
    fn link(&self, page: u64) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("q", &self.words).append_pair("status", self.status_word());
        query.append_pair("from", &self.from).append_pair("page", &page.to_string());
        format!("/?{}", query.finish())
    }
}

/// A course as the catalogue shows it.
struct Card {
    edu_no: EduNo,
    title: String,
    state: (&'static str, &'static str),
    when: String,
    fee: String,
    seats: String,
    approval: &'static str,
    percent: u64,
    waiting: u64,
    is_open: bool,
}

impl Card {
    fn of(course: Course, t: Messages) -> Self {
        Self {
            edu_no: course.edu_no,
            state: state(&course, t),
            when: format::period(course.starts_at, course.ends_at, t.0),
            fee: view::fee(course.fee, t),
            seats: t.seats_left(format::number(course.capacity), format::number(course.left())),
            approval: if course.is_manual() {
                t.approval_manual_short()
            } else {
                t.approval_automatic_short()
            },
            percent: percent(&course),
            waiting: course.waiting,
            is_open: course.is_open(),
            title: course.title,
        }
    }
}

/// The colour and the word for whether one can apply.
pub(super) fn state(course: &Course, t: Messages) -> (&'static str, &'static str) {
    match course.status {
        CourseStatus::Open if course.is_full() => ("warn", t.course_full()),
        CourseStatus::Open => ("good", t.course_open()),
        other => ("over", view::course_status(other, t)),
    }
}

fn percent(course: &Course) -> u64 {
    (course.taken * 100).checked_div(course.capacity).unwrap_or(0).min(100)
}

#[derive(Template)]
#[template(path = "catalogue.html")]
struct Catalogue {
    t: Messages,
    page: Page,
    wanted: Wanted,
    statuses: Vec<(&'static str, &'static str)>,
    cards: Vec<Card>,
    total_text: String,
    is_away: bool,
    previous: Option<String>,
    next: Option<String>,
    position: String,
}

pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let wanted = Wanted::of(visit);
    let mut page = visit.page("courses");
    let asked = look(visit.client(), &wanted).await;
    let listed = page.expect(asked);
    let is_away = listed.is_none();
    let (courses, total) = listed.unwrap_or_default();
    let pages = total.div_ceil(SIZE).max(1);
    let mut statuses = vec![("all", t.every_status())];
    statuses
        .extend(CourseStatus::ALL.iter().map(|status| (status.as_str(), view::course_status(*status, t))));
    page::ok(&Catalogue {
        t,
        page,
        statuses,
        cards: courses.into_iter().map(|course| Card::of(course, t)).collect(),
        total_text: t.courses_found(format::number(total)),
        is_away,
        previous: (wanted.page > 0).then(|| wanted.link(wanted.page - 1)),
        next: (wanted.page + 1 < pages).then(|| wanted.link(wanted.page + 1)),
        position: t.page_of(wanted.page + 1, pages),
        wanted,
    })
}

/// The courses of the page that is wanted, and how many there are in all.
async fn look(client: Client<'_>, wanted: &Wanted) -> Asked<(Vec<Course>, u64)> {
    let status =
        wanted.status.map_or_else(String::new, |status| format!("&status={}", query(status.as_str())));
    if !wanted.needs_looking_through() {
        let path = format!("/courses?size={SIZE}&page={}&sort=eduNo,desc{status}", wanted.page);
        let list: List<Course> = client.get(Context::Reservation, &path).await?;
        let total = list.page.total_elements;
        return Ok((list.items(), total));
    }
    let (mut fitting, mut after) = (Vec::new(), 0);
    for _ in 0..READS {
        let path = format!("/courses?size={READ}&after={after}{status}");
        let courses = client.get::<List<Course>>(Context::Reservation, &path).await?.items();
        let is_last = (courses.len() as u64) < READ;
        after = courses.last().map_or(after, |course| course.edu_no.get());
        fitting.extend(courses.into_iter().filter(|course| wanted.fits(course)));
        if is_last {
            break;
        }
    }
    fitting.sort_by_key(|course| (course.starts_at, course.edu_no.get()));
    let total = fitting.len() as u64;
    let skipped = usize::try_from(wanted.page.saturating_mul(SIZE)).unwrap_or(usize::MAX);
    let size = usize::try_from(SIZE).unwrap_or(usize::MAX);
    Ok((fitting.into_iter().skip(skipped).take(size).collect(), total))
}

fn query(text: &str) -> String {
    let mut encoded = String::new();
    _ = write!(
        encoded,
        "{}",
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
    );
    encoded
}

#[derive(Template)]
#[template(path = "course.html")]
struct CoursePage {
    t: Messages,
    page: Page,
    course: Course,
    state: (&'static str, &'static str),
    when: String,
    fee: String,
    seats: String,
    percent: u64,
}

pub(super) async fn course(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let t = visit.t();
    let course = match one(visit, edu_no).await {
        Ok(Some(course)) => course,
        Ok(None) => return page::not_found(visit),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    page::ok(&CoursePage {
        t,
        page: visit.page("courses"),
        state: state(&course, t),
        when: format::period(course.starts_at, course.ends_at, t.0),
        fee: view::fee(course.fee, t),
        seats: t.seats_left(format::number(course.capacity), format::number(course.left())),
        percent: percent(&course),
        course,
    })
}

/// A course by its number.
pub(super) async fn one(visit: &Visit<'_>, edu_no: EduNo) -> Result<Option<Course>, Trouble> {
    found(visit.client().get(Context::Reservation, &format!("/courses/{edu_no}")).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn course(title: &str, starts_at: &str) -> Course {
        serde_json::from_value(
            json!({ "eduNo": 7, "title": title, "capacity": 4, "taken": 3, "waiting": 0, "fee": 0,
            "approval": "manual", "startsAt": starts_at, "endsAt": starts_at, "status": "Open" }),
        )
        .unwrap()
    }

    #[test]
    fn a_title_is_found_by_all_of_its_words_and_a_day_by_the_clock_of_seoul() {
        let rust = course("러스트 Rust 입문", "2026-11-22T16:00:00Z");
        for (words, from, fits) in [
            ("러스트", "", true),
            ("RUST 입문", "", true),
            ("rust 중급", "", false),
            ("", "2026-11-23", true),
            ("", "2026-11-24", false),
        ] {
            let wanted = Wanted { words: words.into(), from: from.into(), ..Wanted::default() };
            assert_eq!(wanted.fits(&rust), fits, "{words} {from}");
            assert!(wanted.needs_looking_through());
        }
    }

    #[test]
    fn a_link_to_another_page_looks_for_the_same() {
        let wanted =
            Wanted { words: "a&b".into(), status: Some(CourseStatus::CourseCanceled), ..Wanted::default() };
        assert_eq!(wanted.link(2), "/?q=a%26b&status=Course+Canceled&from=&page=2");
        assert_eq!(percent(&course("", "2026-11-22T16:00:00Z")), 75);
    }
}
