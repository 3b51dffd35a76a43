//! The append-only table of events.

/// The statements that make the table; the first ones of every event-sourced context's schema.
///
/// `UNIQUE (subject, version)` is what makes two decisions from the same state exclude each other. `sent` says
/// where in the stream the relay has put the event (`Position`): the rows with 0 are the outbox, and whoever sets it
/// to 0 has the event sent again.
///
/// `stream` has one row. `reached` is how far the stream has come: where it turns out to be behind that, Redis has lost
/// something. `epoch` counts the runs of the relay that had something to do. `acknowledged` is the last of those events,
/// counted from the first, that every group has acknowledged: should Redis lose them, nobody misses them. Whoever has
/// one of them sent again takes it back up to there.
pub const EVENTS_TABLE: [&str; 6] =
    [EVENTS, EVENTS_UNSENT, STREAM, STREAM_REACHED, STREAM_ACKNOWLEDGED, STREAM_BEGINS];

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

const STREAM: &str = "CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reached INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
)";

const STREAM_REACHED: &str = "CREATE TRIGGER IF NOT EXISTS stream_reached
    AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
    BEGIN
        UPDATE stream SET reached = NEW.sent WHERE reached < NEW.sent;
    END";

const STREAM_ACKNOWLEDGED: &str = "CREATE TRIGGER IF NOT EXISTS stream_acknowledged
    AFTER UPDATE OF sent ON events WHEN NEW.sent = 0
    BEGIN
        UPDATE stream SET acknowledged = NEW.seq - 1 WHERE acknowledged >= NEW.seq;
    END";

/// After the triggers, so that nothing is sent unseen in between.
const STREAM_BEGINS: &str = "INSERT OR IGNORE INTO stream (id, reached, epoch, acknowledged)
    SELECT 1, coalesce(max(sent), 0), 0, 0 FROM events";
