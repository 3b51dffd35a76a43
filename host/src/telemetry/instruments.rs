//! The metrics: Spin's, latencies under OpenTelemetry's own names, the host's counters, and what components tell.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Gauge, Histogram, Meter},
};

use crate::metrics;

/// The boundaries of durations, in seconds; OpenTelemetry's for HTTP.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The boundaries of an instance's memory, in bytes: from 1 MiB to what it may have by default.
const BYTES: [f64; 8] = [
    1_048_576.0,
    2_097_152.0,
    4_194_304.0,
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
];

/// How many gauges of components there may be: they are named by the components.
const GAUGES: usize = 64;

pub(super) struct Instruments {
    meter: Meter,
    requests: Counter<u64>,
    pub(super) served: Histogram<f64>,
    pub(super) sent: Histogram<f64>,
    pub(super) handled: Histogram<f64>,
    memory: Histogram<u64>,
    gauges: Mutex<HashMap<String, Gauge<f64>>>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        for (name, help, counter) in metrics::all() {
            meter
                .u64_observable_counter(name)
                .with_description(help)
                .with_callback(|observer| observer.observe(counter.count(), &[]))
                .build();
        }
        let seconds = |name: &'static str, description: &'static str| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(SECONDS.to_vec()).build()
        };
        Self {
            requests: meter
                .u64_counter("spin.request_count")
                .with_description("Requests and messages that were handed to components")
                .build(),
            served: seconds("http.server.request.duration", "Until the beginning of an answer"),
            sent: seconds(
                "http.client.request.duration",
                "Until the beginning of the answer to a component's request",
            ),
            handled: seconds("messaging.process.duration", "What a component took for a Redis message"),
            memory: meter
                .u64_histogram("spin.component_memory_used")
                .with_unit("By")
                .with_description("Memories and tables of an instance when it ended")
                .with_boundaries(BYTES.to_vec())
                .build(),
            gauges: Mutex::default(),
            meter: meter.clone(),
        }
    }

    /// A component is handed a request or a message.
    pub(super) fn handed(&self, trigger: &'static str, application: &str, component: &str) {
        let attributes = [
            KeyValue::new("trigger_type", trigger),
            KeyValue::new("app_id", application.to_owned()),
            KeyValue::new("component_id", component.to_owned()),
        ];
        self.requests.add(1, &attributes);
    }

    pub(super) fn instance_ended(&self, component: &str, memory: usize) {
        let component = KeyValue::new("component_id", component.to_owned());
        self.memory.record(u64::try_from(memory).unwrap_or(u64::MAX), &[component]);
    }

    /// What a component says that something is at.
    pub(super) fn told(
        &self,
        name: &str,
        unit: &str,
        description: &str,
        value: f64,
        attributes: &[KeyValue],
    ) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gauge) = gauges.get(name) {
            return gauge.record(value, attributes);
        }
        if gauges.len() >= GAUGES {
            return;
        }
        let gauge = self.meter.f64_gauge(name.to_owned()).with_unit(unit.to_owned());
        let gauge = gauge.with_description(description.to_owned()).build();
        gauge.record(value, attributes);
        gauges.insert(name.to_owned(), gauge);
    }
}
