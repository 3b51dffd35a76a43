//! Every developer command of Sugang, each in the module of its name, and what the commands share:
//! the [`workspace`] (where things are, how cargo is called), the [`state`] directory, the private
//! [`redis_server`], the parts of a [`redis_url`] and of a [`postgres_url`], and the [`tick`].
//!
//! It is a library as well as a program because the end-to-end tests start the same system the
//! commands start. It deliberately knows nothing of orders or payments, and does not link the
//! embedded host: whoever types `cargo xtask` for the first time waits seconds, not minutes.

pub mod bench;
pub mod build;
pub mod chaos;
pub mod doctor;
pub mod postgres_url;
pub mod redis_server;
pub mod redis_url;
pub mod setup;
pub mod state;
pub mod test;
pub mod tick;
pub mod up;
pub mod workspace;
