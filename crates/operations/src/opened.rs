//! A store that was opened, on SQLite or on PostgreSQL: the few ways in which a command asks something of it.
//!
//! The texts are such as mean the same to both.

use std::cell::RefCell;
use std::fmt::Display;

use anyhow::{Context, Result};
use postgres::fallible_iterator::FallibleIterator as _;

/// A SQLite file, or a schema on PostgreSQL.
pub(crate) enum Opened {
    Sqlite(rusqlite::Connection),
    Postgres(RefCell<postgres::Client>),
}

pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r postgres::Row),
}

/// A column, by its name or its place.
pub(crate) trait Column: rusqlite::RowIndex + postgres::row::RowIndex + Display + Copy {}
impl<C: rusqlite::RowIndex + postgres::row::RowIndex + Display + Copy> Column for C {}

/// What a column holds.
pub(crate) trait Value: rusqlite::types::FromSql + for<'r> postgres::types::FromSql<'r> {}
impl<V: rusqlite::types::FromSql + for<'r> postgres::types::FromSql<'r>> Value for V {}

impl Row<'_> {
    pub(crate) fn get<V: Value>(&self, column: impl Column) -> Result<V> {
        let value = match self {
            Self::Sqlite(row) => row.get(column).map_err(anyhow::Error::from),
            Self::Postgres(row) => row.try_get(column).map_err(anyhow::Error::from),
        };
        value.with_context(|| format!("the column {column}"))
    }

    pub(crate) fn text(&self, column: impl Column) -> Result<&str> {
        let text = match self {
            Self::Sqlite(row) => {
                row.get_ref(column).map_err(anyhow::Error::from).and_then(|value| Ok(value.as_str()?))
            }
            Self::Postgres(row) => row.try_get(column).map_err(anyhow::Error::from),
        };
        text.with_context(|| format!("the column {column}"))
    }

    /// Numbers of orders, courses and versions: none is negative.
    pub(crate) fn number(&self, column: impl Column) -> Result<u64> {
        self.get::<i64>(column).map(i64::cast_unsigned)
    }
}

impl Opened {
    /// Runs a statement, or several, for what they do.
    pub(crate) fn run(&self, sql: &str) -> Result<()> {
        match self {
            Self::Sqlite(store) => Ok(store.execute_batch(sql)?),
            Self::Postgres(client) => Ok(client.borrow_mut().batch_execute(sql)?),
        }
    }

    /// Runs one statement, and says how many rows it was about.
    pub(crate) fn execute(&self, sql: &str) -> Result<u64> {
        match self {
            Self::Sqlite(store) => Ok(store.execute(sql, [])? as u64),
            Self::Postgres(client) => Ok(client.borrow_mut().execute(sql, &[])?),
        }
    }

    /// Hands each row of an answer to `each`, as it comes.
    pub(crate) fn each(&self, sql: &str, mut each: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        match self {
            Self::Sqlite(store) => {
                let mut statement = store.prepare_cached(sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    each(&Row::Sqlite(row))?;
                }
            }
            Self::Postgres(client) => {
                let mut client = client.borrow_mut();
                let mut rows = client.query_raw(sql, std::iter::empty::<i64>())?;
                while let Some(row) = rows.next()? {
                    each(&Row::Postgres(&row))?;
                }
            }
        }
        Ok(())
    }

    /// The one integer that a statement answers with; none where it is `NULL`, or there is no row.
    pub(crate) fn number(&self, sql: &str) -> Result<Option<i64>> {
        let mut number = None;
        self.each(sql, |row| {
            number = row.get(0)?;
            Ok(())
        })?;
        Ok(number)
    }

    /// How many rows there are of what a statement counts.
    pub(crate) fn count(&self, sql: &str) -> Result<u64> {
        Ok(self.number(sql)?.unwrap_or(0).cast_unsigned())
    }

    /// The first column of an answer.
    pub(crate) fn texts(&self, sql: &str) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        self.each(sql, |row| {
            texts.push(row.get(0)?);
            Ok(())
        })?;
        Ok(texts)
    }

    /// The names of its tables, in alphabetical order.
    pub(crate) fn tables(&self) -> Result<Vec<String>> {
        self.texts(match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name"
            }
            Self::Postgres(_) => {
                "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"
            }
        })
    }

    /// Whether there is a table, or a view, of that name.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        let known = match self {
            Self::Sqlite(_) => format!("SELECT count(*) FROM sqlite_schema WHERE name = '{name}'"),
            Self::Postgres(_) => format!(
                "SELECT count(*) FROM pg_class
                WHERE relnamespace = to_regnamespace(current_schema()::text) AND relname = '{name}'"
            ),
        };
        Ok(self.count(&known)? > 0)
    }

    /// The names of a table's columns, in their order.
    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>> {
        self.texts(&match self {
            Self::Sqlite(_) => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
            Self::Postgres(_) => format!(
                "SELECT column_name::text FROM information_schema.columns
                    WHERE table_schema = current_schema() AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        })
    }

    /// From here on reads one state, which others' writes do not change, and writes nothing.
    pub(crate) fn keep_one_state(&self) -> Result<()> {
        match self {
            // Not before its first read does a transaction see a state and keep to it.
            Self::Sqlite(_) => self.run("PRAGMA query_only=ON; BEGIN; SELECT count(*) FROM sqlite_schema"),
            Self::Postgres(_) => self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1"),
        }
    }

    /// Begins a transaction in which nobody else changes these tables; readers see them as they were before.
    ///
    /// What others are at is waited for. Who holds one of the tables may wait for another, so nobody is waited for for long
    /// with some of them in hand: all are let go, and taken anew.
    pub(crate) fn begin_alone(&self, tables: &[&str]) -> Result<()> {
        const TIMES: u32 = 40;
        let client = match self {
            Self::Sqlite(store) => return Ok(store.execute_batch("BEGIN IMMEDIATE")?),
            Self::Postgres(client) => client,
        };
        let lock = format!(
            "BEGIN; SET LOCAL lock_timeout = 250; LOCK TABLE {} IN EXCLUSIVE MODE; SET LOCAL lock_timeout = 0",
            tables.join(", ")
        );
        for time in 1.. {
            let mut client = client.borrow_mut();
            let Err(error) = client.batch_execute(&lock) else { return Ok(()) };
            client.batch_execute("ROLLBACK")?;
            let passing = error.code().is_some_and(|code| ["55P03", "40P01"].contains(&code.code()));
            if !passing || time == TIMES {
                return Err(error).context("others do not let go of its tables");
            }
            drop(client);
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Ok(())
    }
}
