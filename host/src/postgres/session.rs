//! A component's connection.

use std::{sync::Arc, time::Duration};

use super::{
    answer::{Answer, Reading},
    bindings::spin::postgres::postgres::ParameterValue,
    connection::Lent,
    error::{Error, query_failed},
    parameter::{Encoded, encode},
    value,
};

/// How long a component may leave a row untaken; as long as a request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A component's connection. Every statement is prepared anew, as in Spin: nothing is kept between two.
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
        let running = self.lent.begin();
        let begun = async {
            let (client, statement, parameters) = self.prepare(sql, parameters).await?;
            let columns = statement.columns().iter().map(value::column).collect();
            let rows = client.query_raw(&statement, parameters).await.map_err(query_failed)?;
            Ok((columns, rows))
        };
        match begun.await {
            Ok((columns, rows)) => Ok(Reading::new(columns, rows, running).answer(self.patience).await),
            Err(error) => {
                running.ended();
                Err(error)
            }
        }
    }

    /// Runs a statement for its effect: how many rows it had.
    pub(super) async fn execute(&self, sql: &str, parameters: Vec<ParameterValue>) -> Result<u64, Error> {
        let running = self.lent.begin();
        let executed = async {
            let (client, statement, parameters) = self.prepare(sql, parameters).await?;
            client.execute_raw(&statement, parameters).await.map_err(query_failed)
        };
        let executed = executed.await;
        running.ended();
        executed
    }

    /// The types of parameters are known only when the statement is prepared.
    async fn prepare(
        &self,
        sql: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<(&tokio_postgres::Client, tokio_postgres::Statement, Vec<Encoded>), Error> {
        let client = self.lent.client()?;
        let statement = client.prepare(sql).await.map_err(query_failed)?;
        let parameters = encode(parameters, statement.params())?;
        Ok((client, statement, parameters))
    }
}
