//! The event log against a real Redis and a real SQLite, natively.
//!
//! - [`native`]: what stands in for Spin.
//! - [`world`]: a Redis, and what can be done to it; [`store`]: a store that can be held up; [`recorder`]: a consumer.
//! - [`model`]: random histories in memory, in which nothing may be lost.
//! - the rest: one theme each.

mod claims;
mod dead_letters;
mod drains;
mod floors;
mod generations;
mod lost;
mod model;
pub(crate) mod native;
mod positions;
mod recorder;
mod relays;
mod store;
mod telling;
mod topology;
mod wake_ups;
mod workers;
mod world;
