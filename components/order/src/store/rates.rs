//! How much of its rate each client has used. `full_at` is when all of it is there again: a row of the past says nothing.

use crate::domain::Client;
use kernel::Timestamp;
use serde::Serialize;
use store::{Statement, Storage, StoreError};

/// One of a client's, used together with a new order.
#[derive(Debug, Serialize)]
pub(crate) struct Use {
    now: i64,
    interval: i64,
}

impl Use {
    pub(crate) fn of(client: &Client, now: Timestamp) -> Self {
        Self { now: now.millis(), interval: client.rate.interval() }
    }
}

/// Uses one, or says in how many seconds there is one again. It is one statement, so that any number at once use no more than
/// there are.
pub(crate) async fn use_one(
    storage: &impl Storage,
    client: &Client,
    now: Timestamp,
) -> Result<Result<(), u64>, StoreError> {
    let (now, rate) = (now.millis(), client.rate);
    let used = Statement::new(
        "INSERT INTO rates (client, full_at) VALUES ($1, CAST($2 AS BIGINT) + CAST($3 AS BIGINT))
         ON CONFLICT (client) DO UPDATE SET full_at = CAST($3 AS BIGINT)
            + CASE WHEN rates.full_at > CAST($2 AS BIGINT) THEN rates.full_at ELSE CAST($2 AS BIGINT) END
            WHERE rates.full_at <= CAST($4 AS BIGINT)
         RETURNING full_at",
    );
    let used = used.bind(&*client.name).bind(now).bind(rate.interval()).bind(rate.latest(now));
    if used.row(storage).await?.is_some() {
        return Ok(Ok(()));
    }
    let full_at = Statement::new("SELECT full_at FROM rates WHERE client = $1").bind(&*client.name);
    let full_at = full_at.row(storage).await?.map(|row| row.int("full_at")).transpose()?;
    // Where one has come back in between, in a second.
    Ok(Err(rate.check(full_at, now).err().unwrap_or(1)))
}

/// Forgets up to 1000 clients that have all of theirs.
pub(crate) async fn forget_rates(storage: &impl Storage, now: Timestamp) -> Result<(), StoreError> {
    let forget = "DELETE FROM rates WHERE client IN
        (SELECT client FROM rates WHERE full_at < $1 ORDER BY full_at LIMIT 1000)";
    Statement::new(forget).bind(now.millis()).run(storage).await
}
