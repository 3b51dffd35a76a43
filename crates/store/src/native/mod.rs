//! A store without Spin in between: for tests, for the model of the whole system, and for an operator's tools.
//!
//! On SQLite the engine is the one that the embedded host runs, built with the same features; on PostgreSQL it is a server
//! that somebody names, or the private one that the tests of a process share. Errors come as Spin passes them on, so that what holds here holds in
//! production.

mod postgres;
mod postgres_server;
mod shape;
mod sqlite;
#[cfg(test)]
mod tests;

pub use self::postgres::{Address, connect};
pub use self::shape::assert_same_on_both;
use crate::dialect::{Dialect, schema_statement};
use crate::migration::{Session, migrate};
use crate::{Database, Row, Statement, Storage, StoreError, Value};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A store that was opened without Spin. Its clones are the same store.
#[derive(Clone)]
pub struct Store(Rc<Opened>);

/// A store that its tool has on SQLite alone.
pub type Sqlite = Store;

struct Opened {
    connection: Connection,
    statements: Cell<usize>,
    pauses: Cell<u64>,
    conflicts: Cell<u64>,
    meanwhile: RefCell<Vec<Meanwhile>>,
}

enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<postgres::Connection>),
}

/// Something that another does between this one's reading and its committing.
type Meanwhile = Box<dyn FnOnce(&Store)>;

/// How the statement begins that commits a decision, in every context that decides.
const COMMIT: &str = "INSERT INTO decisions";

/// What the stores of a test are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// In memory.
    #[default]
    Sqlite,
    /// A database of its own on a server of the process's own.
    Postgres,
}

thread_local! {
    static ENGINE: Cell<Engine> = Cell::default();
}

impl Engine {
    /// What the stores of this thread's test are on.
    pub fn current() -> Self {
        ENGINE.get()
    }

    /// Of so many random cases those that there is time for: a statement to a server takes many times as long.
    pub const fn cases(self, all: u32) -> u32 {
        match self {
            Self::Sqlite => all,
            Self::Postgres => all.div_ceil(32),
        }
    }

    /// Runs a test, or a part of one, with its stores on this.
    pub fn run<T>(self, test: impl FnOnce() -> T) -> T {
        let before = ENGINE.replace(self);
        let ended = test();
        ENGINE.set(before);
        ended
    }
}

/// Tests of this module, each run once more with its stores on PostgreSQL.
#[macro_export]
macro_rules! on_postgres {
    ($($test:ident),+ $(,)?) => {
        mod on_postgres {
            $(#[test] fn $test() { $crate::native::Engine::Postgres.run(super::$test) })+
        }
    };
}

impl Store {
    /// A store of a test's own with the schema of `database`, on what the test's stores are on.
    pub fn new(database: &Database) -> Self {
        let opened = match Engine::current() {
            Engine::Sqlite => Self::in_memory(database),
            Engine::Postgres => Self::on_postgres(database),
        };
        #[allow(clippy::panic, reason = "for tests only")]
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// A store on SQLite, in memory, with the schema of `database`.
    pub fn in_memory(database: &Database) -> Result<Self, StoreError> {
        let opened = Self::as_it_is(Path::new(":memory:"))?;
        opened.migrate(database)?;
        Ok(opened)
    }

    /// The SQLite file at `path`, brought to the schema of `database`.
    pub fn file(path: &Path, database: &Database) -> Result<Self, StoreError> {
        let opened = Self::as_it_is(path)?;
        opened.migrate(database)?;
        Ok(opened)
    }

    /// The SQLite file at `path` with the schema that it has.
    pub fn as_it_is(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::over(Connection::Sqlite(sqlite::open(path)?)))
    }

    /// The store of `database` over a connection that was [opened](connect) for it, with the schema that it has.
    pub fn over_postgres(client: ::postgres::Client, database: &Database) -> Self {
        postgres::Connection::store(client, database.label(), None)
    }

    fn on_postgres(database: &Database) -> Result<Self, StoreError> {
        let opened = Address::new(database.label())?.connect()?;
        opened.migrate(database)?;
        Ok(opened)
    }

    /// Where a test's store on PostgreSQL is, as the context of `database` sees it.
    pub fn address(&self, database: &Database) -> Result<Address, StoreError> {
        match &self.0.connection {
            Connection::Sqlite(_) => None,
            Connection::Postgres(connection) => connection.address(database.label()),
        }
        .ok_or_else(|| StoreError::Failure("the store is not in a database of a test's own".to_owned()))
    }

    /// Brings the store to the schema of `database`, as whoever opens it first does.
    pub fn migrate(&self, database: &Database) -> Result<(), StoreError> {
        let migrated = match &self.0.connection {
            Connection::Sqlite(_) => at_once(migrate(self, database.schema())),
            Connection::Postgres(connection) => {
                at_once(crate::postgres::migrate(self, database.schema(), connection.label()))
            }
        };
        migrated.unwrap_or_else(|| Err(StoreError::unavailable("the store kept a migration waiting")))
    }

    fn over(connection: Connection) -> Self {
        Self(Rc::new(Opened {
            connection,
            statements: Cell::default(),
            pauses: Cell::default(),
            conflicts: Cell::default(),
            meanwhile: RefCell::default(),
        }))
    }

    /// The text as this store's database reads it.
    fn read<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        match self.0.connection {
            Connection::Sqlite(_) => Dialect::Sqlite.read(sql),
            Connection::Postgres(_) => Dialect::Postgres.read(sql),
        }
    }

    /// Runs one statement, unless it is for the other database alone, and gives back all of its rows.
    pub fn run(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        let sql = self.read(sql);
        if sql.is_empty() {
            return Ok(Vec::new());
        }
        let (columns, rows) = match &self.0.connection {
            Connection::Sqlite(connection) => sqlite::run(connection, &sql, params)?,
            Connection::Postgres(connection) => connection.run(&sql, params)?,
        };
        let columns: Rc<[String]> = columns.into();
        Ok(rows.into_iter().map(|values| Row::new(Rc::clone(&columns), values)).collect())
    }

    /// Makes or drops a trigger, which is written as in a schema: to see what happens without one, or with another.
    pub fn alter(&self, statement: &str) -> Result<(), StoreError> {
        let statement = match (&self.0.connection, statement.strip_prefix("DROP TRIGGER ")) {
            (Connection::Sqlite(_), _) => statement.to_owned(),
            (Connection::Postgres(_), Some(name)) => format!("DROP FUNCTION {name} CASCADE"),
            (Connection::Postgres(_), None) => {
                format!("DO $alter$ BEGIN {} END $alter$", schema_statement(statement))
            }
        };
        self.run(&statement, &[]).map(drop)
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

impl Storage for Store {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        if !self.read(statement.sql()).is_empty() {
            self.0.statements.set(self.0.statements.get() + 1);
        }
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

impl Session for Store {
    async fn run(&self, sql: &str) -> Result<Vec<Row>, StoreError> {
        Self::run(self, sql, &[])
    }
}

/// The statements that make the tables of a store on SQLite.
pub fn tables(database: &Database) -> Vec<String> {
    let tables = database.schema().tables.iter();
    tables.map(|statement| Dialect::Sqlite.read(statement).into_owned()).collect()
}

/// The one statement that makes a store on PostgreSQL where there is none: for whoever does more in the same transaction.
pub fn creation(database: &Database) -> String {
    crate::postgres::migration(database.schema(), database.label(), None)
}

/// What comes of a future that waits for nothing but stores like these; none if it does wait for something.
/// Within another such future, too.
pub fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Some(done),
        Poll::Pending => None,
    }
}
