//! Spin's key-value store with the label `default`: what all instances and replicas share, and what may be lost.
//!
//! The breaker's counts, sessions that have ended, rate limits. Whoever uses it says how its keys begin, since a store on
//! Redis is one for all labels.

use anyhow::{Context, anyhow};
use spin_sdk::experimental::wasi::keyvalue;
use spin_sdk::key_value::Store;
use std::cell::RefCell;
use std::rc::Rc;

const LABEL: &str = "default";

thread_local! {
    /// The open store of this instance; opening it again for every request would be one more host call.
    static OPEN: RefCell<Option<Rc<Store>>> = const { RefCell::new(None) };
}

/// The key-value store, opened once per instance.
#[derive(Clone)]
pub struct KeyValue(Rc<Store>);

impl KeyValue {
    /// The store of this instance.
    pub async fn open() -> anyhow::Result<Self> {
        if let Some(store) = OPEN.with_borrow(Clone::clone) {
            return Ok(Self(store));
        }
        let store = Rc::new(Store::open(LABEL).await.map_err(|e| anyhow!("opening {LABEL}: {e:?}"))?);
        OPEN.set(Some(Rc::clone(&store)));
        Ok(Self(store))
    }

    /// The text under `key`.
    pub async fn get(&self, key: &str) -> anyhow::Result<Option<String>> {
        let value = self.0.get(key).await.map_err(|e| anyhow!("reading {key}: {e:?}"))?;
        value.map(String::from_utf8).transpose().with_context(|| format!("reading {key}"))
    }

    /// Puts a text under `key`.
    pub async fn set(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.0.set(key, value).await.map_err(|e| anyhow!("writing {key}: {e:?}"))
    }

    /// Removes `key`, if it is there.
    pub async fn delete(&self, key: &str) -> anyhow::Result<()> {
        self.0.delete(key).await.map_err(|e| anyhow!("deleting {key}: {e:?}"))
    }

    /// Adds to the counter under `key`, which begins at 0, and gives back its new value. Atomic: through `wasi:keyvalue`,
    /// since Spin's own interface has nothing that is.
    pub fn increment(&self, key: &str, by: i64) -> anyhow::Result<i64> {
        let bucket = keyvalue::store::open(LABEL).map_err(|e| anyhow!("opening {LABEL}: {e:?}"))?;
        keyvalue::atomics::increment(&bucket, key, by).map_err(|e| anyhow!("counting in {key}: {e:?}"))
    }

    /// The counter under `key`; 0 where there is none.
    pub async fn count(&self, key: &str) -> anyhow::Result<i64> {
        let value = self.0.get(key).await.map_err(|e| anyhow!("reading {key}: {e:?}"))?;
        value.map_or(Ok(0), |bytes| {
            counter(&bytes).with_context(|| format!("{key} holds {bytes:?}, which is no counter"))
        })
    }
}

/// A counter as Redis writes it (decimal digits) or Spin's own store (eight bytes, little endian). Eight bytes
/// that are all digits are the former: as the latter they would be more calls than anybody makes.
fn counter(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    text.or_else(|| Some(i64::from_le_bytes(bytes.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn counters_are_read_as_either_store_writes_them() {
        assert_eq!(counter(b"4294967297"), Some(4_294_967_297));
        assert_eq!(counter(&4_294_967_297_i64.to_le_bytes()), Some(4_294_967_297));
        assert_eq!(counter(b"12345678"), Some(12_345_678));
        assert_eq!(counter(b"x"), None);
    }
}
