//! Instances that answer HTTP requests: one is used for many, several at once, until it is
//! worn out, idle or broken.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use opentelemetry::trace::SpanContext;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use wasmtime::{Store, StoreContextMut, component::GuestTaskId};
use wasmtime_wasi_http::{
    WasiHttpView as _,
    handler::{HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus},
    p3::bindings::ServicePre,
};

use crate::{
    component::{CalledBy, LoadedComponent},
    engine::BusyTime,
    instance::InstanceState,
    reuse::Reuse,
};

/// Makes the instances of one component.
pub(super) struct Instances {
    pub(super) component: Arc<LoadedComponent>,
    pub(super) service: ServicePre<InstanceState>,
    pub(super) reuse: Reuse,
    pub(super) stop: CancellationToken,
}

impl HandlerState for Instances {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let mut store = self.component.store(CalledBy::Http).map_err(wasmtime::Error::from_anyhow)?;
        let service = self.service.instantiate_async(&mut store).await?;
        let overdue = Arc::new(AtomicBool::new(false));
        let request_timeout = self.reuse.request_timeout.choose_time();
        let expiration = Expiration {
            request_timeout,
            idle_timeout: self.reuse.idle_timeout.choose_time(),
            overdue: overdue.clone(),
            busy: store.data().busy.clone(),
            alarm: Box::pin(tokio::time::sleep(Duration::ZERO)),
        };
        let state = Worker {
            request_timeout,
            max_requests: self.reuse.requests.choose(),
            max_concurrent: self.reuse.concurrent.choose(),
            overdue,
            stop: self.stop.clone(),
        };
        Ok(Instance { store, proxy: Proxy::P3(service), view: InstanceState::http, expiration, state })
    }
}

/// Decides when an instance has to go.
pub(super) struct Expiration {
    request_timeout: Duration,
    idle_timeout: Duration,
    /// Whether the instance has let a request run out of time.
    overdue: Arc<AtomicBool>,
    busy: BusyTime,
    alarm: Pin<Box<Sleep>>,
}

impl WorkerExpiration for Expiration {
    /// Asked each time that the instance has paused. An answer that is being streamed, or work
    /// that goes on after the answer, may take any time, unless the instance has shown that it
    /// does not come to an end.
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        self.busy.pause();
        let timeout = match status {
            WorkerStatus::Idle => self.idle_timeout,
            // The request has its own, more exact timeout; this one catches what it cannot.
            WorkerStatus::Requests => self.request_timeout + Duration::from_millis(100),
            WorkerStatus::PostReturn if self.overdue.load(Ordering::Relaxed) => self.request_timeout,
            WorkerStatus::PostReturn => return Poll::Pending,
        };
        let Some(deadline) = since.checked_add(timeout) else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(deadline);
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(context)
    }
}

/// Decides what an instance takes on.
pub(super) struct Worker {
    request_timeout: Duration,
    max_requests: usize,
    max_concurrent: usize,
    overdue: Arc<AtomicBool>,
    stop: CancellationToken,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    /// The trace that it belongs to.
    type RequestData = Option<SpanContext>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.max_requests {
            ShouldAccept::Never
        } else if concurrent >= self.max_concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, InstanceState>,
        context: Option<SpanContext>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // The instance may have slept through many ticks; that is no reason to interrupt it now.
        store.set_epoch_deadline(1);
        let entered = store.data().traces.enter(task, context);
        let overdue = self.overdue.clone();
        let timeout = tokio::time::sleep(self.request_timeout);
        Box::pin(async move {
            timeout.await;
            overdue.store(true, Ordering::Relaxed);
            drop(entered);
        })
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        let state = store.data();
        match result {
            Ok(()) => {}
            // The host ends, and its instances with it.
            Err(_) if self.stop.is_cancelled() => {}
            Err(error) if state.memory.reached() => {
                tracing::error!(
                    "component `{}` failed, having asked for more memory than it may have: {error:?}",
                    state.component
                );
            }
            Err(error) => tracing::error!("component `{}` failed: {error:?}", state.component),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_takes_on_as_many_requests_as_it_may_in_its_life_and_at_once() {
        let worker = Worker {
            request_timeout: Duration::from_secs(1),
            max_requests: 3,
            max_concurrent: 2,
            overdue: Arc::default(),
            stop: CancellationToken::new(),
        };
        let answer = |concurrent, total| worker.should_accept_request(concurrent, total);
        assert!(matches!(answer(0, 2), ShouldAccept::Yes));
        assert!(matches!(answer(1, 2), ShouldAccept::Yes));
        assert!(matches!(answer(2, 2), ShouldAccept::No));
        assert!(matches!(answer(0, 3), ShouldAccept::Never));
        assert!(matches!(answer(2, 3), ShouldAccept::Never));
    }
}
