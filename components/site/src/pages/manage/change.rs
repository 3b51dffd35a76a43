//! Moving a course on: what that does to how many people and how much money is said before it is done.

use super::course;
use crate::client::{Client, Context, Trouble};
use crate::documents::{Course, Infomation, List, Reservation};
use crate::filters;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use askama::Template;
use hal::{Method, Response};
use kernel::{CourseStatus, EduNo, ReservationStatus};
use serde_json::json;

/// How a course is moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    Start,
    Finish,
    Cancel,
}

impl Move {
    pub(crate) fn of(name: &str) -> Option<Self> {
        [Self::Start, Self::Finish, Self::Cancel].into_iter().find(|it| it.name() == name)
    }

    /// Also how the API calls the link.
    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Finish => "finish",
            Self::Cancel => "cancel",
        }
    }

    const fn status(self) -> CourseStatus {
        match self {
            Self::Start => CourseStatus::Started,
            Self::Finish => CourseStatus::Finished,
            Self::Cancel => CourseStatus::CourseCanceled,
        }
    }
}

#[derive(Template)]
#[template(path = "manage_move.html")]
struct MovePage {
    t: Messages,
    page: Page,
    course: Course,
    name: &'static str,
    title: &'static str,
    button: &'static str,
    is_danger: bool,
    consequences: Vec<String>,
    is_possible: bool,
}

/// Who is in a course, and what they paid.
struct Inside {
    seated: u64,
    seated_orders: u64,
    requested_orders: u64,
    waiting_orders: u64,
    waiting: u64,
    /// Nothing where the view is away or has more than is read.
    paid: Option<u64>,
    paid_by_waiting: Option<u64>,
}

pub(crate) async fn ask(visit: &Visit<'_>, edu_no: EduNo, on: Move) -> Response {
    let t = visit.t();
    let course = match course(visit, edu_no).await {
        Ok(course) => course,
        Err(instead) => return instead,
    };
    let inside = match look(visit.client(), edu_no).await {
        Ok(inside) => inside,
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let (title, button) = match on {
        Move::Start => (t.start_title(), t.start_confirm()),
        Move::Finish => (t.finish_title(), t.finish_confirm()),
        Move::Cancel => (t.cancel_course_title(), t.cancel_course_confirm()),
    };
    page::ok(&MovePage {
        t,
        page: visit.page("manage"),
        name: on.name(),
        title,
        button,
        is_danger: on == Move::Cancel,
        consequences: consequences(on, &inside, t),
        is_possible: course.may(on.name()),
        course,
    })
}

async fn look(client: Client<'_>, edu_no: EduNo) -> Result<Inside, Trouble> {
    let roster = format!("/courses/{edu_no}/roster?size=1000&page=0");
    let views = format!("/infomations?eduNo={edu_no}&status=Paid&size=1000&page=0");
    let (roster, views) = futures::join!(
        client.get::<List<Reservation>>(Context::Reservation, &roster),
        client.get::<List<Infomation>>(Context::Information, &views),
    );
    let roster = roster?.items();
    let views = views.ok().filter(|list| list.page.total_pages <= 1).map(List::items);
    let waits = |it: &&Reservation| it.status == ReservationStatus::Waitlisted;
    let orders = |status| roster.iter().filter(|it| it.status == status).count() as u64;
    let people =
        |is_waiting: bool| roster.iter().filter(|it| waits(it) == is_waiting).map(|it| it.guest).sum();
    let paid = |views: &Vec<Infomation>, only_waiting: bool| {
        let counts = |view: &&Infomation| {
            !only_waiting || view.reservation_status == Some(ReservationStatus::Waitlisted)
        };
        views.iter().filter(counts).filter_map(|view| view.amount).sum()
    };
    Ok(Inside {
        seated: people(false),
        seated_orders: orders(ReservationStatus::ReservationConfirmed)
            + orders(ReservationStatus::ReservationRequested),
        requested_orders: orders(ReservationStatus::ReservationRequested),
        waiting_orders: orders(ReservationStatus::Waitlisted),
        waiting: people(true),
        paid: views.as_ref().map(|views| paid(views, false)),
        paid_by_waiting: views.as_ref().map(|views| paid(views, true)),
    })
}

fn consequences(on: Move, inside: &Inside, t: Messages) -> Vec<String> {
    let won = |amount| format::won(amount, t.0);
    let people = |count| t.people(format::number(count));
    let mut says = Vec::new();
    match on {
        Move::Start => {
            says.push(t.start_closes().to_owned());
            says.push(t.start_seated(format::number(inside.seated)));
            if inside.requested_orders > 0 {
                says.push(t.start_requested(inside.requested_orders));
            }
            if inside.waiting_orders > 0 {
                says.push(t.start_waiting(inside.waiting_orders, people(inside.waiting)));
                says.extend(inside.paid_by_waiting.map(|paid| t.refund_sum(won(paid))));
            }
        }
        Move::Finish => {
            says.extend([t.finish_seated(format::number(inside.seated)), t.no_money_moves().to_owned()])
        }
        Move::Cancel => {
            let orders = inside.seated_orders + inside.waiting_orders;
            says.push(t.cancel_course_orders(orders, people(inside.seated + inside.waiting)));
            says.push(match inside.paid {
                Some(paid) => t.refund_sum(won(paid)),
                None => t.refund_all().to_owned(),
            });
            says.push(t.cancel_course_told().to_owned());
        }
    }
    says.push(t.cannot_be_undone().to_owned());
    says
}

pub(crate) async fn carry_out(visit: &Visit<'_>, edu_no: EduNo, on: Move) -> Response {
    let (path, body) = (format!("/courses/{edu_no}"), json!({ "status": on.status().as_str() }));
    match visit.client().change(Context::Reservation, Method::PATCH, &path, &body).await {
        Ok(_) => page::see(&format!("/manage/{edu_no}")),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Language;

    #[test]
    fn canceling_a_course_says_how_many_people_and_how_much_money() {
        let inside = Inside {
            seated: 5,
            seated_orders: 3,
            requested_orders: 1,
            waiting_orders: 2,
            waiting: 4,
            paid: Some(900_000),
            paid_by_waiting: Some(400_000),
        };
        let said = |on, language| consequences(on, &inside, Messages(language)).join(" ");
        let korean = said(Move::Cancel, Language::Ko);
        assert!(korean.contains("5건") && korean.contains("9명") && korean.contains("900,000원"), "{korean}");
        let english = said(Move::Start, Language::En);
        assert!(english.contains("2 ") && english.contains("₩400,000"), "{english}");
        assert_eq!(Move::of("finish"), Some(Move::Finish));
        assert_eq!(Move::of("delete"), None);
    }
}
