//! One database: its writer, its readers, and what is known about the statements it is asked.

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex},
};

use crate::crowd::Crowd;

use super::{
    connection::{Connection, Location, Purpose, lock},
    readers::{AtOnce, Read, Readers},
    session::{Answer, Session},
    statement::{Class, Write},
    value::{ANSWER_BYTES, Error, RowResult, Value, too_large},
    writer::Writer,
};

/// How many statements' kinds are remembered; a component that makes up its statements as it goes
/// fills this, and then begins anew.
const KNOWN_STATEMENTS: usize = 1024;

/// A database behind a label.
pub struct Database {
    label: String,
    location: Location,
    /// `None` in memory, where every session has a database of its own.
    shared: Option<Shared>,
}

struct Shared {
    writer: Writer,
    readers: Arc<Readers>,
    known: Mutex<HashMap<String, Class>>,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Database")
            .field("label", &self.label)
            .field("location", &self.location)
            .finish()
    }
}

impl Database {
    /// Opens the file at `path`, or makes one; its writes gather by `crowd`. With `None`, every session has a new database in
    /// memory, as in Spin.
    pub fn open(
        label: &str,
        path: Option<&Path>,
        allow_attach_file: bool,
        crowd: Crowd,
    ) -> Result<Arc<Self>, Error> {
        let location = Location { path: path.map(Arc::from), allow_attach_file };
        let shared = match path {
            Some(_) => Some(Shared {
                writer: Writer::start(&location, label, crowd)?,
                readers: Arc::new(Readers::new(location.clone())),
                known: Mutex::default(),
            }),
            None => None,
        };
        Ok(Arc::new(Self { label: label.to_owned(), location, shared }))
    }

    /// A component's connection.
    pub fn connect(self: &Arc<Self>) -> Session {
        Session::new(self.clone())
    }

    /// What is known about a statement.
    #[cfg(test)]
    pub(super) fn known(&self, sql: &str) -> Option<Class> {
        self.shared.as_ref().and_then(|shared| shared.known(sql))
    }

    /// Whether sessions have anything in common.
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// A connection nobody else uses.
    pub(super) fn open_own(&self) -> Result<Connection, Error> {
        Connection::open(&self.location, Purpose::Writing)
    }

    /// Runs `sql` if it only reads; else says what it is.
    pub(super) async fn read(&self, sql: String, parameters: &mut Vec<Value>) -> Result<Read, Error> {
        let shared = self.shared()?;
        match shared.known(&sql) {
            Some(Class::Read) => match shared.readers.read_at_once(&sql, parameters) {
                AtOnce::Answer(answer) => Ok(Read::Answer(answer)),
                AtOnce::TakesLonger => {
                    shared.remember(sql.clone(), Class::LongRead);
                    shared.readers.read(sql, std::mem::take(parameters), true).await
                }
                AtOnce::NotNow => shared.readers.read(sql, std::mem::take(parameters), true).await,
            },
            Some(Class::LongRead) => shared.readers.read(sql, std::mem::take(parameters), true).await,
            Some(class) => Ok(Read::Not(class)),
            None => {
                let read = shared.readers.read(sql.clone(), parameters.clone(), false).await?;
                shared.remember(
                    sql,
                    match &read {
                        Read::Answer(_) => Class::Read,
                        Read::Not(class) => *class,
                    },
                );
                Ok(read)
            }
        }
    }

    /// Runs a read of the host's own; `work` may run twice.
    pub(crate) async fn read_with<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<R> + Send + 'static,
    {
        self.shared()?.readers.read_with(work).await
    }

    /// Runs `work` in the writer's next group, and answers once it is on disk; see
    /// [`Writer::write`].
    pub(crate) async fn write<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&Connection) -> Result<R, Error> + Send + 'static,
    {
        self.shared()?.writer.write(work).await
    }

    fn shared(&self) -> Result<&Shared, Error> {
        self.shared.as_ref().ok_or_else(|| Error::Io(format!("the database {} is in memory", self.label)))
    }
}

impl Shared {
    fn known(&self, sql: &str) -> Option<Class> {
        lock(&self.known).get(sql).copied()
    }

    fn remember(&self, sql: String, class: Class) {
        let mut known = lock(&self.known);
        if known.len() >= KNOWN_STATEMENTS {
            known.clear();
        }
        known.insert(sql, class);
    }
}

/// What a write answered, and left behind for its session.
pub(super) struct Written {
    pub(super) answer: Answer,
    pub(super) rowid: Option<i64>,
    pub(super) changes: Option<u64>,
}

impl Written {
    /// Runs a write on the writer's connection.
    pub(super) fn run(
        connection: &Connection,
        sql: &str,
        parameters: &[Value],
        write: Write,
        rowid: i64,
    ) -> Result<Self, Error> {
        if write.rowid {
            connection.restore_rowid(rowid)?;
        }
        let answer = collect(connection, sql, parameters, ANSWER_BYTES)?.ok_or_else(too_large)?;
        Ok(Self {
            answer,
            rowid: write.rowid.then(|| connection.last_insert_rowid()),
            changes: write.counts.then(|| connection.changes()),
        })
    }
}

/// Runs a statement to its end and keeps all its rows; none if they take more than `limit` bytes. One
/// that answers more is run to its end all the same: it has changed what it changed.
pub(super) fn collect(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    limit: usize,
) -> Result<Option<Answer>, Error> {
    let (mut columns, mut head, mut bytes) = (Vec::new(), Vec::<RowResult>::new(), 0);
    connection.run(
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
