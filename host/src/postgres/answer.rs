//! What a statement answered.
//!
//! Nearly every answer is short, and read to its end before the first row is handed out: its connection is free then.
//! A long one keeps its connection until the component has taken the last row, or has taken none for too long.

use std::{pin::Pin, time::Duration};

use futures::StreamExt as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout, timeout_at},
};
use tokio_postgres::RowStream;

use super::{
    bindings::spin::postgres::postgres::{Column, DbValue},
    connection::Running,
    error::{Error, query_failed, text},
    value,
};

/// The most that one answer, or one row of a stream, may hold in the host's memory; Spin's own limit.
const ANSWER_BYTES: usize = 128 << 20;

/// Up to this much of an answer is read before the first row is handed out, in at most this time after the first.
const HEAD_BYTES: usize = 256 << 10;
const HEAD_TIME: Duration = Duration::from_millis(10);

/// Rows read ahead of a component that takes them slowly; Spin's number. Each can be large.
const ROWS_AHEAD: usize = 4;

/// A row, as components see it.
pub(super) type Row = Vec<DbValue>;

/// What a statement answered.
pub(super) struct Answer {
    pub(super) columns: Vec<Column>,
    /// The first rows, which are nearly always all of them.
    pub(super) head: Vec<Row>,
    /// The rows after them, or how it ended.
    pub(super) rest: Rest,
}

/// What comes after the first rows of an answer.
pub(super) enum Rest {
    Ended(Result<(), Error>),
    ToCome { rows: mpsc::Receiver<Row>, outcome: oneshot::Receiver<Result<(), Error>> },
}

impl Answer {
    /// Waits for every row.
    pub(super) async fn all(self) -> Result<(Vec<Column>, Vec<Row>), Error> {
        let Self { columns, mut head, rest } = self;
        let outcome = match rest {
            Rest::Ended(outcome) => outcome,
            Rest::ToCome { mut rows, outcome } => {
                let mut bytes: usize = head.iter().map(|row| value::memory_size(row)).sum();
                while let Some(row) = rows.recv().await {
                    bytes += value::memory_size(&row);
                    if bytes > ANSWER_BYTES {
                        return Err(too_large());
                    }
                    head.push(row);
                }
                outcome.await.unwrap_or_else(|_| Err(given_up()))
            }
        };
        outcome.map(|()| (columns, head))
    }
}

/// An answer that is being read.
pub(super) struct Reading {
    columns: Vec<Column>,
    rows: Pin<Box<RowStream>>,
    /// Until the server has done with the statement.
    running: Option<Running>,
}

impl Reading {
    pub(super) fn new(columns: Vec<Column>, rows: Pin<Box<RowStream>>, running: Running) -> Self {
        Self { columns, rows, running: Some(running) }
    }

    /// Reads the first rows, and has the others come as they are taken, each in time.
    pub(super) async fn answer(mut self, patience: Duration) -> Answer {
        let columns = self.columns.clone();
        let (mut head, mut bytes) = (Vec::new(), 0);
        let mut next = self.next().await;
        let deadline = Instant::now() + HEAD_TIME;
        loop {
            let row = match next {
                Some(Ok(row)) => row,
                Some(Err(error)) => return Answer { columns, head, rest: Rest::Ended(Err(error)) },
                None => return Answer { columns, head, rest: Rest::Ended(Ok(())) },
            };
            bytes += value::memory_size(&row);
            head.push(row);
            if bytes > HEAD_BYTES {
                break;
            }
            next = match timeout_at(deadline, self.next()).await {
                Ok(next) => next,
                Err(_) => break,
            };
        }
        Answer { columns, head, rest: self.rest(patience) }
    }

    async fn next(&mut self) -> Option<Result<Row, Error>> {
        let row = match self.rows.next().await {
            Some(Ok(row)) => row,
            ended => {
                if let Some(running) = self.running.take() {
                    running.ended();
                }
                return ended.and_then(Result::err).map(|error| Err(query_failed(error)));
            }
        };
        let row = value::row(&row, &self.columns);
        Some(row.and_then(|row| match value::memory_size(&row) > ANSWER_BYTES {
            true => Err(too_large()),
            false => Ok(row),
        }))
    }

    fn rest(self, patience: Duration) -> Rest {
        let (take, rows) = mpsc::channel(ROWS_AHEAD);
        let (tell, outcome) = oneshot::channel();
        tokio::spawn(async move {
            // Who has gone away need not be told.
            let _ = tell.send(self.forward(take, patience).await);
        });
        Rest::ToCome { rows, outcome }
    }

    /// Hands on every row, until there are no more or nobody takes them.
    async fn forward(mut self, rows: mpsc::Sender<Row>, patience: Duration) -> Result<(), Error> {
        loop {
            let next = tokio::select! {
                next = self.next() => next,
                () = rows.closed() => return Ok(()),
            };
            let Some(row) = next else { return Ok(()) };
            match timeout(patience, rows.send(row?)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(given_up()),
            }
        }
    }
}

fn too_large() -> Error {
    text(format!("query result exceeds limit of {ANSWER_BYTES} bytes"))
}

/// What whoever gets to the end is told, where nobody took a row for too long.
pub(super) fn given_up() -> Error {
    text("the statement was given up: no row was taken for too long")
}
