//! How often and how long an instance is used again: Spin's flags and their syntax.

use std::{
    fmt::{self, Display},
    str::FromStr,
    time::Duration,
};

use rand::RngExt as _;

/// One value, or a range from which each new instance gets a value of its own, so that not all
/// are replaced at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<T> {
    /// Always this value.
    Value(T),
    /// From the first value up to, and without, the second.
    Between(T, T),
}

impl<T: Copy + PartialOrd + rand::distr::uniform::SampleUniform> Choice<T> {
    /// A value for one instance.
    pub fn choose(self) -> T {
        match self {
            Self::Value(value) => value,
            Self::Between(first, end) => rand::rng().random_range(first..end),
        }
    }
}

impl<T> Choice<T> {
    /// The smallest value that there may be.
    pub(crate) fn smallest(&self) -> &T {
        match self {
            Self::Value(value) | Self::Between(value, _) => value,
        }
    }
}

impl<T: FromStr<Err: Display> + PartialOrd> FromStr for Choice<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let value = |part: &str| part.parse::<T>().map_err(|error| format!("`{part}`: {error}"));
        let Some((first, end)) = text.split_once("..") else { return Ok(Self::Value(value(text)?)) };
        let (first, end) = (value(first)?, value(end)?);
        if first < end { Ok(Self::Between(first, end)) } else { Err(format!("the range `{text}` is empty")) }
    }
}

/// A length of time as Spin's flags have it: seconds, or with the suffix `s`, `ms`, `us`, `ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let number: u64 =
            digits.parse().map_err(|_| format!("`{text}` is not a time like `2s` or `500ms`"))?;
        Ok(Self(match text.strip_prefix(digits).unwrap_or_default() {
            "" | "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            "us" | "μs" => Duration::from_micros(number),
            "ns" => Duration::from_nanos(number),
            unit => return Err(format!("`{unit}` is not a unit of time; use `s`, `ms`, `us` or `ns`")),
        }))
    }
}

impl Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Choice<Span> {
    /// A length of time for one instance.
    pub fn choose_time(self) -> Duration {
        match self {
            Self::Value(Span(time)) => time,
            Self::Between(Span(first), Span(end)) => rand::rng().random_range(first..end),
        }
    }
}

/// When an instance is used again, and when it is given up.
#[derive(Clone, Copy, Debug)]
pub struct Reuse {
    /// How many requests, or Redis messages, an instance serves in its life.
    pub requests: Choice<usize>,
    /// How many requests it answers at once.
    pub concurrent: Choice<usize>,
    /// How long one request may take until its answer begins.
    pub request_timeout: Choice<Span>,
    /// How long an instance without work is kept.
    pub idle_timeout: Choice<Span>,
}

impl Default for Reuse {
    /// Spin's numbers, but for the request timeout, of which Spin has none.
    fn default() -> Self {
        Self {
            requests: Choice::Value(128),
            concurrent: Choice::Value(16),
            request_timeout: Choice::Value(Span(Duration::from_secs(30))),
            idle_timeout: Choice::Value(Span(Duration::from_secs(1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_understood() {
        assert_eq!("128".parse(), Ok(Choice::Value(128_usize)));
        assert_eq!("1..8".parse(), Ok(Choice::Between(1_usize, 8)));
        for wrong in ["", "x", "8..1", "3..3", "1..", "-1"] {
            assert!(wrong.parse::<Choice<usize>>().is_err(), "{wrong}");
        }
        let chosen = Choice::Between(3_usize, 5).choose();
        assert!((3..5).contains(&chosen));
    }

    #[test]
    fn times_are_seconds_unless_they_say_otherwise() {
        for (text, time) in [
            ("2", Duration::from_secs(2)),
            ("2s", Duration::from_secs(2)),
            ("500ms", Duration::from_millis(500)),
            ("7us", Duration::from_micros(7)),
            ("9ns", Duration::from_nanos(9)),
        ] {
            assert_eq!(text.parse(), Ok(Span(time)), "{text}");
        }
        assert!("2h".parse::<Span>().is_err() && "s".parse::<Span>().is_err());
        assert!("1..8s".parse::<Choice<Span>>().is_ok());
    }
}
