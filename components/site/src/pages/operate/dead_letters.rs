//! What consumers gave up on: handed to them again, or thrown away.

use super::log::part;
use crate::client::{Context, Trouble};
use crate::documents::{DeadLetter, List};
use crate::filters;
use crate::form::Form;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use askama::Template;
use hal::{Method, Response};
use serde_json::Value;

struct Letter {
    id: String,
    what: String,
    from: String,
    reason: String,
    advice: &'static str,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct DeadLetters {
    t: Messages,
    page: Page,
    letters: Vec<Letter>,
    notice: Option<(&'static str, &'static str)>,
}

pub(in crate::pages) async fn show(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let page = visit.page("operate");
    if !page.may_operate {
        return page::trouble(visit, &page::forbidden());
    }
    let path = "/event-log/dead-letters";
    let letters = match visit.client().get::<List<DeadLetter>>(Context::Member, path).await {
        Ok(list) => list.items(),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let letters = letters.into_iter().map(|letter| shown(letter, t)).collect();
    let said = |name: &'static str| visit.request.query.get(name).ok().flatten().is_some();
    let notice = if said("replayed") {
        Some(("good", t.letter_replayed()))
    } else if said("dropped") {
        Some(("good", t.letter_dropped()))
    } else if said("gone") {
        Some(("info", t.letter_gone()))
    } else {
        None
    };
    page::ok(&DeadLetters { t, page, letters, notice })
}

fn shown(letter: DeadLetter, t: Messages) -> Letter {
    let given_up = letter.given_up_at.parse().map(|at| format::moment(at, t.0));
    let from =
        t.letter_from(given_up.unwrap_or(letter.given_up_at), part(&letter.consumer, t), &letter.source);
    let advice = match letter.cause.as_str() {
        "not-an-event" => t.advice_not_an_event(),
        "unknown-event" => t.advice_unknown_event(),
        "crashed" => t.advice_crashed(),
        _ => t.advice_letter(),
    };
    Letter { id: letter.id, what: letter.what, from, reason: letter.reason, advice }
}

/// Replays or drops one.
pub(in crate::pages) async fn carry_out(visit: &Visit<'_>, form: &Form) -> Response {
    let id = form.get("id");
    // It becomes part of a path.
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':' || byte == b'-') {
        return page::not_found(visit);
    }
    let here = format!("/event-log/dead-letters/{id}");
    let (method, path, done) = match form.get("do") {
        "replay" => (Method::POST, format!("{here}/replay"), "replayed"),
        "drop" => (Method::DELETE, here, "dropped"),
        _ => return page::not_found(visit),
    };
    match visit.client().change(Context::Member, method, &path, &Value::Null).await {
        Ok(_) => page::see(&format!("/operate/dead-letters?{done}")),
        Err(Trouble::Problem(problem)) if problem.status == 404 => page::see("/operate/dead-letters?gone"),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
