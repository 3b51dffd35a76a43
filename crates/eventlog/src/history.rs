//! The append-only table of events.

use kernel::Timestamp;
use kernel::event::Event;
use store::{Database, StoreError, text};

/// The statements that make the table; the first ones of every event-sourced context's schema.
///
/// `UNIQUE (subject, version)` is what makes two decisions from the same state exclude each other. `sent` says
/// where in the stream the relay has put the event (`Position`): the rows with 0 are the outbox, and whoever sets it
/// to 0 has the event sent again.
pub const EVENTS_TABLE: [&str; 2] = [EVENTS, EVENTS_UNSENT];

/// The first statement of [`EVENTS_TABLE`].
const EVENTS: &str = "CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    time TEXT NOT NULL,
    traceparent TEXT,
    sent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (subject, version)
)";

/// The second: finding the outbox does not slow down as the log grows.
const EVENTS_UNSENT: &str = "CREATE INDEX IF NOT EXISTS events_unsent ON events (seq) WHERE sent = 0";

/// One event of a subject's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// From 1, without gaps.
    pub version: u64,
    /// What happened.
    pub event: Event,
    /// When it was decided.
    pub time: Timestamp,
}

/// Everything that happened to `subject` in this context, oldest first, to fold a state from.
pub async fn history(database: &Database, subject: &str) -> Result<Vec<Recorded>, StoreError> {
    let rows = database
        .query(
            "SELECT version, type, data, time FROM events WHERE subject = ? ORDER BY version",
            [text(subject)],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let event = Event::parse(row.text(1)?, row.text(2)?)
                .map_err(|e| StoreError::Failure(format!("the history of {subject}: {e}")))?;
            Ok(Recorded { version: row.count(0)?, event, time: row.parse(3)? })
        })
        .collect()
}
