//! Outgoing HTTP requests (`wasi:http/client`): to the world, to the application itself, and to
//! its other components.
//!
//! Plain HTTP goes over kept-alive connections shared by all components. A request to
//! `<component>.spin.internal` never touches the network: it is handed to the component here.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use ::http::{Request, Response, Uri, header, uri};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks, default_send_request};

use super::allowed_hosts::{AllowedHosts, SELF_HOST, chaining_target};
use crate::telemetry::{Outgoing, Traces};

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take where the component sets no limit of its own; Spin's number.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(600);

/// Calls another component of the application in place of the network.
pub trait Chain: Send + Sync {
    /// Lets `component` answer the request.
    fn call(&self, component: &str, request: Request<WasiBody>) -> BoxFuture<'static, Response<WasiBody>>;
}

/// What the outgoing requests of all components share.
pub struct OutboundHttp {
    client: Client<HttpConnector, WasiBody>,
    /// Set once the application serves HTTP; not owned, since it owns this in turn.
    application: OnceLock<(Weak<dyn Chain>, SocketAddr)>,
}

impl Default for OutboundHttp {
    /// Connections to nowhere yet.
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Self { client, application: OnceLock::new() }
    }
}

impl OutboundHttp {
    /// Says who answers for `*.spin.internal`, and at which address the application serves.
    pub fn set_application(&self, chain: Weak<dyn Chain>, address: SocketAddr) {
        // A second time changes nothing: there is one application.
        drop(self.application.set((chain, address)));
    }

    async fn send(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        if request.uri().scheme() == Some(&uri::Scheme::HTTPS) {
            let (response, connection) = default_send_request(request, options).await?;
            tokio::spawn(connection);
            return Ok(response.map(|body| body.boxed_unsync()));
        }
        let first_byte = options.and_then(|options| options.first_byte_timeout).unwrap_or(FIRST_BYTE_TIMEOUT);
        let response = tokio::time::timeout(first_byte, self.client.request(request))
            .await
            .map_err(|_| Error::ConnectionReadTimeout)?
            .map_err(|error| connection_error(&error))?;
        let pause = options.and_then(|options| options.between_bytes_timeout);
        Ok(response.map(|body| PatientBody { body, pause, waiting: None }.boxed_unsync()))
    }
}

/// One instance's outgoing requests, within what its component was granted.
pub struct InstanceHttp {
    /// What all instances share.
    pub shared: Arc<OutboundHttp>,
    /// The addresses the component was granted.
    pub allowed: Arc<AllowedHosts>,
    /// Whether other components may be called: only from a component called over HTTP.
    pub may_chain: bool,
    /// The traces of the instance.
    pub(crate) traces: Traces,
}

type Sending = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, Sending), Error>;

impl WasiHttpHooks for InstanceHttp {
    /// The client sets it, from the address it connects to.
    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        mut request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _response_consumed: Sending,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let outgoing = Outgoing::begin(&mut request, &self.traces);
        let sending = self.prepare(request).map(|destination| destination.send(self.shared.clone(), options));
        Box::new(async move {
            let answered = async { sending?.await }.await;
            outgoing.end(answered.as_ref().ok().map(Response::status));
            Ok((answered?, Box::new(async { Ok(()) }) as Sending))
        })
    }
}

/// Where an allowed request goes.
enum Destination {
    Network(Request<WasiBody>),
    Component(Arc<dyn Chain>, String, Request<WasiBody>),
}

impl Destination {
    async fn send(
        self,
        shared: Arc<OutboundHttp>,
        options: Option<RequestOptions>,
    ) -> Result<Response<WasiBody>, Error> {
        match self {
            Self::Network(request) => shared.send(request, options).await,
            Self::Component(chain, component, request) => Ok(chain.call(&component, request).await),
        }
    }
}

impl InstanceHttp {
    fn prepare(&self, mut request: Request<WasiBody>) -> Result<Destination, Error> {
        let host = request.uri().host().ok_or(Error::HttpRequestUriInvalid)?.to_owned();
        if host == SELF_HOST {
            *request.uri_mut() = self.own_address(request.uri())?;
            return Ok(Destination::Network(request));
        }
        let uri = request.uri().to_string();
        if !self.allowed.allows(&uri, "https") {
            tracing::warn!(
                "a component may not reach {}: add it to its `allowed_outbound_hosts`",
                origin(request.uri())
            );
            return Err(Error::HttpRequestDenied);
        }
        match chaining_target(&host) {
            Some(component) => self.chain(component.to_owned(), request),
            None => Ok(Destination::Network(request)),
        }
    }

    fn chain(&self, component: String, mut request: Request<WasiBody>) -> Result<Destination, Error> {
        let application = self.shared.application.get().filter(|_| self.may_chain);
        let Some(chain) = application.and_then(|(chain, _)| chain.upgrade()) else {
            tracing::warn!(
                "`{component}.spin.internal` can be reached only from a component with an HTTP trigger"
            );
            return Err(Error::DestinationNotFound);
        };
        request.headers_mut().remove(header::HOST);
        Ok(Destination::Component(chain, component, request))
    }

    fn own_address(&self, uri: &Uri) -> Result<Uri, Error> {
        if !self.allowed.allows_self() {
            tracing::warn!(
                "a component may not reach its own application: add `http://self` to its `allowed_outbound_hosts`"
            );
            return Err(Error::HttpRequestDenied);
        }
        let (_, address) = self.shared.application.get().ok_or(Error::HttpRequestUriInvalid)?;
        let path = uri.path_and_query().map_or("/", uri::PathAndQuery::as_str);
        let own =
            Uri::builder().scheme(uri::Scheme::HTTP).authority(address.to_string()).path_and_query(path);
        own.build().map_err(|_| Error::HttpRequestUriInvalid)
    }
}

/// Without user, path and query, which may be private.
fn origin(uri: &Uri) -> String {
    let port = uri.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", uri.scheme_str().unwrap_or("https"), uri.host().unwrap_or_default())
}

/// Says what went wrong in the words of `wasi:http`, so that a component can tell a refused
/// connection from one that broke.
fn connection_error(error: &hyper_util::client::legacy::Error) -> Error {
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        if current.to_string().starts_with("dns error") {
            return Error::DnsError { rcode: Some("name not resolved".to_owned()), info_code: None };
        }
        if let Some(io) = current.downcast_ref::<std::io::Error>() {
            return match io.kind() {
                std::io::ErrorKind::ConnectionRefused => Error::ConnectionRefused,
                std::io::ErrorKind::TimedOut => Error::ConnectionTimeout,
                std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                    Error::DestinationIpUnroutable
                }
                _ => Error::ConnectionTerminated,
            };
        }
        if current.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message) {
            return Error::ConnectionTerminated;
        }
        cause = current.source();
    }
    if error.is_connect() { Error::DestinationUnavailable } else { Error::HttpProtocolError }
}

/// An answer's body that gives up when the other side pauses for too long.
struct PatientBody {
    body: hyper::body::Incoming,
    pause: Option<Duration>,
    waiting: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Body for PatientBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        let Some(pause) = self.pause else { return Poll::Pending };
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::timeout,
    };

    use super::*;
    use crate::variables::Variables;

    struct Nobody;

    impl Chain for Nobody {
        fn call(&self, _: &str, _: Request<WasiBody>) -> BoxFuture<'static, Response<WasiBody>> {
            std::future::ready(Response::new(nothing())).boxed()
        }
    }

    fn nothing() -> WasiBody {
        http_body_util::Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()
    }

    /// Where a request goes, from a component that was granted `entries`.
    fn destination(entries: &[&str], may_chain: bool, uri: &str) -> String {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let allowed = AllowedHosts::parse(&entries, &Variables::default(), &["pay".to_owned()]).unwrap();
        let application: Arc<dyn Chain> = Arc::new(Nobody);
        let shared = Arc::<OutboundHttp>::default();
        shared.set_application(Arc::downgrade(&application), "127.0.0.1:4321".parse().unwrap());
        let http = InstanceHttp { shared, allowed: Arc::new(allowed), may_chain, traces: Traces::default() };
        match http.prepare(Request::get(uri).header("host", "h").body(nothing()).unwrap()) {
            Ok(Destination::Network(request)) => request.uri().to_string(),
            Ok(Destination::Component(_, id, request)) => {
                format!("{id}, {} headers", request.headers().len())
            }
            Err(error) => format!("{error:?}"),
        }
    }

    #[test]
    fn a_request_goes_only_where_its_component_may_reach() {
        let one = &["http://a.example"][..];
        assert_eq!(destination(one, true, "http://a.example/x"), "http://a.example/x");
        for uri in
            ["http://b.example/", "https://a.example/", "http://pay.spin.internal/", "http://self.alt/"]
        {
            assert_eq!(destination(one, true, uri), "HttpRequestDenied", "{uri}");
        }
        let own = &["http://pay.spin.internal", "http://self"][..];
        assert_eq!(destination(own, true, "http://self.alt/x?y"), "http://127.0.0.1:4321/x?y");
        assert_eq!(destination(own, true, "http://pay.spin.internal/pays"), "pay, 0 headers");
        assert_eq!(destination(own, false, "http://pay.spin.internal/pays"), "DestinationNotFound");
    }

    #[tokio::test]
    async fn a_server_that_keeps_silent_is_given_up_at_any_point() {
        let soon = Some(Duration::from_millis(100));
        let options = RequestOptions {
            first_byte_timeout: soon,
            between_bytes_timeout: soon,
            ..RequestOptions::default()
        };
        let http = OutboundHttp::default();
        let send = async |text: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let uri = format!("http://{}/", listener.local_addr().unwrap());
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await.unwrap();
                stream.write_all(text.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            });
            let sent = http.send(Request::get(uri).body(nothing()).unwrap(), Some(options));
            timeout(Duration::from_secs(5), sent).await.expect("it to be given up")
        };
        assert!(matches!(send("").await, Err(Error::ConnectionReadTimeout)));
        let halfway = send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await.unwrap();
        let body = timeout(Duration::from_secs(5), halfway.into_body().collect()).await;
        assert!(matches!(body.expect("it to be given up"), Err(Error::ConnectionReadTimeout)));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/", listener.local_addr().unwrap());
        drop(listener);
        let refused = http.send(Request::get(uri).body(nothing()).unwrap(), None).await;
        assert!(matches!(refused, Err(Error::ConnectionRefused)));
    }
}
