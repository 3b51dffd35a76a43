//! `reservation`: courses, their seats and their waiting lists.
//!
//! | export | called by | goes to |
//! |---|---|---|
//! | `wasi:http` handler | a client, for `/courses` and `/reservations` | [`http`] |
//! | `spin:redis` subscriber | a wake-up or the tick | [`events`] |
//!
//! Both ask the same desk: [`domain`] decides, without knowing who asked; [`store`] loads what a decision needs
//! and commits it in one statement, which is what makes overselling impossible with any number of replicas;
//! [`demo`] is the courses that a fresh system begins with.
//!
//! What it deliberately does not do: know prices beyond a course's fee (`order` and `pay` do), tell customers
//! anything (`notification` does), or call another context. It hears of payments and cancellations as events,
//! and may be down for as long as it likes without anyone noticing more than a delay.

// What the two export macros generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod demo;
pub mod domain;
mod events;
mod http;
mod office;
mod store;

pub use office::Office;
pub use store::DATABASE;

use ::store::Database;
use bytes::Bytes;
use eventlog::Outbox;
use hal::{Method, Request, Response};
use kernel::Timestamp;
use spin_sdk::http::BoxBody;
use std::cell::Cell;

/// What has been decided and not been told yet.
static OUTBOX: Outbox = Outbox::new(&DATABASE, "reservation");

/// With the store that it has in the component.
static OFFICE: Office<&Database> = Office { storage: &DATABASE };

thread_local! {
    /// Whether this instance has seen that the demonstration courses are there, or not wanted.
    static DEMO_DONE: Cell<bool> = const { Cell::new(false) };
}

/// Answers `/courses` and `/reservations`.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> ::http::Response<BoxBody> {
    hal::serve(request, async |request: Request| -> Result<Response, hal::Error> {
        let opened = open_demo_courses().await?;
        let response = OFFICE.answer(&request).await?;
        if opened || request.method != Method::GET {
            let redis_url = spin_sdk::variables::get("redis_url").await.map_err(anyhow::Error::from)?;
            OUTBOX.relay_soon(&redis_url);
        }
        Ok(response)
    })
    .await
}

/// So that the very first request finds them, even before the first tick.
async fn open_demo_courses() -> Result<bool, hal::Error> {
    if DEMO_DONE.get() {
        return Ok(false);
    }
    let opened = demo::wanted().await && demo::open_missing(&DATABASE, Timestamp::now()).await?;
    DEMO_DONE.set(true);
    Ok(opened)
}

/// Wakes up: drains the streams, and on a tick does what time demands.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn on_message(message: Bytes) -> anyhow::Result<()> {
    events::wake(&message).await
}
