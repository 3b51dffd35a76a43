//! `member`: who people are, how they sign in, and what they may do.
//!
//! | export | module | serves |
//! |---|---|---|
//! | `wasi:http/handler` | [`http`] | `/members/...`, `/sessions/...`, `/sign-in-codes/...`, `/invitations/...`, `/machines/...`, `/audit`, `/event-log/...` (component `member`) |
//! | `spin:redis/inbound-redis` | [`events`] | what is told, and the tick (component `member-worker`) |
//! | `wasi:http/handler` | [`events`] | the same at `/internal/wake/member`, where there is no Redis trigger |
//!
//! - [`domain`]: what a member is and what may become of one (pure).
//! - [`service`]: carries out what is asked for, by way of the journal, the store and the ports.
//! - [`ports`]: what carries messages, the key that tokens are signed with, and where it is said that a session has ended.
//! - [`store`]: the tables, what they limit, and what is forgotten when somebody is erased.
//! - [`id_token`]: whether an ID token of an OpenID provider counts (pure).
//! - [`secrets`]: codes and tokens, and what is kept of them.
//! - [`messages`]: what is written to telephones.
//! - [`settings`]: what the operator set.
//!
//! What it deliberately does not do: know passwords (there are none), decide what a role may do (`crates/access` has that), or
//! log a code. Why it is so: `docs/adr/018`, `docs/adr/023`.

// What the exports generate; a native build is for tests only, and its linker takes no such names.
#![cfg_attr(target_arch = "wasm32", allow(unsafe_code))]

mod domain;
mod events;
mod http;
mod id_token;
mod messages;
mod ports;
mod secrets;
mod service;
mod settings;
mod store;
#[cfg(test)]
mod testing;

pub use http::answer;
pub use id_token::Provider;
pub use messages::Outgoing;
pub use ports::{NotSent, NotSigned, Ports, Shown};
pub use service::Service;
pub use settings::Settings;
pub use store::{DATABASE, seal};

use ::store::Database;
use access::Reach;
use eventlog::{EventLog, Relay};
use hal::{Error, Request, Response};
use journal::Journal;
use ports::Spin;
use std::rc::Rc;

static RELAY: Relay = Relay::new(&DATABASE, "member");

/// The service with Spin's ports; `log` is told of what it commits.
fn service<T>(settings: Rc<Settings>, log: T) -> Service<Spin, &'static Database, T> {
    let journal = Journal { storage: &DATABASE, tell: log };
    Service { ports: Spin(Rc::clone(&settings)), journal, settings }
}

/// Answers what is about members, and about the event log. In an open system the latter is open, and the sandbox's inbox, which
/// shows what everybody could then read anyway; what is about members never is.
pub async fn serve(request: &Request) -> Result<Response, Error> {
    if let Some(woken) = access::wake_up(request, "member", work).await? {
        return Ok(woken);
    }
    let answer = async |reach: Reach| {
        let settings = Settings::load().await.map_err(Error::failure)?;
        let log = EventLog::answering(&settings.redis_url, RELAY);
        http::answer(&service(settings, log), request, &reach.caller).await
    };
    if http::is_about_no_member(request) {
        access::guard(request, answer).await
    } else {
        access::guard_always(request, answer).await
    }
}

hal::export!(serve);

/// Wakes up.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn wake(message: bytes::Bytes) -> anyhow::Result<()> {
    work(&message).await
}

/// Keeps what was done elsewhere, does what time demands, and relays what is not in the log yet.
async fn work(message: &[u8]) -> anyhow::Result<()> {
    let settings = Settings::load().await?;
    let log = EventLog::working(&settings.redis_url, RELAY);
    let service = service(settings, &log);
    log.work(&service, message).await
}
