//! The payments that `pay` has still to be asked for, and the cards that they wait with.

use super::{Stored, find_all};
use kernel::{OrderId, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Statement, Storage, StoreError};

/// The longest time between two tries to have an order paid, in milliseconds.
const LONGEST_BACK_OFF: i64 = 15_000;

/// No try is put off for longer than this, in milliseconds: what is due later was written by a clock that was ahead,
/// and is due now. (Where a claim's lease is longer, others may ask meanwhile: nobody is charged twice by that.)
const FARTHEST: i64 = 2 * LONGEST_BACK_OFF;

/// What is due at $1, where $2 is the farthest that a try may be put off.
const DUE: &str = "(next_at <= $1 OR next_at > $2)";

/// What an order is to be paid with, for as long as its payment is open.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Card {
    /// The sealed card; none where there is nothing to pay.
    pub(crate) sealed: Option<String>,
    /// When the worker takes the payment up, in milliseconds, should nobody have settled it.
    pub(crate) next_at: i64,
}

/// Keeps a card for the worker to try with, should the try that follows not settle the payment: if the order is still as
/// it was loaded, and so are its payment and its course. Returns whether it is. (PostgreSQL locks the order, so that nobody
/// ends it meanwhile, who would not see the card.)
pub(crate) async fn keep_for_retry(
    storage: &impl Storage,
    stored: &Stored,
    card: Card,
) -> Result<bool, StoreError> {
    let keep = Statement::new(
        "INSERT INTO retries (order_id, sealed, attempts, next_at)
         SELECT order_id, $1, 0, $2 FROM orders
         WHERE order_id = $3 AND version = $4 AND pay_version = $5
             AND coalesce((SELECT c.version FROM courses AS c WHERE c.edu_no = orders.edu_no), 0) = $6
         /*postgres FOR UPDATE*/
         ON CONFLICT (order_id) DO UPDATE SET
             sealed = excluded.sealed, attempts = 0, next_at = excluded.next_at
         RETURNING order_id",
    )
    .bind(card.sealed)
    .bind(card.next_at)
    .bind(stored.order_id().get())
    .bind(stored.version)
    .bind(stored.payment.version)
    .bind(stored.course_version);
    Ok(keep.row(storage).await?.is_some())
}

/// A payment that `pay` is to be asked for again.
#[derive(Debug)]
pub(crate) struct Retry {
    pub(crate) stored: Stored,
    pub(crate) attempts: u64,
    /// The sealed card; none where there is nothing to pay.
    pub(crate) sealed: Option<String>,
}

/// Whether any payment is due to be tried again.
pub(crate) async fn any_retry_due(storage: &impl Storage, now: Timestamp) -> Result<bool, StoreError> {
    let due = Statement::new(format!("SELECT 1 AS one FROM retries WHERE {DUE} LIMIT 1"));
    Ok(until_farthest(due, now).row(storage).await?.is_some())
}

/// How many payments wait to be asked for again.
pub(crate) async fn count_retries(storage: &impl Storage) -> Result<u64, StoreError> {
    Statement::new("SELECT count(*) AS total FROM retries").total(storage).await
}

/// Takes up to `limit` payments that are due; until `lease_end` nobody else takes them.
pub(crate) async fn claim_retries(
    storage: &impl Storage,
    limit: usize,
    now: Timestamp,
    lease_end: Timestamp,
) -> Result<Vec<Retry>, StoreError> {
    let claim = Statement::new(format!(
        "WITH due AS (SELECT order_id FROM retries WHERE {DUE} ORDER BY next_at LIMIT $3
             /*postgres FOR UPDATE SKIP LOCKED*/)
         UPDATE retries SET attempts = attempts + 1, next_at = $4 WHERE order_id IN (SELECT order_id FROM due)
         RETURNING order_id, attempts - 1 AS tried, sealed"
    ));
    let rows = until_farthest(claim, now).bind(limit as u64).bind(lease_end.millis()).rows(storage).await?;
    let mut claimed = BTreeMap::new();
    for row in &rows {
        let order_id = row.number("order_id", OrderId::parse)?;
        claimed.insert(order_id, (row.count("tried")?, row.opt_string("sealed")?));
    }
    if claimed.is_empty() {
        return Ok(vec![]);
    }
    let orders = find_all(storage, claimed.keys().copied()).await?;
    let retry = |stored: Stored| {
        let (attempts, sealed) = claimed.remove(&stored.order_id())?;
        Some(Retry { stored, attempts, sealed })
    };
    Ok(orders.into_iter().filter_map(retry).collect())
}

fn until_farthest(statement: Statement, now: Timestamp) -> Statement {
    statement.bind(now.millis()).bind(now.plus_millis(FARTHEST).millis())
}

/// Has payments that did not settle wait: 1 s, 2 s, 4 s, 8 s, then 15 s.
pub(crate) async fn postpone(
    storage: &impl Storage,
    tried: &[(OrderId, u64)],
    now: Timestamp,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Wait {
        order_id: OrderId,
        next_at: i64,
    }
    if tried.is_empty() {
        return Ok(());
    }
    let postpone = Statement::new(
        "UPDATE retries SET next_at = wait.next_at
         FROM (SELECT CAST(value ->> 'orderId' AS BIGINT) AS order_id, CAST(value ->> 'nextAt' AS BIGINT) AS next_at
             FROM json_each($1)) AS wait
         WHERE retries.order_id = wait.order_id",
    );
    let waits = tried
        .iter()
        .map(|(id, attempts)| Wait { order_id: *id, next_at: now.plus_millis(back_off(*attempts)).millis() });
    postpone.bind_list(waits).run(storage).await
}

/// In milliseconds, after `attempts` earlier ones.
pub(super) fn back_off(attempts: u64) -> i64 {
    let doublings = u32::try_from(attempts).unwrap_or(5).min(5);
    (1000 << doublings).min(LONGEST_BACK_OFF)
}
