//! What this crate needs of the runtime around it: a connection to Redis, pauses, and work that goes on by itself. In a
//! component that is Spin's; the tests have their own, so that all the rest runs as it is, natively and against a real
//! Redis.

#[cfg(test)]
pub(crate) use crate::tests::native::{Connection, sleep, spawn};
#[cfg(not(test))]
pub(crate) use spin_sdk::{redis::Connection, time::sleep, wasip3::spawn};
