//! Applying for a course: the form says beforehand what will happen and what it costs, and the order's page shows what did.

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

/// So many people, and what they cost.
struct Choice {
    people: u64,
    says: String,
    is_chosen: bool,
}

/// Every number of people that an application for this course can be for. Each says its sum, so that nobody needs a script to
/// know what they pay.
fn choices(course: &Course, chosen: &str, t: Messages) -> Vec<Choice> {
    let choice = |people: u64| {
        let count = t.people(people);
        let says = match course.fee.saturating_mul(people) {
            0 => count,
            amount => t.people_for(format::won(amount, t.0), count),
        };
        Choice { people, says, is_chosen: chosen.parse().is_ok_and(|chosen: u64| chosen == people) }
    };
    (1..=course.capacity.min(Guests::MOST.get())).map(choice).collect()
}

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
    choices: Vec<Choice>,
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
            choices: choices(&course, guest, t),
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

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Language;

    fn said(fee: u64, capacity: u64, chosen: &str, language: Language) -> Vec<(String, bool)> {
        let course = json!({ "eduNo": 101, "title": "t", "capacity": capacity, "taken": 0, "waiting": 0, "fee": fee,
            "approval": "automatic", "startsAt": "2026-11-22T00:00:00Z", "endsAt": "2026-11-23T00:00:00Z", "status": "Open" });
        let course = serde_json::from_value(course).unwrap();
        let choices = choices(&course, chosen, Messages(language));
        choices.into_iter().map(|choice| (choice.says, choice.is_chosen)).collect()
    }

    #[test]
    fn every_number_of_people_says_what_they_cost() {
        let korean = said(120_000, 100, "2", Language::Ko);
        assert_eq!(korean[..2], [("1명: 120,000원".to_owned(), false), ("2명: 240,000원".to_owned(), true)]);
        let english = said(120_000, 100, "", Language::En);
        assert_eq!(english[0].0, "1 person: ₩120,000");
        assert_eq!(english[19].0, "20 people: ₩2,400,000");
        assert_eq!((english.len(), english.iter().any(|(_, is_chosen)| *is_chosen)), (20, false));
    }

    #[test]
    fn nobody_can_choose_more_people_than_the_course_takes_and_nothing_is_said_of_no_money() {
        assert_eq!(said(0, 3, "7", Language::Ko), ["1명", "2명", "3명"].map(|says| (says.to_owned(), false)));
    }
}
