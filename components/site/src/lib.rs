//! `site`: the root of the application, where everything is and what the API speaks.
//!
//! | path | what |
//! |---|---|
//! | `GET /` | where to go from here, as HAL links: [`http`] |
//! | `GET /openapi.json` | the whole API as OpenAPI 3.1: `openapi.json` beside `src` |
//! | `GET /problems`, `GET /problems/{slug}` | what each kind of problem means and what to do: [`problems`] |
//!
//! It has no data, asks nobody, and may reach nothing. What is under no other component's route ends here as a
//! 404, so every path of the application answers with a problem that can be read.

// What the export macro generates.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod http;
mod problems;
#[cfg(test)]
mod tests;

use spin_sdk::http::{BoxBody, Request};

/// Answers everything that no other component's route covers.
// A native build is for tests only, and its linker takes no such names as the macro exports.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn serve(request: Request) -> ::http::Response<BoxBody> {
    hal::serve(request, async |request| http::answer(&request)).await
}
