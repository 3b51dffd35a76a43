//! A connection that is lent, and how it is given back.
//!
//! Spin cleans a connection when it is lent again, and leaves a transaction that was not ended open: its locks are
//! held until then, and the next statement, of whatever request, becomes a part of it. Here a connection is cleaned
//! as soon as it comes back, off the way of any request, and a transaction is rolled back. What is still at work
//! for somebody who went away is canceled, and its connection closed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::{ClientWrapper, Object, RecyclingMethod};
use tokio::{runtime::Handle, time::timeout};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{
    error::{Error, refused},
    tls::Tls,
};
use crate::metrics;

/// How long cleaning or canceling may take before the connection is closed instead.
const CLEANING: Duration = Duration::from_secs(5);

/// After how long without use a connection is closed, when another one comes back.
const IDLE: Duration = Duration::from_secs(60);

/// A connection of a pool, for as long as somebody has it.
pub(super) struct Lent {
    /// Taken when it is given back.
    client: Option<Object>,
    tls: Tls,
    /// Whether a statement was run, so that there can be something to clean.
    used: AtomicBool,
    /// Whether a statement was given up before its end.
    abandoned: AtomicBool,
}

/// A statement that has begun. Dropped before it [ended](Self::ended), it was given up.
pub(super) struct Running {
    lent: Arc<Lent>,
    ended: bool,
}

impl Lent {
    pub(super) fn new(client: Object, tls: Tls) -> Self {
        Self { client: Some(client), tls, used: AtomicBool::default(), abandoned: AtomicBool::default() }
    }

    /// Counts a statement that begins.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        metrics::POSTGRES_STATEMENTS.add_one();
        self.used.store(true, Ordering::Relaxed);
        Running { lent: self.clone(), ended: false }
    }

    /// The connection itself.
    pub(super) fn client(&self) -> Result<&ClientWrapper, Error> {
        self.client.as_deref().ok_or_else(|| refused("the connection was given back"))
    }
}

impl Running {
    /// The server has done with the statement.
    pub(super) fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            self.lent.abandoned.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        if !self.used.load(Ordering::Relaxed) {
            return;
        }
        let (tls, abandoned) = (self.tls.clone(), self.abandoned.load(Ordering::Relaxed));
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(give_back(client, tls, abandoned))),
            Err(_) => drop(Object::take(client)),
        }
    }
}

/// Gives a connection back clean, or closes it.
async fn give_back(client: Object, tls: Tls, abandoned: bool) {
    if abandoned {
        // Whatever comes of it: a cancellation can come too late and hit the next statement, so nobody gets this one.
        drop(timeout(CLEANING, tls.cancel(client.cancel_token())).await);
        drop(Object::take(client));
        return;
    }
    if !matches!(timeout(CLEANING, clean(&client)).await, Ok(Ok(()))) {
        drop(Object::take(client));
        return;
    }
    if let Some(pool) = Object::pool(&client) {
        pool.retain(|_, metrics| metrics.last_used() < IDLE);
    }
}

/// Undoes what Spin undoes between two uses, and a transaction that was not ended.
async fn clean(client: &Client) -> Result<(), tokio_postgres::Error> {
    let reset = RecyclingMethod::Clean.query().unwrap_or_default();
    // Only inside of a transaction is its time another one than the statement's. To roll back without one would have
    // the server write a warning for each connection that comes back.
    let asked = client.simple_query(&format!("SELECT now() <> statement_timestamp();{reset}")).await;
    let in_transaction = match &asked {
        Ok(messages) => messages
            .iter()
            .any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t"))),
        // The transaction has failed, or the connection: the next statement tells.
        Err(_) => true,
    };
    if in_transaction {
        client.batch_execute(&format!("ROLLBACK;{reset}")).await?;
    }
    Ok(())
}
