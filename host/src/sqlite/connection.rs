//! One SQLite connection with what every connection here has: settings, the authorizer that
//! listens to SQLite's announcements, and an end to statements nobody waits for any more.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::{StatementStatus, config::DbConfig};

use crate::metrics;

use super::{
    answer::Answer,
    caller::Caller,
    statement::{Announced, Class},
    value::{ANSWER_BYTES, Error, RowResult, Value, failure, too_large},
};

/// How long a lock held by another process is waited for; what Spin waits too.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many steps of SQLite's machine lie between two looks at whether anybody still waits.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Prepared statements kept per connection.
const STATEMENT_CACHE: usize = 64;

thread_local! {
    /// Whether this thread may not wait for locks; SQLite asks a plain function about it.
    static IN_A_HURRY: Cell<bool> = const { Cell::new(false) };
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reads only; a write that got here by mistake fails.
    Reading,
    /// Everything.
    Writing,
}

/// One connection; used by one thread at a time.
pub(crate) struct Connection {
    inner: rusqlite::Connection,
    announced: Arc<Mutex<Announced>>,
    caller: Arc<Mutex<Option<Caller>>>,
    /// Whether a statement was ended because nobody waits for it any more.
    ended: Arc<AtomicBool>,
}

impl Connection {
    pub(super) fn open(path: &Path, purpose: Purpose) -> Result<Self, Error> {
        let mut connection = Self {
            inner: rusqlite::Connection::open(path).map_err(failure)?,
            announced: Arc::default(),
            caller: Arc::default(),
            ended: Arc::default(),
        };
        connection.configure(purpose).and_then(|()| connection.listen()).map_err(failure)?;
        Ok(connection)
    }

    fn configure(&mut self, purpose: Purpose) -> rusqlite::Result<()> {
        self.inner.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // Else SQLite plans a statement anew whenever a parameter that its plan looked at is bound again: every time.
        self.inner.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        self.inner.busy_handler(Some(wait_for_lock))?;
        self.inner.pragma_update(None, "synchronous", "FULL")?;
        match purpose {
            Purpose::Reading => self.inner.pragma_update(None, "query_only", true),
            Purpose::Writing => {
                let count = || {
                    metrics::SQL_COMMITS.add_one();
                    false // Let it commit.
                };
                self.inner.commit_hook(Some(count))?;
                // What is deleted is overwritten.
                self.inner.pragma_update(None, "secure_delete", true)?;
                // What undoes one statement of many is short: it needs no file.
                self.inner.pragma_update(None, "temp_store", "MEMORY")
            }
        }
    }

    fn listen(&mut self) -> rusqlite::Result<()> {
        let announced = self.announced.clone();
        self.inner.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
            lock(&announced).note(&context)
        }))?;
        let (caller, ended) = (self.caller.clone(), self.ended.clone());
        let is_to_end = move || {
            let gone = lock(&caller).as_ref().is_some_and(Caller::is_gone);
            ended.fetch_or(gone, Ordering::Relaxed);
            gone
        };
        self.inner.progress_handler(STEPS_BETWEEN_LOOKS, Some(is_to_end))
    }

    /// From now on statements end when `caller` is gone; `None`: they run to their end.
    pub(super) fn serve(&self, caller: Option<&Caller>) {
        *lock(&self.caller) = caller.cloned();
    }

    /// Runs `work` so that each of its statements fails rather than take longer than a moment: about a
    /// millisecond of computing, and no waiting for locks. Also says whether that millisecond ran out.
    pub(super) fn briefly<R>(&self, work: impl FnOnce() -> R) -> (R, bool) {
        self.ended.store(false, Ordering::Relaxed);
        self.serve(Some(&Caller::gone()));
        IN_A_HURRY.set(true);
        let result = work();
        IN_A_HURRY.set(false);
        self.serve(None);
        (result, self.ended.load(Ordering::Relaxed))
    }

    pub(super) fn classify(&self, sql: &str) -> Result<Class, Error> {
        let readonly = self.with_fresh_schema(|| {
            // A statement out of the cache would announce nothing.
            *lock(&self.announced) = Announced::default();
            self.inner.prepare(sql).map(|statement| statement.readonly())
        });
        let readonly = readonly.map_err(|error| self.explain(error))?;
        lock(&self.announced).class(readonly).map_err(refusal)
    }

    /// Why a statement could not be prepared.
    fn explain(&self, error: rusqlite::Error) -> Error {
        lock(&self.announced).refused.take().map_or_else(|| failure(error), refusal)
    }

    /// Prepares a statement, and once more if it does not come about: this connection may not have
    /// noticed yet that another one changed the schema, and not every error makes SQLite look.
    fn with_fresh_schema<R>(&self, prepare: impl Fn() -> rusqlite::Result<R>) -> rusqlite::Result<R> {
        prepare().or_else(|error| match self.prepare("SELECT 1 FROM sqlite_schema LIMIT 1")?.exists([]) {
            Ok(_) => prepare(),
            Err(_) => Err(error),
        })
    }

    /// Runs one statement to its end, or until `row` answers `false`. `columns` is told first.
    pub(super) fn run(
        &self,
        sql: &str,
        parameters: &[Value],
        columns: impl FnOnce(Vec<String>),
        mut row: impl FnMut(RowResult) -> bool,
    ) -> Result<(), Error> {
        lock(&self.announced).refused = None;
        let statement = self.with_fresh_schema(|| self.prepare(sql));
        let mut statement = statement.map_err(|error| self.explain(error))?;
        let width = statement.column_count();
        columns(statement.column_names().map(str::to_owned).collect());
        let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(failure)?;
        while let Some(next) = rows.next().map_err(failure)? {
            if !row(RowResult::from_sqlite(next, width)?) {
                break;
            }
        }
        Ok(())
    }

    /// Runs a statement to its end and keeps all its rows.
    pub(super) fn collect_all(&self, sql: &str, parameters: &[Value]) -> Result<Answer, Error> {
        self.collect(sql, parameters, ANSWER_BYTES)?.ok_or_else(too_large)
    }

    /// Runs a statement to its end and keeps all its rows; none if they take more than `limit` bytes. One
    /// that answers more is run to its end all the same: it has changed what it changed.
    pub(super) fn collect(
        &self,
        sql: &str,
        parameters: &[Value],
        limit: usize,
    ) -> Result<Option<Answer>, Error> {
        let (mut columns, mut head, mut bytes) = (Vec::new(), Vec::<RowResult>::new(), 0);
        self.run(
            sql,
            parameters,
            |names| columns = names,
            |row| {
                bytes += row.memory_size();
                match bytes <= limit {
                    true => head.push(row),
                    false => head = Vec::new(),
                }
                true
            },
        )?;
        Ok((bytes <= limit).then_some(Answer { columns, head, rest: None }))
    }

    /// Runs a statement of the host's own and answers how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(parameters)
    }

    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
        let statement = self.inner.prepare_cached(sql)?;
        // SQLite goes on counting where the statement's last run ended: every so many runs even the
        // shortest would come to a look, and to its end where it is to be brief.
        statement.reset_status(StatementStatus::VmStep);
        Ok(statement)
    }

    pub(super) fn is_autocommit(&self) -> bool {
        self.inner.is_autocommit()
    }
}

/// What a component is told whose statement asks for what this host does not have.
fn refusal(what: &str) -> Error {
    Error::Io(format!("the embedded host does not offer {what}"))
}

/// SQLite's own way to wait sleeps up to 100 ms between two looks, which is where the slowest
/// requests come from when processes share a file: this one looks every 1 to 5 ms.
pub(super) fn wait_for_lock(tries: i32) -> bool {
    if IN_A_HURRY.get() {
        return false;
    }
    let Some(pause) = pause_after(tries) else { return false };
    thread::sleep(pause);
    true
}

/// How long to wait for a lock after so many looks at it; none where it has been waited for long enough.
fn pause_after(tries: i32) -> Option<Duration> {
    let tries = u32::try_from(tries).unwrap_or(u32::MAX);
    let (step, waited) = match tries {
        0..50 => (1, tries),
        _ => (5, (tries - 50).saturating_mul(5).saturating_add(50)),
    };
    (Duration::from_millis(waited.into()) < BUSY_TIMEOUT).then(|| Duration::from_millis(step))
}

/// A lock whose holders never panic while they hold it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
