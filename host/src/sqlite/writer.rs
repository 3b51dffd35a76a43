//! The one writer of a database file, which commits in groups.
//!
//! An fsync takes as long for one statement as for two hundred. So the writer takes everything that
//! is waiting into one transaction, and answers each statement after the one `COMMIT` that made it
//! durable; while that `COMMIT` is under way, the next group gathers.
//!
//! Groups are larger, and each statement so much cheaper, if the writer waits a little before it begins
//! one. It does so where many requests are in flight, each of which waits for the processor anyway:
//! they win the time back, and more. A few would only lose it.
//!
//! A statement that fails (a constraint, a trigger's `RAISE(ABORT, …)`) fails alone: SQLite undoes
//! it and keeps the transaction, so it needs no savepoint. Where SQLite gives up the transaction
//! itself (`RAISE(ROLLBACK, …)`, a disk that is full, a deferred foreign key at `COMMIT`), nobody has
//! been answered yet, and the group is run again one statement at a time: whoever is at fault gets
//! the error, the others succeed.

use std::{path::Path, thread, time::Duration};

use rusqlite::ErrorCode;
use tokio::sync::{mpsc, oneshot};

use crate::in_flight::InFlight;

use super::{
    caller::Caller,
    connection::{Connection, Purpose, wait_for_lock},
    value::{Error, failure},
};

/// How many statements one transaction takes.
const GROUP: usize = 256;

/// How many statements may wait; beyond it callers wait to be let in.
const QUEUE: usize = 4096;

/// Up to so many requests in flight are a few: no group waits for more.
const FEW: usize = 8;

/// How long a group gathers for each request beyond these.
const PATIENCE: Duration = Duration::from_micros(200);

/// How long a group gathers at most.
const LONGEST_PATIENCE: Duration = Duration::from_millis(12);

/// Hands work to the writing thread. The thread ends when the last handle is gone.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Box<dyn Entry>>,
}

impl Writer {
    /// Opens the file for writing and starts its thread.
    pub(super) fn start(path: &Path, label: &str, in_flight: InFlight) -> Result<Self, Error> {
        let connection = Connection::open(path, Purpose::Writing)?;
        use_write_ahead_log(&connection, label)?;
        let (queue, waiting) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name(format!("sqlite {label}"))
            .spawn(move || serve(&connection, waiting, &in_flight))
            .map_err(|problem| Error::Io(format!("the writer could not be started: {problem}")))?;
        Ok(Self { queue })
    }

    /// Runs `work` in a group and answers once it is on disk. `work` runs again if its group has to
    /// be given up, so it must not keep anything from an earlier run.
    pub(super) async fn write<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&Connection) -> Result<R, Error> + Send + 'static,
    {
        let (caller, waiting) = Caller::waiting();
        let (reply, answer) = oneshot::channel();
        let entry = Box::new(Pending { work, caller, outcome: None, reply });
        let gone = || Error::Io("the database's writer has ended".to_owned());
        self.queue.send(entry).await.map_err(|_| gone())?;
        let answer = answer.await.map_err(|_| gone())?;
        drop(waiting);
        answer
    }
}

/// Without a write-ahead log readers and the writer shut each other out: slower, but not wrong.
///
/// Where another host is changing the same file over at this moment, SQLite answers that it is locked
/// without asking to wait: each holds what the other needs. So this tries again from the start.
fn use_write_ahead_log(connection: &Connection, label: &str) -> Result<(), Error> {
    let mut tries = 0;
    let mode: String = loop {
        let answer = connection
            .prepare("PRAGMA journal_mode = WAL")
            .and_then(|mut pragma| pragma.query_row([], |row| row.get(0)));
        match answer {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && wait_for_lock(tries) =>
            {
                tries += 1;
            }
            answer => break answer.map_err(failure)?,
        }
    };
    if mode != "wal" {
        tracing::warn!(
            database = label,
            mode,
            "this database cannot have a write-ahead log; it will be slow"
        );
    }
    Ok(())
}

/// A waiting piece of work, whatever it answers.
trait Entry: Send {
    fn caller(&self) -> &Caller;
    /// Runs the work and keeps its outcome.
    fn run(&mut self, connection: &Connection);
    /// Tells the outcome to whoever waits.
    fn answer(self: Box<Self>);
    /// Tells `error` instead of the outcome.
    fn fail(self: Box<Self>, error: Error);
}

struct Pending<R, F> {
    work: F,
    caller: Caller,
    outcome: Option<Result<R, Error>>,
    reply: oneshot::Sender<Result<R, Error>>,
}

impl<R, F> Entry for Pending<R, F>
where
    R: Send,
    F: FnMut(&Connection) -> Result<R, Error> + Send,
{
    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn run(&mut self, connection: &Connection) {
        self.outcome = Some((self.work)(connection));
    }

    fn answer(self: Box<Self>) {
        if let Some(outcome) = self.outcome {
            // Whoever no longer waits needs no answer.
            let _ = self.reply.send(outcome);
        }
    }

    fn fail(self: Box<Self>, error: Error) {
        let _ = self.reply.send(Err(error));
    }
}

fn serve(connection: &Connection, mut queue: mpsc::Receiver<Box<dyn Entry>>, in_flight: &InFlight) {
    while let Some(first) = queue.blocking_recv() {
        let patience = patience(in_flight.count());
        if !patience.is_zero() {
            thread::sleep(patience);
        }
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        // What nobody waits for any more has not begun, and need not.
        group.retain(|entry| !entry.caller().is_gone());
        commit(connection, group);
    }
}

/// How long a group gathers while so many requests are in flight.
fn patience(requests: usize) -> Duration {
    let beyond = u32::try_from(requests.saturating_sub(FEW)).unwrap_or(u32::MAX);
    PATIENCE.saturating_mul(beyond).min(LONGEST_PATIENCE)
}

/// Why a transaction did not come about.
enum Failed {
    /// It could not begin: the file is locked, or gone. Nothing would be different one by one.
    ToBegin(Error),
    /// It was given up on the way, or at its `COMMIT`.
    Midway(Error),
}

/// Runs `group` in one transaction and answers it.
fn commit(connection: &Connection, mut group: Vec<Box<dyn Entry>>) {
    match transact(connection, &mut group) {
        Ok(()) => group.into_iter().for_each(|entry| entry.answer()),
        Err(Failed::Midway(_)) if group.len() > 1 => {
            group.into_iter().for_each(|entry| commit(connection, vec![entry]));
        }
        Err(Failed::ToBegin(error) | Failed::Midway(error)) => {
            group.into_iter().for_each(|entry| entry.fail(error.clone()));
        }
    }
}

fn transact(connection: &Connection, group: &mut [Box<dyn Entry>]) -> Result<(), Failed> {
    connection.execute("BEGIN IMMEDIATE", []).map_err(|error| Failed::ToBegin(failure(error)))?;
    let alone = group.len() == 1;
    let given_up = group.iter_mut().any(|entry| {
        connection.serve(Some(entry.caller()));
        entry.run(connection);
        connection.is_autocommit()
    });
    connection.serve(None);
    match given_up {
        false => connection.execute("COMMIT", []).map(drop).map_err(|error| {
            roll_back(connection);
            Failed::Midway(failure(error))
        }),
        // Alone in its transaction: the error it already has is the answer.
        true if alone => Ok(()),
        true => Err(Failed::Midway(Error::Io("the transaction was given up".to_owned()))),
    }
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(problem) = connection.execute("ROLLBACK", [])
    {
        tracing::error!(%problem, "a transaction that could not be committed could not be rolled back either");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_gathers_for_longer_the_more_requests_there_are_but_not_for_a_few() {
        let micros = |requests| patience(requests).as_micros();
        assert_eq!([0, 1, 8].map(micros), [0, 0, 0]);
        assert_eq!([9, 28, 64].map(micros), [200, 4_000, 11_200]);
        assert_eq!([68, 69, usize::MAX].map(micros), [12_000, 12_000, 12_000]);
    }
}
