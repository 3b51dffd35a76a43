//! A component's connection to a database.
//!
//! It holds no SQLite connection until it needs one of its own, and then only as long as it has
//! something that is its own: a transaction, a setting, a temporary table.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
};

use tokio::{
    sync::{Mutex, mpsc, oneshot},
    task,
};

use crate::metrics;

use super::{
    connection::{Caller, Connection, Waiting},
    database::{Database, Written, collect},
    readers::Read,
    statement::{Afterwards, Class},
    value::{ANSWER_BYTES, Error, RowResult, Value, too_large},
};

/// What a statement answered.
#[derive(Debug)]
pub struct Answer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The first rows, which are nearly always all of them.
    pub head: Vec<RowResult>,
    /// The rows after them.
    pub rest: Option<Rest>,
}

/// The rows of a long answer that are still to come.
#[derive(Debug)]
pub struct Rest {
    pub(super) rows: mpsc::Receiver<RowResult>,
    pub(super) outcome: oneshot::Receiver<Result<(), Error>>,
    pub(super) waiting: Option<Waiting>,
}

impl Answer {
    /// Waits for every row.
    pub async fn all(self) -> Result<(Vec<String>, Vec<RowResult>), Error> {
        let Self { columns, head: mut rows, rest } = self;
        if let Some(mut rest) = rest {
            let mut bytes: usize = rows.iter().map(RowResult::memory_size).sum();
            while let Some(row) = rest.rows.recv().await {
                bytes += row.memory_size();
                if bytes > ANSWER_BYTES {
                    return Err(too_large());
                }
                rows.push(row);
            }
            rest.outcome.await.map_err(|_| Error::Io("the statement was given up".to_owned()))??;
        }
        Ok((columns, rows))
    }
}

/// A component's connection.
#[derive(Clone)]
pub struct Session {
    database: Arc<Database>,
    counters: Arc<Counters>,
    /// The session's own connection, once it has needed one. Dropped with the session, it rolls
    /// back what was not committed.
    own: Arc<Mutex<Option<Own>>>,
    /// Whether every statement has to go there now.
    apart: Arc<AtomicBool>,
}

/// What SQLite keeps per connection and components ask for.
#[derive(Debug, Default)]
struct Counters {
    rowid: AtomicI64,
    changes: AtomicU64,
}

struct Own {
    connection: Connection,
    stays: bool,
}

impl Session {
    pub(super) fn new(database: Arc<Database>) -> Self {
        let apart = Arc::new(AtomicBool::new(!database.is_shared()));
        Self { database, counters: Arc::default(), own: Arc::default(), apart }
    }

    /// Runs one statement.
    pub async fn execute(&self, sql: String, mut parameters: Vec<Value>) -> Result<Answer, Error> {
        metrics::SQL_STATEMENTS.add_one();
        if self.apart.load(Ordering::Acquire) {
            return self.execute_apart(sql, parameters, None).await;
        }
        match self.database.read(sql.clone(), &mut parameters).await? {
            Read::Answer(answer) => Ok(answer),
            Read::Not(Class::Write(write)) => {
                let counters = self.counters.clone();
                let work = move |connection: &Connection| {
                    Written::run(connection, &sql, &parameters, write, counters.rowid.load(Ordering::Acquire))
                };
                let written = self.database.write(work).await?;
                self.counters.keep(written.rowid, written.changes);
                Ok(written.answer)
            }
            Read::Not(class) => self.execute_apart(sql, parameters, Some(class)).await,
        }
    }

    /// The row id of the last row this session inserted, or 0.
    pub fn last_insert_rowid(&self) -> i64 {
        self.counters.rowid.load(Ordering::Acquire)
    }

    /// How many rows this session's last `INSERT`, `UPDATE` or `DELETE` changed.
    pub fn changes(&self) -> u64 {
        self.counters.changes.load(Ordering::Acquire)
    }

    /// Runs one statement on the session's own connection; `class` where it is already known.
    async fn execute_apart(
        &self,
        sql: String,
        parameters: Vec<Value>,
        class: Option<Class>,
    ) -> Result<Answer, Error> {
        let mut own = self.own.clone().lock_owned().await;
        let session = self.clone();
        let (caller, waiting) = Caller::waiting();
        let run = move || {
            let mut held = match own.take() {
                Some(held) => held,
                None => {
                    Own { connection: session.database.open_own()?, stays: !session.database.is_shared() }
                }
            };
            held.connection.serve(Some(&caller));
            let (answer, afterwards) = session.run_on(&held.connection, &sql, &parameters, class);
            held.connection.serve(None);
            held.stays |= afterwards == Afterwards::Stays;
            let apart = held.stays || !held.connection.is_autocommit();
            session.apart.store(apart, Ordering::Release);
            if apart || afterwards == Afterwards::Rests {
                *own = Some(held);
            }
            answer
        };
        let answer = task::spawn_blocking(run).await;
        drop(waiting);
        answer.map_err(|problem| Error::Io(problem.to_string()))?
    }

    fn run_on(
        &self,
        connection: &Connection,
        sql: &str,
        parameters: &[Value],
        class: Option<Class>,
    ) -> (Result<Answer, Error>, Afterwards) {
        let restored = match self.apart.load(Ordering::Acquire) {
            true => Ok(()),
            // Other connections have worked for this session since.
            false => connection.restore_counters(self.last_insert_rowid(), self.changes()),
        };
        match restored.and_then(|()| class.map_or_else(|| connection.classify(sql), Ok)) {
            Ok(class) => {
                let answer = collect(connection, sql, parameters, ANSWER_BYTES)
                    .and_then(|answer| answer.ok_or_else(too_large));
                self.counters.keep(Some(connection.last_insert_rowid()), Some(connection.changes()));
                let afterwards =
                    if let Class::Own(afterwards) = class { afterwards } else { Afterwards::Rests };
                (answer, afterwards)
            }
            Err(error) => (Err(error), Afterwards::Rests),
        }
    }
}

impl Counters {
    fn keep(&self, rowid: Option<i64>, changes: Option<u64>) {
        if let Some(rowid) = rowid {
            self.rowid.store(rowid, Ordering::Release);
        }
        if let Some(changes) = changes {
            self.changes.store(changes, Ordering::Release);
        }
    }
}
