//! The event log's Redis, and what can happen to it: it goes, it forgets, it stalls, its wake-ups get lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use eventlog::{EntryId, keys, topology};
use rustix::process::Signal;
use xtask::redis_server::RedisServer;
use xtask::tick::Tick;

use crate::stores::{self, State};

/// More often than in production, so that a short run has as many ticks as a longer one.
const TICK: Duration = Duration::from_millis(500);

/// A Redis server and the tick.
#[derive(Debug)]
pub struct Log {
    // In this order they end.
    tick: Option<Tick>,
    server: Option<RedisServer>,
    folder: PathBuf,
    url: String,
}

impl Log {
    /// Starts both; the server keeps its port whenever it is started again.
    pub fn start(folder: &Path, port: u16) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("port"), port.to_string())?;
        let server = RedisServer::start(folder, None)?;
        let url = server.url();
        let tick = Some(Tick::start(&url, TICK)?);
        Ok(Self { tick, server: Some(server), folder: folder.to_owned(), url })
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// It crashes.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.process().kill()?;
        }
        Ok(())
    }

    /// It is there again, with what is left of its data.
    pub fn revive(&mut self) -> Result<()> {
        if self.server.is_none() {
            let server = RedisServer::start_in(&self.folder, None, &[])?;
            anyhow::ensure!(
                server.url() == self.url,
                "Redis did not come back where it was; {} says whether its port was taken",
                server.log().display()
            );
            self.server = Some(server);
        }
        if self.tick.is_none() {
            self.tick = Some(Tick::start(&self.url, TICK)?);
        }
        Ok(())
    }

    /// Takes the last so many bytes off what it has written, as a crash of the whole machine does. It must not run.
    pub fn lose_tail(&self, bytes: u64) -> Result<()> {
        if let Some(path) = newest_part(&self.folder.join("appendonlydir"))? {
            let file = fs::File::options().write(true).open(&path)?;
            file.set_len(file.metadata()?.len().saturating_sub(bytes))?;
        }
        Ok(())
    }

    /// It stands still with its connections open, or goes on.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.server.as_mut().context("Redis does not run")?.process().signal(signal)
    }

    /// Nobody is woken by time any more, until [`Log::revive`].
    pub fn stop_ticking(&mut self) {
        self.tick = None;
    }

    /// Changes a setting of the server, until it is started anew.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        Ok(redis::cmd("CONFIG").arg("SET").arg(name).arg(value).exec(&mut self.connect()?)?)
    }

    /// A connection for one more command.
    pub fn connect(&self) -> Result<redis::Connection> {
        connect(&self.url)
    }
}

/// The file that Redis writes to. While it compacts its log, the one before is still there, whole.
fn newest_part(folder: &Path) -> Result<Option<PathBuf>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no {}", folder.display()))? {
        let path = entry?.path();
        parts.extend(part_number(&path).map(|number| (number, path)));
    }
    Ok(parts.into_iter().max().map(|(_, path)| path))
}

/// 12 for `appendonly.aof.12.incr.aof`; nothing for any other file.
fn part_number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".incr.aof")?.rsplit('.').next()?.parse().ok()
}

/// A connection that does not wait for ever.
pub fn connect(url: &str) -> Result<redis::Connection> {
    let patience = Duration::from_secs(5);
    let connection = redis::Client::open(url)?.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

/// How many events the groups have not handled: those not read yet, and those read but not acknowledged.
pub fn behind(url: &str) -> Result<u64> {
    let mut connection = connect(url)?;
    let mut behind = 0;
    for context in topology::sources() {
        let key = keys::stream(context);
        let Some(last) = end(&mut connection, &key)? else { continue };
        let about: Vec<Vec<redis::Value>> =
            redis::cmd("XINFO").arg("GROUPS").arg(&key).query(&mut connection)?;
        let group = |name: &str| about.iter().find(|group| field(group, "name").as_deref() == Some(name));
        for consumer in topology::readers_of(context) {
            let group = group(consumer.name);
            let pending = group.and_then(|group| field(group, "pending"));
            behind += pending.and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
            let read = group.and_then(|group| field(group, "last-delivered-id"));
            // The server's own `lag` is unknown once entries were deleted.
            behind += u64::from(read.and_then(|read| EntryId::parse(&read)) < Some(last));
        }
    }
    for consumer in &topology::CONSUMERS {
        behind += redis::cmd("XLEN").arg(keys::replayed(consumer.name)).query::<u64>(&mut connection)?;
    }
    Ok(behind)
}

/// How many events of a context's store are not in its stream, and not acknowledged by all.
pub fn unsent(url: &str, state: &State, context: &str) -> Result<u64> {
    let end = end(&mut connect(url)?, &keys::stream(context))?.unwrap_or_default();
    // On PostgreSQL an event has no position before a relay has given it one.
    let sql = format!(
        "SELECT count(*) FROM events, log WHERE position IS NULL
            OR (position > floor AND NOT ({} = generation AND position <= {}))",
        end.generation, end.position
    );
    Ok(stores::value::<i64>(state, context, &sql)?.cast_unsigned())
}

/// The last id of a stream; none where there is no stream.
fn end(connection: &mut redis::Connection, key: &str) -> Result<Option<EntryId>> {
    if !redis::cmd("EXISTS").arg(key).query::<bool>(connection)? {
        return Ok(None);
    }
    let about: Vec<redis::Value> = redis::cmd("XINFO").arg("STREAM").arg(key).query(connection)?;
    Ok(field(&about, "last-generated-id").and_then(|id| EntryId::parse(&id)))
}

fn field(group: &[redis::Value], name: &str) -> Option<String> {
    let mut parts = group.iter();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        if redis::from_redis_value_ref::<String>(key).is_ok_and(|key| key == name) {
            return redis::from_redis_value_ref::<String>(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_part_is_the_one_with_the_highest_number() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest_part(folder.path()).unwrap(), None);
        for name in ["9.incr.aof", "10.incr.aof", "11.base.rdb", "manifest"] {
            fs::write(folder.path().join(format!("appendonly.aof.{name}")), "").unwrap();
        }
        let newest = newest_part(folder.path()).unwrap().unwrap();
        assert_eq!(newest.file_name().unwrap(), "appendonly.aof.10.incr.aof");
    }
}
