//! The databases themselves, read from beside the system: what no endpoint tells, such as the card company's books.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rusqlite::{Connection, OpenFlags, types::FromSql};

/// The SQLite file behind a store's label, wherever it is under the state directory.
#[must_use]
pub fn file(state: &Path, label: &str) -> Option<PathBuf> {
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).ok()?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_stem().is_some_and(|stem| stem == label)
                && path.extension().is_some_and(|extension| extension == "db" || extension == "sqlite")
            {
                return Some(path);
            }
        }
    }
    None
}

/// The stores under the state directory, as an operator's commands find them.
pub fn of(state: &Path) -> Result<operations::Stores> {
    operations::Stores::new(|label| {
        let file = file(state, label).with_context(|| format!("no store {label} in {}", state.display()))?;
        Ok(operations::Place::File(file))
    })
}

fn open(state: &Path, label: &str) -> Result<Connection> {
    let file = file(state, label).with_context(|| format!("no store {label} in {}", state.display()))?;
    // Not `READ_ONLY`: a reader of a write-ahead log takes part in its locks.
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// The one value that a query gives.
pub fn value<T: FromSql>(state: &Path, label: &str, sql: &str) -> Result<T> {
    let connection = open(state, label)?;
    connection.query_row(sql, [], |row| row.get(0)).with_context(|| format!("{sql} in the store {label}"))
}

/// Does to a store, behind the system's back, what only an accident or an intruder would do.
#[track_caller]
pub fn tamper(state: &Path, label: &str, sql: &str) {
    let done = open(state, label).and_then(|store| Ok(store.execute_batch(sql)?));
    done.unwrap_or_else(|error| panic!("{sql} in the store {label}: {error:#}"));
}

/// A whole number that a query gives: 0 where nothing was ever stored, so that there is no table yet. A test in which
/// it cannot be asked has failed.
#[track_caller]
#[must_use]
pub fn count(state: &Path, label: &str, sql: &str) -> i64 {
    match value(state, label, sql) {
        Ok(count) => count,
        Err(error) if format!("{error:#}").contains("no such table") => 0,
        Err(error) => panic!("{error:#}"),
    }
}
