//! PostgreSQL through Spin's `spin:postgres`.

use crate::dialect::Dialect;
use crate::migration::Session;
use crate::postgres::refused;
use crate::{Row, StoreError, Value};
use spin_sdk::pg::{Connection, DbValue, Error, ParameterValue, PgError, QueryError};
use std::rc::Rc;

/// Opens a connection, for one statement or one migration: an open one is one of the few that the host has for everybody.
pub(super) async fn open(address: &str) -> Result<Connection, StoreError> {
    Connection::open(address).await.map_err(failed)
}

/// Runs one statement, unless it is for SQLite alone, and reads to the end: what went wrong is said only there.
pub(super) async fn query(
    connection: &Connection,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let sql = Dialect::Postgres.read(sql);
    if sql.is_empty() {
        return Ok(Vec::new());
    }
    let params: Vec<_> = params.iter().map(parameter).collect();
    let mut answer = connection.query(sql, params).await.map_err(failed)?;
    let columns: Rc<[String]> = answer.columns().iter().map(|column| column.name.clone()).collect();
    let mut rows = Vec::new();
    while let Some(values) = answer.rows().next().await {
        let values = values.into_iter().map(value).collect::<Result<_, _>>()?;
        rows.push(Row::new(Rc::clone(&columns), values));
    }
    answer.result().await.map_err(failed)?;
    Ok(rows)
}

impl Session for Connection {
    async fn run(&self, sql: &str) -> Result<Vec<Row>, StoreError> {
        query(self, sql, &[]).await
    }
}

fn parameter(value: &Value) -> ParameterValue {
    match value {
        Value::Null => ParameterValue::DbNull,
        Value::Integer(number) => ParameterValue::Int64(*number),
        Value::Real(number) => ParameterValue::Floating64(*number),
        Value::Text(text) => ParameterValue::Str(text.clone()),
        Value::Blob(bytes) => ParameterValue::Binary(bytes.clone()),
    }
}

fn value(value: DbValue) -> Result<Value, StoreError> {
    Ok(match value {
        DbValue::DbNull => Value::Null,
        DbValue::Boolean(yes) => Value::Integer(yes.into()),
        DbValue::Int16(number) => Value::Integer(number.into()),
        DbValue::Int32(number) => Value::Integer(number.into()),
        DbValue::Int64(number) => Value::Integer(number),
        DbValue::Floating64(number) => Value::Real(number),
        DbValue::Str(text) => Value::Text(text),
        DbValue::Binary(bytes) => Value::Blob(bytes),
        other => return Err(StoreError::Failure(format!("no store reads a value like {other:?}"))),
    })
}

/// No address is shown: it has a password in it.
fn failed(error: Error) -> StoreError {
    let error = match error {
        Error::PgError(error) => error,
        Error::Decode(reason) => return StoreError::Failure(reason),
    };
    match error {
        PgError::ConnectionFailed(reason)
            if reason.contains("not permitted") || reason.contains("not allowed") =>
        {
            StoreError::Failure(
                "the component may not reach this database (the variable postgres_address)".to_owned(),
            )
        }
        PgError::ConnectionFailed(reason) if reason.contains("://") => {
            StoreError::unavailable("the database cannot be reached")
        }
        PgError::ConnectionFailed(reason) => {
            StoreError::unavailable(format!("the database cannot be reached: {reason}"))
        }
        PgError::QueryFailed(QueryError::DbError(error)) => {
            let constraint = error.extras.iter().find(|(name, _)| name == "constraint");
            refused(&error.code, constraint.map(|(_, constraint)| constraint.as_str()), &error.message)
        }
        PgError::QueryFailed(QueryError::Text(text))
            if text.contains("kind: Io") || text.contains("kind: Closed") =>
        {
            StoreError::unavailable(format!("the connection to the database is gone: {text}"))
        }
        error => StoreError::Failure(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::pg::DbError;

    #[test]
    fn what_spin_says_of_a_constraint_is_what_the_database_said() {
        let told = PgError::QueryFailed(QueryError::DbError(DbError {
            as_text: String::new(),
            severity: "ERROR".to_owned(),
            code: "23514".to_owned(),
            message: "violates".to_owned(),
            detail: None,
            extras: vec![
                ("table".to_owned(), "seats".to_owned()),
                ("constraint".to_owned(), "enough".to_owned()),
            ],
        }));
        assert_eq!(failed(told.into()), StoreError::Check { constraint: "enough".to_owned() });
    }

    #[test]
    fn a_database_that_is_away_is_told_from_one_that_was_never_granted_and_no_password_is_shown() {
        let text = |reason: &str| failed(PgError::ConnectionFailed(reason.to_owned()).into());
        let refused = text("address postgres://u:geheim@h is not permitted");
        assert!(
            matches!(&refused, StoreError::Failure(_)) && !refused.to_string().contains("geheim"),
            "{refused}"
        );
        for reason in ["postgres://u:geheim@h: refused", "connection refused"] {
            let away = text(reason);
            assert!(
                matches!(&away, StoreError::Unavailable(_)) && !away.to_string().contains("geheim"),
                "{away}"
            );
        }
        let reset = PgError::QueryFailed(QueryError::Text("Error { kind: Io, cause: None }".to_owned()));
        assert!(matches!(failed(reset.into()), StoreError::Unavailable(_)));
        let ours = PgError::QueryFailed(QueryError::Text("Error { kind: ToSql(0) }".to_owned()));
        assert!(matches!(failed(ours.into()), StoreError::Failure(_)));
    }

    #[test]
    fn values_are_those_of_a_store_and_nothing_else_is_read() {
        assert_eq!(value(DbValue::Int32(7)).unwrap(), Value::Integer(7));
        assert_eq!(value(DbValue::Boolean(true)).unwrap(), Value::Integer(1));
        assert_eq!(value(DbValue::DbNull).unwrap(), Value::Null);
        assert!(value(DbValue::Decimal("1".to_owned())).is_err());
        assert!(matches!(parameter(&Value::Integer(7)), ParameterValue::Int64(7)));
    }
}
