//! What components call: `spin:sqlite/sqlite@3.1.0`.

use std::{collections::BTreeSet, sync::Arc};

use opentelemetry::KeyValue;
use wasmtime::component::{Accessor, FutureReader, HasData, Linker, Resource, ResourceTable, StreamReader};

use super::{
    answer::Answer,
    bindings::spin::sqlite::sqlite::{self, QueryResult},
    config::Databases,
    session::Session,
    value::{Error, RowResult, Value},
};
use crate::{
    rows::Rows,
    telemetry::{self, Call, Traces},
};

/// How many connections one instance may hold; Spin's own limit.
const CONNECTIONS: usize = 256;

/// The databases one instance may use, and its connections to them.
pub struct SqliteState {
    databases: Arc<Databases>,
    granted: Arc<BTreeSet<String>>,
    connections: ResourceTable,
    traces: Traces,
}

impl SqliteState {
    /// `granted` are the labels under `sqlite_databases` of the instance's component; what is done belongs to `traces`.
    pub(crate) fn new(databases: Arc<Databases>, granted: Arc<BTreeSet<String>>, traces: Traces) -> Self {
        let mut connections = ResourceTable::new();
        connections.set_max_capacity(CONNECTIONS);
        Self { databases, granted, connections, traces }
    }

    fn open(&mut self, label: &str) -> Result<Resource<Session>, Error> {
        if !self.granted.contains(label) {
            return Err(Error::AccessDenied);
        }
        let database = self.databases.get(label).ok_or(Error::NoSuchDatabase)?;
        let opened = self.connections.push(Session::new(database));
        opened.map_err(|_| Error::Io("too many connections opened".to_owned()))
    }

    fn session(&self, connection: &Resource<Session>) -> wasmtime::Result<Session> {
        Ok(self.connections.get(connection)?.clone())
    }
}

struct HasSqlite;

impl HasData for HasSqlite {
    type Data<'a> = &'a mut SqliteState;
}

/// Offers `spin:sqlite` to the components of `linker`.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    state: fn(&mut T) -> &mut SqliteState,
) -> wasmtime::Result<()> {
    sqlite::add_to_linker::<T, HasSqlite>(linker, state)
}

impl sqlite::Host for SqliteState {}

impl sqlite::HostConnection for SqliteState {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Session>, Error>> {
        Ok(Self::open(self, &label))
    }

    async fn execute(
        &mut self,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<Result<QueryResult, Error>> {
        let session = self.session(&connection)?;
        let answer = async { session.execute(statement, parameters).await?.all().await };
        Ok(answer.await.map(|(columns, rows)| QueryResult { columns, rows }))
    }

    async fn drop(&mut self, connection: Resource<Session>) -> wasmtime::Result<()> {
        self.connections.delete(connection)?;
        Ok(())
    }
}

/// A call of the interface, for the telemetry; of a statement its text, which has no values in it.
fn begin<T: 'static>(accessor: &Accessor<T, HasSqlite>, name: &'static str, statement: Option<&str>) -> Call {
    telemetry::call(
        accessor,
        |state| state.traces.clone(),
        || {
            let mut attributes = vec![KeyValue::new("db.system.name", "sqlite")];
            attributes.extend(statement.map(|text| KeyValue::new("statement", text.to_owned())));
            (name.into(), attributes)
        },
    )
}

impl<T: Send + 'static> sqlite::HostConnectionWithStore<T> for HasSqlite {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Session>, Error>> {
        let call = begin(accessor, "spin_sqlite.open", None);
        let opened = accessor.with(|mut access| access.get().open(&label));
        call.end(&opened);
        Ok(opened)
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Session>,
        statement: String,
        parameters: Vec<Value>,
    ) -> wasmtime::Result<
        Result<(Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>), Error>,
    > {
        let session = accessor.with(|mut access| access.get().session(&connection))?;
        let call = begin(accessor, "spin_sqlite.execute", Some(&statement));
        let executed = session.execute(statement, parameters).await;
        call.end(&executed);
        // As in Spin, whatever goes wrong is told by the future, not here.
        let (answer, outcome) = match executed {
            Ok(answer) => (answer, Ok(())),
            Err(error) => (Answer::default(), Err(error)),
        };
        let Answer { columns, head, rest } = answer;
        accessor.with(|mut access| {
            let Some(rest) = rest else {
                let rows = StreamReader::new(&mut access, head)?;
                let outcome = FutureReader::new(&mut access, async { wasmtime::error::Ok(outcome) })?;
                return Ok(Ok((columns, rows, outcome)));
            };
            // Dropped with the stream, `waiting` ends the statement.
            let rows = Rows { head, rest: rest.rows, _held: rest.waiting };
            let rows = StreamReader::new(&mut access, rows)?;
            let outcome = FutureReader::new(&mut access, async {
                let given_up = |_| Err(Error::Io("the statement was given up".to_owned()));
                wasmtime::error::Ok(rest.outcome.await.unwrap_or_else(given_up))
            })?;
            Ok(Ok((columns, rows, outcome)))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use sqlite::HostConnectionWithStore as _;
    use tokio::sync::mpsc;
    use wasmtime::{
        StoreContextMut,
        component::{FutureConsumer, Lift, Source, StreamConsumer, StreamResult},
    };

    use super::*;

    /// Hands on whatever it is given.
    struct Take<T>(mpsc::UnboundedSender<T>);

    impl<T: Lift + Send + Sync + 'static> Take<T> {
        fn all<D>(&self, store: StoreContextMut<'_, D>, mut source: Source<'_, T>) -> wasmtime::Result<()> {
            let mut items = Vec::with_capacity(100_000);
            source.read(store, &mut items)?;
            items.into_iter().for_each(|item| drop(self.0.send(item)));
            Ok(())
        }
    }

    impl<D, T: Lift + Send + Sync + 'static> StreamConsumer<D> for Take<T> {
        type Item = T;

        fn poll_consume(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            store: StoreContextMut<'_, D>,
            source: Source<'_, T>,
            _: bool,
        ) -> Poll<wasmtime::Result<StreamResult>> {
            Poll::Ready(self.all(store, source).map(|()| StreamResult::Completed))
        }
    }

    impl<D, T: Lift + Send + Sync + 'static> FutureConsumer<D> for Take<T> {
        type Item = T;

        fn poll_consume(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            store: StoreContextMut<'_, D>,
            source: Source<'_, T>,
            _: bool,
        ) -> Poll<wasmtime::Result<()>> {
            Poll::Ready(self.all(store, source))
        }
    }

    #[tokio::test]
    async fn a_long_answer_reaches_a_component_whole_or_with_its_error() {
        let directory = tempfile::tempdir().unwrap();
        let tables = "[mine]\ntype = 'spin'\npath = 'a.db'".parse().unwrap();
        let databases = Databases::from_runtime_config(&tables, directory.path(), directory.path()).unwrap();
        databases.require("test", ["mine"]).unwrap();
        let granted = BTreeSet::from(["mine".to_owned()]);
        let state = SqliteState::new(Arc::new(databases), Arc::new(granted), Traces::default());
        let mut store = wasmtime::Store::new(&wasmtime::Engine::default(), state);
        let called = store.run_concurrent(async |accessor| {
            let sqlite = &accessor.with_getter::<HasSqlite>(|state| state);
            let rep = HasSqlite::open_async(sqlite, "mine".to_owned()).await.unwrap().unwrap().rep();
            for (last, count) in [("i", 50_000), ("-9223372036854775807 - 1", 49_999)] {
                let sql = format!(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
                    SELECT abs(CASE i WHEN 50000 THEN {last} ELSE i END) FROM n"
                );
                let connection = Resource::<Session>::new_borrow(rep);
                let answer = HasSqlite::execute_async(sqlite, connection, sql, Vec::new()).await;
                let (_, rows, outcome) = answer.unwrap().unwrap();
                let (take_rows, mut all) = mpsc::unbounded_channel();
                let (take_outcome, mut ended) = mpsc::unbounded_channel();
                sqlite.with(|mut access| {
                    rows.pipe(&mut access, Take(take_rows)).unwrap();
                    outcome.pipe(&mut access, Take(take_outcome)).unwrap();
                });
                let mut came = 0;
                while all.recv().await.is_some() {
                    came += 1;
                }
                assert_eq!(came, count);
                assert_eq!(ended.recv().await.unwrap().is_ok(), count == 50_000);
            }
        });
        called.await.unwrap();
    }
}
