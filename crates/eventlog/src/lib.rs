//! The event log: how what one context decided reaches the others, once it is committed.
//!
//! ```text
//!  decide ──▶ events table ──relay──▶ Redis stream ──drain──▶ consumer ──▶ acknowledge
//!             (the outbox)   [outbox]  sugang:events:<context>  [consume]      │
//!                                │                                            └─ fails every time ▶ dead letters
//!                                └─ publish: a wake-up, never the event itself
//! ```
//!
//! - [`EVENTS_TABLE`]: the append-only table that each context's store has.
//! - [`Outbox`]: appends what is not yet sent to the context's stream, right after a commit and on every tick; where the
//!   stream has lost what was sent before, that too.
//! - [`drain`]: reads a consumer's streams through its group until they are empty.
//! - [`Envelope`]: one event as it travels, a CloudEvent 1.0 in structured JSON.
//!
//! This is the only crate that knows Redis streams. What it deliberately does not do: decide anything, or keep
//! the truth. The truth is the events table; a stream can be lost and made again from it.

mod acknowledged;
mod consume;
mod envelope;
mod keys;
mod outbox;
mod position;
mod redis;
mod relay_lock;
mod reply;
mod runtime;
mod table;
#[cfg(test)]
mod tests;

pub use consume::{Consumer, Drained, Unhandled, drain};
pub use envelope::{Envelope, Malformed};
pub use keys::Wake;
pub use outbox::Outbox;
pub use redis::LogError;
pub use table::EVENTS_TABLE;
