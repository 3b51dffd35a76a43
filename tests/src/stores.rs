//! The databases themselves, read from beside the system: what no endpoint tells, such as the card company's books.
//!
//! Whatever is asked is asked in words that SQLite and PostgreSQL both understand.

use std::ffi::OsStr;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use store::Value;
use store::native::{Address, Store};
use xtask::postgres_url::LABELS;

/// Where one system keeps everything: a folder, and the database of its stores where they are on PostgreSQL. It derefs to
/// the folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
    database: Option<String>,
}

impl State {
    /// In this folder, and with the stores in the database at this address, or in the folder, too.
    #[must_use]
    pub fn new(folder: PathBuf, database: Option<String>) -> Self {
        Self { folder, database }
    }

    /// The address of the database that the stores are in; none where they are files.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.database.as_deref()
    }

    /// The store under a label, as it is. It must be there.
    pub fn open(&self, label: &str) -> Result<Store> {
        let known = LABELS.into_iter().find(|known| *known == label);
        if let (Some(url), Some(label)) = (&self.database, known) {
            return Ok(Address::of(label, url).connect()?);
        }
        let file = file(self, label).with_context(|| format!("no store {label} in {}", self.display()))?;
        Ok(Store::as_it_is(&file)?)
    }
}

impl Deref for State {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.folder
    }
}

impl AsRef<OsStr> for State {
    fn as_ref(&self) -> &OsStr {
        self.folder.as_ref()
    }
}

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

/// What a column of an answer is read as.
pub trait Column: Sized {
    /// The value, if it is of this kind.
    fn read(value: &Value) -> Option<Self>;
}

impl Column for i64 {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

impl Column for String {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        if matches!(value, Value::Null) { Some(None) } else { T::read(value).map(Some) }
    }
}

/// The values that a query gives, row by row.
pub fn rows(state: &State, label: &str, sql: &str) -> Result<Vec<Vec<Value>>> {
    let rows = state.open(label)?.run(sql, &[]).with_context(|| format!("{sql} in the store {label}"))?;
    Ok(rows.iter().map(|row| row.values().to_vec()).collect())
}

/// The one value that a query gives.
pub fn value<T: Column>(state: &State, label: &str, sql: &str) -> Result<T> {
    let rows = rows(state, label, sql)?;
    let value = rows.first().and_then(|row| row.first());
    value.and_then(T::read).with_context(|| format!("{sql} in the store {label} gives {value:?}"))
}

/// Does to a store, behind the system's back, what only an accident or an intruder would do.
#[track_caller]
pub fn tamper(state: &State, label: &str, sql: &str) {
    let done = state.open(label).and_then(|store| {
        sql.split(';')
            .filter(|one| !one.trim().is_empty())
            .try_for_each(|one| Ok(store.run(one, &[]).map(drop)?))
    });
    done.unwrap_or_else(|error| panic!("{sql} in the store {label}: {error:#}"));
}

/// A whole number that a query gives: 0 where nothing was ever stored, so that there is no table yet. A test in which
/// it cannot be asked has failed.
#[track_caller]
#[must_use]
pub fn count(state: &State, label: &str, sql: &str) -> i64 {
    match value(state, label, sql) {
        Ok(count) => count,
        Err(error) if is_no_table(&format!("{error:#}")) => 0,
        Err(error) => panic!("{error:#}"),
    }
}

fn is_no_table(error: &str) -> bool {
    error.contains("no such table") || error.contains("(42P01)")
}
