//! What this crate needs of the runtime around it: a connection to Redis, pauses, chance, and work that goes on
//! by itself. In a component that is Spin's; the tests have their own, so that all the rest runs as it is, natively
//! and against a real Redis.

#[cfg(not(test))]
pub(crate) use self::spin::{random, spawn};
#[cfg(test)]
pub(crate) use crate::tests::native::{Connection, random, sleep, spawn};
#[cfg(not(test))]
pub(crate) use spin_sdk::{redis::Connection, time::sleep};

#[cfg(not(test))]
mod spin {
    use spin_sdk::wasip3;

    /// Has `work` go on after the answer has left.
    pub(crate) fn spawn(work: impl Future<Output = ()> + 'static) {
        wasip3::spawn(work);
    }

    /// Any number, each as likely as the others.
    pub(crate) fn random() -> u64 {
        wasip3::random::random::get_random_u64()
    }
}
