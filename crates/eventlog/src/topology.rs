//! Who reacts to what: the one table of it.
//!
//! The relay wakes by it, the workers read their streams by it, and the operator's check, the tests of `spin.toml`, the
//! model and the chaos suite hold the system to it.

use kernel::Actor;

/// A worker that reads streams, and the events it reacts to. Its consumer group has its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The context whose worker it is.
    pub name: &'static str,
    /// By source: the events that lead to something. The others are read and passed over.
    pub reacts_to: &'static [(&'static str, &'static [&'static str])],
    /// By whom.
    pub by: By,
    /// When it is woken.
    pub pace: Pace,
}

/// Whose doings a consumer reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Everybody's, and what the application does by itself.
    Everybody,
    /// Those of who is [in charge](Actor::is_in_charge) alone: what customers do neither wakes it nor leads to anything.
    InCharge,
}

/// When a consumer is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// With the append: others wait for what it decides.
    AtOnce,
    /// A moment later, and only if it has not read on its own by then: it follows what others decide, and what belongs
    /// together reaches it together.
    Gathered,
}

/// All consumers.
pub const CONSUMERS: [Consumer; 6] = [
    Consumer {
        name: "order",
        reacts_to: &[
            ("pay", &["Paid", "PaymentDeclined", "PaymentCanceled"]),
            (
                "reservation",
                &[
                    "ReservationRejected",
                    "CourseOpened",
                    "CourseChanged",
                    "CourseStarted",
                    "CourseFinished",
                    "CourseCanceled",
                ],
            ),
        ],
        by: By::Everybody,
        pace: Pace::AtOnce,
    },
    Consumer {
        name: "pay",
        reacts_to: &[("reservation", &["ReservationCanceled", "ReservationRejected"])],
        by: By::Everybody,
        pace: Pace::AtOnce,
    },
    Consumer {
        name: "reservation",
        reacts_to: &[
            ("order", &["OrderCanceled"]),
            ("pay", &["Paid"]),
            ("reservation", &["CourseStarted", "CourseFinished", "CourseCanceled"]),
        ],
        by: By::Everybody,
        pace: Pace::AtOnce,
    },
    Consumer {
        name: "notification",
        reacts_to: &[
            ("order", &["Ordered", "PaymentDelayed", "OrderCanceled"]),
            ("pay", &["Paid", "PaymentDeclined", "PaymentCanceled"]),
            (
                "reservation",
                &[
                    "Reserved",
                    "ReservationConfirmed",
                    "ReservationRejected",
                    "ReservationCanceled",
                    "CourseOpened",
                    "CourseChanged",
                ],
            ),
            ("member", &["MemberRegistered", "MemberChanged", "MemberErased"]),
        ],
        by: By::Everybody,
        pace: Pace::Gathered,
    },
    Consumer {
        name: "information",
        reacts_to: &[
            ("order", &["Ordered", "PaymentDelayed", "OrderCanceled"]),
            ("pay", &["Paid", "PaymentDeclined", "PaymentCanceled"]),
            (
                "reservation",
                &[
                    "Reserved",
                    "ReservationConfirmed",
                    "ReservationRejected",
                    "ReservationCanceled",
                    "CourseOpened",
                    "CourseChanged",
                    "CourseStarted",
                    "CourseFinished",
                    "CourseCanceled",
                ],
            ),
            ("member", &["MemberRegistered", "MemberChanged", "MemberErased"]),
        ],
        by: By::Everybody,
        pace: Pace::Gathered,
    },
    // The audit trail.
    Consumer {
        name: "member",
        reacts_to: &[
            ("order", &["Ordered", "PaymentDelayed", "OrderCanceled"]),
            ("pay", &["Paid", "PaymentDeclined"]),
            (
                "reservation",
                &[
                    "ReservationConfirmed",
                    "ReservationRejected",
                    "ReservationCanceled",
                    "CourseOpened",
                    "CourseChanged",
                    "CourseStarted",
                    "CourseFinished",
                    "CourseCanceled",
                ],
            ),
        ],
        by: By::InCharge,
        pace: Pace::Gathered,
    },
];

impl Consumer {
    /// The consumer of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CONSUMERS.iter().find(|consumer| consumer.name == name)
    }

    /// The contexts whose streams it reads.
    pub fn sources(&self) -> impl Iterator<Item = &'static str> {
        self.reacts_to.iter().map(|(source, _)| *source)
    }

    /// Whether an event of `source` leads to something.
    pub fn reacts(&self, source: &str, event: &str) -> bool {
        self.reacts_to.iter().any(|(known, events)| *known == source && events.contains(&event))
    }

    /// The same for an event that this actor asked for.
    pub fn hears(&self, source: &str, event: &str, actor: Option<&Actor>) -> bool {
        (self.by == By::Everybody || actor.is_some_and(Actor::is_in_charge)) && self.reacts(source, event)
    }
}

/// The consumers that read a context's stream; it is trimmed only behind all of them.
pub fn readers_of(source: &str) -> impl Iterator<Item = &'static Consumer> {
    CONSUMERS.iter().filter(move |consumer| consumer.sources().any(|read| read == source))
}

/// The contexts that tell something.
pub fn sources() -> impl Iterator<Item = &'static str> {
    ["order", "pay", "reservation", "member"].into_iter()
}
