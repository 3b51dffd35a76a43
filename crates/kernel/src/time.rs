//! Instants.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// An instant in milliseconds since 1970-01-01T00:00:00Z, written as RFC 3339 in UTC with milliseconds:
/// `2026-11-22T01:02:03.004Z`. As text it sorts as it does in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// What the clock says.
    pub fn now() -> Self {
        #[cfg(feature = "clock")]
        if let Some(set) = clock::SET.get() {
            return set;
        }
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// From milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// This much later (or earlier, if negative).
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This much later (or earlier, if negative).
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// This much later (or earlier, if negative).
    #[must_use]
    pub const fn plus_minutes(self, minutes: i64) -> Self {
        self.plus_seconds(minutes.saturating_mul(60))
    }
}

/// A clock that stands where it was put, so that half an hour takes no time in a test.
#[cfg(feature = "clock")]
pub mod clock {
    use super::Timestamp;
    use std::cell::Cell;

    thread_local! {
        pub(super) static SET: Cell<Option<Timestamp>> = const { Cell::new(None) };
    }

    /// From now on it is `at`, in this thread.
    pub fn set(at: Timestamp) {
        SET.set(Some(at));
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An instant outside of what the calendar holds (years -9999 to 9999) is shown at its edge.
        let instant = jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        });
        write!(f, "{instant:.3}")
    }
}

/// What is not RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 date and time with an offset, such as `2026-11-22T09:00:00+09:00`")]
pub struct NotATimestamp;

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(raw: &str) -> Result<Self, NotATimestamp> {
        let instant: jiff::Timestamp = raw.parse().map_err(|_| NotATimestamp)?;
        Ok(Self(instant.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = std::borrow::Cow::<str>::deserialize(deserializer)?;
        raw.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_in_utc_with_milliseconds() {
        let instant: Timestamp = "2026-11-22T10:02:03.0045+09:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-11-22T01:02:03.004Z");
        assert_eq!(instant.plus_minutes(30).to_string(), "2026-11-22T01:32:03.004Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_local_time_without_an_offset_is_refused() {
        assert!("2026-11-22T10:02:03".parse::<Timestamp>().is_err());
        assert!("tomorrow".parse::<Timestamp>().is_err());
    }
}
