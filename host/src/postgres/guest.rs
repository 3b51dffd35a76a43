//! What components call: `spin:postgres/postgres@4.2.0`.

use std::sync::Arc;

use opentelemetry::KeyValue;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

use super::{
    address::Address,
    answer::{Answer, Rest, Row, given_up},
    bindings::spin::postgres::postgres::{self as interface, Column, ParameterValue, RowSet},
    error::{Error, refused},
    pools::Pools,
    session::Session,
    tls::check_root,
};
use crate::{
    outbound::allowed_hosts::AllowedHosts,
    rows::Rows,
    telemetry::{self, Call, Traces},
};

/// How many connections, and how many builders of them, one instance may hold; Spin's own limit.
const CONNECTIONS: usize = 256;

/// The databases one instance may reach, and its connections to them.
pub struct PostgresState {
    pools: Arc<Pools>,
    allowed: Arc<AllowedHosts>,
    connections: ResourceTable,
    open: usize,
    builders: usize,
    traces: Traces,
}

/// Where a component wants to connect to, before it does.
#[derive(Clone)]
pub struct Builder {
    address: Result<Address, Error>,
    root: Option<String>,
}

type Answered<T> = wasmtime::Result<Result<T, Error>>;

/// What a component is handed for a query: the columns, the rows as they come, and how it ended.
type Stream = (Vec<Column>, StreamReader<Row>, FutureReader<Result<(), Error>>);

impl PostgresState {
    /// `pools` are those of the instance's component; `allowed` are its outbound hosts.
    pub fn new(pools: Arc<Pools>, allowed: Arc<AllowedHosts>) -> Self {
        Self {
            pools,
            allowed,
            connections: ResourceTable::new(),
            open: 0,
            builders: 0,
            traces: Traces::default(),
        }
    }

    /// What is done here belongs to these traces.
    pub(crate) fn traced(self, traces: &Traces) -> Self {
        Self { traces: traces.clone(), ..self }
    }

    fn builder(&self, address: String) -> Builder {
        Builder { address: Address::parse(address, &self.allowed), root: None }
    }

    fn session(&self, connection: &Resource<Session>) -> wasmtime::Result<Session> {
        Ok(self.connections.get(connection)?.clone())
    }

    fn keep(&mut self, opened: Result<Session, Error>) -> Answered<Resource<Session>> {
        let session = match opened {
            Ok(_) if self.open >= CONNECTIONS => return Ok(Err(refused("too many connections"))),
            Ok(session) => session,
            Err(error) => return Ok(Err(error)),
        };
        self.open += 1;
        Ok(Ok(self.connections.push(session)?))
    }

    async fn open_and_keep(&mut self, builder: Builder) -> Answered<Resource<Session>> {
        let opened = open(&self.pools, builder).await;
        self.keep(opened)
    }
}

async fn open(pools: &Pools, builder: Builder) -> Result<Session, Error> {
    let lent = pools.lend(&builder.address?, builder.root.as_deref()).await?;
    Ok(Session::new(lent))
}

struct HasPostgres;

impl HasData for HasPostgres {
    type Data<'a> = &'a mut PostgresState;
}

/// Offers `spin:postgres` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut PostgresState,
) -> wasmtime::Result<()> {
    interface::add_to_linker::<T, HasPostgres>(linker, state)
}

impl interface::Host for PostgresState {}

impl interface::HostConnectionBuilder for PostgresState {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<Builder>> {
        wasmtime::ensure!(self.builders < CONNECTIONS, "too many builders of connections");
        self.builders += 1;
        Ok(self.connections.push(self.builder(address))?)
    }

    async fn set_ca_root(&mut self, builder: Resource<Builder>, certificate: String) -> Answered<()> {
        let builder = self.connections.get_mut(&builder)?;
        Ok(check_root(&certificate).map(|()| builder.root = Some(certificate)))
    }

    async fn build(&mut self, builder: Resource<Builder>) -> Answered<Resource<Session>> {
        let builder = self.connections.get(&builder)?.clone();
        self.open_and_keep(builder).await
    }

    async fn drop(&mut self, builder: Resource<Builder>) -> wasmtime::Result<()> {
        self.connections.delete(builder)?;
        self.builders = self.builders.saturating_sub(1);
        Ok(())
    }
}

impl interface::HostConnection for PostgresState {
    async fn open(&mut self, address: String) -> Answered<Resource<Session>> {
        self.open_and_keep(self.builder(address)).await
    }

    async fn query(
        &mut self,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answered<RowSet> {
        let session = self.session(&connection)?;
        let rows = async { session.query(&statement, parameters).await?.all().await };
        Ok(rows.await.map(|(columns, rows)| RowSet { columns, rows }))
    }

    async fn execute(
        &mut self,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answered<u64> {
        Ok(self.session(&connection)?.execute(&statement, parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Session>) -> wasmtime::Result<()> {
        self.connections.delete(connection)?;
        self.open = self.open.saturating_sub(1);
        Ok(())
    }
}

/// A call of the interface, for the telemetry; of a statement its text, which has no values in it.
fn begin<T: 'static>(
    accessor: &Accessor<T, HasPostgres>,
    name: &'static str,
    statement: Option<&str>,
) -> Call {
    telemetry::call(
        accessor,
        |state| state.traces.clone(),
        || {
            let mut attributes = vec![KeyValue::new("db.system.name", "postgresql")];
            attributes.extend(statement.map(|text| KeyValue::new("statement", text.to_owned())));
            (name.into(), attributes)
        },
    )
}

/// Opens what `builder` makes of an instance's state, without holding on to that meanwhile.
async fn open_async<T: Send + 'static>(
    accessor: &Accessor<T, HasPostgres>,
    builder: impl FnOnce(&PostgresState) -> wasmtime::Result<Builder>,
) -> Answered<Resource<Session>> {
    let (pools, builder) = accessor.with(|mut access| {
        let state = access.get();
        wasmtime::error::Ok((state.pools.clone(), builder(state)?))
    })?;
    let call = begin(accessor, "spin_outbound_pg.open", None);
    let opened = open(&pools, builder).await;
    call.end(&opened);
    accessor.with(|mut access| access.get().keep(opened))
}

impl<T: Send + 'static> interface::HostConnectionBuilderWithStore<T> for HasPostgres {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<Builder>,
    ) -> Answered<Resource<Session>> {
        open_async(accessor, |state| Ok(state.connections.get(&builder)?.clone())).await
    }
}

impl<T: Send + 'static> interface::HostConnectionWithStore<T> for HasPostgres {
    async fn open_async(accessor: &Accessor<T, Self>, address: String) -> Answered<Resource<Session>> {
        open_async(accessor, |state| Ok(state.builder(address))).await
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answered<Stream> {
        let session = accessor.with(|mut access| access.get().session(&connection))?;
        let call = begin(accessor, "spin_outbound_pg.query", Some(&statement));
        let queried = session.query(&statement, parameters).await;
        call.end(&queried);
        let Answer { columns, head, rest } = match queried {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut access| {
            let (rows, outcome) = match rest {
                Rest::Ended(outcome) => (
                    StreamReader::new(&mut access, head)?,
                    FutureReader::new(&mut access, async { wasmtime::error::Ok(outcome) })?,
                ),
                Rest::ToCome { rows, outcome } => (
                    StreamReader::new(&mut access, Rows { head, rest: rows, _held: () })?,
                    FutureReader::new(&mut access, async {
                        wasmtime::error::Ok(outcome.await.unwrap_or_else(|_| Err(given_up())))
                    })?,
                ),
            };
            Ok(Ok((columns, rows, outcome)))
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Answered<u64> {
        let session = accessor.with(|mut access| access.get().session(&connection))?;
        let call = begin(accessor, "spin_outbound_pg.execute", Some(&statement));
        let executed = session.execute(&statement, parameters).await;
        call.end(&executed);
        Ok(executed)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use interface::{
        HostConnection as InterfaceConnection, HostConnectionBuilder as InterfaceBuilder,
        HostConnectionWithStore as _,
    };

    use super::*;
    use crate::{postgres::tests::Server, variables::Variables};

    /// An instance that may reach `granted`.
    fn instance(granted: &str) -> PostgresState {
        let allowed = AllowedHosts::parse(&[granted.to_owned()], &Variables::default(), &[]).unwrap();
        PostgresState::new(Arc::default(), Arc::new(allowed))
    }

    fn granting(server: &Server) -> PostgresState {
        let url = server.url();
        let (_, port) = url.rsplit_once(':').unwrap();
        instance(&format!("postgres://127.0.0.1:{}", port.split('/').next().unwrap()))
    }

    #[tokio::test]
    async fn a_host_that_is_not_granted_is_never_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("postgres://user:hunter2@{}/d", listener.local_addr().unwrap());
        let mut instance = instance("postgres://127.0.0.1:1");
        let refused = InterfaceConnection::open(&mut instance, address.clone()).await.unwrap().unwrap_err();
        let builder = InterfaceBuilder::new(&mut instance, address.clone()).await.unwrap();
        let of_builder = instance.build(builder).await.unwrap().unwrap_err();
        let mut store = wasmtime::Store::new(&wasmtime::Engine::default(), instance);
        let of_async = store.run_concurrent(async |accessor| {
            let postgres = &accessor.with_getter::<HasPostgres>(|state| state);
            HasPostgres::open_async(postgres, address).await.unwrap().unwrap_err()
        });
        for refused in [refused, of_builder, of_async.await.unwrap()] {
            let refused = format!("{refused:?}");
            assert!(refused.contains("host 1 of the 1") && refused.contains("is not permitted"), "{refused}");
            assert!(!refused.contains("hunter2") && !refused.contains("user"), "{refused}");
        }
        assert!(listener.accept().is_err(), "somebody has connected");
    }

    #[tokio::test]
    async fn a_builder_takes_one_certificate_and_makes_connections() {
        let server = Server::shared();
        let mut instance = granting(&server);
        let builder = InterfaceBuilder::new(&mut instance, server.url()).await.unwrap();
        let borrowed = || Resource::new_borrow(builder.rep());
        for wrong in ["", "hunter2", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let refused = instance.set_ca_root(borrowed(), wrong.to_owned()).await.unwrap().unwrap_err();
            assert!(matches!(&refused, Error::Other(words) if words.contains("invalid root certificate")));
        }
        let connection = instance.build(borrowed()).await.unwrap().unwrap();
        let rows =
            instance.query(Resource::new_borrow(connection.rep()), "SELECT 1".to_owned(), vec![]).await;
        assert_eq!(rows.unwrap().unwrap().rows.len(), 1);
        InterfaceBuilder::drop(&mut instance, builder).await.unwrap();
        assert_eq!((instance.builders, instance.open), (0, 1));
    }

    #[tokio::test]
    async fn an_instance_holds_no_more_connections_and_builders_than_it_may() {
        let server = Server::shared();
        let mut instance = granting(&server);
        let session = open(&instance.pools, instance.builder(server.url())).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..256 {
            held.push(instance.keep(Ok(session.clone())).unwrap().unwrap());
        }
        let refused = instance.keep(Ok(session.clone())).unwrap().unwrap_err();
        assert!(matches!(&refused, Error::ConnectionFailed(words) if words == "too many connections"));
        InterfaceConnection::drop(&mut instance, held.swap_remove(0)).await.unwrap();
        instance.keep(Ok(session)).unwrap().unwrap();
        for _ in 0..256 {
            InterfaceBuilder::new(&mut instance, server.url()).await.unwrap();
        }
        assert!(InterfaceBuilder::new(&mut instance, server.url()).await.is_err());
    }
}
