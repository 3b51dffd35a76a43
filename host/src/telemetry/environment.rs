//! Which signals the environment asks for, of whom they come, and how long the collector may take.

use std::time::Duration;

use anyhow::{Result, bail};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, ResourceDetector as _, TelemetryResourceDetector},
};

/// How the name of this service is told where nobody has named it.
const SERVICE: &str = "sugang";

/// How long one request to the collector may take; the specification's number.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the environment asks for.
pub(super) struct Environment {
    pub(super) traces: bool,
    pub(super) metrics: bool,
    pub(super) logs: bool,
    /// What a variable says; empty is not set.
    timeouts: Vec<(&'static str, Duration)>,
    service: Option<String>,
}

impl Environment {
    /// What `variable` says, by OpenTelemetry's names; none where it asks for nothing.
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let set = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        // The specification wants `true`; Spin takes any word. Only the word that denies it means something else to both.
        if set("OTEL_SDK_DISABLED").is_some_and(|value| !value.eq_ignore_ascii_case("false")) {
            return Ok(None);
        }
        let endpoint = |signal: &str| {
            set("OTEL_EXPORTER_OTLP_ENDPOINT").is_some()
                || set(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")).is_some()
        };
        let mut wanted = [("TRACES", false), ("METRICS", false), ("LOGS", false)];
        let mut timeouts = Vec::new();
        for (signal, is_wanted) in &mut wanted {
            *is_wanted = endpoint(signal);
            if !*is_wanted {
                continue;
            }
            for name in
                [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()]
            {
                let Some(protocol) = set(&name) else { continue };
                if protocol != "http/protobuf" {
                    bail!(
                        "{name}: `{protocol}` is not spoken here; set it to http/protobuf (port 4318 of most collectors), or leave it out"
                    );
                }
                break;
            }
            let named = set(&format!("OTEL_EXPORTER_OTLP_{signal}_TIMEOUT"))
                .or_else(|| set("OTEL_EXPORTER_OTLP_TIMEOUT"));
            if let Some(millis) = named {
                let Ok(millis) = millis.trim().parse() else {
                    bail!("OTEL_EXPORTER_OTLP_TIMEOUT: `{millis}` is not a number of milliseconds");
                };
                timeouts.push((*signal, Duration::from_millis(millis)));
            }
        }
        let [(_, traces), (_, metrics), (_, logs)] = wanted;
        if !(traces || metrics || logs) {
            return Ok(None);
        }
        Ok(Some(Self { traces, metrics, logs, timeouts, service: set("OTEL_SERVICE_NAME") }))
    }

    /// How long one request of this signal may take.
    pub(super) fn timeout(&self, signal: &str) -> Duration {
        self.timeouts.iter().find(|(of, _)| *of == signal).map_or(TIMEOUT, |(_, timeout)| *timeout)
    }

    /// Whose telemetry it is: the name and what `OTEL_RESOURCE_ATTRIBUTES` adds.
    pub(super) fn resource(&self) -> Resource {
        let named = EnvResourceDetector::new().detect().get(&Key::new("service.name"));
        let name = self.service.clone().map(Into::into).or(named).unwrap_or_else(|| SERVICE.into());
        Resource::builder_empty()
            .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())])
            .with_attributes([
                KeyValue::new("service.name", name),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Environment>> {
        Environment::read(&|name| {
            variables.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn signals(variables: &[(&str, &str)]) -> Option<(bool, bool, bool)> {
        read(variables).unwrap().map(|it| (it.traces, it.metrics, it.logs))
    }

    #[test]
    fn nothing_is_told_unless_an_endpoint_is_named_and_nobody_has_disabled_it() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert_eq!(signals(&[]), None);
        assert_eq!(signals(&[("OTEL_SERVICE_NAME", "x"), ("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), None);
        assert_eq!(signals(&[all]), Some((true, true, true)));
        let logs = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c:4318/v1/logs");
        assert_eq!(signals(&[logs]), Some((false, false, true)));
        assert_eq!(signals(&[all, ("OTEL_SDK_DISABLED", "true")]), None);
        assert_eq!(signals(&[all, ("OTEL_SDK_DISABLED", "1")]), None);
        assert_eq!(signals(&[all, ("OTEL_SDK_DISABLED", "false")]), Some((true, true, true)));
    }

    #[test]
    fn a_protocol_that_is_not_spoken_is_refused_in_words() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        let refusal = read(&[all, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")]).err().unwrap().to_string();
        assert!(refusal.contains("`grpc`") && refusal.contains("http/protobuf"), "{refusal}");
        // What one signal says goes before what all say.
        let own = [
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ];
        assert_eq!(signals(&own), Some((true, false, false)));
    }

    #[test]
    fn the_collector_has_as_long_as_is_said() {
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        let own = ("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "250");
        let both = read(&[all, ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"), own]).unwrap().unwrap();
        assert_eq!(both.timeout("TRACES"), Duration::from_millis(1500));
        assert_eq!(both.timeout("LOGS"), Duration::from_millis(250));
        assert_eq!(read(&[all]).unwrap().unwrap().timeout("LOGS"), TIMEOUT);
        assert!(read(&[all, ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")]).is_err());
    }
}
