//! What stands in for Spin: the same words, on tokio and the `redis` crate.

use redis::{AsyncConnectionConfig, Client, Cmd, Value};
use spin_sdk::redis::{Error, RedisParameter, RedisResult};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    /// What a component's variables are in this test.
    static VARIABLES: RefCell<BTreeMap<String, String>> = RefCell::default();
    /// Where it was sent to, with which key.
    static POSTED: RefCell<Vec<(String, String)>> = RefCell::default();
}

pub(crate) fn set_variable(name: &str, value: &str) {
    VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), value.to_owned()));
}

/// What was sent since this was asked last.
pub(crate) fn posted() -> Vec<(String, String)> {
    POSTED.take()
}

pub(crate) async fn variable(name: &str) -> anyhow::Result<Rc<str>> {
    Ok(VARIABLES.with_borrow(|variables| variables.get(name).map_or("", String::as_str).into()))
}

pub(crate) async fn post(url: String, key: &str) -> anyhow::Result<()> {
    POSTED.with_borrow_mut(|posted| posted.push((url, key.to_owned())));
    Ok(())
}

/// A connection that answers as Spin does: nested arrays lose their brackets.
pub(crate) struct Connection(redis::aio::MultiplexedConnection);

impl Connection {
    pub(crate) async fn open(url: impl AsRef<str>) -> Result<Self, Error> {
        // However long it takes: patience is the business of what is tested.
        let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let client = Client::open(url.as_ref()).map_err(other)?;
        client.get_multiplexed_async_connection_with_config(&config).await.map(Self).map_err(other)
    }

    pub(crate) async fn execute(
        &self,
        command: impl AsRef<str>,
        arguments: impl AsRef<[RedisParameter]>,
    ) -> Result<Vec<RedisResult>, Error> {
        let mut cmd = Cmd::new();
        cmd.arg(command.as_ref());
        for argument in arguments.as_ref() {
            match argument {
                RedisParameter::Binary(bytes) => cmd.arg(bytes.as_slice()),
                RedisParameter::Int64(number) => cmd.arg(*number),
            };
        }
        let value: Value = cmd.query_async(&mut self.0.clone()).await.map_err(other)?;
        let mut flat = Vec::new();
        append(&mut flat, value)?;
        Ok(flat)
    }
}

fn append(flat: &mut Vec<RedisResult>, value: Value) -> Result<(), Error> {
    flat.push(match value {
        Value::Array(values) => return values.into_iter().try_for_each(|value| append(flat, value)),
        Value::Nil => RedisResult::Nil,
        Value::Int(number) => RedisResult::Int64(number),
        Value::BulkString(bytes) => RedisResult::Binary(bytes),
        Value::SimpleString(status) => RedisResult::Status(status),
        Value::Okay => RedisResult::Status("OK".to_owned()),
        Value::ServerError(error) => return Err(Error::Other(format!("{error:?}"))),
        unknown => return Err(Error::Other(format!("Spin has no word for {unknown:?}"))),
    });
    Ok(())
}

fn other(error: impl std::fmt::Display) -> Error {
    Error::Other(error.to_string())
}

pub(crate) async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(work);
}
