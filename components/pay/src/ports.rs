//! What `pay` needs from outside: the card company, through the WIT port `sugang:payment/gateway`. Which adapter is behind
//! it is said in `spin.toml`.

use bindings::sugang::payment::gateway::{CancelError, ChargeError, ChargeRequest, cancel, charge};
use kernel::{CardNumber, OrderId, Unavailable, Won};

/// The port as the WIT package says it.
mod bindings {
    #![allow(missing_docs, unsafe_code, unreachable_pub, clippy::all)]
    ::spin_sdk::wit_bindgen::generate!({
        path: "../../wit/payment",
        world: "pay",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

/// A charge that was made.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The card company's number for it.
    pub transaction_id: String,
    /// How much.
    pub amount: Won,
    /// Which card.
    pub card_last4: String,
}

/// Why there is no receipt.
#[derive(Clone, Debug)]
pub enum NoReceipt {
    /// The card company said no, to this card.
    Declined {
        /// Why.
        reason: String,
        /// Which card.
        card_last4: String,
    },
    /// The key was canceled.
    Closed,
    /// The charge may have been made or not.
    Unavailable(Unavailable),
}

/// The card company.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Gateway {
    /// Charges a card, once per key.
    async fn charge(
        &self,
        key: String,
        order: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt>;

    /// Gives back what was charged under a key, and closes it. Says how much that was in all. The error: what became of
    /// the cancellation is not known.
    async fn cancel(&self, key: String) -> Result<Won, Unavailable>;
}

/// The adapter that this component is composed with.
pub(crate) struct Composed;

impl Gateway for Composed {
    async fn charge(
        &self,
        key: String,
        order: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        let (order_id, amount, card_number) = (order.get(), amount.get(), card.digits().to_owned());
        match charge(ChargeRequest { key, order_id, amount, card_number }).await {
            Ok(receipt) => Ok(Receipt {
                transaction_id: receipt.transaction_id,
                amount: won(receipt.amount).map_err(NoReceipt::Unavailable)?,
                card_last4: receipt.card_last4,
            }),
            Err(ChargeError::Declined(decline)) => {
                Err(NoReceipt::Declined { reason: decline.reason, card_last4: decline.card_last4 })
            }
            Err(ChargeError::Closed) => Err(NoReceipt::Closed),
            Err(ChargeError::Unavailable(reason)) => Err(NoReceipt::Unavailable(Unavailable(reason))),
        }
    }

    async fn cancel(&self, key: String) -> Result<Won, Unavailable> {
        match cancel(key).await {
            Ok(cancellation) => won(cancellation.refunded),
            Err(CancelError::Unavailable(reason)) => Err(Unavailable(reason)),
        }
    }
}

/// An answer that makes no sense is no answer: what became of the charge is not known.
fn won(amount: u64) -> Result<Won, Unavailable> {
    Won::amount(amount)
        .map_err(|_| Unavailable(format!("it answers with {amount} won, which nobody asked for")))
}

#[cfg(test)]
mod tests {
    use super::won;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_amount_of_the_card_company_is_that_or_no_answer(amount in prop_oneof![any::<u64>(), 0..200_000_000_u64]) {
            match won(amount) {
                Ok(won) => prop_assert_eq!(won.get(), amount),
                Err(refused) => prop_assert!(refused.0.contains(&amount.to_string())),
            }
        }
    }
}
