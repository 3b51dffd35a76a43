//! How the breaker before `pay` stands, for operators.

use crate::ports::Ports;
use crate::service::Service;
use ::store::Storage;
use breaker::{Change, Settings};
use hal::{Error, Links, Request, Response};
use journal::Tell;
use kernel::Timestamp;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    name: &'static str,
    state: &'static str,
    /// Null where it was never open.
    since: Option<Timestamp>,
    failures: u64,
    window_seconds: u64,
    minimum_calls: u64,
    failure_ratio: f64,
    open_seconds: u64,
    deadline_milliseconds: u64,
    history: Vec<Told>,
    #[serde(rename = "_links")]
    links: Links<'static>,
}

/// One time that it opened or closed.
#[derive(Serialize)]
struct Told {
    state: &'static str,
    at: Timestamp,
}

impl From<&Change> for Told {
    fn from(change: &Change) -> Self {
        let state = if change.opened { "open" } else { "closed" };
        Self { state, at: Timestamp::from_millis(change.at) }
    }
}

pub(super) async fn show<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    let standing = service.ports.breaker_standing().await.map_err(Error::failure)?;
    let Settings { window, min_calls, failure_ratio, open, .. } = service.settings.breaker;
    Ok(Response::ok(&Document {
        name: "pay",
        state: standing.position.as_str(),
        since: (standing.since > 0).then(|| Timestamp::from_millis(standing.since)),
        failures: standing.failures,
        window_seconds: window.as_secs(),
        minimum_calls: min_calls,
        failure_ratio,
        open_seconds: open.as_secs(),
        deadline_milliseconds: u64::try_from(service.settings.pay_deadline.as_millis()).unwrap_or(u64::MAX),
        history: standing.history.iter().map(Told::from).collect(),
        links: Links::new().with("self", format!("{}/circuit-breakers/pay", request.base)),
    }))
}
