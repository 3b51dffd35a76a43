//! How far behind the consumers of the event log are.

use super::Number;
use crate::documents::{EventLog, Lag};
use crate::format;
use crate::messages::Messages;
use kernel::Timestamp;

/// An event that waits for longer than this is late, in seconds: workers look for them every second.
const LATE: i64 = 10;

/// A line for each consumer; one that says that nothing is known where the log is away.
pub(super) fn consumers(log: Option<&EventLog>, now: Timestamp, t: Messages) -> Vec<Number> {
    let Some(log) = log else {
        return vec![Number {
            name: t.log_redis().to_owned(),
            value: t.not_known().to_owned(),
            state: "warn",
            advice: t.log_away().to_owned(),
        }];
    };
    log.consumers.iter().map(|lag| consumer(lag, now, t)).collect()
}

fn consumer(lag: &Lag, now: Timestamp, t: Messages) -> Number {
    let waiting = lag.streams.iter().filter(|stream| stream.unread + stream.pending > 0);
    let said = waiting.clone().map(|stream| {
        let events = format::number(stream.unread + stream.pending);
        t.lag_of_stream(events, &stream.source)
    });
    let oldest = waiting.clone().filter_map(|stream| stream.oldest).min();
    let seconds = oldest.map_or(0, |oldest| (now.millis() - oldest.millis()).max(0) / 1000);
    let is_late = seconds > LATE;
    let mut advice: Vec<String> = said.collect();
    if is_late {
        advice.push(t.lag_late(seconds));
    }
    let events: u64 = waiting.map(|stream| stream.unread + stream.pending).sum();
    Number {
        name: part(&lag.consumer, t).to_owned(),
        value: format::number(events),
        state: if is_late {
            "warn"
        } else if events == 0 {
            "good"
        } else {
            ""
        },
        advice: advice.join(" · "),
    }
}

/// What a context is called.
pub(super) fn part(context: &str, t: Messages) -> &str {
    match context {
        "order" => t.part_order(),
        "pay" => t.part_pay(),
        "reservation" => t.part_reservation(),
        "notification" => t.part_notification(),
        "information" => t.part_information(),
        "member" => t.part_member(),
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::StreamLag;
    use kernel::Language;

    #[test]
    fn a_consumer_is_late_when_its_oldest_event_has_waited_for_long() {
        let t = Messages(Language::En);
        let now = Timestamp::from_millis(1_795_309_323_004);
        let shown = |unread, seconds: i64| {
            let oldest = (unread > 0).then(|| now.plus_millis(-1000 * seconds));
            let streams = vec![StreamLag { source: "pay".to_owned(), unread, pending: 0, oldest }];
            let lag = Lag { consumer: "order".to_owned(), dead_letters: 0, streams };
            consumers(Some(&EventLog { consumers: vec![lag] }), now, t).pop().unwrap()
        };
        assert_eq!(
            (shown(0, 0).state, shown(0, 0).value.as_str(), shown(0, 0).advice.as_str()),
            ("good", "0", "")
        );
        assert_eq!((shown(7, 2).state, shown(7, 2).value.as_str()), ("", "7"));
        let late = shown(7, 65);
        assert_eq!(late.state, "warn");
        assert!(late.advice.contains("pay") && late.advice.contains("65"), "{}", late.advice);
        assert_eq!(consumers(None, now, t).pop().unwrap().state, "warn");
    }
}
