//! Talking to Redis through Spin, which flattens nested arrays in a reply.

use crate::runtime::{Connection, sleep};
use futures::future::{Either, select};
use spin_sdk::redis::{Error, RedisParameter, RedisResult};
use std::borrow::Cow;
use std::cell::RefCell;
use std::pin::pin;
use std::time::Duration;

/// How long Redis has for one answer. A Redis that hangs must not hold up an instance for ever: the store and
/// the pending lists keep everything for the next try.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why the log could not be used; what is committed is sent when it can.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Redis is down, refuses, or answered something else than its documentation says.
    #[error("the event log's Redis: {0}")]
    Redis(String),
    /// The events could not be read.
    #[error("the store of the events: {0}")]
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

    /// Runs one command.
    pub(crate) async fn command(&self, name: &str, arguments: &[&str]) -> Result<Vec<RedisResult>, LogError> {
        let arguments = arguments.iter().map(|part| RedisParameter::Binary(part.as_bytes().to_vec()));
        in_time(self.connection.execute(name, arguments.collect::<Vec<_>>()))
            .await
            .map_err(|e| failed(name, &e))
    }

    /// Runs a Lua script, which Redis does as one step.
    pub(crate) async fn script(
        &self,
        script: &str,
        keys: &[impl AsRef<str>],
        arguments: &[impl AsRef<str>],
    ) -> Result<Vec<RedisResult>, LogError> {
        let count = keys.len().to_string();
        let head = [script, count.as_str()].into_iter();
        let all = head.chain(keys.iter().map(AsRef::as_ref)).chain(arguments.iter().map(AsRef::as_ref));
        let all: Vec<_> = all.map(|part| RedisParameter::Binary(part.as_bytes().to_vec())).collect();
        in_time(self.connection.execute("EVAL", all)).await.map_err(|e| failed("a script", &e))
    }
}

/// One command that is not about the log, and its answer of one part: for what all instances share, where no other store can
/// count for them.
pub async fn ask(url: &str, name: &str, arguments: &[&str]) -> Result<Option<String>, LogError> {
    let redis = Redis::connect(url).await?;
    let reply = redis.command(name, arguments).await?;
    redis.release();
    match reply.as_slice() {
        [] | [RedisResult::Nil] => Ok(None),
        [part] => Ok(Some(as_text(part).into_owned())),
        _ => Err(odd(name, &reply)),
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

/// The text of one part of a reply; bytes that are no text become one that is nobody's.
pub(crate) fn as_text(part: &RedisResult) -> Cow<'_, str> {
    match part {
        RedisResult::Binary(bytes) => String::from_utf8_lossy(bytes),
        RedisResult::Status(text) => Cow::Borrowed(text),
        RedisResult::Int64(number) => Cow::Owned(number.to_string()),
        RedisResult::Nil => Cow::Borrowed(""),
    }
}

/// A reply that its script does not give.
pub(crate) fn odd(what: &str, reply: &[RedisResult]) -> LogError {
    LogError::Redis(format!("{what} answered {reply:?}"))
}
