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

use rusqlite::{
    StatementStatus,
    ffi::SQLITE_ATTACH,
    hooks::{AuthAction, Authorization},
};

use crate::metrics;

use super::{
    statement::{Announced, Class},
    value::{Error, RowResult, Value, failure},
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

/// Whether somebody still waits for a statement. The waiting side holds a [`Waiting`].
#[derive(Clone, Debug, Default)]
pub(super) struct Caller(Arc<AtomicBool>);

/// Held by whoever waits for a statement: dropped, the statement ends.
#[derive(Debug)]
pub(super) struct Waiting(Caller);

impl Caller {
    pub(super) fn waiting() -> (Self, Waiting) {
        let caller = Self::default();
        (caller.clone(), Waiting(caller))
    }

    /// Whether nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Where a database is, and what its connections may do.
#[derive(Clone, Debug)]
pub(super) struct Location {
    /// `None`: in memory, a new and empty database for every connection, as in Spin.
    pub(super) path: Option<Arc<Path>>,
    pub(super) allow_attach_file: bool,
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
    pub(super) fn open(location: &Location, purpose: Purpose) -> Result<Self, Error> {
        let inner = match &location.path {
            Some(path) => rusqlite::Connection::open(path),
            None => rusqlite::Connection::open_in_memory(),
        };
        let mut connection = Self {
            inner: inner.map_err(failure)?,
            announced: Arc::default(),
            caller: Arc::default(),
            ended: Arc::default(),
        };
        connection
            .configure(purpose)
            .and_then(|()| connection.listen(location.allow_attach_file))
            .map_err(failure)?;
        Ok(connection)
    }

    fn configure(&mut self, purpose: Purpose) -> rusqlite::Result<()> {
        self.inner.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        self.inner.busy_handler(Some(wait_for_lock))?;
        self.inner.pragma_update(None, "synchronous", "FULL")?;
        match purpose {
            Purpose::Reading => self.inner.pragma_update(None, "query_only", true),
            Purpose::Writing => {
                self.inner.execute_batch(
                    "PRAGMA temp_store = MEMORY;
                     CREATE TEMP TABLE \"rowid before the statement\" (id INTEGER PRIMARY KEY)",
                )?;
                let count = || {
                    metrics::SQL_COMMITS.add_one();
                    false // Let it commit.
                };
                self.inner.commit_hook(Some(count))
            }
        }
    }

    fn listen(&mut self, allow_attach_file: bool) -> rusqlite::Result<()> {
        let announced = self.announced.clone();
        self.inner.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
            lock(&announced).note(&context);
            match context.action {
                // A component reaches no file but the one behind its label.
                AuthAction::Attach { filename }
                    if !allow_attach_file && !matches!(filename, "" | ":memory:") =>
                {
                    Authorization::Deny
                }
                // A name that is no plain text is not told.
                AuthAction::Unknown { code: SQLITE_ATTACH, .. } if !allow_attach_file => Authorization::Deny,
                _ => Authorization::Allow,
            }
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
        self.serve(Some(&Caller(Arc::new(AtomicBool::new(true)))));
        IN_A_HURRY.set(true);
        let result = work();
        IN_A_HURRY.set(false);
        self.serve(None);
        (result, self.ended.load(Ordering::Relaxed))
    }

    /// What kind of statement `sql` is.
    pub(super) fn classify(&self, sql: &str) -> Result<Class, Error> {
        self.with_fresh_schema(|| {
            // A statement out of the cache would announce nothing.
            *lock(&self.announced) = Announced::default();
            let statement = self.inner.prepare(sql)?;
            Ok(lock(&self.announced).class(statement.readonly()))
        })
        .map_err(failure)
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
        let mut statement = self.with_fresh_schema(|| self.prepare(sql)).map_err(failure)?;
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

    /// Runs a statement of the host's own and answers how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.prepare(sql)?.execute(parameters)
    }

    /// The prepared form of a statement.
    pub(crate) fn prepare(&self, sql: &str) -> rusqlite::Result<rusqlite::CachedStatement<'_>> {
        let statement = self.inner.prepare_cached(sql)?;
        // SQLite goes on counting where the statement's last run ended: every so many runs even the
        // shortest would come to a look, and to its end where it is to be brief.
        statement.reset_status(StatementStatus::VmStep);
        Ok(statement)
    }

    /// All of `work` or nothing of it, whether or not a transaction is already open.
    pub(crate) fn atomically<R>(
        &self,
        work: impl FnOnce(&Self) -> rusqlite::Result<R>,
    ) -> rusqlite::Result<R> {
        self.execute("SAVEPOINT work", [])?;
        let result = work(self);
        if result.is_err() && !self.inner.is_autocommit() {
            self.execute("ROLLBACK TO work", [])?;
        }
        if !self.inner.is_autocommit() {
            self.execute("RELEASE work", [])?;
        }
        result
    }

    /// Whether no transaction is open.
    pub(super) fn is_autocommit(&self) -> bool {
        self.inner.is_autocommit()
    }

    pub(super) fn last_insert_rowid(&self) -> i64 {
        self.inner.last_insert_rowid()
    }

    pub(super) fn changes(&self) -> u64 {
        self.inner.changes()
    }

    /// Makes `last_insert_rowid()` what it last was for the session served now. Inserting exactly
    /// that row id into a temporary table is the one way to do it without C.
    pub(super) fn restore_rowid(&self, rowid: i64) -> Result<(), Error> {
        if self.inner.last_insert_rowid() == rowid {
            return Ok(());
        }
        self.execute("INSERT INTO temp.\"rowid before the statement\" VALUES (?1)", [rowid])
            .and_then(|_| self.execute("DELETE FROM temp.\"rowid before the statement\"", []))
            .map(drop)
            .map_err(failure)
    }

    /// Makes `last_insert_rowid()` and `changes()` what they last were for the session served now:
    /// the row id by inserting it, the number of changes by deleting that many rows.
    pub(super) fn restore_counters(&self, rowid: i64, changes: u64) -> Result<(), Error> {
        let changes = i64::try_from(changes).unwrap_or(i64::MAX);
        let restore = || -> rusqlite::Result<()> {
            self.execute("DELETE FROM temp.\"rowid before the statement\"", [])?;
            self.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 WHERE ?1 > 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 INSERT INTO temp.\"rowid before the statement\" SELECT i FROM n",
                [changes],
            )?;
            self.execute("INSERT OR REPLACE INTO temp.\"rowid before the statement\" VALUES (?1)", [rowid])?;
            self.execute(
                "DELETE FROM temp.\"rowid before the statement\" WHERE id BETWEEN 1 AND ?1",
                [changes],
            )?;
            Ok(())
        };
        restore().map_err(failure)
    }
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
