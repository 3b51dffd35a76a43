//! Where payments are kept: the events, which are the truth, and the table `pays`, which is what lists show.

use crate::domain::{Payment, Record};
use journal::{count_tallies, history, programs, tables, tallies, tally_changed, tally_gone, tally_new};
use kernel::{OrderId, PayStatus, Won};
use std::collections::BTreeMap;
use store::{Database, Page, Row, Schema, Statement, Step, Storage, StoreError};

/// The store under the label `pay`.
pub static DATABASE: Database = Database::new("pay", &SCHEMA);

static SCHEMA: Schema = Schema {
    version: 7,
    // Up to version 3 the relay kept an outbox in the table `events`.
    oldest_code: 4,
    tables: &[
        tables::EVENTS,
        tables::LOG,
        tables::LOG_BEGINS,
        "CREATE TABLE pays (
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
        "CREATE INDEX pays_by_customer ON pays (customer_id, order_id)",
        "CREATE INDEX pays_by_course ON pays (edu_no, order_id)",
        "CREATE INDEX pays_by_status ON pays (status, order_id)",
        tallies::TALLIES,
        journal::ANONYMOUS,
        journal::ANONYMOUS_BEGINS,
    ],
    steps: &[
        Step { to: 4, statements: &tables::FROM_OUTBOX },
        Step { to: 5, statements: &[tallies::TALLIES, count_tallies!("pays")] },
        Step { to: 6, statements: &[tables::WITH_ACTORS] },
        Step { to: 7, statements: &[journal::ANONYMOUS, journal::ANONYMOUS_BEGINS] },
    ],
    programs: &[
        programs::DECISIONS,
        programs::APPEND_EVENT,
        programs::PROJECTION,
        PROJECT_PAYMENT,
        tally_new!("pays"),
        tally_changed!("pays"),
        tally_gone!("pays"),
        journal::EXPIRED,
        journal::PASS_EXPIRED,
        journal::anonymise!("pays", ", card_last4 = NULL"),
    ],
};

/// What an event makes of its order's row. A refund is noted beside what was paid; everything else takes the place of what
/// was there.
///
/// `gateway_key` is the key that the outstanding charge has at the gateway: for whoever compares the two ledgers. Each event
/// before `Paid` is a decline, so its version is the number of the attempt.
const PROJECT_PAYMENT: &str = "CREATE TRIGGER project_payment INSTEAD OF INSERT ON projection BEGIN
    DELETE FROM pays WHERE order_id = CAST(NEW.subject AS BIGINT)
        AND NOT (NEW.type = 'PaymentCanceled' AND status = 'Paid');
    INSERT INTO pays (order_id, customer_id, edu_no, guest, language, amount, status, card_last4, transaction_id,
            gateway_key, paid_at, refunded_at, version)
        VALUES (CAST(NEW.subject AS BIGINT), CAST(NEW.data ->> 'customerId' AS BIGINT),
            CAST(NEW.data ->> 'eduNo' AS BIGINT), CAST(NEW.data ->> 'guest' AS BIGINT), NEW.data ->> 'language',
            CAST(NEW.data ->> 'amount' AS BIGINT),
            CASE NEW.type WHEN 'Paid' THEN 'Paid' WHEN 'PaymentDeclined' THEN 'Payment Declined'
                WHEN 'PaymentCanceled' THEN 'Payment Canceled' END,
            NEW.data ->> 'cardLast4', NEW.data ->> 'transactionId',
            CASE WHEN NEW.type = 'Paid' AND CAST(NEW.data ->> 'amount' AS BIGINT) > 0
                THEN NEW.subject || '-' || NEW.version END,
            NEW.data ->> 'paidAt', NEW.data ->> 'refundedAt', NEW.version)
        ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, gateway_key = NULL,
            refunded_at = excluded.refunded_at, version = excluded.version;
END";

const LOAD: &str = "SELECT subject, type, data FROM events
    WHERE subject IN (SELECT value ->> 'v' FROM json_each($1)) ORDER BY subject, version";

const PAY: &str =
    "SELECT order_id, customer_id, edu_no, guest, language, amount, status, card_last4, transaction_id,
    paid_at, refunded_at, version FROM pays";

/// A payment as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) status: PayStatus,
    pub(crate) payment: Payment,
    /// How many events led to it: `pay`'s version of this order.
    pub(crate) version: u64,
}

impl Stored {
    /// None where nothing happened yet.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let (status, payment) = record.payment()?;
        Some(Self { status, payment: payment.clone(), version: record.version })
    }
}

/// Which payments to list.
pub(crate) type Filter<'a> = tallies::Filter<'a, PayStatus>;

pub(crate) async fn load(storage: &impl Storage, order: OrderId) -> Result<Record, StoreError> {
    Ok(load_all(storage, [order]).await?.remove(&order).unwrap_or_default())
}

/// The records of these orders, of which nothing may have happened to some.
pub(crate) async fn load_all(
    storage: &impl Storage,
    orders: impl IntoIterator<Item = OrderId>,
) -> Result<BTreeMap<OrderId, Record>, StoreError> {
    let mut records: BTreeMap<_, _> = orders.into_iter().map(|order| (order, Record::default())).collect();
    let load = Statement::new(LOAD).bind_values(records.keys().map(OrderId::to_string));
    for row in load.rows(storage).await? {
        let record = records.entry(row.parse("subject")?).or_default();
        *record = std::mem::take(record).and(&history(&row)?);
    }
    Ok(records)
}

/// The payment of one order, if there is one.
pub(crate) async fn find(storage: &impl Storage, order: OrderId) -> Result<Option<Stored>, StoreError> {
    let one = store::Filter::default().equal("order_id", Some(order.get())).all(PAY);
    one.row(storage).await?.as_ref().map(stored).transpose()
}

/// A page of the payments that `filter` lets through, in the order of the orders' numbers.
pub(crate) async fn list(
    storage: &impl Storage,
    filter: Filter<'_>,
    page: &Page,
) -> Result<Vec<Stored>, StoreError> {
    let rows = filter.conditions().page(PAY, "order_id", page).rows(storage).await?;
    rows.iter().map(stored).collect()
}

pub(crate) async fn total(storage: &impl Storage, filter: Filter<'_>) -> Result<u64, StoreError> {
    filter.total(storage, "pays").await
}

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let payment = Payment {
        applicant: row.applicant()?,
        amount: row.number("amount", Won::amount)?,
        card_last4: row.opt_string("card_last4")?,
        transaction_id: row.opt_string("transaction_id")?,
        paid_at: row.opt_parse("paid_at")?,
        refunded_at: row.opt_parse("refunded_at")?,
    };
    Ok(Stored { status: row.parse("status")?, payment, version: row.count("version")? })
}

#[cfg(test)]
mod tests;
