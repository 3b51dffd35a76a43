//! A process that ends in the middle of taking a store over.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::fixtures::{System, database, number, rows, shape};
use rusqlite::Connection;
use store::native::Sqlite;

/// What the child process is told to open.
const PATH: &str = "MIGRATIONS_TEST_PATH";

/// So many times the events, so that taking them over takes more than a moment.
const TIMES: u32 = 2_000;

/// The write-ahead log of a store that is taken over is longer than this long before it commits.
const IN_THE_MIDDLE: u64 = 256 * 1024;

#[test]
fn a_store_whose_takeover_is_killed_is_as_it_was() {
    if let Some(path) = std::env::var_os(PATH) {
        // The child: takes the store over, until it is killed.
        Sqlite::file(Path::new(&path), database("order")).unwrap();
        return;
    }
    let system = System::one("schema-3", "order");
    let many = format!(
        "INSERT INTO events (subject, version, type, data, time, sent)
            WITH RECURSIVE times (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < {TIMES})
            SELECT subject || '-' || n, version, type, data, time, sent FROM events, times"
    );
    system.open("order").execute_batch(&many).unwrap();
    let path = system.path("order");
    let before = (number(&system.open("order"), "SELECT count(*) FROM events"), shape(&system.open("order")));
    let killed = (0..20).find(|attempt| {
        let copy = path.with_file_name(format!("order-{attempt}.db"));
        fs::copy(&path, &copy).unwrap();
        let had_begun = kill_in_the_middle(&copy);
        let store = Connection::open(&copy).unwrap();
        if !had_begun || number(&store, "PRAGMA user_version") != 3 {
            // It was too fast.
            return false;
        }
        assert_eq!((number(&store, "SELECT count(*) FROM events"), shape(&store)), before);
        assert_eq!(rows(&store, "orders"), rows(&system.open("order"), "orders"));
        drop(store);
        drop(Sqlite::file(&copy, database("order")).unwrap());
        let store = Connection::open(&copy).unwrap();
        assert_eq!(number(&store, "SELECT count(*) FROM events"), before.0);
        assert_eq!(number(&store, "SELECT count(*) FROM versions"), 1);
        true
    });
    assert!(killed.is_some(), "no process was killed before it had committed");
}

/// Has another process take over the store at `path`, and kills it there if it can; whether that had written by then.
fn kill_in_the_middle(path: &Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cut_off::a_store_whose_takeover_is_killed_is_as_it_was"])
        .env(PATH, path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap().to_str().unwrap()));
    let written = || fs::metadata(&log).map_or(0, |log| log.len());
    let patience = Instant::now() + Duration::from_secs(60);
    while written() < IN_THE_MIDDLE && child.try_wait().unwrap().is_none() && Instant::now() < patience {
        std::thread::yield_now();
    }
    let had_begun = written() >= IN_THE_MIDDLE;
    child.kill().unwrap();
    child.wait().unwrap();
    had_begun
}
