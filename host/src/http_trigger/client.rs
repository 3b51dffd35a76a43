//! The client's end of a connection: what it does not take in time ends the connection.
//!
//! The clock runs only while there is something to send that the client does not take. So a stream
//! of events that is silent for hours is not disturbed, and a client that reads nothing holds no
//! instance for long.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};

/// A connection to a client.
pub(super) struct Client {
    stream: Arc<TcpStream>,
    /// Whether the client has said something that is not answered yet.
    heard: Arc<AtomicBool>,
    patience: Duration,
    /// When the connection ends, if the client goes on taking nothing.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl Clone for Client {
    /// The same connection, with a clock of its own.
    fn clone(&self) -> Self {
        let (stream, heard) = (self.stream.clone(), self.heard.clone());
        Self { stream, heard, patience: self.patience, deadline: None }
    }
}

impl Client {
    /// A client that may leave something to send waiting for `patience`.
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        Self { stream: Arc::new(stream), heard: Arc::default(), patience, deadline: None }
    }

    /// Whether the client has said something that is not answered yet.
    pub(super) fn is_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }

    /// Notes that the client's request is answered.
    pub(super) fn is_answered(&self) {
        self.heard.store(false, Ordering::Relaxed);
    }

    /// Says last words, if the client takes them at once.
    pub(super) fn say(&self, words: &[u8]) {
        drop(self.stream.try_write(words));
    }

    fn write(
        &mut self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        while self.stream.poll_write_ready(context)?.is_ready() {
            match write(&self.stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    self.deadline = None;
                    return Poll::Ready(written);
                }
            }
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Client {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    let count = read?;
                    self.heard.fetch_or(count > 0, Ordering::Relaxed);
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(
            rustix::net::shutdown(&*self.stream, rustix::net::Shutdown::Write).map_err(io::Error::from),
        )
    }
}
