//! What a message is and when it is tried again: pure, without a clock or a store.
//!
//! One event about an order makes one message, named after the event, so that seeing the event again makes
//! the same message again and the store can tell.

use crate::templates;
use kernel::event::{DelayReason, Event};
use kernel::{CustomerId, Language, OrderId, ReservationStatus, Timestamp};
use serde::Serialize;

/// How often one message is sent before it is given up.
pub(crate) const MAX_ATTEMPTS: u32 = 11;

/// The longest pause between two tries, in seconds.
pub(crate) const LONGEST_PAUSE: i64 = 300;

/// How long a message is left to who has taken it to send it, in seconds: longer than the channel may take for a batch
/// and the store to write down what came of it, so that only the dead and the frozen lose theirs.
pub(crate) const LEASE: i64 = 15;

/// What is to be told to one person about one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    /// `<context>:<subject>:<version>` of the event: `order:1113:1`.
    pub(crate) id: String,
    pub(crate) order_id: OrderId,
    /// The customer, if the order said.
    pub(crate) customer_id: Option<CustomerId>,
    pub(crate) event: &'static str,
    /// The language of the body.
    pub(crate) language: Language,
    /// Which text it is, as the channel's operator had it approved.
    pub(crate) template: String,
    /// What stands in the blanks of that text, by name.
    pub(crate) variables: Vec<(String, String)>,
    /// What the person reads.
    pub(crate) body: String,
    /// Whether it has to be sent.
    pub(crate) kind: Kind,
}

/// Whether a message has to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// It does: the customer has to know, or has to do something.
    Needed,
    /// It says that something is under way, and what comes of it is told as well.
    Progress,
}

impl Kind {
    fn of(event: &Event) -> Self {
        match event {
            Event::Ordered(_) => Self::Progress,
            Event::PaymentDelayed(delayed) if delayed.reason != DelayReason::CardMissing => Self::Progress,
            Event::Reserved(reserved) if reserved.status == ReservationStatus::ReservationRequested => {
                Self::Progress
            }
            _ => Self::Needed,
        }
    }
}

impl Message {
    /// The message about `event`, the `version`th that `context` tells about its subject; none for events
    /// that nobody is written to about. `title` is the course's, if it is known.
    pub(crate) fn about(context: &str, version: u64, event: &Event, title: Option<&str>) -> Option<Self> {
        let applicant = event.applicant()?;
        let text = templates::text_about(event, title)?;
        Some(Self {
            id: format!("{context}:{}:{version}", applicant.order_id),
            order_id: applicant.order_id,
            customer_id: applicant.customer_id,
            event: event.name(),
            language: applicant.language,
            template: text.template,
            variables: text.variables,
            body: text.body,
            kind: Kind::of(event),
        })
    }
}

/// Whom the channel is to find: the customer's number, or the order of somebody who gave none.
pub(crate) fn addressee(customer_id: Option<u64>, order_id: u64) -> String {
    customer_id.map_or_else(|| format!("order/{order_id}"), |customer| customer.to_string())
}

kernel::words!(
    /// How the delivery of a message stands.
    pub(crate) Status, "status" {
        /// To be sent, or to be sent again.
        Pending = "Pending",
        /// The channel has it.
        Sent = "Sent",
        /// Given up.
        Failed = "Failed",
        /// The customer wants to hear only what is needed, and this is not.
        Unwanted = "Unwanted",
    }
);

/// How one try to send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The channel has the message, since `at`.
    Accepted {
        /// When it took it first.
        at: Timestamp,
    },
    /// The channel may take it later.
    Busy(String),
    /// The channel will never take it.
    Refused(String),
}

/// What becomes of a message after a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sent {
        at: Timestamp,
    },
    Retry {
        /// Not before.
        due: Timestamp,
    },
    Failed,
}

/// What becomes of a message whose try number `attempts` (counted from 1) ended at `now` as `attempt` says.
pub(crate) fn judge(attempt: &Attempt, attempts: u32, now: Timestamp) -> Verdict {
    match attempt {
        Attempt::Accepted { at } => Verdict::Sent { at: *at },
        Attempt::Refused(_) => Verdict::Failed,
        Attempt::Busy(_) if attempts >= MAX_ATTEMPTS => Verdict::Failed,
        Attempt::Busy(_) => Verdict::Retry { due: now.plus_seconds(pause(attempts)) },
    }
}

/// Seconds to wait after try number `attempts`: 1, 2, 4, … 256, then 300. A channel that is down for thirteen minutes
/// is outlasted, and what is sent after a short trouble has waited about as long again as that lasted.
fn pause(attempts: u32) -> i64 {
    2_i64.saturating_pow(attempts.saturating_sub(1)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    #[test]
    fn an_event_seen_again_makes_the_same_message() {
        let event = samples::paid(Language::En);
        let message = Message::about("pay", 2, &event, None).unwrap();
        assert_eq!(message.id, "pay:1113:2");
        assert_eq!((message.event, message.language), ("Paid", Language::En));
        assert_eq!(Message::about("pay", 2, &event, None).unwrap(), message);
    }

    #[test]
    fn every_order_event_makes_one_message_and_no_course_event_any() {
        for event in samples::order_events(Language::Ko) {
            assert!(Message::about("order", 1, &event, None).is_some(), "{}", event.name());
        }
        assert_eq!(Message::about("reservation", 1, &samples::course_opened("x"), None), None);
    }

    #[test]
    fn somebody_without_a_customer_number_is_found_by_the_order() {
        assert_eq!(addressee(Some(7), 1113), "7");
        assert_eq!(addressee(None, 1113), "order/1113");
    }

    #[test]
    fn what_the_channel_has_is_sent_and_what_it_refuses_is_given_up_at_once() {
        assert_eq!(judge(&Attempt::Accepted { at: NOW }, 1, NOW), Verdict::Sent { at: NOW });
        assert_eq!(judge(&Attempt::Refused("blocked".to_owned()), 1, NOW), Verdict::Failed);
    }

    #[test]
    fn a_busy_channel_is_tried_for_thirteen_minutes_with_longer_and_longer_pauses() {
        let busy = Attempt::Busy("503".to_owned());
        let pauses: Vec<_> = (1..)
            .map_while(|attempts| match judge(&busy, attempts, NOW) {
                Verdict::Retry { due } => Some((due.millis() - NOW.millis()) / 1000),
                _ => None,
            })
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(pauses.iter().sum::<i64>() > 13 * 60);
        assert_eq!(judge(&busy, 11, NOW), Verdict::Failed);
    }
}
