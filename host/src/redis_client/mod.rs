//! `spin:redis@3.0.0`: what components may ask a Redis.
//!
//! Spin opens a TCP connection for every `open`. Here the whole application shares one connection
//! per address, over which commands of all instances flow side by side; a component's handle gets a
//! connection of its own only when it begins something that lives on a connection or stops it (a
//! transaction, a subscription, a blocking read): see [`session`].
//!
//! Of the interface there is `execute`, which takes any command; the functions for single commands
//! are imported by no component, and refused at start by name.

mod bindings;
mod guest;
mod link;
mod reply;
mod session;

#[cfg(test)]
pub(crate) mod tests;

pub use guest::{RedisState, add_to_linker};
pub use link::Links;
pub use session::Session;

pub(crate) use link::{CONNECTING, Link, client};
