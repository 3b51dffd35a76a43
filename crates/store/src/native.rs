//! A SQLite without Spin in between: for tests, for the model of the whole system, and for an operator's tools.
//!
//! The engine is the one that the embedded host runs, built with the same features, and errors come as Spin
//! passes them on, so that what holds here holds in production.

use crate::{Database, Row, Storage, StoreError, Value};
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
    /// A store in memory with the schema of `database`. Each statement of it runs twice, which must be
    /// harmless (see [`Database::new`]).
    pub fn in_memory(database: &Database) -> Result<Self, StoreError> {
        let opened = Self::over(rusqlite::Connection::open_in_memory().map_err(as_spin_says)?);
        for statement in database.schema.iter().chain(database.schema) {
            opened.run(&faults::loosened(statement), &[])?;
        }
        Ok(opened)
    }

    /// The file at `path`, with the schema of `database` if it has not got it yet.
    pub fn file(path: &Path, database: &Database) -> Result<Self, StoreError> {
        let opened = Self::over(rusqlite::Connection::open(path).map_err(as_spin_says)?);
        opened.run("PRAGMA journal_mode=WAL", &[])?;
        if opened.number("PRAGMA user_version")? < database.version {
            for statement in database.schema {
                opened.run(&faults::loosened(statement), &[])?;
            }
            opened.run(&format!("PRAGMA user_version={}", database.version), &[])?;
        }
        Ok(opened)
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
            let columns = statement.column_count();
            let params = rusqlite::params_from_iter(params.iter().map(Parameter));
            let rows = statement.query_map(params, |row| {
                let values = (0..columns).map(|column| from_sqlite(column, row.get_ref(column)?));
                values.collect::<rusqlite::Result<Vec<_>>>().map(Row::of)
            })?;
            rows.collect()
        };
        rows().map_err(as_spin_says)
    }

    /// The integer that a statement answers with.
    pub fn number(&self, sql: &str) -> Result<i64, StoreError> {
        let rows = self.run(sql, &[])?;
        rows.first().ok_or_else(|| StoreError::Failure(format!("no row: {sql}")))?.int(0)
    }

    /// How SQLite finds the rows of a statement.
    pub fn plan(&self, sql: &str, params: &[Value]) -> Result<String, StoreError> {
        let rows = self.run(&format!("EXPLAIN QUERY PLAN {sql}"), params)?;
        let steps = rows.iter().map(|row| row.text(3).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        Ok(steps.join("; "))
    }

    /// Everything in a table, a line for each row, in a fixed order: to compare two stores.
    pub fn dump(&self, table: &str) -> Result<Vec<String>, StoreError> {
        let rows = self.run(&format!("SELECT * FROM {table}"), &[])?;
        let mut lines: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
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
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.0.statements.set(self.0.statements.get() + 1);
        if sql.starts_with(COMMIT) {
            let mut waiting = self.0.meanwhile.take();
            if let Some(act) = waiting.pop() {
                act(self);
            }
            self.0.meanwhile.replace(waiting);
        }
        let rows = self.run(sql, &params);
        if rows.as_ref().is_err_and(StoreError::is_conflict) {
            self.0.conflicts.set(self.0.conflicts.get() + 1);
        }
        rows
    }

    async fn pause(&self, _attempt: u64) {
        self.0.pauses.set(self.0.pauses.get() + 1);
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
    use crate::text;

    static DATABASE: Database =
        Database::new("x", 1, &["CREATE TABLE IF NOT EXISTS t (a TEXT PRIMARY KEY, b BLOB)"]);

    #[test]
    fn what_is_written_is_read_again_as_the_same_values() {
        let store = Sqlite::in_memory(&DATABASE).unwrap();
        at_once(store.query("INSERT INTO t VALUES (?, ?)", vec![text("한"), Value::Blob(vec![1])]))
            .unwrap()
            .unwrap();
        let rows = store.run("SELECT a, b, NULL, 7 FROM t", &[]).unwrap();
        let row = &rows[0];
        assert_eq!((row.text(0).unwrap(), row.blob(1).unwrap()), ("한", &[1][..]));
        assert_eq!((row.opt_int(2).unwrap(), row.int(3).unwrap()), (None, 7));
        assert_eq!(store.statements(), 1);
    }

    #[test]
    fn a_broken_constraint_is_the_conflict_that_it_is_in_production() {
        let store = Sqlite::in_memory(&DATABASE).unwrap();
        store.run("INSERT INTO t (a) VALUES ('x')", &[]).unwrap();
        let again = store.run("INSERT INTO t (a) VALUES ('x')", &[]);
        assert_eq!(again.unwrap_err(), StoreError::Unique { constraint: "t.a".to_owned() });
    }

    #[test]
    fn a_file_is_the_same_store_when_it_is_opened_again() {
        /// It cannot be made twice.
        static ONCE: Database = Database::new("x", 1, &["CREATE TABLE t (a TEXT PRIMARY KEY)"]);
        let path = std::env::temp_dir().join(format!("sugang-store-{}.db", std::process::id()));
        Sqlite::file(&path, &ONCE).unwrap().run("INSERT INTO t (a) VALUES ('x')", &[]).unwrap();
        assert_eq!(Sqlite::file(&path, &ONCE).unwrap().number("SELECT count(*) FROM t").unwrap(), 1);
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
        }
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
