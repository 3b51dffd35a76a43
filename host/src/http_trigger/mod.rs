//! The HTTP trigger: requests find their component by route, and are answered by its instances.

mod answer;
mod body;
mod client;
mod handler;
mod headers;
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
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use wasmtime_wasi_http::{
    WasiBody,
    handler::{ExpirationError, InstantiationError, ProxyHandler, TrapOrPanicError},
    p3::bindings::ServicePre,
};

pub use server::{ServerLimits, serve};

use self::{
    handler::Instances,
    routes::{Match, RESERVED_PREFIX, Routes},
};
use crate::{component::LoadedComponent, engine, in_flight::InFlight, outbound::http::Chain, reuse::Reuse};

/// The address a component is told for requests of other components; Spin's.
const CHAINED_CLIENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The most that is read and thrown away of a body that was announced as too long.
const DRAINED: u64 = 64 << 20;

/// How long a request waits for an instance where there are as many as there may be.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(5);

/// How many requests are let in, and how long their bodies may be.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The longest request body, in bytes.
    pub max_body: u64,
    /// How many requests may wait for the beginning of their answer at once; more wait in line.
    pub max_concurrent: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { max_body: 16 << 20, max_concurrent: 512 }
    }
}

/// The HTTP side of an application.
pub struct HttpTrigger {
    name: String,
    version: String,
    routes: Routes,
    components: HashMap<String, ProxyHandler<Instances>>,
    max_body: u64,
    admission: Semaphore,
    in_flight: InFlight,
}

impl HttpTrigger {
    /// Nothing is answered yet but the host's own paths.
    pub fn new(
        name: &str,
        version: &str,
        routes: Routes,
        limits: RequestLimits,
        in_flight: InFlight,
    ) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            routes,
            components: HashMap::new(),
            max_body: limits.max_body,
            admission: Semaphore::new(limits.max_concurrent.min(Semaphore::MAX_PERMITS)),
            in_flight,
        }
    }

    /// Lets a component answer. Refuses one that has no HTTP handler.
    pub fn add(
        &mut self,
        component: Arc<LoadedComponent>,
        reuse: Reuse,
        stop: &CancellationToken,
    ) -> Result<()> {
        let service = ServicePre::new(component.pre.clone()).map_err(anyhow::Error::from).with_context(|| {
            format!("component `{}`: an HTTP trigger names it, but it does not export `wasi:http/handler@0.3.0`", component.id)
        })?;
        let id = component.id.to_string();
        self.components
            .insert(id, ProxyHandler::new(Instances { component, service, reuse, stop: stop.clone() }));
        Ok(())
    }

    /// The routes, each with its component.
    pub fn routes(&self) -> &Routes {
        &self.routes
    }

    /// Answers a request that came over the network.
    pub async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Response<WasiBody> {
        if let Some(own) = request.uri().path().strip_prefix(RESERVED_PREFIX) {
            return self.answer_about_itself(own);
        }
        let (mut parts, body) = request.into_parts();
        let Some(uri) = routed_uri(&parts) else { return answer::problem(StatusCode::BAD_REQUEST) };
        let path = uri.path().to_owned();
        let Some(matched) = self.routes.find(&path) else { return answer::problem(StatusCode::NOT_FOUND) };
        if announced_length(&parts).is_some_and(|length| length > self.max_body) {
            body::drain(body, DRAINED);
            return answer::problem(StatusCode::PAYLOAD_TOO_LARGE);
        }
        headers::remove_connection_headers(&mut parts.headers);
        parts.uri = uri;
        let (body, too_large) = body::limited(body, self.max_body);
        let Ok(_admitted) = self.admission.acquire().await else {
            return answer::problem(StatusCode::SERVICE_UNAVAILABLE);
        };
        let _in_flight = self.in_flight.begin();
        let response = self.call(&matched, Request::from_parts(parts, body), client).await;
        if too_large.happened() { answer::problem(StatusCode::PAYLOAD_TOO_LARGE) } else { response }
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
        match answered(handler, request).await {
            Ok(response) => response,
            Err(error) => failed(matched.component, &error),
        }
    }

    fn answer_about_itself(&self, path: &str) -> Response<WasiBody> {
        match path {
            "health" => answer::text("OK"),
            "info" => answer::json(&serde_json::json!({ "name": self.name, "version": self.version })),
            _ => answer::problem(StatusCode::NOT_FOUND),
        }
    }
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

/// The whole URI that was asked for; none where the request does not clearly say which.
fn routed_uri(request: &http::request::Parts) -> Option<http::Uri> {
    let host = request.headers.get(header::HOST);
    let host = host.map(|host| http::uri::Authority::try_from(host.as_bytes())).transpose().ok()?;
    let authority = match (host, request.uri.authority()) {
        (Some(host), Some(authority)) if host != *authority => return None,
        (Some(host), _) => host,
        (None, authority) => authority?.clone(),
    };
    let path = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    http::Uri::builder().scheme("http").authority(authority).path_and_query(path).build().ok()
}

fn announced_length(request: &http::request::Parts) -> Option<u64> {
    request.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Lets an instance answer. Where there are as many instances as there may be, waits for a while
/// until others are done.
async fn answered(
    handler: &ProxyHandler<Instances>,
    mut request: Request<WasiBody>,
) -> wasmtime::Result<Response<WasiBody>> {
    let patience = Instant::now() + INSTANCE_PATIENCE;
    loop {
        let error = match handler.handle((), request).await {
            Ok(response) => return Ok(response),
            Err(error) => error.downcast::<InstantiationError<()>>()?,
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
    if let Some(error) = error.downcast_ref::<InstantiationError<()>>() {
        tracing::error!("component `{component}` could not be instantiated: {:#}", error.error);
        return answer::problem(StatusCode::SERVICE_UNAVAILABLE);
    }
    // Where the instance broke, its own end is logged, once for all the requests it had.
    if !error.is::<TrapOrPanicError>() {
        tracing::error!("component `{component}` failed: {error:#}");
    }
    answer::problem(StatusCode::INTERNAL_SERVER_ERROR)
}
