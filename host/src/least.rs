//! The smallest value that a flag may have. Below it the host would start, and then serve nothing: so it says so instead,
//! and why.

use std::{fmt::Display, str::FromStr};

use crate::reuse::Choice;

/// Reads a value that is at least `least`; `why` says what comes of a smaller one.
pub(crate) fn at_least<T>(least: T, why: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr<Err: Display> + PartialOrd + Display + Clone,
{
    move |text| {
        let value: T = text.parse().map_err(|error: T::Err| error.to_string())?;
        if value < least { Err(refusal(&least, why)) } else { Ok(value) }
    }
}

/// The same for a choice: all of its values are at least `least`.
pub(crate) fn all_at_least<T>(
    least: T,
    why: &'static str,
) -> impl Fn(&str) -> Result<Choice<T>, String> + Clone
where
    T: FromStr<Err: Display> + PartialOrd + Display + Clone,
{
    move |text| {
        let choice: Choice<T> = text.parse()?;
        if *choice.smallest() < least { Err(refusal(&least, why)) } else { Ok(choice) }
    }
}

fn refusal(least: &impl Display, why: &str) -> String {
    format!("must be at least {least}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_small_is_refused_with_the_least_and_the_reason() {
        let one = at_least(1_usize, "none would be served");
        assert_eq!(one("1"), Ok(1));
        assert_eq!(one("0"), Err("must be at least 1: none would be served".to_owned()));
        assert!(one("x").is_err() && one("-1").is_err());
        let some = all_at_least(1_usize, "none would be served");
        assert_eq!(some("1..3"), Ok(Choice::Between(1, 3)));
        assert_eq!(some("0..3"), Err("must be at least 1: none would be served".to_owned()));
        assert!(some("3..1").is_err());
    }
}
