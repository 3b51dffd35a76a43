//! The channel as the component has it: whatever is plugged into the port `sugang:notification/channel`.

use crate::bindings::sugang::notification::channel::{Message, SendError, send};
use crate::delivery::{Channel, Outgoing};
use crate::domain::Attempt;
use futures::future::{Either, select};
use kernel::Timestamp;
use std::pin::pin;
use std::time::Duration;

/// How long the channel may take for one message. What was cut off may have got through; it is sent again under
/// the same id.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The adapter that this component is composed with.
pub(crate) struct Composed;

impl Channel for Composed {
    async fn send(&self, message: Outgoing) -> Attempt {
        let Outgoing { id, to, language, body } = message;
        let sending = send(Message { id, to, language, body });
        match select(pin!(sending), pin!(spin_sdk::time::sleep(PATIENCE))).await {
            Either::Left((Ok(receipt), _)) => {
                Attempt::Accepted { at: receipt.accepted_at.parse().unwrap_or_else(|_| Timestamp::now()) }
            }
            Either::Left((Err(SendError::Retryable(problem)), _)) => Attempt::Busy(problem),
            Either::Left((Err(SendError::Permanent(problem)), _)) => Attempt::Refused(problem),
            Either::Right(_) => Attempt::Busy(format!("the channel did not answer within {PATIENCE:?}")),
        }
    }

    fn claim(&self) -> String {
        format!("{:016x}", spin_sdk::wasip3::random::random::get_random_u64())
    }
}
