//! What came back from a request, and the questions tests ask about it.

use std::time::Duration;

use serde_json::Value;
use ureq::http::HeaderMap;

/// A response, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was asked, for messages.
    pub request: String,
    /// The status code.
    pub status: u16,
    /// Every header.
    pub headers: HeaderMap,
    /// The body, as text.
    pub body: String,
    /// From the first byte sent to the last received.
    pub took: Duration,
}

impl Answer {
    /// A header's value, or nothing at all where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; a test that asks for it fails when it is none.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.body) {
            Ok(value) => value,
            Err(error) => self.fail(&format!("not JSON ({error})")),
        }
    }

    /// The value at a JSON pointer such as `/page/totalElements`; null where there is none.
    #[track_caller]
    #[must_use]
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// The text at a JSON pointer; empty where there is none.
    #[track_caller]
    #[must_use]
    pub fn text(&self, pointer: &str) -> String {
        self.at(pointer).as_str().unwrap_or_default().to_owned()
    }

    /// The members of a HAL collection.
    #[track_caller]
    #[must_use]
    pub fn items(&self, relation: &str) -> Vec<Value> {
        self.at(&format!("/_embedded/{relation}")).as_array().cloned().unwrap_or_default()
    }

    /// Holds the status to what it should be.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        if self.status != status {
            self.fail(&format!("expected {status}"));
        }
        self
    }

    /// Holds the answer to being a problem (RFC 9457) of this status and type, which tells no cause.
    #[track_caller]
    pub fn expect_problem(self, status: u16, slug: &str) -> Self {
        let answer = self.expect_any_problem(&[status]);
        if answer.text("/type") != format!("/problems/{slug}") {
            answer.fail(&format!("expected the problem {slug}"));
        }
        answer
    }

    /// Holds the answer to being some problem (RFC 9457) with one of these statuses, which tells no cause.
    #[track_caller]
    pub fn expect_any_problem(self, statuses: &[u16]) -> Self {
        if !statuses.contains(&self.status) {
            self.fail(&format!("expected one of {statuses:?}"));
        }
        if !self.header("content-type").starts_with("application/problem+json") {
            self.fail("expected application/problem+json");
        }
        for member in ["/type", "/title"] {
            if self.text(member).is_empty() {
                self.fail(&format!("expected a {member}"));
            }
        }
        if self.at("/status") != self.status {
            self.fail("expected its status inside, too");
        }
        for cause in ["SQLITE", "constraint failed", "panicked", "wasm", "/src/", "stack"] {
            if self.body.contains(cause) {
                self.fail(&format!("an answer must not say {cause:?}"));
            }
        }
        self
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!(
            "{}: {why}, got {} after {:?}\n{:?}\n{}",
            self.request, self.status, self.took, self.headers, self.body
        )
    }
}

/// The time that half of the answers kept to: the machine may have something else to do, too.
///
/// # Panics
///
/// Where there is no answer.
#[must_use]
pub fn median(answers: &[Answer]) -> Duration {
    let mut times: Vec<_> = answers.iter().map(|answer| answer.took).collect();
    times.sort();
    *times.get(times.len() / 2).expect("at least one answer")
}
