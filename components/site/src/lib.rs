//! `site`: the pages, the root of the application, and what the API speaks.
//!
//! | path | what |
//! |---|---|
//! | `GET /` | the catalogue for browsers: [`pages`]; where to go from here as HAL links for all others: [`http`] |
//! | `GET /openapi.json` | the whole API as OpenAPI 3.1: `openapi.json` beside `src` |
//! | `GET /problems`, `GET /problems/{slug}` | what each kind of problem means and what to do: [`hal::Kind`] |
//! | `/apply`, `/my`, `/manage`, … | pages: the table in [`pages`] |
//! | `/assets/…` | what browsers load beside them: [`assets`] |
//!
//! It has no data. Pages ask the other contexts as their API's [`client`], with the visitor's own rights, and nothing of the
//! answers is kept. What is under no other component's route ends here as a 404.

// What the export macro generates.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod assets;
mod client;
mod documents;
mod filters;
mod form;
mod format;
mod http;
mod icons;
mod messages;
mod page;
mod pages;
mod provider;
#[cfg(test)]
mod tests;
mod view;
mod visitor;

use hal::{Error, Method, Request, Response};

hal::export!(serve);

/// Answers everything that no other component's route covers.
pub async fn serve(request: &Request) -> Result<Response, Error> {
    if let Some(asset) = assets::answer(request).filter(|_| request.method == Method::GET) {
        return Ok(asset);
    }
    let is_browser = request.negotiate(&[&["application/hal+json", "application/json"], &["text/html"]]) == 1;
    match pages::Route::of(&request.route(), is_browser) {
        Some(route) => pages::answer(request, route).await,
        None => match http::answer(request) {
            // A browser that was led astray is shown the way back.
            Err(_) if is_browser && request.method == Method::GET => {
                pages::answer(request, pages::Route::Nowhere).await
            }
            answered => answered,
        },
    }
}
