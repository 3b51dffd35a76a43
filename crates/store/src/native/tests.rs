//! Stores without Spin: SQLite, and what holds on PostgreSQL too.

mod postgresql;

use super::*;
use crate::{Schema, Step};

crate::on_postgres!(
    parameters_are_bound_by_their_numbers,
    what_is_left_of_a_statement_for_another_database_is_nothing,
    whoever_has_a_store_by_reference_waits_as_its_owner_does,
);

const TABLE: &str = "CREATE TABLE t (a TEXT PRIMARY KEY, b BLOB)";

/// The same without what only SQLite has.
static PLAIN: Schema = Schema {
    version: 1,
    oldest_code: 1,
    tables: &["CREATE TABLE t (a TEXT PRIMARY KEY, b INTEGER)"],
    steps: &[],
    programs: &[],
};
static PLAIN_DATABASE: Database = Database::new("order", &PLAIN);

static SCHEMA: Schema =
    Schema { version: 1, oldest_code: 1, tables: &[TABLE], steps: &[], programs: &[SIZES] };
static DATABASE: Database = Database::new("x", &SCHEMA);

const SIZES: &str = "CREATE VIEW sizes AS SELECT a, length(b) AS size FROM t";

/// A release later: a column more, which the code of the last release can live with.
static EXPANDED: Schema = Schema {
    version: 2,
    oldest_code: 1,
    tables: &["CREATE TABLE t (a TEXT PRIMARY KEY, b BLOB, c INTEGER NOT NULL DEFAULT 7)"],
    steps: &[Step { to: 2, statements: &["ALTER TABLE t ADD COLUMN c INTEGER NOT NULL DEFAULT 7"] }],
    programs: &["CREATE VIEW sizes AS SELECT a, length(b) + c AS size FROM t"],
};

/// Another release later: what the first needed is gone.
static CONTRACTED: Schema = Schema {
    version: 3,
    oldest_code: 2,
    tables: &["CREATE TABLE t (a TEXT PRIMARY KEY, c INTEGER NOT NULL DEFAULT 7)"],
    steps: &[
        EXPANDED.steps[0],
        Step { to: 3, statements: &["ALTER TABLE t DROP COLUMN b", "UPDATE t SET c = c + 1"] },
    ],
    programs: &[],
};

fn at(path: &Path, schema: &'static Schema) -> Result<Sqlite, StoreError> {
    Sqlite::file(path, &Database::new("x", schema))
}

fn in_a_folder(test: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&folder.path().join("x.db"));
}

#[test]
fn what_is_written_is_read_again_as_the_same_values() {
    let store = Sqlite::in_memory(&DATABASE).unwrap();
    let insert = Statement::new("INSERT INTO t VALUES ($1, $2)").bind("한").bind(Value::Blob(vec![1]));
    at_once(insert.run(&store)).unwrap().unwrap();
    let rows = store.run("SELECT a, b, NULL AS n, 7 AS seven FROM t", &[]).unwrap();
    let row = &rows[0];
    assert_eq!((row.text("a").unwrap(), &row.values()[1]), ("한", &Value::Blob(vec![1])));
    assert_eq!((row.opt_int("n").unwrap(), row.int("seven").unwrap()), (None, 7));
    assert_eq!(store.statements(), 1);
}

#[test]
fn parameters_are_bound_by_their_numbers() {
    let store = Store::new(&PLAIN_DATABASE);
    let twice = Statement::new("SELECT CAST($1 AS BIGINT) AS a, CAST($2 AS BIGINT) AS b, $1 AS c")
        .bind(1_i64)
        .bind(2_i64);
    let row = at_once(twice.row(&store)).unwrap().unwrap().unwrap();
    assert_eq!((row.int("a").unwrap(), row.int("b").unwrap(), row.int("c").unwrap()), (1, 2, 1));
    let listed = Statement::new("SELECT value ->> 'v' AS v FROM json_each($1)").bind_values(["x", "한"]);
    let rows = at_once(listed.rows(&store)).unwrap().unwrap();
    assert_eq!(rows.iter().map(|row| row.text("v").unwrap()).collect::<Vec<_>>(), ["x", "한"]);
}

#[test]
fn a_broken_constraint_is_the_conflict_that_it_is_in_production() {
    let store = Sqlite::in_memory(&DATABASE).unwrap();
    store.run("INSERT INTO t (a) VALUES ('x')", &[]).unwrap();
    let again = store.run("INSERT INTO t (a) VALUES ('x')", &[]);
    assert_eq!(again.unwrap_err(), StoreError::Unique { constraint: "t.a".to_owned() });
}

#[test]
fn an_old_store_keeps_its_rows_and_comes_to_look_like_a_new_one() {
    in_a_folder(|path| {
        at(path, &SCHEMA).unwrap().run("INSERT INTO t (a, b) VALUES ('x', x'0102')", &[]).unwrap();
        let store = at(path, &EXPANDED).unwrap();
        assert_eq!(store.number("SELECT size FROM sizes WHERE a = 'x'").unwrap(), 9);
        let columns = "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('t')";
        let new = Sqlite::in_memory(&Database::new("x", &EXPANDED)).unwrap();
        let shown = |store: &Sqlite| format!("{:?}", store.run(columns, &[]).unwrap());
        assert_eq!(shown(&store), shown(&new));
    });
}

#[test]
fn steps_run_once_and_in_order_however_often_a_store_is_opened() {
    in_a_folder(|path| {
        at(path, &SCHEMA).unwrap().run("INSERT INTO t (a) VALUES ('x')", &[]).unwrap();
        for _again in 0..3 {
            assert_eq!(at(path, &CONTRACTED).unwrap().number("SELECT c FROM t").unwrap(), 8);
        }
        let views = "SELECT count(*) FROM sqlite_master WHERE type = 'view'";
        assert_eq!(at(path, &CONTRACTED).unwrap().number(views).unwrap(), 0, "programs of before are gone");
    });
}

#[test]
fn old_code_goes_on_beside_new_while_it_can_and_is_refused_in_words_when_it_cannot() {
    in_a_folder(|path| {
        let old = at(path, &SCHEMA).unwrap();
        at(path, &EXPANDED).unwrap();
        old.run("INSERT INTO t (a, b) VALUES ('x', x'01')", &[]).unwrap();
        at(path, &SCHEMA).unwrap().run("INSERT INTO t (a, b) VALUES ('y', x'01')", &[]).unwrap();
        assert_eq!(old.number("SELECT size FROM sizes WHERE a = 'y'").unwrap(), 8, "the new view stays");
        at(path, &CONTRACTED).unwrap();
        at(path, &EXPANDED).unwrap();
        let refused = at(path, &SCHEMA).err().unwrap();
        assert_eq!(refused, StoreError::newer(3, 1));
        assert!(refused.to_string().contains("deploy the newer code"), "{refused}");
    });
}

#[test]
fn a_migration_that_is_cut_off_has_not_happened() {
    static BROKEN: Schema = Schema {
        version: 2,
        steps: &[Step { to: 2, statements: &["ALTER TABLE t ADD COLUMN c", "ALTER TABLE nowhere ADD d"] }],
        ..EXPANDED
    };
    in_a_folder(|path| {
        let store = at(path, &SCHEMA).unwrap();
        assert!(at(path, &BROKEN).is_err());
        assert_eq!(store.number("PRAGMA user_version").unwrap(), 1);
        assert_eq!(store.number("SELECT count(*) FROM pragma_table_info('t')").unwrap(), 2);
        assert_eq!(store.number("SELECT count(*) FROM sizes").unwrap(), 0, "its view is there again");
        at(path, &EXPANDED).unwrap();
    });
}

#[test]
fn of_two_processes_that_open_a_store_at_once_one_migrates_it() {
    in_a_folder(|path| {
        at(path, &SCHEMA).unwrap().run("INSERT INTO t (a) VALUES ('x')", &[]).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| drop(at(path, &CONTRACTED).unwrap()));
            }
        });
        let store = at(path, &CONTRACTED).unwrap();
        assert_eq!(store.number("SELECT c FROM t").unwrap(), 8);
        assert_eq!(store.number("SELECT count(*) FROM versions").unwrap(), 2);
    });
}

#[test]
fn whoever_has_a_store_by_reference_waits_as_its_owner_does() {
    let store = Store::new(&PLAIN_DATABASE);
    at_once(<&Sqlite as Storage>::pause(&&store, 1)).unwrap();
    assert_eq!(store.pauses(), 1);
}

#[test]
fn two_stores_with_the_same_rows_have_the_same_dump() {
    let dump = |rows: &str| {
        let store = Sqlite::in_memory(&DATABASE).unwrap();
        store.run(&format!("INSERT INTO t (a) VALUES {rows}"), &[]).unwrap();
        store.dump("t").unwrap()
    };
    assert_eq!(dump("('x'), ('y')"), dump("('y'), ('x')"));
}

#[test]
fn what_is_left_of_a_statement_for_another_database_is_nothing() {
    let store = Store::new(&PLAIN_DATABASE);
    let (sqlite, postgres) = match Engine::current() {
        Engine::Sqlite => (1, 0),
        Engine::Postgres => (0, 1),
    };
    let one = "SELECT CAST(1 AS BIGINT) AS one";
    for (mark, rows) in [("sqlite", sqlite), ("postgres", postgres)] {
        let marked = Statement::new(format!("/*{mark} {one}*/"));
        assert_eq!(at_once(marked.rows(&store)).unwrap().unwrap().len(), rows, "{mark}");
    }
    assert_eq!(store.statements(), 1);
}
