//! What every store can do.

use super::{memory::Memory, redis::Redis, sqlite::Sqlite};

pub use super::guest::bindings::spin::key_value::key_value::Error;

/// The most that one answer may hold in the host's memory; Spin's own limit.
pub(super) const ANSWER_BYTES: usize = 128 << 20;

/// A store behind a label.
#[derive(Clone)]
pub enum Store {
    /// A SQLite file.
    Sqlite(Sqlite),
    /// A Redis.
    Redis(Redis),
    /// This process.
    Memory(Memory),
}

/// Sends a call on to the kind of store there is.
macro_rules! dispatch {
    ($store:expr, $kind:ident => $call:expr) => {
        match $store {
            Store::Sqlite($kind) => $call,
            Store::Redis($kind) => $call,
            Store::Memory($kind) => $call,
        }
    };
}

impl Store {
    /// The value of `key`, if it has one.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        let value = dispatch!(self, store => store.get(key).await)?;
        within_limit(value.as_ref().map_or(0, Vec::len))?;
        Ok(value)
    }

    /// Sets `key`, whatever it was.
    pub async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.set_many(vec![(key, value)]).await
    }

    /// Removes `key`, if it is there.
    pub async fn delete(&self, key: String) -> Result<(), Error> {
        self.delete_many(vec![key]).await
    }

    /// Whether `key` has a value.
    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        dispatch!(self, store => store.exists(key).await)
    }

    /// Every key, in no particular order.
    pub async fn keys(&self) -> Result<Vec<String>, Error> {
        let keys = dispatch!(self, store => store.keys().await)?;
        within_limit(keys.iter().map(String::len).sum())?;
        Ok(keys)
    }

    /// The values of `keys`, in their order.
    pub async fn get_many(&self, keys: Vec<String>) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let values = dispatch!(self, store => store.get_many(&keys).await)?;
        within_limit(values.iter().flatten().map(Vec::len).sum())?;
        Ok(keys.into_iter().zip(values).collect())
    }

    /// Sets every key, or none.
    pub async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        dispatch!(self, store => store.set_many(entries).await)
    }

    /// Removes every key, or none.
    pub async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        dispatch!(self, store => store.delete_many(keys).await)
    }

    /// Adds `delta` to the number that `key` holds (0 if it holds nothing) and answers the sum.
    pub async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        dispatch!(self, store => store.increment(key, delta).await)
    }

    /// Sets `key` to `new` if it still is `old` (`None`: if it still is not there), and answers
    /// whether it was.
    pub async fn swap(&self, key: String, old: Option<Vec<u8>>, new: Vec<u8>) -> Result<bool, Error> {
        dispatch!(self, store => store.swap(key, old, new).await)
    }
}

/// An error that only its text describes.
pub(super) fn other(problem: impl ToString) -> Error {
    Error::Other(problem.to_string())
}

fn within_limit(bytes: usize) -> Result<(), Error> {
    match bytes <= ANSWER_BYTES {
        true => Ok(()),
        false => Err(other(format!("query result exceeds limit of {ANSWER_BYTES} bytes"))),
    }
}

/// The number in `value`, as Spin keeps it in files: eight bytes, the lowest first.
pub(super) fn number(value: Option<&[u8]>) -> Result<i64, Error> {
    let Some(value) = value else { return Ok(0) };
    value
        .try_into()
        .map(i64::from_le_bytes)
        .map_err(|_| other("the value is not a number that increment made"))
}

/// The sum, or the reason why there is none.
pub(super) fn sum(number: i64, delta: i64) -> Result<i64, Error> {
    number.checked_add(delta).ok_or_else(|| other("the number would be too large"))
}
