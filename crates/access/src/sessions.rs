//! Sessions that have ended before the access tokens that were given out in them.

use keyvalue::KeyValue;

/// Names a session that has ended. `member` has it forgotten in the end.
fn key(session: &str) -> String {
    format!("ended/{session}")
}

/// Whether a session has ended. Where the store cannot be read, it has not: a token lives for five minutes at the most, and
/// a store that is away must not keep everybody out.
pub(crate) async fn has_ended(session: &str) -> bool {
    let read = async { KeyValue::open().await?.get(&key(session)).await };
    match read.await {
        Ok(ended) => ended.is_some(),
        Err(error) => {
            eprintln!("asking whether a session has ended: {error:#}; its token counts");
            false
        }
    }
}

/// From now on no context takes the access tokens of a session.
pub async fn end_session(session: &str) -> anyhow::Result<()> {
    KeyValue::open().await?.set(&key(session), "1").await
}

/// Forgets a session that has ended, once its last access token has expired.
pub async fn forget_session(session: &str) -> anyhow::Result<()> {
    KeyValue::open().await?.delete(&key(session)).await
}
