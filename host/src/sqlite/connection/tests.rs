//! What one connection does, without the database around it.

use std::time::Instant;

use super::*;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) \
                    SELECT count(*) FROM n";

/// A file with one table, whose directory goes with it.
struct File {
    path: std::path::PathBuf,
    _directory: tempfile::TempDir,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
            .unwrap();
        Self { path, _directory: directory }
    }

    fn open(&self, purpose: Purpose) -> Connection {
        Connection::open(&self.path, purpose).unwrap()
    }
}

fn run(connection: &Connection, sql: &str) -> Result<usize, Error> {
    let mut rows = 0;
    connection.run(sql, &[], drop, |_| {
        rows += 1;
        true
    })?;
    Ok(rows)
}

/// All on one connection, and twice: what one statement announced must not be held against the next.
#[test]
fn each_statement_is_sent_where_it_can_run() {
    let file = File::new();
    let connection = file.open(Purpose::Writing);
    run(&connection, "CREATE VIEW seen AS SELECT id FROM t").unwrap();
    run(&connection, "CREATE VIEW loud AS SELECT upper('x') AS word").unwrap();
    run(&connection, "CREATE TABLE log (id)").unwrap();
    let trigger = "CREATE TRIGGER note INSTEAD OF INSERT ON seen BEGIN INSERT INTO log VALUES (last_insert_rowid()); END";
    run(&connection, trigger).unwrap();
    let classes = [
        ("SELECT 1", Class::Read),
        ("-- first a word\nSELECT * FROM t", Class::Read),
        ("WITH n AS (SELECT 1) SELECT * FROM n", Class::Read),
        ("SELECT word FROM loud", Class::Read),
        ("VALUES ('BEGIN')", Class::Read),
        ("PRAGMA user_version", Class::Read),
        ("PRAGMA User_Version", Class::Read),
        ("PRAGMA table_info(t)", Class::Read),
        ("PRAGMA integrity_check", Class::Read),
        ("INSERT INTO t (v) VALUES (1)", Class::Write),
        ("WITH n AS (SELECT 1) INSERT INTO t (v) SELECT * FROM n", Class::Write),
        ("INSERT INTO t (id) VALUES (1) ON CONFLICT DO UPDATE SET v = 2", Class::Write),
        ("REPLACE INTO t VALUES (1, 2)", Class::Write),
        ("INSERT INTO seen VALUES (1)", Class::Write),
        ("UPDATE t SET v = 1", Class::Write),
        ("DELETE FROM t", Class::Write),
        ("CREATE TABLE u (id)", Class::Write),
        ("CREATE INDEX by_v ON t (v)", Class::Write),
        ("ALTER TABLE t ADD COLUMN w", Class::Write),
        ("DROP TABLE log", Class::Write),
        ("PRAGMA user_version = 3", Class::Write),
        ("BEGIN", Class::Own),
        ("COMMIT", Class::Own),
        ("ROLLBACK", Class::Own),
        ("SAVEPOINT s", Class::Own),
        ("DETACH 'ot' || 'her'", Class::Own),
        ("PRAGMA foreign_keys = ON", Class::Own),
        ("PRAGMA secure_delete = ON", Class::Own),
        ("PRAGMA journal_mode = WAL", Class::Own),
        ("PRAGMA journal_mode", Class::Own),
        ("VACUUM", Class::Own),
    ];
    for _ in 0..2 {
        for (sql, class) in classes {
            assert_eq!(connection.classify(sql).unwrap(), class, "{sql}");
        }
    }
}

#[test]
fn a_connection_for_reading_writes_nothing() {
    let file = File::new();
    let refusal = run(&file.open(Purpose::Reading), "INSERT INTO t VALUES (1, 1)").unwrap_err();
    assert!(format!("{refusal:?}").contains("readonly"), "{refusal:?}");
    assert_eq!(run(&file.open(Purpose::Reading), "SELECT * FROM t").unwrap(), 0);
}

#[test]
fn what_is_to_be_brief_ends_soon_and_says_whether_it_was_for_that() {
    let file = File::new();
    let connection = file.open(Purpose::Reading);
    let (result, ran_out) = connection.briefly(|| run(&connection, ENDLESS));
    assert!(result.is_err() && ran_out);
    let (result, ran_out) = connection.briefly(|| run(&connection, "SELECT * FROM absent"));
    assert!(result.is_err() && !ran_out);
    let (result, ran_out) = connection.briefly(|| run(&connection, "SELECT * FROM t"));
    assert!(result.unwrap() == 0 && !ran_out);
    // And only that: afterwards there is time again.
    assert_eq!(run(&connection, LONG).unwrap(), 1);
}

#[test]
fn what_is_to_be_brief_waits_for_no_lock_and_everything_else_does() {
    let file = File::new();
    let connection = file.open(Purpose::Reading);
    let other = rusqlite::Connection::open(&file.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let begun = Instant::now();
    let (result, ran_out) = connection.briefly(|| run(&connection, "SELECT * FROM t"));
    assert!(format!("{:?}", result.unwrap_err()).contains("locked") && !ran_out);
    assert!(begun.elapsed() < BUSY_TIMEOUT / 2, "{:?}", begun.elapsed());
    let release = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        other.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(run(&connection, "SELECT * FROM t").unwrap(), 0);
    release.join().unwrap();
}

#[test]
fn a_lock_is_waited_for_five_seconds_and_looked_at_often_at_first() {
    let pauses: Vec<_> = (0..).map_while(pause_after).collect();
    assert_eq!(pauses.iter().sum::<Duration>(), BUSY_TIMEOUT);
    assert!(pauses.starts_with(&[Duration::from_millis(1); 50]), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(5)), "{pauses:?}");
    assert_eq!((pause_after(i32::MAX), pause_after(-1)), (None, None));
}
