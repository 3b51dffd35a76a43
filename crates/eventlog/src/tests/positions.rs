//! On PostgreSQL, where many commit at once, and the relay gives the positions.

use super::store::{DATABASE, data};
use crate::relay::NUMBER;
use std::sync::Barrier;
use store::native::{Engine, Store};
use store::{StoreError, Value};

/// Two connections to one store.
fn two() -> (Store, Store) {
    let one = Engine::Postgres.run(|| Store::new(&DATABASE));
    let other = one.address(&DATABASE).unwrap().connect().unwrap();
    (one, other)
}

fn insert(store: &Store, subject: u64, version: i64) -> Result<(), StoreError> {
    let sql = "INSERT INTO events (subject, version, type, data, time) VALUES ($1, $2, 'Paid', $3, '')";
    let params = [Value::Text(subject.to_string()), Value::Integer(version), Value::Text(data(subject))];
    store.run(sql, &params).map(drop)
}

fn run(store: &Store, sql: &str) {
    store.run(sql, &[]).unwrap();
}

/// Each event with its position, in that order.
fn numbered(store: &Store) -> Vec<String> {
    let sql = "SELECT position, subject, version FROM events WHERE position IS NOT NULL ORDER BY position";
    let shown = |row: &store::Row| {
        let [position, version] = ["position", "version"].map(|column| row.count(column).unwrap());
        format!("{position} {}:{version}", row.text("subject").unwrap())
    };
    store.run(sql, &[]).unwrap().iter().map(shown).collect()
}

#[test]
fn what_commits_late_comes_behind_what_was_told_before() {
    let (one, other) = two();
    run(&one, "BEGIN");
    insert(&one, 1, 1).unwrap();
    insert(&other, 2, 1).unwrap();
    run(&other, NUMBER);
    assert_eq!(numbered(&other), ["1 2:1"]);
    run(&one, "COMMIT");
    insert(&other, 3, 1).unwrap();
    run(&other, NUMBER);
    assert_eq!(numbered(&other), ["1 2:1", "2 1:1", "3 3:1"]);
}

#[test]
fn what_was_never_committed_leaves_no_gap() {
    let (one, _) = two();
    insert(&one, 1, 1).unwrap();
    run(&one, "BEGIN");
    insert(&one, 2, 1).unwrap();
    run(&one, "ROLLBACK");
    assert!(insert(&one, 1, 1).unwrap_err().is_conflict());
    insert(&one, 1, 2).unwrap();
    run(&one, NUMBER);
    assert_eq!(numbered(&one), ["1 1:1", "2 1:2"]);
}

#[test]
fn two_relays_that_give_the_same_position_at_once_exclude_each_other() {
    let (one, other) = two();
    // One sees what the other does not, and the other is the first to commit.
    run(&other, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    assert_eq!(other.number("SELECT count(*) FROM events").unwrap(), 0);
    insert(&other, 1, 1).unwrap();
    insert(&one, 2, 1).unwrap();
    run(&one, NUMBER);
    assert_eq!(
        other.run(NUMBER, &[]).unwrap_err(),
        StoreError::Unique { constraint: "events_position_key".to_owned() }
    );
    run(&other, "ROLLBACK");
    assert_eq!(numbered(&one), ["1 2:1"]);
}

#[test]
fn however_many_relays_number_while_others_commit_no_position_is_missing_or_twice() {
    const WRITERS: u64 = 3;
    const EACH: i64 = 40;
    let (one, _) = two();
    let address = one.address(&DATABASE).unwrap();
    let (connect, begin) = (|| address.connect().unwrap(), Barrier::new(5));
    let (connect, begin) = (&connect, &begin);
    std::thread::scope(|scope| {
        for writer in 1..=WRITERS {
            scope.spawn(move || {
                let store = connect();
                begin.wait();
                for version in 1..=EACH {
                    run(&store, "BEGIN");
                    insert(&store, writer, version).unwrap();
                    insert(&store, writer + 100, version).unwrap();
                    run(&store, "COMMIT");
                }
            });
        }
        for _relay in 0..2 {
            scope.spawn(move || {
                let store = connect();
                begin.wait();
                for _ in 0..60 {
                    if let Err(error) = store.run(NUMBER, &[]) {
                        assert!(error.is_conflict(), "{error}");
                    }
                }
            });
        }
    });
    run(&one, NUMBER);
    let all = numbered(&one);
    assert_eq!(all.len(), 2 * 3 * 40);
    let mut versions = std::collections::BTreeMap::new();
    for (place, shown) in (1..).zip(&all) {
        let (position, event) = shown.split_once(' ').unwrap();
        let (subject, version) = event.split_once(':').unwrap();
        assert_eq!(position, format!("{place}"));
        let last = versions.insert(subject, version.parse::<i64>().unwrap()).unwrap_or(0);
        assert_eq!(version, format!("{}", last + 1), "{subject}");
    }
}
