//! Carries out what `pay` is asked for: takes an order's payment, or gives it back.
//!
//! Each case goes the same steps: load, ask the gateway, decide, commit. Where somebody else committed first, the journal
//! has it loaded and decided again, with what the gateway has answered already. All of it may be cut off anywhere (a lost
//! answer, a crash): asked for again, it finds the same key at the gateway, and comes to the same end.

use crate::domain::{Attempt, Command, Outcome, Owed, Record, Refusal, Terms, ToUndo};
use crate::domain::{decide, owed, to_undo};
use crate::ports::{Gateway, NoReceipt, Receipt};
use crate::store;
use ::store::{Storage, StoreError};
use futures::StreamExt;
use journal::{Decision, Journal, Tell};
use kernel::event::{Applicant, Event};
use kernel::{CardNumber, OrderId, PayStatus, Timestamp, Unavailable, Won};
use std::collections::BTreeMap;

/// How many declines of other cards, whose answers were lost, one request makes up for.
const MAX_LOST_DECLINES: usize = 10;

/// How often a charge that came too late is tried to be given back before that is left to a later request.
const MAX_CANCELLATIONS: usize = 10;

/// How many cancellations are under way at the gateway at once.
const CANCELLATIONS_AT_ONCE: usize = 16;

/// The context with the ports that it is given: Spin's in the component, others in a native process.
#[derive(Clone, Copy, Debug)]
pub struct Service<G, S, T> {
    /// The card company.
    pub gateway: G,
    /// The store, and who is told of what is committed.
    pub journal: Journal<S, T>,
    /// For how many days it is kept whose a payment was, from its last event on.
    pub contract_records_days: u16,
}

/// What a request to pay led to.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) record: Record,
    /// Whether this request wrote it, or only found it.
    pub(crate) new: bool,
}

/// An order that is to be closed.
#[derive(Clone, Debug)]
pub(crate) struct Closing {
    pub(crate) applicant: Applicant,
    pub(crate) traceparent: Option<String>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The gateway did not say what became of a charge or a cancellation; asking again will tell.
    #[error("the gateway: {0}")]
    Gateway(Unavailable),
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<G: Gateway, S: Storage, T: Tell> Service<G, S, T> {
    /// Takes the payment that `terms` ask for, or finds it taken. A decline is an answer as well.
    pub(crate) async fn pay(
        &self,
        terms: &Terms,
        card: Option<&CardNumber>,
        traceparent: Option<&str>,
    ) -> Result<Answer, NotDone> {
        for _ in 0..MAX_LOST_DECLINES {
            // Asked of the gateway once, however often it is decided.
            let mut outcome = None;
            let decide = async |storage: &S| -> Result<_, NotDone> {
                let record = store::load(storage, terms.applicant.order_id).await?;
                if outcome.is_none() {
                    outcome = self.charge_what_is_owed(&record, terms, card).await?;
                }
                match &outcome {
                    Some(outcome) => self.settle(record, terms, outcome, traceparent).await,
                    None => Ok((Decision::new(), Answer { record, new: false })),
                }
            };
            let answer = self.journal.carry_out(decide).await?;
            if answer.new {
                faults::point("pay", "committed").await;
            }
            // An earlier request's decline, whose answer was lost, says nothing about the card given now.
            if let (Some(Outcome::Declined { card_last4, .. }), Some(card)) = (&outcome, card)
                && card_last4 != card.last4()
            {
                continue;
            }
            return match answer.record.payment() {
                Some((PayStatus::PaymentDeclined, _)) => Ok(answer),
                // What is written down is what was charged, which need not be what was asked for.
                _ => Ok(owed(&answer.record, terms).map(|_| answer)?),
            };
        }
        Err(NotDone::Gateway(Unavailable("it keeps answering for other cards".to_owned())))
    }

    /// What became of what is owed; none where nothing is.
    async fn charge_what_is_owed(
        &self,
        record: &Record,
        terms: &Terms,
        card: Option<&CardNumber>,
    ) -> Result<Option<Outcome>, NotDone> {
        match owed(record, terms)? {
            Owed::Nothing if faults::guard("pay.idempotency") => Ok(None),
            // What the guard keeps from happening.
            Owed::Nothing => self.charge(Attempt::FIRST, terms, card).await.map(|_| None),
            Owed::Zero => Ok(Some(Outcome::Free)),
            Owed::Charge(attempt) => self.charge(attempt, terms, card).await.map(Some),
        }
    }

    async fn charge(
        &self,
        attempt: Attempt,
        terms: &Terms,
        card: Option<&CardNumber>,
    ) -> Result<Outcome, NotDone> {
        let order = terms.applicant.order_id;
        let card = card.ok_or(Refusal::CardMissing)?;
        let mut key = attempt.key(order);
        if !faults::guard("pay.idempotency") {
            key = format!("{key}-{}", Timestamp::now().millis());
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
            Err(NoReceipt::Unavailable(unavailable)) => Err(NotDone::Gateway(unavailable)),
        }
    }

    /// Decides what became of an attempt. A charge that has no place any more, because the order was closed or paid in
    /// another way meanwhile, is given back.
    async fn settle(
        &self,
        record: Record,
        terms: &Terms,
        outcome: &Outcome,
        traceparent: Option<&str>,
    ) -> Result<(Decision, Answer), NotDone> {
        let now = Timestamp::now();
        let command = Command::Settle { terms: terms.clone(), outcome: outcome.clone(), at: now };
        let events = match decide(&record, &command) {
            Ok(events) => events,
            Err(refusal) => {
                self.give_back(terms.applicant.order_id, outcome).await?;
                return match refusal {
                    Refusal::PaidOtherwise => Ok((Decision::new(), Answer { record, new: false })),
                    refusal => Err(refusal.into()),
                };
            }
        };
        let mut decision = Decision::new();
        let record = add(&mut decision, record, &events, now, traceparent);
        Ok((decision, Answer { record, new: !events.is_empty() }))
    }

    async fn give_back(&self, order: OrderId, outcome: &Outcome) -> Result<(), NotDone> {
        let Outcome::Approved { attempt, .. } = outcome else { return Ok(()) };
        let mut canceled = self.gateway.cancel(attempt.key(order)).await;
        for _ in 1..MAX_CANCELLATIONS {
            if canceled.is_ok() {
                break;
            }
            canceled = self.gateway.cancel(attempt.key(order)).await;
        }
        canceled.map(drop).map_err(NotDone::Gateway)
    }

    /// Closes orders: what was paid is given back, and what was not can never be paid. All that can be closed are closed
    /// by one statement, also where the gateway does not answer for others.
    pub(crate) async fn close(&self, closings: &[Closing]) -> Result<(), NotDone> {
        // Given back under each key; a conflict does not have it asked for again.
        let mut refunds = BTreeMap::new();
        let decide = async |storage: &S| -> Result<_, NotDone> {
            let orders = closings.iter().map(|closing| closing.applicant.order_id);
            let records = store::load_all(storage, orders).await?;
            // First the gateway, then the store: an order that is closed has no charge that could still come.
            let failed = self.undo(&records, &mut refunds).await;
            Ok((close_undone(closings, records, &refunds), failed))
        };
        match self.journal.carry_out(decide).await? {
            Some(unavailable) => Err(NotDone::Gateway(unavailable)),
            None => Ok(()),
        }
    }

    /// Has the gateway undo whatever is to be undone before these orders can be closed, and is not among `refunds` yet.
    /// Returns why one could not be undone, if there is such a one.
    async fn undo(&self, records: &BTreeMap<OrderId, Record>, refunds: &mut Refunds) -> Option<Unavailable> {
        let to_undo = records.iter().filter_map(|(order, record)| match to_undo(record) {
            ToUndo::Attempt(attempt) => Some((*order, attempt)),
            ToUndo::Closed | ToUndo::Zero => None,
        });
        let to_undo: Vec<_> = to_undo.filter(|key| !refunds.contains_key(key)).collect();
        let canceling = to_undo.into_iter().map(async |(order, attempt)| {
            let refunded = self.gateway.cancel(attempt.key(order)).await;
            if refunded.is_ok() {
                faults::point("pay", "refunded").await;
            }
            ((order, attempt), refunded)
        });
        let mut canceled = futures::stream::iter(canceling).buffer_unordered(CANCELLATIONS_AT_ONCE);
        let mut failed = None;
        while let Some((key, refunded)) = canceled.next().await {
            match refunded {
                Ok(refunded) => drop(refunds.insert(key, refunded)),
                Err(unavailable) => failed = failed.or(Some(unavailable)),
            }
        }
        failed
    }
}

/// How much was given back for an attempt.
type Refunds = BTreeMap<(OrderId, Attempt), Won>;

/// Decides that those orders are closed for which nothing is left to undo.
fn close_undone(closings: &[Closing], mut records: BTreeMap<OrderId, Record>, refunds: &Refunds) -> Decision {
    let mut decision = Decision::new();
    let now = Timestamp::now();
    for Closing { applicant, traceparent } in closings {
        let order = applicant.order_id;
        let Some(record) = records.remove(&order) else { continue };
        let (undone, refunded) = match to_undo(&record) {
            ToUndo::Closed => continue,
            ToUndo::Zero => (None, Won::ZERO),
            ToUndo::Attempt(attempt) => match refunds.get(&(order, attempt)) {
                Some(refunded) => (Some(attempt), *refunded),
                None => continue,
            },
        };
        let command = Command::Close { applicant: applicant.clone(), undone, refunded, at: now };
        // Decided on the very record that said what to undo, so that there is nothing to refuse.
        let events = decide(&record, &command).unwrap_or_default();
        add(&mut decision, record, &events, now, traceparent.as_deref());
    }
    decision
}

/// Adds events to a decision; returns the record after them.
fn add(
    decision: &mut Decision,
    mut record: Record,
    events: &[Event],
    now: Timestamp,
    traceparent: Option<&str>,
) -> Record {
    for event in events {
        record = record.and(event);
        decision.event(record.version, event, now, traceparent);
    }
    record
}

#[cfg(test)]
pub(crate) mod tests;
