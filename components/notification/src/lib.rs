//! `notification`: tells people what changed, one KakaoTalk message for every event about their order.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/notifications/...` (component `notification`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `notification-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/notification`, where there is no Redis trigger |
//!
//! - [`domain`]: what a message is, and when it is tried again (pure); [`templates`]: what it says.
//! - [`service`]: writes messages and gets them to people.
//! - [`ports`]: what carries them, as the WIT package `wit/notification` has it.
//! - [`store`]: the tables, and who holds which message.
//!
//! What it deliberately does not do: take commands, decide anything about orders, or know phone numbers. How a message
//! travels is the business of whatever is plugged into the port `sugang:notification/channel`.

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod ports;
#[cfg(test)]
mod samples;
mod service;
mod store;
mod templates;

pub use domain::Attempt;
pub use ports::{Channel, Outgoing};
pub use service::Service;
pub use store::DATABASE;

use bytes::Bytes;
use eventlog::EventLog;
use ports::Composed;

/// Answers `/notifications`.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, hal::Error> {
    if let Some(woken) = access::wake_up(request, "notification", work).await? {
        return Ok(woken);
    }
    access::guard(request, async |reach| http::answer(&DATABASE, request, &reach).await).await
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: Bytes) -> anyhow::Result<()> {
    work(&message).await
}

/// Writes messages about what the other contexts told, and sends what is due.
async fn work(message: &[u8]) -> anyhow::Result<()> {
    let log = EventLog::<&::store::Database>::reading(&settings::text("redis_url").await?);
    let message_records_days = settings::parse("message_records_days").await?;
    log.work(&Service { channel: Composed, storage: &DATABASE, message_records_days }, message).await
}
