//! The inbox itself: one row for each message, whoever it is for.

use crate::bindings::exports::sugang::notification::channel::{Message, Receipt};
use kernel::Timestamp;
use store::{Database, StoreError};

/// The sandbox's own store. Not the notification context's: what a phone shows is not what was meant to be sent.
static DATABASE: Database = Database::new("inbox", 1, &[SCHEMA]);

/// `deliveries` counts how often a message was handed over; the person sees it once.
const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS inbox (
    seq INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    recipient TEXT NOT NULL,
    language TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 1
)";

/// Takes a message, or counts that it was there already; answers with the first receipt either way.
const PUT: &str = "INSERT INTO inbox (message_id, recipient, language, body, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (message_id) DO UPDATE SET deliveries = deliveries + 1
    RETURNING seq, at";

/// Puts a message in and answers when it is on disk.
pub(crate) async fn put(message: &Message) -> Result<Receipt, StoreError> {
    let params = [
        store::text(&message.id),
        store::text(&message.to),
        store::text(&message.language),
        store::text(&message.body),
        store::text(Timestamp::now().to_string()),
    ];
    let rows = DATABASE.query(PUT, params).await?;
    let row = rows.first().ok_or_else(|| StoreError::Failure("the inbox gave no receipt".to_owned()))?;
    Ok(Receipt { number: row.count(0)?, accepted_at: row.text(1)?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::{Connection, params};

    #[test]
    fn a_message_sent_again_is_counted_and_gets_the_first_receipt() {
        let inbox = Connection::open_in_memory().unwrap();
        inbox.execute_batch(SCHEMA).unwrap();
        let put = |id: &str, at: &str| -> (i64, String) {
            inbox
                .query_row(PUT, params![id, "7", "ko", "hello", at], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        };
        assert_eq!(put("order:1:1", "first"), (1, "first".to_owned()));
        assert_eq!(put("pay:1:1", "second"), (2, "second".to_owned()));
        assert_eq!(put("order:1:1", "third"), (1, "first".to_owned()));
        let counted: Vec<(String, i64)> = inbox
            .prepare("SELECT message_id, deliveries FROM inbox ORDER BY seq")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(counted, [("order:1:1".to_owned(), 2), ("pay:1:1".to_owned(), 1)]);
    }
}
