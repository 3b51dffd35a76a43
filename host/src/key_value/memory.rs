//! A store in the memory of this process: what `default` is without a state directory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::store::{Error, number, sum};

/// A map that every instance of the application shares.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    entries: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.entries().get(key).cloned())
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.entries().contains_key(key))
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, Error> {
        Ok(self.entries().keys().cloned().collect())
    }

    pub(super) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let entries = self.entries();
        Ok(keys.iter().map(|key| entries.get(key).cloned()).collect())
    }

    pub(super) async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        self.entries().extend(entries);
        Ok(())
    }

    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.entries().retain(|key, _| !keys.contains(key));
        Ok(())
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        let mut entries = self.entries();
        let sum = sum(number(entries.get(&key).map(Vec::as_slice))?, delta)?;
        entries.insert(key, sum.to_le_bytes().to_vec());
        Ok(sum)
    }

    pub(super) async fn swap(&self, key: String, old: Option<Vec<u8>>, new: Vec<u8>) -> Result<bool, Error> {
        let mut entries = self.entries();
        let unchanged = entries.get(&key) == old.as_ref();
        if unchanged {
            entries.insert(key, new);
        }
        Ok(unchanged)
    }
}
