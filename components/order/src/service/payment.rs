//! Having orders paid: what asking `pay` once comes to, and what is kept for the worker to ask again.

use super::{NotDone, Service, add, find};
use crate::domain::{self, Client, Command, PayAgain, Refusal};
use crate::pay_client::Answer;
use crate::ports::Ports;
use crate::sealing::SealError;
use crate::store::{self, Card, Stored};
use ::store::{Storage, StoreError};
use breaker::Admission;
use journal::{Decision, Tell};
use kernel::event::DelayReason;
use kernel::{CardNumber, OrderId, PayStatus, Timestamp};
use std::time::{Duration, Instant};

/// When to look again, in seconds, where nothing better is known: about when the worker tries next.
pub(crate) const LOOK_AGAIN: u64 = 2;

/// How much longer than the deadline a payment is left to the request that began it, before the worker takes it
/// up; in milliseconds.
const GRACE: i64 = 1_000;

/// The shortest time that is waited for `pay`, however long the store took before.
const LEAST_PATIENCE: Duration = Duration::from_millis(50);

/// How often a card is put away for an order that others keep changing.
const MAX_ATTEMPTS: u64 = 10;

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Pays for an order (again, or at last), if its state is one that `holds`; gives back in how many seconds to look
    /// again where that is delayed. What is paid already stays so.
    pub(crate) async fn pay(
        &self,
        order_id: OrderId,
        card: Option<&CardNumber>,
        client: Option<&Client>,
        holds: impl Fn(&Stored) -> bool,
        traceparent: Option<&str>,
    ) -> Result<(Stored, u64), NotDone> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        let storage = &self.journal.storage;
        for attempt in 1..=MAX_ATTEMPTS {
            let stored = find(storage, order_id).await?;
            if !holds(&stored) {
                return Err(NotDone::PreconditionFailed);
            }
            if domain::pay_again(&stored.order, stored.payment.status)? == PayAgain::AlreadyPaid {
                return Ok((stored, LOOK_AGAIN));
            }
            let card_for_retry = self.card_for_retry(card, &stored, now)?.ok_or(NotDone::CardMissing)?;
            if let Some(client) = client.filter(|_| attempt == 1) {
                store::use_one(storage, client, now).await?.map_err(NotDone::TooMany)?;
            }
            if store::keep_for_retry(storage, &stored, card_for_retry).await? {
                let admission = self.ports.admit().await;
                return self.have_paid(stored, admission, card, begun, traceparent).await;
            }
            storage.pause(attempt).await;
        }
        Err(StoreError::unavailable("others kept changing the order first").into())
    }

    /// What is kept for the worker, so that no crash loses the payment; none where only the customer can help.
    pub(super) fn card_for_retry(
        &self,
        card: Option<&CardNumber>,
        stored: &Stored,
        now: Timestamp,
    ) -> Result<Option<Card>, SealError> {
        let sealed = match card {
            Some(card) => Some(self.settings.seal.seal(card, stored.order_id())?),
            None if stored.order.amount.is_zero() => None,
            None => return Ok(None),
        };
        let deadline = i64::try_from(self.settings.pay_deadline.as_millis()).unwrap_or(i64::MAX / 2);
        let next_at = now.plus_millis(deadline.saturating_add(GRACE)).millis();
        Ok(Some(Card { sealed, next_at }))
    }

    /// One try to have an order paid, within the deadline that began with the request: asks `pay`, unless that is
    /// not to be, and writes down what it came to. With the order as it then is, and when to look again (in
    /// seconds) if it is not paid.
    pub(super) async fn have_paid(
        &self,
        stored: Stored,
        admission: Admission,
        card: Option<&CardNumber>,
        begun: Instant,
        traceparent: Option<&str>,
    ) -> Result<(Stored, u64), NotDone> {
        let permit = match admission {
            Admission::Call(permit) => permit,
            Admission::Refused { retry_after } => {
                let seconds = retry_after.as_secs() + 1;
                if stored.payment.status == Some(PayStatus::PaymentDelayed) {
                    return Ok((stored, seconds));
                }
                return Ok((self.delay(stored, DelayReason::BreakerOpen, traceparent).await?, seconds));
            }
        };
        // However long the store took, the whole answer is to leave by the deadline.
        let patience = self.settings.pay_deadline.saturating_sub(begun.elapsed()).max(LEAST_PATIENCE);
        let answer = self.ask_pay(permit, &stored, card, patience, traceparent).await;
        faults::point("order", "pay-answered").await;
        let stored = match answer {
            Answer::Settled(fact) => {
                // It may have ended while `pay` was asked, so the answer is what the store says now.
                let storage = &self.journal.storage;
                match store::hear(storage, &[fact]).await?.pop() {
                    Some(heard) => heard,
                    None => find(storage, stored.order_id()).await?,
                }
            }
            Answer::Open(reason) => self.delay(stored, reason, traceparent).await?,
            Answer::Refused => self.delay(stored, DelayReason::Unavailable, traceparent).await?,
        };
        Ok((stored, LOOK_AGAIN))
    }

    /// Decides that a payment is delayed which was asked for in the state `asked`, unless that is known or no longer so.
    pub(crate) async fn delay(
        &self,
        asked: Stored,
        reason: DelayReason,
        traceparent: Option<&str>,
    ) -> Result<Stored, NotDone> {
        let now = Timestamp::now();
        let decide = async |storage: &S| -> Result<_, NotDone> {
            let stored = find(storage, asked.order_id()).await?;
            let delay = Command::DelayPayment {
                reason,
                payment: stored.payment.status,
                pay_version: stored.payment.version,
                asked_at: asked.payment.version,
            };
            let events = match domain::decide(Some(&stored.order), &delay) {
                // It ended while `pay` was asked; whatever was charged is given back.
                Err(Refusal::Ended(_)) => vec![],
                events => events?,
            };
            let mut decision = Decision::new();
            let stored = add(&mut decision, stored, &events, now, traceparent);
            Ok((decision, stored))
        };
        self.journal.carry_out(decide).await
    }
}
