//! The inbox itself: one row for each message, whoever it is for.

use crate::{Message, Receipt};
use kernel::Timestamp;
use std::collections::HashMap;
use store::{Database, Row, Schema, Statement, Step, Storage, StoreError};

/// The sandbox's own store. Not the notification context's: what a phone shows is not what was meant to be sent.
pub static DATABASE: Database = Database::new("inbox", &SCHEMA);

/// Version 2 is the first that says which code may use it.
static SCHEMA: Schema = Schema {
    version: 3,
    oldest_code: 1,
    tables: &[INBOX, BY_PHONE],
    steps: &[Step { to: 3, statements: &["ALTER TABLE inbox ADD COLUMN phone TEXT", BY_PHONE] }],
    programs: &[],
};

/// `deliveries` counts how often a message was handed over; the person sees it once.
const INBOX: &str = "CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    language TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1,
    phone TEXT
)";

const BY_PHONE: &str = "CREATE INDEX inbox_by_phone ON inbox (phone)";

/// Takes messages, or counts that they were there already; answers with the first receipts either way.
const PUT: &str = "INSERT INTO inbox (message_id, recipient, language, body, phone, at)
    SELECT value ->> 'id', value ->> 'to', value ->> 'language', value ->> 'body', value ->> 'phone', $1
    FROM json_each($2)
    WHERE true
    ON CONFLICT (message_id) DO UPDATE SET deliveries = inbox.deliveries + 1
    RETURNING message_id, seq, at";

/// Puts messages in at `now`, and answers with their receipts, by the messages' ids, when they are on disk.
pub(crate) async fn put(
    storage: &impl Storage,
    messages: impl Iterator<Item = &Message>,
    now: Timestamp,
) -> Result<HashMap<String, Receipt>, StoreError> {
    let mut messages = messages.peekable();
    if messages.peek().is_none() {
        return Ok(HashMap::new());
    }
    let rows = Statement::new(PUT).bind(now.to_string()).bind_list(messages).rows(storage).await?;
    rows.iter().map(|row| Ok((row.text("message_id")?.to_owned(), receipt(row)?))).collect()
}

fn receipt(row: &Row) -> Result<Receipt, StoreError> {
    Ok(Receipt { number: row.count("seq")?, accepted_at: row.text("at")?.to_owned() })
}

/// The newest messages whose ids begin with `prefix`, newest first.
pub(crate) async fn newest(
    storage: &impl Storage,
    prefix: &str,
    limit: u32,
) -> Result<Vec<Message>, StoreError> {
    let newest = Statement::new(
        "SELECT message_id, recipient, phone, language, body FROM inbox
         WHERE substr(message_id, 1, length($1)) = $1 ORDER BY seq DESC LIMIT $2",
    )
    .bind(prefix)
    .bind(limit);
    let rows = newest.rows(storage).await?;
    let text = |row: &Row, column| row.text(column).map(str::to_owned);
    rows.iter()
        .map(|row| {
            Ok(Message {
                id: text(row, "message_id")?,
                to: text(row, "recipient")?,
                phone: row.opt_string("phone")?,
                language: text(row, "language")?,
                template: String::new(),
                variables: Vec::new(),
                body: text(row, "body")?,
            })
        })
        .collect()
}

/// Deletes the messages to a telephone.
pub(crate) async fn forget(storage: &impl Storage, phone: &str) -> Result<(), StoreError> {
    Statement::new("DELETE FROM inbox WHERE phone = $1").bind(phone).run(storage).await?;
    store::wipe(storage).await;
    Ok(())
}
