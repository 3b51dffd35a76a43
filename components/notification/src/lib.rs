//! `notification`: tells people what changed, one KakaoTalk message for every event about their order.
//!
//! | exported | where |
//! |---|---|
//! | `GET /notifications`, `/{id}`, `/search/findByOrderId` | [`http`] |
//! | messages of `sugang:events:{order,pay,reservation}` and `sugang:tick` | [`events`], then [`delivery`] |
//!
//! What a message says is in [`templates`], when it is tried again in [`domain`], who holds it in [`store`], and which way it goes in [`channel`]. It
//! only reacts: it takes no commands, decides nothing about orders, and knows no phone numbers. How a message
//! travels is the business of whatever is plugged into the port `sugang:notification/channel`.

// What the export macros generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod channel;
mod delivery;
mod domain;
mod events;
mod http;
#[cfg(test)]
mod samples;
mod store;
mod templates;

pub use delivery::{Channel, Outgoing, deliver, look_after};
pub use domain::Attempt;
pub use events::Scribe;
pub use store::DATABASE;

use anyhow::Context;
use bytes::Bytes;
use eventlog::Wake;
use spin_sdk::http::{BoxBody, Request};
use spin_sdk::variables;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated code, documented in the WIT")]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/notification",
        world: "notification",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

/// Answers `/notifications`.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn serve(request: Request) -> ::http::Response<BoxBody> {
    hal::serve(request, http::answer).await
}

/// Writes messages about what the other contexts told, and sends what is due.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: Bytes) -> anyhow::Result<()> {
    let redis_url = variables::get("redis_url").await.context("the variable redis_url")?;
    let wake = Wake::of(&message);
    let drained = eventlog::drain(
        &redis_url,
        "notification",
        events::SOURCES,
        wake,
        &events::Scribe { storage: &DATABASE },
    )
    .await;
    if wake == Wake::Tick {
        look_after(&DATABASE).await.context("looking after messages that wait")?;
    }
    // What is due is sent even when the log cannot be read; a wake-up for which others were quicker has
    // nothing to send.
    let nothing_new = matches!(&drained, Ok(drained) if drained.handled == 0);
    if wake == Wake::Tick || !nothing_new {
        deliver(&DATABASE, &channel::Composed).await.context("delivering messages")?;
    }
    drained.context("reading the event log")?;
    Ok(())
}
