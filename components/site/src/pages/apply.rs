//! Applying for a course: the form says beforehand what will happen, and the order's page shows what did.

use crate::client::{Context, Trouble};
use crate::documents::{Course, Order};
use crate::filters;
use crate::form::{self, Form, Wrong};
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::pages::catalogue;
use crate::view;
use askama::Template;
use hal::{Method, Response, StatusCode};
use kernel::{CardNumber, EduNo, Guests};
use serde_json::json;

#[derive(Template)]
#[template(path = "apply.html")]
struct Apply {
    t: Messages,
    page: Page,
    course: Course,
    when: String,
    fee: String,
    deadline: String,
    key: String,
    guest: String,
    wrong: Wrong,
    is_sandbox_card: bool,
}

impl Apply {
    fn of(visit: &Visit<'_>, course: Course, guest: &str, key: String, wrong: Wrong) -> Self {
        let t = visit.t();
        Self {
            t,
            page: visit.page("courses"),
            when: format::period(course.starts_at, course.ends_at, t.0),
            fee: view::fee(course.fee, t),
            deadline: t.minutes(visit.settings.due_minutes),
            key,
            guest: guest.to_owned(),
            wrong,
            is_sandbox_card: course.fee > 0,
            course,
        }
    }
}

pub(super) async fn show(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    match catalogue::one(visit, edu_no).await {
        Ok(Some(course)) => page::ok(&Apply::of(visit, course, "1", form::key(), Wrong::default())),
        Ok(None) => page::not_found(visit),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

pub(super) async fn send(visit: &mut Visit<'_>, edu_no: EduNo, form: &Form) -> Response {
    let t = visit.t();
    let mut wrong = Wrong::default();
    let guest = form.get("guest");
    let card = form.get("cardNo");
    // All of it is said at once, though the API would say most of it too.
    if !guest.parse().is_ok_and(|guest| Guests::parse(guest).is_ok()) {
        wrong.add("guest", t);
    }
    if !form.has("free") && CardNumber::parse(card).is_err() {
        wrong.add("cardNo", t);
    }
    if !form.has("agree") {
        wrong.add("agree", t);
    }
    if !wrong.is_nothing() {
        return again(visit, edu_no, form, wrong).await;
    }
    let mut body = json!({ "eduNo": edu_no, "guest": guest, "language": visit.language().as_str() });
    if let (false, Some(fields)) = (card.is_empty(), body.as_object_mut()) {
        fields.insert("cardNo".to_owned(), json!(card));
    }
    let key = form.get("key");
    let headers: &[_] = if key.is_empty() { &[] } else { &[("idempotency-key", key)] };
    let sent = visit.client().change_with(Context::Order, Method::POST, "/orders", &body, headers).await;
    let order = match sent.map(serde_json::from_value::<Order>) {
        Ok(Ok(order)) => order,
        Ok(Err(error)) => {
            eprintln!("reading an order that was just taken: {error}");
            return page::trouble(visit, &Trouble::Away(Context::Order));
        }
        Err(Trouble::Problem(problem)) if [401, 403].contains(&problem.status) => {
            return page::trouble(visit, &Trouble::Problem(problem));
        }
        Err(Trouble::Problem(problem)) => {
            return again(visit, edu_no, form, Wrong::of(&problem, t)).await;
        }
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    if !visit.visitor.is_signed_in() {
        visit.visitor.keep_order(order.order_id, order.order_key.as_deref());
    }
    page::see(&format!("/my/{}?new", order.order_id))
}

/// The form again, with what is wrong. Nothing was taken, so it has another key.
async fn again(visit: &Visit<'_>, edu_no: EduNo, form: &Form, wrong: Wrong) -> Response {
    match catalogue::one(visit, edu_no).await {
        Ok(Some(course)) => {
            let apply = Apply::of(visit, course, form.get("guest"), form::key(), wrong);
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &apply)
        }
        Ok(None) => page::not_found(visit),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
