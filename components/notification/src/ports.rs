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
    /// The telephone of a member, in E.164.
    pub phone: Option<String>,
    /// Which approved text it is.
    pub template: String,
    /// What stands in the blanks of that text, by name.
    pub variables: Vec<(String, String)>,
    /// What the person reads.
    pub body: String,
}

/// What carries messages to people.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Channel {
    /// Hands messages over, and says what came of each, in the same order.
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt>;

    /// Has what is kept of messages to a telephone go, as far as it need not be kept. Says why it could not.
    async fn forget(&self, phone: &str) -> Result<(), String>;
}

/// The adapter that this component is composed with.
pub(crate) struct Composed;

impl Channel for Composed {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        let count = messages.len();
        let of = |Outgoing { id, to, phone, language, template, variables, body }| channel::Message {
            id,
            to,
            phone,
            language,
            template,
            variables,
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

    async fn forget(&self, phone: &str) -> Result<(), String> {
        let forgetting = channel::forget(phone.to_owned());
        match select(pin!(forgetting), pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((forgotten, _)) => forgotten,
            Either::Right(_) => Err(format!("the channel did not answer within {PATIENCE:?}")),
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
