//! What goes wrong, as RFC 9457 problem documents.

use crate::{Kind, Method, Response, StatusCode};
use kernel::Invalid;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// A problem document: what was wrong, where, and what to do next.
///
/// `type` is `/problems/<slug>`, which never changes once published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    members: Map<String, Value>,
    headers: Vec<(&'static str, String)>,
}

impl Problem {
    /// A problem of that kind.
    pub fn new(kind: Kind) -> Self {
        Self { status: kind.status, members: Map::new(), headers: Vec::new() }
            .with("type", format!("/problems/{}", kind.slug))
            .with("title", kind.title)
            .with("status", kind.status.as_u16())
    }

    /// What was wrong this time.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with("detail", detail.into())
    }

    /// What to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        self.with("next", next.into())
    }

    /// One more member, such as `presentStatus`; null if it cannot be written as JSON.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.members.insert(name.to_owned(), json!(value));
        self
    }

    /// A header that goes with it, such as `Retry-After`.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Fields that were not taken, all of them at once.
    pub fn invalid_fields(refused: &[Invalid]) -> Self {
        let errors: Vec<_> =
            refused.iter().map(|i| json!({ "field": i.field, "problem": i.problem })).collect();
        let sentences: Vec<_> = refused.iter().map(|i| format!("`{}` {}", i.field, i.problem)).collect();
        Self::new(Kind::INVALID_FIELDS)
            .detail(format!("{}.", sentences.join("; ")))
            .next("Correct the fields named in `errors` and send the request again; nothing was stored.")
            .with("errors", errors)
    }

    /// Nothing is at that path.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(Kind::NOT_FOUND)
            .detail(what)
            .next("Check the number and the path; `/` lists what there is.")
    }

    /// The path exists, and takes other methods.
    pub fn method_not_allowed(method: &Method, allowed: &str) -> Self {
        Self::new(Kind::METHOD_NOT_ALLOWED)
            .detail(format!("{method} is not one of {allowed}."))
            .next(format!("Use one of {allowed}."))
            .header("allow", allowed)
    }

    /// It was asked for too often, and may be again in so many seconds.
    pub fn too_often(detail: impl Into<String>, seconds: impl Display) -> Self {
        Self::new(Kind::TOO_MANY_REQUESTS)
            .detail(detail)
            .next(format!("Ask again in {seconds} seconds."))
            .header("retry-after", seconds.to_string())
    }

    /// What is asked for does not follow from the present state.
    pub fn transition_not_allowed(present: impl Serialize) -> Self {
        Self::new(Kind::TRANSITION_NOT_ALLOWED).with("presentStatus", present)
    }

    /// An `Idempotency-Key` came with other content than before.
    pub fn key_reused() -> Self {
        Self::new(Kind::IDEMPOTENCY_KEY_REUSED)
            .detail("The same key came before with other content.")
            .next("Send a new key with a new request; nothing was stored.")
    }

    /// An `Idempotency-Key` came where something else already makes it safe to ask again, which `known_by` says. A key
    /// is promised to stand for one request: whoever relied on it here would pay twice with two numbers.
    pub fn key_not_taken(known_by: &str) -> Self {
        Self::new(Kind::IDEMPOTENCY_KEY_NOT_TAKEN)
            .detail(known_by)
            .next("Send the request without the header, as often as you like.")
    }

    /// A failure may come before, while or after something is written, so nothing is said about that.
    pub(crate) fn internal() -> Self {
        Self::new(Kind::INTERNAL).next(
            "Try again. If you asked for a change, look first whether it was made. If it keeps failing, tell the \
             operator when it happened.",
        )
    }

    pub(crate) fn unavailable() -> Self {
        Self::new(Kind::STORE_UNAVAILABLE)
            .next("Try again in a second. If you asked for a change, look first whether it was made.")
            .header("retry-after", "1")
    }

    pub(crate) fn instance(self, path: &str) -> Self {
        self.with("instance", path)
    }
}

impl From<Invalid> for Problem {
    fn from(refused: Invalid) -> Self {
        Self::invalid_fields(&[refused])
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let Problem { status, members, headers } = problem;
        let body = Value::Object(members).to_string();
        let response = Self::of(status, "application/problem+json", body);
        headers.into_iter().fold(response, |response, (name, value)| response.header(name, &value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_field_is_named_at_once() {
        let problem = Problem::invalid_fields(&[
            Invalid::new("eduNo", "is required"),
            Invalid::new("guest", "must be an integer from 1 to 20"),
        ]);
        assert_eq!(problem.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(problem.members["errors"][1]["field"], "guest");
        assert_eq!(
            problem.members["detail"],
            "`eduNo` is required; `guest` must be an integer from 1 to 20."
        );
    }

    #[test]
    fn a_problem_says_what_was_wrong_this_time() {
        let missing = Problem::not_found("There is no order 1.");
        assert_eq!(missing.members["detail"], "There is no order 1.");
        let put = Problem::method_not_allowed(&Method::PUT, "GET, HEAD");
        assert_eq!(put.members["detail"], "PUT is not one of GET, HEAD.");
    }

    #[test]
    fn a_problem_keeps_its_members_in_order_and_has_no_tag() {
        let response: Response = Problem::not_found("There is no order 1.").header("allow", "GET").into();
        let text = String::from_utf8(response.bytes().to_vec()).unwrap();
        assert!(
            text.starts_with(r#"{"type":"/problems/not-found","title":"There is nothing here","status":404"#)
        );
        assert_eq!((response.get("etag"), response.get("allow")), (None, Some("GET")));
    }
}
