//! The tables that every context that decides has.

/// The append-only table of events, which is the truth.
///
/// `UNIQUE (subject, version)` is what makes two decisions from the same state exclude each other. `position` is the
/// event's place in the context's log: SQLite has one writer, so the order of commits is the order of the sequence.
///
/// PostgreSQL has many: there it is empty until a relay gives it, and `inserted` is the order of insertion, in which the
/// events of a subject are in the order of their versions.
pub const EVENTS: &str = "CREATE TABLE events (
    position INTEGER /*sqlite PRIMARY KEY AUTOINCREMENT*//*postgres UNIQUE, inserted BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY*/,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    time TEXT NOT NULL,
    traceparent TEXT,
    actor TEXT,
    UNIQUE (subject, version)
)";

/// How the tables of the release that knew no actors become [`EVENTS`]: `actor` is who asked for the event, in which role.
/// Events of before, and what the application does by itself, have none.
pub const WITH_ACTORS: &str = "ALTER TABLE events ADD COLUMN actor TEXT";

/// One row: how the log stands that is made of the events. The entries of its stream are `<generation>-<position>`.
///
/// Up to `floor` every consumer has acknowledged everything: should Redis lose that, nobody misses it. A replay raises
/// `generation` and lowers the floor to where it begins.
pub const LOG: &str = "CREATE TABLE log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    generation INTEGER NOT NULL,
    floor INTEGER NOT NULL
)";

/// The row of [`LOG`].
pub const LOG_BEGINS: &str = "INSERT INTO log (id, generation, floor) VALUES (1, 1, 0)";

/// How the tables of the release that kept an outbox (a column `sent`) become these. Its streams go on in a new
/// generation, behind all ids that it wrote: those began with the time in milliseconds, which `sent` holds above 21 bits.
/// Not all of them are in `sent`, because a relay may have ended between appending and marking, and Redis has a clock of
/// its own. So the generation begins a day later than the later of `sent` and now.
///
/// What all had acknowledged was in no table at first, and in two others before it was in `stream`; of those nothing is
/// taken over, which only means that more is told again should Redis lose it.
pub const FROM_OUTBOX: [&str; 9] = [
    "DROP INDEX IF EXISTS events_unsent",
    "DROP TABLE IF EXISTS acknowledged",
    "DROP TABLE IF EXISTS log",
    "CREATE TABLE IF NOT EXISTS stream (id INTEGER PRIMARY KEY, acknowledged INTEGER NOT NULL)",
    LOG,
    "INSERT INTO log (id, generation, floor)
        SELECT 1, max(coalesce((SELECT max(sent) FROM events), 0) / 2097152, CAST(strftime('%s', 'now') AS INTEGER) * 1000)
            + 86400000, coalesce((SELECT acknowledged FROM stream), 0)",
    "DROP TABLE stream",
    "ALTER TABLE events RENAME COLUMN seq TO position",
    "ALTER TABLE events DROP COLUMN sent",
];
