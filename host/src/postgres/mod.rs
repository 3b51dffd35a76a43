//! `spin:postgres@4.2.0`: PostgreSQL databases for components, by address.
//!
//! An address is [checked](address), every host of it, before anything is connected to. Connections are kept in
//! [`pools`], up to 64 per component and address as in Spin. A component's handle is a [`Session`]: it has one of
//! them until it is dropped, and only then is that [cleaned](connection) and lent to the next.
//!
//! Types are as strict as Spin's: an `int64` goes into an `int8` and nothing else ([`parameter`]), and what Spin
//! cannot read (`timestamptz`) is refused here as well ([`value`]). So what runs here runs on Spin.
//!
//! Not here: statements that are kept prepared, `COPY`, notifications, and sockets of the machine.

#![expect(clippy::result_large_err, reason = "the errors are the interface's, with all that a server says")]

mod address;
mod answer;
mod binary;
mod bindings;
mod connection;
mod error;
mod guest;
mod parameter;
mod pools;
mod session;
mod tls;
mod value;

#[cfg(test)]
mod tests;

pub use guest::{Builder, PostgresState, add_to_linker};
pub use pools::Pools;
pub use session::Session;
