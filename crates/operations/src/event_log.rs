//! Looking at the event log's Redis: where each stream ends, who has read how far, and what nobody could read.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, Result};
use eventlog::{DeadLetter, EntryId, keys, topology};
use redis::{Connection, RedisError, Value};

use crate::dead_letters;

/// How long Redis has for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The event log's Redis, as an operator's command found it.
#[derive(Clone)]
pub struct Redis {
    /// Its address, with a password perhaps.
    pub url: String,
    /// Whether it is the one that `cargo xtask up` starts for the state directory, and stops with the system.
    pub private: bool,
}

/// Where the streams end, how far the groups are, and what they gave up on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    /// The last id of each context's stream; none where there is no stream.
    pub(crate) ends: HashMap<&'static str, EntryId>,
    pub(crate) groups: Vec<Group>,
    pub(crate) dead: Vec<DeadLetter>,
}

/// One consumer group of one stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// The context whose events it follows.
    pub(crate) context: &'static str,
    /// The oldest event that it has not read; none where it has read all.
    pub(crate) unread: Option<EntryId>,
    /// How many events it read and has not acknowledged, and the oldest of them.
    pub(crate) pending: u64,
    pub(crate) oldest_pending: Option<EntryId>,
}

/// Connects, or says what cannot be reached. The address may carry a password, so it is not repeated.
pub(crate) fn connect(redis_url: &str) -> Result<Connection> {
    let client = redis::Client::open(redis_url)
        .context("the address of the event log's Redis (--redis) must look like redis://[[user]:password@]127.0.0.1:6379[/3]")?;
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

/// Whether this is why nothing could be asked: nobody listens there. One that answers and refuses is not away.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    error.downcast_ref::<RedisError>().is_some_and(RedisError::is_connection_refusal)
}

impl Log {
    pub(crate) fn load(redis_url: &str) -> Result<Self> {
        let mut redis = connect(redis_url)?;
        let mut log = Self { dead: dead_letters::list(&mut redis, None)?, ..Self::default() };
        for context in topology::sources() {
            let Some(end) = last_id(&mut redis, context)? else { continue };
            log.ends.insert(context, end);
            let stream = keys::stream(context);
            let known = groups(&mut redis, &stream)?;
            for consumer in topology::readers_of(context) {
                // One that has never read anything will begin at the beginning.
                let nothing = ("0-0".to_owned(), 0);
                let (last_read, pending) = known.get(consumer.name).unwrap_or(&nothing);
                log.groups.push(Group {
                    name: consumer.name,
                    context,
                    unread: first_after(&mut redis, &stream, last_read)?,
                    pending: *pending,
                    oldest_pending: oldest_pending(&mut redis, &stream, consumer.name, *pending)?,
                });
            }
        }
        Ok(log)
    }
}

/// The id of the last event that a context's stream ever had; none where there is no stream.
pub(crate) fn last_id(redis: &mut Connection, context: &str) -> Result<Option<EntryId>> {
    let stream = keys::stream(context);
    let exists: bool = redis::cmd("EXISTS").arg(&stream).query(redis)?;
    if !exists {
        return Ok(None);
    }
    let about: HashMap<String, Value> = redis::cmd("XINFO").arg("STREAM").arg(stream).query(redis)?;
    let last = about.get("last-generated-id").context("XINFO STREAM tells no last-generated-id")?;
    let last: String = redis::from_redis_value(last.clone())?;
    Ok(EntryId::parse(&last))
}

fn first_after(redis: &mut Connection, stream: &str, last_read: &str) -> Result<Option<EntryId>> {
    let behind = format!("({last_read}");
    let unread: Vec<(String, Value)> =
        redis::cmd("XRANGE").arg(stream).arg(&behind).arg("+").arg("COUNT").arg(1).query(redis)?;
    Ok(unread.first().and_then(|(id, _)| EntryId::parse(id)))
}

fn oldest_pending(
    redis: &mut Connection,
    stream: &str,
    group: &str,
    pending: u64,
) -> Result<Option<EntryId>> {
    if pending == 0 {
        return Ok(None);
    }
    let pending: Vec<(String, String, u64, u64)> =
        redis::cmd("XPENDING").arg(stream).arg(group).arg("-").arg("+").arg(1).query(redis)?;
    Ok(pending.first().and_then(|(id, ..)| EntryId::parse(id)))
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn refusal(url: &str) -> anyhow::Error {
        connect(url).err().unwrap()
    }

    #[test]
    fn no_refusal_repeats_an_address_with_its_password() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (url, away) in [
            (format!("redis://:hunter2@{free}/3"), true),
            (format!("rediss://user:hunter2@{free}"), true),
            ("redis://:hunter2@h/x".to_owned(), false),
            ("redis://:hunter2/@h".to_owned(), false),
            ("hunter2".to_owned(), false),
        ] {
            let error = refusal(&url);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(is_away(&error), away, "{error:?}");
        }
    }

    #[test]
    fn an_address_with_two_s_is_spoken_to_in_tls() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("rediss://:hunter2@{}", listener.local_addr().unwrap());
        let connecting = thread::spawn(move || refusal(&url));
        let mut first = [0];
        listener.accept().unwrap().0.read_exact(&mut first).unwrap();
        // A handshake record: RFC 8446, section 5.1.
        assert_eq!(first, [22]);
        let error = connecting.join().unwrap();
        assert!(!is_away(&error) && !format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
