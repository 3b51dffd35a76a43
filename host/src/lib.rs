//! The embedded host: runs a Spin application (manifest version 2) on wasmtime.
//!
//! It has what the application here uses, with Spin's meaning, and refuses the rest by name when
//! it starts: other trigger types, other stores, functions that no component of the application
//! imports, any key it does not know. It deliberately has no TLS of its own, no language models and no plugins.
//!
//! What [`application`] does to an application is also the order to read this crate in: [`manifest`] (or [`image`])
//! and [`runtime_config`] are read, [`variables`] settled, every component's grants checked, its code
//! composed ([`composition`]) and compiled ([`engine`]), and then the triggers ([`http_trigger`],
//! [`redis_trigger`]) call its [`instance`]s. Only this crate knows wasmtime.

pub mod application;
pub mod cli;
pub mod component;
pub mod composition;
mod document;
pub mod engine;
pub mod http_trigger;
pub mod image;
mod in_flight;
pub mod instance;
pub mod key_value;
mod least;
mod logs;
pub mod manifest;
mod metrics;
pub mod outbound;
pub mod platform;
pub mod postgres;
pub mod redis_client;
pub mod redis_trigger;
pub mod reuse;
mod rows;
pub mod runtime_config;
pub mod sqlite;
mod stopping;
pub mod telemetry;
pub mod variables;

pub use application::{Application, Running};
