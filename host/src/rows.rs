//! The rows of a long answer, as a stream that a component reads.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::mpsc;
use wasmtime::{
    StoreContextMut,
    component::{Destination, Lower, StreamProducer, StreamResult, VecBuffer},
};

/// How many rows are handed over at a time.
const ROWS_AT_ONCE: usize = 64;

/// The rows of a long answer: those already read, then those that come.
pub(crate) struct Rows<Row, Held> {
    pub(crate) head: Vec<Row>,
    pub(crate) rest: mpsc::Receiver<Row>,
    /// Dropped with the stream.
    pub(crate) _held: Held,
}

impl<D, Row: Lower + Send + Sync + Unpin + 'static, Held: Send + Unpin + 'static> StreamProducer<D>
    for Rows<Row, Held>
{
    type Item = Row;
    type Buffer = VecBuffer<Row>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // Rows handed over before a real read could get lost.
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        let mut rows = std::mem::take(&mut self.head);
        if rows.is_empty() {
            let received = self.rest.poll_recv_many(context, &mut rows, ROWS_AT_ONCE);
            if received.is_pending() && finish {
                return Poll::Ready(Ok(StreamResult::Cancelled));
            }
            if ready!(received) == 0 {
                return Poll::Ready(Ok(StreamResult::Dropped));
            }
        }
        destination.set_buffer(rows.into());
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
