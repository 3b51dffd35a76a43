//! `reservation`: courses, their seats and their waiting lists.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/courses/...` and `/reservations/...` (component `reservation`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `reservation-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/reservation`, where there is no Redis trigger |
//!
//! - [`domain`]: who gets a seat, who waits, who moves up, and what becomes of a course (pure).
//! - [`service`]: carries out what is asked for, by way of the journal.
//! - [`store`]: the tables, which make overselling impossible with any number of replicas; loading, lists.
//! - [`demo`]: the courses that a fresh system begins with.
//!
//! It needs nothing from outside but its store, so there are no `ports`.
//!
//! What it deliberately does not do: know prices beyond a course's fee (`order` and `pay` do), tell customers
//! anything (`notification` does), or call another context. It hears of payments and cancellations as events,
//! and may be down for as long as it likes without anyone noticing more than a delay.

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod demo;
mod domain;
mod events;
mod http;
mod service;
mod store;
#[cfg(test)]
mod testing;

pub use http::answer;
pub use service::Service;
pub use store::DATABASE;

use ::store::Database;
use eventlog::{EventLog, Relay};
use hal::Error;
use journal::Journal;

static RELAY: Relay = Relay::new(&DATABASE, "reservation");

/// The service with Spin's store; `log` is told of what it commits.
async fn service<T>(log: T) -> anyhow::Result<Service<&'static Database, T>> {
    let demo_courses = settings::parse("demo_courses").await?;
    let contract_records_days = settings::parse("contract_records_days").await?;
    let journal = Journal { storage: &DATABASE, tell: log };
    Ok(Service { journal, demo_courses, contract_records_days })
}

/// Answers `/courses` and `/reservations`.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, Error> {
    if let Some(woken) = access::wake_up(request, "reservation", work).await? {
        return Ok(woken);
    }
    let redis_url = settings::text("redis_url").await.map_err(Error::failure)?;
    let service = service(EventLog::answering(&redis_url, RELAY)).await.map_err(Error::failure)?;
    // So that the very first request finds them, even before the first tick.
    service.open_demo_courses().await?;
    access::guard(request, async |reach| http::answer(&service, request, &reach).await).await
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: bytes::Bytes) -> anyhow::Result<()> {
    work(&message).await
}

/// Handles what is new in the streams, does what time demands, and relays what came of it.
async fn work(message: &[u8]) -> anyhow::Result<()> {
    let log = EventLog::working(&settings::text("redis_url").await?, RELAY);
    log.work(&service(&log).await?, message).await
}
