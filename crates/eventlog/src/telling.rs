//! What workers tell the telemetry: which event was handled in which trace, and how far behind a consumer is. Of events their types
//! only, since whom they are about is nobody's business there.

use crate::envelope::Envelope;
use crate::keys;
use crate::lag::{Lag, lag_of};
use crate::redis::{LogError, Redis};
use crate::topology::Consumer;
use kernel::Timestamp;
use serde_json::json;
use telemetry::{Gauge, Span};

/// Begun when a consumer is handed events; none where nobody wants to know.
pub(crate) struct Handling(Option<Timestamp>);

impl Handling {
    pub(crate) fn begin() -> Self {
        Self(telemetry::traces().then(Timestamp::now))
    }

    pub(crate) fn end(self, consumer: &Consumer, events: &[Envelope], has_failed: bool) {
        let Some(begun) = self.0 else { return };
        let ended = Timestamp::now();
        for told in events {
            let Some(traceparent) = &told.traceparent else { continue };
            let stream = keys::stream(&told.source);
            telemetry::span(&Span {
                name: &format!("process {stream}"),
                traceparent,
                begun: begun.millis(),
                ended: ended.millis(),
                has_failed,
                attributes: &[
                    ("messaging.system", json!("redis")),
                    ("messaging.operation.type", json!("process")),
                    ("messaging.destination.name", json!(stream)),
                    ("messaging.consumer.group.name", json!(consumer.name)),
                    ("messaging.batch.message_count", json!(events.len())),
                    (
                        "cloudevents.event_type",
                        json!(format!("sugang.{}.{}", told.source, told.event.name())),
                    ),
                ],
            });
        }
    }
}

/// Tells how far behind `consumer` is.
pub(crate) async fn look(redis: &Redis, consumer: &Consumer) -> Result<(), LogError> {
    let Lag { unread, pending, dead_letters, .. } = lag_of(redis, consumer).await?;
    let now = Timestamp::now().millis();
    let told = [
        ("sugang.consumer.lag", "Events that a consumer has not read yet", unread),
        ("sugang.consumer.pending", "Events that a consumer has read and not acknowledged", pending),
        (
            "sugang.dead_letters",
            "Events that a consumer gave up on, and that wait for an operator",
            dead_letters,
        ),
    ];
    for (name, description, value) in told {
        let attributes = &[("consumer", json!(consumer.name))];
        telemetry::gauge(now, &Gauge { name, unit: "{event}", description, value, attributes });
    }
    Ok(())
}
