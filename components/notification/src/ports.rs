//! What this context needs from outside: something that carries messages to people.

use crate::domain::Attempt;
use bindings::sugang::notification::channel::{self, Receipt, SendError};
use futures::future::{Either, select};
use kernel::Timestamp;
use std::pin::pin;
use std::time::Duration;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated code, documented in the WIT")]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/notification",
        world: "notification",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

/// How long the channel may take for a batch. What was cut off may have got through; it is sent again under the same
/// ids.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The same whenever it is sent again.
    pub id: String,
    /// Whom the channel is to find.
    pub to: String,
    /// The language of the body.
    pub language: String,
    /// Which approved text it is: the event's name.
    pub template: String,
    /// What the person reads.
    pub body: String,
}

/// What carries messages to people.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Channel {
    /// Hands messages over, and says what came of each, in the same order.
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt>;
}

/// The adapter that this component is composed with.
pub(crate) struct Composed;

impl Channel for Composed {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        let count = messages.len();
        let of = |Outgoing { id, to, language, template, body }| channel::Message {
            id,
            to,
            phone: None,
            language,
            template,
            variables: Vec::new(),
            body,
        };
        let sending = channel::send(messages.into_iter().map(of).collect());
        match select(pin!(sending), pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((results, _)) => results.into_iter().map(attempt).collect(),
            Either::Right(_) => {
                vec![Attempt::Busy(format!("the channel did not answer within {PATIENCE:?}")); count]
            }
        }
    }
}

fn attempt(result: Result<Receipt, SendError>) -> Attempt {
    match result {
        Ok(receipt) => {
            Attempt::Accepted { at: receipt.accepted_at.parse().unwrap_or_else(|_| Timestamp::now()) }
        }
        Err(SendError::Retryable(problem)) => Attempt::Busy(problem),
        Err(SendError::Permanent(problem)) => Attempt::Refused(problem),
    }
}
