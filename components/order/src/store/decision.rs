//! Committing what was decided: one statement, whatever the number of events.

use super::Stored;
use crate::domain::{self, Order};
use kernel::event::Event;
use kernel::{CustomerId, OrderStatus, PayStatus, Timestamp};
use store::{Storage, StoreError, Value, count as number, int, null, opt_int, opt_text, placeholders, text};

/// One event to be committed, and what goes with it.
pub(super) struct Entry<'a> {
    /// The order before it.
    pub(super) before: &'a Stored,
    pub(super) event: &'a Event,
    pub(super) traceparent: Option<&'a str>,
    pub(super) now: Timestamp,
    /// Only with `Ordered`.
    pub(super) placing: Option<NewOrder<'a>>,
}

/// What is stored together with a new order.
pub(super) struct NewOrder<'a> {
    pub(super) course_version: u64,
    pub(super) due_at: Timestamp,
    pub(super) retry: Option<(Value, Timestamp)>,
    pub(super) key: Option<(&'a str, String)>,
}

/// One statement, whatever the number of events.
pub(super) async fn commit(storage: &impl Storage, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    const COLUMNS: usize = 25;
    let mut params = Vec::with_capacity(entries.len() * COLUMNS);
    for entry in entries {
        entry.params(&mut params)?;
    }
    if params.is_empty() {
        return Ok(());
    }
    let sql = format!("INSERT INTO decisions VALUES {}", placeholders(entries.len(), COLUMNS));
    storage.query(&sql, params).await.map(drop)
}

impl Entry<'_> {
    /// The order after the event.
    pub(super) fn after(&self) -> Stored {
        let mut payment = self.before.payment.clone();
        if matches!(self.event, Event::PaymentDelayed(_)) && payment.status != Some(PayStatus::Paid) {
            payment.status = Some(PayStatus::PaymentDelayed);
        }
        Stored {
            order: domain::evolve(self.before.order.clone(), self.event),
            version: self.before.version + 1,
            payment,
            course: self.before.course,
        }
    }

    /// The columns of `decisions`, in their order.
    fn params(&self, params: &mut Vec<Value>) -> Result<(), StoreError> {
        let after = self.after();
        let (placed, reason) = match &after.order {
            Order::Unknown => return Err(StoreError::Failure("an event without an order".to_owned())),
            Order::Living(placed) => (placed, None),
            Order::Canceled(placed, reason) => (placed, Some(reason.as_str())),
        };
        let applicant = &placed.application.applicant;
        let status = after.order.status().map(OrderStatus::as_str);
        params.extend([
            text(self.event.subject()),
            number(after.version),
            text(self.event.name()),
            text(self.event.to_data()),
            text(self.now.to_string()),
            opt_text(self.traceparent),
            int(applicant.order_id.as_i64()),
            opt_int(applicant.customer_id.map(CustomerId::as_i64)),
            int(applicant.edu_no.as_i64()),
            number(applicant.guest.get()),
            text(applicant.language.as_str()),
            opt_text(placed.application.card_last4.as_deref()),
            int(placed.amount.as_i64()),
            text(placed.course_title.as_str()),
            text(placed.ordered_at.to_string()),
            opt_text(status),
            opt_text(reason),
            opt_int(self.placing.as_ref().map(|new| new.due_at.millis())),
            self.placing.as_ref().map_or(null(), |new| number(new.course_version)),
            number(self.before.payment.version),
        ]);
        match &self.placing {
            None => params.extend([null(), null(), null(), null(), null()]),
            Some(new) => {
                let (sealed, next_at) = match &new.retry {
                    Some((sealed, at)) => (sealed.clone(), int(at.millis())),
                    None => (null(), null()),
                };
                let (key, content) = match &new.key {
                    Some((key, content)) => (text(*key), text(content.as_str())),
                    None => (null(), null()),
                };
                params.extend([sealed, next_at, key, content, int(self.now.millis())]);
            }
        }
        Ok(())
    }
}
