//! What this context reacts to, and what time demands of it.

use crate::cashier::{self, Answer, Line, Way};
use crate::office::{Office, Surroundings};
use crate::settings::{Role, Settings};
use crate::store::{self, DATABASE, Fact, Retry};
use crate::{CONTEXT, OUTBOX};
use ::store::Storage;
use eventlog::{Consumer, Envelope, Unhandled, Wake, drain};
use futures::future::join_all;
use kernel::event::{CancelReason, Event};
use kernel::{OrderId, PayStatus, Timestamp};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Whose events are followed; the Redis triggers of `order-worker` in `spin.toml` say the same.
const SOURCES: &[&str] = &["pay", "reservation"];

/// For how long one tick begins new work: a worker takes one message at a time, so that events wait meanwhile.
const BUDGET: Duration = Duration::from_secs(2);

/// How many payments are tried at once.
const CONCURRENCY: usize = 16;

/// How many milliseconds longer than any call a claimed payment is left alone by other workers.
const LEASE_MARGIN: i64 = 2_000;

/// How many hours an `Idempotency-Key` is remembered.
const KEY_HOURS: i64 = 24;

/// Answers one message of the Redis trigger.
pub(crate) async fn react(message: &[u8]) -> anyhow::Result<()> {
    let settings = Settings::load(Role::Worker).await?;
    let wake = Wake::of(message);
    if wake == Wake::Tick {
        let office =
            Office { storage: &DATABASE, around: Line(Rc::clone(&settings)), settings: Rc::clone(&settings) };
        let relayed = OUTBOX.tick(&settings.redis_url).await;
        office.tick().await?;
        relayed?;
    }
    drain(&settings.redis_url, CONTEXT, SOURCES, wake, &Policies { storage: &DATABASE }).await?;
    OUTBOX.relay(&settings.redis_url).await?;
    Ok(())
}

impl<S: Storage, O: Surroundings> Office<S, O> {
    /// Does what time demands. One duty that fails does not keep the others from being done.
    pub async fn tick(&self) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let begun = Instant::now();
        let expired = self.expire(now, begun).await;
        let retried = self.retry_payments(begun).await;
        let forgot = store::forget_keys(&self.storage, now.plus_minutes(-60 * KEY_HOURS)).await;
        expired?;
        retried?;
        forgot?;
        Ok(())
    }

    async fn expire(&self, now: Timestamp, begun: Instant) -> anyhow::Result<()> {
        while store::expire(&self.storage, now).await? > 0 && begun.elapsed() < BUDGET {}
        Ok(())
    }

    /// Asks `pay` for what is due, a handful at a time, for as long as the breaker lets it and the budget lasts.
    async fn retry_payments(&self, begun: Instant) -> anyhow::Result<()> {
        while begun.elapsed() < BUDGET && store::any_retry_due(&self.storage, Timestamp::now()).await? {
            let Way::Free(permit) = self.around.way().await else { return Ok(()) };
            let probe = permit.is_some_and(|permit| permit.is_probe());
            let now = Timestamp::now();
            // Longer than the deadline, so that a `pay` that is merely slow gets through in the end.
            let patience = (self.settings.pay_deadline * 4).max(Duration::from_secs(2));
            let lease =
                i64::try_from(patience.as_millis()).unwrap_or(i64::MAX / 2).saturating_add(LEASE_MARGIN);
            let limit = if probe { 1 } else { CONCURRENCY };
            let retries = store::claim_retries(&self.storage, limit, now, now.plus_millis(lease)).await?;
            if retries.is_empty() {
                return Ok(());
            }
            faults::point("order", "retry-claimed").await;
            let asked = retries.iter().map(|retry| async {
                let card = open(&self.settings, retry);
                match card {
                    Ok(card) => {
                        cashier::ask(self, permit, &retry.stored, card.as_ref(), patience, None).await
                    }
                    Err(error) => {
                        // Only the customer can help, and is led to by the order's state.
                        eprintln!("order {:?}: {error}", retry.stored.order_id());
                        Answer::Refused
                    }
                }
            });
            let answers = join_all(asked).await;
            let settled: Vec<Fact> = answers
                .iter()
                .filter_map(
                    |answer| if let Answer::Settled(fact) = answer { Some(fact.clone()) } else { None },
                )
                .collect();
            let unsettled: Vec<_> = retries
                .iter()
                .zip(&answers)
                .filter(|(_, answer)| !matches!(answer, Answer::Settled(_)))
                .filter_map(|(retry, _)| Some((retry.stored.order_id()?, retry.attempts)))
                .collect();
            faults::point("order", "pay-answered").await;
            store::settle(&self.storage, &settled).await?;
            store::postpone(&self.storage, &unsettled, Timestamp::now()).await?;
        }
        Ok(())
    }
}

fn open(settings: &Settings, retry: &Retry) -> Result<Option<kernel::CardNumber>, crate::sealing::SealError> {
    match (&retry.sealed, retry.stored.order_id()) {
        (Some(sealed), Some(order_id)) => settings.seal.open(sealed, order_id).map(Some),
        _ => Ok(None),
    }
}

/// Whenever → then.
pub struct Policies<'a, S> {
    /// The store of this context.
    pub storage: &'a S,
}

impl<S: Storage> Consumer for Policies<'_, S> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let now = Timestamp::now();
        let facts: Vec<Fact> = events.iter().filter_map(fact).collect();
        store::replicate(self.storage, &facts).await?;

        let courses: Vec<_> =
            events.iter().filter_map(|e| e.event.course().map(|course| (course, e.version))).collect();
        store::learn_courses(self.storage, &courses).await?;

        let rejected: Vec<(OrderId, Option<String>)> = events
            .iter()
            .filter_map(|e| match &e.event {
                Event::ReservationRejected(rejected) => {
                    Some((rejected.applicant.order_id, e.traceparent.clone()))
                }
                _ => None,
            })
            .collect();
        store::cancel_all(self.storage, &rejected, CancelReason::ReservationRejected, now).await?;

        // After the copy was brought up to date: whoever applies from now on is refused.
        for event in events {
            if let Event::CourseCanceled(course) = &event.event {
                let trace = event.traceparent.as_deref();
                store::cancel_course(self.storage, course.edu_no, trace, now).await?;
            }
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
