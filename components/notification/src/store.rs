//! The messages' tables, and every statement that touches them.
//!
//! A message is in the hands of one worker while it is sent: the statement that writes it, or that takes it when it is
//! due, counts the try and makes it due again for when the lease runs out. So two workers never send the same message
//! at once, and what a crash left between sending and concluding heals by itself: it is sent again under the same id,
//! which the channel knows. Who holds a message is known by the number of the try.

mod recipients;

pub(crate) use recipients::{forget, gone, keep_recipients, note_gone, note_replaced};

use crate::domain::{LEASE, LONGEST_PAUSE, Message, Status, Verdict};
use kernel::event::Course;
use kernel::{CustomerId, EduNo, OrderId, Owners, Timestamp};
use serde::Serialize;
use std::collections::HashMap;
use store::{Database, Page, Row, Schema, Statement, Step, Storage, StoreError};

/// The context's own store; nobody else reads it.
pub static DATABASE: Database = Database::new("notification", &SCHEMA);

static SCHEMA: Schema = Schema {
    version: 4,
    oldest_code: 1,
    tables: &[
        // `due_at` is in milliseconds since 1970 and means something only while the status is Pending. `claim` is what
        // version 1 knew the holder of a message by; nothing needs it any more once that is gone.
        "CREATE TABLE messages (
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
            problem TEXT,
            template TEXT NOT NULL DEFAULT '',
            variables TEXT NOT NULL DEFAULT '[]'
        )",
        // An index of SQLite ends with the row's key, so each of these also sorts by age.
        "CREATE INDEX messages_by_order ON messages (order_id/*postgres , seq*/)",
        "CREATE INDEX messages_by_customer ON messages (customer_id/*postgres , seq*/)",
        "CREATE INDEX messages_by_status ON messages (status/*postgres , seq*/)",
        MESSAGES_DUE,
        MESSAGES_KEPT,
        "CREATE TABLE courses (
            edu_no INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            title TEXT NOT NULL
        )",
        // How many messages there are in each status, so that counting them does not slow down.
        "CREATE TABLE counts (status TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
        recipients::RECIPIENTS,
        recipients::GONE,
    ],
    steps: &[
        Step { to: 2, statements: &["DROP INDEX messages_due", MESSAGES_DUE] },
        Step {
            to: 3,
            statements: &[
                "ALTER TABLE messages ADD COLUMN template TEXT NOT NULL DEFAULT ''",
                "ALTER TABLE messages ADD COLUMN variables TEXT NOT NULL DEFAULT '[]'",
                "CREATE TABLE recipients (customer_id INTEGER PRIMARY KEY, phone TEXT, version INTEGER NOT NULL)",
                recipients::GONE,
            ],
        },
        Step {
            to: 4,
            statements: &[
                MESSAGES_KEPT,
                "ALTER TABLE recipients ADD COLUMN wanted TEXT NOT NULL DEFAULT 'all'",
            ],
        },
    ],
    programs: &[
        "CREATE TRIGGER messages_inserted AFTER INSERT ON messages BEGIN
            INSERT INTO counts (status, rows) VALUES (NEW.status, 1)
                ON CONFLICT (status) DO UPDATE SET rows = counts.rows + 1;
        END",
        "CREATE TRIGGER messages_updated AFTER UPDATE OF status ON messages
            WHEN NEW.status <> OLD.status
        BEGIN
            INSERT INTO counts (status, rows) VALUES (OLD.status, -1), (NEW.status, 1)
                ON CONFLICT (status) DO UPDATE SET rows = counts.rows + excluded.rows;
        END",
    ],
};

/// Begins with the status, so that it is taken before the one by status alone.
const MESSAGES_DUE: &str = "CREATE INDEX messages_due ON messages (status, due_at) WHERE status = 'Pending'";

/// To find those that are kept for too long.
const MESSAGES_KEPT: &str = "CREATE INDEX messages_kept ON messages (created_at) WHERE body <> ''";

/// A message in this worker's hands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) seq: i64,
    pub(crate) id: String,
    pub(crate) order_id: u64,
    pub(crate) customer_id: Option<u64>,
    /// Which text it is; of messages from before texts had codes, the name of the event.
    pub(crate) template: String,
    pub(crate) variables: Vec<(String, String)>,
    pub(crate) language: String,
    pub(crate) body: String,
    /// The customer's telephone, as far as it is known by now.
    pub(crate) phone: Option<String>,
    /// Which try this is, from 1.
    pub(crate) attempts: u32,
}

const CLAIMED: &str = "RETURNING seq, status, id, order_id, customer_id, language, body, attempts, variables,
    CASE template WHEN '' THEN event ELSE template END AS template,
    (SELECT phone FROM recipients WHERE recipients.customer_id = messages.customer_id) AS phone";

/// Writes messages in the hands of this worker until `until`; those that are there already stay as they are and are not
/// answered. Read the answer with [`claimed`].
pub(crate) fn add(messages: &[Message], now: Timestamp, until: Timestamp) -> Statement {
    let id = if faults::guard("notification.once") {
        "value ->> 'id'"
    } else {
        "value ->> 'id' || '~' || CAST(random() AS TEXT)"
    };
    Statement::new(format!(
        "INSERT INTO messages
            (created_at, due_at, id, order_id, customer_id, event, language, template, variables, body, attempts, status)
         SELECT $1, $2, {id}, CAST(value ->> 'orderId' AS BIGINT), CAST(value ->> 'customerId' AS BIGINT),
             value ->> 'event', value ->> 'language', value ->> 'template', value ->> 'variables', value ->> 'body', 1,
             CASE WHEN value ->> 'kind' = 'progress' AND EXISTS (SELECT 1 FROM recipients
                 WHERE customer_id = CAST(value ->> 'customerId' AS BIGINT) AND wanted = 'needed')
                 THEN 'Unwanted' ELSE 'Pending' END
         FROM json_each($3) WHERE true
         ON CONFLICT (id) DO NOTHING {CLAIMED}"
    ))
    .bind(now.to_string())
    .bind(until.millis())
    .bind_list(messages)
}

/// Makes due what a clock that was ahead has put off: what waits for longer than a lease lasts and a pause is after so
/// many tries. (Somebody whose clock is behind may so take from another what that one is just sending. It is then sent
/// twice under one id, which the channel knows.)
pub(crate) fn pull_in(now: Timestamp) -> Statement {
    Statement::new(
        "UPDATE messages SET due_at = $1 WHERE status = 'Pending'
            AND due_at > $1 + 1000 * max($2, min($3, CAST(1 AS BIGINT) << CAST(min(attempts - 1, 30) AS INTEGER)))
            AND due_at > $1",
    )
    .bind(now.millis())
    .bind(LEASE)
    .bind(LONGEST_PAUSE)
}

/// Takes up to `limit` messages that are due, oldest first, until `until`, when they are due again. Read the answer with
/// [`claimed`].
pub(crate) fn claim(now: Timestamp, until: Timestamp, limit: u32) -> Statement {
    Statement::new(format!(
        "WITH due AS (
             SELECT seq FROM messages WHERE status = 'Pending' AND due_at <= $1 ORDER BY due_at, seq LIMIT $2
             /*postgres FOR UPDATE SKIP LOCKED*/
         )
         UPDATE messages SET due_at = $3, attempts = attempts + 1, claim = NULL
         WHERE seq IN (SELECT seq FROM due) {CLAIMED}"
    ))
    .bind(now.millis())
    .bind(limit)
    .bind(until.millis())
}

/// Reads what this worker has taken, oldest first (an `UPDATE` returns its rows in any order).
pub(crate) fn claimed(rows: &[Row]) -> Result<Vec<Claimed>, StoreError> {
    // What nobody wants is written and not sent.
    let wanted =
        rows.iter().filter(|row| row.text("status").is_ok_and(|status| status != Status::Unwanted.as_str()));
    let mut claimed = wanted.map(Claimed::read).collect::<Result<Vec<_>, _>>()?;
    claimed.sort_by_key(|message| message.seq);
    Ok(claimed)
}

impl Claimed {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            seq: row.int("seq")?,
            id: row.text("id")?.to_owned(),
            order_id: row.count("order_id")?,
            customer_id: row.opt_count("customer_id")?,
            template: row.text("template")?.to_owned(),
            variables: serde_json::from_str(row.text("variables")?)
                .map_err(|error| StoreError::Failure(format!("`variables`: {error}")))?,
            language: row.text("language")?.to_owned(),
            body: row.text("body")?.to_owned(),
            phone: row.opt_string("phone")?,
            attempts: row.number("attempts", u32::try_from)?,
        })
    }
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conclusion {
    pub(crate) seq: i64,
    pub(crate) attempts: u32,
    pub(crate) verdict: Verdict,
    /// What the channel complained about, for the operator who looks into the store.
    pub(crate) problem: Option<String>,
}

/// Writes down what became of messages.
///
/// Whoever lost a message by holding it for too long may still say that it is sent, since that is a fact; when
/// to try again is for its new holder to say. (`<>` keeps SQLite from going through everything that waits, for want of
/// knowing how few these are.)
pub(crate) fn conclude(conclusions: &[Conclusion], now: Timestamp) -> Statement {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Concluded<'a> {
        seq: i64,
        attempts: u32,
        status: Status,
        due_at: i64,
        sent_at: Option<Timestamp>,
        problem: Option<&'a str>,
    }
    let concluded = conclusions.iter().map(|conclusion| {
        let (status, due, sent_at) = match conclusion.verdict {
            Verdict::Sent { at } => (Status::Sent, now, Some(at)),
            Verdict::Failed => (Status::Failed, now, None),
            Verdict::Retry { due } => (Status::Pending, due, None),
        };
        let Conclusion { seq, attempts, problem, .. } = conclusion;
        let (due_at, problem) = (due.millis(), problem.as_deref());
        Concluded { seq: *seq, attempts: *attempts, status, due_at, sent_at, problem }
    });
    Statement::new(
        "WITH concluded AS (
            SELECT CAST(value ->> 'seq' AS BIGINT) AS seq, CAST(value ->> 'attempts' AS BIGINT) AS attempts,
                value ->> 'status' AS status, CAST(value ->> 'dueAt' AS BIGINT) AS due_at,
                value ->> 'sentAt' AS sent_at, value ->> 'problem' AS problem
            FROM json_each($1)
         )
         UPDATE messages SET status = concluded.status, due_at = concluded.due_at, sent_at = concluded.sent_at,
             problem = coalesce(concluded.problem, messages.problem), claim = NULL
         FROM concluded
         WHERE messages.seq = concluded.seq AND messages.status <> 'Sent' AND messages.status <> 'Failed'
             AND (messages.attempts = concluded.attempts OR concluded.status = 'Sent')",
    )
    .bind_list(concluded)
}

/// Empties up to 1000 messages that were written before `before` and no longer wait, and has them overwritten: of each is left that
/// there was one, since an event that is told again must not be written about again.
pub(crate) async fn empty(storage: &impl Storage, before: Timestamp) -> Result<(), StoreError> {
    let [due, empty] = ask_empty(before);
    store::forget_due(storage, &due, &empty).await
}

fn ask_empty(before: Timestamp) -> [Statement; 2] {
    let due = "SELECT seq FROM messages WHERE body <> '' AND created_at < $1 AND status <> 'Pending' LIMIT 1";
    let empty =
        "UPDATE messages SET body = '', variables = '[]', customer_id = NULL, problem = NULL WHERE seq IN
        (SELECT seq FROM messages WHERE body <> '' AND created_at < $1 AND status <> 'Pending'
         ORDER BY created_at LIMIT 1000)";
    [due, empty].map(|sql| Statement::new(sql).bind(before.to_string()))
}

/// Keeps the newest title told about each course, each with its version.
pub(crate) fn keep_courses(courses: &[(u64, &Course)]) -> Statement {
    Statement::new(
        "INSERT INTO courses (edu_no, version, title)
         SELECT CAST(value ->> 'eduNo' AS BIGINT), CAST(value ->> 'version' AS BIGINT), value ->> 'title'
         FROM json_each($1) WHERE true
         ON CONFLICT (edu_no) DO UPDATE SET version = excluded.version, title = excluded.title
             WHERE excluded.version > courses.version",
    )
    .bind_versioned(courses)
}

/// The titles of some courses; those that have not been heard of are missing.
pub(crate) async fn titles(
    storage: &impl Storage,
    courses: impl IntoIterator<Item = EduNo>,
) -> Result<HashMap<EduNo, String>, StoreError> {
    let rows = ask_titles(courses).rows(storage).await?;
    rows.iter().map(|row| Ok((row.number("edu_no", EduNo::parse)?, row.text("title")?.to_owned()))).collect()
}

fn ask_titles(courses: impl IntoIterator<Item = EduNo>) -> Statement {
    Statement::new(
        "SELECT edu_no, title FROM courses
         WHERE edu_no IN (SELECT CAST(value ->> 'v' AS BIGINT) FROM json_each($1))",
    )
    .bind_values(courses)
}

/// One message as it is read, and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Found {
    /// Counts the messages as they were written, from 1.
    #[serde(skip)]
    pub(crate) seq: u64,
    pub(crate) id: String,
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: Option<CustomerId>,
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
        let text = |column| row.text(column).map(str::to_owned);
        Ok(Self {
            seq: row.count("seq")?,
            id: text("id")?,
            order_id: row.number("order_id", OrderId::parse)?,
            customer_id: row.opt_number("customer_id", CustomerId::parse)?,
            event: text("event")?,
            language: text("language")?,
            body: text("body")?,
            status: text("status")?,
            attempts: row.count("attempts")?,
            created_at: text("created_at")?,
            sent_at: row.opt_string("sent_at")?,
        })
    }
}

/// Which messages are wanted; what is none does not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter<'a> {
    pub(crate) order_id: Option<OrderId>,
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) status: Option<Status>,
    /// Whose; none is everybody's.
    pub(crate) owners: Option<&'a Owners>,
}

impl Filter<'_> {
    fn conditions(self) -> store::Filter {
        store::Filter::default()
            .equal("order_id", self.order_id.map(OrderId::get))
            .equal("customer_id", self.customer_id.map(CustomerId::get))
            .equal("status", self.status.map(Status::as_str))
            .owned("", self.owners)
    }

    fn ask_list(self, page: &Page) -> Statement {
        self.conditions().page(FOUND, "seq", page)
    }

    fn ask_total(self) -> Statement {
        // The triggers count by status.
        self.conditions().all(match self {
            Self { order_id: None, customer_id: None, owners: None, .. } => {
                "SELECT CAST(coalesce(sum(rows), 0) AS BIGINT) AS total FROM counts"
            }
            _ => "SELECT count(*) AS total FROM messages",
        })
    }
}

/// One message, if there is one of that id.
pub(crate) async fn find(storage: &impl Storage, id: &str) -> Result<Option<Found>, StoreError> {
    let row = store::Filter::default().equal("id", Some(id)).all(FOUND).row(storage).await?;
    row.as_ref().map(Found::read).transpose()
}

/// One page of the messages that a filter lets through, in the order in which they were written or against it.
pub(crate) async fn list(
    storage: &impl Storage,
    filter: Filter<'_>,
    page: &Page,
) -> Result<Vec<Found>, StoreError> {
    filter.ask_list(page).rows(storage).await?.iter().map(Found::read).collect()
}

pub(crate) async fn total(storage: &impl Storage, filter: Filter<'_>) -> Result<u64, StoreError> {
    filter.ask_total().total(storage).await
}

#[cfg(test)]
mod tests;
