//! The card company, reached through the WIT port `sugang:payment/gateway`. Which adapter is behind it is said
//! in `spin.toml`.

use crate::bindings::sugang::payment::gateway::{CancelError, ChargeError, ChargeRequest, cancel, charge};
use crate::cashier::{Gateway, NoReceipt, Receipt, Unavailable};
use kernel::{CardNumber, OrderId, Won};

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
        let request = ChargeRequest {
            key,
            order_id: order.get(),
            amount: amount.get(),
            card_number: card.digits().to_owned(),
        };
        match charge(request).await {
            Ok(receipt) => Ok(Receipt {
                transaction_id: receipt.transaction_id,
                amount: won(receipt.amount).map_err(NoReceipt::Unavailable)?,
                card_last4: receipt.card_last4,
            }),
            Err(ChargeError::Declined(decline)) => {
                Err(NoReceipt::Declined { reason: decline.reason, card_last4: decline.card_last4 })
            }
            Err(ChargeError::Closed) => Err(NoReceipt::Closed),
            Err(ChargeError::Unavailable(reason)) => Err(NoReceipt::Unavailable(reason)),
        }
    }

    async fn cancel(&self, key: String) -> Result<Won, Unavailable> {
        match cancel(key).await {
            Ok(cancellation) => won(cancellation.refunded).map_err(Unavailable),
            Err(CancelError::Unavailable(reason)) => Err(Unavailable(reason)),
        }
    }
}

/// An answer that makes no sense is no answer: what became of the charge is not known.
fn won(amount: u64) -> Result<Won, String> {
    Won::amount(amount).map_err(|_| format!("it answers with {amount} won, which nobody asked for"))
}
