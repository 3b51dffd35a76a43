//! `information`: what is known about every order, in one place (the query side of CQRS).
//!
//! | exported | where |
//! |---|---|
//! | `GET /infomations`, `/{orderId}`, `/search/findByOrderId` | [`http`] |
//! | `GET /infomations/{orderId}/events`, live | [`live`] |
//! | messages of `sugang:events:{order,pay,reservation}` and `sugang:tick` | [`events`] |
//!
//! It only reacts: nothing here decides, nothing asks another context, and everything it holds can be made
//! again from the events; for that, [`View`] and the schema of its [`DATABASE`] can be used without Spin. How
//! events that come late, twice and out of order become one row is in [`domain`]; the same in SQL in [`store`].

// What the two export macros generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod live;
#[cfg(test)]
mod samples;
mod store;

pub use events::View;
pub use store::DATABASE;

use anyhow::Context;
use bytes::Bytes;
use eventlog::Wake;
use spin_sdk::http::{BoxBody, Request};
use spin_sdk::variables;

/// Answers `/infomations` and `/informations`.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn serve(request: Request) -> ::http::Response<BoxBody> {
    hal::serve(request, http::answer).await
}

/// Takes in what the other contexts told.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: Bytes) -> anyhow::Result<()> {
    let redis_url = variables::get("redis_url").await.context("the variable redis_url")?;
    let wake = Wake::of(&message);
    eventlog::drain(
        &redis_url,
        "information",
        events::SOURCES,
        wake,
        &events::View { storage: &store::DATABASE },
    )
    .await?;
    Ok(())
}
