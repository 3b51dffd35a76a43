//! What the host itself answers, where no component does.

use std::time::Instant;

use futures::{StreamExt as _, stream};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, BodyStream, Full, StreamBody};
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{Error, WasiBody};

use super::AnswerLimits;

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

/// The same answer, which breaks off where it takes longer or is longer than an answer may.
pub(super) fn cut_off(
    limits: AnswerLimits,
    begun: Instant,
    component: &str,
    response: Response<WasiBody>,
) -> Response<WasiBody> {
    let late = Box::pin(tokio::time::sleep_until((begun + limits.duration).into()));
    let component = component.to_owned();
    response.map(|body| {
        let frames = stream::unfold(Some((body, late, limits.length)), move |going_on| {
            let component = component.clone();
            async move {
                let (mut body, mut late, left) = going_on?;
                let frame = tokio::select! {
                    biased;
                    () = &mut late => Err(Error::HttpResponseTimeout),
                    frame = body.frame() => frame?,
                };
                let counted = frame.and_then(|frame| {
                    let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                    let too_long = Error::HttpResponseBodySize(Some(limits.length));
                    Ok((left.checked_sub(length).ok_or(too_long)?, frame))
                });
                Some(match counted {
                    Ok((left, frame)) => (Ok(frame), Some((body, late, left))),
                    Err(error) => {
                        tracing::error!("component `{component}`: its answer was broken off: {error}");
                        (Err(error), None)
                    }
                })
            }
        });
        StreamBody::new(frames).boxed_unsync()
    })
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    fn limits(milliseconds: u64, length: u64) -> AnswerLimits {
        AnswerLimits { duration: Duration::from_millis(milliseconds), length }
    }

    async fn read(limits: AnswerLimits, body: WasiBody) -> Result<Bytes, Error> {
        let answer = cut_off(limits, Instant::now(), "c", Response::new(body));
        answer.into_body().collect().await.map(http_body_util::Collected::to_bytes)
    }

    fn text(text: &'static str) -> WasiBody {
        Full::from(text).map_err(|never| match never {}).boxed_unsync()
    }

    #[tokio::test]
    async fn an_answer_within_its_limits_is_as_it_was() {
        assert_eq!(read(limits(10_000, 5), text("hello")).await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_breaks_off() {
        let error = read(limits(10_000, 4), text("hello")).await.unwrap_err();
        assert!(matches!(error, Error::HttpResponseBodySize(Some(4))), "{error}");
    }

    #[tokio::test]
    async fn an_answer_that_does_not_come_to_its_end_in_time_breaks_off() {
        let endless = StreamBody::new(stream::pending()).boxed_unsync();
        let error = read(limits(20, 5), endless).await.unwrap_err();
        assert!(matches!(error, Error::HttpResponseTimeout), "{error}");
    }
}
