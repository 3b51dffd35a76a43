//! Identifiers and counts.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The largest identifier: 2^53-1, the largest integer that every JSON reader keeps exact (RFC 8259 §6).
pub const MAX_ID: u64 = (1 << 53) - 1;

/// How a number that is parsed once goes into JSON and comes out of it.
macro_rules! as_u64 {
    ($name:ident, $parse:ident) => {
        impl TryFrom<u64> for $name {
            type Error = $crate::Invalid;

            fn try_from(raw: u64) -> Result<Self, $crate::Invalid> {
                Self::$parse(raw)
            }
        }

        impl From<$name> for u64 {
            fn from(number: $name) -> u64 {
                number.get()
            }
        }
    };
}
pub(crate) use as_u64;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u64", into = "u64")]
        pub struct $name(u64);

        impl $name {
            /// From 1 to [`MAX_ID`]; anything else is refused.
            pub fn parse(raw: u64) -> Result<Self, Invalid> {
                if (1..=MAX_ID).contains(&raw) {
                    Ok(Self(raw))
                } else {
                    Err(Invalid::new($field, format!("must be an integer from 1 to {MAX_ID}")))
                }
            }

            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number as SQL stores it; never negative, since identifiers end at 2^53-1.
            pub const fn as_i64(self) -> i64 {
                self.0 as i64
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Invalid;

            fn from_str(raw: &str) -> Result<Self, Invalid> {
                let number = decimal(raw)
                    .ok_or_else(|| Invalid::new($field, format!("must be an integer from 1 to {MAX_ID}")))?;
                Self::parse(number)
            }
        }

        as_u64!($name, parse);
    };
}

identifier!(
    /// The number of an order: the correlation key in every context.
    OrderId, "orderId"
);
identifier!(
    /// The number of a customer.
    CustomerId, "customerId"
);
identifier!(
    /// The number of a course.
    EduNo, "eduNo"
);

/// The number that decimal digits are, and nothing but digits: `u64::from_str` would also take a leading `+`.
pub fn decimal(raw: &str) -> Option<u64> {
    raw.bytes().all(|b| b.is_ascii_digit()).then(|| raw.parse().ok()).flatten()
}

/// How many people one order is for: 1 to 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Guests(u8);

impl Guests {
    /// One person, which is what an order that does not say is for.
    pub const ONE: Self = Self(1);

    /// The most that one order can be for; larger groups are the course manager's to arrange.
    pub const MOST: Self = Self(20);

    /// From 1 to 20.
    pub fn parse(raw: u64) -> Result<Self, Invalid> {
        match u8::try_from(raw) {
            Ok(count) if (Self::ONE.0..=Self::MOST.0).contains(&count) => Ok(Self(count)),
            _ => Err(Invalid::new("guest", "must be an integer from 1 to 20")),
        }
    }

    /// The number of people.
    pub const fn get(self) -> u64 {
        self.0 as u64
    }
}

impl Default for Guests {
    fn default() -> Self {
        Self::ONE
    }
}

impl fmt::Display for Guests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_u64!(Guests, parse);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_end_where_json_numbers_stop_being_exact() {
        assert_eq!(OrderId::parse(1).unwrap().get(), 1);
        assert_eq!(OrderId::parse(MAX_ID).unwrap().get(), 9_007_199_254_740_991);
        assert!(OrderId::parse(0).is_err());
        assert!(OrderId::parse(MAX_ID + 1).is_err());
    }

    #[test]
    fn only_plain_decimal_digits_are_an_identifier() {
        assert_eq!("1113".parse::<OrderId>().unwrap().get(), 1113);
        for garbage in ["", "+1", "-1", "1.0", "0x1", " 1", "１", "99999999999999999999"] {
            assert!(garbage.parse::<OrderId>().is_err(), "{garbage:?} was taken");
        }
    }

    #[test]
    fn an_order_is_for_one_to_twenty_people() {
        assert!(Guests::parse(0).is_err());
        assert_eq!(Guests::parse(20).unwrap().get(), 20);
        assert!(Guests::parse(21).is_err());
        assert!(Guests::parse(257).is_err());
    }
}
