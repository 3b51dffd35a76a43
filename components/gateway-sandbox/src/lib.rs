//! The sandbox card company: what the port `sugang:payment/gateway` is plugged into until a real one is.
//!
//! It keeps a ledger that can be compared with `pay`'s ([`store`]), declines or fails for certain cards, and takes as long
//! as the variables `gateway_delay_ms` and `gateway_jitter_ms` say ([`domain`]). What is worst about a card company can be
//! had as well: that it does not answer, with the charge made or not, for certain cards or, with the variable
//! `gateway_fault_percent`, for any. It moves no money, and asks nobody who they are: it can be reached only by the
//! component it is composed into.
//!
//! | operation | where |
//! |---|---|
//! | `charge` | [`domain::Verdict`] decides, [`store::decide`] makes it the key's one outcome |
//! | `cancel` | [`store::cancel`] |

mod domain;
mod store;

pub use domain::Verdict;
pub use store::{Charge, DATABASE, Outcome, cancel, decide};

use anyhow::{bail, ensure};
use bindings::exports::sugang::payment::gateway::{
    CancelError, Cancellation, ChargeError, ChargeRequest, Decline, Guest, Receipt,
};
use domain::{ASKS_LOST, Delay, Loss, Lost};
use kernel::Timestamp;
use spin_sdk::{time, wasip3::random::random::get_random_u64};

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
        match charge(&request).await {
            // A key has one charge at the most, so that its number may be made of the key.
            Ok(Outcome::Approved { amount, card_last4 }) => {
                Ok(Receipt { transaction_id: format!("sandbox-{}", request.key), amount, card_last4 })
            }
            Ok(Outcome::Declined { reason, card_last4 }) => {
                Err(ChargeError::Declined(Decline { reason, card_last4 }))
            }
            Ok(Outcome::Closed) => Err(ChargeError::Closed),
            Err(unheard) => Err(ChargeError::Unavailable(format!("{unheard:#}"))),
        }
    }

    async fn cancel(key: String) -> Result<Cancellation, CancelError> {
        match refund(&key).await {
            Ok(refunded) => Ok(Cancellation { refunded }),
            Err(unheard) => Err(CancelError::Unavailable(format!("{unheard:#}"))),
        }
    }
}

/// Charges what is asked for. The error: nobody hears what became of it.
async fn charge(request: &ChargeRequest) -> anyhow::Result<Outcome> {
    let lost = lost().await?;
    ensure!(lost != Some(Lost::Ask), ASK_LOST);
    let delay =
        Delay::new(settings::parse("gateway_delay_ms").await?, settings::parse("gateway_jitter_ms").await?);
    if !delay.is_none() {
        // A key that is decided is looked up, not thought about.
        if let Some(decided) = store::outcome(&DATABASE, &request.key).await? {
            return Ok(decided);
        }
        time::sleep(delay.of(get_random_u64())).await;
    }
    let (mut declined, mut unheard) = (None, false);
    match Verdict::on(&request.card_number) {
        Verdict::Approved => {}
        Verdict::ApprovedUnheard => unheard = store::outcome(&DATABASE, &request.key).await?.is_none(),
        Verdict::ApprovedLate if store::ask(&DATABASE, &request.key).await? <= ASKS_LOST => bail!(ASK_LOST),
        Verdict::ApprovedLate => {}
        Verdict::Declined(reason) => declined = Some(reason),
        Verdict::Unavailable(reason) => bail!(reason),
    }
    let charge = Charge {
        key: &request.key,
        order_id: request.order_id,
        amount: request.amount,
        card_number: &request.card_number,
    };
    let decided = store::decide(&DATABASE, &charge, declined, Timestamp::now()).await?;
    ensure!(!unheard && lost != Some(Lost::Answer), ANSWER_LOST);
    Ok(decided)
}

/// Gives back what was charged. The error: nobody hears what became of it.
async fn refund(key: &str) -> anyhow::Result<u64> {
    let lost = lost().await?;
    ensure!(lost != Some(Lost::Ask), ASK_LOST);
    let refunded = store::cancel(&DATABASE, key, Timestamp::now()).await?;
    ensure!(lost != Some(Lost::Answer), ANSWER_LOST);
    Ok(refunded)
}

/// What is lost of this request.
async fn lost() -> anyhow::Result<Option<Lost>> {
    let loss = Loss::new(settings::parse("gateway_fault_percent").await?);
    Ok(if loss.is_none() { None } else { loss.of(get_random_u64()) })
}
