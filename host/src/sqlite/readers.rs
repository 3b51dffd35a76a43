//! Connections for reading, shared by everybody who reads one database.
//!
//! Each statement sees all that was committed before it began: with a write-ahead log a reader
//! neither waits for the writer nor holds it up.

use std::{
    cell::RefCell,
    path::Path,
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task,
};

use super::{
    answer::{Answer, Rest},
    caller::Caller,
    connection::{Connection, Purpose, lock},
    statement::Class,
    value::{Error, RowResult, Value, failure},
};

/// How many statements read at the same time; more would only take turns on the processor.
const AT_ONCE: usize = 8;

/// How many idle connections are kept.
const IDLE: usize = 8;

/// Up to this much of an answer is read before the first row is handed out. Nearly every answer
/// fits; one that does not keeps its connection until its reader has taken the last row.
const HEAD_BYTES: usize = 256 << 10;

/// Rows read ahead of a component that takes them slowly.
const ROWS_AHEAD: usize = 64;

/// What came of a statement sent to a reader.
pub(super) enum Read {
    Answer(Answer),
    /// It was not only a read, and has not been run.
    Not(Class),
}

/// What came of a statement that was given no more than a moment.
pub(super) enum AtOnce {
    Answer(Answer),
    /// It computes for longer, or answers more, than that.
    TakesLonger,
    /// It went wrong, or a lock was in its way: nothing that tells how long it takes.
    NotNow,
}

pub(super) struct Readers {
    path: Arc<Path>,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(path: Arc<Path>) -> Self {
        Self { path, idle: Mutex::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Runs `sql`, once SQLite has said that it only reads (`known`: it has said so before).
    pub(super) async fn read(
        self: &Arc<Self>,
        sql: String,
        parameters: Vec<Value>,
        known: bool,
    ) -> Result<Read, Error> {
        let turn =
            self.turns.clone().acquire_owned().await.map_err(|closed| Error::Io(closed.to_string()))?;
        let readers = self.clone();
        let (caller, waiting) = Caller::waiting();
        let (reply, answer) = oneshot::channel();
        task::spawn_blocking(move || {
            let connection = match readers.take() {
                Ok(connection) => connection,
                Err(error) => return drop(reply.send(Err(error))),
            };
            match if known { Ok(Class::Read) } else { connection.classify(&sql) } {
                Ok(Class::Read) => {
                    connection.serve(Some(&caller));
                    read_out(&connection, &sql, &parameters, reply, turn);
                    connection.serve(None);
                }
                Ok(class) => drop(reply.send(Ok(Read::Not(class)))),
                Err(error) => drop(reply.send(Err(error))),
            }
            readers.give_back(connection);
        });
        let mut read = answer.await.map_err(|_| Error::Io("the statement was given up".to_owned()))?;
        if let Ok(Read::Answer(answer)) = &mut read
            && let Some(rest) = &mut answer.rest
        {
            rest.waiting = Some(waiting);
        }
        read
    }

    /// Runs a statement that is known to only read on the thread that asks. Where it does not answer,
    /// [`read`](Self::read) has the last word.
    pub(super) fn read_at_once(&self, sql: &str, parameters: &[Value]) -> AtOnce {
        let Ok(connection) = self.take() else { return AtOnce::NotNow };
        let (answer, ran_out) = connection.briefly(|| connection.collect(sql, parameters, HEAD_BYTES));
        self.give_back(connection);
        match answer {
            Ok(Some(answer)) => AtOnce::Answer(answer),
            Ok(None) => AtOnce::TakesLonger,
            Err(_) if ran_out => AtOnce::TakesLonger,
            Err(_) => AtOnce::NotNow,
        }
    }

    /// Runs a read of the host's own: on the thread that asks if it takes no longer than a moment,
    /// else from the beginning on another one.
    pub(super) async fn read_with<R, F>(self: &Arc<Self>, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: Fn(&Connection) -> rusqlite::Result<R> + Send + 'static,
    {
        let connection = self.take()?;
        let (result, _) = connection.briefly(|| work(&connection));
        self.give_back(connection);
        if let Ok(answer) = result {
            return Ok(answer);
        }
        let readers = self.clone();
        let work = move || {
            let connection = readers.take()?;
            let result = work(&connection).map_err(failure);
            readers.give_back(connection);
            result
        };
        task::spawn_blocking(work).await.map_err(|problem| Error::Io(problem.to_string()))?
    }

    fn take(&self) -> Result<Connection, Error> {
        let idle = lock(&self.idle).pop();
        idle.map_or_else(|| Connection::open(&self.path, Purpose::Reading), Ok)
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }
}

type Reply = oneshot::Sender<Result<Read, Error>>;

/// Answers with the rows: all of them if they are few, else with the first ones and a stream.
fn read_out(
    connection: &Connection,
    sql: &str,
    parameters: &[Value],
    reply: Reply,
    turn: OwnedSemaphorePermit,
) {
    let columns = RefCell::default();
    let mut head = Head { rows: Vec::new(), bytes: 0, pending: Some((reply, turn)) };
    let mut stream: Option<Stream> = None;
    let result = connection.run(
        sql,
        parameters,
        |names| _ = columns.replace(names),
        |row| match &stream {
            Some(stream) => stream.rows.blocking_send(row).is_ok(),
            None => {
                head.push(row);
                if head.bytes > HEAD_BYTES {
                    stream = head.flow_on(columns.take());
                }
                true
            }
        },
    );
    match (stream, head.pending) {
        // A component that stopped reading is not told anything.
        (Some(stream), _) => drop(stream.outcome.send(result)),
        (None, Some((reply, _turn))) => {
            let answer = Answer { columns: columns.take(), head: head.rows, rest: None };
            drop(reply.send(result.map(|()| Read::Answer(answer))));
        }
        (None, None) => {}
    }
}

/// The first rows of an answer, and who is to have them.
struct Head {
    rows: Vec<RowResult>,
    bytes: usize,
    pending: Option<(Reply, OwnedSemaphorePermit)>,
}

/// Where the rows after the first ones go.
struct Stream {
    rows: mpsc::Sender<RowResult>,
    outcome: oneshot::Sender<Result<(), Error>>,
}

impl Head {
    fn push(&mut self, row: RowResult) {
        self.bytes += row.memory_size();
        self.rows.push(row);
    }

    /// Hands out the first rows and the promise of more. The turn to read ends here, so that a
    /// component in no hurry to take its rows holds up nobody.
    fn flow_on(&mut self, columns: Vec<String>) -> Option<Stream> {
        let (reply, _turn) = self.pending.take()?;
        let (rows, next) = mpsc::channel(ROWS_AHEAD);
        let (outcome, ended) = oneshot::channel();
        let rest = Rest { rows: next, outcome: ended, waiting: None };
        let answer = Answer { columns, head: std::mem::take(&mut self.rows), rest: Some(rest) };
        drop(reply.send(Ok(Read::Answer(answer))));
        Some(Stream { rows, outcome })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_kept_for_the_next_but_not_without_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = Arc::from(directory.path().join("test.db"));
        let readers = Readers::new(path);
        for _ in 0..2 {
            assert!(matches!(readers.read_at_once("SELECT 1", &[]), AtOnce::Answer(_)));
            assert_eq!(lock(&readers.idle).len(), 1);
        }
        let many: Vec<_> = (0..IDLE + 3).map(|_| readers.take().unwrap()).collect();
        many.into_iter().for_each(|connection| readers.give_back(connection));
        assert_eq!(lock(&readers.idle).len(), IDLE);
    }

    #[tokio::test]
    async fn connections_of_long_reads_are_kept_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = Arc::from(directory.path().join("test.db"));
        let readers = Arc::new(Readers::new(path));
        assert!(readers.read("SELECT 1".to_owned(), Vec::new(), false).await.is_ok());
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert_eq!(lock(&readers.idle).len(), 1);
        assert!(readers.read_with(|it| it.execute("SELECT * FROM absent", [])).await.is_err());
        assert_eq!(lock(&readers.idle).len(), 1);
    }
}
