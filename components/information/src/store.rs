//! The view's tables, and every statement that touches them.
//!
//! What events say is inserted into the view `told`, whose triggers join it with what is there, each group of columns
//! guarded by the version of the context that tells it. So a batch is one statement and may be told again, late or
//! twice, without harm. Counts are kept by triggers, so that a page of a million orders costs what a page of ten does.

mod filter;
mod schema;

pub(crate) use filter::{Filter, column};

use crate::domain::{Statuses, Told};
use kernel::event::Event;
use kernel::{CustomerId, EduNo, OrderId, PersonName, Timestamp};
use serde::Serialize;
use store::{Database, Page, Row, Statement, Storage, StoreError, course_managers};

/// The context's own store; nobody else reads it.
pub static DATABASE: Database = Database::new("information", &schema::SCHEMA);

/// Joins what events say with what is there.
///
/// Nearly every row is counted in the same few rows of `counts`, in the order in which the events come. Two workers that
/// take in at once would wait for each other, until PostgreSQL ends one of them; so one waits for the other.
pub(crate) fn take_in<'a>(told: impl IntoIterator<Item = Told<'a>>) -> Statement {
    Statement::new(
        "INSERT INTO told (source, version, event, time, order_id, customer_id, edu_no, guest, title, amount,
            order_status, pay_status, delayed_at, reservation_status, waiting_position, course_status,
            managers)
         SELECT value ->> 'source', CAST(value ->> 'version' AS BIGINT), value ->> 'event', value ->> 'time',
            CAST(value ->> 'orderId' AS BIGINT), CAST(value ->> 'customerId' AS BIGINT),
            CAST(value ->> 'eduNo' AS BIGINT), CAST(value ->> 'guest' AS BIGINT), value ->> 'title',
            CAST(value ->> 'amount' AS BIGINT), value ->> 'orderStatus', value ->> 'payStatus',
            CAST(value ->> 'delayedAt' AS BIGINT), value ->> 'reservationStatus',
            CAST(value ->> 'waitingPosition' AS BIGINT), value ->> 'courseStatus', value ->> 'managers'
         FROM /*postgres (SELECT pg_advisory_xact_lock(hashtextextended('sugang information counts', 0))) AS alone,
            */json_each($1)",
    )
    .bind_list(told)
}

/// Keeps the newest that was told about each member.
pub(crate) fn keep_people(members: &[(u64, &Event)]) -> Statement {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Known<'a> {
        customer_id: CustomerId,
        version: u64,
        name: Option<&'a PersonName>,
    }
    let known = members.iter().filter_map(|(version, event)| {
        let name = event.person().and_then(|member| member.name.as_ref());
        Some(Known { customer_id: event.member()?, version: *version, name })
    });
    Statement::new(
        "INSERT INTO people (customer_id, version, name)
         SELECT CAST(value ->> 'customerId' AS BIGINT), CAST(value ->> 'version' AS BIGINT), value ->> 'name'
         FROM json_each($1) WHERE true
         ON CONFLICT (customer_id) DO UPDATE SET version = excluded.version, name = excluded.name
             WHERE excluded.version > people.version",
    )
    .bind_list(known)
}

/// One order as it is read, and shown: the row, and its course if that has been heard of.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: Option<CustomerId>,
    /// What the member is called who ordered, for those who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) customer_name: Option<String>,
    pub(crate) edu_no: EduNo,
    pub(crate) guest: u64,
    pub(crate) course_title: Option<String>,
    pub(crate) amount: Option<u64>,
    #[serde(flatten)]
    pub(crate) statuses: Statuses,
    pub(crate) waiting_position: Option<u64>,
    pub(crate) updated_at: String,
    /// Who manages its course, for whoever asks to be held against.
    #[serde(skip)]
    pub(crate) managers: Vec<CustomerId>,
    /// What happened, in the order in which it happened; only of one order that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeline: Option<Vec<Line>>,
}

/// Something that happened to an order.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    event: String,
    status: String,
    time: String,
}

/// The columns that [`Found`] reads, with more of them from what else is joined.
macro_rules! found {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT i.order_id, i.customer_id, i.edu_no, i.guest, coalesce(c.title, i.course_title) AS course_title,
                i.amount, i.order_status, i.pay_status, i.reservation_status, c.status AS course_status,
                i.waiting_position, i.updated_at, coalesce(c.managers, '[]') AS managers,
                p.name AS customer_name",
            $more,
            " FROM infomations AS i LEFT JOIN courses AS c ON c.edu_no = i.edu_no
                LEFT JOIN people AS p ON p.customer_id = i.customer_id",
            $rest
        )
    };
}

/// A row for each line of the timeline. Within a millisecond: by version, and `order` before `pay` before `reservation`,
/// as the flow goes.
const ONE: &str = found!(
    ", t.event, t.status, t.time",
    " LEFT JOIN timeline AS t ON t.order_id = i.order_id WHERE i.order_id = $1 ORDER BY t.time, t.version, t.context"
);

const LISTED: &str = found!("", "");

impl Line {
    /// None where there is no line.
    fn read(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(event) = row.opt_string("event")? else { return Ok(None) };
        let text = |column| row.text(column).map(str::to_owned);
        Ok(Some(Self { event, status: text("status")?, time: text("time")? }))
    }
}

impl Found {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            order_id: row.number("order_id", OrderId::parse)?,
            customer_id: row.opt_number("customer_id", CustomerId::parse)?,
            customer_name: row.opt_string("customer_name")?,
            edu_no: row.number("edu_no", EduNo::parse)?,
            guest: row.count("guest")?,
            course_title: row.opt_string("course_title")?,
            amount: row.opt_count("amount")?,
            statuses: Statuses {
                order: row.opt_parse("order_status")?,
                pay: row.opt_parse("pay_status")?,
                reservation: row.opt_parse("reservation_status")?,
                course: row.opt_parse("course_status")?,
            },
            waiting_position: row.opt_count("waiting_position")?,
            updated_at: row.text("updated_at")?.to_owned(),
            managers: course_managers::read(row)?.into_iter().map(|manager| manager.customer_id).collect(),
            timeline: None,
        })
    }
}

/// One order with its timeline, if anything has been heard of it.
pub(crate) async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Option<Found>, StoreError> {
    let rows = Statement::new(ONE).bind(order_id.get()).rows(storage).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let timeline = rows.iter().filter_map(|row| Line::read(row).transpose()).collect::<Result<_, _>>()?;
    Ok(Some(Found { timeline: Some(timeline), ..Found::read(first)? }))
}

/// One page of the orders that a filter lets through.
pub(crate) async fn list(
    storage: &impl Storage,
    filter: Filter<'_>,
    page: &Page,
) -> Result<Vec<Found>, StoreError> {
    filter.ask_list(LISTED, page).rows(storage).await?.iter().map(Found::read).collect()
}

pub(crate) async fn total(storage: &impl Storage, filter: Filter<'_>) -> Result<u64, StoreError> {
    filter.ask_total().total(storage).await
}

/// Takes the customer out of up to 1000 orders that have not changed since `before`, and has them overwritten.
pub(crate) async fn anonymise(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let [due, anonymise] = ask_anonymise(before);
    store::forget_due(storage, &due, &anonymise).await
}

fn ask_anonymise(before: Timestamp) -> [Statement; 2] {
    let due = "SELECT order_id FROM infomations WHERE customer_id IS NOT NULL AND updated_at < $1 LIMIT 1";
    let anonymise = "UPDATE infomations SET customer_id = NULL WHERE order_id IN
        (SELECT order_id FROM infomations WHERE customer_id IS NOT NULL AND updated_at < $1 ORDER BY updated_at LIMIT 1000)";
    [due, anonymise].map(|sql| Statement::new(sql).bind(before.to_string()))
}

#[cfg(test)]
mod tests;
