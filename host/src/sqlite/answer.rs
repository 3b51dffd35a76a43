//! What a statement answered.

use tokio::sync::{mpsc, oneshot};

use super::{
    caller::Waiting,
    value::{ANSWER_BYTES, Error, RowResult, too_large},
};

/// What a statement answered.
#[derive(Debug, Default)]
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
