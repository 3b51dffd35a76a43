//! A store in a Redis. As in Spin, the label plays no part in the names of its keys.

use std::sync::Arc;

use redis::{Cmd, FromRedisValue, RedisError, RedisResult, cmd};

use super::error::{Error, other};
use crate::redis_client::Link;

/// All keys of one Redis database.
#[derive(Clone)]
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

    pub(super) async fn get(&self, key: String) -> Result<Option<Vec<u8>>, Error> {
        self.ask(cmd("GET").arg(key)).await
    }

    pub(super) async fn set(&self, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.ask(cmd("SET").arg(key).arg(value)).await
    }

    pub(super) async fn delete(&self, key: String) -> Result<(), Error> {
        self.ask::<u64>(cmd("DEL").arg(key)).await.map(drop)
    }

    pub(super) async fn increment(&self, key: String, delta: i64) -> Result<i64, Error> {
        self.ask(cmd("INCRBY").arg(key).arg(delta)).await
    }
}
