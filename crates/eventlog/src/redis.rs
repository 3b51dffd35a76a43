//! Talking to Redis through Spin, which flattens nested arrays in a reply.

use crate::runtime::{Connection, sleep};
use futures::future::{Either, select};
use spin_sdk::redis::{Error, RedisParameter, RedisResult};
use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

/// How long Redis has for one answer. A Redis that hangs must not hold up an instance for ever: the outbox and
/// the pending lists keep everything for the next try.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why the log could not be used; what is committed stays in the outbox until it can.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Redis is down, refuses, or answered something else than its documentation says.
    #[error("the event log's Redis: {0}")]
    Redis(String),
    /// The outbox could not be read or marked.
    #[error("the outbox: {0}")]
    Store(#[from] store::StoreError),
}

thread_local! {
    /// Idle connections of this instance, each with its address. Nothing of a request is kept in it.
    static IDLE: RefCell<Vec<(String, Connection)>> = const { RefCell::new(Vec::new()) };
}

/// A connection checked out of the instance's pool.
pub(crate) struct Redis {
    url: String,
    connection: Connection,
}

impl Redis {
    pub(crate) async fn connect(url: &str) -> Result<Self, LogError> {
        let idle = IDLE.with_borrow_mut(|idle| {
            idle.iter().position(|(at, _)| at == url).map(|index| idle.swap_remove(index).1)
        });
        let connection = match idle {
            Some(connection) => connection,
            None => in_time(Connection::open(url)).await.map_err(|e| failed("connecting", &e))?,
        };
        Ok(Self { url: url.to_owned(), connection })
    }

    /// Gives the connection back; only after its last command succeeded, since a broken one must not be
    /// handed to the next.
    pub(crate) fn release(self) {
        IDLE.with_borrow_mut(|idle| {
            if idle.len() < 4 {
                idle.push((self.url, self.connection));
            }
        });
    }

    pub(crate) async fn command(&self, name: &str, arguments: &[&str]) -> Result<Vec<RedisResult>, LogError> {
        self.raw(name, arguments).await.map_err(|e| failed(name, &e))
    }

    /// Like [`Self::command`], with Redis's own error for those callers that expect one.
    pub(crate) async fn raw(&self, name: &str, arguments: &[&str]) -> Result<Vec<RedisResult>, Error> {
        let arguments = arguments.iter().map(|a| RedisParameter::Binary(a.as_bytes().to_vec()));
        in_time(self.connection.execute(name, arguments.collect::<Vec<_>>())).await
    }

    /// Runs a Lua script, which Redis does as one step.
    pub(crate) async fn script(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&str],
    ) -> Result<i64, LogError> {
        let reply = self.script_reply(script, keys, arguments).await?;
        match reply.first() {
            Some(RedisResult::Int64(number)) => Ok(*number),
            other => Err(LogError::Redis(format!("a script answered {other:?} instead of a number"))),
        }
    }

    /// The same for a script that answers more than a number.
    pub(crate) async fn script_reply(
        &self,
        script: &str,
        keys: &[&str],
        arguments: &[&str],
    ) -> Result<Vec<RedisResult>, LogError> {
        let count = keys.len().to_string();
        let mut all = vec![script, count.as_str()];
        all.extend_from_slice(keys);
        all.extend_from_slice(arguments);
        self.command("EVAL", &all).await
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match select(pin!(answer), pin!(sleep(ANSWER_WITHIN))).await {
        Either::Left((answer, _)) => answer,
        Either::Right(((), _)) => Err(Error::Other(format!("no answer within {ANSWER_WITHIN:?}"))),
    }
}

fn failed(doing: &str, error: &Error) -> LogError {
    LogError::Redis(format!("{doing}: {error:?}"))
}

/// The text of one part of a reply. Bytes that are no text become one that is nobody's: in a flat list no part may
/// be passed over, or the rest would be taken for something else.
pub(crate) fn as_text(part: &RedisResult) -> Option<Cow<'_, str>> {
    match part {
        RedisResult::Binary(bytes) => Some(String::from_utf8_lossy(bytes)),
        RedisResult::Status(text) => Some(Cow::Borrowed(text)),
        RedisResult::Int64(_) | RedisResult::Nil => None,
    }
}
