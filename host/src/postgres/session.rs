//! A component's connection.

use std::{pin::Pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use tokio_postgres::{RowStream, error::SqlState};

use super::{
    answer::{Answer, Reading},
    bindings::spin::postgres::postgres::{Column, ParameterValue},
    connection::Lent,
    error::{Error, query_failed},
    parameter::encode,
    value,
};

/// How long a component may leave a row untaken; as long as a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many prepared statements a connection keeps: more than the contexts have. One with more forgets them all.
const STATEMENTS: usize = 512;

/// A component's connection. What it has prepared once stays prepared for whoever is lent it next: nobody can tell, but for
/// the time that the server takes to read and plan a statement.
#[derive(Clone)]
pub struct Session {
    lent: Arc<Lent>,
    /// How long its component may leave a row untaken before the statement is given up.
    pub(super) patience: Duration,
}

impl Session {
    pub(super) fn new(lent: Lent) -> Self {
        Self { lent: Arc::new(lent), patience: PATIENCE }
    }

    /// Runs a statement for its rows.
    pub(super) async fn query(&self, sql: &str, parameters: Vec<ParameterValue>) -> Result<Answer, Error> {
        let running = self.lent.begin(sql);
        match self.begin(sql, parameters).await {
            Ok((columns, rows)) => Ok(Reading::new(columns, rows, running).answer(self.patience).await),
            Err(error) => {
                running.ended();
                Err(error)
            }
        }
    }

    /// Runs a statement for its effect: how many rows it had.
    pub(super) async fn execute(&self, sql: &str, parameters: Vec<ParameterValue>) -> Result<u64, Error> {
        let running = self.lent.begin(sql);
        let executed = async {
            let (_, mut rows) = self.begin(sql, parameters).await?;
            while let Some(row) = rows.next().await {
                row.map_err(query_failed)?;
            }
            Ok(rows.rows_affected().unwrap_or(0))
        };
        let executed = executed.await;
        running.ended();
        executed
    }

    async fn begin(
        &self,
        sql: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<(Vec<Column>, Pin<Box<RowStream>>), Error> {
        let client = self.lent.client()?;
        if client.statement_cache.size() >= STATEMENTS {
            client.statement_cache.clear();
        }
        let statement = client.prepare_cached(sql).await.map_err(query_failed)?;
        // The types of parameters are known only now.
        let parameters = encode(parameters, statement.params())?;
        let rows = client.query_raw(&statement, &parameters).await;
        let (statement, rows) = match rows {
            Err(error) if is_outdated(&error) => {
                client.statement_cache.clear();
                let statement = client.prepare_cached(sql).await.map_err(query_failed)?;
                let rows = client.query_raw(&statement, &parameters).await;
                (statement, rows)
            }
            rows => (statement, rows),
        };
        let columns = statement.columns().iter().map(value::column).collect();
        Ok((columns, Box::pin(rows.map_err(query_failed)?)))
    }
}

/// Whether a statement was not begun because it had been prepared before a table changed, or before it was deallocated.
fn is_outdated(error: &tokio_postgres::Error) -> bool {
    matches!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED | &SqlState::INVALID_SQL_STATEMENT_NAME))
}
