//! What sessions promise, asked of real files.

use std::{
    cell::Cell,
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use super::*;
use crate::in_flight::InFlight;

/// A database file in a directory of its own, which goes with it.
struct Fixture {
    database: Arc<Database>,
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let database = open(&directory.path().join("test.db"));
        Self { database, directory }
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join("test.db")
    }
}

fn open(path: &Path) -> Arc<Database> {
    Database::open("test", path, InFlight::default()).unwrap()
}

trait Connect {
    fn connect(&self) -> Session;
}

impl Connect for Arc<Database> {
    fn connect(&self) -> Session {
        Session::new(self.clone())
    }
}

async fn run(session: &Session, sql: &str) -> Result<Vec<Vec<Value>>, Error> {
    run_with(session, sql, Vec::new()).await
}

async fn run_with(session: &Session, sql: &str, parameters: Vec<Value>) -> Result<Vec<Vec<Value>>, Error> {
    let (_, rows) = session.execute(sql.to_owned(), parameters).await?.all().await?;
    Ok(rows.into_iter().map(|row| row.values).collect())
}

async fn run_all(session: &Session, statements: &[&str]) {
    for sql in statements {
        run(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

async fn number(session: &Session, sql: &str) -> i64 {
    match run(session, sql).await.unwrap().as_slice() {
        [row] => integer(row),
        rows => panic!("{sql}: {rows:?}"),
    }
}

fn integer(row: &[Value]) -> i64 {
    match row {
        [Value::Integer(integer)] => *integer,
        other => panic!("{other:?}"),
    }
}

fn message(error: Error) -> String {
    match error {
        Error::Io(message) => message,
        other => panic!("{other:?}"),
    }
}

/// Runs `statements`, the last of which is refused with `expected`.
async fn check_refusal(statements: &[&str], expected: &str) {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let (last, before) = statements.split_last().unwrap();
    run_all(&session, before).await;
    assert_eq!(message(run(&session, last).await.unwrap_err()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_value_comes_back_as_it_went_in() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (a, b, c, d, e)").await.unwrap();
    let values = vec![
        Value::Integer(i64::MIN),
        Value::Real(0.1),
        Value::Text("수강".to_owned()),
        Value::Blob(vec![0, 255]),
        Value::Null,
    ];
    run_with(&session, "INSERT INTO t VALUES (?, ?, ?, ?, ?)", values.clone()).await.unwrap();
    let rows = run(&session, "SELECT * FROM t").await.unwrap();
    assert_eq!(format!("{rows:?}"), format!("{:?}", [values]));
    let answer = session.execute("SELECT a AS x, b FROM t WHERE 0".to_owned(), Vec::new()).await.unwrap();
    assert_eq!(answer.columns, ["x", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_are_in_the_words_of_sqlite() {
    const RV: &str = "CREATE TABLE rv (oid, v, taken, cap, UNIQUE (oid, v), CHECK (taken <= cap))";
    check_refusal(
        &[RV, "INSERT INTO rv VALUES (1, 1, 0, 1)", "INSERT INTO rv VALUES (1, 1, 0, 1)"],
        "UNIQUE constraint failed: rv.oid, rv.v",
    )
    .await;
    check_refusal(&[RV, "INSERT INTO rv VALUES (1, 1, 2, 1)"], "CHECK constraint failed: taken <= cap").await;
    check_refusal(
        &[
            RV,
            "CREATE TRIGGER closed BEFORE INSERT ON rv BEGIN SELECT RAISE(ABORT, 'course closed'); END",
            "INSERT INTO rv VALUES (1, 1, 0, 1)",
        ],
        "course closed",
    )
    .await;
    check_refusal(&["SELECT * FROM absent"], "no such table: absent").await;
    check_refusal(&["SELEC 1"], "near \"SELEC\": syntax error in SELEC 1 at offset 0").await;
    check_refusal(&["SELECT ?1"], "Wrong number of parameters passed to query. Got 0, needed 1").await;
    check_refusal(&["ATTACH '/etc/passwd' AS other"], "not authorized").await;
    check_refusal(&["VACUUM INTO '/tmp/stolen.db'"], "authorization denied").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_reads_what_any_session_was_told_is_written() {
    let fixture = Fixture::new();
    let (writer, reader) = (fixture.database.connect(), fixture.database.connect());
    run(&writer, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
    for id in 1..=200 {
        run_with(&writer, "INSERT INTO t VALUES (?)", vec![Value::Integer(id)]).await.unwrap();
        assert_eq!(number(&reader, "SELECT max(id) FROM t").await, id);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn returning_answers_the_rows_that_were_written() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)").await.unwrap();
    let rows = run(&session, "INSERT INTO t (v) VALUES ('a'), ('b') RETURNING id, v").await.unwrap();
    assert_eq!(
        format!("{rows:?}"),
        r#"[[Value::Integer(1), Value::Text("a")], [Value::Integer(2), Value::Text("b")]]"#
    );
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_lose_nothing_and_each_gets_its_own_error() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run_all(&session, &[
        "CREATE TABLE orders (seq INTEGER PRIMARY KEY AUTOINCREMENT, subject, version, UNIQUE (subject, version))",
        "CREATE TABLE seats (course INTEGER PRIMARY KEY, taken, CHECK (taken <= 100))",
        "INSERT INTO seats VALUES (1, 0)",
        "CREATE VIEW decisions AS SELECT subject, version FROM orders",
        "CREATE TRIGGER decide INSTEAD OF INSERT ON decisions BEGIN
            INSERT INTO orders (subject, version) VALUES (new.subject, new.version);
            UPDATE seats SET taken = taken + 1 WHERE course = 1;
        END",
    ])
    .await;

    // Every subject is decided twice at the same time, and there are seats for 100 of the 300.
    let mut tasks = JoinSet::new();
    for subject in 0..300 {
        for _ in 0..2 {
            let session = fixture.database.connect();
            tasks.spawn(async move {
                let decide = "INSERT INTO decisions VALUES (?, 1)";
                (subject, run_with(&session, decide, vec![Value::Integer(subject)]).await)
            });
        }
    }
    let mut accepted = BTreeSet::new();
    for (subject, result) in tasks.join_all().await {
        match result {
            Ok(_) => assert!(accepted.insert(subject), "{subject} was accepted twice"),
            Err(error) => {
                let message = message(error);
                let full = message == "CHECK constraint failed: taken <= 100";
                let twice = message == "UNIQUE constraint failed: orders.subject, orders.version";
                assert!(full || twice, "{message}");
            }
        }
    }
    assert_eq!(accepted.len(), 100);
    assert_eq!(number(&session, "SELECT taken FROM seats").await, 100);
    let stored = run(&session, "SELECT subject FROM orders ORDER BY subject").await.unwrap();
    assert_eq!(stored.iter().map(|row| integer(row)).collect::<BTreeSet<_>>(), accepted);
    assert_eq!(number(&session, "SELECT count(DISTINCT seq) FROM orders").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_gives_up_the_whole_transaction_fails_alone() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run_all(&session, &[
        "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER thirteen BEFORE INSERT ON t WHEN new.id % 13 = 0 BEGIN SELECT RAISE(ROLLBACK, 'unlucky'); END",
    ])
    .await;
    let mut tasks = JoinSet::new();
    for id in 1..=400_i64 {
        let session = fixture.database.connect();
        tasks.spawn(async move {
            let sql = if id % 17 == 0 { "INSERT INTO child VALUES (?)" } else { "INSERT INTO t VALUES (?)" };
            (id, run_with(&session, sql, vec![Value::Integer(id)]).await)
        });
    }
    let mut stored = 0;
    for (id, result) in tasks.join_all().await {
        match (id % 17, id % 13) {
            (0, _) => assert_eq!(message(result.unwrap_err()), "FOREIGN KEY constraint failed"),
            (_, 0) => assert_eq!(message(result.unwrap_err()), "unlucky"),
            _ => stored += result.map(|_| 1).unwrap(),
        }
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, stored);
    assert_eq!(number(&session, "SELECT count(*) FROM child").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_write_one_file() {
    let fixture = Fixture::new();
    let other = open(&fixture.path());
    run(&fixture.database.connect(), "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, host)")
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let session = if task % 2 == 0 { fixture.database.connect() } else { other.connect() };
        tasks.spawn(async move {
            for _ in 0..50 {
                run_with(&session, "INSERT INTO t (host) VALUES (?)", vec![Value::Integer(task % 2)])
                    .await
                    .unwrap();
            }
        });
    }
    tasks.join_all().await;
    let session = fixture.database.connect();
    assert_eq!(number(&session, "SELECT count(DISTINCT id) FROM t").await, 1600);
    assert_eq!(number(&session, "SELECT count(*) FROM t WHERE host = 1").await, 800);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_many_requests_a_write_waits_for_others_and_among_few_it_does_not() {
    let fixture = Fixture::new();
    let in_flight = InFlight::default();
    let path = fixture.directory.path().join("busy.db");
    let database = Database::open("test", &path, in_flight.clone()).unwrap();
    let session = database.connect();
    run(&session, "CREATE TABLE t (id)").await.unwrap();
    let fastest_write = async || {
        let mut fastest = Duration::MAX;
        for _ in 0..10 {
            let begun = Instant::now();
            run(&session, "INSERT INTO t VALUES (1)").await.unwrap();
            fastest = fastest.min(begun.elapsed());
        }
        fastest
    };
    let among_few = fastest_write().await;
    let present: Vec<_> = (0..100).map(|_| in_flight.begin()).collect();
    let among_many = fastest_write().await;
    assert!(among_many >= Duration::from_millis(12), "{among_many:?}");
    assert!(among_few < among_many, "{among_few:?}");
    drop(present);
    assert_eq!(in_flight.count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_start_at_once_share_a_new_file() {
    for _ in 0..100 {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new.db");
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let path = path.clone();
            tasks.spawn(async move {
                let database = tokio::task::spawn_blocking(move || open(&path)).await.unwrap();
                run(&database.connect(), "CREATE TABLE IF NOT EXISTS t (id)").await.unwrap();
                run(&database.connect(), "INSERT INTO t VALUES (1)").await.unwrap();
                database
            });
        }
        let databases = tasks.join_all().await;
        assert_eq!(number(&databases[0].connect(), "SELECT count(*) FROM t").await, 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_is_its_sessions_own_until_it_ends() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.database.connect(), fixture.database.connect());
    run_all(&session, &["CREATE TABLE t (id INTEGER PRIMARY KEY)", "BEGIN", "INSERT INTO t VALUES (1)"])
        .await;
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 1);
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 0);
    run_all(&session, &["SAVEPOINT s", "INSERT INTO t VALUES (2)", "ROLLBACK TO s", "COMMIT"]).await;
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 1);

    run_all(&session, &["-- a comment first\nBEGIN IMMEDIATE", "DELETE FROM t"]).await;
    drop(session);
    run(&other, "INSERT INTO t VALUES (3)").await.unwrap();
    assert_eq!(number(&other, "SELECT count(*) FROM t").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_host_changed_in_the_schema_is_known_at_once() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.database.connect(), open(&fixture.path()).connect());
    run_all(&session, &["CREATE TABLE t (id)", "INSERT INTO t VALUES (1)"]).await;
    for column in ["a", "b", "c"] {
        // Every connection there is has read the schema as it is now.
        for _ in 0..3 {
            assert_eq!(number(&session, "SELECT id FROM t").await, 1);
        }
        run(&other, &format!("ALTER TABLE t ADD COLUMN {column} DEFAULT 7")).await.unwrap();
        assert_eq!(number(&session, &format!("SELECT {column} FROM t")).await, 7);
        run(&session, &format!("UPDATE t SET {column} = 8")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_else_holds_for_too_long_is_an_error_and_nothing_is_written() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (id)").await.unwrap();
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = Instant::now();
    let refusal = run(&session, "INSERT INTO t VALUES (1)").await.unwrap_err();
    assert_eq!(message(refusal), "database is locked");
    assert!(began.elapsed() >= Duration::from_millis(4_900), "{:?}", began.elapsed());
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 0);
    other.execute_batch("ROLLBACK").unwrap();
    run(&session, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(number(&session, "SELECT sum(id) FROM t").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_given_up_before_its_turn_is_not_made() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (id)").await.unwrap();
    let other = rusqlite::Connection::open(fixture.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let first = tokio::spawn({
        let session = session.clone();
        async move { run(&session, "INSERT INTO t VALUES (1)").await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    let second = run(&session, "INSERT INTO t VALUES (2)");
    assert!(tokio::time::timeout(Duration::from_millis(200), second).await.is_err());
    other.execute_batch("ROLLBACK").unwrap();
    first.await.unwrap().unwrap();
    run(&session, "INSERT INTO t VALUES (4)").await.unwrap();
    assert_eq!(number(&session, "SELECT sum(id) FROM t").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_larger_than_the_limit_is_an_error_and_a_write_is_made_all_the_same() {
    const EXPECTED: &str = "query result exceeds limit of 134217728 bytes";
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 130)";
    let megabytes = format!("{numbers} SELECT zeroblob(1048576) FROM n");
    assert_eq!(message(run(&session, &megabytes).await.unwrap_err()), EXPECTED);
    let written = format!("{numbers} INSERT INTO t SELECT i FROM n RETURNING zeroblob(1048576)");
    assert_eq!(message(run(&session, &written).await.unwrap_err()), EXPECTED);
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 130);
    run(&session, "BEGIN").await.unwrap();
    assert_eq!(message(run(&session, &megabytes).await.unwrap_err()), EXPECTED);
    run_all(&session, &["DELETE FROM t WHERE id > 100", "COMMIT"]).await;
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_of_the_hosts_own_has_time_and_its_error_is_told() {
    const LONG: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
        SELECT count(*) FROM n";
    let fixture = Fixture::new();
    for _ in 0..3 {
        let count = |connection: &connection::Connection| {
            connection.prepare(LONG)?.query_row([], |row| row.get::<_, i64>(0))
        };
        assert_eq!(fixture.database.read_with(count).await.unwrap(), 300_000);
    }
    let absent = fixture.database.read_with(|connection| connection.execute("SELECT * FROM absent", []));
    assert_eq!(message(absent.await.unwrap_err()), "no such table: absent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pragmas_do_what_they_say() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.database.connect(), fixture.database.connect());
    let mode = run(&session, "PRAGMA journal_mode = WAL").await.unwrap();
    assert_eq!(format!("{mode:?}"), r#"[[Value::Text("wal")]]"#);
    run(&session, "PRAGMA user_version = 7").await.unwrap();
    assert_eq!(number(&other, "PRAGMA user_version").await, 7);
    assert_eq!(number(&session, "PRAGMA synchronous").await, 2);

    run(&session, "VACUUM").await.unwrap();
    run_all(&session, &["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA optimize", "PRAGMA foreign_keys = ON"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_have_to_stay_on_one_connection_is_refused_by_name() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run_all(&session, &["CREATE TABLE t (id)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"]).await;
    for within in [false, true] {
        for (sql, name) in [
            ("SELECT last_insert_rowid()", "last_insert_rowid()"),
            ("SELECT LAST_INSERT_ROWID()", "last_insert_rowid()"),
            ("UPDATE t SET id = changes()", "changes()"),
            ("SELECT total_changes()", "changes()"),
            ("CREATE TEMP TABLE mine (id)", "temporary tables"),
            ("CREATE TEMP VIEW mine AS SELECT 1", "temporary tables"),
            ("PRAGMA foreign_keys = OFF", "PRAGMA"),
            ("PRAGMA case_sensitive_like = 1", "PRAGMA"),
            ("PRAGMA synchronous = OFF", "PRAGMA"),
        ] {
            for _ in 0..2 {
                let refusal = message(run(&session, sql).await.unwrap_err());
                let expected =
                    refusal.starts_with("the embedded host does not offer") && refusal.contains(name);
                assert!(expected, "{sql}: {refusal}");
            }
            // And the connection is as good as before.
            assert_eq!(number(&session, "SELECT count(*) FROM t").await, 2, "{sql}");
        }
        if !within {
            run(&session, "BEGIN").await.unwrap();
        }
    }
    run(&session, "ROLLBACK").await.unwrap();
    let asks = "WITH asked AS (SELECT changes() AS n) SELECT n FROM asked";
    assert!(message(run(&session, asks).await.unwrap_err()).contains("changes()"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_may_ask_what_it_has_changed_itself() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run_all(
        &session,
        &[
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n)",
            "CREATE VIEW decisions AS SELECT id FROM t",
            "CREATE TRIGGER decide INSTEAD OF INSERT ON decisions BEGIN
            UPDATE t SET n = n + 1 WHERE id = new.id;
            SELECT RAISE(ABORT, 'nothing changed') WHERE changes() = 0;
        END",
            "INSERT INTO t VALUES (1, 0)",
            "INSERT INTO decisions VALUES (1)",
        ],
    )
    .await;
    let refusal = run(&session, "INSERT INTO decisions VALUES (2)").await.unwrap_err();
    assert_eq!(message(refusal), "nothing changed");
    assert_eq!(number(&session, "SELECT n FROM t").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_is_one_transaction_whatever_others_do_meanwhile() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.database.connect(), fixture.database.connect());
    run_all(&session, &["CREATE TABLE t (id)", "PRAGMA user_version = 1", "BEGIN IMMEDIATE"]).await;
    let waiting = tokio::spawn(async move { run(&other, "INSERT INTO t (id) VALUES (1)").await });
    run_all(&session, &["ALTER TABLE t ADD COLUMN v DEFAULT 7", "PRAGMA user_version = 2"]).await;
    assert_eq!(number(&session, "PRAGMA user_version").await, 2);
    assert_eq!(number(&fixture.database.connect(), "PRAGMA user_version").await, 1);
    run(&session, "COMMIT").await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!(number(&session, "SELECT v FROM t").await, 7);
    assert_eq!(number(&session, "PRAGMA user_version").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_flows_and_holds_up_nobody() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let long =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT i FROM n";
    let mut unread = Vec::new();
    for time in 0..20 {
        let answer = session.execute(long.to_owned(), Vec::new()).await.unwrap();
        assert!(answer.rest.is_some(), "time {time}");
        unread.push(answer);
    }
    assert_eq!(number(&session, "SELECT 1").await, 1);
    let (_, rows) = unread.pop().unwrap().all().await.unwrap();
    assert_eq!(rows.len(), 200_000);
    assert_eq!(integer(&rows.last().unwrap().values), 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_when_nobody_waits_for_it() {
    const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)";
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    run(&session, "CREATE TABLE t (id)").await.unwrap();
    let endless = [
        format!("{ENDLESS} SELECT count(*) FROM n"),
        format!("{ENDLESS} INSERT INTO t SELECT i FROM n WHERE i < 0"),
    ];
    for sql in endless {
        let impatient = tokio::time::timeout(std::time::Duration::from_millis(100), run(&session, &sql));
        assert!(impatient.await.is_err());
        // Both the readers and the writer are free again.
        run(&session, "INSERT INTO t VALUES (1)").await.unwrap();
    }
    assert_eq!(number(&session, "SELECT count(*) FROM t").await, 2);
}

#[tokio::test]
async fn a_read_that_is_short_stays_so_however_often_it_runs() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let short = "SELECT 1 UNION SELECT 2 UNION SELECT 3";
    for _ in 0..3_000 {
        run(&session, short).await.unwrap();
    }
    assert_eq!(fixture.database.known(short), Some(statement::Class::Read));
}

#[tokio::test]
async fn a_read_that_once_was_long_no_longer_begins_on_the_thread_that_asks() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let rows =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT count(i) FROM n";
    let count = async |up_to| run_with(&session, rows, vec![Value::Integer(up_to)]).await.unwrap();
    for _ in 0..3 {
        count(10).await;
    }
    assert_eq!(fixture.database.known(rows), Some(statement::Class::Read));
    assert_eq!(integer(&count(100_000).await[0]), 100_000);
    assert_eq!(fixture.database.known(rows), Some(statement::Class::LongRead));

    let bytes = "SELECT hex(zeroblob(?))";
    for size in [10, 10, 300 << 10] {
        run_with(&session, bytes, vec![Value::Integer(size)]).await.unwrap();
    }
    assert_eq!(fixture.database.known(bytes), Some(statement::Class::LongRead));
}

#[tokio::test]
async fn a_read_that_takes_long_does_not_hold_up_the_thread_that_asks() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let sum =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) SELECT sum(i) FROM n";
    let sum = async |upto: i64| {
        let rows = run_with(&session, sum, vec![Value::Integer(upto)]).await.unwrap();
        integer(&rows.concat())
    };
    assert_eq!(sum(10).await, 55);
    // The one thread there is here goes on while the statement, known as a short one, runs.
    let ended = Cell::new(false);
    let long = async {
        let sum = sum(2_000_000).await;
        ended.set(true);
        sum
    };
    let (long, ended_first) = tokio::join!(long, async { ended.get() });
    assert_eq!(long, 2_000_001_000_000);
    assert!(!ended_first);
    assert_eq!(sum(2_000_000).await, 2_000_001_000_000);
}

/// What the child process of the next test is told by.
const CRASHING: &str = "SUGANG_TEST_DATABASE_TO_CRASH_WITH";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_a_crash() {
    use std::io::{BufRead, BufReader, Write};

    if let Some(path) = std::env::var_os(CRASHING) {
        // The child: writes until it is killed, and says what it was told is written.
        let database = open(Path::new(&path));
        run(&database.connect(), "CREATE TABLE t (id INTEGER PRIMARY KEY)").await.unwrap();
        let mut tasks = JoinSet::new();
        for task in 0..16_i64 {
            let session = database.connect();
            tasks.spawn(async move {
                for id in (0..).map(|n| n * 16 + task) {
                    run_with(&session, "INSERT INTO t VALUES (?)", vec![Value::Integer(id)]).await.unwrap();
                    // One write, so that the end of the child leaves no part of a line.
                    std::io::stderr().write_all(format!("written {id}\n").as_bytes()).unwrap();
                }
            });
        }
        tasks.join_all().await;
        return;
    }

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crash.db");
    let name = "sqlite::tests::what_was_answered_survives_a_crash";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", name])
        .env(CRASHING, &path)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut written = BTreeSet::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        written.extend(line.strip_prefix("written ").map(|id| id.parse::<i64>().unwrap()));
        if written.len() == 3000 {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(written.len() >= 3000, "the child wrote only {}", written.len());

    let session = open(&path).connect();
    let stored = run(&session, "SELECT id FROM t").await.unwrap();
    let stored: BTreeSet<i64> = stored.iter().map(|row| integer(row)).collect();
    assert_eq!(written.difference(&stored).count(), 0);
    let integrity = run(&session, "PRAGMA integrity_check").await.unwrap();
    assert_eq!(format!("{integrity:?}"), r#"[[Value::Text("ok")]]"#);
}

/// A floor far below what it does, so that it only fails where groups are not made at all: one
/// fsync each would be some hundred a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn durable_inserts_of_many_share_an_fsync() {
    let fixture = Fixture::new();
    run(&fixture.database.connect(), "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await.unwrap();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let session = fixture.database.connect();
        tasks.spawn(async move {
            for _ in 0..500 {
                let text = vec![Value::Text("a decision of the usual length, more or less".to_owned())];
                run_with(&session, "INSERT INTO t (v) VALUES (?)", text).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let per_second = 32_000.0 / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let session = fixture.database.connect();
    for id in 1..=10_000 {
        run_with(&session, "SELECT v FROM t WHERE id = ?", vec![Value::Integer(id)]).await.unwrap();
    }
    println!("{:.0} reads a second from one task", 10_000.0 / began.elapsed().as_secs_f64());
    println!("{per_second:.0} durable inserts a second from 64 tasks");
    assert!(per_second > 1_000.0, "only {per_second:.0} durable inserts a second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_file_is_attached_however_its_name_is_said() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let other = fixture.path().with_file_name("other.db").display().to_string();
    let (folder, name) = other.split_at(other.len() - 4);
    for sql in [format!("ATTACH '{other}' AS o"), format!("ATTACH '{folder}' || '{name}' AS o")] {
        assert_eq!(message(run(&session, &sql).await.unwrap_err()), "not authorized", "{sql}");
    }
    let refused = run_with(&session, "ATTACH ? AS o", vec![Value::Text(other.clone())]).await;
    assert_eq!(message(refused.unwrap_err()), "not authorized");
    assert!(!Path::new(&other).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_after_the_first_rows_is_an_error_and_not_a_shorter_answer() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
        SELECT abs(CASE i WHEN 100000 THEN -9223372036854775807 - 1 ELSE i END) FROM n";
    for _ in 0..3 {
        let error = message(run(&session, sql).await.unwrap_err());
        assert!(error.contains("integer overflow"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_of_a_transaction_ends_too_when_nobody_waits_for_it() {
    let fixture = Fixture::new();
    let (session, other) = (fixture.database.connect(), fixture.database.connect());
    run_all(&session, &["CREATE TABLE t (id)", "BEGIN IMMEDIATE", "INSERT INTO t VALUES (1)"]).await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    assert!(tokio::time::timeout(Duration::from_millis(100), run(&session, endless)).await.is_err());
    drop(session);
    run(&other, "INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(number(&other, "SELECT sum(id) FROM t").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_slowly_holds_up_no_writer() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    let fill = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        SELECT i FROM n";
    run_all(&session, &["CREATE TABLE t (id INTEGER PRIMARY KEY)", fill]).await;
    let unread = session.execute("SELECT id FROM t".to_owned(), Vec::new()).await.unwrap();
    assert!(unread.rest.is_some());
    run(&session, "INSERT INTO t VALUES (0)").await.unwrap();
    let (columns, rows) = unread.all().await.unwrap();
    assert_eq!((columns, rows.len()), (vec!["id".to_owned()], 20_000));
}

#[test]
fn a_file_that_somebody_goes_on_writing_is_refused_in_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("busy.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE t (id); BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    let refusal = Database::open("test", &path, InFlight::default()).unwrap_err();
    assert!(format!("{refusal:?}").contains("database is locked"), "{refusal:?}");
    assert!(begun.elapsed() >= Duration::from_millis(4_900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn kinds_of_statements_are_not_remembered_without_end() {
    let fixture = Fixture::new();
    let session = fixture.database.connect();
    for n in 0..1024 {
        run(&session, &format!("SELECT {n}")).await.unwrap();
    }
    assert!(fixture.database.known("SELECT 0").is_some());
    run(&session, "SELECT 1024").await.unwrap();
    assert!(fixture.database.known("SELECT 0").is_none());
}

#[test]
fn values_without_content_take_memory_too() {
    let row = RowResult { values: vec![Value::Null; 1000] };
    assert!(row.memory_size() >= 1000 * size_of::<Value>());
}

mod components {
    use wasmtime::component::Resource;

    use super::{bindings::spin::sqlite::sqlite::HostConnection, *};
    use crate::telemetry::Traces;

    async fn open(state: &mut SqliteState, label: &str) -> Result<Resource<Session>, Error> {
        HostConnection::open(state, label.to_owned()).await.unwrap()
    }

    /// What a component that does not want to wait for a stream reads by, without leaving its thread.
    #[tokio::test]
    async fn a_short_read_is_answered_without_waiting_for_anything() {
        let fixture = Fixture::new();
        let session = fixture.database.connect();
        run_all(&session, &["CREATE TABLE t (id)", "INSERT INTO t VALUES (7)", "SELECT id FROM t"]).await;
        let answer = session.execute("SELECT id FROM t".to_owned(), Vec::new());
        let answer = futures::FutureExt::now_or_never(answer).expect("an answer at the first look").unwrap();
        assert_eq!(integer(&answer.head[0].values), 7);
    }

    #[tokio::test]
    async fn a_component_opens_what_it_was_granted_and_no_more_than_it_may_hold() {
        let directory = tempfile::tempdir().unwrap();
        let tables =
            "[mine]\ntype = 'spin'\npath = 'm.db'\n[other]\ntype = 'spin'\npath = 'o.db'".parse().unwrap();
        let path = directory.path();
        let databases = Databases::from_runtime_config(&tables, path, path).unwrap();
        databases.require("test", ["mine", "other"]).unwrap();
        let granted = BTreeSet::from(["mine", "absent"].map(str::to_owned));
        let mut state = SqliteState::new(Arc::new(databases), Arc::new(granted), Traces::default());
        assert!(matches!(open(&mut state, "other").await, Err(Error::AccessDenied)));
        assert!(matches!(open(&mut state, "absent").await, Err(Error::NoSuchDatabase)));
        let mut held = Vec::new();
        for _ in 0..256 {
            held.push(open(&mut state, "mine").await.unwrap());
        }
        assert_eq!(message(open(&mut state, "mine").await.unwrap_err()), "too many connections opened");
        let closed = held.pop().unwrap();
        let again = Resource::new_borrow(closed.rep());
        HostConnection::drop(&mut state, closed).await.unwrap();
        let asked = HostConnection::execute(&mut state, again, "SELECT 1".to_owned(), Vec::new()).await;
        assert!(asked.is_err(), "it is closed");
        open(&mut state, "mine").await.unwrap();
    }
}

mod configuration {
    use super::*;

    fn parse(text: &str) -> anyhow::Result<Databases> {
        Databases::from_runtime_config(&text.parse().unwrap(), Path::new("/state"), Path::new("/base"))
    }

    #[track_caller]
    fn check_refusal(text: &str, parts: &[&str]) {
        let refusal = format!("{:#}", parse(text).unwrap_err());
        for part in parts {
            assert!(refusal.contains(part), "{refusal}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        check_refusal("[orders]\ntype = 'libsql'", &["[sqlite_database.orders]", "\"libsql\"", "\"spin\""]);
        check_refusal("[orders]\npath = 'x'", &["[sqlite_database.orders]", "needs a type"]);
        check_refusal("[orders]\ntype = 'spin'\nurl = 'x'", &["unknown key \"url\""]);
        check_refusal("[orders]\ntype = 'spin'\nallow_attach_file = true", &["\"allow_attach_file\""]);
        check_refusal("[orders]\ntype = 'spin'", &["needs a path", "in memory"]);
        check_refusal("[orders]\ntype = 'spin'\npath = 3", &["path must be a string"]);
        check_refusal("orders = 3", &["[sqlite_database.orders]", "table"]);
    }

    #[test]
    fn a_label_nothing_is_configured_for_is_refused_by_name() {
        let refusal = parse("").unwrap().require("order", ["missing"]).unwrap_err().to_string();
        assert!(refusal.contains("component order") && refusal.contains("\"missing\""), "{refusal}");
    }

    #[tokio::test]
    async fn default_is_under_the_state_directory_and_paths_are_from_the_base() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        let tables = "[orders]\ntype = 'spin'\npath = 'deep/orders.db'\n[same]\ntype = 'spin'\npath = 'deep/orders.db'";
        let databases =
            Databases::from_runtime_config(&tables.parse().unwrap(), &state, directory.path()).unwrap();
        databases.require("order", ["default", "orders", "same"]).unwrap();
        assert!(state.join("sqlite_db.db").exists());
        assert!(directory.path().join("deep/orders.db").exists());
        assert!(Arc::ptr_eq(&databases.get("orders").unwrap(), &databases.get("same").unwrap()));
    }
}
