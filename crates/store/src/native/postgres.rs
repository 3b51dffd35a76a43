//! One connection to a PostgreSQL, typed as strictly as Spin's: of an operator's tool, or to a database of a test's own.

use super::Store;
use super::postgres_server::PostgresServer;
use crate::postgres::{address, address_within, refused};
use crate::{StoreError, Value};
use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, NoTls};
use std::cell::RefCell;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Opens a connection to the database at `url`, in which the store under `label` is in sight, or is to be.
///
/// Statements that go through a whole store take their time, so there is no limit to it. Nothing of the address, which
/// has a password in it, is in an error.
pub fn connect(url: &str, label: &str) -> Result<Client, StoreError> {
    let no_address = || {
        StoreError::Failure(
            "the address is none: write postgres://user:password@host:port/database, with ?sslmode=disable, prefer or \
             require where that matters"
                .to_owned(),
        )
    };
    let address = address_within(Duration::ZERO, url, label);
    let config = postgres_connect::config(&address).ok_or_else(no_address)?;
    let tls = postgres_connect::tls(&config, None).map_err(|error| StoreError::Failure(error.to_string()))?;
    let config = postgres::Config::from(config);
    let connected = by_itself(|| match tls {
        None => config.connect(NoTls),
        Some(tls) => config.connect(tls),
    });
    connected.map_err(|error| StoreError::unavailable(postgres_connect::why_not_connected(&error)))
}

/// Where a store of a test is: for whoever is to connect to it by themselves, on another thread say.
#[derive(Clone)]
pub struct Address {
    label: &'static str,
    database: Arc<Database>,
}

/// A connection, with the store under one label in sight.
pub(super) struct Connection {
    client: RefCell<Option<Client>>,
    label: &'static str,
    /// Of a test's own; none where it is somebody's.
    database: Option<Arc<Database>>,
}

/// A database that is there for as long as anybody knows where.
pub(super) struct Database(String);

/// The names of the columns, and of each row its values.
pub(super) type Answer = (Vec<String>, Vec<Vec<Value>>);

impl Address {
    /// In a new database, in which the tables of the store under `label` are to be.
    pub(super) fn new(label: &'static str) -> Result<Self, StoreError> {
        static DATABASES: AtomicUsize = AtomicUsize::new(0);
        let database = Database(format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed)));
        database.command("CREATE DATABASE")?;
        Ok(Self { label, database: Arc::new(database) })
    }

    /// What whoever comes by themselves gives as the database's address.
    pub fn url(&self) -> Result<String, StoreError> {
        Ok(PostgresServer::shared()?.url(&self.database.0))
    }

    /// A store there, as it is.
    pub fn connect(&self) -> Result<Store, StoreError> {
        let url = address(&self.url()?, self.label);
        let client = by_itself(|| Client::connect(&url, NoTls)).map_err(as_spin_says)?;
        Ok(Connection::store(client, self.label, Some(Arc::clone(&self.database))))
    }
}

impl Connection {
    /// A store over a connection that was opened for its label.
    pub(super) fn store(client: Client, label: &'static str, database: Option<Arc<Database>>) -> Store {
        let connection = Self { client: RefCell::new(Some(client)), label, database };
        Store::over(super::Connection::Postgres(Box::new(connection)))
    }

    pub(super) fn address(&self, label: &'static str) -> Option<Address> {
        self.database.clone().map(|database| Address { label, database })
    }

    pub(super) const fn label(&self) -> &'static str {
        self.label
    }

    pub(super) fn run(&self, sql: &str, params: &[Value]) -> Result<Answer, StoreError> {
        let mut client = self.client.borrow_mut();
        let client = client.as_mut().ok_or_else(|| StoreError::unavailable("the connection is gone"))?;
        by_itself(|| {
            let statement = client.prepare(sql).map_err(as_spin_says)?;
            let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
            let params: Vec<_> = params.iter().map(Parameter).collect();
            let params: Vec<_> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
            let rows = client.query(&statement, &params).map_err(as_spin_says)?;
            let read = |row: postgres::Row| {
                let values = (0..row.len()).map(|at| row.try_get::<_, Read>(at).map(|Read(value)| value));
                values.collect::<Result<Vec<_>, _>>().map_err(as_spin_says)
            };
            Ok((columns, rows.into_iter().map(read).collect::<Result<_, _>>()?))
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let client = self.client.take();
        by_itself(|| drop(client));
    }
}

impl Database {
    fn command(&self, command: &str) -> Result<(), StoreError> {
        let url = PostgresServer::shared()?.url("postgres");
        let run = || Client::connect(&url, NoTls)?.batch_execute(&format!("{command} {}", self.0));
        by_itself(run).map_err(as_spin_says)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What is left goes with the server.
        _ = self.command("DROP DATABASE");
    }
}

/// On a thread of its own, because a client blocks, which it may not do within a test's asynchronous runtime.
fn by_itself<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let ended = std::thread::scope(|scope| scope.spawn(work).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn as_spin_says(error: postgres::Error) -> StoreError {
    match error.as_db_error() {
        Some(db) => refused(db.code().code(), db.constraint(), db.message()),
        None if error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>()) => {
            StoreError::unavailable(error.to_string())
        }
        None => StoreError::Failure(format!("{error:?}")),
    }
}

/// An integer is a `BIGINT` and a text a `TEXT`, and nothing else, as Spin has it.
#[derive(Debug)]
struct Parameter<'a>(&'a Value);

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql_checked(ty, out),
            Value::Real(number) => number.to_sql_checked(ty, out),
            Value::Text(text) => text.to_sql_checked(ty, out),
            Value::Blob(bytes) => bytes.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value that the store can have.
struct Read(Value);

impl<'a> FromSql<'a> for Read {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let integer = |number: i64| Ok(Self(Value::Integer(number)));
        match *ty {
            Type::BOOL => integer(bool::from_sql(ty, raw)?.into()),
            Type::INT2 => integer(i16::from_sql(ty, raw)?.into()),
            Type::INT4 => integer(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => integer(i64::from_sql(ty, raw)?),
            Type::FLOAT8 => Ok(Self(Value::Real(f64::from_sql(ty, raw)?))),
            Type::BYTEA => Ok(Self(Value::Blob(raw.to_vec()))),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => {
                Ok(Self(Value::Text(String::from_sql(ty, raw)?)))
            }
            _ => Err(format!("the type {ty} is read by no store").into()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
