//! A store of the release that kept an outbox is taken over.

use super::*;
use store::Step;
use store::native::Sqlite;

/// The tables of that release, as it made them.
const OUTBOX: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    time TEXT NOT NULL,
    traceparent TEXT,
    sent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (subject, version)
)",
    "CREATE INDEX IF NOT EXISTS events_unsent ON events (seq) WHERE sent = 0",
    "CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reached INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
)",
    "CREATE TRIGGER IF NOT EXISTS stream_reached
    AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
    BEGIN
        UPDATE stream SET reached = NEW.sent WHERE reached < NEW.sent;
    END",
    "CREATE TRIGGER IF NOT EXISTS stream_acknowledged
    AFTER UPDATE OF sent ON events WHEN NEW.sent = 0
    BEGIN
        UPDATE stream SET acknowledged = NEW.seq - 1 WHERE acknowledged >= NEW.seq;
    END",
    "INSERT OR IGNORE INTO stream (id, reached, epoch, acknowledged)
    SELECT 1, coalesce(max(sent), 0), 0, 0 FROM events",
];

/// Its schema; and this release's, of which the steps are all that is needed here.
static OLD: Schema = Schema { version: 1, oldest_code: 1, tables: &OUTBOX, steps: &[], programs: &[] };
static NEW: Schema = Schema {
    version: 2,
    oldest_code: 2,
    tables: &[tables::EVENTS, tables::LOG, tables::LOG_BEGINS],
    steps: &[
        Step { to: 2, statements: &tables::FROM_OUTBOX },
        Step { to: 2, statements: &[tables::WITH_ACTORS] },
    ],
    programs: &[programs::DECISIONS, programs::APPEND_EVENT, programs::PROJECTION],
};

/// The number that stood for the id of an entry.
const fn sent(millisecond: i64, number: i64) -> i64 {
    millisecond << 21 | number
}

/// A store with `events` that stand in the stream there, brought to this release.
fn taken_over(events: &[i64], acknowledged: i64) -> Sqlite {
    let store = Sqlite::in_memory(&Database::new("test", &OLD)).unwrap();
    for (index, sent) in events.iter().enumerate() {
        let sql = format!(
            "INSERT INTO events (subject, version, type, data, time, traceparent)
                VALUES ('{index}', 1, 'ReservationConfirmed', '{{}}', 'then', 'trace')"
        );
        store.run(&sql, &[]).unwrap();
        store.run(&format!("UPDATE events SET sent = {sent} WHERE subject = '{index}'"), &[]).unwrap();
    }
    store.run(&format!("UPDATE stream SET acknowledged = {acknowledged}"), &[]).unwrap();
    store.migrate(&Database::new("test", &NEW)).unwrap();
    store
}

fn generation(store: &Sqlite) -> i64 {
    store.number("SELECT generation FROM log").unwrap()
}

#[test]
fn its_events_keep_their_places_and_what_they_say() {
    let store = taken_over(&[sent(1_000, 0), 1, 0], 0);
    let rows = store.run("SELECT * FROM events ORDER BY position", &[]).unwrap();
    let read: Vec<_> =
        rows.iter().map(|row| (row.count("position").unwrap(), row.text("subject").unwrap())).collect();
    assert_eq!(read, [(1, "0"), (2, "1"), (3, "2")]);
    assert_eq!((rows[0].text("time").unwrap(), rows[0].text("traceparent").unwrap()), ("then", "trace"));
    // And the next one comes behind them.
    let next = "INSERT INTO events (subject, version, type, data, time) VALUES ('9', 1, '', '', '')";
    store.run(next, &[]).unwrap();
    assert_eq!(store.number("SELECT max(position) FROM events").unwrap(), 4);
    assert!(store.run(next, &[]).is_err());
}

#[test]
fn its_tables_come_to_look_like_new_ones() {
    let (old, new) = (taken_over(&[5], 0), Sqlite::in_memory(&Database::new("test", &NEW)).unwrap());
    for table in ["events", "log"] {
        let columns =
            format!("SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{table}')");
        let shown = |store: &Sqlite| format!("{:?}", store.run(&columns, &[]).unwrap());
        assert_eq!(shown(&old), shown(&new));
    }
    let names = "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
    let names = |store: &Sqlite| format!("{:?}", store.run(names, &[]).unwrap());
    assert_eq!(names(&old), names(&new));
}

#[test]
fn its_floor_is_what_all_had_acknowledged() {
    let store = taken_over(&[sent(1_000, 0), sent(1_000, 1), sent(1_001, 0)], 2);
    assert_eq!(store.number("SELECT floor FROM log").unwrap(), 2);
}

#[test]
fn its_generation_is_above_every_id_that_the_old_relay_wrote() {
    let now = Timestamp::now().millis();
    let day = 86_400_000;
    // Whatever its store says of them: ids are given by Redis's clock, and a relay may have ended before it marked.
    for known in [&[][..], &[0, 1], &[sent(1_000, 7)]] {
        let generation = generation(&taken_over(known, 0));
        assert!((now + day - 1_000..now + day + 60_000).contains(&generation), "{generation}");
    }
    let ahead = now + 400 * day;
    assert_eq!(generation(&taken_over(&[sent(1_000, 0), sent(ahead, 3), 0], 0)), ahead + day);
    // Far from where the numbers end that Redis's scripts can count with.
    assert!(generation(&taken_over(&[i64::MAX], 0)) < 1 << 53);
}
