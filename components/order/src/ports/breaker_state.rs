//! Where the breaker's state is: in the key-value store, or in Redis where that store cannot count.

use crate::settings::{BreakerStore, Settings};
use anyhow::{Context, anyhow};
use breaker::Shared;
use futures::future::{Either, select};
use keyvalue::KeyValue;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// How long Redis has for an answer: an order waits for it. Without one `pay` is called unasked.
const PATIENCE: Duration = Duration::from_millis(250);

/// The store, as the breaker asks for it.
pub(crate) enum BreakerState {
    KeyValue(KeyValue),
    /// By its address.
    Redis(Rc<str>),
}

impl BreakerState {
    pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Self> {
        match settings.breaker_store {
            BreakerStore::KeyValue => KeyValue::open().await.map(Self::KeyValue),
            BreakerStore::Redis => Ok(Self::Redis(Rc::clone(&settings.redis_url))),
        }
    }
}

/// Asks Redis about a key. There it is one of many, and says whose it is.
async fn ask(url: &str, command: &str, key: &str, value: Option<&str>) -> anyhow::Result<Option<String>> {
    let key = format!("sugang:{key}");
    let arguments: Vec<&str> = std::iter::once(key.as_str()).chain(value).collect();
    match select(pin!(eventlog::ask(url, command, &arguments)), pin!(spin_sdk::time::sleep(PATIENCE))).await {
        Either::Left((answer, _)) => Ok(answer?),
        Either::Right(_) => Err(anyhow!("Redis did not answer within {PATIENCE:?}")),
    }
}

fn number(answer: Option<&str>) -> anyhow::Result<i64> {
    answer.map_or(Ok(0), str::parse::<i64>).context("what Redis has of the breaker is no number")
}

impl Shared for BreakerState {
    type Error = anyhow::Error;

    async fn get(&self, key: &str) -> anyhow::Result<Option<String>> {
        match self {
            Self::KeyValue(store) => store.get(key).await,
            Self::Redis(url) => ask(url, "GET", key, None).await,
        }
    }

    async fn set(&self, key: &str, value: &str) -> anyhow::Result<()> {
        match self {
            Self::KeyValue(store) => store.set(key, value).await,
            Self::Redis(url) => ask(url, "SET", key, Some(value)).await.map(drop),
        }
    }

    async fn delete(&self, key: &str) -> anyhow::Result<()> {
        match self {
            Self::KeyValue(store) => store.delete(key).await,
            Self::Redis(url) => ask(url, "DEL", key, None).await.map(drop),
        }
    }

    async fn increment(&self, key: &str, by: i64) -> anyhow::Result<i64> {
        match self {
            Self::KeyValue(store) => store.increment(key, by),
            Self::Redis(url) => number(ask(url, "INCRBY", key, Some(&by.to_string())).await?.as_deref()),
        }
    }

    async fn count(&self, key: &str) -> anyhow::Result<i64> {
        match self {
            Self::KeyValue(store) => store.count(key).await,
            Self::Redis(url) => number(ask(url, "GET", key, None).await?.as_deref()),
        }
    }
}
