//! The store of this context: loads what a decision needs, and commits it in one statement.
//!
//! Somebody else may have decided in between, in this process or in another replica. The tables notice (see
//! [`schema`]); then everything is loaded and decided again.
//!
//! - [`placing`]: applications, and what goes with a new order.
//! - [`decision`]: how events become one statement.
//! - [`replica`]: what others have told.
//! - [`retries`]: payments that are still to be asked for.
//! - [`read`]: reading for answers.

mod decision;
mod placing;
mod read;
mod replica;
mod retries;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use placing::{Placement, Placing, forget_keys, place};
pub(crate) use read::{Filter, count, knows_courses, list};
pub(crate) use replica::{Fact, learn_courses, replicate, settle};
pub(crate) use retries::{Retry, any_retry_due, claim_retries, keep_for_retry, postpone};

use crate::domain::{self, Application, Command, Order, Placed, Refusal};
use crate::sealing::SealError;
use decision::{Entry, commit};
use kernel::event::{Applicant, CancelReason};
use kernel::{CourseStatus, CustomerId, EduNo, Guests, OrderId, OrderStatus, PayStatus, Timestamp, Won};
use std::collections::BTreeMap;
use store::{Database, Row, Storage, StoreError, count as number, int, placeholders};

/// The store under the label `order`.
pub static DATABASE: Database = Database::new("order", 3, schema::SCHEMA);

/// How often a decision is made again because somebody else was faster.
const MAX_ATTEMPTS: u64 = 10;

/// How many orders are changed by one statement, at most.
const CHUNK: usize = 200;

/// An order as it is stored, with what this context knows about it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The order itself.
    pub(crate) order: Order,
    /// Of its last event.
    pub(crate) version: u64,
    /// What `pay` has told.
    pub(crate) payment: Payment,
    /// Where its course stands, if this context has heard of it.
    pub(crate) course: Option<CourseStatus>,
}

/// The replica of what `pay` has told of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Where it stands. `Payment Delayed` is this context's own word for what is not settled yet.
    pub(crate) status: Option<PayStatus>,
    /// Of the last of `pay`'s events that has been seen; 0 before any.
    pub(crate) version: u64,
    /// The card that `pay` has told of.
    pub(crate) card_last4: Option<String>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// The domain said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The client wanted to change another state than the present one, which has this `ETag`.
    #[error("it has changed meanwhile")]
    Changed(String),
    /// A card could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Has one order decide, and commits what it decided. `command` is asked again whenever somebody was faster.
pub(crate) async fn change(
    storage: &impl Storage,
    order_id: OrderId,
    traceparent: Option<&str>,
    now: Timestamp,
    command: impl Fn(&Stored) -> Result<Command<'static>, Undecided>,
) -> Result<Stored, Undecided> {
    let mut attempt = 1;
    loop {
        let before = find(storage, order_id).await?.ok_or(Refusal::UnknownOrder)?;
        let events = domain::decide(&before.order, &command(&before)?)?;
        let entries: Vec<_> = events
            .iter()
            .map(|event| Entry { before: &before, event, traceparent, now, placing: None })
            .collect();
        let Some(entry) = entries.first() else { return Ok(before) };
        let after = entry.after();
        match commit(storage, &entries).await {
            Ok(()) => return Ok(after),
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            Err(error) => return Err(error.into()),
        }
        attempt += 1;
    }
}

/// Ends many orders for one reason, a statement for up to 200 of them. Orders that are unknown, have ended, or
/// may not end for that reason are left as they are. Returns how many ended.
pub(crate) async fn cancel_all(
    storage: &impl Storage,
    orders: &[(OrderId, Option<String>)],
    reason: CancelReason,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut ended = 0;
    for chunk in orders.chunks(CHUNK) {
        ended += cancel_chunk(storage, chunk, reason, now).await?;
    }
    Ok(ended)
}

async fn cancel_chunk(
    storage: &impl Storage,
    orders: &[(OrderId, Option<String>)],
    reason: CancelReason,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let traces: BTreeMap<_, _> = orders.iter().map(|(id, trace)| (*id, trace.as_deref())).collect();
    let mut attempt = 1;
    loop {
        let found = find_all(storage, traces.keys().copied()).await?;
        let decided: Vec<_> = found
            .iter()
            .filter_map(|before| {
                let command =
                    Command::Cancel { reason, course: before.course, payment: before.payment.status };
                Some((before, domain::decide(&before.order, &command).ok()?))
            })
            .collect();
        let entries: Vec<_> = decided
            .iter()
            .flat_map(|(before, events)| events.iter().map(move |event| (*before, event)))
            .map(|(before, event)| {
                let traceparent = before.order_id().and_then(|id| traces.get(&id).copied().flatten());
                Entry { before, event, traceparent, now, placing: None }
            })
            .collect();
        match commit(storage, &entries).await {
            Ok(()) => return Ok(entries.len()),
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            Err(error) => return Err(error),
        }
        attempt += 1;
    }
}

/// Ends every living order of a course.
pub(crate) async fn cancel_course(
    storage: &impl Storage,
    edu_no: EduNo,
    traceparent: Option<&str>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut after = 0;
    let mut ended = 0;
    loop {
        let rows = storage
            .query(
                "SELECT order_id FROM orders WHERE edu_no = ? AND order_id > ? AND status = 'Ordered'
                 ORDER BY order_id LIMIT ?",
                vec![int(edu_no.as_i64()), int(after), number(CHUNK as u64)],
            )
            .await?;
        let orders = order_ids(&rows)?;
        let Some(last) = orders.last() else { return Ok(ended) };
        after = last.as_i64();
        let orders: Vec<_> = orders.into_iter().map(|id| (id, traceparent.map(str::to_owned))).collect();
        ended += cancel_all(storage, &orders, CancelReason::CourseCanceled, now).await?;
    }
}

/// Ends up to 200 orders that were not paid in time. Returns how many were due.
pub(crate) async fn expire(storage: &impl Storage, now: Timestamp) -> Result<usize, StoreError> {
    let rows = storage
        .query(
            "SELECT order_id FROM orders WHERE due_at <= ? ORDER BY due_at LIMIT ?",
            vec![int(now.millis()), number(CHUNK as u64)],
        )
        .await?;
    let due: Vec<_> = order_ids(&rows)?.into_iter().map(|id| (id, None)).collect();
    cancel_all(storage, &due, CancelReason::Expired, now).await?;
    Ok(due.len())
}

/// One order.
pub(crate) async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Option<Stored>, StoreError> {
    let sql = format!("SELECT {} FROM orders WHERE order_id = ?", read::COLUMNS);
    let rows = storage.query(&sql, vec![int(order_id.as_i64())]).await?;
    rows.first().map(Stored::read).transpose()
}

async fn find_all(
    storage: &impl Storage,
    orders: impl ExactSizeIterator<Item = OrderId>,
) -> Result<Vec<Stored>, StoreError> {
    if orders.len() == 0 {
        return Ok(vec![]);
    }
    let sql =
        format!("SELECT {} FROM orders WHERE order_id IN {}", read::COLUMNS, placeholders(1, orders.len()));
    let rows = storage.query(&sql, orders.map(|id| int(id.as_i64())).collect()).await?;
    rows.iter().map(Stored::read).collect()
}

impl Stored {
    const fn unknown(course: Option<CourseStatus>) -> Self {
        let payment = Payment { status: None, version: 0, card_last4: None };
        Self { order: Order::Unknown, version: 0, payment, course }
    }

    /// The order's number; none only where there is no order.
    pub(crate) fn order_id(&self) -> Option<OrderId> {
        Some(self.order.placed()?.application.applicant.order_id)
    }

    /// The state as an `ETag`: of this context's events and of `pay`'s.
    pub(crate) fn etag(&self) -> String {
        let delayed = if self.payment.status == Some(PayStatus::PaymentDelayed) { "d" } else { "" };
        format!("{}.{}{delayed}", self.version, self.payment.version)
    }

    /// Reads the columns of [`read::COLUMNS`].
    fn read(row: &Row) -> Result<Self, StoreError> {
        let wrong = |refused: kernel::Invalid| StoreError::Failure(format!("a stored order: {refused}"));
        let customer_id = row.opt_int(1)?.and_then(|id| u64::try_from(id).ok());
        let applicant = Applicant {
            order_id: OrderId::parse(row.count(0)?).map_err(wrong)?,
            customer_id: customer_id.map(CustomerId::parse).transpose().map_err(wrong)?,
            edu_no: EduNo::parse(row.count(2)?).map_err(wrong)?,
            guest: Guests::parse(row.count(3)?).map_err(wrong)?,
            language: row.parse(4)?,
        };
        let placed = Placed {
            application: Application { applicant, card_last4: row.opt_text(5)?.map(str::to_owned) },
            amount: Won::amount(row.count(6)?).map_err(wrong)?,
            course_title: row.text(7)?.to_owned(),
            ordered_at: row.parse(8)?,
        };
        let order = match row.parse(9)? {
            OrderStatus::Ordered => Order::Living(placed),
            OrderStatus::OrderCanceled => Order::Canceled(placed, cancel_reason(row.text(10)?)?),
        };
        let pay_status = row.opt_text(12)?.map(str::parse).transpose().map_err(wrong)?;
        let course = row.opt_text(15)?.map(str::parse).transpose().map_err(wrong)?;
        let payment = Payment {
            status: pay_status,
            version: row.count(13)?,
            card_last4: row.opt_text(14)?.map(str::to_owned),
        };
        Ok(Self { order, version: row.count(11)?, payment, course })
    }
}

fn cancel_reason(stored: &str) -> Result<CancelReason, StoreError> {
    [
        CancelReason::Customer,
        CancelReason::Expired,
        CancelReason::ReservationRejected,
        CancelReason::CourseCanceled,
    ]
    .into_iter()
    .find(|reason| reason.as_str() == stored)
    .ok_or_else(|| StoreError::Failure(format!("an order was canceled for {stored:?}")))
}

fn order_ids(rows: &[Row]) -> Result<Vec<OrderId>, StoreError> {
    rows.iter()
        .map(|row| OrderId::parse(row.count(0)?).map_err(|e| StoreError::Failure(e.to_string())))
        .collect()
}
