//! A store behind a label, through Spin.

use crate::migration::{Session, migrate};
use crate::{Row, Schema, Statement, Storage, StoreError, Value};
use spin_sdk::sqlite::Connection;
use spin_sdk::wasip3::random::random::get_random_u64;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

/// How many idle connections an instance keeps for one label: as many as Spin lets requests into an instance at
/// once, so that a burst does not open connections only to drop them.
const IDLE_CONNECTIONS: usize = 16;

thread_local! {
    /// Idle connections of this instance by label. Nothing of a request is kept in it.
    static IDLE: RefCell<HashMap<&'static str, Vec<Connection>>> = RefCell::default();
}

/// The store under one label, with the schema it must have.
#[derive(Clone, Copy, Debug)]
pub struct Database {
    label: &'static str,
    schema: &'static Schema,
}

impl Database {
    /// The store under `label`, granted in `spin.toml`.
    pub const fn new(label: &'static str, schema: &'static Schema) -> Self {
        Self { label, schema }
    }

    /// Its schema.
    pub const fn schema(&self) -> &'static Schema {
        self.schema
    }

    async fn check_out(&self) -> Result<Connection, StoreError> {
        let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(self.label).and_then(Vec::pop));
        match idle {
            Some(connection) => Ok(connection),
            None => {
                let connection = Connection::open(self.label).await?;
                migrate(&connection, self.schema).await?;
                Ok(connection)
            }
        }
    }

    fn check_in(&self, connection: Connection) {
        IDLE.with_borrow_mut(|idle| {
            let pool = idle.entry(self.label).or_default();
            if pool.len() < IDLE_CONNECTIONS {
                pool.push(connection);
            }
        });
    }
}

impl Storage for Database {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        let connection = self.check_out().await?;
        let rows = execute(&connection, statement.sql(), statement.params().to_vec()).await;
        // A refused statement leaves its connection as good as before; one that could not be run may not.
        if rows.as_ref().err().is_none_or(StoreError::is_conflict) {
            self.check_in(connection);
        }
        rows
    }

    async fn pause(&self, attempt: u64) {
        // At random, so that two replicas that met once do not meet again and again.
        let micros = get_random_u64() % (1_000 * attempt + 1);
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }
}

impl Session for Connection {
    async fn run(&self, sql: &str) -> Result<Vec<Row>, StoreError> {
        execute(self, sql, Vec::new()).await
    }
}

/// Always reads to the end and awaits the result: otherwise an error would vanish and the connection would stay locked.
async fn execute(connection: &Connection, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
    let answer = connection.execute(sql, params).await?;
    if answer.columns().is_empty() {
        // A statement without columns has no rows: its end is all there is to wait for.
        answer.result().await?;
        return Ok(Vec::new());
    }
    let columns = answer.columns().to_vec().into();
    let rows = answer.collect().await?;
    Ok(rows.into_iter().map(|row| Row::new(std::rc::Rc::clone(&columns), row.values)).collect())
}
