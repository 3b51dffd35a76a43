//! Servers that a system or a test starts for itself, on ports and in folders of their own, and that end with it.
//!
//! It is for `cargo xtask` and for tests; nothing that is deployed starts a server. It speaks no server's protocol: that one is
//! ready is read from what it writes down.

pub mod postgres;
mod process;

pub use postgres::PostgresServer;
pub use process::Process;

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result};

/// A port of 127.0.0.1 that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Whether nobody listens on a port of 127.0.0.1 at this moment.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
