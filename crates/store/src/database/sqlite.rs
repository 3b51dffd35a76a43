//! SQLite through Spin's `spin:sqlite`.

use super::Database;
use crate::dialect::Dialect;
use crate::migration::{Session, migrate};
use crate::{Row, Statement, StoreError, Value};
use spin_sdk::sqlite::Connection;
use std::cell::RefCell;
use std::collections::HashMap;

/// How many idle connections an instance keeps for one label: as many as Spin lets requests into an instance at
/// once, so that a burst does not open connections only to drop them.
const IDLE_CONNECTIONS: usize = 16;

thread_local! {
    /// Idle connections of this instance by label. Nothing of a request is kept in it.
    static IDLE: RefCell<HashMap<&'static str, Vec<Connection>>> = RefCell::default();
}

/// Runs one statement, unless it is for PostgreSQL alone.
pub(super) async fn query(database: &Database, statement: &Statement) -> Result<Vec<Row>, StoreError> {
    let sql = Dialect::Sqlite.read(statement.sql());
    if sql.is_empty() {
        return Ok(Vec::new());
    }
    let connection = check_out(database).await?;
    let rows = execute(&connection, &sql, statement.params().to_vec()).await;
    // A refused statement leaves its connection as good as before; one that could not be run may not.
    if rows.as_ref().err().is_none_or(StoreError::is_conflict) {
        check_in(database, connection);
    }
    rows
}

async fn check_out(database: &Database) -> Result<Connection, StoreError> {
    let idle = IDLE.with_borrow_mut(|idle| idle.get_mut(database.label).and_then(Vec::pop));
    match idle {
        Some(connection) => Ok(connection),
        None => {
            let connection = Connection::open(database.label).await?;
            // Where something is deleted, its bytes are overwritten: SQLite by itself only forgets where they are.
            // A host of before members refuses that, and goes on without.
            let _refused = connection.run("PRAGMA secure_delete = ON").await;
            migrate(&connection, database.schema()).await?;
            Ok(connection)
        }
    }
}

fn check_in(database: &Database, connection: Connection) {
    IDLE.with_borrow_mut(|idle| {
        let pool = idle.entry(database.label).or_default();
        if pool.len() < IDLE_CONNECTIONS {
            pool.push(connection);
        }
    });
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
