//! Carries out what is asked of orders: by the journal, and by `pay`.
//!
//! - [`apply`]: takes an order, and has it paid at once if that can be.
//! - [`payment`]: pays again, and writes down what asking `pay` came to.
//! - here: ends orders, one or many.
//!
//! It knows no HTTP: what a client may see is decided by whoever calls.

mod apply;
mod payment;
#[cfg(test)]
mod tests;

pub(crate) use apply::{Applied, Applying};
pub(crate) use payment::LOOK_AGAIN;

use crate::domain::{self, Command, Refusal};
use crate::ports::Ports;
use crate::sealing::SealError;
use crate::settings::Settings;
use crate::store::{self, Stored};
use ::store::{Storage, StoreError};
use journal::{Decision, Journal, Tell};
use kernel::event::{CancelReason, Event};
use kernel::{EduNo, OrderId, Timestamp};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// The context with the ports that it is given: Spin's in the component, others in a native process.
pub struct Service<P, S, T> {
    /// What it needs from outside.
    pub ports: P,
    /// The store, and who is told of what is committed.
    pub journal: Journal<S, T>,
    /// What the operator set.
    pub settings: Rc<Settings>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state is not one for which the change was meant.
    #[error("a precondition does not hold")]
    PreconditionFailed,
    /// The key was used for other content before.
    #[error("the key was used for other content")]
    KeyReused,
    /// There is something to pay, and no card to pay it with.
    #[error("a card is needed")]
    CardMissing,
    #[error("too often, for {0} s more")]
    TooMany(u64),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    pub(crate) async fn find(&self, order_id: OrderId) -> Result<Stored, NotDone> {
        find(&self.journal.storage, order_id).await
    }

    /// Ends an order for its customer, if its state is one that `holds`.
    pub(crate) async fn cancel(
        &self,
        order_id: OrderId,
        holds: impl Fn(&Stored) -> bool,
        traceparent: Option<&str>,
    ) -> Result<Stored, NotDone> {
        let now = Timestamp::now();
        let decide = async |storage: &S| {
            let stored = find(storage, order_id).await?;
            if !holds(&stored) {
                return Err(NotDone::PreconditionFailed);
            }
            let (course, payment) = (stored.course, stored.payment.status);
            let cancel = Command::Cancel { reason: CancelReason::Customer, course, payment };
            let events = domain::decide(Some(&stored.order), &cancel)?;
            let mut decision = Decision::new();
            // Whether it may be canceled depends on both, and so does whether the precondition holds.
            decision.expect("course", stored.order.application.applicant.edu_no, stored.course_version);
            decision.expect("payment", order_id, stored.payment.version);
            let stored = add(&mut decision, stored, &events, now, traceparent);
            Ok((decision, stored))
        };
        self.journal.carry_out(decide).await
    }

    /// Ends orders whose reservation was rejected, each within the trace of that.
    pub(crate) async fn cancel_rejected(
        &self,
        rejected: &BTreeMap<OrderId, Option<&str>>,
    ) -> Result<(), StoreError> {
        if rejected.is_empty() {
            return Ok(());
        }
        let load = async |storage: &S| store::find_all(storage, rejected.keys().copied()).await;
        let trace = |order_id| rejected.get(&order_id).copied().flatten();
        self.cancel_all(load, CancelReason::ReservationRejected, trace).await.map(drop)
    }

    /// Ends every living order of a course.
    pub(crate) async fn cancel_course(
        &self,
        edu_no: EduNo,
        traceparent: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut after = 0;
        loop {
            let load = async |storage: &S| store::living(storage, edu_no, after).await;
            let last = self.cancel_all(load, CancelReason::CourseCanceled, |_| traceparent).await?;
            let Some(last) = last else { return Ok(()) };
            after = last.get();
        }
    }

    /// Ends all orders that were not paid in time, as far as that is begun by `until`.
    pub(crate) async fn expire(&self, until: Instant) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let load = async |storage: &S| store::overdue(storage, now).await;
        while self.cancel_all(load, CancelReason::Expired, |_| None).await?.is_some()
            && Instant::now() < until
        {}
        Ok(())
    }

    /// Ends the orders that `load` finds, all by one decision. Those that may not end for that reason are left as they
    /// are. Returns the last that was found.
    async fn cancel_all<'a>(
        &self,
        load: impl AsyncFn(&S) -> Result<Vec<Stored>, StoreError>,
        reason: CancelReason,
        trace: impl Fn(OrderId) -> Option<&'a str>,
    ) -> Result<Option<OrderId>, StoreError> {
        let now = Timestamp::now();
        let decide = async |storage: &S| -> Result<_, StoreError> {
            let mut decision = Decision::new();
            let mut last = None;
            for stored in load(storage).await? {
                let order_id = stored.order_id();
                last = Some(order_id);
                let cancel =
                    Command::Cancel { reason, course: stored.course, payment: stored.payment.status };
                let Ok(events) = domain::decide(Some(&stored.order), &cancel) else { continue };
                if reason == CancelReason::Expired {
                    decision.expect("payment", order_id, stored.payment.version);
                }
                add(&mut decision, stored, &events, now, trace(order_id));
            }
            Ok((decision, last))
        };
        self.journal.carry_out(decide).await
    }
}

async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Stored, NotDone> {
    Ok(store::find(storage, order_id).await?.ok_or(Refusal::UnknownOrder)?)
}

/// Adds events to a decision; returns the order after them.
fn add(
    decision: &mut Decision,
    mut stored: Stored,
    events: &[Event],
    now: Timestamp,
    traceparent: Option<&str>,
) -> Stored {
    for event in events {
        stored = stored.and(event);
        decision.event(stored.version, event, now, traceparent);
    }
    stored
}
