//! A collector of telemetry: takes what hosts send by OTLP, and remembers it.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Span as Sent;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A span, with its ids in hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// The trace it belongs to.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of what it is part of; empty at the beginning of a trace.
    pub parent: String,
    /// What it is about.
    pub attributes: Vec<(String, String)>,
}

impl Span {
    fn read(sent: Sent) -> Self {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Self {
            trace: hex(&sent.trace_id),
            id: hex(&sent.span_id),
            parent: hex(&sent.parent_span_id),
            name: sent.name,
            attributes: read(sent.attributes),
        }
    }

    /// The value of an attribute; empty where it has none.
    #[must_use]
    pub fn attribute(&self, key: &str) -> &str {
        self.attributes.iter().find(|(name, _)| name == key).map_or("", |(_, value)| value)
    }
}

/// A record of a log.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its text.
    pub body: String,
    /// The trace it belongs to; empty where it belongs to none.
    pub trace: String,
    /// What it is about.
    pub attributes: Vec<(String, String)>,
}

/// All that was told.
#[derive(Debug, Default)]
pub struct Told {
    /// The spans, in the order in which they came.
    pub spans: Vec<Span>,
    /// The records of logs.
    pub records: Vec<Record>,
    /// The metrics by the names that Prometheus has for them.
    pub metrics: BTreeSet<String>,
    /// The attributes of metrics' points, and of whom everything comes.
    pub others: Vec<(String, String)>,
}

/// A collector at an address of its own.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    told: Arc<Mutex<Told>>,
    _runtime: Runtime,
}

impl Collector {
    /// Starts listening.
    ///
    /// # Panics
    ///
    /// If that is not possible.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let told = Arc::<Mutex<Told>>::default();
        let to = told.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let to = to.clone();
                let service = service_fn(move |request| take(to.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, told, _runtime: runtime }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to say.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was told until now.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(to: Arc<Mutex<Told>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let read = to.lock().unwrap_or_else(PoisonError::into_inner).read(&path, body);
    let mut answer = Response::new(Full::default());
    if read.is_none() {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    Ok(answer)
}

impl Told {
    fn read(&mut self, path: &str, body: Bytes) -> Option<()> {
        match path {
            "/v1/traces" => {
                for of in ExportTraceServiceRequest::decode(body).ok()?.resource_spans {
                    self.others.extend(read(of.resource.unwrap_or_default().attributes));
                    let spans = of.scope_spans.into_iter().flat_map(|scope| scope.spans);
                    self.spans.extend(spans.map(Span::read));
                }
            }
            "/v1/logs" => {
                for of in ExportLogsServiceRequest::decode(body).ok()?.resource_logs {
                    self.others.extend(read(of.resource.unwrap_or_default().attributes));
                    let records = of.scope_logs.into_iter().flat_map(|scope| scope.log_records);
                    self.records.extend(records.map(|record| Record {
                        body: record.body.map(text).unwrap_or_default(),
                        trace: data_encoding::HEXLOWER.encode(&record.trace_id),
                        attributes: read(record.attributes),
                    }));
                }
            }
            "/v1/metrics" => {
                for of in ExportMetricsServiceRequest::decode(body).ok()?.resource_metrics {
                    self.others.extend(read(of.resource.unwrap_or_default().attributes));
                    for metric in of.scope_metrics.into_iter().flat_map(|scope| scope.metrics) {
                        self.metric(metric);
                    }
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn metric(&mut self, metric: Metric) {
        let mut name = metric.name.replace('.', "_");
        match metric.unit.as_str() {
            "s" => name += "_seconds",
            "By" => name += "_bytes",
            _ => {}
        }
        match metric.data {
            Some(Data::Sum(sum)) => {
                self.others.extend(sum.data_points.into_iter().flat_map(|point| read(point.attributes)));
                self.metrics.insert(name + "_total");
            }
            Some(Data::Gauge(gauge)) => {
                self.others.extend(gauge.data_points.into_iter().flat_map(|point| read(point.attributes)));
                self.metrics.insert(name);
            }
            Some(Data::Histogram(histogram)) => {
                self.others
                    .extend(histogram.data_points.into_iter().flat_map(|point| read(point.attributes)));
                self.metrics.extend(["_bucket", "_count", "_sum"].map(|part| format!("{name}{part}")));
            }
            _ => {}
        }
    }
}

fn read(attributes: Vec<KeyValue>) -> Vec<(String, String)> {
    attributes.into_iter().map(|it| (it.key, it.value.map(text).unwrap_or_default())).collect()
}

fn text(value: AnyValue) -> String {
    match value.value {
        Some(any_value::Value::StringValue(text)) => text,
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}
