//! `information`: what is known about every order, in one place (the query side of CQRS).
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`], [`live`] | `/infomations/...`, `/informations/...` (component `information`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `information-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/information`, where there is no Redis trigger |
//!
//! - [`domain`]: what an event says by itself, and when nothing more can be said (pure).
//! - [`ports`]: what live answers need from outside.
//! - [`store`]: the tables, and how events that come late, twice and out of order become one row.
//!
//! What it deliberately does not do: decide anything, or ask another context. Everything it holds can be made again from
//! the events; for that, [`View`] and the schema of its [`DATABASE`] can be used without Spin.

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod live;
mod ports;
#[cfg(test)]
mod samples;
mod store;

pub use events::View;
pub use store::DATABASE;

use bytes::Bytes;
use eventlog::EventLog;

/// Answers `/infomations` and `/informations`.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, hal::Error> {
    if let Some(woken) = access::wake_up(request, "information", work).await? {
        return Ok(woken);
    }
    access::guard(request, async |reach| http::answer(&DATABASE, ports::Spin, request, reach).await).await
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: Bytes) -> anyhow::Result<()> {
    work(&message).await
}

/// Takes in what the other contexts told.
async fn work(message: &[u8]) -> anyhow::Result<()> {
    let log = EventLog::<&::store::Database>::reading(&settings::text("redis_url").await?);
    let contract_records_days = settings::parse("contract_records_days").await?;
    log.work(&View { storage: &DATABASE, contract_records_days }, message).await
}
