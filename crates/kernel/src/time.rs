//! Instants.

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The first and the last instant that RFC 3339 can write in UTC with milliseconds.
const FIRST: i64 = -62_167_219_200_000;
const LAST: i64 = 253_402_300_799_999;

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

    /// That many days of 24 hours later, or earlier.
    #[must_use]
    pub const fn plus_days(self, days: i64) -> Self {
        self.plus_minutes(days.saturating_mul(24 * 60))
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
        // An instant outside of what can be written (the years 0 to 9999) is shown at its edge.
        let millis = self.0.clamp(FIRST, LAST);
        let at = OffsetDateTime::from_unix_timestamp(millis.div_euclid(1000)).map_err(|_| fmt::Error)?;
        let ((year, month, day), (hour, minute, second)) = (at.to_calendar_date(), at.to_hms());
        let (month, millis) = (u8::from(month), millis.rem_euclid(1000));
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Why a text is not taken as an instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATimestamp {
    /// It has another form, or names a day or a time that there is not.
    #[error("must be an RFC 3339 date and time with an offset, such as `2026-11-22T09:00:00+09:00`")]
    Malformed,
    /// It is in UTC before the year 0, which RFC 3339 cannot write.
    #[error("is too early: the earliest is `0000-01-01T00:00:00Z`")]
    TooEarly,
    /// It is in UTC after the year 9999, which RFC 3339 cannot write.
    #[error("is too late: the latest is `9999-12-31T23:59:59.999Z`")]
    TooLate,
}

/// RFC 3339's `date-time`, all of it. Of fractions of a second, the milliseconds are kept; a leap second is taken for the
/// last instant before it.
impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(raw: &str) -> Result<Self, NotATimestamp> {
        // The parser takes any character between the date and the time.
        if !matches!(raw.as_bytes().get(10), Some(b'T' | b't')) {
            return Err(NotATimestamp::Malformed);
        }
        let at = OffsetDateTime::parse(raw, &Rfc3339).map_err(|_| NotATimestamp::Malformed)?;
        match at.unix_timestamp() * 1000 + i64::from(at.millisecond()) {
            ..FIRST => Err(NotATimestamp::TooEarly),
            millis @ FIRST..=LAST => Ok(Self(millis)),
            _ => Err(NotATimestamp::TooLate),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_timestamp_is_written_in_utc_with_milliseconds() {
        let instant: Timestamp = "2026-11-22T10:02:03.0045+09:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-11-22T01:02:03.004Z");
        assert_eq!(instant.plus_minutes(30).to_string(), "2026-11-22T01:32:03.004Z");
        assert_eq!(instant.plus_days(-365).to_string(), "2025-11-22T01:02:03.004Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn all_of_rfc_3339_is_taken() {
        for (raw, written) in [
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
            ("2026-11-22t09:00:00z", "2026-11-22T09:00:00.000Z"),
            ("2026-11-22T09:00:00-00:00", "2026-11-22T09:00:00.000Z"),
            ("2026-11-22T09:00:00+23:59", "2026-11-21T09:01:00.000Z"),
            ("2024-02-29T00:00:00.5-12:00", "2024-02-29T12:00:00.500Z"),
            ("1990-12-31T23:59:60Z", "1990-12-31T23:59:59.999Z"),
            ("1990-12-31T15:59:60.7-08:00", "1990-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(raw.parse::<Timestamp>().map(|at| at.to_string()), Ok(written.to_owned()), "{raw}");
        }
    }

    #[test]
    fn what_is_no_instant_is_refused() {
        for raw in [
            "",
            "tomorrow",
            "2026-11-22",
            "2026-11-22T10:02:03",
            "2026-11-22T10:02Z",
            "2026-11-22 10:02:03Z",
            "20261122T100203Z",
            "2026-11-22T10:02:03.Z",
            "2026-11-22T10:02:03,5Z",
            "2026-11-22T10:02:03+0900",
            "2026-11-22T10:02:03+24:00",
            "2026-11-22T10:02:03+09:60",
            "2026-11-22T10:02:03Z[UTC]",
            "2026-11-22T10:02:03Z ",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:60:00Z",
            "2026-11-22T10:02:60Z",
            "2026-11-22T23:59:61Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "+02026-11-22T10:02:03Z",
            "-2026-11-22T10:02:03Z",
            "２026-11-22T10:02:03Z",
        ] {
            assert_eq!(raw.parse::<Timestamp>(), Err(NotATimestamp::Malformed), "{raw:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_in_utc_is_said_to_be_too_early_or_too_late() {
        assert_eq!("9999-12-31T23:59:59-00:01".parse::<Timestamp>(), Err(NotATimestamp::TooLate));
        assert_eq!("0000-01-01T00:00:00+00:01".parse::<Timestamp>(), Err(NotATimestamp::TooEarly));
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0000-01-01T00:00:00.000Z");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same_and_sorts_as_in_time(
            a in FIRST..=LAST,
            b in FIRST..=LAST,
        ) {
            let (a, b) = (Timestamp(a), Timestamp(b));
            let (text_a, text_b) = (a.to_string(), b.to_string());
            prop_assert_eq!(text_a.parse(), Ok(a));
            prop_assert_eq!(text_a.cmp(&text_b), a.cmp(&b));
            let json = serde_json::to_string(&a).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), a);
        }
    }
}
