//! What a course's manager does: opening and changing courses, moving them on, and deciding about applications.

mod change;
mod overview;
mod terms;

use crate::client::{Client, Context, Trouble, found};
use crate::documents::{Course, List};
use crate::filters;
use crate::form::Form;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::pages::catalogue::state;
use askama::Template;
use hal::{Method, Response};
use kernel::{EduNo, ReservationStatus};
use serde_json::json;

pub(super) use change::{Move, ask, carry_out};
pub(super) use overview::{live, roster, roster_csv, show};
pub(super) use terms::{change, create, edit, new};

/// So many rows are read at once, and at the most.
const READ: u64 = 1000;
const READS: u64 = 5;
/// So many reservations are decided about at once.
const TOGETHER: usize = 8;

struct Row {
    edu_no: EduNo,
    title: String,
    state: (&'static str, &'static str),
    when: String,
    seats: String,
    waiting: u64,
}

#[derive(Template)]
#[template(path = "manage.html")]
struct Manage {
    t: Messages,
    page: Page,
    rows: Vec<Row>,
    is_away: bool,
}

/// The courses of whoever looks; an operator's are all of them.
pub(super) async fn list(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let mut page = visit.page("manage");
    if !page.may_manage {
        return page::trouble(visit, &page::forbidden());
    }
    let path = format!("/courses?size={READ}&page=0&sort=eduNo,desc");
    let asked = visit.client().get::<List<Course>>(Context::Reservation, &path).await;
    if let Err(trouble @ Trouble::Problem(_)) = &asked {
        return page::trouble(visit, trouble);
    }
    let listed = page.expect(asked);
    let is_away = listed.is_none();
    let courses = listed.map(List::items).unwrap_or_default();
    let sees_all = page.may_operate;
    let me = visit.visitor.customer_id();
    let rows = courses.into_iter().filter(|course| sees_all || course.is_managed_by(me)).map(|course| Row {
        edu_no: course.edu_no,
        state: state(&course, t),
        when: format::moment(course.starts_at, t.0),
        seats: t.taken_of(format::number(course.capacity), format::number(course.taken)),
        waiting: course.waiting,
        title: course.title,
    });
    let rows = rows.collect();
    page::ok(&Manage { t, page, rows, is_away })
}

/// A course to manage; an answer instead where there is none.
async fn course(visit: &Visit<'_>, edu_no: EduNo) -> Result<Course, Response> {
    if !visit.page("manage").may_manage {
        return Err(page::trouble(visit, &page::forbidden()));
    }
    match found(visit.client().get(Context::Reservation, &format!("/courses/{edu_no}")).await) {
        Ok(Some(course)) => Ok(course),
        Ok(None) => Err(page::not_found(visit)),
        Err(trouble) => Err(page::trouble(visit, &trouble)),
    }
}

/// All of a list, up to `READS` times `READ`.
async fn whole<T: serde::de::DeserializeOwned>(
    client: Client<'_>,
    context: Context,
    path: &str,
    key: impl Fn(&T) -> u64,
) -> Result<Vec<T>, Trouble> {
    let (mut all, mut after) = (Vec::new(), 0);
    let more = if path.contains('?') { '&' } else { '?' };
    for _ in 0..READS {
        let path = format!("{path}{more}size={READ}&after={after}");
        let items = client.get::<List<T>>(context, &path).await?.items();
        let is_last = (items.len() as u64) < READ;
        after = items.last().map_or(after, &key);
        all.extend(items);
        if is_last {
            break;
        }
    }
    Ok(all)
}

/// Confirms or rejects every reservation that was ticked.
pub(super) async fn decide(visit: &Visit<'_>, edu_no: EduNo, form: &Form) -> Response {
    let status = match form.get("decision") {
        "confirm" => ReservationStatus::ReservationConfirmed,
        "reject" => ReservationStatus::ReservationRejected,
        _ => return page::not_found(visit),
    };
    let body = json!({ "status": status.as_str() });
    let orders: Vec<u64> = form.all("orderId").filter_map(|order| order.parse().ok()).collect();
    if orders.is_empty() {
        return page::see(&format!("/manage/{edu_no}?none"));
    }
    let (mut done, mut refused, mut away) = (0, 0, None);
    for together in orders.chunks(TOGETHER) {
        let asked = together.iter().map(|order| {
            let (path, body) = (format!("/reservations/{order}"), &body);
            async move { visit.client().change(Context::Reservation, Method::PATCH, &path, body).await }
        });
        for answer in futures::future::join_all(asked).await {
            match answer {
                Ok(_) => done += 1,
                Err(Trouble::Problem(problem)) if [401, 403].contains(&problem.status) => {
                    return page::trouble(visit, &Trouble::Problem(problem));
                }
                Err(Trouble::Problem(_)) => refused += 1,
                Err(trouble) => away = Some(trouble),
            }
        }
    }
    match away {
        // What was done is done, and shown; only where nothing was is the reason worth a page.
        Some(trouble) if done == 0 => page::trouble(visit, &trouble),
        Some(_) => page::see(&format!("/manage/{edu_no}?done={done}&refused={refused}&away")),
        None => page::see(&format!("/manage/{edu_no}?done={done}&refused={refused}")),
    }
}
