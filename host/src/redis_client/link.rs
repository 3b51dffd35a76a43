//! The application's connection to one Redis, made when first needed and again when it broke.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, Cmd, RedisResult, Value,
    aio::{ConnectionLike, MultiplexedConnection},
};

/// How long connecting may take before the Redis counts as away.
const CONNECTING: Duration = Duration::from_secs(5);

/// How many addresses keep their connection while nobody uses it.
const IDLE_ADDRESSES: usize = 32;

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
    current: tokio::sync::Mutex<Current>,
}

#[derive(Default)]
struct Current {
    connection: Option<MultiplexedConnection>,
    /// Counts the connections made, so that a late error does not throw away a newer one.
    generation: u64,
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
        Ok(Self { client: Client::open(address)?, current: tokio::sync::Mutex::default() })
    }

    /// Sends `command` over the shared connection.
    pub(crate) async fn run(&self, command: &Cmd) -> RedisResult<Value> {
        let (mut connection, generation) = self.connection().await?;
        let result = connection.req_packed_command(command).await.and_then(Value::extract_error);
        if result.as_ref().is_err_and(redis::RedisError::is_unrecoverable_error) {
            self.give_up(generation).await;
        }
        result
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
    pub(crate) async fn own(&self) -> RedisResult<MultiplexedConnection> {
        // No limit on answers: how long a blocking command blocks is the component's affair.
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECTING)).set_response_timeout(None);
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn connection(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut current = self.current.lock().await;
        if let Some(connection) = &current.connection {
            return Ok((connection.clone(), current.generation));
        }
        let connection = self.own().await?;
        current.connection = Some(connection.clone());
        current.generation += 1;
        Ok((connection, current.generation))
    }

    async fn give_up(&self, generation: u64) {
        let mut current = self.current.lock().await;
        if current.generation == generation {
            current.connection = None;
        }
    }
}
