//! For how long an `Idempotency-Key` is remembered, in the table `idempotency_keys` of a context.

use kernel::Timestamp;
use store::{Statement, Storage, StoreError};

const HOURS: i64 = 24;

/// Keys made before this are forgotten, in milliseconds.
pub const fn forgotten(now: Timestamp) -> i64 {
    now.plus_minutes(-60 * HOURS).millis()
}

/// Forgets up to 1000 keys that are old enough.
pub async fn forget(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    let forget = "DELETE FROM idempotency_keys WHERE key IN
        (SELECT key FROM idempotency_keys WHERE made_at < $1 ORDER BY made_at LIMIT 1000)";
    Statement::new(forget).bind(forgotten(now)).run(storage).await
}
