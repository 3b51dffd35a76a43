//! HTTP as the API speaks it: HAL documents, problems, paging, preconditions, and reading requests.
//!
//! A context's handler is an async function from [`&Request`](Request) to `Result<Response, Error>`, and
//! [`export!`] makes it what the component exports. What a client can get wrong becomes a [`Problem`] (RFC 9457)
//! that says what was wrong and what to do; anything else is a failure, logged with its causes and answered as
//! a plain 500.
//!
//! | module | what is in it |
//! |---|---|
//! | `wire` | requests from, and answers to, `wasi:http` |
//! | `request`, `query`, `fields` | what a client sends, parsed |
//! | `client` | which address it comes from |
//! | `header` | lists, parameters and weights in headers, in one place |
//! | `precondition` | entity tags, `If-Match`, `If-None-Match`, in one place |
//! | `response`, `links`, `collection`, `sse` | what it gets |
//! | `kind`, `problem`, `error` | what it gets instead |
//!
//! Every answer that is not a stream carries its length: without it Spin sends two packets and waits for the
//! client's delayed acknowledgement (44 ms measured).
//!
//! What it deliberately does not know: what an order or a course is, and what a store is.

mod client;
mod collection;
mod error;
mod fields;
mod header;
mod kind;
mod links;
mod precondition;
mod problem;
#[cfg(test)]
mod properties;
mod query;
mod request;
mod response;
pub mod sse;
mod wire;

pub use collection::{Paging, Sort};
pub use error::Error;
pub use fields::Fields;
pub use http::{Method, StatusCode};
pub use kind::Kind;
pub use links::{Link, Links, link};
pub use precondition::{Preconditions, etag_of};
pub use problem::Problem;
pub use query::Query;
pub use request::{MAX_BODY, Request};
pub use response::Response;
pub use wire::serve;

#[doc(hidden)]
pub use spin_sdk::wasip3 as __wasip3;

/// Has a request answered as the client sees it: a problem document where the handler returns an error, 304 or
/// 412 where the client's preconditions say so.
pub async fn answer(
    request: &Request,
    handler: impl AsyncFnOnce(&Request) -> Result<Response, Error>,
) -> Response {
    // `OPTIONS *` asks about the server as a whole (RFC 9110 §9.3.7).
    if request.path == "*" && request.method == Method::OPTIONS {
        return Response::no_content().header("allow", "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    }
    let response = handler(request).await.unwrap_or_else(|error| error.into_problem(&request.path).into());
    request.preconditions().conclude(request, response)
}

/// Exports an async function from `&hal::Request` to `Result<hal::Response, hal::Error>` as the component's
/// `wasi:http/handler`. A native build exports nothing.
///
/// Spin's own macro would turn the request into one of the `http` crate first, with half a dozen calls to the host
/// that nobody here needs, and would have the body read to its end even where there is none.
#[macro_export]
macro_rules! export {
    ($handler:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Exported;

            impl $crate::__wasip3::exports::http::handler::Guest for Exported {
                async fn handle(
                    incoming: $crate::__wasip3::http::types::Request,
                ) -> Result<$crate::__wasip3::http::types::Response, $crate::__wasip3::http::types::ErrorCode>
                {
                    $crate::serve(incoming, $handler).await
                }
            }

            $crate::__wasip3::http::service::export!(Exported);
        };

        // So that the compiler sees a use of it.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = _ = $handler;
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::request_of;
    use futures::executor::block_on;

    async fn nothing(request: &Request) -> Result<Response, Error> {
        request.nothing_here()
    }

    export!(nothing);

    #[test]
    fn what_goes_wrong_is_answered_as_a_problem_of_its_path() {
        let response = block_on(answer(&request_of(Method::GET, "/x?y", &[], ""), nothing));
        assert_eq!((response.status(), &response.json()["instance"]), (StatusCode::NOT_FOUND, &"/x".into()));
    }

    #[test]
    fn the_server_as_a_whole_says_which_methods_it_takes() {
        let response = block_on(answer(&request_of(Method::OPTIONS, "*", &[], ""), nothing));
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert!(response.get("allow").is_some());
    }
}
