//! Answers.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use spin_sdk::http::{BoxBody, FullBody, box_body};

/// An answer.
#[derive(Debug)]
pub struct Response {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Whole(Bytes),
    Stream(BoxBody),
}

impl Response {
    /// 200 with a HAL document.
    pub fn ok(document: &Value) -> Self {
        Self::hal(StatusCode::OK, document)
    }

    /// 201 with a HAL document and where it is from now on.
    pub fn created(document: &Value, location: &str) -> Self {
        Self::hal(StatusCode::CREATED, document).header("location", location)
    }

    /// 204.
    pub fn no_content() -> Self {
        Self { status: StatusCode::NO_CONTENT, headers: Vec::new(), body: Body::Whole(Bytes::new()) }
    }

    /// 304 for a client that has this state already.
    pub fn not_modified(etag: &str) -> Self {
        Self { status: StatusCode::NOT_MODIFIED, headers: Vec::new(), body: Body::Whole(Bytes::new()) }
            .etag(etag)
    }

    /// Any status with a HAL document.
    pub fn hal(status: StatusCode, document: &Value) -> Self {
        Self::of(status, "application/hal+json", document.to_string())
    }

    /// Any status with a body of any type.
    pub fn of(status: StatusCode, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: Body::Whole(body.into()) }
            .header("content-type", content_type)
    }

    /// 200 with a body that is sent as it comes into being, without a length.
    pub fn stream(content_type: &str, body: BoxBody) -> Self {
        Self { status: StatusCode::OK, headers: Vec::new(), body: Body::Stream(body) }
            .header("content-type", content_type)
    }

    /// With a header; one whose value HTTP does not allow is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((HeaderName::from_static(name), value));
        }
        self
    }

    /// With an `ETag`, given without its quotes.
    #[must_use]
    pub fn etag(self, etag: &str) -> Self {
        self.header("etag", &format!("\"{etag}\""))
    }

    /// The HTTP response; its length is in it unless it is a stream.
    pub fn into_http(self) -> http::Response<BoxBody> {
        let bodiless = matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let (length, body) = match self.body {
            Body::Whole(bytes) => ((!bodiless).then_some(bytes.len()), box_body(FullBody::new(bytes))),
            Body::Stream(body) => (None, body),
        };
        let mut response = http::Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        if let Some(length) = length {
            headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }
}

/// A HAL link object.
pub fn link(href: impl Into<String>) -> Value {
    json!({ "href": href.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_whole_answer_carries_its_length() {
        let response = Response::ok(&json!({ "a": "한" })).etag("3").into_http();
        assert_eq!(response.headers()["content-length"], "11");
        assert_eq!(response.headers()["content-type"], "application/hal+json");
        assert_eq!(response.headers()["etag"], "\"3\"");
        assert!(!Response::no_content().into_http().headers().contains_key("content-length"));
    }

    #[test]
    fn a_stream_says_its_type_and_no_length() {
        let body = box_body(FullBody::new(Bytes::new()));
        let response = Response::stream("text/event-stream", body).into_http();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-length"));
    }
}
