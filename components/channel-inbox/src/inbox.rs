//! The inbox itself: one row for each message, whoever it is for.

use crate::bindings::exports::sugang::notification::channel::{Message, Receipt};
use kernel::Timestamp;
use store::{Database, Storage, StoreError};

/// The sandbox's own store. Not the notification context's: what a phone shows is not what was meant to be sent.
pub static DATABASE: Database = Database::new("inbox", 1, &[SCHEMA]);

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

/// Puts a message in at `now`, and answers when it is on disk.
pub async fn put(storage: &impl Storage, message: &Message, now: Timestamp) -> Result<Receipt, StoreError> {
    let params = vec![
        store::text(&message.id),
        store::text(&message.to),
        store::text(&message.language),
        store::text(&message.body),
        store::text(now.to_string()),
    ];
    let rows = storage.query(PUT, params).await?;
    let row = rows.first().ok_or_else(|| StoreError::Failure("the inbox gave no receipt".to_owned()))?;
    Ok(Receipt { number: row.count(0)?, accepted_at: row.text(1)?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::native::{Sqlite, at_once};

    #[test]
    fn a_message_sent_again_is_counted_and_gets_the_first_receipt() {
        let inbox = Sqlite::in_memory(&DATABASE).unwrap();
        let put = |id: &str, at: i64| {
            let at = Timestamp::from_millis(at);
            let message = Message {
                id: id.to_owned(),
                to: "7".to_owned(),
                language: "ko".to_owned(),
                body: "hello".to_owned(),
            };
            let receipt = at_once(super::put(&inbox, &message, at)).unwrap().unwrap();
            (receipt.number, receipt.accepted_at)
        };
        let at = |at: i64| Timestamp::from_millis(at).to_string();
        assert_eq!(put("order:1:1", 1), (1, at(1)));
        assert_eq!(put("pay:1:1", 2), (2, at(2)));
        assert_eq!(put("order:1:1", 3), (1, at(1)));
        let rows = inbox.run("SELECT message_id, deliveries FROM inbox ORDER BY seq", &[]).unwrap();
        let counted: Vec<_> = rows.iter().map(|row| (row.text(0).unwrap(), row.int(1).unwrap())).collect();
        assert_eq!(counted, [("order:1:1", 2), ("pay:1:1", 1)]);
        let rows = inbox.run("SELECT recipient, language, body FROM inbox", &[]).unwrap();
        let texts = [0, 1, 2].map(|column| rows[0].text(column).unwrap());
        assert_eq!(texts, ["7", "ko", "hello"]);
    }
}
