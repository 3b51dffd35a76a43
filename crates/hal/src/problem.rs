//! What goes wrong, as RFC 9457 problem documents.

use crate::Response;
use http::StatusCode;
use kernel::Invalid;
use serde_json::{Map, Value, json};
use store::StoreError;

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
    /// A problem of the kind `slug`, with a `title` that is the same for all of its kind.
    pub fn new(status: StatusCode, slug: &str, title: &str) -> Self {
        let mut members = Map::new();
        members.insert("type".to_owned(), json!(format!("/problems/{slug}")));
        members.insert("title".to_owned(), json!(title));
        members.insert("status".to_owned(), json!(status.as_u16()));
        Self { status, members, headers: Vec::new() }
    }

    /// What was wrong this time.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        self.with("detail", json!(detail.into()))
    }

    /// What to do next.
    #[must_use]
    pub fn next(self, next: impl Into<String>) -> Self {
        self.with("next", json!(next.into()))
    }

    /// One more member, such as `presentStatus`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.members.insert(name.to_owned(), value);
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
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid-fields",
            "Some fields cannot be taken as they are",
        )
        .detail(format!("{}.", sentences.join("; ")))
        .next("Correct the fields named in `errors` and send the request again; nothing was stored.")
        .with("errors", Value::Array(errors))
    }

    /// Nothing is at that path.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
            .detail(what)
            .next("Check the number and the path; `/` lists what there is.")
    }

    /// The path exists, and takes other methods.
    pub fn method_not_allowed(method: &http::Method, allowed: &[&str]) -> Self {
        let allowed = allowed.join(", ");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "This path does not take that method")
            .detail(format!("{method} is not one of {allowed}."))
            .next(format!("Use one of {allowed}."))
            .header("allow", allowed)
    }

    /// A state in the way: 409, naming it.
    pub fn conflict(slug: &str, title: &str) -> Self {
        Self::new(StatusCode::CONFLICT, slug, title)
    }

    fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed on our side")
            .next("Try again; the same request is not carried out twice. If it keeps failing, tell the operator when it happened.")
    }

    fn unavailable() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", "The store is busy or not reachable")
            .next("Try again in a second; nothing was stored.")
            .header("retry-after", "1")
    }

    fn instance(self, path: &str) -> Self {
        self.with("instance", json!(path))
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let Problem { status, members, headers } = problem;
        let body = Value::Object(members);
        let response = Self::of(status, "application/problem+json", body.to_string());
        headers.into_iter().fold(response, |response, (name, value)| response.header(name, &value))
    }
}

/// What an answer can be instead of a [`Response`].
#[derive(Debug)]
pub enum Error {
    /// Expected: the client's to mend.
    Problem(Box<Problem>),
    /// Unexpected: ours to mend. Its causes are logged and not shown.
    Failure(anyhow::Error),
    /// The store cannot be used right now.
    Unavailable(anyhow::Error),
}

impl Error {
    /// The problem that a client is shown; what must not be shown goes to the log.
    pub fn into_problem(self, path: &str) -> Problem {
        match self {
            Self::Problem(problem) => *problem,
            Self::Failure(causes) => {
                eprintln!("failed to answer {path}: {causes:#}");
                Problem::internal()
            }
            Self::Unavailable(causes) => {
                eprintln!("could not answer {path}: {causes:#}");
                Problem::unavailable()
            }
        }
        .instance(path)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Invalid> for Error {
    fn from(refused: Invalid) -> Self {
        Problem::invalid_fields(&[refused]).into()
    }
}

impl From<anyhow::Error> for Error {
    fn from(causes: anyhow::Error) -> Self {
        Self::Failure(causes)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            // A conflict that reaches here outlived every try: many are changing the same thing at once.
            StoreError::Unique { .. } | StoreError::Check { .. } | StoreError::Raised(_) => {
                Self::Unavailable(error.into())
            }
            StoreError::Failure(_) => Self::Failure(error.into()),
        }
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
    fn a_failure_never_shows_its_causes() {
        let problem = Error::Failure(anyhow::anyhow!("no such table: orders")).into_problem("/orders");
        assert_eq!(problem.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!Value::Object(problem.members).to_string().contains("table"));
    }

    #[test]
    fn whoever_meets_a_failure_of_ours_is_told_what_to_do_next() {
        let failure = Error::Failure(anyhow::anyhow!("no such table: orders"));
        let busy = Error::from(StoreError::Unavailable("locked".to_owned()));
        for error in [failure, busy] {
            let problem = error.into_problem("/orders");
            let next = problem.members.get("next").and_then(Value::as_str);
            assert!(next.is_some_and(|next| next.starts_with("Try again")), "{problem:?}");
        }
    }

    #[test]
    fn a_problem_says_what_was_wrong_this_time() {
        let missing = Problem::not_found("There is no order 1.");
        assert_eq!(missing.members["detail"], "There is no order 1.");
        let put = Problem::method_not_allowed(&http::Method::PUT, &["GET", "HEAD"]);
        assert_eq!(put.members["detail"], "PUT is not one of GET, HEAD.");
    }
}
