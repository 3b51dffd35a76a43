//! The sandbox card company: what the port `sugang:payment/gateway` is plugged into until a real one is.
//!
//! It keeps books that can be held against `pay`'s ([`store`]), declines or fails for certain cards, and takes
//! as long as the variables `gateway_delay_ms` and `gateway_jitter_ms` say ([`domain`]). What is worst about a card
//! company can be had as well: that it does not answer, with the charge made or not, for certain cards or, with the
//! variable `gateway_fault_percent`, for any. It moves no money, and
//! asks nobody who they are: it can be reached only by the component it is composed into.
//!
//! | operation | where |
//! |---|---|
//! | `charge` | [`domain::Verdict`] decides, [`store::decide`] makes it the key's one outcome |
//! | `cancel` | [`store::cancel`] |

mod domain;
mod store;

pub use domain::Verdict;
pub use store::{Charge, LEDGER, Outcome, cancel, decide};

use bindings::exports::sugang::payment::gateway::{
    CancelError, Cancellation, ChargeError, ChargeRequest, Decline, Guest, Receipt,
};
use domain::{ASKS_LOST, Delay, Line, Lost};
use kernel::Timestamp;
use spin_sdk::{time, variables, wasip3::random};
use std::cell::Cell;

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/payment",
        world: "gateway-sandbox",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
    // A native build is for tests only, and its linker takes no such names.
    #[cfg(target_arch = "wasm32")]
    export!(Sandbox with_types_in self);
    #[cfg(target_arch = "wasm32")]
    use super::Sandbox;
}

/// What the log is told of a request, or an answer, that was lost on purpose.
const ASK_LOST: &str = "the request to the card company was lost (sandbox)";
const ANSWER_LOST: &str = "the answer of the card company was lost (sandbox)";

/// The adapter that is exported.
pub struct Sandbox;

impl Guest for Sandbox {
    async fn charge(request: ChargeRequest) -> Result<Receipt, ChargeError> {
        let (delay, line) = settings().await.map_err(ChargeError::Unavailable)?;
        let lost = lost(line);
        if lost == Some(Lost::Ask) {
            return Err(ChargeError::Unavailable(ASK_LOST.to_owned()));
        }
        if !delay.is_none() {
            // A key that is decided is looked up, not thought about.
            if let Some(decided) = store::outcome(&LEDGER, &request.key).await.map_err(unavailable)? {
                return answer(&request.key, decided);
            }
            time::sleep(delay.of(random::random::get_random_u64())).await;
        }
        let verdict = Verdict::on(&request.card_number);
        let declined = match verdict {
            Verdict::Approved | Verdict::ApprovedUnheard => None,
            Verdict::ApprovedLate => {
                if store::ask(&LEDGER, &request.key).await.map_err(unavailable)? <= ASKS_LOST {
                    return Err(ChargeError::Unavailable(ASK_LOST.to_owned()));
                }
                None
            }
            Verdict::Declined(reason) => Some(reason),
            Verdict::Unavailable(reason) => return Err(ChargeError::Unavailable(reason.to_owned())),
        };
        let charge = Charge {
            key: &request.key,
            order_id: request.order_id,
            amount: request.amount,
            card_number: &request.card_number,
        };
        let unheard = verdict == Verdict::ApprovedUnheard
            && store::outcome(&LEDGER, &request.key).await.map_err(unavailable)?.is_none();
        let decided = store::decide(&LEDGER, &charge, declined, Timestamp::now()).await;
        let answer = answer(&request.key, decided.map_err(unavailable)?);
        if unheard || lost == Some(Lost::Answer) {
            return Err(ChargeError::Unavailable(ANSWER_LOST.to_owned()));
        }
        answer
    }

    async fn cancel(key: String) -> Result<Cancellation, CancelError> {
        let (_, line) = settings().await.map_err(CancelError::Unavailable)?;
        let lost = lost(line);
        if lost == Some(Lost::Ask) {
            return Err(CancelError::Unavailable(ASK_LOST.to_owned()));
        }
        match store::cancel(&LEDGER, &key, Timestamp::now()).await {
            Ok(_) if lost == Some(Lost::Answer) => Err(CancelError::Unavailable(ANSWER_LOST.to_owned())),
            Ok(refunded) => Ok(Cancellation { refunded }),
            Err(error) => Err(CancelError::Unavailable(error.to_string())),
        }
    }
}

fn answer(key: &str, outcome: Outcome) -> Result<Receipt, ChargeError> {
    match outcome {
        // A key has one charge at the most, so that its number may be made of the key.
        Outcome::Approved { amount, card_last4 } => {
            Ok(Receipt { transaction_id: format!("sandbox-{key}"), amount, card_last4 })
        }
        Outcome::Declined { reason, card_last4 } => {
            Err(ChargeError::Declined(Decline { reason, card_last4 }))
        }
        Outcome::Closed => Err(ChargeError::Closed),
    }
}

fn unavailable(error: ::store::StoreError) -> ChargeError {
    ChargeError::Unavailable(error.to_string())
}

/// What the line loses of this request.
fn lost(line: Line) -> Option<Lost> {
    if line.is_sound() { None } else { line.loses(random::random::get_random_u64()) }
}

/// What the variables ask for, read once per instance. The error is a text for the log.
async fn settings() -> Result<(Delay, Line), String> {
    thread_local! {
        static SETTINGS: Cell<Option<(Delay, Line)>> = const { Cell::new(None) };
    }
    if let Some(settings) = SETTINGS.get() {
        return Ok(settings);
    }
    let delay = Delay::new(number("gateway_delay_ms").await?, number("gateway_jitter_ms").await?);
    let settings = (delay, Line::new(number("gateway_fault_percent").await?));
    SETTINGS.set(Some(settings));
    Ok(settings)
}

async fn number(name: &str) -> Result<u64, String> {
    let value = match variables::get(name).await {
        Ok(value) => value,
        Err(variables::Error::Undefined(_)) => return Ok(0),
        Err(error) => return Err(format!("the variable `{name}` cannot be read: {error}")),
    };
    let wrong = |_| format!("the variable `{name}` is {value:?}: it must be a whole number");
    value.trim().parse().map_err(wrong)
}
