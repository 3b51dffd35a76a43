//! The whole system, from outside: HTTP in, HTTP out, with a real Redis, one theme per file.
//!
//! One program, so that the host is linked once; every test has a system of its own and may run beside any other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

mod access;
mod audit;
mod bad_input;
mod breaker;
mod cancel;
mod cluster;
mod contract;
mod copies;
mod functions;
mod image;
mod live;
mod manager;
mod members;
mod moved;
mod mutated;
mod operations;
mod outages;
mod password;
mod payment;
mod postgres;
mod provider;
mod refused;
mod released;
mod rendered;
mod schemathesis;
mod stopping;
mod telemetry;
mod walkthrough;
