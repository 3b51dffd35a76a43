//! Key-value stores for components, by label: `spin:key-value@3.0.0` and `wasi:keyvalue@0.2.0-draft2`.
//!
//! A store is a SQLite file (type `spin`, in Spin's own format, so that either host can go on with
//! the other's file), a Redis (type `redis`) or, where there is no file to keep it in, the memory of
//! this process. `increment` and `swap` are atomic on each of them, across processes too.
//!
//! Not here: Spin's stores at cloud providers, which are refused at start by name.

mod config;
mod guest;
mod memory;
mod redis;
mod spin_guest;
mod sqlite;
mod store;
mod wasi_guest;

#[cfg(test)]
mod tests;

pub use config::Stores;
pub use guest::{KeyValueState, add_to_linker};
pub use store::{Error, Store};
pub use wasi_guest::Swap;
