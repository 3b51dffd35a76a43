//! What every store can do.

use super::{
    error::{Error, other},
    redis::Redis,
    sqlite::Sqlite,
};

/// The most that one answer may hold in the host's memory; Spin's own limit.
const ANSWER_BYTES: usize = 128 << 20;

/// A store behind a label.
#[derive(Clone)]
pub enum Store {
    /// A SQLite file.
    Sqlite(Sqlite),
    /// A Redis.
    Redis(Redis),
}

/// Sends a call on to the kind of store there is.
macro_rules! dispatch {
    ($store:expr, $kind:ident => $call:expr) => {
        match $store {
            Store::Sqlite($kind) => $call,
            Store::Redis($kind) => $call,
        }
    };
}

impl Store {
    /// The value of `key`, if it has one.
    pub async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        match dispatch!(self, store => store.get(key).await)? {
            Some(value) if value.len() > ANSWER_BYTES => {
                Err(other(format!("query result exceeds limit of {ANSWER_BYTES} bytes")))
            }
            value => Ok(value),
        }
    }

    /// Sets `key`, whatever it was.
    pub async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        dispatch!(self, store => store.set(key, value).await)
    }

    /// Removes `key`, if it is there.
    pub async fn delete(&self, key: String) -> Result<(), Error> {
        dispatch!(self, store => store.delete(key).await)
    }

    /// Adds `delta` to the number that `key` holds (0 if it holds nothing) and answers the sum.
    pub async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        dispatch!(self, store => store.increment(key, delta).await)
    }
}
