//! The application's connection to one Redis, made when first needed and again when it broke.
//!
//! `redis`'s own `ConnectionManager` does not serve here: it repeats the outcome of an earlier attempt to
//! the next who asks, and after a refusal that is no I/O error (a password that was wrong for a while) for ever.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, RedisResult, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

use crate::metrics;

/// How long connecting may take before the Redis counts as away.
pub(crate) const CONNECTING: Duration = Duration::from_secs(5);

/// How many addresses keep their connection while nobody uses it.
const IDLE_ADDRESSES: usize = 32;

/// After how much silence the other end is asked whether it is still there, how often, and how many times. So a
/// connection whose other end is gone without a word (its machine, or a box on the way that forgot it) is one that
/// breaks, half a minute later at most.
const SILENCE: Duration = Duration::from_secs(10);
const ASKED_AGAIN: Duration = Duration::from_secs(5);
const TIMES: u32 = 4;

/// A client of the Redis at an address, whose connections notice that the other end is gone.
pub(crate) fn client(address: impl IntoConnectionInfo) -> RedisResult<Client> {
    let keepalive = TcpKeepalive::new().with_time(SILENCE).with_interval(ASKED_AGAIN).with_retries(TIMES);
    let settings = TcpSettings::default().set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(SILENCE + ASKED_AGAIN * TIMES);
    Client::open(address.into_connection_info()?.set_tcp_settings(settings))
}

/// The connections of an application, by address.
#[derive(Debug, Default)]
pub struct Links {
    by_address: Mutex<HashMap<String, Arc<Link>>>,
}

impl Links {
    /// The connection to `address`, which need not be up. An error means that `address` is none.
    pub(super) fn to(&self, address: &str) -> RedisResult<Arc<Link>> {
        let mut links = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.get(address) {
            return Ok(link.clone());
        }
        if links.len() >= IDLE_ADDRESSES {
            links.retain(|_, link| Arc::strong_count(link) > 1);
        }
        let link = Arc::new(Link::to(address)?);
        links.insert(address.to_owned(), link.clone());
        Ok(link)
    }
}

/// A connection to one address, shared by everybody who sends commands there.
pub(crate) struct Link {
    client: Client,
    /// The lock is held while connecting, so that a Redis that comes back is met by one connection
    /// and not by a hundred.
    current: tokio::sync::Mutex<Option<Arc<MultiplexedConnection>>>,
}

/// Without the address, which may hold a password.
impl fmt::Debug for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// A link to `address`. Nothing is sent yet.
    pub(crate) fn to(address: &str) -> RedisResult<Self> {
        Ok(Self { client: client(address)?, current: tokio::sync::Mutex::default() })
    }

    /// Sends `command` over the shared connection.
    pub(crate) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        let connection = {
            let mut current = self.current.lock().await;
            match &*current {
                Some(connection) => connection.clone(),
                None => current.insert(Arc::new(self.own().await?)).clone(),
            }
        };
        metrics::REDIS_COMMANDS.add_one();
        let answer = MultiplexedConnection::clone(&connection).req_packed_command(command).await;
        let answer = answer.and_then(Value::extract_error);
        if answer.as_ref().is_err_and(redis::RedisError::is_unrecoverable_error) {
            // A late error must not throw away a newer connection.
            self.current.lock().await.take_if(|current| Arc::ptr_eq(current, &connection));
        }
        answer
    }

    /// Makes sure that the Redis answers. A connection that broke since it was last used is
    /// replaced, so that whoever opens after a restart finds a working one.
    pub(crate) async fn check(&self) -> RedisResult<()> {
        let ping = redis::cmd("PING");
        match self.run(&ping).await {
            Err(error) if error.is_unrecoverable_error() => self.run(&ping).await,
            answer => answer,
        }
        .map(drop)
    }

    /// A connection for one user alone.
    pub(super) async fn own(&self) -> RedisResult<MultiplexedConnection> {
        // No limit on answers: how long a blocking command blocks is the component's affair.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_end_is_asked_whether_it_is_there() {
        let client = client("redis://127.0.0.1:1").unwrap();
        let settings = client.get_connection_info().tcp_settings();
        assert!(settings.keepalive().is_some());
        #[cfg(target_os = "linux")]
        assert_eq!(settings.user_timeout(), Some(Duration::from_secs(30)));
    }
}
