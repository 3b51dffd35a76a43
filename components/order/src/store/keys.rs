//! What an `Idempotency-Key` stands for: one order, with one content.

use kernel::{OrderId, Timestamp};
use serde::Serialize;
use store::{Row, Statement, Storage, StoreError};

/// An idempotency key that was used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The content that it came with.
    pub(crate) fingerprint: String,
    pub(crate) made_at: Timestamp,
}

/// A key that is kept together with a new order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewKey<'a> {
    pub(crate) key: &'a str,
    /// The content that it came with.
    pub(crate) fingerprint: &'a str,
    /// When, in milliseconds.
    pub(crate) made_at: i64,
}

impl Key {
    /// The columns may be those of a join without a key.
    pub(super) fn read(row: &Row) -> Result<Option<Self>, StoreError> {
        let Some(fingerprint) = row.opt_string("fingerprint")? else { return Ok(None) };
        Ok(Some(Self { fingerprint, made_at: Timestamp::from_millis(row.int("made_at")?) }))
    }
}

/// Keeps what a key came with, where the order was there already; returns what the key stands for, which is something
/// else if another was faster with it.
pub(crate) async fn remember_key(
    storage: &impl Storage,
    key: &NewKey<'_>,
    order_id: OrderId,
) -> Result<Option<Key>, StoreError> {
    let remember = Statement::new(
        "INSERT INTO idempotency_keys (key, order_id, fingerprint, made_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING fingerprint, made_at",
    )
    .bind(key.key)
    .bind(order_id.get())
    .bind(key.fingerprint)
    .bind(key.made_at);
    remember.row(storage).await?.map_or(Ok(None), |row| Key::read(&row))
}
