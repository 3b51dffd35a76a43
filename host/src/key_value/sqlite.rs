//! A store in a SQLite file, in Spin's format: one table for all labels of the file.
//!
//! Reads take a few microseconds and run where they are asked for; writes join the next group
//! commit of the file's [writer](crate::sqlite), whole or not at all.

use std::{path::Path, sync::Arc};

use rusqlite::{OptionalExtension, params};

use super::error::{Error, other};
use crate::{
    in_flight::InFlight,
    sqlite::{Connection, Database, failure},
};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS spin_key_value (
    store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))";
const IS_THERE: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'spin_key_value'";
const GET: &str = "SELECT value FROM spin_key_value WHERE store = ?1 AND key = ?2";
const SET: &str = "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (store, key) DO UPDATE SET value = excluded.value";
const DELETE: &str = "DELETE FROM spin_key_value WHERE store = ?1 AND key = ?2";

/// One label of one file.
#[derive(Clone, Debug)]
pub struct Sqlite {
    database: Arc<Database>,
    label: Arc<str>,
}

impl Sqlite {
    /// Opens the file at `path`, or makes it.
    pub(super) async fn open(label: &str, path: &Path) -> Result<Self, Error> {
        let database = Database::open(label, path, InFlight::default()).map_err(explain)?;
        // Not written to without need: somebody else may hold the file's lock for longer than is waited for.
        let is_there = |connection: &Connection| connection.prepare(IS_THERE)?.exists([]);
        if !database.read_with(is_there).await.map_err(explain)? {
            let make = |connection: &Connection| connection.execute(TABLE, []).map_err(failure);
            database.write(make).await.map_err(explain)?;
        }
        Ok(Self { database, label: label.into() })
    }

    /// The same file under another label.
    pub(super) fn relabelled(&self, label: &str) -> Self {
        Self { label: label.into(), ..self.clone() }
    }

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        let label = self.label.clone();
        let read = move |connection: &Connection| get(connection, &label, &key);
        self.database.read_with(read).await.map_err(explain)
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.write(move |connection, label| connection.execute(SET, params![label, key, value]).map(drop))
            .await
    }

    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        self.write(move |connection, label| connection.execute(DELETE, params![label, key]).map(drop)).await
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        self.write(move |connection, label| {
            let value = get(connection, label, &key)?;
            let sum = sum(value.as_deref(), delta);
            if let Ok(sum) = &sum {
                connection.execute(SET, params![label, key, sum.to_le_bytes()])?;
            }
            Ok(sum)
        })
        .await?
    }

    /// All of `work` or nothing of it, in the next group. The writer holds the file's lock, so what
    /// `work` reads cannot change before it writes, not even from another process.
    async fn write<R, F>(&self, mut work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&Connection, &Arc<str>) -> rusqlite::Result<R> + Send + 'static,
    {
        let label = self.label.clone();
        let work = move |connection: &Connection| work(connection, &label).map_err(failure);
        self.database.write(work).await.map_err(explain)
    }
}

fn get(connection: &Connection, label: &Arc<str>, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare(GET)?.query_row(params![label, key], |row| row.get(0)).optional()
}

/// The number in `value`, as Spin keeps it in files (eight bytes, the lowest first), and `delta` together.
fn sum(value: Option<&[u8]>, delta: i64) -> Result<i64, Error> {
    let number = value.map_or(Ok(0), |value| value.try_into().map(i64::from_le_bytes));
    let number = number.map_err(|_| other("the value is not a number that increment made"))?;
    number.checked_add(delta).ok_or_else(|| other("the number would be too large"))
}

fn explain(error: crate::sqlite::Error) -> Error {
    match error {
        crate::sqlite::Error::Io(text) => other(text),
        error => other(error),
    }
}
