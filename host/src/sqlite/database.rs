//! One database: its writer, its readers, and what is known about the statements it is asked.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use crate::in_flight::InFlight;

use super::{
    answer::Answer,
    connection::{Connection, lock},
    readers::{AtOnce, Read, Readers},
    statement::Class,
    value::{Error, Value},
    writer::Writer,
};

/// How many statements' classes are remembered; a component that makes up its statements as it goes
/// fills this, and then begins anew.
const KNOWN_STATEMENTS: usize = 1024;

/// A database behind a label.
pub struct Database {
    path: Arc<Path>,
    writer: Writer,
    readers: Arc<Readers>,
    known: Mutex<HashMap<String, Class>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens the file at `path`, or makes one. The more requests are in flight, the longer its writes gather.
    pub fn open(label: &str, path: &Path, in_flight: InFlight) -> Result<Arc<Self>, Error> {
        let path: Arc<Path> = Arc::from(path);
        Ok(Arc::new(Self {
            writer: Writer::start(&path, label, in_flight)?,
            readers: Arc::new(Readers::new(path.clone())),
            known: Mutex::default(),
            path,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The answer to `sql` if it is known to be a short read: on the thread that asks, since handing
    /// it to another one and its rows back would take longer than most reads do.
    pub(super) fn read_at_once(&self, sql: &str, parameters: &[Value]) -> Option<Answer> {
        if self.known(sql) != Some(Class::Read) {
            return None;
        }
        match self.readers.read_at_once(sql, parameters) {
            AtOnce::Answer(answer) => Some(answer),
            AtOnce::TakesLonger => {
                self.remember(sql, Class::LongRead);
                None
            }
            AtOnce::NotNow => None,
        }
    }

    /// Runs `sql` if it only reads; else says what it is.
    pub(super) async fn read(&self, sql: &str, parameters: &[Value]) -> Result<Read, Error> {
        let known = self.known(sql);
        if let Some(class @ (Class::Write | Class::Own)) = known {
            return Ok(Read::Not(class));
        }
        let read = self.readers.read(sql.to_owned(), parameters.to_owned(), known.is_some()).await?;
        if known.is_none() {
            let class = if let Read::Not(class) = read { class } else { Class::Read };
            self.remember(sql, class);
        }
        Ok(read)
    }

    /// Runs a read of the host's own; `work` may run twice.
    pub(crate) async fn read_with<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<R> + Send + 'static,
    {
        self.readers.read_with(work).await
    }

    /// Runs `work` in the writer's next group, and answers once it is on disk; see
    /// [`Writer::write`].
    pub(crate) async fn write<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&Connection) -> Result<R, Error> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// What is known about a statement.
    pub(super) fn known(&self, sql: &str) -> Option<Class> {
        lock(&self.known).get(sql).copied()
    }

    fn remember(&self, sql: &str, class: Class) {
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_STATEMENTS {
            known.clear();
        }
        known.insert(sql.to_owned(), class);
    }
}
