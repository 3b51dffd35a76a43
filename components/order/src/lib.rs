//! `order`: applying for a course, paying again, canceling.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/orders/...` (component `order`) |
//! | `spin:redis/inbound-redis` | [`events`] | wake-ups and the tick (component `order-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/order`, where there is no Redis trigger |
//!
//! - [`domain`]: what an order is and what may happen to it (pure).
//! - [`service`]: carries out what is asked for, by way of the journal and of `pay`.
//! - [`pay_client`]: the one synchronous call of the system, to `pay`, with its deadline and its breaker.
//! - [`ports`]: `pay` over HTTP, the breaker's state, and time.
//! - [`store`]: the tables, loading, lists.
//! - [`sealing`]: card numbers that wait for another try.
//! - [`settings`]: what the operator set.
//!
//! What it deliberately does not do: keep payments (`pay`'s), seats (`reservation`'s), or messages. It never calls
//! `reservation`: what it knows of courses it has from events, so that orders are taken while that is down.

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod pay_client;
mod ports;
mod sealing;
mod service;
mod settings;
mod store;
#[cfg(test)]
mod testing;

pub use http::answer;
pub use ports::Ports;
pub use sealing::{Seal, SealError};
pub use service::Service;
pub use settings::{BreakerStore, Role, Settings};
pub use store::DATABASE;

use ::store::Database;
use eventlog::{EventLog, Relay};
use journal::Journal;
use ports::Spin;
use std::rc::Rc;

static RELAY: Relay = Relay::new(&DATABASE, "order");

/// The service with Spin's ports; `log` is told of what it commits.
fn service<T>(settings: Rc<Settings>, log: T) -> Service<Spin, &'static Database, T> {
    let journal = Journal { storage: &DATABASE, tell: log };
    Service { ports: Spin(Rc::clone(&settings)), journal, settings }
}

/// Answers `/orders`.
pub async fn serve(request: &hal::Request) -> Result<hal::Response, hal::Error> {
    let work = async |message: &[u8]| work(message, Role::Http).await;
    if let Some(woken) = access::wake_up(request, "order", work).await? {
        return Ok(woken);
    }
    let settings = Settings::load(Role::Http).await.map_err(hal::Error::failure)?;
    let log = EventLog::answering(&settings.redis_url, RELAY);
    let service = service(settings, log);
    access::guard(request, async |reach| http::answer(&service, request, &reach).await).await
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: bytes::Bytes) -> anyhow::Result<()> {
    work(&message, Role::Worker).await
}

/// Handles what is new in the streams, does what time demands, and relays what came of it.
async fn work(message: &[u8], role: Role) -> anyhow::Result<()> {
    let settings = Settings::load(role).await?;
    let log = EventLog::working(&settings.redis_url, RELAY);
    log.work(&service(settings, &log), message).await
}
