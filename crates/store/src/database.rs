//! A store behind a label, through Spin: SQLite, or PostgreSQL where an address is set.

mod postgres;
mod sqlite;

use crate::postgres::{MIGRATION_PATIENCE, PATIENCE};
use crate::{Row, Schema, Statement, Storage, StoreError};
use futures::future::{Either, select};
use spin_sdk::wasip3::random::random::get_random_u64;
use std::cell::RefCell;
use std::collections::HashMap;
use std::pin::pin;
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
            let connection = within(PATIENCE, postgres::open(address)).await?;
            let migrated = crate::postgres::migrate(&connection, self.schema(), self.label);
            within(MIGRATION_PATIENCE, migrated).await?;
        }
        ADDRESSES.with_borrow_mut(|addresses| addresses.insert(self.label, address.clone()));
        Ok(address)
    }
}

/// What comes of asking a server, unless nothing is heard from it for too long.
async fn within<T>(
    patience: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match select(pin!(asked), pin!(spin_sdk::time::sleep(patience))).await {
        Either::Left((answered, _)) => answered,
        Either::Right(_) => Err(StoreError::unavailable(format!(
            "nothing was heard from the database for {} s",
            patience.as_secs()
        ))),
    }
}

impl Storage for Database {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        match self.address().await? {
            None => sqlite::query(self, statement).await,
            Some(address) => {
                let answered = async {
                    let connection = postgres::open(&address).await?;
                    postgres::query(&connection, statement.sql(), statement.params()).await
                };
                within(PATIENCE, answered).await
            }
        }
    }

    async fn pause(&self, attempt: u64) {
        // At random, so that two replicas that met once do not meet again and again.
        let micros = get_random_u64() % (1_000 * attempt + 1);
        spin_sdk::time::sleep(Duration::from_micros(micros)).await;
    }
}
