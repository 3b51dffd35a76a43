//! The breaker's state in the key-value store.

use breaker::Shared;
use keyvalue::KeyValue;

/// The store, as the breaker asks for it.
pub(crate) struct BreakerState(KeyValue);

impl BreakerState {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        KeyValue::open().await.map(Self)
    }
}

impl Shared for BreakerState {
    type Error = anyhow::Error;

    async fn get(&self, key: &str) -> anyhow::Result<Option<String>> {
        self.0.get(key).await
    }

    async fn set(&self, key: &str, value: &str) -> anyhow::Result<()> {
        self.0.set(key, value).await
    }

    async fn delete(&self, key: &str) -> anyhow::Result<()> {
        self.0.delete(key).await
    }

    async fn increment(&self, key: &str, by: i64) -> anyhow::Result<i64> {
        self.0.increment(key, by)
    }

    async fn count(&self, key: &str) -> anyhow::Result<i64> {
        self.0.count(key).await
    }
}
