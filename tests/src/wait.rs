//! Waiting for what happens after the answer: on a condition, with a deadline, never for a time alone.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take that no requirement gives a time for. Generous: on a busy machine a test should
/// be slow, not fail.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `look` gives `expected`; otherwise the test fails, showing what it gave last.
#[track_caller]
pub fn eventually<T: Debug + PartialEq<E>, E: Debug>(look: impl FnMut() -> T, expected: E) {
    within(PATIENCE, look, expected);
}

/// Waits until `look` gives `expected`, but not longer than `limit`; gives back how long that took.
#[track_caller]
pub fn within<T: Debug + PartialEq<E>, E: Debug>(
    limit: Duration,
    mut look: impl FnMut() -> T,
    expected: E,
) -> Duration {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen == expected {
            return started.elapsed();
        }
        assert!(started.elapsed() < limit, "after {limit:?} still {seen:?}, not {expected:?}");
        thread::sleep(INTERVAL);
    }
}

/// Waits until `look` gives something; otherwise the test fails, naming `what` was waited for.
#[track_caller]
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        if started.elapsed() > PATIENCE {
            panic!("waited {PATIENCE:?} in vain for {what}");
        }
        thread::sleep(INTERVAL);
    }
}
