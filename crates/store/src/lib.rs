//! A context's SQLite store, reached through Spin's `spin:sqlite` interface.
//!
//! [`Database`] keeps a small pool of open connections per instance (opening one is a host call and, on Spin, a
//! new file handle), creates the schema on first use, and always reads a statement's rows to the end and
//! awaits its result: otherwise an error would vanish and the connection would stay locked.
//!
//! What a context's rooms ask for is not the database but a [`Storage`], so that the statements that run in
//! production also run on a SQLite that a test, a model or a tool opened by itself (the module `native`, behind
//! the feature of that name).
//!
//! What it deliberately has not: transactions. One decision is one statement (a multi-row `INSERT` whose
//! triggers do the rest), so nothing is ever held open across host calls.

mod error;
#[cfg(feature = "native")]
pub mod native;
mod row;

pub use error::StoreError;
pub use row::Row;
pub use spin_sdk::sqlite::Value;

use spin_sdk::sqlite::Connection;
use spin_sdk::wasip3::random::random::get_random_u64;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

/// How many idle connections an instance keeps for one label: as many as Spin lets requests into an instance at
/// once, so that a burst does not open connections only to drop them.
const IDLE_CONNECTIONS: usize = 16;

thread_local! {
    /// Idle connections of this instance by label. Nothing of a request is kept in it.
    static IDLE: RefCell<HashMap<&'static str, Vec<Connection>>> = RefCell::default();
}

/// What a context asks of SQL: one statement, its rows.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Storage {
    /// Runs one statement and gives back all of its rows.
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError>;

    /// Waits a little, longer with each attempt (counted from 1), before deciding again.
    async fn pause(&self, attempt: u64);
}

impl<S: Storage> Storage for &S {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        (**self).query(sql, params).await
    }

    async fn pause(&self, attempt: u64) {
        (**self).pause(attempt).await;
    }
}

impl Storage for Database {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        Self::query(self, sql, params).await
    }

    async fn pause(&self, attempt: u64) {
        // At random, so that two replicas that met once do not meet again and again.
        let micros = get_random_u64() % (1_000 * attempt + 1);
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }
}

/// The store under one label, with the schema it must have.
pub struct Database {
    label: &'static str,
    version: i64,
    schema: &'static [&'static str],
}

impl Database {
    /// The store under `label` (granted in `spin.toml`), whose schema is made by the statements in `schema`,
    /// in order.
    ///
    /// They run when SQLite's `user_version` is below `version`, possibly in two processes at once, so each
    /// must be harmless when repeated (`CREATE … IF NOT EXISTS`).
    pub const fn new(label: &'static str, version: u32, schema: &'static [&'static str]) -> Self {
        Self { label, version: version as i64, schema }
    }

    /// Runs one statement and gives back all of its rows.
    pub async fn query(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<Vec<Row>, StoreError> {
        let connection = self.check_out().await?;
        let rows = run(&connection, sql, params.into()).await;
        // A refused statement leaves its connection as good as before; one that could not be run may not.
        if rows.as_ref().err().is_none_or(StoreError::is_conflict) {
            self.check_in(connection);
        }
        rows
    }

    /// Runs one statement that answers with no rows.
    pub async fn execute(&self, sql: &str, params: impl Into<Vec<Value>>) -> Result<(), StoreError> {
        self.query(sql, params).await.map(drop)
    }

    async fn check_out(&self) -> Result<Connection, StoreError> {
        let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(self.label).and_then(Vec::pop));
        match idle {
            Some(connection) => Ok(connection),
            None => self.open().await,
        }
    }

    fn check_in(&self, connection: Connection) {
        IDLE.with_borrow_mut(|idle| {
            let pool = idle.entry(self.label).or_default();
            if pool.len() < IDLE_CONNECTIONS {
                pool.push(connection);
            }
        });
    }

    async fn open(&self) -> Result<Connection, StoreError> {
        let connection = Connection::open(self.label).await.map_err(StoreError::from)?;
        let version = run(&connection, "PRAGMA user_version", Vec::new()).await?;
        let version = version.first().map_or(Ok(0), |row| row.int(0))?;
        if version < self.version {
            self.migrate(&connection).await?;
        }
        Ok(connection)
    }

    async fn migrate(&self, connection: &Connection) -> Result<(), StoreError> {
        // Readers never wait for the writer; both settings are SQLite's own words for what is promised:
        // what was answered is on disk (`synchronous=FULL` is the default and is not lowered here).
        run(connection, "PRAGMA journal_mode=WAL", Vec::new()).await?;
        for statement in self.schema {
            run(connection, &faults::loosened(statement), Vec::new()).await?;
        }
        run(connection, &format!("PRAGMA user_version={}", self.version), Vec::new()).await?;
        Ok(())
    }
}

async fn run(connection: &Connection, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let answer = connection.execute(sql, params).await?;
    let rows = answer.collect().await?;
    Ok(rows.into_iter().map(Row::new).collect())
}

/// A text parameter.
pub fn text(value: impl Into<String>) -> Value {
    Value::Text(value.into())
}

/// An integer parameter.
pub fn int(value: impl Into<i64>) -> Value {
    Value::Integer(value.into())
}

/// A count or version as a parameter; SQLite's integers end at 2^63-1.
pub fn count(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// SQL's `NULL`.
pub const fn null() -> Value {
    Value::Null
}

/// A text parameter, or `NULL`.
pub fn opt_text(value: Option<impl Into<String>>) -> Value {
    value.map_or(Value::Null, text)
}

/// An integer parameter, or `NULL`.
pub fn opt_int(value: Option<impl Into<i64>>) -> Value {
    value.map_or(Value::Null, int)
}

/// Placeholders for `rows` rows of `columns` columns each: `(?,?),(?,?)`.
pub fn placeholders(rows: usize, columns: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn placeholders_stand_row_by_row() {
        assert_eq!(placeholders(2, 3), "(?,?,?),(?,?,?)");
        assert_eq!(placeholders(1, 1), "(?)");
    }
}
