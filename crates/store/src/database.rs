//! A store behind a label, through Spin: SQLite, or PostgreSQL where an address is set.

mod postgres;
mod sqlite;

use crate::{Row, Schema, Statement, Storage, StoreError};
use spin_sdk::wasip3::random::random::get_random_u64;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    /// By label: the address of the stores on PostgreSQL, and none of those on SQLite. It is read once, since it does not
    /// change while the application runs, and a store there has its schema then.
    static ADDRESSES: RefCell<HashMap<&'static str, Option<Rc<str>>>> = RefCell::default();
}

/// The store under one label, with the schema it must have.
///
/// It is on PostgreSQL where the component's variable `<label>_database_url` has an address, and else on SQLite.
#[derive(Clone, Copy, Debug)]
pub struct Database {
    label: &'static str,
    schema: &'static Schema,
}

impl Database {
    /// The store under `label`, granted in `spin.toml`.
    pub const fn new(label: &'static str, schema: &'static Schema) -> Self {
        Self { label, schema }
    }

    /// Its label.
    pub const fn label(&self) -> &'static str {
        self.label
    }

    /// Its schema.
    pub fn schema(&self) -> &'static Schema {
        self.schema.of_this_build(self.label)
    }

    /// Where it is on PostgreSQL, brought to its schema; none where it is on SQLite.
    async fn address(&self) -> Result<Option<Rc<str>>, StoreError> {
        if let Some(known) = ADDRESSES.with_borrow(|addresses| addresses.get(self.label).cloned()) {
            return Ok(known);
        }
        let url = settings::optional(&format!("{}_database_url", self.label)).await;
        let url = url.map_err(|error| StoreError::Failure(format!("{error:#}")))?;
        let address: Option<Rc<str>> = match &*url {
            "" => None,
            url => Some(crate::postgres::address(url, self.label).into()),
        };
        if let Some(address) = &address {
            crate::postgres::migrate(&postgres::open(address).await?, self.schema(), self.label).await?;
        }
        ADDRESSES.with_borrow_mut(|addresses| addresses.insert(self.label, address.clone()));
        Ok(address)
    }
}

impl Storage for Database {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        match self.address().await? {
            None => sqlite::query(self, statement).await,
            Some(address) => {
                let connection = postgres::open(&address).await?;
                postgres::query(&connection, statement.sql(), statement.params()).await
            }
        }
    }

    async fn pause(&self, attempt: u64) {
        // At random, so that those who met once do not meet again and again; up to 50 ms.
        let micros = get_random_u64() % (1_000 * attempt.min(50) + 1);
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }
}
