//! Key-value stores for components, by label: `spin:key-value@3.0.0`, and counting by `wasi:keyvalue@0.2.0-draft2`.
//!
//! A store is a SQLite file (type `spin`, in Spin's own format, so that either host can go on with
//! the other's file) or a Redis (type `redis`). `increment` is atomic on both, across processes too.
//!
//! Not here, and refused at start by name: Spin's stores at cloud providers, a store in memory, and
//! the functions that no component imports (listing, batches, compare-and-swap).

mod bindings;
mod config;
mod error;
mod guest;
mod redis;
mod sqlite;
mod store;

#[cfg(test)]
mod tests;

pub use config::Stores;
pub use error::Error;
pub use guest::{KeyValueState, add_to_linker};
pub use store::Store;
