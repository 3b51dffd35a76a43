//! `spin:sqlite@3.1.0`: SQLite databases for components, by label.
//!
//! A component's connection is a [`Session`]. Reads use one of a pool of [readers](readers), short
//! ones right where they are asked for; single writes go to the one [writer](writer) of the file,
//! which commits everything that is waiting in one transaction, so that many requests share one
//! fsync. A statement is answered only after that fsync. A transaction has a connection to itself.
//!
//! Which class a statement is of, SQLite itself says when it prepares it: see [`statement`].
//!
//! Not here, and refused by name: databases elsewhere (libSQL) or in memory, attached files,
//! temporary tables, settings of single connections, and the number of changes or the last row id.

mod answer;
mod bindings;
mod caller;
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

pub use answer::Answer;
pub use config::Databases;
pub use database::Database;
pub use guest::{SqliteState, add_to_linker};
pub use session::Session;
pub use value::{Error, RowResult, Value};

pub(crate) use connection::Connection;
pub(crate) use value::failure;
