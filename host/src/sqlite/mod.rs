//! `spin:sqlite@3.1.0`: SQLite databases for components, by label.
//!
//! A component's connection is a [`Session`]. Most of what it does needs no connection of its own:
//! reads use one of a pool of [readers](readers), short ones right where they are asked for; single
//! writes go to the one [writer](writer) of the file, which commits everything that is waiting in one
//! transaction, so that many requests share one fsync. A statement is answered only after that fsync. What does need a connection of its own (a
//! transaction, a `PRAGMA`, a temporary table) gets one, and behaves as on any other SQLite.
//!
//! Which kind a statement is, SQLite itself says when it prepares it: see [`statement`].
//!
//! Not here: databases elsewhere (libSQL), which are refused at start by name.

mod config;
mod connection;
mod database;
mod guest;
mod readers;
mod session;
mod statement;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub use config::Databases;
pub use database::Database;
pub use guest::{SqliteState, add_to_linker};
pub use session::{Answer, Session};
pub use value::{Error, RowResult, Value};

pub(crate) use connection::Connection;
pub(crate) use value::failure;
