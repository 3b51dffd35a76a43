//! What the breaker asks of the store that its state is shared through.

/// A key-value store that all instances and replicas share.
///
/// This is what can be relied upon on Spin, whichever store is behind the label. Compare-and-swap is not among
/// it: creating a key is a plain overwrite on the SQLite store, and on Redis the swap's result is wrong.
/// Entries may be lost at any time; the breaker then is closed and starts to count anew.
#[expect(async_fn_in_trait, reason = "a component has one thread, so nobody needs these futures to be Send")]
pub trait Shared {
    /// Why the store could not be used.
    type Error;

    /// The text under `key`.
    async fn get(&self, key: &str) -> Result<Option<String>, Self::Error>;

    /// Puts a text under `key`.
    async fn set(&self, key: &str, value: &str) -> Result<(), Self::Error>;

    /// Removes `key`, if it is there.
    async fn delete(&self, key: &str) -> Result<(), Self::Error>;

    /// Adds to the counter under `key`, which begins at 0, and gives back its new value. Atomic.
    async fn increment(&self, key: &str, by: i64) -> Result<i64, Self::Error>;

    /// The counter under `key`; 0 where there is none. Apart from [`get`](Self::get), since stores write their
    /// counters in their own way.
    async fn count(&self, key: &str) -> Result<i64, Self::Error>;
}
