//! Counting calls within a window of time.

use std::ops::Add;
use std::time::Duration;

/// Calls by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) failures: u64,
    pub(crate) successes: u64,
}

impl Counts {
    /// Both in one integer, so that one increment counts both and its result tells both: the failures in the
    /// lower 32 bits, the successes above them.
    pub(crate) const fn packed(self) -> i64 {
        ((self.successes << 32) | self.failures) as i64
    }

    /// The counts in a packed integer; none in a negative one, which nobody writes.
    pub(crate) const fn unpack(packed: i64) -> Self {
        let packed = if packed < 0 { 0 } else { packed as u64 };
        Self { failures: packed & 0xffff_ffff, successes: packed >> 32 }
    }

    /// The part that failed, from 0 to 1.
    pub(crate) fn ratio(self) -> f64 {
        let calls = self.failures + self.successes;
        if calls == 0 { 0.0 } else { self.failures as f64 / calls as f64 }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { failures: self.failures + other.failures, successes: self.successes + other.successes }
    }
}

/// A window that slides in steps: it is cut into buckets, and holds the present one and those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    bucket_ms: i64,
}

impl Window {
    /// Into how many buckets a window is cut. A failure reads each once; ten is a tenth of the window's
    /// length in precision.
    pub(crate) const BUCKETS: i64 = 10;

    pub(crate) fn new(length: Duration) -> Self {
        Self { bucket_ms: (crate::millis(length) / Self::BUCKETS).max(1) }
    }

    /// The bucket of an instant.
    pub(crate) const fn bucket(self, now: i64) -> i64 {
        now.div_euclid(self.bucket_ms)
    }

    /// The oldest bucket that still counts when `bucket` is the present one.
    pub(crate) const fn first(self, bucket: i64) -> i64 {
        bucket - Self::BUCKETS + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_counts_survive_being_packed_and_added() {
        let one = Counts { failures: 1, successes: 3 };
        assert_eq!(Counts::unpack(one.packed() + one.packed()), one + one);
        assert_eq!(Counts::unpack(-1), Counts::default());
    }

    #[test]
    fn no_calls_are_no_failures() {
        assert_eq!(Counts::default().ratio(), 0.0);
        assert_eq!(Counts { failures: 1, successes: 1 }.ratio(), 0.5);
    }

    #[test]
    fn a_window_is_its_present_bucket_and_the_nine_before() {
        let window = Window::new(Duration::from_secs(10));
        assert_eq!((window.bucket(999), window.bucket(1000), window.bucket(-1)), (0, 1, -1));
        assert_eq!(window.first(12), 3);
        assert_eq!(Window::new(Duration::ZERO).bucket(7), 7);
    }
}
