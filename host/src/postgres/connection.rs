//! A connection that is lent, and how it is given back.
//!
//! Spin cleans a connection when it is lent again, and leaves a transaction that was not ended open: its locks are
//! held until then, and the next statement, of whatever request, becomes a part of it. Here a connection is cleaned
//! as soon as it comes back, off the way of any request, and a transaction is rolled back. Where no statement could
//! leave anything there is nothing to clean: cleaning costs the server more than a short statement does. What is still
//! at work for somebody who went away is canceled, and its connection closed.

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

/// What a statement begins with that only reads and writes rows.
const ROWS: [&str; 7] = ["select", "insert", "update", "delete", "with", "values", "merge"];

/// What such a statement can name that outlives it: a parameter, a temporary table.
const OF_SESSION: [&str; 4] = ["set_config", "temp", "temporary", "pg_temp"];

/// The same by the beginnings of names: locks, and connections to elsewhere.
const OF_SESSION_BEGINS: [&str; 3] = ["pg_advisory_lock", "pg_try_advisory_lock", "dblink"];

/// A connection of a pool, for as long as somebody has it.
pub(super) struct Lent {
    /// Taken when it is given back.
    client: Option<Object>,
    tls: Tls,
    /// Whether a statement was run that can have left something to clean.
    to_clean: AtomicBool,
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
        Self { client: Some(client), tls, to_clean: AtomicBool::default(), abandoned: AtomicBool::default() }
    }

    /// Counts a statement that begins.
    pub(super) fn begin(self: &Arc<Self>, sql: &str) -> Running {
        metrics::POSTGRES_STATEMENTS.add_one();
        if can_leave_something(sql) {
            self.to_clean.store(true, Ordering::Relaxed);
        }
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
        let (to_clean, abandoned) = (*self.to_clean.get_mut(), *self.abandoned.get_mut());
        if !to_clean && !abandoned {
            return give_back(client);
        }
        let tls = self.tls.clone();
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(clean_and_give_back(client, tls, abandoned))),
            Err(_) => drop(Object::take(client)),
        }
    }
}

/// Whether the session can be another one after this statement than it was before. What only reads and writes rows leaves
/// it as it was, unless it calls a function for the session. (What an operator's own function does to it stays until the
/// next cleaning.)
fn can_leave_something(sql: &str) -> bool {
    let mut words =
        sql.trim_start().split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is = |word: &str, those: &[&str]| those.iter().any(|one| word.eq_ignore_ascii_case(one));
    let begins = |word: &str, with: &str| {
        word.get(..with.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(with))
    };
    // Before a comment, or a bracket, the first word is empty.
    !words.next().is_some_and(|first| is(first, &ROWS))
        || words.any(|word| is(word, &OF_SESSION) || OF_SESSION_BEGINS.iter().any(|with| begins(word, with)))
}

/// Gives a clean connection back, and closes those that nobody needs any more.
fn give_back(client: Object) {
    let pool = Object::pool(&client);
    drop(client);
    if let Some(pool) = pool {
        pool.retain(|_, metrics| metrics.last_used() < IDLE);
    }
}

/// Gives a connection back clean, or closes it.
async fn clean_and_give_back(client: Object, tls: Tls, abandoned: bool) {
    if abandoned {
        // Whatever comes of it: a cancellation can come too late and hit the next statement, so nobody gets this one.
        drop(timeout(CLEANING, tls.cancel(client.cancel_token())).await);
        drop(Object::take(client));
        return;
    }
    match timeout(CLEANING, clean(&client)).await {
        Ok(Ok(())) => give_back(client),
        _ => drop(Object::take(client)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_change_a_session_is_cleaned_up_after() {
        for rows in [
            "SELECT 1",
            "  with x AS (SELECT 1) SELECT * FROM x",
            "INSERT INTO temperatures VALUES ($1)",
            "DELETE FROM templates",
            "SELECT pg_advisory_xact_lock(1)",
        ] {
            assert!(!can_leave_something(rows), "{rows}");
        }
        for session in [
            "",
            "BEGIN",
            "SET search_path = a",
            "DO $$ BEGIN END $$",
            "/* SELECT */ LISTEN a",
            "SELECT set_config('a.b', 'c', false)",
            "select Pg_Advisory_Lock_Shared(1)",
            "SELECT pg_catalog.pg_try_advisory_lock(1)",
            "SELECT 1 INTO TEMP t",
            "SELECT \"set_config\"('a.b', 'c', false)",
        ] {
            assert!(can_leave_something(session), "{session}");
        }
    }
}
