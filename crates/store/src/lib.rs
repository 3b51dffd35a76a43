//! A context's store: one statement at a time, its rows by name, and how a store comes to its present schema.
//!
//! What a context asks of is a [`Storage`], so that the statements that run in production also run on a store that
//! a test, a model or a tool opened by itself (the module `native`, behind the feature of that name). In a component
//! it is a [`Database`]: through Spin, SQLite, or PostgreSQL where an address is set. Every text is written for SQLite,
//! and read for PostgreSQL here: `docs/adr/016-postgresql-behind-every-context.md`.
//!
//! - [`Statement`]: a text and its parameters; [`Filter`] and [`Page`] build the ones whose conditions vary.
//! - [`Row`]: read by column name.
//! - [`Schema`]: the tables, the numbered steps to them, and the views and triggers that each version makes anew.
//!
//! What it deliberately has not: transactions. One decision is one statement (an `INSERT` into a view whose triggers
//! do the rest), so nothing is ever held open across host calls. Only a migration of SQLite is several statements.

pub mod course_managers;
mod database;
mod dialect;
mod error;
mod filter;
mod migration;
#[cfg(feature = "native")]
pub mod native;
mod postgres;
mod row;
mod schema;
mod statement;
mod wipe;

pub use database::Database;
pub use error::StoreError;
pub use filter::Filter;
pub use kernel::Page;
pub use row::Row;
pub use schema::{Schema, Step};
pub use spin_sdk::sqlite::Value;
pub use statement::{Param, Statement, json_rows};
pub use wipe::{forget_due, wipe};

/// What a context asks of SQL.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Storage {
    /// Runs one statement and gives back all of its rows.
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError>;

    /// Waits a little, longer with each attempt (counted from 1), before deciding again.
    async fn pause(&self, attempt: u64);
}

impl<S: Storage> Storage for &S {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        (**self).query(statement).await
    }

    async fn pause(&self, attempt: u64) {
        (**self).pause(attempt).await;
    }
}
