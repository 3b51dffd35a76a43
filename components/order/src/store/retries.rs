//! The payments that `pay` has still to be asked for, and the cards that they wait with.

use super::{Stored, find_all, order_ids};
use kernel::{OrderId, Timestamp};
use std::collections::BTreeMap;
use store::{Storage, StoreError, Value, count as number, int, null, placeholders};

/// The longest time between two tries to have an order paid, in milliseconds.
const LONGEST_BACK_OFF: i64 = 15_000;

/// No try is put off for longer than this, in milliseconds: what is due later was written by a clock that was ahead,
/// and is due now. (Where a claim's lease is longer, others may ask meanwhile: nobody is charged twice by that.)
const FARTHEST: i64 = 2 * LONGEST_BACK_OFF;

/// What is due now, of two parameters: now, and the farthest that a try may be put off.
const DUE: &str = "(next_at <= ? OR next_at > ?)";

fn due(now: Timestamp) -> [Value; 2] {
    [int(now.millis()), int(now.plus_millis(FARTHEST).millis())]
}

/// Keeps a card (none where there is nothing to pay) for the worker to try with, should the try that follows
/// not settle the payment. Returns whether the order still waits for one.
pub(crate) async fn keep_for_retry(
    storage: &impl Storage,
    order_id: OrderId,
    sealed: Option<Vec<u8>>,
    retry_at: Timestamp,
) -> Result<bool, StoreError> {
    let rows = storage
        .query(
            "INSERT INTO retries (order_id, sealed, attempts, next_at)
             SELECT order_id, ?, 0, ? FROM orders
             WHERE order_id = ? AND status = 'Ordered' AND pay_status IS NOT 'Paid'
             ON CONFLICT (order_id) DO UPDATE SET
                 sealed = excluded.sealed, attempts = 0, next_at = excluded.next_at
             RETURNING order_id",
            vec![sealed.map_or(null(), Value::Blob), int(retry_at.millis()), int(order_id.as_i64())],
        )
        .await?;
    Ok(!rows.is_empty())
}

/// A payment that `pay` is to be asked for again.
pub(crate) struct Retry {
    pub(crate) stored: Stored,
    /// How often this has been tried before.
    pub(crate) attempts: i64,
    /// The sealed card; none where there is nothing to pay.
    pub(crate) sealed: Option<Vec<u8>>,
}

/// Whether any payment is due to be tried again.
pub(crate) async fn any_retry_due(storage: &impl Storage, now: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("SELECT 1 FROM retries WHERE {DUE} LIMIT 1");
    let rows = storage.query(&sql, due(now).to_vec()).await?;
    Ok(!rows.is_empty())
}

/// Takes up to `limit` payments that are due; until `lease_end` nobody else takes them.
pub(crate) async fn claim_retries(
    storage: &impl Storage,
    limit: usize,
    now: Timestamp,
    lease_end: Timestamp,
) -> Result<Vec<Retry>, StoreError> {
    let sql = format!(
        "UPDATE retries SET attempts = attempts + 1, next_at = ?
         WHERE order_id IN (SELECT order_id FROM retries WHERE {DUE} ORDER BY next_at LIMIT ?)
         RETURNING order_id, attempts - 1, sealed"
    );
    let [from, farthest] = due(now);
    let claimed =
        storage.query(&sql, vec![int(lease_end.millis()), from, farthest, number(limit as u64)]).await?;
    let orders = find_all(storage, order_ids(&claimed)?.into_iter()).await?;
    let mut orders: BTreeMap<_, _> =
        orders.into_iter().filter_map(|stored| Some((stored.order_id()?.as_i64(), stored))).collect();
    let mut retries = Vec::with_capacity(claimed.len());
    for row in &claimed {
        let Some(stored) = orders.remove(&row.int(0)?) else { continue };
        // A blob, or NULL: which `blob` takes for a mistake.
        retries.push(Retry { stored, attempts: row.int(1)?, sealed: row.blob(2).ok().map(<[u8]>::to_vec) });
    }
    Ok(retries)
}

/// Has payments that did not settle wait: 1 s, 2 s, 4 s, 8 s, then 15 s.
pub(crate) async fn postpone(
    storage: &impl Storage,
    tried: &[(OrderId, i64)],
    now: Timestamp,
) -> Result<(), StoreError> {
    if tried.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE retries SET next_at = wait.column2 FROM (VALUES {}) AS wait
         WHERE retries.order_id = wait.column1",
        placeholders(tried.len(), 2),
    );
    let params = tried
        .iter()
        .flat_map(|(id, attempts)| [int(id.as_i64()), int(now.plus_millis(back_off(*attempts)).millis())]);
    storage.query(&sql, params.collect()).await.map(drop)
}

/// In milliseconds, after `attempts` earlier ones.
pub(super) fn back_off(attempts: i64) -> i64 {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(5);
    (1000 << doublings).min(LONGEST_BACK_OFF)
}
