//! Where payments are kept: the events, which are the truth, and the table `pays`, which is what lists show.
//!
//! A decision is one row inserted into the view `decisions`: its trigger appends the event and puts the row of
//! `pays` in the place of the one before. Two decisions from the same state exclude each other by the events'
//! `UNIQUE (subject, version)`, which undoes the whole statement.

#[cfg(test)]
pub(crate) mod tests;

use crate::cashier::{Decision, Payments};
use crate::domain::{Attempt, Payment, Record, State};
use eventlog::EVENTS_TABLE;
use kernel::event::{Applicant, Event};
use kernel::{CustomerId, EduNo, Guests, OrderId, PayStatus, Timestamp, Won};
use store::{Database, Row, Storage, StoreError, Value, count, int, opt_int, opt_text, placeholders, text};

/// The store under the label `pay`.
pub static DATABASE: Database = Database::new("pay", 3, SCHEMA);

const SCHEMA: &[&str] = &[
    EVENTS_TABLE[0],
    EVENTS_TABLE[1],
    EVENTS_TABLE[2],
    EVENTS_TABLE[3],
    EVENTS_TABLE[4],
    EVENTS_TABLE[5],
    "CREATE TABLE IF NOT EXISTS pays (
        order_id INTEGER PRIMARY KEY,
        customer_id INTEGER,
        edu_no INTEGER NOT NULL,
        guest INTEGER NOT NULL,
        language TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount >= 0),
        status TEXT NOT NULL CHECK (status IN ('Paid', 'Payment Declined', 'Payment Canceled')),
        card_last4 TEXT CHECK (length(card_last4) <= 4),
        transaction_id TEXT,
        gateway_key TEXT,
        paid_at TEXT,
        refunded_at TEXT,
        version INTEGER NOT NULL
    )",
    "CREATE INDEX IF NOT EXISTS pays_by_customer ON pays (customer_id, order_id)",
    "CREATE INDEX IF NOT EXISTS pays_by_course ON pays (edu_no, order_id)",
    "CREATE INDEX IF NOT EXISTS pays_by_status ON pays (status, order_id)",
    "CREATE VIEW IF NOT EXISTS decisions AS
        SELECT e.subject, e.type, e.data, e.time, e.traceparent, p.*
        FROM pays p JOIN events e ON e.subject = CAST(p.order_id AS TEXT) AND e.version = p.version",
    "CREATE TRIGGER IF NOT EXISTS decide INSTEAD OF INSERT ON decisions BEGIN
        INSERT INTO events (subject, version, type, data, time, traceparent)
            VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time, NEW.traceparent);
        INSERT INTO pays (order_id, customer_id, edu_no, guest, language, amount, status, card_last4,
                          transaction_id, gateway_key, paid_at, refunded_at, version)
            VALUES (NEW.order_id, NEW.customer_id, NEW.edu_no, NEW.guest, NEW.language, NEW.amount, NEW.status,
                    NEW.card_last4, NEW.transaction_id, NEW.gateway_key, NEW.paid_at, NEW.refunded_at, NEW.version)
            ON CONFLICT (order_id) DO UPDATE SET
                customer_id = excluded.customer_id, edu_no = excluded.edu_no, guest = excluded.guest,
                language = excluded.language, amount = excluded.amount, status = excluded.status,
                card_last4 = excluded.card_last4, transaction_id = excluded.transaction_id,
                gateway_key = excluded.gateway_key, paid_at = excluded.paid_at,
                refunded_at = excluded.refunded_at, version = excluded.version;
    END",
];

/// The columns of a decision, in the order of [`decision_row`].
const DECISION: &str =
    "subject, type, data, time, traceparent, order_id, customer_id, edu_no, guest, language,
    amount, status, card_last4, transaction_id, gateway_key, paid_at, refunded_at, version";
const DECISION_COLUMNS: usize = 18;

/// The columns of a payment, in the order of [`listed`].
const PAY: &str =
    "order_id, customer_id, edu_no, guest, language, amount, status, card_last4, transaction_id,
    paid_at, refunded_at, version";

/// A payment as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) status: PayStatus,
    pub(crate) payment: Payment,
    /// How many events led to it: `pay`'s version of this order.
    pub(crate) version: u64,
}

impl Listed {
    /// None where nothing happened yet.
    pub(crate) fn of(record: Record) -> Option<Self> {
        let (status, payment) = record.state.payment()?;
        Some(Self { status, payment: payment.clone(), version: record.version })
    }
}

/// Which payments to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) edu_no: Option<EduNo>,
    pub(crate) status: Option<PayStatus>,
}

/// How much of a list, from where, and which way round. Lists are in the order of the orders' numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    /// Only those behind this number.
    pub(crate) after: Option<u64>,
    /// Not the first so many.
    pub(crate) skip: u64,
    pub(crate) limit: u64,
    pub(crate) descending: bool,
}

/// The payments in a store.
pub(crate) struct Pays<S>(pub(crate) S);

impl<S: Storage> Payments for Pays<S> {
    async fn load(&self, orders: &[OrderId]) -> Result<Vec<Record>, StoreError> {
        let marks = vec!["?"; orders.len()].join(",");
        let sql = format!(
            "SELECT subject, type, data FROM events WHERE subject IN ({marks}) ORDER BY subject, version"
        );
        let rows = self.0.query(&sql, orders.iter().map(|order| text(order.to_string())).collect()).await?;
        let mut records = vec![Record::default(); orders.len()];
        for row in &rows {
            let subject = row.text(0)?;
            let event = Event::parse(row.text(1)?, row.text(2)?)
                .map_err(|e| StoreError::Failure(format!("the history of {subject}: {e}")))?;
            for (order, record) in orders.iter().zip(&mut records) {
                if event.applicant().is_some_and(|applicant| applicant.order_id == *order) {
                    *record = std::mem::take(record).and(&event);
                }
            }
        }
        Ok(records)
    }

    async fn commit(&self, decisions: &[Decision]) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO decisions ({DECISION}) VALUES {}",
            placeholders(decisions.len(), DECISION_COLUMNS)
        );
        let params = decisions.iter().filter_map(decision_row).flatten().collect();
        self.0.query(&sql, params).await.map(drop)
    }
}

/// None for a decision that leads nowhere, of which there are none.
fn decision_row(decision: &Decision) -> Option<[Value; DECISION_COLUMNS]> {
    let Decision { event, record, at, traceparent } = decision;
    let (status, payment) = record.state.payment()?;
    let applicant = &payment.applicant;
    Some([
        text(event.subject()),
        text(event.name()),
        text(event.to_data()),
        text(at.to_string()),
        opt_text(traceparent.as_deref()),
        int(applicant.order_id.as_i64()),
        opt_int(applicant.customer_id.map(CustomerId::as_i64)),
        int(applicant.edu_no.as_i64()),
        count(applicant.guest.get()),
        text(applicant.language.as_str()),
        int(payment.amount.as_i64()),
        text(status.as_str()),
        opt_text(payment.card_last4.as_deref()),
        opt_text(payment.transaction_id.as_deref()),
        opt_text(gateway_key(&record.state)),
        opt_text(payment.paid_at.map(|at| at.to_string())),
        opt_text(payment.refunded_at.map(|at| at.to_string())),
        count(record.version),
    ])
}

/// The key that the outstanding charge has at the gateway: for whoever holds the books against each other.
fn gateway_key(state: &State) -> Option<String> {
    match state {
        State::Paid { attempt, payment } => {
            attempt.map(|attempt: Attempt| attempt.key(payment.applicant.order_id))
        }
        _ => None,
    }
}

impl<S: Storage> Pays<S> {
    /// The payment of one order, if there is one.
    pub(crate) async fn find(&self, order: OrderId) -> Result<Option<Listed>, StoreError> {
        let sql = format!("SELECT {PAY} FROM pays WHERE order_id = ?");
        let rows = self.0.query(&sql, vec![int(order.as_i64())]).await?;
        rows.first().map(listed).transpose()
    }

    /// A slice of the payments that `filter` lets through.
    pub(crate) async fn list(&self, filter: Filter, slice: Slice) -> Result<Vec<Listed>, StoreError> {
        let (mut conditions, mut params) = filter.conditions();
        let (direction, beyond) = if slice.descending { ("DESC", "<") } else { ("ASC", ">") };
        if let Some(after) = slice.after {
            conditions.push(format!("order_id {beyond} ?"));
            params.push(count(after));
        }
        params.extend([count(slice.limit), count(slice.skip)]);
        let sql = format!(
            "SELECT {PAY} FROM pays {} ORDER BY order_id {direction} LIMIT ? OFFSET ?",
            clause(&conditions)
        );
        self.0.query(&sql, params).await?.iter().map(listed).collect()
    }

    /// How many payments `filter` lets through.
    pub(crate) async fn total(&self, filter: Filter) -> Result<u64, StoreError> {
        let (conditions, params) = filter.conditions();
        let rows =
            self.0.query(&format!("SELECT COUNT(*) FROM pays {}", clause(&conditions)), params).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }
}

impl Filter {
    fn conditions(self) -> (Vec<String>, Vec<Value>) {
        let wanted = [
            ("customer_id = ?", self.customer_id.map(|id| int(id.as_i64()))),
            ("edu_no = ?", self.edu_no.map(|edu_no| int(edu_no.as_i64()))),
            ("status = ?", self.status.map(|status| text(status.as_str()))),
        ];
        wanted.into_iter().filter_map(|(sql, value)| Some((sql.to_owned(), value?))).unzip()
    }
}

fn clause(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}

fn listed(row: &Row) -> Result<Listed, StoreError> {
    let applicant = Applicant {
        order_id: OrderId::parse(row.count(0)?).map_err(unreadable)?,
        customer_id: row.opt_int(1)?.map(customer).transpose().map_err(unreadable)?,
        edu_no: EduNo::parse(row.count(2)?).map_err(unreadable)?,
        guest: Guests::parse(row.count(3)?).map_err(unreadable)?,
        language: row.parse(4)?,
    };
    let payment = Payment {
        applicant,
        amount: Won::amount(row.count(5)?).map_err(unreadable)?,
        card_last4: row.opt_text(7)?.map(str::to_owned),
        transaction_id: row.opt_text(8)?.map(str::to_owned),
        paid_at: instant(row, 9)?,
        refunded_at: instant(row, 10)?,
    };
    Ok(Listed { status: row.parse(6)?, payment, version: row.count(11)? })
}

fn customer(stored: i64) -> Result<CustomerId, kernel::Invalid> {
    CustomerId::parse(u64::try_from(stored).unwrap_or_default())
}

fn instant(row: &Row, column: usize) -> Result<Option<Timestamp>, StoreError> {
    row.opt_text(column)?.map(|_| row.parse(column)).transpose()
}

fn unreadable(invalid: kernel::Invalid) -> StoreError {
    StoreError::Failure(format!("the table pays: {invalid}"))
}
