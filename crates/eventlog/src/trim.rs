//! Trimming a stream, only behind what every group has acknowledged.

use crate::keys;
use crate::position::parts;
use crate::redis::{LogError, Redis, as_text};
use spin_sdk::redis::RedisResult;
use std::borrow::Cow;
use std::collections::HashMap;

/// A stream shorter than this is left alone: about 10 MB.
const KEEP: i64 = 10_000;

pub(crate) async fn trim(redis: &Redis, context: &str) -> Result<(), LogError> {
    let stream = keys::stream(context);
    let length = redis.command("XLEN", &[&stream]).await?;
    if !matches!(length.first(), Some(RedisResult::Int64(length)) if *length > KEEP) {
        return Ok(());
    }
    let groups = acknowledged_up_to(&redis.command("XINFO", &["GROUPS", &stream]).await?);
    let mut behind: Option<String> = None;
    for group in keys::consumers_of(context) {
        // A group that does not exist yet has read nothing: everything is still to come for it.
        let Some((last_delivered, pending)) = groups.get(*group) else { return Ok(()) };
        let up_to = if *pending == 0 {
            last_delivered.clone()
        } else {
            let summary = redis.command("XPENDING", &[&stream, group]).await?;
            let Some(oldest) = summary.get(1).and_then(as_text) else { return Ok(()) };
            oldest.into_owned()
        };
        if behind.as_deref().is_none_or(|least| parts(&up_to) < parts(least)) {
            behind = Some(up_to);
        }
    }
    if let Some(least) = behind {
        redis.command("XTRIM", &[&stream, "MINID", &least]).await?;
    }
    Ok(())
}

/// For each group: the last entry delivered to it, and how many are not acknowledged. Spin gives `XINFO GROUPS`
/// as one flat list of names and values, in which each group begins with `name`.
fn acknowledged_up_to(reply: &[RedisResult]) -> HashMap<String, (String, i64)> {
    let mut groups = HashMap::new();
    let (mut name, mut pending) = (String::new(), 0);
    for pair in reply.chunks_exact(2) {
        let [key, value] = pair else { continue };
        match (as_text(key).as_deref(), value) {
            (Some("name"), value) => name = as_text(value).unwrap_or_default().into_owned(),
            (Some("pending"), RedisResult::Int64(count)) => pending = *count,
            (Some("last-delivered-id"), value) => {
                let last = as_text(value).map_or_else(|| "0-0".to_owned(), Cow::into_owned);
                groups.insert(name.clone(), (last, pending));
            }
            _ => {}
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flat_reply_is_read_group_by_group() {
        let text = |t: &str| RedisResult::Binary(t.as_bytes().to_vec());
        let group = |name: &str, pending: i64, last: &str| {
            vec![
                text("name"),
                text(name),
                text("consumers"),
                RedisResult::Int64(1),
                text("pending"),
                RedisResult::Int64(pending),
                text("last-delivered-id"),
                text(last),
                text("entries-read"),
                RedisResult::Nil,
                text("lag"),
                RedisResult::Int64(0),
            ]
        };
        let reply = [group("order", 2, "5-1"), group("information", 0, "9-0")].concat();
        let read = acknowledged_up_to(&reply);
        assert_eq!(read["order"], ("5-1".to_owned(), 2));
        assert_eq!(read["information"], ("9-0".to_owned(), 0));
    }
}
