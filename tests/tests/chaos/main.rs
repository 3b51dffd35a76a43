//! The short part of the chaos suite: a run with a fixed seed, and a control for every guard that it relies on.
//!
//! `cargo xtask chaos` is the long part. The components here are built with faults to be had
//! (`xtask::build::with_faults`), which released ones never are.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "what goes wrong here is a test that has failed"
)]

mod guards;
mod short;
mod trial;
