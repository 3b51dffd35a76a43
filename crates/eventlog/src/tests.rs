//! The event log against a real Redis and a real SQLite, natively.
//!
//! - [`native`]: what stands in for Spin.
//! - [`world`]: a Redis, a store and what can be done to them.
//! - the rest: one theme each.

mod acknowledged;
mod claims;
mod drains;
mod lost;
pub(crate) mod native;
mod relays;
mod topology;
mod trims;
mod world;
