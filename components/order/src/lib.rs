//! The context `order`: applying for a course, paying again, canceling.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/orders/...` (component `order`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `order-worker`) |
//!
//! - `domain`: what an order is and what may happen to it (pure).
//! - `store`: the tables, and one statement per decision.
//! - `cashier`: the one synchronous call of the system, to `pay`, with its deadline and its breaker.
//! - `sealing`: card numbers that wait for another try.
//! - `settings`: what the operator set.
//! - `office`: all of that with the neighbours that it is given; a native process gives its own.
//!
//! What it deliberately does not do: keep payments (`pay`'s), seats (`reservation`'s), or messages. It never calls
//! `reservation`: what it knows of courses it has from events, so that orders are taken while that is down.

// What the two export macros generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod cashier;
mod domain;
mod events;
mod http;
mod office;
mod sealing;
mod settings;
mod store;

pub use cashier::Way;
pub use events::Policies;
pub use office::{Office, Surroundings};
pub use sealing::{Seal, SealError};
pub use settings::{Role, Settings};
pub use store::DATABASE;

use cashier::Line;
use eventlog::Outbox;
use spin_sdk::http::{BoxBody, Request};
use std::rc::Rc;

/// The context's name: of its store, its stream and its consumer group.
const CONTEXT: &str = "order";

static OUTBOX: Outbox = Outbox::new(&store::DATABASE, CONTEXT);

/// Answers `/orders`.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn serve(request: Request) -> ::http::Response<BoxBody> {
    hal::serve(request, async |request: hal::Request| -> Result<hal::Response, hal::Error> {
        let settings = Settings::load(Role::Http).await?;
        let around = Line(Rc::clone(&settings));
        Office { storage: &DATABASE, around, settings }.answer(&request).await
    })
    .await
}

/// Wakes up: drains the streams, and on a tick does what time demands.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: bytes::Bytes) -> anyhow::Result<()> {
    events::react(&message).await
}
