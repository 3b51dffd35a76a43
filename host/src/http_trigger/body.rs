//! Request bodies: as long as they may be, and read to their end.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use wasmtime_wasi_http::{Error, WasiBody};

/// How long the host goes on reading what no component wants.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether a request's body turned out longer than it may be.
#[derive(Clone, Debug, Default)]
pub(super) struct TooLarge(Arc<AtomicBool>);

impl TooLarge {
    /// Whether it did.
    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A body of at most `limit` bytes. What the component leaves unread is read and thrown away
/// within the same limit: a client that is still sending would otherwise see its connection
/// reset instead of the answer.
pub(super) fn limited(body: Incoming, limit: u64) -> (WasiBody, TooLarge) {
    let too_large = TooLarge::default();
    let limited = Limited { body: Some(body), left: limit, too_large: too_large.clone() };
    (limited.boxed_unsync(), too_large)
}

struct Limited {
    body: Option<Incoming>,
    left: u64,
    too_large: TooLarge,
}

impl Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(context));
        Poll::Ready(match frame {
            None => {
                self.body = None;
                None
            }
            Some(Err(error)) => {
                self.body = None;
                Some(Err(Error::from(error)))
            }
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => {
                        self.too_large.0.store(true, Ordering::Relaxed);
                        self.body = None;
                        Some(Err(Error::HttpRequestBodySize(None)))
                    }
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Incoming::size_hint).unwrap_or_default()
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            drain(body, self.left);
        }
    }
}

/// Reads at most `limit` bytes of what is left of a body, aside.
pub(super) fn drain(mut body: Incoming, limit: u64) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, async move {
        let mut left = limit;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => break,
            }
        }
    }));
}
