//! The sandbox's KakaoTalk: an adapter of the port `sugang:notification/channel` that puts every message into an
//! inbox (a table of its own store, label `inbox`) instead of on somebody's phone.
//!
//! It keeps what KakaoTalk's business messages promise: a message id is delivered once, however often it is
//! sent, and a repeated send gets the first receipt. How often each was sent is counted, so that a test can tell
//! "sent twice" from "sent once" by looking. Two customers behave badly on purpose, see [`temper`].
//!
//! What it deliberately does not do: look up phone numbers, or forget.

mod inbox;

use bindings::exports::sugang::notification::channel::{Guest, SendError};
pub use bindings::exports::sugang::notification::channel::{Message, Receipt};
pub use inbox::{DATABASE, put};

use kernel::Timestamp;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, reason = "generated code, documented in the WIT")]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/notification",
        world: "channel-inbox",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    // A native build is for tests only, and its linker takes no such names.
    #[cfg(target_arch = "wasm32")]
    export!(Inbox with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Inbox;
}

/// The adapter that is exported.
pub struct Inbox;

impl Guest for Inbox {
    async fn send(message: Message) -> Result<Receipt, SendError> {
        match temper(&message.to) {
            Temper::Patient => {
                let put = inbox::put(&inbox::DATABASE, &message, Timestamp::now()).await;
                put.map_err(|e| SendError::Retryable(e.to_string()))
            }
            Temper::Busy => {
                Err(SendError::Retryable("the sandbox keeps this customer's line busy".to_owned()))
            }
            Temper::Unknown => Err(SendError::Permanent("the sandbox knows no such customer".to_owned())),
        }
    }
}

/// How a customer's phone behaves.
#[derive(Debug, PartialEq, Eq)]
enum Temper {
    Patient,
    Busy,
    Unknown,
}

/// Customers that no application has by accident stand for what goes wrong with real ones: 9000000000000503 is
/// always busy and 9000000000000404 does not exist, after the HTTP statuses.
fn temper(to: &str) -> Temper {
    match to {
        "9000000000000503" => Temper::Busy,
        "9000000000000404" => Temper::Unknown,
        _ => Temper::Patient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_special_customers_behave_badly() {
        assert_eq!(temper("1"), Temper::Patient);
        assert_eq!(temper("order/1113"), Temper::Patient);
        assert_eq!(temper("9000000000000503"), Temper::Busy);
        assert_eq!(temper("9000000000000404"), Temper::Unknown);
    }
}
