//! `site`: the root of the application, where everything is and what the API speaks.
//!
//! | path | what |
//! |---|---|
//! | `GET /` | where to go from here, as HAL links: [`http`] |
//! | `GET /openapi.json` | the whole API as OpenAPI 3.1: `openapi.json` beside `src` |
//! | `GET /problems`, `GET /problems/{slug}` | what each kind of problem means and what to do: [`hal::Kind`] |
//!
//! It has no data, asks nobody, and may reach nothing. What is under no other component's route ends here as a
//! 404, so every path of the application answers with a problem that can be read.

// What the export macro generates.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod http;
#[cfg(test)]
mod tests;

hal::export!(serve);

/// Answers everything that no other component's route covers.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, hal::Error> {
    http::answer(request)
}
