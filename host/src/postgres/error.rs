//! What went wrong, as components are told.

use deadpool_postgres::PoolError;
use tokio_postgres::error::DbError as Said;

pub(super) use super::bindings::spin::postgres::postgres::Error;
use super::bindings::spin::postgres::postgres::{DbError, QueryError};

/// A connection that is not made, in words.
pub(super) fn refused(words: impl Into<String>) -> Error {
    Error::ConnectionFailed(words.into())
}

/// An error of which the server says nothing.
pub(super) fn text(words: impl Into<String>) -> Error {
    Error::QueryFailed(QueryError::Text(words.into()))
}

/// Why there is no connection.
pub(super) fn connection_failed(error: &PoolError) -> Error {
    match error {
        PoolError::Backend(error) => refused(postgres_connect::why_not_connected(error)),
        error => refused(error.to_string()),
    }
}

/// What a server said of a statement, with all its fields.
pub(super) fn query_failed(error: tokio_postgres::Error) -> Error {
    let as_text = format!("{error:?}");
    let Some(said) = error.as_db_error() else { return text(as_text) };
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text,
        severity: said.severity().to_owned(),
        code: said.code().code().to_owned(),
        message: said.message().to_owned(),
        detail: said.detail().map(str::to_owned),
        extras: extras(said),
    }))
}

/// The fields that have no place of their own, under Spin's names.
fn extras(said: &Said) -> Vec<(String, String)> {
    let number = |line: u32| line.to_string();
    let fields = [
        ("column", said.column().map(str::to_owned)),
        ("constraint", said.constraint().map(str::to_owned)),
        ("routine", said.routine().map(str::to_owned)),
        ("hint", said.hint().map(str::to_owned)),
        ("table", said.table().map(str::to_owned)),
        ("datatype", said.datatype().map(str::to_owned)),
        ("schema", said.schema().map(str::to_owned)),
        ("file", said.file().map(str::to_owned)),
        ("line", said.line().map(number)),
        ("where_", said.where_().map(str::to_owned)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
