//! The stores of a system on PostgreSQL as SQLite files, for whoever reads only these: what is checked is what they say.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use store::Value;
use xtask::postgres_url::LABELS;

use crate::stores::{State, rows};

/// Copies every table of every store into `folder`, where the runtime configuration has it. The system is at rest.
pub(super) fn stores(state: &State, folder: &Path) -> Result<()> {
    let files = folder.join(".spin");
    if files.exists() {
        fs::remove_dir_all(&files)?;
    }
    fs::create_dir_all(&files)?;
    for label in LABELS {
        copy(state, label, &files.join(format!("{label}.db")))
            .with_context(|| format!("copying the store {label}"))?;
    }
    Ok(())
}

fn copy(state: &State, label: &str, file: &Path) -> Result<()> {
    let mut connection = rusqlite::Connection::open(file)?;
    let copying = connection.transaction()?;
    let tables = format!("SELECT tablename FROM pg_tables WHERE schemaname = '{label}'");
    for row in rows(state, label, &tables)? {
        let [Value::Text(table)] = row.as_slice() else { continue };
        let columns = format!(
            "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position)
             FROM information_schema.columns WHERE table_schema = '{label}' AND table_name = '{table}'"
        );
        let columns: String = crate::stores::value(state, label, &columns)?;
        copying.execute(&format!("CREATE TABLE {table} ({columns})"), [])?;
        let values = vec!["?"; columns.split(',').count()].join(", ");
        let mut insert = copying.prepare(&format!("INSERT INTO {table} VALUES ({values})"))?;
        for row in rows(state, label, &format!("SELECT {columns} FROM {table}"))? {
            insert.execute(rusqlite::params_from_iter(row.into_iter().map(value)))?;
        }
    }
    if label == "reservation" {
        // A place on the waiting list is the position of its event, and on PostgreSQL its place among those inserted.
        copying.execute(
            "UPDATE reservations SET ticket = (SELECT position FROM events WHERE inserted = ticket)
             WHERE ticket IS NOT NULL",
            [],
        )?;
    }
    Ok(copying.commit()?)
}

fn value(value: Value) -> rusqlite::types::Value {
    match value {
        Value::Integer(number) => number.into(),
        Value::Real(number) => number.into(),
        Value::Text(text) => text.into(),
        Value::Blob(bytes) => bytes.into(),
        Value::Null => rusqlite::types::Value::Null,
    }
}
