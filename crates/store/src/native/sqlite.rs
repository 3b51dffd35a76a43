//! SQLite, as the embedded host has it.

use crate::{StoreError, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::path::Path;

/// Opens the file at `path`, or a store in memory where it is `:memory:`.
pub(super) fn open(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = rusqlite::Connection::open(path).map_err(as_spin_says)?;
    // Enough for every statement that a context has, so that none is prepared twice.
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

/// Runs one statement: the names of its columns, and all of its rows.
pub(super) fn run(
    connection: &rusqlite::Connection,
    sql: &str,
    params: &[Value],
) -> Result<(Vec<String>, Vec<Vec<Value>>), StoreError> {
    let answer = || -> rusqlite::Result<_> {
        let mut statement = connection.prepare_cached(sql)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let params = rusqlite::params_from_iter(params.iter().map(Parameter));
        let rows = statement.query_map(params, |row| {
            let values = (0..columns.len()).map(|column| from_sqlite(column, row.get_ref(column)?));
            values.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok((columns, rows))
    };
    answer().map_err(as_spin_says)
}

/// SQLite's message as text, which is all that gets through Spin.
fn as_spin_says(error: rusqlite::Error) -> StoreError {
    spin_sdk::sqlite::Error::Io(error.to_string()).into()
}

struct Parameter<'a>(&'a Value);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn from_sqlite(column: usize, value: ValueRef<'_>) -> rusqlite::Result<Value> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(
            std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(column, error))?.to_owned(),
        ),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}
