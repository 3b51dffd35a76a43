//! What components call: `spin:redis/redis@3.0.0`.

use std::sync::Arc;

use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, cmd};
use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};

use super::{
    link::Links,
    reply::{flatten, memory_size},
    session::Session,
};
use crate::outbound::allowed_hosts::AllowedHosts;

pub(super) mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "sugang:host/redis",
        imports: { default: async | trappable },
        with: { "spin:redis/redis.connection": crate::redis_client::Session },
    });
}

use bindings::spin::redis::redis::{self as interface, Error, Payload, RedisParameter, RedisResult as Item};

/// How many connections one instance may hold; Spin's own limit.
const CONNECTIONS: usize = 256;

/// The most that one answer may hold in the host's memory; Spin's own limit.
const ANSWER_BYTES: usize = 128 << 20;

type Answer<T> = wasmtime::Result<Result<T, Error>>;

/// The Redis addresses one instance may reach, and its connections to them.
pub struct RedisState {
    links: Arc<Links>,
    allowed: Arc<AllowedHosts>,
    connections: ResourceTable,
    open: usize,
}

impl RedisState {
    /// `links` is the application's; `allowed` are the instance's component's outbound hosts.
    pub fn new(links: Arc<Links>, allowed: Arc<AllowedHosts>) -> Self {
        Self { links, allowed, connections: ResourceTable::new(), open: 0 }
    }

    fn session(&self, connection: &Resource<Session>) -> wasmtime::Result<Session> {
        Ok(self.connections.get(connection)?.clone())
    }

    fn keep(&mut self, session: Session) -> Answer<Resource<Session>> {
        if self.open >= CONNECTIONS {
            return Ok(Err(Error::TooManyConnections));
        }
        self.open += 1;
        Ok(Ok(self.connections.push(session)?))
    }
}

struct HasRedis;

impl HasData for HasRedis {
    type Data<'a> = &'a mut RedisState;
}

/// Offers `spin:redis` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut RedisState,
) -> wasmtime::Result<()> {
    interface::add_to_linker::<T, HasRedis>(linker, state)
}

/// Opens a session, if the component may.
pub(super) async fn open(links: &Links, allowed: &AllowedHosts, address: &str) -> Result<Session, Error> {
    if !allowed.allows(address, "redis") {
        return Err(Error::InvalidAddress);
    }
    let link = links.to(address).map_err(|_| Error::InvalidAddress)?;
    Session::open(link).await.map_err(other)
}

impl interface::Host for RedisState {}

impl interface::HostConnection for RedisState {
    async fn drop(&mut self, connection: Resource<Session>) -> wasmtime::Result<()> {
        self.connections.delete(connection)?;
        self.open = self.open.saturating_sub(1);
        Ok(())
    }
}

/// Sends `command` and reads its answer as a `V`.
async fn ask<T: 'static, V: FromRedisValue>(
    accessor: &Accessor<T, HasRedis>,
    connection: Resource<Session>,
    command: &Cmd,
) -> Answer<V> {
    let session = accessor.with(|mut access| access.get().session(&connection))?;
    let answer = session.run(command.clone()).await;
    Ok(answer.and_then(|value| V::from_redis_value(value).map_err(RedisError::from)).map_err(other))
}

/// The server's own words where it has any: `NOGROUP: No such key …` tells what to do next.
fn other(error: RedisError) -> Error {
    Error::Other(match (error.kind(), error.code(), error.detail()) {
        (ErrorKind::Extension, Some(code), Some(detail)) => format!("{code}: {detail}"),
        _ => error.to_string(),
    })
}

fn too_large() -> Error {
    Error::Other(format!("query result exceeds limit of {ANSWER_BYTES} bytes"))
}

impl<T: Send + 'static> interface::HostConnectionWithStore<T> for HasRedis {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Session>> {
        let (links, allowed) = accessor.with(|mut access| {
            let state = access.get();
            (state.links.clone(), state.allowed.clone())
        });
        match open(&links, &allowed, &address).await {
            Ok(session) => accessor.with(|mut access| access.get().keep(session)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        channel: String,
        payload: Payload,
    ) -> Answer<()> {
        ask(accessor, connection, cmd("PUBLISH").arg(channel).arg(payload)).await
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        key: String,
    ) -> Answer<Option<Payload>> {
        let value: Answer<Option<Payload>> = ask(accessor, connection, cmd("GET").arg(key)).await;
        Ok(value?.and_then(|value| match value.as_ref().map_or(0, Vec::len) > ANSWER_BYTES {
            true => Err(too_large()),
            false => Ok(value),
        }))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        key: String,
        value: Payload,
    ) -> Answer<()> {
        ask(accessor, connection, cmd("SET").arg(key).arg(value)).await
    }

    async fn incr(accessor: &Accessor<T, Self>, connection: Resource<Session>, key: String) -> Answer<i64> {
        ask(accessor, connection, cmd("INCRBY").arg(key).arg(1)).await
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        keys: Vec<String>,
    ) -> Answer<u32> {
        ask(accessor, connection, cmd("DEL").arg(keys)).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        ask(accessor, connection, cmd("SADD").arg(key).arg(values)).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        key: String,
    ) -> Answer<Vec<String>> {
        ask(accessor, connection, cmd("SMEMBERS").arg(key)).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        key: String,
        values: Vec<String>,
    ) -> Answer<u32> {
        ask(accessor, connection, cmd("SREM").arg(key).arg(values)).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<Item>> {
        let session = accessor.with(|mut access| access.get().session(&connection))?;
        let mut built = cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(integer) => built.arg(integer),
                RedisParameter::Binary(bytes) => built.arg(bytes),
            };
        }
        let items = session.run(built).await.and_then(flatten).map_err(other);
        Ok(items.and_then(|items| match items.iter().map(memory_size).sum::<usize>() > ANSWER_BYTES {
            true => Err(too_large()),
            false => Ok(items),
        }))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use interface::HostConnectionWithStore as _;

    use super::*;
    use crate::{redis_client::tests::Server, variables::Variables};

    /// An instance that may reach the server.
    fn instance(server: &Server) -> wasmtime::Store<RedisState> {
        let allowed = AllowedHosts::parse(&[server.url()], &Variables::default(), &[]).unwrap();
        let state = RedisState::new(Arc::default(), Arc::new(allowed));
        wasmtime::Store::new(&wasmtime::Engine::default(), state)
    }

    #[tokio::test]
    async fn each_function_does_what_its_command_does() {
        let server = Server::start().await;
        let client = redis::Client::open(server.url()).unwrap();
        let mut listener = client.get_async_pubsub().await.unwrap();
        listener.subscribe("c").await.unwrap();
        let mut instance = instance(&server);
        let called = instance.run_concurrent(async |accessor| {
            let redis = &accessor.with_getter::<HasRedis>(|state| state);
            let rep = HasRedis::open(redis, server.url()).await.unwrap().unwrap().rep();
            let connection = || Resource::<Session>::new_borrow(rep);
            let name = |name: &str| name.to_owned();
            assert_eq!(HasRedis::get(redis, connection(), name("k")).await.unwrap().unwrap(), None);
            HasRedis::set(redis, connection(), name("k"), b"7".to_vec()).await.unwrap().unwrap();
            assert_eq!(HasRedis::incr(redis, connection(), name("k")).await.unwrap().unwrap(), 8);
            let value = HasRedis::get(redis, connection(), name("k")).await.unwrap().unwrap();
            assert_eq!(value, Some(b"8".to_vec()));
            let values = ["a", "b"].map(name).to_vec();
            assert_eq!(HasRedis::sadd(redis, connection(), name("s"), values).await.unwrap().unwrap(), 2);
            let removed = HasRedis::srem(redis, connection(), name("s"), vec![name("b")]).await.unwrap();
            assert_eq!(removed.unwrap(), 1);
            assert_eq!(HasRedis::smembers(redis, connection(), name("s")).await.unwrap().unwrap(), ["a"]);
            let keys = ["k", "s", "absent"].map(name).to_vec();
            assert_eq!(HasRedis::del(redis, connection(), keys).await.unwrap().unwrap(), 2);
            HasRedis::publish(redis, connection(), name("c"), b"\0x".to_vec()).await.unwrap().unwrap();
        });
        called.await.unwrap();
        let heard = listener.on_message().next().await.unwrap();
        assert_eq!((heard.get_channel_name(), heard.get_payload_bytes()), ("c", &b"\0x"[..]));
    }

    #[tokio::test]
    async fn a_component_holds_no_more_connections_than_it_may() {
        let server = Server::start().await;
        let mut instance = instance(&server);
        let session = Session::open(Links::default().to(&server.url()).unwrap()).await.unwrap();
        let state = instance.data_mut();
        let mut held = Vec::new();
        for _ in 0..256 {
            held.push(state.keep(session.clone()).unwrap().unwrap());
        }
        assert!(matches!(state.keep(session.clone()).unwrap(), Err(Error::TooManyConnections)));
        let closed = held.pop().unwrap();
        let again = Resource::new_borrow(closed.rep());
        interface::HostConnection::drop(state, closed).await.unwrap();
        assert!(state.session(&again).is_err());
        state.keep(session).unwrap().unwrap();
    }

    #[tokio::test]
    async fn an_answer_larger_than_the_limit_is_an_error() {
        let server = Server::start().await;
        let mut instance = instance(&server);
        let called = instance.run_concurrent(async |accessor| {
            let redis = &accessor.with_getter::<HasRedis>(|state| state);
            let rep = HasRedis::open(redis, server.url()).await.unwrap().unwrap().rep();
            let execute = async |command: &str, arguments: Vec<RedisParameter>| {
                let connection = Resource::new_borrow(rep);
                HasRedis::execute(redis, connection, command.to_owned(), arguments).await.unwrap()
            };
            let key = || RedisParameter::Binary(b"k".to_vec());
            let value = RedisParameter::Binary(b"x".to_vec());
            let long = vec![key(), RedisParameter::Int64(128 << 20), value];
            assert!(execute("SETRANGE", long).await.is_ok());
            assert!(execute("GET", vec![key()]).await.is_err());
            let got = HasRedis::get(redis, Resource::new_borrow(rep), "k".to_owned()).await.unwrap();
            assert!(got.is_err());
        });
        called.await.unwrap();
    }
}
