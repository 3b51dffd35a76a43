//! What the host and its components do, told to a collector by OTLP: traces, metrics and logs.
//!
//! It is on where the environment names an endpoint, as for Spin (`OTEL_EXPORTER_OTLP_ENDPOINT`, or that of one signal), and
//! belongs to the process, as the environment does. Off, every place that could tell something loads one pointer, finds
//! nothing, and goes on. On, what is told goes into bounded queues that threads of the SDK empty; what does not fit is dropped. No
//! request ever waits for the collector.
//!
//! Names are Spin's. Deliberately not told: paths, queries, addresses of clients, bodies, parameters of SQL, keys. `docs/adr/021-telemetry.md`
//! has the reasons.

mod client;
mod environment;
mod instruments;
mod lines;
mod spans;
mod traces;

use std::{
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use opentelemetry::{logs::LoggerProvider as _, metrics::MeterProvider as _, trace::TracerProvider as _};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::{SdkLogger, SdkLoggerProvider},
    metrics::SdkMeterProvider,
    trace::{SdkTracer, SdkTracerProvider},
};

use self::{client::Client, environment::Environment, instruments::Instruments};
pub(crate) use self::{
    lines::component_printed,
    spans::{Call, Executing, Message, Outgoing, Served, call, executing},
    traces::Traces,
};

/// How long stopping waits for what is not sent yet.
pub const FLUSH_WITHIN: Duration = Duration::from_secs(2);

/// The name of the SDK's tracer, meter and logger; Spin's.
const SCOPE: &str = "spin";

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

/// What is told, and to whom.
struct Telemetry {
    tracer: Option<SdkTracer>,
    logger: Option<SdkLogger>,
    instruments: Option<Instruments>,
}

fn tracer() -> Option<&'static SdkTracer> {
    TELEMETRY.get()?.tracer.as_ref()
}

fn logger() -> Option<&'static SdkLogger> {
    TELEMETRY.get()?.logger.as_ref()
}

fn instruments() -> Option<&'static Instruments> {
    TELEMETRY.get()?.instruments.as_ref()
}

/// The environment by which components are asked to tell what only they know, as lines of OTLP's JSON on their standard output.
pub(crate) fn asked_of_components() -> impl Iterator<Item = (&'static str, &'static str)> {
    const STDOUT: &str = "otlp/stdout";
    let traces = tracer().map(|_| ("OTEL_TRACES_EXPORTER", STDOUT));
    let metrics = instruments().map(|_| ("OTEL_METRICS_EXPORTER", STDOUT));
    traces.into_iter().chain(metrics)
}

/// An instance of a component has ended, whose memories and tables came to so many bytes.
pub(crate) fn instance_ended(component: &str, memory: usize) {
    if let Some(instruments) = instruments() {
        instruments.instance_ended(component, memory);
    }
}

/// Telemetry that was started. It goes on until [`Self::end`], or the end of the process.
pub struct Started {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// Starts what the environment asks for; nothing where it asks for nothing. To be called once, before anything is served.
///
/// # Errors
///
/// A protocol that is not spoken here, or an endpoint that is none.
pub fn start() -> Result<Option<Started>> {
    let Some(environment) = Environment::read(&|name| std::env::var(name).ok())? else { return Ok(None) };
    let started = environment.start()?;
    let telemetry = Telemetry {
        tracer: started.traces.as_ref().map(|provider| provider.tracer(SCOPE)),
        logger: started.logs.as_ref().map(|provider| provider.logger(SCOPE)),
        instruments: started.metrics.as_ref().map(|provider| Instruments::new(&provider.meter(SCOPE))),
    };
    // A second time changes nothing: there is one environment.
    drop(TELEMETRY.set(telemetry));
    Ok(Some(started))
}

impl Environment {
    fn start(&self) -> Result<Started> {
        let resource = self.resource();
        let traces = self.traces.then(|| traces(self, &resource)).transpose().context("telemetry: traces")?;
        let metrics =
            self.metrics.then(|| metrics(self, &resource)).transpose().context("telemetry: metrics")?;
        let logs = self.logs.then(|| logs(self, &resource)).transpose().context("telemetry: logs")?;
        Ok(Started { traces, metrics, logs })
    }
}

fn traces(environment: &Environment, resource: &Resource) -> Result<SdkTracerProvider> {
    let client = Client::new("traces", environment.timeout("TRACES"))?;
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
    Ok(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
}

fn metrics(environment: &Environment, resource: &Resource) -> Result<SdkMeterProvider> {
    let client = Client::new("metrics", environment.timeout("METRICS"))?;
    let exporter = MetricExporter::builder().with_http().with_http_client(client).build()?;
    Ok(SdkMeterProvider::builder().with_resource(resource.clone()).with_periodic_exporter(exporter).build())
}

fn logs(environment: &Environment, resource: &Resource) -> Result<SdkLoggerProvider> {
    let client = Client::new("logs", environment.timeout("LOGS"))?;
    let exporter = LogExporter::builder().with_http().with_http_client(client).build()?;
    Ok(SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
}

impl Started {
    /// What the host logs, for the collector too.
    pub fn layer(&self) -> Option<OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>> {
        self.logs.as_ref().map(OpenTelemetryTracingBridge::new)
    }

    /// Sends what is not sent yet, and gives up after [`FLUSH_WITHIN`]: a collector that hangs holds up no stopping.
    pub fn end(self) {
        let (done, ended) = mpsc::channel();
        let mut waiting = 0_usize;
        let mut flush = |work: Box<dyn FnOnce() + Send>| {
            let done = done.clone();
            let work = move || {
                work();
                // Whoever waited may have given up.
                let _ = done.send(());
            };
            if thread::Builder::new().name("telemetry-end".to_owned()).spawn(work).is_ok() {
                waiting += 1;
            }
        };
        if let Some(traces) = self.traces {
            flush(Box::new(move || drop(traces.shutdown_with_timeout(FLUSH_WITHIN))));
        }
        if let Some(metrics) = self.metrics {
            flush(Box::new(move || drop(metrics.shutdown_with_timeout(FLUSH_WITHIN))));
        }
        if let Some(logs) = self.logs {
            flush(Box::new(move || drop(logs.shutdown_with_timeout(FLUSH_WITHIN))));
        }
        let until = std::time::Instant::now() + FLUSH_WITHIN;
        for _ in 0..waiting {
            if ended.recv_timeout(until.saturating_duration_since(std::time::Instant::now())).is_err() {
                return;
            }
        }
    }
}
