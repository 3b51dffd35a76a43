//! A SQLite without Spin in between: for tests, for the model of the whole system, and for an operator's tools.
//!
//! The engine is the one that the embedded host runs, built with the same features, and errors come as Spin
//! passes them on, so that what holds here holds in production.

use crate::migration::{Session, migrate};
use crate::{Database, Row, Statement, Storage, StoreError, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A store that was opened without Spin. Its clones are the same store.
#[derive(Clone)]
pub struct Sqlite(Rc<Opened>);

struct Opened {
    connection: rusqlite::Connection,
    statements: Cell<usize>,
    pauses: Cell<u64>,
    conflicts: Cell<u64>,
    meanwhile: RefCell<Vec<Meanwhile>>,
}

/// Something that another does between this one's reading and its committing.
type Meanwhile = Box<dyn FnOnce(&Sqlite)>;

/// How the statement begins that commits a decision, in every context that decides.
const COMMIT: &str = "INSERT INTO decisions";

impl Sqlite {
    /// A store in memory with the schema of `database`.
    pub fn in_memory(database: &Database) -> Result<Self, StoreError> {
        let opened = Self::over(rusqlite::Connection::open_in_memory().map_err(as_spin_says)?);
        opened.migrate(database)?;
        Ok(opened)
    }

    /// The file at `path`, brought to the schema of `database`.
    pub fn file(path: &Path, database: &Database) -> Result<Self, StoreError> {
        let opened = Self::as_it_is(path)?;
        opened.migrate(database)?;
        Ok(opened)
    }

    /// The file at `path` with the schema that it has.
    pub fn as_it_is(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(rusqlite::Connection::open(path).map_err(as_spin_says)?))
    }

    /// Brings the store to the schema of `database`, as whoever opens it first does.
    pub fn migrate(&self, database: &Database) -> Result<(), StoreError> {
        let migrated = at_once(migrate(self, database.schema()));
        migrated.unwrap_or_else(|| Err(StoreError::unavailable("SQLite kept a migration waiting")))
    }

    fn over(connection: rusqlite::Connection) -> Self {
        // Enough for every statement that a context has, so that none is prepared twice.
        connection.set_prepared_statement_cache_capacity(256);
        Self(Rc::new(Opened {
            connection,
            statements: Cell::default(),
            pauses: Cell::default(),
            conflicts: Cell::default(),
            meanwhile: RefCell::default(),
        }))
    }

    /// Runs one statement and gives back all of its rows.
    pub fn run(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let rows = || -> rusqlite::Result<Vec<Row>> {
            let mut statement = self.0.connection.prepare_cached(sql)?;
            let columns: Rc<[String]> = statement.column_names().map(str::to_owned).collect();
            let params = rusqlite::params_from_iter(params.iter().map(Parameter));
            let rows = statement.query_map(params, |row| {
                let values = (0..columns.len()).map(|column| from_sqlite(column, row.get_ref(column)?));
                let values = values.collect::<rusqlite::Result<Vec<_>>>()?;
                Ok(Row::new(Rc::clone(&columns), values))
            })?;
            rows.collect()
        };
        rows().map_err(as_spin_says)
    }

    /// The integer that a statement answers with.
    pub fn number(&self, sql: &str) -> Result<i64, StoreError> {
        let rows = self.run(sql, &[])?;
        match rows.first().and_then(|row| row.values().first()) {
            Some(Value::Integer(number)) => Ok(*number),
            other => Err(StoreError::Failure(format!("{other:?} is no integer: {sql}"))),
        }
    }

    /// How SQLite finds the rows of a statement.
    pub fn plan(&self, sql: &str, params: &[Value]) -> Result<String, StoreError> {
        let rows = self.run(&format!("EXPLAIN QUERY PLAN {sql}"), params)?;
        let steps =
            rows.iter().map(|row| row.text("detail").map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        Ok(steps.join("; "))
    }

    /// Everything in a table, a line for each row, in a fixed order: to compare two stores.
    pub fn dump(&self, table: &str) -> Result<Vec<String>, StoreError> {
        let rows = self.run(&format!("SELECT * FROM {table}"), &[])?;
        let mut lines: Vec<_> = rows.iter().map(|row| format!("{:?}", row.values())).collect();
        lines.sort();
        Ok(lines)
    }

    /// Has another do something just before the next decision is committed; of several, the last comes first.
    /// Nobody overtakes the others in turn.
    pub fn meanwhile(&self, act: impl FnOnce(&Self) + 'static) {
        self.0.meanwhile.borrow_mut().push(Box::new(act));
    }

    /// Forgets what others were to do and had no occasion for.
    pub fn nothing_meanwhile(&self) {
        self.0.meanwhile.borrow_mut().clear();
    }

    /// How many statements were run through [`Storage`].
    pub fn statements(&self) -> usize {
        self.0.statements.get()
    }

    /// How many of them met another's decision.
    pub fn conflicts(&self) -> u64 {
        self.0.conflicts.get()
    }

    /// How often somebody waited before deciding again.
    pub fn pauses(&self) -> u64 {
        self.0.pauses.get()
    }
}

impl Storage for Sqlite {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        self.0.statements.set(self.0.statements.get() + 1);
        if statement.sql().starts_with(COMMIT) {
            let mut waiting = self.0.meanwhile.take();
            if let Some(act) = waiting.pop() {
                act(self);
            }
            self.0.meanwhile.replace(waiting);
        }
        let rows = self.run(statement.sql(), statement.params());
        if rows.as_ref().is_err_and(StoreError::is_conflict) {
            self.0.conflicts.set(self.0.conflicts.get() + 1);
        }
        rows
    }

    async fn pause(&self, _attempt: u64) {
        self.0.pauses.set(self.0.pauses.get() + 1);
    }
}

impl Session for Sqlite {
    async fn run(&self, sql: &str) -> Result<Vec<Row>, StoreError> {
        Self::run(self, sql, &[])
    }
}

/// What comes of a future that waits for nothing but stores like these; none if it does wait for something.
/// Within another such future, too.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}

/// SQLite's message as text, which is all that gets through Spin.
fn as_spin_says(error: rusqlite::Error) -> StoreError {
    spin_sdk::sqlite::Error::Io(error.to_string()).into()
}

struct Parameter<'a>(&'a Value);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn from_sqlite(column: usize, value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(column, error))?.to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Schema, Step};

    const TABLE: &str = "CREATE TABLE t (a TEXT PRIMARY KEY, b BLOB)";

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
        let store = Sqlite::in_memory(&DATABASE).unwrap();
        let twice = Statement::new("SELECT $1 AS a, $2 AS b, $1 AS c").bind(1_i64).bind(2_i64);
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
            assert_eq!(
                at(path, &CONTRACTED).unwrap().number(views).unwrap(),
                0,
                "programs of before are gone"
            );
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
            assert_eq!(refused, StoreError::Newer { found: 3, known: 1 });
            assert!(refused.to_string().contains("deploy the newer code"), "{refused}");
        });
    }

    #[test]
    fn a_migration_that_is_cut_off_has_not_happened() {
        static BROKEN: Schema = Schema {
            version: 2,
            steps: &[Step {
                to: 2,
                statements: &["ALTER TABLE t ADD COLUMN c", "ALTER TABLE nowhere ADD d"],
            }],
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
        let store = Sqlite::in_memory(&DATABASE).unwrap();
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
}
