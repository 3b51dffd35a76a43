//! HTTP as the API speaks it: HAL documents, problems, paging, and reading requests.
//!
//! A context's `http.rs` is a function from [`Request`] to `Result<Response, Error>`; [`serve`] stands around
//! it. What a client can get wrong becomes a [`Problem`] (RFC 9457) that says what was wrong and what to do;
//! anything else is a failure, logged with its causes and answered as a plain 500.
//!
//! Every answer that is not a stream carries its length: without it Spin sends two packets and waits for the
//! client's delayed acknowledgement (44 ms measured).
//!
//! What it deliberately does not know: what an order or a course is.

mod collection;
mod fields;
mod precondition;
mod problem;
mod request;
mod response;

pub use collection::{Direction, Paging, Sort};
pub use fields::Fields;
pub use http::{Method, StatusCode};
pub use problem::{Error, Problem};
pub use request::{MAX_BODY, Query, Request};
pub use response::{Response, link};

use spin_sdk::http::BoxBody;

/// Reads a request, has it answered, and turns whatever comes of it into an HTTP response.
pub async fn serve(
    incoming: spin_sdk::http::Request,
    answer: impl AsyncFnOnce(Request) -> Result<Response, Error>,
) -> http::Response<BoxBody> {
    let path = incoming.uri().path().to_owned();
    let answered = match Request::read(incoming).await {
        Ok(request) => answer(request).await,
        Err(error) => Err(error),
    };
    answered.unwrap_or_else(|error| error.into_problem(&path).into()).into_http()
}
