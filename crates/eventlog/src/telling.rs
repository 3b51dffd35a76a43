//! What workers tell the telemetry: which event was handled in which trace, and how far behind a consumer is. Of events their types
//! only, since whom they are about is nobody's business there.

use crate::envelope::Envelope;
use crate::keys;
use crate::redis::{LogError, Redis, as_text, odd};
use crate::topology::Consumer;
use kernel::Timestamp;
use serde_json::json;
use telemetry::{Gauge, Span};

/// Answers of the group ARGV[1] of the streams KEYS but the last: how many entries it has not read, how many it has read
/// and not acknowledged; and how many entries the last has, which are its dead letters. Redis does not always know the first;
/// then it is counted, up to a thousand.
const LOOK: &str = "local behind, pending = 0, 0
for i = 1, #KEYS - 1 do
    local groups = redis.pcall('XINFO', 'GROUPS', KEYS[i])
    if not groups.err then
        for _, group in ipairs(groups) do
            local told = {}
            for k = 1, #group, 2 do told[group[k]] = group[k + 1] end
            if told.name == ARGV[1] then
                pending = pending + told.pending
                behind = behind + (told.lag
                    or #redis.call('XRANGE', KEYS[i], '(' .. told['last-delivered-id'], '+', 'COUNT', 1000))
            end
        end
    end
end
return {tostring(behind), tostring(pending), tostring(redis.call('XLEN', KEYS[#KEYS]))}";

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

/// How many events `consumer` has not read, how many it has read and not acknowledged, and how many it gave up on.
pub(crate) async fn behind(redis: &Redis, consumer: &Consumer) -> Result<[i64; 3], LogError> {
    let keys: Vec<_> =
        consumer.sources().map(keys::stream).chain([keys::dead_letters(consumer.name)]).collect();
    let found = redis.script(LOOK, &keys, &[consumer.name]).await?;
    let numbers: Option<Vec<i64>> = found.iter().map(|number| as_text(number).parse().ok()).collect();
    numbers
        .and_then(|it| it.try_into().ok())
        .ok_or_else(|| odd("looking how far behind a consumer is", &found))
}

/// Tells how far behind `consumer` is.
pub(crate) async fn look(redis: &Redis, consumer: &Consumer) -> Result<(), LogError> {
    let [behind, pending, dead] = behind(redis, consumer).await?;
    let now = Timestamp::now().millis();
    let told = [
        ("sugang.consumer.lag", "Events that a consumer has not read yet", behind),
        ("sugang.consumer.pending", "Events that a consumer has read and not acknowledged", pending),
        ("sugang.dead_letters", "Events that a consumer gave up on, and that wait for an operator", dead),
    ];
    for (name, description, value) in told {
        let attributes = &[("consumer", json!(consumer.name))];
        telemetry::gauge(now, &Gauge { name, unit: "{event}", description, value, attributes });
    }
    Ok(())
}
