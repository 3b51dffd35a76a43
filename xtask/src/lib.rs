//! Every developer command of Sugang, each in the module of its name, and what the commands share:
//! the [`workspace`] (where things are, how cargo is called), the [`state`] directory, the private
//! [`redis_server`] and a [`registry_server`], the parts of a [`redis_url`] and of a [`postgres_url`], the [`tick`], and, where
//! there are several hosts, the [`balancer`] before them, the [`supervisor`] that starts them anew and what is [`shared`]
//! between them. What the tests drive pages with is in [`browser`], the command line in [`arguments`].
//!
//! It is a library as well as a program because the end-to-end tests start the same system the
//! commands start. It deliberately knows nothing of orders or payments, and does not link the
//! embedded host: whoever types `cargo xtask` for the first time waits seconds, not minutes.

pub mod arguments;
pub mod balancer;
pub mod bench;
pub mod browser;
pub mod build;
pub mod chaos;
pub mod doctor;
pub mod drill;
pub mod image;
pub mod postgres_url;
pub mod probe;
pub mod redis_server;
pub mod redis_url;
pub mod registry_server;
pub mod setup;
pub mod shared;
pub mod state;
pub mod supervisor;
pub mod test;
pub mod up;
pub mod workspace;

pub use tick;
