//! A store in a Redis. As in Spin, the label plays no part in the names of its keys.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, cmd};

use super::store::{Error, other};
use crate::redis_client::Link;

/// Compares and sets in one step, which is what makes it a swap.
const SWAP: &str = "local old = redis.call('GET', KEYS[1])
    if ARGV[1] == '' then
        if old then return 0 end
    elseif old ~= string.sub(ARGV[1], 2) then
        return 0
    end
    redis.call('SET', KEYS[1], ARGV[2])
    return 1";

/// All keys of one Redis database.
#[derive(Clone, Debug)]
pub struct Redis {
    link: Arc<Link>,
}

impl Redis {
    /// The store at `url`; nothing is sent yet.
    pub(super) fn at(url: &str) -> RedisResult<Self> {
        Ok(Self { link: Arc::new(Link::to(url)?) })
    }

    async fn ask<V: FromRedisValue>(&self, command: &Cmd) -> Result<V, Error> {
        let answer = self.link.run(command).await.map_err(other)?;
        V::from_redis_value(answer).map_err(|error| other(RedisError::from(error)))
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.ask(cmd("GET").arg(key)).await
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, Error> {
        self.ask(cmd("EXISTS").arg(key)).await
    }

    pub(super) async fn keys(&self) -> Result<Vec<String>, Error> {
        let (mut keys, mut cursor) = (Vec::new(), 0_u64);
        loop {
            // `KEYS *` would hold up everybody else who uses the Redis.
            let (next, mut some): (u64, Vec<String>) =
                self.ask(cmd("SCAN").arg(cursor).arg("COUNT").arg(1000)).await?;
            keys.append(&mut some);
            if next == 0 {
                // `SCAN` may answer a key more than once.
                keys.sort_unstable();
                keys.dedup();
                return Ok(keys);
            }
            cursor = next;
        }
    }

    pub(super) async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.ask(cmd("MGET").arg(keys)).await
    }

    pub(super) async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let mut set = cmd("MSET");
        for (key, value) in entries {
            set.arg(key).arg(value);
        }
        self.ask(&set).await
    }

    pub(super) async fn delete_many(&self, keys: Vec<String>) -> Result<(), Error> {
        self.ask::<u64>(cmd("DEL").arg(keys)).await.map(drop)
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        self.ask(cmd("INCRBY").arg(key).arg(delta)).await
    }

    pub(super) async fn swap(&self, key: String, old: Option<Vec<u8>>, new: Vec<u8>) -> Result<bool, Error> {
        // A letter in front tells a value that is empty from none.
        let old = old.map_or_else(Vec::new, |old| [b"=", old.as_slice()].concat());
        self.ask(cmd("EVAL").arg(SWAP).arg(1).arg(key).arg(old).arg(new)).await
    }
}
