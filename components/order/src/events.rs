//! What this context reacts to, and what time demands of it.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `Paid`, `PaymentDeclined`, `PaymentCanceled` | `pay` | the replica of the payment follows |
//! | `CourseOpened`, `CourseChanged`, … | `reservation` | so does the copy of the course |
//! | `CourseCanceled` | `reservation` | and its orders end |
//! | `ReservationRejected` | `reservation` | its order ends |
//!
//! On the tick orders expire, payments that are due are asked for, old idempotency keys are forgotten, and so is whose an order was
//! that nobody has to know any more.

#[cfg(test)]
mod tests;

use crate::pay_client::Answer;
use crate::ports::Ports;
use crate::service::Service;
use crate::store::{self, Fact, Retry};
use ::store::Storage;
use breaker::{Admission, Permit, Position};
use eventlog::{Envelope, Unhandled, Worker};
use futures::future::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::Tell;
use kernel::event::{Event, newest_courses};
use kernel::{OrderId, PayStatus, Timestamp};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use telemetry::Gauge;

/// For how long one tick begins new work: a worker takes one message at a time, so that events wait meanwhile.
const BUDGET: Duration = Duration::from_secs(2);

/// How many payments are tried at once. Where `pay` takes 400 ms, as the seed's does, this is about 160 payments a
/// second: after an outage the backlog has to be gone within two minutes.
const CONCURRENCY: usize = 64;

/// How many milliseconds longer than any call a claimed payment is left alone by other workers.
const LEASE_MARGIN: i64 = 2_000;

impl<P: Ports, S: Storage, T: Tell> Worker for Service<P, S, T> {
    const NAME: &'static str = "order";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let storage = &self.journal.storage;
        let facts: Vec<Fact> = events.iter().filter_map(fact).collect();
        store::hear_news(storage, &facts).await?;
        let courses = newest_courses(events.iter().map(|envelope| (envelope.version, &envelope.event)));
        store::learn_courses(storage, &courses).await?;
        self.cancel_rejected(&rejected(events)).await?;
        // After the copy was brought up to date: whoever applies from now on is refused.
        for Envelope { event, traceparent, .. } in events {
            if let Event::CourseCanceled(course) = event {
                self.cancel_course(course.edu_no, traceparent.as_deref()).await?;
            }
        }
        Ok(())
    }

    /// One duty that fails does not keep the others from being done.
    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        let until = Instant::now() + BUDGET;
        let expired = self.expire(until).await;
        let retried = self.retry_payments(until).await;
        let forgot = journal::keys::forget(&self.journal.storage, Timestamp::now()).await;
        let forgot_rates = store::forget_rates(&self.journal.storage, Timestamp::now()).await;
        let kept_from = Timestamp::now().plus_days(-self.settings.contract_records_days);
        let anonymised = journal::anonymise(&self.journal.storage, kept_from).await;
        expired?;
        retried?;
        forgot?;
        forgot_rates?;
        anonymised?;
        if telemetry::metrics() {
            self.tell_state().await?;
        }
        Ok(())
    }
}

/// What one of `pay`'s events tells; nothing from another's.
fn fact(envelope: &Envelope) -> Option<Fact> {
    let (status, card_last4) = match &envelope.event {
        Event::Paid(paid) => (PayStatus::Paid, paid.card_last4.clone()),
        Event::PaymentDeclined(declined) => (PayStatus::PaymentDeclined, declined.card_last4.clone()),
        Event::PaymentCanceled(_) => (PayStatus::PaymentCanceled, None),
        _ => return None,
    };
    let order_id = envelope.event.applicant()?.order_id;
    Some(Fact { order_id, status, version: envelope.version, card_last4 })
}

/// The orders whose reservations were rejected, each with the trace of that.
fn rejected(events: &[Envelope]) -> BTreeMap<OrderId, Option<&str>> {
    let rejected = events.iter().filter_map(|envelope| match &envelope.event {
        Event::ReservationRejected(rejected) => {
            Some((rejected.applicant.order_id, envelope.traceparent.as_deref()))
        }
        _ => None,
    });
    rejected.collect()
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Tells the telemetry how it stands between here and `pay`.
    async fn tell_state(&self) -> anyhow::Result<()> {
        let now = Timestamp::now().millis();
        let unknown = store::count_retries(&self.journal.storage).await?;
        telemetry::gauge(
            now,
            &Gauge {
                name: "sugang.payments.unknown",
                unit: "{payment}",
                description: "Payments whose outcome order does not know, and asks for again",
                value: i64::try_from(unknown).unwrap_or(i64::MAX),
                attributes: &[],
            },
        );
        // Where its store is away, nothing can be said of it.
        if let Ok(breaker) = self.ports.breaker_standing().await {
            telemetry::gauge(
                now,
                &Gauge {
                    name: "sugang.breaker.open",
                    unit: "{breaker}",
                    description: "Breakers that are open: 1 while order is kept from asking pay",
                    value: i64::from(breaker.position != Position::Closed),
                    attributes: &[],
                },
            );
        }
        Ok(())
    }

    /// Asks `pay` for what is due, for as long as the breaker lets it and there is time. As soon as some have
    /// answered others take their places, so that one slow answer holds up nobody else's payment.
    async fn retry_payments(&self, until: Instant) -> anyhow::Result<()> {
        let mut asking = FuturesUnordered::new();
        loop {
            if Instant::now() < until && asking.len() <= CONCURRENCY / 2 {
                let (permit, claimed) = self.claim(asking.len()).await?;
                asking.extend(claimed.into_iter().map(|retry| self.try_again(permit, retry)));
            }
            let Some(first) = asking.next().await else { return Ok(()) };
            let mut answered = vec![first];
            while let Some(Some(next)) = asking.next().now_or_never() {
                answered.push(next);
            }
            faults::point("order", "pay-answered").await;
            self.write_down(&answered).await?;
        }
    }

    /// Takes what is due, but no more than there is room for beside those that are being asked; nothing while the
    /// breaker is open, and one while it probes.
    async fn claim(&self, asking: usize) -> anyhow::Result<(Permit, Vec<Retry>)> {
        let (storage, nothing) = (&self.journal.storage, (Permit::unasked(), vec![]));
        if !store::any_retry_due(storage, Timestamp::now()).await? {
            return Ok(nothing);
        }
        let Admission::Call(permit) = self.ports.admit().await else { return Ok(nothing) };
        let limit = if permit.is_probe() { 1 } else { CONCURRENCY - asking };
        let lease = i64::try_from(self.patience().as_millis()).unwrap_or(i64::MAX / 2);
        let now = Timestamp::now();
        let lease_end = now.plus_millis(lease.saturating_add(LEASE_MARGIN));
        let claimed = store::claim_retries(storage, limit, now, lease_end).await?;
        faults::point("order", "retry-claimed").await;
        Ok((permit, claimed))
    }

    /// Longer than the deadline, so that a `pay` that is merely slow gets through in the end.
    fn patience(&self) -> Duration {
        (self.settings.pay_deadline * 4).max(Duration::from_secs(2))
    }

    async fn try_again(&self, permit: Permit, retry: Retry) -> (Retry, Answer) {
        let order_id = retry.stored.order_id();
        let open = |sealed: &String| self.settings.seal.open(sealed, order_id);
        let answer = match retry.sealed.as_ref().map(open).transpose() {
            Ok(card) => self.ask_pay(permit, &retry.stored, card.as_ref(), self.patience(), None).await,
            Err(error) => {
                // Only the customer can help, and is led to by the order's state.
                eprintln!("order {order_id}: {error}");
                Answer::Refused
            }
        };
        (retry, answer)
    }

    async fn write_down(&self, answered: &[(Retry, Answer)]) -> anyhow::Result<()> {
        let (mut settled, mut unsettled) = (Vec::new(), Vec::new());
        for (retry, answer) in answered {
            match answer {
                Answer::Settled(fact) => settled.push(fact.clone()),
                _ => unsettled.push((retry.stored.order_id(), retry.attempts)),
            }
        }
        store::hear(&self.journal.storage, &settled).await?;
        store::postpone(&self.journal.storage, &unsettled, Timestamp::now()).await?;
        Ok(())
    }
}
