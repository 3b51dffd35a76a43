//! The store of this context: loading, lists, and what is kept beside the events.
//!
//! - [`schema`]: the tables, and how the lists follow from events.
//! - [`keys`]: what `Idempotency-Key`s stand for.
//! - [`rates`]: how often clients have applied and paid.
//! - [`replica`]: what others have told.
//! - [`retries`]: payments that are still to be asked for.

mod keys;
mod rates;
mod replica;
mod retries;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use keys::{Key, NewKey, remember_key};
pub(crate) use rates::{Use, forget_rates, use_one};
pub(crate) use replica::{Fact, hear, hear_news, learn_courses};
pub(crate) use retries::{
    Card, Retry, any_retry_due, claim_retries, count_retries, keep_for_retry, postpone,
};

use crate::domain::{self, Application, Course, Order};
use journal::tallies;
use kernel::event::{Applicant, Event};
use kernel::{CourseStatus, EduNo, OrderId, OrderStatus, PayStatus, Timestamp, Won};
use store::{Database, Page, Row, Statement, Storage, StoreError};

/// The store under the label `order`.
pub static DATABASE: Database = Database::new("order", &schema::SCHEMA);

/// How many orders are changed by one statement, at most.
const CHUNK: u64 = 200;

/// The column that lists of orders may be sorted by besides their number.
pub(crate) const ORDERED_AT: &str = "ordered_at";

/// An order as it is stored, with what this context knows about it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) order: Order,
    /// Of its last event.
    pub(crate) version: u64,
    /// Where its payment stands.
    pub(crate) payment: Payment,
    /// Where its course stands, if this context has heard of it.
    pub(crate) course: Option<CourseStatus>,
    /// Of the last of the course's events that has been seen; 0 before any.
    pub(crate) course_version: u64,
}

/// The replica of what `pay` has told of one order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Payment {
    /// Where it stands. `Payment Delayed` is this context's own word, until `pay` tells something newer.
    pub(crate) status: Option<PayStatus>,
    /// Of the last of `pay`'s events that has been seen; 0 before any.
    pub(crate) version: u64,
    /// The card that `pay` has told of.
    pub(crate) card_last4: Option<String>,
}

/// What an application is decided from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// The course's copy, with its version.
    pub(crate) course: Option<(Course, u64)>,
    /// What the idempotency key stands for.
    pub(crate) key: Option<Key>,
    /// When the client has all of its rate again, in milliseconds.
    pub(crate) full_at: Option<i64>,
    /// The order that has the key, or else the number.
    pub(crate) stored: Option<Stored>,
}

/// Which orders are asked for.
pub(crate) type Filter<'a> = tallies::Filter<'a, OrderStatus>;

/// What [`Stored`] is read from.
const COLUMNS: &str = "orders.order_id, orders.customer_id, orders.edu_no, orders.guest, orders.language, \
    orders.card_last4, orders.amount, orders.course_title, orders.ordered_at, orders.cancel_reason, orders.version, \
    CASE WHEN orders.pay_version > coalesce(orders.delayed_at, -1) THEN orders.pay_status \
        WHEN orders.delayed_at IS NOT NULL THEN 'Payment Delayed' END AS payment, \
    orders.pay_version, orders.pay_card_last4, \
    (SELECT c.status FROM courses AS c WHERE c.edu_no = orders.edu_no) AS course, \
    coalesce((SELECT c.version FROM courses AS c WHERE c.edu_no = orders.edu_no), 0) AS course_version";

const LIVING: &str = "WHERE edu_no = $1 AND order_id > $2 AND status = 'Ordered' ORDER BY order_id LIMIT $3";

const OVERDUE: &str = "WHERE due_at <= $1 ORDER BY due_at LIMIT $2";

fn select(rest: &str) -> Statement {
    Statement::new(format!("SELECT {COLUMNS} FROM orders {rest}"))
}

pub(crate) async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Option<Stored>, StoreError> {
    let one = select("WHERE order_id = $1").bind(order_id.get());
    one.row(storage).await?.as_ref().map(Stored::read).transpose()
}

/// These orders, as far as there are any.
pub(crate) async fn find_all(
    storage: &impl Storage,
    orders: impl IntoIterator<Item = OrderId>,
) -> Result<Vec<Stored>, StoreError> {
    let these = "WHERE order_id IN (SELECT CAST(value ->> 'v' AS BIGINT) FROM json_each($1))";
    read_all(storage, select(these).bind_values(orders)).await
}

/// The first 200 living orders of a course behind `after`.
pub(crate) async fn living(
    storage: &impl Storage,
    edu_no: EduNo,
    after: u64,
) -> Result<Vec<Stored>, StoreError> {
    read_all(storage, select(LIVING).bind(edu_no.get()).bind(after).bind(CHUNK)).await
}

/// The first 200 orders that were not paid in time.
pub(crate) async fn overdue(storage: &impl Storage, now: Timestamp) -> Result<Vec<Stored>, StoreError> {
    read_all(storage, select(OVERDUE).bind(now.millis()).bind(CHUNK)).await
}

/// What an application under this number is decided from.
pub(crate) async fn snapshot(
    storage: &impl Storage,
    applicant: &Applicant,
    key: Option<&str>,
    client: Option<&str>,
) -> Result<Snapshot, StoreError> {
    let load = format!(
        "SELECT {COLUMNS}, wanted.title, wanted.fee, wanted.status, wanted.version AS wanted_version,
             used.fingerprint, used.made_at, rates.full_at
         FROM (SELECT 1 AS one) AS one
         LEFT JOIN courses AS wanted ON wanted.edu_no = $1
         LEFT JOIN idempotency_keys AS used ON used.key = $2
         LEFT JOIN orders ON orders.order_id = coalesce(used.order_id, $3)
         LEFT JOIN rates ON rates.client = $4"
    );
    let load = Statement::new(load)
        .bind(applicant.edu_no.get())
        .bind(key)
        .bind(applicant.order_id.get())
        .bind(client);
    let Some(row) = load.row(storage).await? else { return Ok(Snapshot::default()) };
    let course = |title: &str| -> Result<_, StoreError> {
        let (fee, status) = (row.number("fee", Won::fee)?, row.parse("status")?);
        Ok((Course { title: title.to_owned(), fee, status }, row.count("wanted_version")?))
    };
    Ok(Snapshot {
        course: row.opt_text("title")?.map(course).transpose()?,
        key: Key::read(&row)?,
        full_at: row.opt_int("full_at")?,
        stored: row.opt_int("order_id")?.map(|_| Stored::read(&row)).transpose()?,
    })
}

/// Whether any course has been heard of.
pub(crate) async fn knows_courses(storage: &impl Storage) -> Result<bool, StoreError> {
    Ok(Statement::new("SELECT 1 AS one FROM courses LIMIT 1").row(storage).await?.is_some())
}

pub(crate) async fn list(
    storage: &impl Storage,
    filter: Filter<'_>,
    page: &Page,
) -> Result<Vec<Stored>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM orders");
    read_all(storage, filter.conditions().page(&select, "order_id", page)).await
}

pub(crate) async fn count(storage: &impl Storage, filter: Filter<'_>) -> Result<u64, StoreError> {
    filter.total(storage, "orders").await
}

async fn read_all(storage: &impl Storage, statement: Statement) -> Result<Vec<Stored>, StoreError> {
    statement.rows(storage).await?.iter().map(Stored::read).collect()
}

impl Stored {
    /// An order of which there is nothing yet but its first event.
    pub(crate) fn new(order: Order, course: Option<&(Course, u64)>) -> Self {
        Self {
            order,
            version: 1,
            payment: Payment::default(),
            course: course.map(|(course, _)| course.status),
            course_version: course.map_or(0, |(_, version)| *version),
        }
    }

    pub(crate) const fn order_id(&self) -> OrderId {
        self.order.order_id()
    }

    /// The order after another of its events.
    pub(crate) fn and(mut self, event: &Event) -> Self {
        if let Event::PaymentDelayed(_) = event {
            self.payment.status = Some(PayStatus::PaymentDelayed);
        }
        Self { order: domain::evolve(self.order, event), version: self.version + 1, ..self }
    }

    fn read(row: &Row) -> Result<Self, StoreError> {
        let order = Order {
            application: Application {
                applicant: row.applicant()?,
                card_last4: row.opt_string("card_last4")?,
            },
            amount: row.number("amount", Won::amount)?,
            course_title: row.text("course_title")?.to_owned(),
            ordered_at: row.parse("ordered_at")?,
            canceled: row.opt_parse("cancel_reason")?,
        };
        let payment = Payment {
            status: row.opt_parse("payment")?,
            version: row.count("pay_version")?,
            card_last4: row.opt_string("pay_card_last4")?,
        };
        Ok(Self {
            order,
            version: row.count("version")?,
            payment,
            course: row.opt_parse("course")?,
            course_version: row.count("course_version")?,
        })
    }
}
