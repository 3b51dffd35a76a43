//! Which trace an instance's calls to the host belong to. An instance answers several requests at once, so that
//! it is not enough to know the instance.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderMap;
use opentelemetry::{
    Context,
    propagation::TextMapPropagator as _,
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use wasmtime::component::GuestTaskId;

/// The traces of one instance. Where nothing is traced there are none, and none are kept.
#[derive(Clone, Default)]
pub(crate) struct Traces(Option<Arc<Mutex<Tasks>>>);

#[derive(Default)]
struct Tasks {
    /// Of a request, also after its answer: what it left running goes on in its trace.
    of_requests: HashMap<GuestTaskId, SpanContext>,
    /// The requests that are being answered.
    active: Vec<GuestTaskId>,
    /// Of the Redis message; an instance handles one at a time.
    of_message: Option<SpanContext>,
}

/// How many requests an instance may have had before those that were answered are forgotten.
const REMEMBERED: usize = 256;

/// A request that is being answered, until this is dropped.
pub(crate) struct Entered {
    traces: Traces,
    task: GuestTaskId,
}

impl Traces {
    /// Of a new instance.
    pub(crate) fn new() -> Self {
        Self(super::tracer().map(|_| Arc::default()))
    }

    fn lock(&self) -> Option<MutexGuard<'_, Tasks>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What the instance does in `task` from now on belongs to this trace.
    pub(crate) fn enter(&self, task: GuestTaskId, context: Option<SpanContext>) -> Option<Entered> {
        let (mut tasks, context) = (self.lock()?, context?);
        if tasks.of_requests.len() >= REMEMBERED {
            let Tasks { of_requests, active, .. } = &mut *tasks;
            of_requests.retain(|task, _| active.contains(task));
        }
        tasks.of_requests.insert(task, context);
        tasks.active.push(task);
        drop(tasks);
        Some(Entered { traces: self.clone(), task })
    }

    /// Whatever the instance does from now on belongs to this trace.
    pub(crate) fn enter_message(&self, context: Option<SpanContext>) {
        if let Some(mut tasks) = self.lock() {
            tasks.of_message = context;
        }
    }

    /// The trace of whoever called, the youngest task first.
    pub(super) fn of(&self, stack: impl IntoIterator<Item = GuestTaskId>) -> Option<SpanContext> {
        let tasks = self.lock()?;
        let mut stack = stack.into_iter();
        stack.find_map(|task| tasks.of_requests.get(&task).cloned()).or_else(|| tasks.of_message.clone())
    }

    /// The trace of all that the instance does at the moment, if it is one.
    pub(super) fn sole(&self) -> Option<SpanContext> {
        let tasks = self.lock()?;
        match *tasks.active {
            [] => tasks.of_message.clone(),
            [task] => tasks.of_requests.get(&task).cloned(),
            _ => None,
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Some(mut tasks) = self.traces.lock() {
            tasks.active.retain(|task| *task != self.task);
        }
    }
}

/// The trace that a request says it belongs to (W3C Trace Context).
pub(super) fn told(headers: &HeaderMap) -> Option<SpanContext> {
    // Two of them say nothing.
    let mut lines = headers.get_all("traceparent").iter();
    let (Some(_), None) = (lines.next(), lines.next()) else { return None };
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let told = context.span().span_context().clone();
    told.is_valid().then_some(told)
}

/// Tells whoever gets the request which trace it belongs to.
pub(super) fn tell(headers: &mut HeaderMap, context: &SpanContext) {
    headers.remove("traceparent");
    headers.remove("tracestate");
    let context = Context::new().with_remote_span_context(context.clone());
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
    if headers.get("tracestate").is_some_and(http::HeaderValue::is_empty) {
        headers.remove("tracestate");
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_is_read_from_one_header_in_the_right_form_and_told_in_it() {
        let mut headers = HeaderMap::new();
        assert!(told(&headers).is_none());
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        headers.append("tracestate", HeaderValue::from_static("a=b"));
        let context = told(&headers).unwrap();
        assert!(context.is_sampled());
        let mut others = HeaderMap::new();
        others.append("traceparent", HeaderValue::from_static("x"));
        tell(&mut others, &context);
        assert_eq!(
            (&others["traceparent"], &others["tracestate"]),
            (&headers["traceparent"], &headers["tracestate"])
        );
        headers.append("traceparent", HeaderValue::from_static(PARENT));
        assert!(told(&headers).is_none());
        for wrong in ["00-x-y-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("traceparent"),
                HeaderValue::from_static(wrong),
            )]);
            assert!(told(&headers).is_none(), "{wrong}");
        }
    }

    #[test]
    fn where_nothing_is_traced_nothing_is_kept() {
        let traces = Traces::new();
        assert!(traces.0.is_none());
        traces.enter_message(None);
        assert!(traces.sole().is_none());
    }
}
