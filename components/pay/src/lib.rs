//! `pay`: takes payments, and gives them back.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/pays/...` (component `pay`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `pay-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/pay`, where there is no Redis trigger |
//!
//! - [`domain`]: what a payment is and what may happen to it (pure).
//! - [`service`]: carries out what is asked for, by way of the gateway and the journal.
//! - [`ports`]: the card company, as the WIT package `wit/payment` has it.
//! - [`store`]: the tables, loading, lists.
//!
//! What must never happen, a second charge or a charge for an order that is closed, is prevented by keys: see [`domain`]
//! and the port.
//!
//! What it deliberately does not do: know what a course costs (`order` says the amount), keep a card number, or try again
//! by itself (`order` does, as long as it wants the money).

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod ports;
mod service;
mod store;

pub use http::answer;
pub use ports::{Gateway, NoReceipt, Receipt};
pub use service::Service;
pub use store::DATABASE;

use ::store::Database;
use eventlog::{EventLog, Relay};
use journal::Journal;
use ports::Composed;

static RELAY: Relay = Relay::new(&DATABASE, "pay");

/// The service with Spin's ports; `log` is told of what it commits.
async fn service<T>(log: T) -> anyhow::Result<Service<Composed, &'static Database, T>> {
    let contract_records_days = settings::parse("contract_records_days").await?;
    let journal = Journal { storage: &DATABASE, tell: log };
    Ok(Service { gateway: Composed, journal, contract_records_days })
}

/// Answers `/pays`.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, hal::Error> {
    if let Some(woken) = access::wake_up(request, "pay", work).await? {
        return Ok(woken);
    }
    let redis_url = settings::text("redis_url").await.map_err(hal::Error::failure)?;
    let service = service(EventLog::answering(&redis_url, RELAY)).await.map_err(hal::Error::failure)?;
    access::guard(request, async |reach| http::answer(&service, request, &reach).await).await
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: bytes::Bytes) -> anyhow::Result<()> {
    work(&message).await
}

/// Handles what is new in the streams, and relays what came of it.
async fn work(message: &[u8]) -> anyhow::Result<()> {
    let log = EventLog::working(&settings::text("redis_url").await?, RELAY);
    log.work(&service(&log).await?, message).await
}
