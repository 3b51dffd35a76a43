//! Secrets that change with an overlap: the first of a list makes, every one is taken.

use anyhow::bail;
use std::fmt;
use subtle::ConstantTimeEq;

/// The fewest characters of a secret: 128 bits in base64url have 22.
const LEAST: usize = 22;

/// A list of secrets, separated by commas.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// The secrets of the variable `name`; an error for one of less than 22 characters, or not of visible ASCII.
    pub fn parse(name: &str, text: &str) -> anyhow::Result<Self> {
        let secrets: Vec<_> =
            text.split(',').map(str::trim).filter(|secret| !secret.is_empty()).map(str::to_owned).collect();
        if secrets.iter().any(|secret| secret.len() < LEAST || !secret.bytes().all(|b| b.is_ascii_graphic()))
        {
            bail!(
                "the variable `{name}` must be secrets of {LEAST} or more visible ASCII characters, separated by commas"
            );
        }
        Ok(Self(secrets))
    }

    /// The one that makes.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// Every one that is taken.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether it is one of them, in a time that does not tell how much of it is right.
    pub fn include(&self, given: &str) -> bool {
        let given = given.as_bytes();
        self.0.iter().fold(false, |found, secret| found | bool::from(secret.as_bytes().ct_eq(given)))
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_secret_makes_and_every_one_is_taken() {
        let secrets = Secrets::parse("x", "new-new-new-new-new-new, old-old-old-old-old-old").unwrap();
        assert_eq!(secrets.first(), Some("new-new-new-new-new-new"));
        assert!(secrets.include("old-old-old-old-old-old"));
        assert!(!secrets.include("old-old-old-old-old-ole") && !secrets.include(""));
        assert_eq!(format!("{secrets:?}"), "2 secrets");
    }

    #[test]
    fn a_short_secret_is_refused_without_being_shown() {
        let refused = Secrets::parse("guest_keys", "geheim").unwrap_err().to_string();
        assert!(refused.contains("guest_keys") && !refused.contains("geheim"), "{refused}");
        assert!(Secrets::parse("x", "").unwrap().first().is_none());
    }
}
