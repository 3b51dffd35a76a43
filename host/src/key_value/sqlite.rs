//! A store in a SQLite file, in Spin's format: one table for all labels of the file.
//!
//! Reads take a few microseconds and run where they are asked for; writes join the next group
//! commit of the file's [writer](crate::sqlite), whole or not at all.

use std::{path::Path, sync::Arc};

use rusqlite::{OptionalExtension, params};

use super::store::{Error, number, other, sum};
use crate::crowd::Crowd;
use crate::sqlite::{Connection, Database, failure};

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
        let database = Database::open(label, Some(path), false, Crowd::default()).map_err(explain)?;
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

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let key = key.to_owned();
        self.read(move |connection, label| get(connection, label, &key)).await
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        let key = key.to_owned();
        self.read(move |connection, label| connection.prepare(GET)?.exists(params![label, key])).await
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, Error> {
        self.read(|connection, label| {
            let mut select = connection.prepare("SELECT key FROM spin_key_value WHERE store = ?1")?;
            select.query_map([label], |row| row.get(0))?.collect()
        })
        .await
    }

    pub(super) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let keys = keys.to_owned();
        self.read(move |connection, label| keys.iter().map(|key| get(connection, label, key)).collect()).await
    }

    pub(super) async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        self.write(move |connection, label| {
            entries
                .iter()
                .try_for_each(|(key, value)| connection.execute(SET, params![label, key, value]).map(drop))
        })
        .await
    }

    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.write(move |connection, label| {
            keys.iter().try_for_each(|key| connection.execute(DELETE, params![label, key]).map(drop))
        })
        .await
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        self.write(move |connection, label| {
            let value = get(connection, label, &key)?;
            let sum = number(value.as_deref()).and_then(|number| sum(number, delta));
            if let Ok(sum) = &sum {
                connection.execute(SET, params![label, key, sum.to_le_bytes()])?;
            }
            Ok(sum)
        })
        .await?
    }

    pub(super) async fn swap(&self, key: String, old: Option<Vec<u8>>, new: Vec<u8>) -> Result<bool, Error> {
        self.write(move |connection, label| {
            let unchanged = get(connection, label, &key)? == old;
            if unchanged {
                connection.execute(SET, params![label, key, new])?;
            }
            Ok(unchanged)
        })
        .await
    }

    async fn read<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Fn(&Connection, &Arc<str>) -> rusqlite::Result<R> + Send + 'static,
    {
        let label = self.label.clone();
        self.database.read_with(move |connection| work(connection, &label)).await.map_err(explain)
    }

    /// All of `work` or nothing of it, in the next group. The writer holds the file's lock, so what
    /// `work` reads cannot change before it writes, not even from another process.
    async fn write<R, F>(&self, mut work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&Connection, &Arc<str>) -> rusqlite::Result<R> + Send + 'static,
    {
        let label = self.label.clone();
        let atomically = move |connection: &Connection| {
            connection.atomically(|connection| work(connection, &label)).map_err(failure)
        };
        self.database.write(atomically).await.map_err(explain)
    }
}

fn get(connection: &Connection, label: &Arc<str>, key: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    connection.prepare(GET)?.query_row(params![label, key], |row| row.get(0)).optional()
}

fn explain(error: crate::sqlite::Error) -> Error {
    match error {
        crate::sqlite::Error::Io(text) => other(text),
        error => other(error),
    }
}
