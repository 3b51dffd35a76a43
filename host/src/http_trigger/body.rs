//! Request bodies: received whole before anything is worked on, and only as long as they may be.
//!
//! Spin hands a body on while it arrives. Here whoever sends slowly holds its connection and what it has
//! sent, but no instance and no place among the requests that are worked on.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};
use wasmtime_wasi_http::WasiBody;

/// How long the host goes on reading what is thrown away, and how much of it. A client that is still sending
/// would otherwise see its connection reset instead of the answer.
const DRAINED: (Duration, u64) = (Duration::from_secs(10), 64 << 20);

/// What every body may take of the host's memory; what it needs beyond this, it shares with others.
const SMALL: usize = 64 << 10;

/// How many bodies of the greatest length may be held at once.
const LARGE_BODIES: u64 = 8;

/// How much of a body has to come within the time it is given.
const PROGRESS: usize = 16 << 10;

/// Receives the bodies of requests.
pub(super) struct Bodies {
    limit: u64,
    patience: Duration,
    /// In KiB.
    memory: Arc<Semaphore>,
}

/// A body, and its part of the memory for large ones.
pub(super) struct Received {
    bytes: BytesMut,
    memory: Option<OwnedSemaphorePermit>,
}

impl Received {
    /// The body as a component gets it.
    pub(super) fn into_body(self) -> (WasiBody, Option<OwnedSemaphorePermit>) {
        (Full::from(self.bytes.freeze()).map_err(|never| match never {}).boxed_unsync(), self.memory)
    }
}

impl Bodies {
    /// Bodies of at most `limit` bytes; `patience` is how long the next 16 KiB, or the end, may take to come.
    pub(super) fn new(limit: u64, patience: Duration) -> Self {
        let memory = usize::try_from((limit >> 10).saturating_mul(LARGE_BODIES)).unwrap_or(usize::MAX);
        Self { limit, patience, memory: Arc::new(Semaphore::new(memory.clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// The whole body, or the status to answer with instead.
    pub(super) async fn receive(&self, body: Incoming) -> Result<Received, StatusCode> {
        let mut received = Received { bytes: BytesMut::new(), memory: None };
        if body.is_end_stream() {
            return Ok(received);
        }
        if body.size_hint().lower() > self.limit {
            drain(body);
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut body = body;
        let mut deadline = Instant::now() + self.patience;
        let mut due = PROGRESS;
        while let Some(frame) =
            timeout_at(deadline, body.frame()).await.map_err(|_| StatusCode::REQUEST_TIMEOUT)?
        {
            let frame = frame.map_err(|_| StatusCode::BAD_REQUEST)?;
            let Ok(data) = frame.into_data() else { continue };
            if let Err(status) = self.add(&mut received, &data) {
                drain(body);
                return Err(status);
            }
            if received.bytes.len() >= due {
                deadline = Instant::now() + self.patience;
                due = received.bytes.len() + PROGRESS;
            }
        }
        Ok(received)
    }

    fn add(&self, received: &mut Received, data: &Bytes) -> Result<(), StatusCode> {
        let length = received.bytes.len() + data.len();
        if length as u64 > self.limit {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let needed = length.saturating_sub(SMALL).div_ceil(1 << 10);
        let held = received.memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        if let Some(more) = needed.checked_sub(held).filter(|more| *more > 0) {
            let more = u32::try_from(more).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
            let more = self.memory.clone().try_acquire_many_owned(more);
            let more = more.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
            match &mut received.memory {
                Some(memory) => memory.merge(more),
                memory => *memory = Some(more),
            }
        }
        received.bytes.extend_from_slice(data);
        Ok(())
    }
}

/// Reads what is left of a body, aside.
fn drain(mut body: Incoming) {
    let (patience, mut left) = DRAINED;
    tokio::spawn(timeout(patience, async move {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => break,
            }
        }
    }));
}
