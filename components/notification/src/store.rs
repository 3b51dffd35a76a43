//! The messages' tables, and every statement that touches them.
//!
//! A message that is due is *claimed* before it is sent: one statement gives it to one worker and makes it due
//! again when the lease runs out. So two workers never send the same message at once, and what a crash left
//! between sending and marking heals by itself: it is sent again under the same id, which the channel knows.

use crate::domain::{LEASE, LONGEST_PAUSE, Message, Status, Verdict};
use hal::{Direction, Paging};
use kernel::event::Course;
use kernel::{CustomerId, EduNo, OrderId, Timestamp};
use std::collections::HashMap;
use store::{Database, Row, Storage, StoreError, Value};

/// The context's own store; nobody else reads it.
pub static DATABASE: Database = Database::new("notification", 1, SCHEMA);

const SCHEMA: &[&str] = &[
    // `due_at` is in milliseconds since 1970 and means something only while the status is Pending.
    "CREATE TABLE IF NOT EXISTS messages (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        order_id INTEGER NOT NULL,
        customer_id INTEGER,
        event TEXT NOT NULL,
        language TEXT NOT NULL,
        body TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'Pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        due_at INTEGER NOT NULL,
        claim TEXT,
        sent_at TEXT,
        problem TEXT
    )",
    // An index ends with the row's key, so each of these also sorts by age.
    "CREATE INDEX IF NOT EXISTS messages_by_order ON messages (order_id)",
    "CREATE INDEX IF NOT EXISTS messages_by_customer ON messages (customer_id)",
    "CREATE INDEX IF NOT EXISTS messages_by_status ON messages (status)",
    "CREATE INDEX IF NOT EXISTS messages_due ON messages (due_at) WHERE status = 'Pending'",
    "CREATE TABLE IF NOT EXISTS courses (
        edu_no INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        title TEXT NOT NULL
    )",
    // How many messages there are in each status, so that counting them does not slow down.
    "CREATE TABLE IF NOT EXISTS counts (status TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS messages_inserted AFTER INSERT ON messages BEGIN
        INSERT INTO counts (status, rows) VALUES (NEW.status, 1)
            ON CONFLICT (status) DO UPDATE SET rows = rows + 1;
    END",
    "CREATE TRIGGER IF NOT EXISTS messages_updated AFTER UPDATE OF status ON messages
        WHEN NEW.status <> OLD.status
    BEGIN
        INSERT INTO counts (status, rows) VALUES (OLD.status, -1), (NEW.status, 1)
            ON CONFLICT (status) DO UPDATE SET rows = rows + excluded.rows;
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

const ADD: &str =
    "INSERT INTO messages (id, order_id, customer_id, event, language, body, created_at, due_at)";

/// Makes another message of one that is there: what the guard `notification.once` keeps from happening.
const ANOTHER: &str =
    "iif(EXISTS (SELECT 1 FROM messages WHERE id = column1), '~' || hex(randomblob(4)), '')";

/// Adds messages that are due at once; those that are there already stay as they are.
pub(crate) fn add(messages: &[Message], now: Timestamp) -> Statement {
    let rows = store::placeholders(messages.len(), 8);
    let params = messages.iter().flat_map(|message| {
        [
            store::text(&message.id),
            store::int(message.order_id.as_i64()),
            store::opt_int(message.customer_id.map(|customer| customer.as_i64())),
            store::text(message.event),
            store::text(message.language.as_str()),
            store::text(&message.body),
            store::text(now.to_string()),
            store::int(now.millis()),
        ]
    });
    Statement {
        sql: if faults::guard("notification.once") {
            format!("{ADD} VALUES {rows} ON CONFLICT (id) DO NOTHING")
        } else {
            format!(
                "{ADD} SELECT column1 || {ANOTHER}, column2, column3, column4, column5, column6, column7, column8 FROM (VALUES {rows})"
            )
        },
        params: params.collect(),
    }
}

/// A message in this worker's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) order_id: u64,
    pub(crate) customer_id: Option<u64>,
    pub(crate) language: String,
    pub(crate) body: String,
    /// How many times it has been taken to be sent, this time included.
    pub(crate) attempts: u32,
}

/// Makes due what a clock that was ahead has put off: what was never tried, and what waits for longer than a claim
/// lasts and a pause is after so many tries. (Somebody whose clock is behind may so take from another what that one is
/// just sending. It is then sent twice under one id, which the channel knows.) Which index is said to SQLite, here and
/// in [`claim`]: left to itself it takes the one by status, and reads everything that waits.
pub(crate) fn pull_in(now: Timestamp) -> Statement {
    Statement {
        sql:
            "UPDATE messages INDEXED BY messages_due SET due_at = ?1 WHERE status = 'Pending' AND due_at > ?1
              AND (attempts = 0 OR due_at > ?1 + 1000 * max(?2, min(?3, 1 << min(attempts - 1, 30))))"
                .to_owned(),
        params: vec![store::int(now.millis()), store::int(LEASE), store::int(LONGEST_PAUSE)],
    }
}

/// Takes up to `limit` messages that are due, oldest first, for whoever goes by `claim`; if they are not
/// concluded by `until`, they are due again.
pub(crate) fn claim(claim: &str, now: Timestamp, until: Timestamp, limit: u32) -> Statement {
    Statement {
        sql: "UPDATE messages SET claim = ?, due_at = ?, attempts = attempts + 1
              WHERE seq IN (
                  SELECT seq FROM messages INDEXED BY messages_due
                  WHERE status = 'Pending' AND due_at <= ?
                  ORDER BY due_at, seq LIMIT ?
              )
              RETURNING seq, id, order_id, customer_id, language, body, attempts"
            .to_owned(),
        params: vec![
            store::text(claim),
            store::int(until.millis()),
            store::int(now.millis()),
            store::int(limit),
        ],
    }
}

/// Reads what [`claim`] answered, oldest first (an `UPDATE` returns its rows in any order).
pub(crate) fn claimed(rows: &[Row]) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = rows.iter().map(Claimed::read).collect::<Result<Vec<_>, _>>()?;
    claimed.sort_by_key(|message| message.seq);
    Ok(claimed)
}

impl Claimed {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.int(0)?,
            id: row.text(1)?.to_owned(),
            order_id: row.count(2)?,
            customer_id: row.opt_int(3)?.and_then(|customer| u64::try_from(customer).ok()),
            language: row.text(4)?.to_owned(),
            body: row.text(5)?.to_owned(),
            attempts: u32::try_from(row.int(6)?).unwrap_or(u32::MAX),
        })
    }
}

/// What became of a claimed message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) seq: i64,
    pub(crate) verdict: Verdict,
    /// What the channel complained about, for the operator who looks into the store.
    pub(crate) problem: Option<String>,
}

/// Writes down what became of the messages that were claimed as `claim`.
///
/// Whoever lost a message by holding it for too long may still say that it is sent, since that is a fact; when
/// to try again is for its new holder to say.
pub(crate) fn conclude(claim: &str, conclusions: &[Conclusion], now: Timestamp) -> Statement {
    let params = conclusions.iter().flat_map(|conclusion| {
        let (status, due, sent_at, not_made) = match conclusion.verdict {
            Verdict::Sent { at } => (Status::Sent, now, Some(at.to_string()), 0),
            Verdict::Failed => (Status::Failed, now, None, 0),
            Verdict::Retry { due } => (Status::Pending, due, None, 0),
            Verdict::PutBack => (Status::Pending, now, None, 1),
        };
        [
            store::int(conclusion.seq),
            store::text(status.as_str()),
            store::int(due.millis()),
            store::opt_text(sent_at),
            store::int(not_made),
            store::opt_text(conclusion.problem.as_deref()),
        ]
    });
    let params = params.chain([store::text(claim)]).collect();
    Statement {
        sql: format!(
            "WITH concluded (seq, status, due_at, sent_at, not_made, problem) AS (VALUES {})
             UPDATE messages SET status = concluded.status, due_at = concluded.due_at,
                 sent_at = concluded.sent_at, attempts = attempts - concluded.not_made,
                 problem = coalesce(concluded.problem, messages.problem), claim = NULL
             FROM concluded
             WHERE messages.seq = concluded.seq AND messages.status = 'Pending'
                 AND (messages.claim = ? OR concluded.status = 'Sent')",
            store::placeholders(conclusions.len(), 6)
        ),
        params,
    }
}

/// Keeps the newest title told about each course, each with its version.
pub(crate) fn keep_courses(courses: &[(u64, &Course)]) -> Statement {
    let params = courses.iter().flat_map(|(version, course)| {
        [store::int(course.edu_no.as_i64()), store::count(*version), store::text(&course.title)]
    });
    Statement {
        sql: format!(
            "INSERT INTO courses (edu_no, version, title) VALUES {}
             ON CONFLICT (edu_no) DO UPDATE SET version = excluded.version, title = excluded.title
                 WHERE excluded.version > version",
            store::placeholders(courses.len(), 3)
        ),
        params: params.collect(),
    }
}

/// Asks for the titles of some courses; read the answer with [`titles`].
pub(crate) fn ask_titles(courses: &[EduNo]) -> Statement {
    Statement {
        sql: format!(
            "SELECT edu_no, title FROM courses WHERE edu_no IN ({})",
            vec!["?"; courses.len()].join(",")
        ),
        params: courses.iter().map(|course| store::int(course.as_i64())).collect(),
    }
}

/// Reads what [`ask_titles`] answered; courses that have not been heard of are missing.
pub(crate) fn titles(rows: &[Row]) -> Result<HashMap<u64, String>, StoreError> {
    rows.iter().map(|row| Ok((row.count(0)?, row.text(1)?.to_owned()))).collect()
}

/// One message as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Counts the messages as they were written, from 1.
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) order_id: u64,
    pub(crate) customer_id: Option<i64>,
    pub(crate) event: String,
    pub(crate) language: String,
    pub(crate) body: String,
    pub(crate) status: String,
    pub(crate) attempts: u64,
    pub(crate) created_at: String,
    pub(crate) sent_at: Option<String>,
}

/// The columns that [`Found`] reads.
const FOUND: &str = "SELECT seq, id, order_id, customer_id, event, language, body, status, attempts,
    created_at, sent_at FROM messages";

impl Found {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.count(0)?,
            id: row.text(1)?.to_owned(),
            order_id: row.count(2)?,
            customer_id: row.opt_int(3)?,
            event: row.text(4)?.to_owned(),
            language: row.text(5)?.to_owned(),
            body: row.text(6)?.to_owned(),
            status: row.text(7)?.to_owned(),
            attempts: row.count(8)?,
            created_at: row.text(9)?.to_owned(),
            sent_at: row.opt_text(10)?.map(str::to_owned),
        })
    }
}

/// One message, if there is one of that id.
pub(crate) async fn find(storage: &impl Storage, id: &str) -> Result<Option<Found>, StoreError> {
    let sql = format!("{FOUND} WHERE id = ?");
    let rows = Statement { sql, params: vec![store::text(id)] }.run(storage).await?;
    rows.first().map(Found::read).transpose()
}

/// Which messages are wanted; what is none does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) order_id: Option<OrderId>,
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) status: Option<Status>,
}

impl Filter {
    /// The conditions, each with its parameter.
    fn conditions(&self) -> Vec<(&'static str, Value)> {
        let order = self.order_id.map(|id| ("order_id = ?", store::int(id.as_i64())));
        let customer = self.customer_id.map(|id| ("customer_id = ?", store::int(id.as_i64())));
        let status = self.status.map(|status| ("status = ?", store::text(status.as_str())));
        [order, customer, status].into_iter().flatten().collect()
    }
}

fn where_all(conditions: Vec<(&'static str, Value)>) -> (String, Vec<Value>) {
    if conditions.is_empty() {
        return (String::new(), Vec::new());
    }
    let (conditions, params): (Vec<_>, Vec<_>) = conditions.into_iter().unzip();
    (format!(" WHERE {}", conditions.join(" AND ")), params)
}

/// One page of the messages that a filter lets through: newest first unless asked otherwise; by key, in the
/// order in which they were written, so that a reader can go on from the last one it saw.
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
    let direction = match (paging.after, paging.sort) {
        (Some(_), _) => Direction::Ascending,
        (None, Some(sort)) => sort.direction,
        (None, None) => Direction::Descending,
    };
    if let Some(after) = paging.after {
        conditions.push(("seq > ?", store::count(after)));
    }
    let (conditions, mut params) = where_all(conditions);
    params.extend([store::count(paging.size), store::count(paging.offset())]);
    Statement {
        sql: format!("{FOUND}{conditions} ORDER BY seq {} LIMIT ? OFFSET ?", direction.sql()),
        params,
    }
}

/// How many messages a filter lets through.
pub(crate) async fn count(storage: &impl Storage, filter: &Filter) -> Result<u64, StoreError> {
    let rows = ask_count(filter).run(storage).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

fn ask_count(filter: &Filter) -> Statement {
    let counted = filter.order_id.is_none() && filter.customer_id.is_none();
    let (conditions, params) = where_all(filter.conditions());
    let sql = if counted {
        // The triggers count by status.
        format!("SELECT coalesce(sum(rows), 0) FROM counts{conditions}")
    } else {
        format!("SELECT count(*) FROM messages{conditions}")
    };
    Statement { sql, params }
}

#[cfg(test)]
mod tests;
