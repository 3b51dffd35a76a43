//! The append-only table of events.

/// The statements that make the table; the first ones of every event-sourced context's schema.
///
/// `UNIQUE (subject, version)` is what makes two decisions from the same state exclude each other. `sent` says
/// where in the stream the relay has put the event (`Position`): the rows with 0 are the outbox, and whoever sets it
/// to 0 has the event sent again.
///
/// `log` has one row. `reached` is how far the stream has come: where it turns out to be behind that, Redis has lost
/// something. `losses` counts how often that was found. `acknowledged` is the last of those events, counted from the
/// first, that every group has acknowledged: should Redis lose them, nobody misses them. Whoever has one of
/// them sent again takes it back up to there.
pub const EVENTS_TABLE: [&str; 6] = [EVENTS, EVENTS_UNSENT, LOG, LOG_BEGINS, EVENTS_SENT, EVENTS_SENT_AGAIN];

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

const LOG: &str = "CREATE TABLE IF NOT EXISTS log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reached INTEGER NOT NULL,
    losses INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
)";

const LOG_BEGINS: &str = "INSERT OR IGNORE INTO log (id, reached, losses, acknowledged) SELECT 1, coalesce(max(sent), 0), 0, 0 FROM events";

const EVENTS_SENT: &str = "CREATE TRIGGER IF NOT EXISTS events_sent
    AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
    BEGIN
        UPDATE log SET reached = NEW.sent WHERE reached < NEW.sent;
    END";

const EVENTS_SENT_AGAIN: &str = "CREATE TRIGGER IF NOT EXISTS events_sent_again
    AFTER UPDATE OF sent ON events WHEN NEW.sent = 0
    BEGIN
        UPDATE log SET acknowledged = NEW.seq - 1 WHERE acknowledged >= NEW.seq;
    END";
