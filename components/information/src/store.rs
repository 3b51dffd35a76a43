//! The view's tables, and every statement that touches them.
//!
//! Writing is the join of `domain.rs` said in SQL: each group of columns is guarded by the version of the
//! context that tells it, so a batch is one statement and may be told again, late or twice, without harm.
//! Counts are kept by triggers, so that a page of a million orders costs what a page of ten does.

use crate::domain::{Information, Statuses};
use hal::{Direction, Paging};
use kernel::event::Course;
use kernel::{CustomerId, EduNo, Invalid, OrderId, OrderStatus, PayStatus, ReservationStatus, Timestamp};
use std::str::FromStr;
use store::{Database, Row, Storage, StoreError, Value};

/// The context's own store; nobody else reads it.
pub static DATABASE: Database = Database::new("information", 1, SCHEMA);

const SCHEMA: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS infomations (
        order_id INTEGER PRIMARY KEY,
        customer_id INTEGER,
        edu_no INTEGER NOT NULL,
        guest INTEGER NOT NULL,
        course_title TEXT,
        amount INTEGER,
        order_version INTEGER NOT NULL,
        order_status TEXT,
        pay_version INTEGER NOT NULL,
        pay_status TEXT,
        reservation_version INTEGER NOT NULL,
        reservation_status TEXT,
        waiting_position INTEGER,
        updated_at TEXT NOT NULL
    )",
    // An index ends with the row's key, so each of these also sorts by orderId.
    "CREATE INDEX IF NOT EXISTS infomations_by_customer ON infomations (customer_id)",
    "CREATE INDEX IF NOT EXISTS infomations_by_course ON infomations (edu_no)",
    "CREATE INDEX IF NOT EXISTS infomations_by_order_status ON infomations (order_status)",
    "CREATE INDEX IF NOT EXISTS infomations_by_pay_status ON infomations (pay_status)",
    "CREATE INDEX IF NOT EXISTS infomations_by_reservation_status ON infomations (reservation_status)",
    "CREATE INDEX IF NOT EXISTS infomations_by_update ON infomations (updated_at)",
    "CREATE TABLE IF NOT EXISTS timeline (
        order_id INTEGER NOT NULL,
        context TEXT NOT NULL,
        version INTEGER NOT NULL,
        event TEXT NOT NULL,
        status TEXT NOT NULL,
        time TEXT NOT NULL,
        PRIMARY KEY (order_id, context, version)
    ) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS courses (
        edu_no INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        title TEXT NOT NULL,
        status TEXT NOT NULL
    )",
    // How many rows there are: in all (`all`), of a course (`eduNo 101`), in a status (`Paid`).
    "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS infomations_inserted AFTER INSERT ON infomations BEGIN
        INSERT INTO counts (name, rows)
            SELECT name, 1
            FROM (SELECT 'all' AS name UNION ALL SELECT 'eduNo ' || NEW.edu_no
                UNION ALL SELECT NEW.order_status UNION ALL SELECT NEW.pay_status
                UNION ALL SELECT NEW.reservation_status)
            WHERE name IS NOT NULL
            ON CONFLICT (name) DO UPDATE SET rows = rows + 1;
    END",
    "CREATE TRIGGER IF NOT EXISTS infomations_updated
        AFTER UPDATE OF order_status, pay_status, reservation_status ON infomations
        WHEN NEW.order_status IS NOT OLD.order_status
            OR NEW.pay_status IS NOT OLD.pay_status
            OR NEW.reservation_status IS NOT OLD.reservation_status
    BEGIN
        INSERT INTO counts (name, rows)
            SELECT name, change
            FROM (SELECT OLD.order_status AS name, -1 AS change UNION ALL SELECT OLD.pay_status, -1
                UNION ALL SELECT OLD.reservation_status, -1 UNION ALL SELECT NEW.order_status, 1
                UNION ALL SELECT NEW.pay_status, 1 UNION ALL SELECT NEW.reservation_status, 1)
            WHERE name IS NOT NULL
            ON CONFLICT (name) DO UPDATE SET rows = rows + excluded.rows;
    END",
];

/// One statement with its parameters.
pub(crate) struct Statement {
    sql: String,
    params: Vec<Value>,
}

impl Statement {
    pub(crate) async fn run(self, storage: &impl Storage) -> Result<Vec<Row>, StoreError> {
        storage.query(&self.sql, self.params).await
    }
}

/// One line of an order's timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step<'a> {
    pub(crate) order_id: OrderId,
    pub(crate) context: &'a str,
    pub(crate) version: u64,
    pub(crate) event: &'static str,
    pub(crate) status: &'static str,
    pub(crate) time: Timestamp,
}

/// Adds lines to the timelines; those that are there already stay as they are.
pub(crate) fn add_steps(steps: &[Step<'_>]) -> Statement {
    let params = steps.iter().flat_map(|step| {
        [
            store::int(step.order_id.as_i64()),
            store::text(step.context),
            store::count(step.version),
            store::text(step.event),
            store::text(step.status),
            store::text(step.time.to_string()),
        ]
    });
    Statement {
        sql: format!(
            "INSERT INTO timeline (order_id, context, version, event, status, time) VALUES {}
             ON CONFLICT (order_id, context, version) DO NOTHING",
            store::placeholders(steps.len(), 6)
        ),
        params: params.collect(),
    }
}

/// Joins rows (one for each order) with what is stored.
pub(crate) fn join_rows(rows: &[Information]) -> Statement {
    let mut sql = format!(
        "INSERT INTO infomations (order_id, customer_id, edu_no, guest, course_title, amount,
                order_version, order_status, pay_version, pay_status,
                reservation_version, reservation_status, waiting_position, updated_at) VALUES {}
             ON CONFLICT (order_id) DO UPDATE SET
                course_title = coalesce(course_title, excluded.course_title),
                amount = coalesce(amount, excluded.amount),
                order_status = CASE WHEN excluded.order_version > order_version
                    THEN excluded.order_status ELSE order_status END,
                order_version = max(order_version, excluded.order_version),
                pay_status = CASE WHEN excluded.pay_version > pay_version THEN excluded.pay_status
                    WHEN pay_version = 0 THEN coalesce(pay_status, excluded.pay_status)
                    ELSE pay_status END,
                pay_version = max(pay_version, excluded.pay_version),
                reservation_status = CASE WHEN excluded.reservation_version > reservation_version
                    THEN excluded.reservation_status ELSE reservation_status END,
                waiting_position = CASE WHEN excluded.reservation_version > reservation_version
                    THEN excluded.waiting_position ELSE waiting_position END,
                reservation_version = max(reservation_version, excluded.reservation_version),
                updated_at = max(updated_at, excluded.updated_at)",
        store::placeholders(rows.len(), 14)
    );
    if !faults::guard("information.version") {
        for context in ["order", "pay", "reservation"] {
            sql = sql.replace(&format!("_version > {context}_version"), "_version > 0");
        }
    }
    Statement { sql, params: rows.iter().flat_map(columns).collect() }
}

fn columns(row: &Information) -> [Value; 14] {
    let optional = |number: Option<u64>| number.map_or_else(store::null, store::count);
    // Version 0 is before anything was told; a delay told by `order` is `pay`'s status in that version.
    [
        store::int(row.applicant.order_id.as_i64()),
        optional(row.applicant.customer_id.map(|customer| customer.get())),
        store::int(row.applicant.edu_no.as_i64()),
        store::count(row.applicant.guest.get()),
        store::opt_text(row.course_title.as_deref()),
        optional(row.amount.map(|amount| amount.get())),
        store::count(row.order.map_or(0, |told| told.version)),
        store::opt_text(row.order.map(|told| told.value.as_str())),
        store::count(row.pay.map_or(0, |told| told.version)),
        store::opt_text(row.pay_status().map(PayStatus::as_str)),
        store::count(row.seat.map_or(0, |told| told.version)),
        store::opt_text(row.seat.map(|told| told.value.status.as_str())),
        optional(row.seat.and_then(|told| told.value.waiting_position)),
        store::text(row.updated_at.to_string()),
    ]
}

/// Keeps the newest of what was told about courses, each with its version.
pub(crate) fn keep_courses(courses: &[(u64, &Course)]) -> Statement {
    let params = courses.iter().flat_map(|(version, course)| {
        [
            store::int(course.edu_no.as_i64()),
            store::count(*version),
            store::text(&course.title),
            store::text(course.status.as_str()),
        ]
    });
    Statement {
        sql: format!(
            "INSERT INTO courses (edu_no, version, title, status) VALUES {}
             ON CONFLICT (edu_no) DO UPDATE
                SET version = excluded.version, title = excluded.title, status = excluded.status
                WHERE excluded.version > version",
            store::placeholders(courses.len(), 4)
        ),
        params: params.collect(),
    }
}

/// One order as it is read: the row, and its course if that has been heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) order_id: u64,
    pub(crate) customer_id: Option<i64>,
    pub(crate) edu_no: u64,
    pub(crate) guest: u64,
    pub(crate) course_title: Option<String>,
    pub(crate) amount: Option<i64>,
    pub(crate) statuses: Statuses,
    pub(crate) waiting_position: Option<i64>,
    pub(crate) updated_at: String,
    /// Changes whenever anything that can be read about the order does.
    pub(crate) etag: String,
}

/// The columns that [`Found`] reads. The tag is made of the version of everything that goes into an answer: of
/// each context, of the course, and how many events the timeline has (one that comes late changes no
/// status).
const FOUND: &str = "SELECT i.order_id, i.customer_id, i.edu_no, i.guest, coalesce(c.title, i.course_title),
        i.amount, i.order_status, i.pay_status, i.reservation_status, c.status, i.waiting_position,
        i.updated_at,
        i.order_version || '-' || i.pay_version || '-' || i.reservation_version || '-'
            || coalesce(c.version, 0) || '-'
            || (SELECT count(*) FROM timeline AS t WHERE t.order_id = i.order_id)
    FROM infomations AS i LEFT JOIN courses AS c ON c.edu_no = i.edu_no";

impl Found {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            order_id: row.count(0)?,
            customer_id: row.opt_int(1)?,
            edu_no: row.count(2)?,
            guest: row.count(3)?,
            course_title: row.opt_text(4)?.map(str::to_owned),
            amount: row.opt_int(5)?,
            statuses: Statuses {
                order: status(row, 6)?,
                pay: status(row, 7)?,
                reservation: status(row, 8)?,
                course: status(row, 9)?,
            },
            waiting_position: row.opt_int(10)?,
            updated_at: row.text(11)?.to_owned(),
            etag: row.text(12)?.to_owned(),
        })
    }
}

fn status<T: FromStr<Err = Invalid>>(row: &Row, column: usize) -> Result<Option<T>, StoreError> {
    row.opt_text(column)?.map(|_| row.parse(column)).transpose()
}

/// One order, if anything has been heard of it.
pub(crate) async fn find(storage: &impl Storage, order_id: OrderId) -> Result<Option<Found>, StoreError> {
    let rows = ask_one(order_id).run(storage).await?;
    rows.first().map(Found::read).transpose()
}

fn ask_one(order_id: OrderId) -> Statement {
    Statement { sql: format!("{FOUND} WHERE i.order_id = ?"), params: vec![store::int(order_id.as_i64())] }
}

/// One line of a timeline as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Past {
    pub(crate) event: String,
    pub(crate) status: String,
    pub(crate) time: String,
}

/// What happened to an order, in the order in which it happened.
pub(crate) async fn timeline(storage: &impl Storage, order_id: OrderId) -> Result<Vec<Past>, StoreError> {
    let rows = ask_timeline(order_id).run(storage).await?;
    rows.iter().map(Past::read).collect()
}

fn ask_timeline(order_id: OrderId) -> Statement {
    Statement {
        // Within a millisecond: by version, and `order` before `pay` before `reservation`, as the flow goes.
        sql: "SELECT event, status, time FROM timeline WHERE order_id = ? ORDER BY time, version, context"
            .to_owned(),
        params: vec![store::int(order_id.as_i64())],
    }
}

impl Past {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            event: row.text(0)?.to_owned(),
            status: row.text(1)?.to_owned(),
            time: row.text(2)?.to_owned(),
        })
    }
}

/// A status to filter by: any of the three that an order has. No two of them share a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnyStatus {
    Order(OrderStatus),
    Pay(PayStatus),
    Reservation(ReservationStatus),
}

impl AnyStatus {
    const fn column(self) -> &'static str {
        match self {
            Self::Order(_) => "order_status",
            Self::Pay(_) => "pay_status",
            Self::Reservation(_) => "reservation_status",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Order(status) => status.as_str(),
            Self::Pay(status) => status.as_str(),
            Self::Reservation(status) => status.as_str(),
        }
    }
}

impl FromStr for AnyStatus {
    type Err = Invalid;

    fn from_str(raw: &str) -> Result<Self, Invalid> {
        let order = raw.parse().map(Self::Order);
        order.or_else(|_| raw.parse().map(Self::Pay)).or_else(|_| raw.parse().map(Self::Reservation)).map_err(
            |_: Invalid| {
                let words = OrderStatus::ALL.iter().map(|status| status.as_str());
                let words = words.chain(PayStatus::ALL.iter().map(|status| status.as_str()));
                let words = words.chain(ReservationStatus::ALL.iter().map(|status| status.as_str()));
                let words: Vec<_> = words.map(|word| format!("`{word}`")).collect();
                Invalid::new("status", format!("must be one of {}", words.join(", ")))
            },
        )
    }
}

/// Which orders are wanted; what is none does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: Option<EduNo>,
    pub(crate) status: Option<AnyStatus>,
}

impl Filter {
    /// The conditions, each with its parameter.
    fn conditions(&self) -> Vec<(String, Value)> {
        let customer = self.customer_id.map(|id| ("i.customer_id = ?".to_owned(), store::int(id.as_i64())));
        let course = self.edu_no.map(|id| ("i.edu_no = ?".to_owned(), store::int(id.as_i64())));
        let status = self.status.map(|s| (format!("i.{} = ?", s.column()), store::text(s.as_str())));
        [customer, course, status].into_iter().flatten().collect()
    }

    /// The name under which the triggers count the rows it lets through, if they do.
    fn counted_as(&self) -> Option<String> {
        match self {
            Self { customer_id: None, edu_no: None, status: None } => Some("all".to_owned()),
            Self { customer_id: None, edu_no: Some(edu_no), status: None } => Some(format!("eduNo {edu_no}")),
            Self { customer_id: None, edu_no: None, status: Some(status) } => {
                Some(status.as_str().to_owned())
            }
            _ => None,
        }
    }
}

fn where_all(conditions: Vec<(String, Value)>) -> (String, Vec<Value>) {
    if conditions.is_empty() {
        return (String::new(), Vec::new());
    }
    let (conditions, params): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
    (format!(" WHERE {}", conditions.join(" AND ")), params)
}

/// What a collection can be sorted by, as the API spells it.
pub(crate) const SORTABLE: &[&str] = &["orderId", "eduNo", "updatedAt"];

/// One page of the orders that a filter lets through, by orderId unless asked otherwise.
pub(crate) async fn page(
    storage: &impl Storage,
    filter: &Filter,
    paging: &Paging,
) -> Result<Vec<Found>, StoreError> {
    let rows = ask_page(filter, paging).run(storage).await?;
    rows.iter().map(Found::read).collect()
}

fn ask_page(filter: &Filter, paging: &Paging) -> Statement {
    let mut conditions = filter.conditions();
    if let Some(after) = paging.after {
        conditions.push(("i.order_id > ?".to_owned(), store::count(after)));
    }
    let (conditions, mut params) = where_all(conditions);
    let direction = paging.sort.map_or(Direction::Ascending, |sort| sort.direction).sql();
    let order = match paging.sort.map(|sort| sort.field) {
        Some("eduNo") => format!("i.edu_no {direction}, i.order_id {direction}"),
        Some("updatedAt") => format!("i.updated_at {direction}, i.order_id {direction}"),
        _ => format!("i.order_id {direction}"),
    };
    params.extend([store::count(paging.size), store::count(paging.offset())]);
    Statement { sql: format!("{FOUND}{conditions} ORDER BY {order} LIMIT ? OFFSET ?"), params }
}

/// How many orders a filter lets through.
pub(crate) async fn count(storage: &impl Storage, filter: &Filter) -> Result<u64, StoreError> {
    let rows = ask_count(filter).run(storage).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

fn ask_count(filter: &Filter) -> Statement {
    if let Some(name) = filter.counted_as() {
        let sql = "SELECT rows FROM counts WHERE name = ?".to_owned();
        return Statement { sql, params: vec![store::text(name)] };
    }
    let (conditions, params) = where_all(filter.conditions());
    Statement { sql: format!("SELECT count(*) FROM infomations AS i{conditions}"), params }
}

#[cfg(test)]
mod tests;
