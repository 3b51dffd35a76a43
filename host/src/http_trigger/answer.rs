//! What the host itself answers, where no component does.

use futures::StreamExt as _;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::WasiBody;

/// A problem document (RFC 9457) that says no more than the status does. Causes go to the log.
pub(super) fn problem(status: StatusCode) -> Response<WasiBody> {
    let title = status.canonical_reason().unwrap_or("Error");
    let text = format!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{}}}\n", status.as_u16());
    let mut response = answer(status, "application/problem+json", text);
    if status == StatusCode::REQUEST_TIMEOUT {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// 503, and why no requests should come here.
pub(super) fn not_ready(why: &str) -> Response<WasiBody> {
    let (status, title) = (StatusCode::SERVICE_UNAVAILABLE, "Not ready");
    let problem = serde_json::json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": why });
    answer(status, "application/problem+json", problem.to_string())
}

/// The same answer, but a stream of events ends once `stop` is canceled: its client then goes on with another host.
pub(super) fn ended_by(stop: CancellationToken, response: Response<WasiBody>) -> Response<WasiBody> {
    let is_live = response.headers().get(header::CONTENT_TYPE).is_some_and(|it| it == "text/event-stream");
    if !is_live {
        return response;
    }
    response
        .map(|body| StreamBody::new(BodyStream::new(body).take_until(stop.cancelled_owned())).boxed_unsync())
}

pub(super) fn text(text: &str) -> Response<WasiBody> {
    answer(StatusCode::OK, "text/plain; charset=utf-8", text.to_owned())
}

pub(super) fn json(document: &serde_json::Value) -> Response<WasiBody> {
    answer(StatusCode::OK, "application/json", document.to_string())
}

fn answer(status: StatusCode, content_type: &'static str, text: String) -> Response<WasiBody> {
    let length = HeaderValue::from(text.len());
    let body = Full::from(text).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    response
}
