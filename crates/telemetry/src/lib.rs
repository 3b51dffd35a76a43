//! What a component tells of itself where no host can know it: spans of traces that only its events name, and gauges.
//!
//! They are printed, one line each, as JSON of the OpenTelemetry Protocol (its file exporter's format), and only where the environment asks for it
//! by `OTEL_TRACES_EXPORTER=otlp/stdout` and `OTEL_METRICS_EXPORTER=otlp/stdout`. The embedded host does, and passes them on; on Spin
//! they are lines of the log, of which a collector's `otlpjson` connector makes telemetry again.
//!
//! Deliberately not told: numbers of orders, people and courses. Nothing here fails: whoever does not hear it has lost nothing else.

use serde_json::{Value, json};
use std::cell::OnceCell;
use std::io::Write as _;

/// The value of the variables that asks for lines.
const ASKED: &str = "otlp/stdout";

/// What a span or a number is about, by OpenTelemetry's names.
pub type Attributes<'a> = &'a [(&'a str, Value)];

/// What was done, from when to when (milliseconds since 1970).
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// What, without whom it was about.
    pub name: &'a str,
    /// What led to it.
    pub traceparent: &'a str,
    /// When it began.
    pub begun: i64,
    /// When it ended.
    pub ended: i64,
    /// Whether it failed.
    pub has_failed: bool,
    /// What else there is to say.
    pub attributes: Attributes<'a>,
}

/// What something is at.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// `sugang.…`
    pub name: &'static str,
    /// In OpenTelemetry's way: `{event}` for a number of events.
    pub unit: &'static str,
    /// What it says.
    pub description: &'static str,
    /// How many.
    pub value: i64,
    /// Of what.
    pub attributes: Attributes<'a>,
}

thread_local! {
    static TRACES: OnceCell<bool> = const { OnceCell::new() };
    static METRICS: OnceCell<bool> = const { OnceCell::new() };
}

fn is_asked(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| value == ASKED)
}

/// Whether anybody wants spans.
#[must_use]
pub fn traces() -> bool {
    TRACES.with(|asked| *asked.get_or_init(|| is_asked("OTEL_TRACES_EXPORTER")))
}

/// Whether anybody wants gauges.
#[must_use]
pub fn metrics() -> bool {
    METRICS.with(|asked| *asked.get_or_init(|| is_asked("OTEL_METRICS_EXPORTER")))
}

/// Tells of a span of a worker, if its trace is one that is recorded.
pub fn span(span: &Span<'_>) {
    if traces()
        && let Some(line) = span_line(span)
    {
        print(&line);
    }
}

/// Tells what something is at.
pub fn gauge(now: i64, gauge: &Gauge<'_>) {
    if metrics() {
        print(&gauge_line(now, gauge));
    }
}

/// A line is written whole: what comes in pieces would be several records of a log.
fn print(line: &Value) {
    // Whoever does not listen misses nothing.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

fn span_line(span: &Span<'_>) -> Option<Value> {
    let parts: Vec<_> = span.traceparent.split('-').collect();
    let [_, trace, parent, flags] = *parts else { return None };
    if u8::from_str_radix(flags, 16).ok()? & 1 == 0 {
        return None;
    }
    let mut id = [0; 8];
    getrandom::fill(&mut id).ok()?;
    let mut told = json!({
        "traceId": trace,
        "spanId": format!("{:016x}", u64::from_be_bytes(id).max(1)),
        "parentSpanId": parent,
        "name": span.name,
        // A consumer.
        "kind": 5,
        "startTimeUnixNano": nanoseconds(span.begun),
        "endTimeUnixNano": nanoseconds(span.ended),
        "attributes": attributes(span.attributes),
    });
    if span.has_failed
        && let Some(told) = told.as_object_mut()
    {
        told.insert("status".to_owned(), json!({ "code": 2 }));
    }
    Some(json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [told] }] }] }))
}

fn gauge_line(now: i64, gauge: &Gauge<'_>) -> Value {
    let point = json!({
        "timeUnixNano": nanoseconds(now),
        "asInt": gauge.value.to_string(),
        "attributes": attributes(gauge.attributes),
    });
    let metric = json!({
        "name": gauge.name,
        "unit": gauge.unit,
        "description": gauge.description,
        "gauge": { "dataPoints": [point] },
    });
    json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [metric] }] }] })
}

/// 64-bit numbers are texts in the JSON of protobuf.
fn nanoseconds(milliseconds: i64) -> String {
    milliseconds.saturating_mul(1_000_000).to_string()
}

fn attributes(told: Attributes<'_>) -> Vec<Value> {
    let value = |value: &Value| match value {
        Value::Number(number) => json!({ "intValue": number.to_string() }),
        Value::Bool(yes) => json!({ "boolValue": yes }),
        Value::String(text) => json!({ "stringValue": text }),
        other => json!({ "stringValue": other.to_string() }),
    };
    told.iter().map(|(key, of)| json!({ "key": key, "value": value(of) })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span<'_> = Span {
        name: "process sugang:events:pay",
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        begun: 1,
        ended: 3,
        has_failed: false,
        attributes: &[],
    };

    #[test]
    fn a_span_hangs_below_what_led_to_it() {
        let line = span_line(&SPAN).unwrap();
        let span = &line["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span["parentSpanId"], "00f067aa0ba902b7");
        assert_eq!(
            (&span["startTimeUnixNano"], &span["endTimeUnixNano"]),
            (&json!("1000000"), &json!("3000000"))
        );
        assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
        assert!(span.get("status").is_none());
        assert_ne!(
            span_line(&SPAN).unwrap()["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"],
            span["spanId"]
        );
        // How a line begins is how a host knows it, and a write of more than this comes in pieces.
        let text = line.to_string();
        assert!(text.starts_with("{\"resourceSpans\":") && text.len() < 4096);
    }

    #[test]
    fn a_trace_that_is_not_recorded_is_not_told_of() {
        for traceparent in
            ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "", "00-a-b", "00-a-b-x"]
        {
            assert!(span_line(&Span { traceparent, ..SPAN }).is_none(), "{traceparent}");
        }
    }

    #[test]
    fn a_gauge_says_what_it_counts() {
        let attributes: Attributes<'_> = &[("consumer", json!("pay"))];
        let gauge =
            Gauge { name: "sugang.consumer.lag", unit: "{event}", description: "d", value: 7, attributes };
        let line = gauge_line(2, &gauge);
        let metric = &line["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
        let point = &metric["gauge"]["dataPoints"][0];
        assert_eq!((&metric["name"], &point["asInt"]), (&json!("sugang.consumer.lag"), &json!("7")));
        assert_eq!(point["attributes"][0], json!({ "key": "consumer", "value": { "stringValue": "pay" } }));
        assert!(line.to_string().starts_with("{\"resourceMetrics\":"));
    }

    #[test]
    fn nobody_is_told_what_nobody_asked_for() {
        assert!(!traces() && !metrics());
    }
}
