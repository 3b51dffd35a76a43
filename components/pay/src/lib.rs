//! `pay`: takes payments, and gives them back.
//!
//! | export | called by | goes to |
//! |---|---|---|
//! | `wasi:http` handler | `order`, or a client, for `/pays` | [`http`] |
//! | `spin:redis` subscriber | a wake-up or the tick | [`events`] |
//!
//! Both go to the [`cashier`], which carries a payment by way of the [`gateway`] into the [`store`];
//! [`domain`] decides. [`Office`] is all of it with the neighbours that it is given; a native process gives
//! its own. What must never happen, a second charge or a charge for an order that is closed, is
//! prevented by keys: see [`domain`] and the port in `wit/payment`.
//!
//! What it deliberately does not do: know what a course costs (`order` says the amount), keep a card number, or
//! try again by itself (`order` does, as long as it wants the money).

#![cfg_attr(target_arch = "wasm32", allow(unsafe_code, reason = "the exports' bindings are generated"))]

mod cashier;
mod domain;
mod events;
mod gateway;
mod http;
mod office;
mod store;

pub use cashier::{Gateway, NoReceipt, Receipt, Unavailable};
pub use http::Answered;
pub use office::Office;
pub use store::DATABASE;

use ::store::Database;
use bytes::Bytes;
use eventlog::Outbox;
use gateway::Composed;
use hal::{Request, Response};
use spin_sdk::http::BoxBody;
use std::cell::RefCell;

/// The gateway's port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/payment",
        world: "pay",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

/// What has been decided and not been told yet.
static OUTBOX: Outbox = Outbox::new(&DATABASE, "pay");

/// With the neighbours that it has in the component.
const fn office() -> Office<Composed, &'static Database> {
    Office { gateway: Composed, storage: &DATABASE }
}

/// Answers `/pays`.
///
/// Both exports exist only in the component: a native linker does not take their names.
#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: spin_sdk::http::Request) -> ::http::Response<BoxBody> {
    hal::serve(request, async |request: Request| -> Result<Response, hal::Error> {
        let answered = office().answer(&request).await?;
        if answered.committed {
            OUTBOX.relay_soon(&redis_url().await.map_err(anyhow::Error::from)?);
        }
        Ok(answered.response)
    })
    .await
}

/// Wakes up: drains the streams, and relays what came of it.
#[cfg_attr(target_arch = "wasm32", spin_sdk::redis_subscriber)]
pub async fn on_message(message: Bytes) -> anyhow::Result<()> {
    events::wake(&message).await
}

/// Where the event log is, asked once per instance: it does not change while the application runs.
async fn redis_url() -> Result<String, spin_sdk::variables::Error> {
    thread_local! {
        static REDIS_URL: RefCell<Option<String>> = const { RefCell::new(None) };
    }
    if let Some(url) = REDIS_URL.with_borrow(Clone::clone) {
        return Ok(url);
    }
    let url = spin_sdk::variables::get("redis_url").await?;
    REDIS_URL.set(Some(url.clone()));
    Ok(url)
}
