//! The host as its users meet it: applications that start or are refused, requests that are
//! answered whatever others do. What a single capability does is tested beside its code.

#![expect(clippy::panic, clippy::unwrap_used, reason = "tests")]

mod misbehaviour;
mod platform;
mod postgres;
mod refusals;
mod support;
