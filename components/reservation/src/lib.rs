//! Being written.
pub mod domain;
mod store;
