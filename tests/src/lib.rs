//! The ground the end-to-end tests stand on: a system of their own for each, driven from outside.
//!
//! - [`Ground`] is what the parts of one system share: a Redis, the tick, a state directory, free ports.
//! - [`Host`] is an embedded host on that ground, in this process or as a process of its own; there may be
//!   several, each with some of the components, which can be stopped, killed and started again.
//! - [`Sugang`] is the simple case: one ground, one host, every component.
//! - [`Api`] has a method per endpoint, and gives back [`Answer`]s.
//! - [`browser`] opens pages as people see them, and judges them.
//! - [`Cluster`] is several hosts over one PostgreSQL and one Redis, behind a balancer; [`drill`] replaces and freezes them.
//! - [`collector`] is told the telemetry of hosts, and remembers it.
//! - [`contract`] holds every answer of a host against the published `openapi.json`.
//! - [`members`] has the keys that tests know, and what is made with them.
//! - [`mutate`] makes requests up that nobody sends on purpose.
//! - [`live`] follows the status of one order; [`siege`] runs the seed's load tester.
//! - [`eventually`] waits for what happens after the answer.
//! - [`chaos`] breaks everything that can break, and holds the system to what it promised meanwhile.
//! - [`Engine`] is what the stores of a test are on; [`Postgres`] is the database where that is PostgreSQL.
//! - [`stores`] looks into the databases, for what no endpoint tells.
//!
//! It deliberately shares no type with the components: what is tested is what the public sees, bytes over HTTP.

#![allow(clippy::expect_used, clippy::panic, reason = "what goes wrong here is a test that has failed")]

mod answer;
mod api;
pub mod browser;
pub mod chaos;
pub mod cluster;
pub mod collector;
pub mod contract;
pub mod drill;
pub mod generate;
mod ground;
mod host;
pub mod live;
pub mod load;
pub mod members;
pub mod mutate;
pub mod orders;
mod postgres;
pub mod provider;
pub mod quota;
pub mod siege;
pub mod stores;
mod wait;

pub use answer::{Answer, median};
pub use api::{Api, raw};
pub use cluster::{Cluster, Shape};
pub use ground::{CONTEXTS, Ground, PASSWORD, Sugang};
pub use host::{Host, Options};
pub use postgres::Postgres;
pub use store::native::Engine;
pub use wait::{PATIENCE, eventually, until, within};
