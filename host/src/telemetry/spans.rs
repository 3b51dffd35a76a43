//! The spans, under the names that Spin's have when they are sent. What Spin's code calls one is the attribute
//! `code.function.name`.

use std::time::{Instant, SystemTime};

use http::{HeaderMap, Method, Request, Response, StatusCode, uri::Authority};
use opentelemetry::{
    Context, KeyValue,
    metrics::Histogram,
    trace::{Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::Span;
use wasmtime::{
    AsContextMut as _,
    component::{Accessor, HasData},
};

use super::{Traces, instruments, instruments::Instruments, tracer, traces};

const CODE: &str = "code.function.name";
const METHOD: &str = "http.request.method";
const ROUTE: &str = "http.route";
const STATUS: &str = "http.response.status_code";

fn begin(parent: Option<SpanContext>, builder: SpanBuilder) -> Option<Span> {
    let parent = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    Some(tracer()?.build_with_context(builder, &parent))
}

fn builder(
    name: impl Into<std::borrow::Cow<'static, str>>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
) -> SpanBuilder {
    SpanBuilder::from_name(name).with_kind(kind).with_attributes(attributes)
}

/// By their names, so that a client cannot make up as many series as it likes.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

fn status(status: StatusCode) -> KeyValue {
    KeyValue::new(STATUS, i64::from(status.as_u16()))
}

/// A request that came over the network, from its first byte to the beginning of its answer.
pub(crate) struct Served(Option<Serving>);

struct Serving {
    begun: (SystemTime, Instant),
    method: &'static str,
    attributes: Vec<KeyValue>,
    span: Option<Span>,
}

impl Served {
    pub(crate) fn begin(asked: &Method) -> Self {
        if super::TELEMETRY.get().is_none() {
            return Self(None);
        }
        let begun = (SystemTime::now(), Instant::now());
        Self(Some(Serving { begun, method: method(asked), attributes: Vec::new(), span: None }))
    }

    /// Who answers it was found. From here on the request belongs to the trace.
    pub(crate) fn found(&mut self, route: &str, component: &str, headers: &mut HeaderMap) {
        let Some(serving) = &mut self.0 else { return };
        let route = KeyValue::new(ROUTE, route.to_owned());
        let name = format!("{} {}", serving.method, route.value);
        serving.attributes = vec![route.clone(), KeyValue::new("component_id", component.to_owned())];
        let attributes = vec![
            route,
            KeyValue::new(METHOD, serving.method),
            KeyValue::new("network.protocol.name", "http"),
            KeyValue::new(CODE, "spin_trigger_http.handle_http_request"),
        ];
        let builder = builder(name, SpanKind::Server, attributes).with_start_time(serving.begun.0);
        serving.span = begin(traces::told(headers), builder);
        if let Some(span) = &serving.span {
            traces::tell(headers, span.span_context());
        }
    }

    pub(crate) fn end<B>(self, response: &Response<B>) {
        let Some(Serving { begun, method, mut attributes, span }) = self.0 else { return };
        if let Some(mut span) = span {
            span.set_attribute(status(response.status()));
            if response.status().is_server_error() {
                span.set_status(Status::error(""));
            }
        }
        if let Some(instruments) = instruments() {
            attributes.extend([KeyValue::new(METHOD, method), status(response.status())]);
            instruments.served.record(begun.1.elapsed().as_secs_f64(), &attributes);
        }
    }
}

/// A component is handed a request; the request says so from then on. Without a trace to belong to there is no span: it is the
/// host itself that asks.
pub(crate) fn executing(application: &str, component: &str, headers: &mut HeaderMap) -> Option<Executing> {
    super::TELEMETRY.get()?;
    if let Some(instruments) = instruments() {
        instruments.handed("http", application, component);
    }
    tracer()?;
    let parent = traces::told(headers)?;
    let attributes = vec![
        KeyValue::new("component_id", component.to_owned()),
        KeyValue::new(CODE, "spin_trigger_http.execute_wasm"),
    ];
    let name = format!("execute_wasm_component {component}");
    let span = begin(Some(parent), builder(name, SpanKind::Internal, attributes))?;
    traces::tell(headers, span.span_context());
    Some(Executing(span))
}

pub(crate) struct Executing(Span);

impl Executing {
    pub(crate) fn context(&self) -> SpanContext {
        self.0.span_context().clone()
    }

    /// The component did not answer as it should. What `work` logs about it leads to the trace.
    pub(crate) fn failed<T>(mut self, work: impl FnOnce() -> T) -> T {
        self.0.set_status(Status::error(""));
        let _entered = Context::new().with_remote_span_context(self.context()).attach();
        work()
    }
}

/// What takes a while, and what the metric says of it.
struct Timed {
    begun: Instant,
    attributes: Vec<KeyValue>,
    span: Option<Span>,
}

impl Timed {
    fn begin(attributes: Vec<KeyValue>, span: Option<Span>) -> Self {
        Self { begun: Instant::now(), attributes, span }
    }

    fn end(self, has_failed: bool, metric: fn(&Instruments) -> &Histogram<f64>) {
        if let Some(mut span) = self.span
            && has_failed
        {
            span.set_status(Status::error(""));
        }
        if let Some(instruments) = instruments() {
            metric(instruments).record(self.begun.elapsed().as_secs_f64(), &self.attributes);
        }
    }
}

/// A component handles a Redis message.
pub(crate) struct Message(Option<Timed>);

impl Message {
    pub(crate) fn begin(application: &str, component: &str, channel: &str) -> Self {
        if super::TELEMETRY.get().is_none() {
            return Self(None);
        }
        if let Some(instruments) = instruments() {
            instruments.handed("redis", application, component);
        }
        let attributes = vec![
            KeyValue::new("messaging.system", "redis"),
            KeyValue::new("messaging.operation", "receive"),
            KeyValue::new("messaging.destination.name", channel.to_owned()),
            KeyValue::new("component_id", component.to_owned()),
        ];
        let mut of_span = attributes.clone();
        of_span.push(KeyValue::new(CODE, "spin_trigger_redis.handle_message"));
        let span = begin(None, builder(format!("{channel} receive"), SpanKind::Consumer, of_span));
        Self(Some(Timed::begin(attributes, span)))
    }

    pub(crate) fn context(&self) -> Option<SpanContext> {
        self.0.as_ref()?.span.as_ref().map(|span| span.span_context().clone())
    }

    /// What `work` logs about it leads to the trace.
    pub(crate) fn inside(&self, work: impl FnOnce()) {
        let context = self.context().map(|context| Context::new().with_remote_span_context(context).attach());
        work();
        drop(context);
    }

    pub(crate) fn end(self, is_handled: bool) {
        let Some(mut timed) = self.0 else { return };
        if !is_handled {
            timed.attributes.push(KeyValue::new("error.type", "failed"));
        }
        timed.end(!is_handled, |instruments| &instruments.handled);
    }
}

/// A component's request, to the world or to another component.
pub(crate) struct Outgoing(Option<Timed>);

impl Outgoing {
    /// Belongs to the trace that the component names in it, else to the one that it is in; and says so from then on.
    pub(crate) fn begin<B>(request: &mut Request<B>, of: &Traces) -> Self {
        if super::TELEMETRY.get().is_none() {
            return Self(None);
        }
        let asked = method(request.method());
        let mut attributes = vec![KeyValue::new(METHOD, asked)];
        if let Some(host) = request.uri().host() {
            attributes.push(KeyValue::new("server.address", host.to_owned()));
        }
        if let Some(port) = request.uri().authority().and_then(Authority::port_u16) {
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        let parent = tracer().and_then(|_| traces::told(request.headers()).or_else(|| of.sole()));
        let span = parent.and_then(|parent| {
            let mut of_span = attributes.clone();
            of_span.push(KeyValue::new(CODE, "spin_outbound_http.send_request"));
            begin(Some(parent), builder(asked, SpanKind::Client, of_span))
        });
        if let Some(span) = &span {
            traces::tell(request.headers_mut(), span.span_context());
        }
        Self(Some(Timed::begin(attributes, span)))
    }

    /// Its answer has begun, or there is none.
    pub(crate) fn end(mut self, answered: Option<StatusCode>) {
        match answered {
            Some(code) => self.ended(status(code), code.is_client_error() || code.is_server_error()),
            None => self.ended(KeyValue::new("error.type", "no_answer"), true),
        }
    }

    fn ended(&mut self, outcome: KeyValue, has_failed: bool) {
        let Some(mut timed) = self.0.take() else { return };
        if let Some(span) = &mut timed.span {
            span.set_attribute(outcome.clone());
        }
        timed.attributes.push(outcome);
        timed.end(has_failed, |instruments| &instruments.sent);
    }
}

/// The component did not wait for the answer.
impl Drop for Outgoing {
    fn drop(&mut self) {
        self.ended(KeyValue::new("error.type", "given_up"), true);
    }
}

/// A component's call of the host, which ends when this is dropped.
pub(crate) struct Call(Option<Span>);

impl Call {
    /// Whether it failed, as the component is told.
    pub(crate) fn end<T, E>(mut self, outcome: &Result<T, E>) {
        if let Some(span) = &mut self.0
            && outcome.is_err()
        {
            span.set_status(Status::error(""));
        }
    }

    /// In the one trace that the instance is in.
    pub(crate) fn sole(of: &Traces, name: &'static str) -> Self {
        Self(of.sole().and_then(|parent| begin(Some(parent), builder(name, SpanKind::Client, Vec::new()))))
    }
}

/// A component calls the host: in the trace of whoever called the component, if there is one.
pub(crate) fn call<T: 'static, D: HasData + ?Sized>(
    accessor: &Accessor<T, D>,
    of: impl FnOnce(D::Data<'_>) -> Traces,
    describe: impl FnOnce() -> (std::borrow::Cow<'static, str>, Vec<KeyValue>),
) -> Call {
    if tracer().is_none() {
        return Call(None);
    }
    let parent = accessor.with(|mut access| {
        let traces = of(access.get());
        let mut store = access.as_context_mut();
        let stack = store.async_call_stack().ok()?;
        traces.of(stack)
    });
    let Some(parent) = parent else { return Call(None) };
    let (name, attributes) = describe();
    Call(begin(Some(parent), builder(name, SpanKind::Client, attributes)))
}
