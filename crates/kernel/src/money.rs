//! Money and what pays it.

use crate::number::as_u64;
use crate::{Guests, Invalid};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most that one person's place may cost, in won. With at most 20 people an order stays under 2^31.
const MAX_FEE: u64 = 100_000_000;

/// An amount in won, the currency's smallest unit: 0 to 2,000,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Won(u64);

impl Won {
    /// Nothing to pay.
    pub const ZERO: Self = Self(0);

    /// A course's fee per person: 0 to 100,000,000.
    pub fn fee(raw: u64) -> Result<Self, Invalid> {
        if raw <= MAX_FEE {
            Ok(Self(raw))
        } else {
            Err(Invalid::new("fee", format!("must be an integer from 0 to {MAX_FEE} (won per person)")))
        }
    }

    /// What a whole order costs: 0 to 2,000,000,000 (the highest fee for twenty people).
    pub fn amount(raw: u64) -> Result<Self, Invalid> {
        let most = MAX_FEE * 20;
        if raw <= most {
            Ok(Self(raw))
        } else {
            Err(Invalid::new("amount", format!("must be an integer from 0 to {most} (won)")))
        }
    }

    /// What `guests` people pay at this fee.
    #[must_use]
    pub fn times(self, guests: Guests) -> Self {
        Self(self.0.saturating_mul(guests.get()).min(MAX_FEE * 20))
    }

    /// The number of won.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number of won as SQL stores it.
    pub const fn as_i64(self) -> i64 {
        self.0 as i64
    }

    /// Whether there is nothing to pay.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

as_u64!(Won, amount);

/// With thousands separators, as a receipt shows it: `120,000`.
impl fmt::Display for Won {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        f.write_str(&grouped)
    }
}

/// A card number: 4 to 19 digits (ISO/IEC 7812-1 ends at 19; the seed's examples have four). Spaces and dashes
/// between the digits are dropped.
///
/// It has no `Serialize`, and `Debug` and `Display` show the last four digits only, so that it cannot slip
/// into an event, an answer or a log.
#[derive(Clone, PartialEq, Eq)]
pub struct CardNumber(String);

impl CardNumber {
    /// Takes what a person would type.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let refuse = || Invalid::new("cardNo", "must be 4 to 19 digits");
        // Checked before copying, so that a megabyte of dashes costs nothing.
        if raw.len() > 64 {
            return Err(refuse());
        }
        let digits: String = raw.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        if !(4..=19).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        Ok(Self(digits))
    }

    /// The whole number: only for the gateway, and for sealing.
    pub fn digits(&self) -> &str {
        &self.0
    }

    /// The last four digits, which may be shown.
    pub fn last4(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default()
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CardNumber(****{})", self.last4())
    }
}

impl fmt::Display for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****{}", self.last4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn won_are_shown_with_thousands_separators() {
        for (raw, shown) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Won::amount(raw).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn twenty_people_at_the_highest_fee_is_the_highest_amount() {
        let fee = Won::fee(MAX_FEE).unwrap();
        assert_eq!(fee.times(Guests::parse(20).unwrap()).get(), 2_000_000_000);
        assert!(Won::fee(MAX_FEE + 1).is_err());
        assert!(Won::amount(2_000_000_001).is_err());
    }

    #[test]
    fn a_card_number_never_shows_more_than_its_last_four_digits() {
        let card = CardNumber::parse("4111-1111 1111-1234").unwrap();
        assert_eq!(card.digits(), "4111111111111234");
        assert_eq!(format!("{card} {card:?}"), "****1234 CardNumber(****1234)");
    }

    #[test]
    fn what_is_not_a_card_number_is_refused() {
        for garbage in ["", "123", "12345678901234567890", "12a4", "１２３４", "----"] {
            assert!(CardNumber::parse(garbage).is_err(), "{garbage:?} was taken");
        }
        assert_eq!(CardNumber::parse("1234").unwrap().last4(), "1234");
    }

    #[test]
    fn the_highest_amount_is_still_an_amount() {
        let highest = Won::fee(MAX_FEE).unwrap().times(Guests::parse(20).unwrap());
        assert_eq!(Won::amount(2_000_000_000).unwrap(), highest);
    }
}
