//! Answers.

use crate::precondition::tag;
use crate::{Links, Problem, Request, StatusCode};
use serde::Serialize;
use serde_json::json;
use spin_sdk::http::BoxBody;

/// What a 304 says about the representation that it stands for (RFC 9110 §15.4.5).
const KEPT_WHEN_NOT_MODIFIED: [&str; 5] = ["cache-control", "content-location", "etag", "expires", "vary"];

/// An answer. One that carries a representation whole (a 2xx with a body) is tagged with its hash.
#[derive(Debug)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    /// None.
    Empty,
    /// All of it.
    Whole(Vec<u8>),
    /// As it comes into being.
    Stream(BoxBody),
}

impl Response {
    /// 200 with a HAL document.
    pub fn ok(document: &impl Serialize) -> Self {
        Self::hal(StatusCode::OK, document)
    }

    /// 201 with a HAL document and where it is from now on.
    pub fn created(document: &impl Serialize, location: &str) -> Self {
        Self::hal(StatusCode::CREATED, document).header("location", location)
    }

    /// The searches of a collection: each has `findByOrderId`.
    pub fn searches(request: &Request, collection: &str) -> Self {
        let here = format!("{}/{collection}/search", request.base);
        let find = format!("{here}/findByOrderId{{?orderId}}");
        Self::ok(&json!({ "_links": Links::new().templated("findByOrderId", find).with("self", here) }))
    }

    /// 204.
    pub const fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: Vec::new(), body: Body::Empty }
    }

    /// Any status with a HAL document.
    pub fn hal(status: StatusCode, document: &impl Serialize) -> Self {
        match serde_json::to_vec(document) {
            Ok(body) => Self::of(status, "application/hal+json", body),
            Err(error) => {
                eprintln!("an answer cannot be written as JSON: {error}");
                Problem::internal().into()
            }
        }
    }

    /// Any status with a body of any type.
    pub fn of(status: StatusCode, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let response = Self { status, headers: Vec::with_capacity(4), body: Body::Empty }
            .header("content-type", content_type)
            .header("content-length", &body.len().to_string());
        let response = if status.is_success() {
            response.header("etag", &format!("\"{}\"", tag(&body)))
        } else {
            response
        };
        Self { body: Body::Whole(body), ..response }
    }

    /// 200 with a body that is sent as it comes into being, without a length or a tag.
    pub fn stream(content_type: &str, body: BoxBody) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Body::Stream(body) }
            .header("content-type", content_type)
    }

    /// 200 with server-sent events, which neither caches nor proxies hold back.
    pub fn events(body: BoxBody) -> Self {
        Self::stream("text/event-stream", body)
            .header("cache-control", "no-store")
            .header("x-accel-buffering", "no")
    }

    /// With a header; one whose value HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f)) {
            self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        }
        self
    }

    /// With one more member in its JSON object, which is for this answer alone: the tag stays that of the rest.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: &str) -> Self {
        let Body::Whole(body) = &mut self.body else { return self };
        if body.last() == Some(&b'}') {
            body.pop();
            body.extend_from_slice(format!(",{}:{}}}", json!(name), json!(value)).as_bytes());
            let length = body.len().to_string().into_bytes();
            for (_, value) in self.headers.iter_mut().filter(|(header, _)| header == "content-length") {
                value.clone_from(&length);
            }
        }
        self
    }

    /// The status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// A header, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.and_then(|(_, value)| str::from_utf8(value).ok())
    }

    /// The body; empty if there is none, or if it is a stream.
    pub fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Whole(bytes) => bytes,
            Body::Empty | Body::Stream(_) => &[],
        }
    }

    /// The body as JSON; null if it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.bytes()).unwrap_or_default()
    }

    /// The entity tag, without its quotes.
    pub(crate) fn tag(&self) -> Option<&str> {
        self.get("etag")?.strip_prefix('"')?.strip_suffix('"')
    }

    /// 304 for a client that has this already.
    pub(crate) fn into_not_modified(mut self) -> Self {
        self.headers.retain(|(name, _)| KEPT_WHEN_NOT_MODIFIED.contains(&name.as_str()));
        Self { status: StatusCode::NOT_MODIFIED, headers: self.headers, body: Body::Empty }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::http::{EmptyBody, box_body};

    #[test]
    fn every_whole_answer_carries_its_length_and_its_tag() {
        let response = Response::ok(&serde_json::json!({ "a": "한" }));
        assert_eq!(response.get("content-length"), Some("11"));
        assert_eq!(response.get("content-type"), Some("application/hal+json"));
        assert_eq!(response.get("etag").map(str::len), Some(18));
        assert_eq!(response.json()["a"], "한");
        assert!(Response::no_content().headers.is_empty());
    }

    #[test]
    fn a_stream_says_its_type_and_no_length() {
        let response = Response::events(box_body(EmptyBody::new()));
        assert_eq!(response.get("content-type"), Some("text/event-stream"));
        assert_eq!((response.get("content-length"), response.get("etag")), (None, None));
    }

    #[test]
    fn no_header_breaks_out_of_its_line() {
        let response = Response::no_content().header("location", "a\r\nset-cookie: b").header("x", "y");
        assert_eq!((response.get("location"), response.get("x")), (None, Some("y")));
    }

    #[test]
    fn a_document_that_is_no_json_is_a_failure() {
        let response = Response::ok(&std::collections::BTreeMap::from([((1, 2), 3)]));
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
