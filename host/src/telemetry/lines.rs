//! What components print: telemetry of their own, in OTLP's JSON (a line that begins as such a document does), or words for the log.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, KeyValue, Value,
    logs::{AnyValue, LogRecord as _, Logger as _},
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId,
        TraceState, Tracer as _,
    },
};
use opentelemetry_proto::tonic::{
    common::v1::{self as common, any_value},
    metrics::v1::{Metric, MetricsData, metric::Data, number_data_point},
    trace::v1::{Span, TracesData, span},
};

use super::{Traces, instruments, logger, tracer};

/// How the lines begin that are no words.
const TRACES: &str = "{\"resourceSpans\":";
const METRICS: &str = "{\"resourceMetrics\":";

/// Passes on what a component printed. Whether it was telemetry, which nobody wants to read.
pub(crate) fn component_printed(component: &str, line: &str, traces: &Traces) -> bool {
    if line.starts_with(TRACES)
        && tracer().is_some()
        && let Ok(told) = serde_json::from_str::<TracesData>(line)
    {
        let spans = told.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans);
        spans.for_each(|span| pass_on(component, span));
        return true;
    }
    if line.starts_with(METRICS)
        && instruments().is_some()
        && let Ok(told) = serde_json::from_str::<MetricsData>(line)
    {
        let metrics = told.resource_metrics.into_iter().flat_map(|it| it.scope_metrics);
        metrics.flat_map(|it| it.metrics).for_each(|metric| count(component, metric));
        return true;
    }
    log(component, line, traces);
    false
}

/// The span that a component told of, under its own parent and with its own times. Its id is ours: nothing lies below it.
fn pass_on(component: &str, told: Span) {
    let (Some(tracer), Some(parent)) = (tracer(), parent(&told)) else { return };
    let mut attributes = read(told.attributes);
    attributes.push(KeyValue::new("component_id", component.to_owned()));
    let builder = SpanBuilder {
        span_kind: Some(kind(told.kind)),
        start_time: Some(time(told.start_time_unix_nano)),
        attributes: Some(attributes),
        ..SpanBuilder::from_name(told.name)
    };
    let parent = Context::new().with_remote_span_context(parent);
    let mut span = tracer.build_with_context(builder, &parent);
    if told.status.is_some_and(|status| status.code == 2) {
        span.set_status(opentelemetry::trace::Status::error(""));
    }
    span.end_with_timestamp(time(told.end_time_unix_nano));
}

fn parent(told: &Span) -> Option<SpanContext> {
    let trace = TraceId::from_bytes(told.trace_id.as_slice().try_into().ok()?);
    let parent = SpanId::from_bytes(told.parent_span_id.as_slice().try_into().ok()?);
    // A component tells only of what is sampled.
    let context = SpanContext::new(trace, parent, TraceFlags::SAMPLED, true, TraceState::default());
    context.is_valid().then_some(context)
}

fn kind(told: i32) -> SpanKind {
    match span::SpanKind::try_from(told) {
        Ok(span::SpanKind::Server) => SpanKind::Server,
        Ok(span::SpanKind::Client) => SpanKind::Client,
        Ok(span::SpanKind::Producer) => SpanKind::Producer,
        Ok(span::SpanKind::Consumer) => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn time(nanoseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
}

fn read(told: Vec<common::KeyValue>) -> Vec<KeyValue> {
    told.into_iter().filter_map(|it| Some(KeyValue::new(it.key, value(it.value?.value?)?))).collect()
}

fn value(told: any_value::Value) -> Option<Value> {
    match told {
        any_value::Value::StringValue(text) => Some(text.into()),
        any_value::Value::BoolValue(yes) => Some(yes.into()),
        any_value::Value::IntValue(number) => Some(number.into()),
        any_value::Value::DoubleValue(number) => Some(number.into()),
        _ => None,
    }
}

/// Of metrics, components tell gauges: what they count would begin anew with every instance.
fn count(component: &str, told: Metric) {
    let (Some(instruments), Some(Data::Gauge(gauge))) = (instruments(), told.data) else { return };
    for point in gauge.data_points {
        let value = match point.value {
            Some(number_data_point::Value::AsDouble(value)) => value,
            #[expect(clippy::cast_precision_loss, reason = "what is counted here is far below 2^53")]
            Some(number_data_point::Value::AsInt(value)) => value as f64,
            None => continue,
        };
        let mut attributes = read(point.attributes);
        attributes.push(KeyValue::new("component_id", component.to_owned()));
        instruments.told(&told.name, &told.unit, &told.description, value, &attributes);
    }
}

/// A line of the log, as Spin sends it; with the trace where it is clear which.
fn log(component: &str, line: &str, traces: &Traces) {
    let Some(logger) = logger() else { return };
    let mut record = logger.create_log_record();
    record.set_timestamp(SystemTime::now());
    record.set_body(AnyValue::from(line.to_owned()));
    record.add_attribute("component_id", component.to_owned());
    if let Some(context) = traces.sole() {
        record.set_trace_context(context.trace_id(), context.span_id(), Some(context.trace_flags()));
    }
    logger.emit(record);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_otlp_are_read_and_their_parents_found() {
        let line = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","parentSpanId":"00f067aa0ba902b8","name":"process sugang:events:pay","kind":5,"startTimeUnixNano":"1000000","endTimeUnixNano":"3000000","attributes":[{"key":"messaging.batch.message_count","value":{"intValue":"2"}},{"key":"messaging.system","value":{"stringValue":"redis"}}]}]}]}]}"#;
        assert!(line.starts_with(TRACES));
        let told: TracesData = serde_json::from_str(line).unwrap();
        let span = told.resource_spans[0].scope_spans[0].spans[0].clone();
        assert_eq!(parent(&span).unwrap().span_id().to_string(), "00f067aa0ba902b8");
        assert_eq!(kind(span.kind), SpanKind::Consumer);
        assert_eq!(time(span.end_time_unix_nano), SystemTime::UNIX_EPOCH + Duration::from_millis(3));
        let attributes = read(span.attributes);
        assert_eq!(attributes[0], KeyValue::new("messaging.batch.message_count", 2));
        let line = r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"sugang.consumer.lag","unit":"{event}","description":"d","gauge":{"dataPoints":[{"timeUnixNano":"1000000","asInt":"3","attributes":[]}]}}]}]}]}"#;
        let told: MetricsData = serde_json::from_str(line).unwrap();
        let Some(Data::Gauge(gauge)) = &told.resource_metrics[0].scope_metrics[0].metrics[0].data else {
            panic!()
        };
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsInt(3)));
    }

    #[test]
    fn where_nothing_is_told_every_line_is_words() {
        assert!(!component_printed("c", "{\"resourceSpans\":[]}", &Traces::default()));
    }
}
