//! A component's connection to a database.
//!
//! It holds a SQLite connection of its own only while a transaction is open.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Mutex, task};

use crate::metrics;

use super::{
    answer::Answer,
    caller::Caller,
    connection::{Connection, Purpose},
    database::Database,
    readers::Read,
    statement::Class,
    value::{Error, Value},
};

/// A component's connection.
#[derive(Clone)]
pub struct Session {
    database: Arc<Database>,
    /// The connection of the transaction that is open. Dropped with the session, it rolls back.
    transaction: Arc<Mutex<Option<Connection>>>,
    /// Whether there is one.
    in_transaction: Arc<AtomicBool>,
}

impl Session {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database, transaction: Arc::default(), in_transaction: Arc::default() }
    }

    /// Runs one statement. A short read runs right here, without waiting for anything.
    pub async fn execute(&self, sql: String, parameters: Vec<Value>) -> Result<Answer, Error> {
        metrics::SQL_STATEMENTS.add_one();
        if self.in_transaction.load(Ordering::Acquire) {
            return self.execute_apart(sql, parameters).await;
        }
        if let Some(answer) = self.database.read_at_once(&sql, &parameters) {
            return Ok(answer);
        }
        match self.database.read(&sql, &parameters).await? {
            Read::Answer(answer) => Ok(answer),
            Read::Not(Class::Write) => {
                self.database.write(move |connection| connection.collect_all(&sql, &parameters)).await
            }
            Read::Not(_) => self.execute_apart(sql, parameters).await,
        }
    }

    /// Runs one statement on a connection of the session's own, which is kept while a transaction is open.
    async fn execute_apart(&self, sql: String, parameters: Vec<Value>) -> Result<Answer, Error> {
        let mut kept = self.transaction.clone().lock_owned().await;
        let session = self.clone();
        let (caller, waiting) = Caller::waiting();
        let run = move || {
            let connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(session.database.path(), Purpose::Writing)?,
            };
            connection.serve(Some(&caller));
            let answer = connection.collect_all(&sql, &parameters);
            connection.serve(None);
            let open = !connection.is_autocommit();
            session.in_transaction.store(open, Ordering::Release);
            *kept = open.then_some(connection);
            answer
        };
        let answer = task::spawn_blocking(run).await;
        drop(waiting);
        answer.map_err(|problem| Error::Io(problem.to_string()))?
    }
}
