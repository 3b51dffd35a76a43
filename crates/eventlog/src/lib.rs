//! The event log: how what one context decided reaches the others, once it is committed.
//!
//! ```text
//!  decide ──▶ table `events` ──relay──▶ Redis stream ──take──▶ worker ──▶ acknowledge
//!             (the truth)      [relay]  sugang:events:<context>  [consume]     │
//!                                │                                             └─ fails every time ▶ dead letters
//!                                └─ publish: a wake-up, never the event itself; over HTTP where nothing subscribes
//! ```
//!
//! - [`Relay`]: appends what a context's stream does not have yet, right after a commit and on every tick.
//! - [`Worker`]: what reacts to events; [`EventLog::work`] runs it for one message.
//! - [`topology`]: who reacts to what.
//! - [`Envelope`]: one event as it travels, a CloudEvent 1.0 in structured JSON.
//! - [`lag`], [`dead_letters`]: what an operator looks at.
//!
//! Only this crate writes Redis streams (`operations` reads them, and works on dead letters). What it deliberately does not do: decide anything, or keep
//! the truth. A stream can be lost and is made again from the events.

mod consume;
mod dead_letters;
mod envelope;
mod floor;
mod id;
pub mod keys;
mod lag;
mod redis;
mod relay;
mod runtime;
mod telling;
#[cfg(test)]
mod tests;
pub mod topology;
mod turn;
mod waking;
mod worker;

pub use consume::{Drained, Unhandled};
pub use dead_letters::{
    Cause, DeadLetter, FIELDS, REPLAY, dead_letter, dead_letters, drop_dead_letter, replay_dead_letter,
};
pub use envelope::{Envelope, Malformed};
pub use id::EntryId;
pub use lag::{Lag, StreamLag, lag};
pub use redis::{LogError, ask};
pub use relay::Relay;
pub use worker::{EventLog, Worker};
