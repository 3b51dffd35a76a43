//! The cashier: takes an order's payment, or gives it back, by way of the gateway and the store.
//!
//! Each case is the same walk: load, ask the gateway, decide, commit; and where somebody else committed first,
//! load and decide again, but never ask the gateway for a second charge. The walk may be cut off anywhere (a
//! lost answer, a crash): walked again it finds the same key at the gateway, and the same end.
//!
//! Both neighbours are ports, so that the tests can let them fail at every step. Nothing here knows Spin.

use crate::domain::{Attempt, Command, Outcome, Owed, Record, Refusal, Terms, ToUndo};
use crate::domain::{decide, owed, to_undo};
use futures::StreamExt;
use kernel::event::{Applicant, Event};
use kernel::{CardNumber, OrderId, PayStatus, Timestamp, Won};
use store::StoreError;

/// How often a decision is taken again when others keep deciding first. Each such conflict is another's
/// progress, and an order has few of them to make.
const MOST_TRIES: usize = 10;

/// How many cancellations are under way at the gateway at once.
const CANCELLATIONS_AT_ONCE: usize = 16;

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
    Unavailable(String),
}

/// The gateway could not say what became of a cancellation.
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

/// The card company, as the WIT port has it.
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
    /// Gives back what was charged under a key, and closes it. Says how much that was in all.
    async fn cancel(&self, key: String) -> Result<Won, Unavailable>;
}

impl<G: Gateway> Gateway for &G {
    async fn charge(
        &self,
        key: String,
        order: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        (**self).charge(key, order, amount, card).await
    }

    async fn cancel(&self, key: String) -> Result<Won, Unavailable> {
        (**self).cancel(key).await
    }
}

/// Where payments are kept.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub(crate) trait Payments {
    /// The records of these orders, in the same order.
    async fn load(&self, orders: &[OrderId]) -> Result<Vec<Record>, StoreError>;
    /// All of these decisions, or none: a conflict where the record of one has changed.
    async fn commit(&self, decisions: &[Decision]) -> Result<(), StoreError>;
}

/// One event, decided but not yet committed.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) event: Event,
    /// The record after the event; its version is the event's.
    pub(crate) record: Record,
    pub(crate) at: Timestamp,
    /// The W3C trace that it belongs to.
    pub(crate) traceparent: Option<String>,
}

/// What a request to pay led to.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) record: Record,
    /// Whether this request wrote it, or only found it.
    pub(crate) new: bool,
}

/// Why a request to pay led to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotPaid {
    /// The domain says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is something to pay, and no card to pay it with.
    #[error("a card is needed")]
    CardMissing,
    /// The gateway did not say what became of the charge; asking again will tell.
    #[error("the gateway: {0}")]
    GatewayUnavailable(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One who asked for an order to be closed.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) applicant: Applicant,
    pub(crate) traceparent: Option<String>,
}

/// Why some orders are not closed; those of the others that could be closed are.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotClosed {
    /// The gateway did not answer for one of them.
    #[error("the gateway: {0}")]
    GatewayUnavailable(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) struct Cashier<G, P> {
    pub(crate) gateway: G,
    pub(crate) payments: P,
    pub(crate) clock: fn() -> Timestamp,
}

impl<G: Gateway, P: Payments> Cashier<G, P> {
    /// Takes the payment that `terms` ask for, or finds it taken. A decline is an answer as well.
    pub(crate) async fn pay(
        &self,
        terms: &Terms,
        card: Option<&CardNumber>,
        traceparent: Option<&str>,
    ) -> Result<Answer, NotPaid> {
        let order = terms.applicant.order_id;
        let mut answer = Answer { record: self.load(order).await?, new: false };
        for _ in 0..MOST_TRIES {
            let outcome = match owed(&answer.record.state, terms)? {
                Owed::Nothing if faults::guard("pay.idempotency") => return Ok(answer),
                Owed::Nothing => return self.charge_again(answer, terms, card).await,
                Owed::Zero => Outcome::Free,
                Owed::Charge(attempt) => self.charge(attempt, terms, card).await?,
            };
            // An earlier request's decline, whose answer was lost, says nothing about the card given now.
            let anothers = match (&outcome, card) {
                (Outcome::Declined { card_last4, .. }, Some(card)) => card_last4 != card.last4(),
                _ => false,
            };
            answer = self.settle(answer.record, terms, outcome, traceparent).await?;
            if !anothers {
                break;
            }
        }
        match answer.record.state.payment() {
            Some((PayStatus::PaymentDeclined, _)) => Ok(answer),
            // What is written down is what was charged, which need not be what was asked for.
            _ => owed(&answer.record.state, terms).map(|_| answer).map_err(NotPaid::from),
        }
    }

    /// What the guard `pay.idempotency` keeps from happening.
    async fn charge_again(
        &self,
        answer: Answer,
        terms: &Terms,
        card: Option<&CardNumber>,
    ) -> Result<Answer, NotPaid> {
        self.charge(Attempt::first(), terms, card).await.map(|_| answer)
    }

    async fn charge(
        &self,
        attempt: Attempt,
        terms: &Terms,
        card: Option<&CardNumber>,
    ) -> Result<Outcome, NotPaid> {
        let order = terms.applicant.order_id;
        let card = card.ok_or(NotPaid::CardMissing)?;
        let mut key = attempt.key(order);
        if !faults::guard("pay.idempotency") {
            key = format!("{key}-{}", (self.clock)().millis());
        }
        match self.gateway.charge(key, order, terms.amount, card).await {
            Ok(Receipt { transaction_id, amount, card_last4 }) => {
                faults::point("pay", "charged").await;
                Ok(Outcome::Approved { attempt, amount, card_last4, transaction_id })
            }
            Err(NoReceipt::Declined { reason, card_last4 }) => {
                Ok(Outcome::Declined { attempt, card_last4, reason })
            }
            // The order is closed, or whoever closes it is between the gateway and the store.
            Err(NoReceipt::Closed) => Err(Refusal::Closed.into()),
            Err(NoReceipt::Unavailable(reason)) => Err(NotPaid::GatewayUnavailable(reason)),
        }
    }

    /// Writes down what became of an attempt, unless it is written down. A charge that has no place any more,
    /// because the order was closed or paid in another way meanwhile, is given back.
    async fn settle(
        &self,
        mut record: Record,
        terms: &Terms,
        outcome: Outcome,
        traceparent: Option<&str>,
    ) -> Result<Answer, NotPaid> {
        let order = terms.applicant.order_id;
        let command = Command::Settle { terms: terms.clone(), outcome, at: (self.clock)() };
        for _ in 0..MOST_TRIES {
            let decisions = match decide(&record.state, &command) {
                Ok(events) => self.decisions(&record, events, traceparent),
                Err(refusal) => {
                    self.give_back(order, &command).await?;
                    return match refusal {
                        Refusal::PaidOtherwise => Ok(Answer { record, new: false }),
                        refusal => Err(refusal.into()),
                    };
                }
            };
            let Some(last) = decisions.last() else { return Ok(Answer { record, new: false }) };
            match self.payments.commit(&decisions).await {
                Ok(()) => {
                    faults::point("pay", "committed").await;
                    return Ok(Answer { record: last.record.clone(), new: true });
                }
                Err(error) if error.is_conflict() => record = self.load(order).await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(contended(order).into())
    }

    async fn give_back(&self, order: OrderId, command: &Command) -> Result<(), NotPaid> {
        let Command::Settle { outcome: Outcome::Approved { attempt, .. }, .. } = command else {
            return Ok(());
        };
        let mut unavailable = String::new();
        for _ in 0..MOST_TRIES {
            match self.gateway.cancel(attempt.key(order)).await {
                Ok(_) => return Ok(()),
                Err(Unavailable(reason)) => unavailable = reason,
            }
        }
        Err(NotPaid::GatewayUnavailable(unavailable))
    }

    /// Closes orders: what was paid is given back, and what was not can never be paid. Many at once cost
    /// hardly more statements than one.
    pub(crate) async fn close(&self, wishes: &[Wish]) -> Result<(), NotClosed> {
        let orders: Vec<_> = wishes.iter().map(|wish| wish.applicant.order_id).collect();
        let records = self.payments.load(&orders).await?;
        let undone = wishes.iter().zip(records).map(|(wish, record)| self.undo(wish, record));
        let undone: Vec<_> =
            futures::stream::iter(undone).buffer_unordered(CANCELLATIONS_AT_ONCE).collect().await;

        let mut first_failure = None;
        let mut decisions = Vec::new();
        for result in undone {
            match result {
                Ok(decided) => decisions.extend(decided),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        if !decisions.is_empty() {
            match self.payments.commit(&decisions).await {
                Err(error) if error.is_conflict() => return self.close_one_by_one(wishes).await,
                committed => committed?,
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    async fn close_one_by_one(&self, wishes: &[Wish]) -> Result<(), NotClosed> {
        let mut first_failure = None;
        for wish in wishes {
            if let Err(failure) = self.close_one(wish).await {
                first_failure = first_failure.or(Some(failure));
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    async fn close_one(&self, wish: &Wish) -> Result<(), NotClosed> {
        let order = wish.applicant.order_id;
        for _ in 0..MOST_TRIES {
            let decisions = self.undo(wish, self.load(order).await?).await?;
            if decisions.is_empty() {
                return Ok(());
            }
            match self.payments.commit(&decisions).await {
                Err(error) if error.is_conflict() => {}
                committed => return Ok(committed?),
            }
        }
        Err(contended(order).into())
    }

    /// Undoes at the gateway whatever stands in the way of closing an order, and decides that it is closed.
    async fn undo(&self, wish: &Wish, record: Record) -> Result<Vec<Decision>, NotClosed> {
        let order = wish.applicant.order_id;
        let (undone, refunded) = match to_undo(&record.state) {
            ToUndo::Closed => return Ok(vec![]),
            ToUndo::Zero => (None, Won::ZERO),
            // First the gateway, then the store: an order that is closed has no charge that could still come.
            ToUndo::Attempt(attempt) => match self.gateway.cancel(attempt.key(order)).await {
                Ok(refunded) => {
                    faults::point("pay", "refunded").await;
                    (Some(attempt), refunded)
                }
                Err(Unavailable(reason)) => return Err(NotClosed::GatewayUnavailable(reason)),
            },
        };
        let applicant = wish.applicant.clone();
        let command = Command::Close { applicant, undone, refunded, at: (self.clock)() };
        // Decided on the very record that said what to undo, so that there is nothing to refuse.
        let events = decide(&record.state, &command).unwrap_or_default();
        Ok(self.decisions(&record, events, wish.traceparent.as_deref()))
    }

    fn decisions(&self, record: &Record, events: Vec<Event>, traceparent: Option<&str>) -> Vec<Decision> {
        let at = (self.clock)();
        let mut record = record.clone();
        let decided = events.into_iter().map(|event| {
            record = std::mem::take(&mut record).and(&event);
            Decision { event, record: record.clone(), at, traceparent: traceparent.map(str::to_owned) }
        });
        decided.collect()
    }

    async fn load(&self, order: OrderId) -> Result<Record, StoreError> {
        Ok(self.payments.load(&[order]).await?.pop().unwrap_or_default())
    }
}

/// Others kept deciding first, for as long as we tried.
fn contended(order: OrderId) -> StoreError {
    StoreError::Unavailable(format!("order {order} is being decided by others"))
}

#[cfg(test)]
pub(crate) mod tests;
