//! The shared kernel: the words that every context speaks.
//!
//! Value types that are parsed once at the edge and cannot be wrong afterwards, the statuses exactly as the
//! seed spells them, and the events that cross from one context to another ([`event`]).
//!
//! What is deliberately not here: decisions (each context has its own), and anything that knows Spin, HTTP or
//! SQL. The only clock is [`Timestamp::now`], for adapters to call and deciders to be given.

pub mod actor;
pub mod event;
mod money;
mod number;
mod owners;
mod page;
mod person;
mod status;
pub mod text;
mod time;
pub mod waking;

pub use actor::Actor;
pub use money::{CardNumber, Won};
pub use number::{CustomerId, EduNo, Guests, MAX_ID, OrderId, decimal};
pub use owners::Owners;
pub use page::Page;
pub use person::{Email, PersonName, Phone};
pub use status::{
    Approval, CourseStatus, Language, OrderStatus, PayStatus, ReservationStatus, Role, WantedMessages,
};
#[cfg(feature = "clock")]
pub use time::clock;
pub use time::{NotATimestamp, Timestamp};

/// Why a raw value was not taken: which field, and what is wrong with it, as a sentence that can be shown to
/// whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field, as the API spells it (`orderId`).
    pub field: &'static str,
    /// What is wrong and what would be right (`must be an integer from 1 to 9007199254740991`).
    pub problem: String,
}

impl Invalid {
    /// A refusal of `field`.
    pub fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self { field, problem: problem.into() }
    }
}

/// Something that is needed cannot be used right now, for the reason given. Trying again later may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);
