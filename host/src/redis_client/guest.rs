//! What components call: `spin:redis/redis@3.0.0`.

use std::sync::Arc;

use opentelemetry::KeyValue;
use redis::{ErrorKind, RedisError, cmd};
use wasmtime::component::{Accessor, HasData, Linker, Resource, ResourceTable};

use super::{
    bindings::spin::redis::redis::{self as interface, Error, RedisParameter, RedisResult as Item},
    link::Links,
    reply::{flatten, memory_size},
    session::Session,
};
use crate::{
    outbound::allowed_hosts::AllowedHosts,
    telemetry::{self, Call, Traces},
};

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
    traces: Traces,
}

impl RedisState {
    /// `links` is the application's; `allowed` are the instance's component's outbound hosts; what is done belongs to
    /// `traces`.
    pub(crate) fn new(links: Arc<Links>, allowed: Arc<AllowedHosts>, traces: Traces) -> Self {
        let mut connections = ResourceTable::new();
        connections.set_max_capacity(CONNECTIONS);
        Self { links, allowed, connections, traces }
    }

    fn session(&self, connection: &Resource<Session>) -> wasmtime::Result<Session> {
        Ok(self.connections.get(connection)?.clone())
    }

    fn keep(&mut self, session: Session) -> Result<Resource<Session>, Error> {
        self.connections.push(session).map_err(|_| Error::TooManyConnections)
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
        Ok(())
    }
}

/// The server's own words where it has any: `NOGROUP: No such key …` tells what to do next.
fn other(error: RedisError) -> Error {
    Error::Other(match (error.kind(), error.code(), error.detail()) {
        (ErrorKind::Extension, Some(code), Some(detail)) => format!("{code}: {detail}"),
        _ => error.to_string(),
    })
}

/// A call of the interface, for the telemetry: a command without what it is about.
fn begin<T: 'static>(accessor: &Accessor<T, HasRedis>, name: &'static str, command: Option<&str>) -> Call {
    telemetry::call(
        accessor,
        |state| state.traces.clone(),
        || {
            let mut attributes = vec![KeyValue::new("db.system.name", "redis")];
            let Some(command) = command else { return (name.into(), attributes) };
            attributes.push(KeyValue::new("code.function.name", name));
            (command.to_owned().into(), attributes)
        },
    )
}

impl<T: Send + 'static> interface::HostConnectionWithStore<T> for HasRedis {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Answer<Resource<Session>> {
        let (links, allowed) = accessor.with(|mut access| {
            let state = access.get();
            (state.links.clone(), state.allowed.clone())
        });
        let call = begin(accessor, "spin_outbound_redis.open_connection", None);
        let opened = open(&links, &allowed, &address).await;
        call.end(&opened);
        Ok(opened.and_then(|session| accessor.with(|mut access| access.get().keep(session))))
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        command: String,
        arguments: Vec<RedisParameter>,
    ) -> Answer<Vec<Item>> {
        let session = accessor.with(|mut access| access.get().session(&connection))?;
        let call = begin(accessor, "spin_outbound_redis.execute", Some(&command));
        let mut built = cmd(&command);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(integer) => built.arg(integer),
                RedisParameter::Binary(bytes) => built.arg(bytes),
            };
        }
        let items = session.run(built).await.and_then(flatten).map_err(other);
        call.end(&items);
        Ok(items.and_then(|items| match items.iter().map(memory_size).sum::<usize>() > ANSWER_BYTES {
            true => Err(Error::Other(format!("query result exceeds limit of {ANSWER_BYTES} bytes"))),
            false => Ok(items),
        }))
    }
}

#[cfg(test)]
mod tests {
    use interface::HostConnectionWithStore as _;

    use super::*;
    use crate::{redis_client::tests::Server, variables::Variables};

    /// An instance that may reach the server.
    fn instance(server: &Server) -> wasmtime::Store<RedisState> {
        let allowed = AllowedHosts::parse(&[server.url()], &Variables::default(), &[]).unwrap();
        let state = RedisState::new(Arc::default(), Arc::new(allowed), Traces::default());
        wasmtime::Store::new(&wasmtime::Engine::default(), state)
    }

    #[tokio::test]
    async fn a_component_holds_no_more_connections_than_it_may() {
        let server = Server::start().await;
        let mut instance = instance(&server);
        let session = Session::open(Links::default().to(&server.url()).unwrap()).await.unwrap();
        let state = instance.data_mut();
        let mut held = Vec::new();
        for _ in 0..256 {
            held.push(state.keep(session.clone()).unwrap());
        }
        assert!(matches!(state.keep(session.clone()), Err(Error::TooManyConnections)));
        let closed = held.pop().unwrap();
        let again = Resource::new_borrow(closed.rep());
        interface::HostConnection::drop(state, closed).await.unwrap();
        assert!(state.session(&again).is_err());
        state.keep(session).unwrap();
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
        });
        called.await.unwrap();
    }
}
