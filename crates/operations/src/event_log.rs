//! Looking at the event log's Redis: who has read how far, and what nobody could read.
//!
//! The names of streams, groups and keys are those of the crate `eventlog`, said a second time; its own source
//! is built for components and cannot be called from here.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::{Connection, Value};

use crate::dead_letters::{self, DeadLetter};

/// How long Redis has for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Whose events there are, and which groups follow them.
pub(crate) const CONSUMERS: [(&str, &[&str]); 3] = [
    ("order", &["reservation", "notification", "information"]),
    ("pay", &["order", "reservation", "notification", "information"]),
    ("reservation", &["order", "pay", "reservation", "notification", "information"]),
];

/// The stream of a context's events, and the channel of its wake-ups.
pub(crate) fn stream(context: &str) -> String {
    format!("sugang:events:{context}")
}

/// How far the groups are, and what they gave up on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub(crate) groups: Vec<Group>,
    pub(crate) dead: Vec<DeadLetter>,
}

/// One consumer group of one stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: String,
    /// The context whose events it follows.
    pub(crate) context: &'static str,
    /// How long the oldest event that it has not read has been in the stream; none where it has read all.
    pub(crate) unread_for: Option<Duration>,
    /// How many events it read and has not acknowledged, and for how long the longest of them.
    pub(crate) pending: u64,
    pub(crate) pending_for: Duration,
}

/// Connects, or says what cannot be reached. The address may carry a password, so it is not repeated.
pub(crate) fn connect(redis_url: &str) -> Result<Connection> {
    let client = redis::Client::open(redis_url)
        .context("the address of the event log's Redis (--redis) must look like redis://127.0.0.1:6379")?;
    let connection = client.get_connection_with_timeout(Duration::from_secs(5)).with_context(|| {
        let address = client.get_connection_info().addr().to_string();
        format!(
            "cannot reach the event log's Redis at {address}. Does the system run, and is --redis its Redis?"
        )
    })?;
    connection.set_read_timeout(Some(ANSWER_WITHIN))?;
    connection.set_write_timeout(Some(ANSWER_WITHIN))?;
    Ok(connection)
}

impl Log {
    pub(crate) fn load(redis_url: &str) -> Result<Self> {
        let mut redis = connect(redis_url)?;
        let mut log = Self { groups: Vec::new(), dead: dead_letters::list(&mut redis, None)? };
        for (context, consumers) in CONSUMERS {
            let stream = stream(context);
            let length: u64 = redis::cmd("XLEN").arg(&stream).query(&mut redis)?;
            if length == 0 {
                continue;
            }
            let known = groups(&mut redis, &stream)?;
            for name in consumers {
                let group = match known.get(*name) {
                    Some((last_read, pending)) => {
                        Group::look(&mut redis, context, name, last_read, *pending)?
                    }
                    // It has never read anything, and will begin at the beginning.
                    None => Group::look(&mut redis, context, name, "0-0", 0)?,
                };
                log.groups.push(group);
            }
        }
        Ok(log)
    }
}

impl Group {
    fn look(
        redis: &mut Connection,
        context: &'static str,
        name: &str,
        last_read: &str,
        pending: u64,
    ) -> Result<Self> {
        let stream = stream(context);
        let behind = format!("({last_read}");
        let unread: Vec<(String, Value)> =
            redis::cmd("XRANGE").arg(&stream).arg(&behind).arg("+").arg("COUNT").arg(1).query(redis)?;
        let unread_for = match unread.first() {
            Some((id, _)) => Some(age(redis, id)?),
            None => None,
        };
        let pending_for = if pending == 0 { Duration::ZERO } else { longest_pending(redis, &stream, name)? };
        Ok(Self { name: name.to_owned(), context, unread_for, pending, pending_for })
    }
}

/// How long ago an entry was appended, by Redis's own clock.
fn age(redis: &mut Connection, id: &str) -> Result<Duration> {
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query(redis)?;
    let now = seconds * 1000 + micros / 1000;
    let appended: u64 = id.split('-').next().and_then(|ms| ms.parse().ok()).unwrap_or(now);
    Ok(Duration::from_millis(now.saturating_sub(appended)))
}

/// Since the entry was appended: how long it has been in somebody's hands starts anew with each claim.
fn longest_pending(redis: &mut Connection, stream: &str, group: &str) -> Result<Duration> {
    let pending: Vec<(String, String, u64, u64)> =
        redis::cmd("XPENDING").arg(stream).arg(group).arg("-").arg("+").arg(1).query(redis)?;
    pending.first().map_or(Ok(Duration::ZERO), |(id, ..)| age(redis, id))
}

/// For each group of a stream: the last entry it has read, and how many it has not acknowledged.
fn groups(redis: &mut Connection, stream: &str) -> Result<HashMap<String, (String, u64)>> {
    let reply: Vec<HashMap<String, Value>> = redis::cmd("XINFO").arg("GROUPS").arg(stream).query(redis)?;
    let mut found = HashMap::new();
    for group in reply {
        let text = |key: &str| -> Result<String> {
            let value = group.get(key).with_context(|| format!("XINFO GROUPS tells no `{key}`"))?;
            Ok(redis::from_redis_value(value.clone())?)
        };
        let pending = text("pending")?.parse().context("`pending` of XINFO GROUPS is no number")?;
        found.insert(text("name")?, (text("last-delivered-id")?, pending));
    }
    Ok(found)
}
