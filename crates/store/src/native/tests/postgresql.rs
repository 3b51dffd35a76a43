//! What SQLite gives for nothing, on a real PostgreSQL.

use super::*;

const SIZES: &str = "CREATE VIEW sizes AS SELECT a, b AS size FROM t";

static SCHEMA: Schema = Schema {
    version: 1,
    oldest_code: 1,
    tables: &["CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER CONSTRAINT small CHECK (b < 10))"],
    steps: &[],
    programs: &[
        SIZES,
        "CREATE TRIGGER grow INSTEAD OF INSERT ON sizes WHEN NEW.size > 0 BEGIN
            SELECT RAISE(ABORT, 'decision: too old') WHERE NEW.size < coalesce((SELECT b FROM t WHERE a = NEW.a), 0);
            INSERT INTO t (a, b) VALUES (NEW.a, NEW.size) ON CONFLICT (a) DO UPDATE SET b = t.b + excluded.b;
         END",
    ],
};
static DATABASE: Database = Database::new("order", &SCHEMA);

/// A release later: a column more, which the code of the last release can live with.
static EXPANDED: Schema = Schema {
    version: 2,
    tables: &["CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER, c INTEGER NOT NULL DEFAULT 7)"],
    steps: &[Step { to: 2, statements: &["ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 7"] }],
    programs: &["CREATE VIEW sizes AS SELECT a, b + c AS size FROM t"],
    ..SCHEMA
};
static LATER: Database = Database::new("order", &EXPANDED);

static CONTRACTED: Schema = Schema { version: 3, oldest_code: 2, ..EXPANDED };
static LAST: Database = Database::new("order", &CONTRACTED);

fn store() -> Store {
    Store::on_postgres(&DATABASE).unwrap()
}

fn put(store: &Store, a: &str, size: i64) -> Result<(), StoreError> {
    store
        .run("INSERT INTO sizes VALUES ($1, $2)", &[Value::Text(a.to_owned()), Value::Integer(size)])
        .map(drop)
}

#[test]
fn a_trigger_does_what_it_does_on_sqlite() {
    let store = store();
    put(&store, "한", 2).unwrap();
    put(&store, "한", 3).unwrap();
    put(&store, "x", 0).unwrap();
    assert_eq!(store.dump("t").unwrap(), [r#"[Value::Text("한"), Value::Integer(5)]"#]);
}

#[test]
fn errors_are_those_of_sqlite() {
    let store = store();
    put(&store, "x", 2).unwrap();
    assert_eq!(put(&store, "x", 1).unwrap_err(), StoreError::Raised("too old".to_owned()));
    assert_eq!(put(&store, "x", 8).unwrap_err(), StoreError::Check { constraint: "small".to_owned() });
    let again = store.run("INSERT INTO t VALUES ('x', 1)", &[]);
    assert_eq!(again.unwrap_err(), StoreError::Unique { constraint: "t_pkey".to_owned() });
    assert!(matches!(store.run("SELECT nothing", &[]), Err(StoreError::Failure(_))));
    assert_eq!(store.number("SELECT b FROM t").unwrap(), 2);
}

#[test]
fn a_parameter_of_another_type_is_refused_as_it_is_by_spin() {
    let store = store();
    let number_for_text = store.run("SELECT a FROM t WHERE a = $1", &[Value::Integer(1)]);
    assert!(matches!(number_for_text, Err(StoreError::Failure(_))), "{number_for_text:?}");
    let text_for_number = store.run("SELECT a FROM t WHERE b = $1", &[Value::Text("1".to_owned())]);
    assert!(matches!(text_for_number, Err(StoreError::Failure(_))), "{text_for_number:?}");
    assert!(store.run("SELECT a FROM t WHERE b = $1", &[Value::Null]).unwrap().is_empty());
}

#[test]
fn texts_are_in_the_order_of_their_bytes_whatever_the_database_sorts_by() {
    let store = store();
    for text in ["b", "a", "B"] {
        put(&store, text, 1).unwrap();
    }
    let order = |sql: &str| -> String {
        store.run(sql, &[]).unwrap().iter().map(|row| row.text("a").unwrap().to_owned()).collect()
    };
    assert_eq!(order("SELECT a FROM t ORDER BY a"), "Bab");
    assert_eq!(order("SELECT a FROM t WHERE a < 'a'"), "B");
    // It is no matter of course.
    assert_eq!(order("SELECT a || '' COLLATE \"default\" AS a FROM t ORDER BY 1"), "abB");
}

#[test]
fn functions_that_the_texts_use_mean_what_they_mean_in_sqlite() {
    const TEXT: &str = "SELECT max(CAST(1 AS BIGINT), 2) AS a, max(CAST(NULL AS BIGINT), 2) AS b,
        max('a', 'B') AS c, min(CAST(1 AS BIGINT), 2) AS d, unixepoch('2026-11-22T01:02:03.999Z') AS e,
        '{\"f\":{\"g\": 1},\"h\":\"i\"}' ->> 'h' AS f, CAST('{\"a\":1.0}' ->> 'a' AS TEXT) AS g,
        (SELECT group_concat FROM (SELECT min(value ->> 'v') AS group_concat FROM json_each('[{\"v\":\"y\"},{\"v\":\"x\"}]')) AS v) AS h";
    let (sqlite, postgres) = (Store::in_memory(&PLAIN_DATABASE).unwrap(), store());
    let shown = |store: &Store| format!("{:?}", store.run(TEXT, &[]).unwrap()[0].values());
    assert_eq!(shown(&sqlite), shown(&postgres));
}

#[test]
fn an_old_store_keeps_its_rows_and_has_the_programs_of_this_version() {
    let store = store();
    put(&store, "x", 2).unwrap();
    store.migrate(&LATER).unwrap();
    assert_eq!(store.number("SELECT size FROM sizes").unwrap(), 9);
    // What counted the old way is gone with its view.
    assert!(put(&store, "y", 1).is_err());
    assert_eq!(store.number("SELECT count(*) FROM versions").unwrap(), 2);
}

#[test]
fn old_code_goes_on_beside_new_while_it_can_and_is_refused_in_words_when_it_cannot() {
    let store = store();
    store.migrate(&LATER).unwrap();
    store.migrate(&DATABASE).unwrap();
    assert_eq!(store.number("SELECT max(version) FROM versions").unwrap(), 2);
    store.migrate(&LAST).unwrap();
    store.migrate(&LATER).unwrap();
    assert_eq!(store.migrate(&DATABASE).unwrap_err(), StoreError::newer(3, 1));
}

#[test]
fn a_migration_that_fails_has_not_happened() {
    static BROKEN: Schema = Schema {
        steps: &[EXPANDED.steps[0], Step { to: 2, statements: &["DROP TABLE nowhere"] }],
        ..EXPANDED
    };
    let store = store();
    assert!(matches!(store.migrate(&Database::new("order", &BROKEN)), Err(StoreError::Failure(_))));
    assert_eq!(store.number("SELECT max(version) FROM versions").unwrap(), 1);
    put(&store, "x", 1).unwrap();
    store.migrate(&LATER).unwrap();
}

#[test]
fn of_many_processes_that_open_a_store_at_once_one_makes_it_and_one_migrates_it() {
    let address = Address::new("order").unwrap();
    for (database, versions) in [(&DATABASE, 1), (&LATER, 2)] {
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| address.connect().unwrap().migrate(database).unwrap());
            }
        });
        assert_eq!(address.connect().unwrap().number("SELECT count(*) FROM versions").unwrap(), versions);
    }
}

#[test]
fn a_migration_gives_way_to_statements_that_are_under_way() {
    const WAITING: &str = "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database
        WHERE datname = current_database() AND NOT granted AND mode = 'AccessExclusiveLock'";
    let one = store();
    let address = one.address(&LATER).unwrap();
    let other = address.connect().unwrap();
    // As a statement may whose triggers use one thing after the other: first the table, then the view.
    for sql in ["BEGIN", "SELECT b FROM t"] {
        one.run(sql, &[]).unwrap();
    }
    std::thread::scope(|scope| {
        let migrating = scope.spawn(move || address.connect().unwrap().migrate(&LATER));
        while other.number(WAITING).unwrap() == 0 {
            std::thread::yield_now();
        }
        put(&one, "x", 1).unwrap();
        one.run("COMMIT", &[]).unwrap();
        migrating.join().unwrap().unwrap();
    });
    assert_eq!(one.number("SELECT size FROM sizes").unwrap(), 8);
}

#[test]
fn the_stores_of_two_contexts_can_be_in_one_database() {
    static OTHER: Database = Database::new("pay", &EXPANDED);
    let order = store();
    let pay = order.address(&OTHER).unwrap().connect().unwrap();
    pay.migrate(&OTHER).unwrap();
    put(&order, "x", 1).unwrap();
    assert_eq!(
        (order.number("SELECT count(*) FROM t").unwrap(), pay.number("SELECT count(*) FROM t").unwrap()),
        (1, 0)
    );
    // And the programs of one are not dropped by the other.
    pay.migrate(&OTHER).unwrap();
    put(&order, "y", 1).unwrap();
}

#[test]
fn what_waits_too_long_or_cannot_be_written_is_not_available_for_now() {
    let store = store();
    store.run("SET statement_timeout = 50", &[]).unwrap();
    let slow = store.run("SELECT CAST(pg_sleep(5) AS TEXT)", &[]).unwrap_err();
    assert!(matches!(&slow, StoreError::Unavailable(_)) && slow.to_string().contains("too long"), "{slow}");
    store.run("SET default_transaction_read_only = on", &[]).unwrap();
    let refused = put(&store, "x", 1).unwrap_err();
    assert!(refused.to_string().contains("the database is read-only"), "{refused}");
    let other = store.address(&DATABASE).unwrap().connect().unwrap();
    let pid = store.number("SELECT pg_backend_pid()").unwrap();
    other.run(&format!("SELECT pg_terminate_backend({pid})"), &[]).unwrap();
    let gone = store.number("SELECT 1").unwrap_err();
    assert!(matches!(gone, StoreError::Unavailable(_)), "{gone}");
}

#[test]
fn every_connection_has_a_time_limit_for_its_statements() {
    let limit = store().run("SHOW statement_timeout", &[]).unwrap();
    assert_eq!(limit[0].text("statement_timeout").unwrap(), "10s");
}

#[test]
fn of_two_that_wait_for_each_other_one_is_overtaken() {
    let one = store();
    for a in ["x", "y"] {
        put(&one, a, 1).unwrap();
    }
    one.run("SET deadlock_timeout = 50", &[]).unwrap();
    let address = one.address(&DATABASE).unwrap();
    let update = |a| format!("UPDATE t SET b = 2 WHERE a = '{a}'");
    for begun in ["BEGIN".to_owned(), update("x")] {
        one.run(&begun, &[]).unwrap();
    }
    let (has_y, y_is_held) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let other = address.connect().unwrap();
            for sql in ["BEGIN".to_owned(), update("y")] {
                other.run(&sql, &[]).unwrap();
            }
            has_y.send(()).unwrap();
            // It gets it, once the other has been given up.
            other.run(&update("x"), &[]).unwrap();
        });
        y_is_held.recv().unwrap();
        // Whoever has waited for as long as this one may is the one to be given up.
        let overtaken = one.run(&update("y"), &[]).unwrap_err();
        assert!(matches!(overtaken, StoreError::Overtaken(_)) && overtaken.is_conflict(), "{overtaken}");
        one.run("ROLLBACK", &[]).unwrap();
    });
}
