//! The HTTP trigger: requests find their component by route, and are answered by its instances.

mod admission;
mod answer;
mod body;
mod client;
mod handler;
mod headers;
mod origin;
mod readiness;
pub mod routes;
mod server;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::future::BoxFuture;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use opentelemetry::trace::SpanContext;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{
    WasiBody,
    handler::{ExpirationError, InstantiationError, ProxyHandler, TrapOrPanicError},
    p3::bindings::ServicePre,
};

pub use origin::{Origin, proxy, public_url};
pub use server::{Ends, ServerLimits, serve};

use self::{
    admission::Places,
    body::Bodies,
    handler::Instances,
    readiness::Readiness,
    routes::{LIVENESS, Match, READINESS, RESERVED_PREFIX, Routes},
};
use crate::{
    component::LoadedComponent,
    engine,
    in_flight::InFlight,
    outbound::http::Chain,
    reuse::Reuse,
    stopping::Stopping,
    telemetry::{self, Executing, Served},
};

/// The address a component is told for requests of other components; Spin's.
const CHAINED_CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// How long a request waits for an instance where there are as many as there may be.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(5);

/// How many requests are let in, and what their bodies may be.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The longest request body, in bytes.
    pub max_body: u64,
    /// How long the next 16 KiB of a body, or its end, may take to come.
    pub body_timeout: Duration,
    /// How many requests may wait for the beginning of their answer at once. One client may have as many of them as
    /// are free, so half if it is alone; more wait until others are answered.
    pub max_concurrent: usize,
    /// Where answers are cut off; nowhere by default.
    pub answers: Option<AnswerLimits>,
}

/// Where an answer is cut off.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// How long it may take, from the beginning of its request to its own end.
    pub duration: Duration,
    /// How long its body may be, in bytes.
    pub length: u64,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { max_body: 16 << 20, body_timeout: Duration::from_secs(15), max_concurrent: 512, answers: None }
    }
}

/// The HTTP side of an application.
pub struct HttpTrigger {
    name: String,
    version: String,
    routes: Routes,
    components: HashMap<String, ProxyHandler<Instances>>,
    origin: Origin,
    bodies: Bodies,
    /// For the requests that are worked on.
    places: Places,
    in_flight: InFlight,
    readiness: Readiness,
    answers: Option<AnswerLimits>,
    /// Canceled when nothing more is taken on.
    stop: CancellationToken,
}

impl HttpTrigger {
    /// Nothing is answered yet but the host's own paths.
    pub fn new(
        name: &str,
        version: &str,
        routes: Routes,
        origin: Origin,
        limits: RequestLimits,
        in_flight: InFlight,
        stopping: &Stopping,
    ) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            routes,
            components: HashMap::new(),
            origin,
            bodies: Bodies::new(limits.max_body, limits.body_timeout),
            places: Places::new(limits.max_concurrent),
            in_flight,
            readiness: Readiness::new(stopping.leaving.clone()),
            answers: limits.answers,
            stop: stopping.stop.clone(),
        }
    }

    /// Lets a component answer. Refuses one that has no HTTP handler.
    pub fn add(&mut self, component: Arc<LoadedComponent>, reuse: Reuse) -> Result<()> {
        let service = ServicePre::new(component.pre.clone()).map_err(anyhow::Error::from).with_context(|| {
            format!("component `{}`: an HTTP trigger names it, but it does not export `wasi:http/handler@0.3.0`", component.id)
        })?;
        let id = component.id.to_string();
        self.components
            .insert(id, ProxyHandler::new(Instances { component, service, reuse, stop: self.stop.clone() }));
        Ok(())
    }

    /// The routes, each with its component.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers a request that came over the network.
    pub async fn answer(&self, request: Request<Incoming>, ends: Ends) -> Response<WasiBody> {
        let mut served = Served::begin(request.method());
        let answered = self.answer_or_status(request, ends, &mut served).await;
        let response = answered.unwrap_or_else(answer::problem);
        served.end(&response);
        response
    }

    async fn answer_or_status(
        &self,
        request: Request<Incoming>,
        ends: Ends,
        served: &mut Served,
    ) -> Result<Response<WasiBody>, StatusCode> {
        let (mut parts, body) = request.into_parts();
        headers::check_transfer_coding(&parts.headers)?;
        let (client, uri) = self.origin.of(&mut parts, ends)?;
        let path = uri.path();
        if path == "*" {
            return about_the_server(&parts.method);
        }
        match path {
            LIVENESS => return Ok(answer::text("OK")),
            READINESS => return Ok(self.answer_readiness().await),
            _ => {}
        }
        if let Some(own) = path.strip_prefix(RESERVED_PREFIX) {
            return self.answer_about_itself(own);
        }
        let path = path.to_owned();
        let matched = self.routes.find(&path).ok_or(StatusCode::NOT_FOUND)?;
        headers::remove_connection_headers(&mut parts.headers);
        served.found(matched.pattern, matched.component, &mut parts.headers);
        parts.uri = uri;
        let (body, _memory) = self.bodies.receive(body).await?.into_body();
        let _place = self.places.take(client.ip()).await.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let _in_flight = self.in_flight.begin();
        let response = self.call(&matched, Request::from_parts(parts, body), client).await;
        Ok(answer::ended_by(self.stop.clone(), response))
    }

    /// Lets the matched component answer.
    async fn call(
        &self,
        matched: &Match<'_>,
        mut request: Request<WasiBody>,
        client: SocketAddr,
    ) -> Response<WasiBody> {
        let Some(handler) = self.components.get(matched.component) else {
            return answer::problem(StatusCode::NOT_FOUND);
        };
        let uri = request.uri().clone();
        headers::set_spin_headers(request.headers_mut(), &uri, matched, client);
        let executing = telemetry::executing(&self.name, matched.component, request.headers_mut());
        let context = executing.as_ref().map(Executing::context);
        let begun = Instant::now();
        match (answered(handler, request, context).await, executing) {
            (Ok(response), _) => match self.answers {
                Some(limits) => answer::cut_off(limits, begun, matched.component, response),
                None => response,
            },
            (Err(error), Some(executing)) => executing.failed(|| failed(matched.component, &error)),
            (Err(error), None) => failed(matched.component, &error),
        }
    }

    fn answer_about_itself(&self, path: &str) -> Result<Response<WasiBody>, StatusCode> {
        match path {
            "health" => Ok(answer::text("OK")),
            "info" => Ok(answer::json(&serde_json::json!({ "name": self.name, "version": self.version }))),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

/// `OPTIONS *` asks about the server as a whole, and nothing else does (RFC 9110, section 9.3.7).
fn about_the_server(method: &Method) -> Result<Response<WasiBody>, StatusCode> {
    if method != Method::OPTIONS {
        return Err(StatusCode::BAD_REQUEST);
    }
    let mut response = answer::text("");
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.headers_mut().clear();
    let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    response.headers_mut().insert(header::ALLOW, allowed);
    Ok(response)
}

/// Other components reach a component whatever its routes, as if all paths were its own.
impl Chain for Arc<HttpTrigger> {
    fn call(&self, component: &str, request: Request<WasiBody>) -> BoxFuture<'static, Response<WasiBody>> {
        let trigger = self.clone();
        let component = component.to_owned();
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            let matched = Match { component: &component, pattern: "/...", rest: &path, named: Vec::new() };
            HttpTrigger::call(&trigger, &matched, request, CHAINED_CLIENT).await
        })
    }
}

/// Lets an instance answer. Where there are as many instances as there may be, waits for a while
/// until others are done.
async fn answered(
    handler: &ProxyHandler<Instances>,
    mut request: Request<WasiBody>,
    context: Option<SpanContext>,
) -> wasmtime::Result<Response<WasiBody>> {
    let patience = Instant::now() + INSTANCE_PATIENCE;
    loop {
        let error = match handler.handle(context.clone(), request).await {
            Ok(response) => return Ok(response),
            Err(error) => error.downcast::<InstantiationError<Option<SpanContext>>>()?,
        };
        if !engine::is_full(&error.error) || Instant::now() > patience {
            return Err(error.into());
        }
        request = error.request.into_inner().unwrap_or_else(PoisonError::into_inner);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a client gets when a component did not answer. The cause stays in the log.
fn failed(component: &str, error: &wasmtime::Error) -> Response<WasiBody> {
    if error.is::<ExpirationError>() {
        tracing::error!("component `{component}` did not answer in time");
        return answer::problem(StatusCode::GATEWAY_TIMEOUT);
    }
    if let Some(error) = error.downcast_ref::<InstantiationError<Option<SpanContext>>>() {
        tracing::error!("component `{component}` could not be instantiated: {:#}", error.error);
        return answer::problem(StatusCode::SERVICE_UNAVAILABLE);
    }
    // Where the instance broke, its own end is logged, once for all the requests it had.
    if !error.is::<TrapOrPanicError>() {
        tracing::error!("component `{component}` failed: {error:#}");
    }
    answer::problem(StatusCode::INTERNAL_SERVER_ERROR)
}
