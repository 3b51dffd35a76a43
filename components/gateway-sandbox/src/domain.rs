//! How the sandbox decides, and how long it takes. Pure: chance comes in as a number.

use std::time::Duration;

/// A card that ends in these digits is declined.
const DECLINED_CARD: &str = "0002";
/// A card that ends in these digits makes the gateway fail, with nothing charged.
const FAILING_CARD: &str = "0119";

/// What the card company makes of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Charged.
    Approved,
    /// Refused, for the reason given.
    Declined(&'static str),
    /// No answer: as when the line to the card company is down.
    Unavailable(&'static str),
}

impl Verdict {
    /// By the last digits of the card, so that whoever tests can choose.
    pub fn on(card_number: &str) -> Self {
        if card_number.ends_with(DECLINED_CARD) {
            Self::Declined("the card was declined by its issuer")
        } else if card_number.ends_with(FAILING_CARD) {
            Self::Unavailable("the card company does not answer")
        } else {
            Self::Approved
        }
    }
}

/// The last four digits of a card number, or all of it where it is no longer than that.
pub(crate) fn last4(card_number: &str) -> &str {
    card_number.len().checked_sub(4).and_then(|from| card_number.get(from..)).unwrap_or(card_number)
}

/// How long a charge takes: uniform in `base` ± `jitter`, in milliseconds, and never less than nothing. The
/// seed's 400 ms ± 220 ms is one setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Delay {
    base: u64,
    jitter: u64,
}

impl Delay {
    /// No charge takes longer than this, whatever the variables say: ten minutes.
    const MOST: u64 = 600_000;

    /// Out of two variables, each a number of milliseconds.
    pub(crate) fn new(base: u64, jitter: u64) -> Self {
        Self { base: base.min(Self::MOST), jitter: jitter.min(Self::MOST) }
    }

    /// Whether every charge is answered at once.
    pub(crate) fn is_none(self) -> bool {
        self == Self::default()
    }

    /// This charge's share, where `chance` is any number, each as likely as the others.
    pub(crate) fn of(self, chance: u64) -> Duration {
        let offset = chance % (2 * self.jitter + 1);
        Duration::from_millis((self.base + offset).saturating_sub(self.jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_digits_of_a_card_decide() {
        assert_eq!(Verdict::on("1234"), Verdict::Approved);
        assert!(matches!(Verdict::on("4000000000000002"), Verdict::Declined(_)));
        assert!(matches!(Verdict::on("4000000000000119"), Verdict::Unavailable(_)));
    }

    #[test]
    fn only_the_last_four_digits_are_kept() {
        assert_eq!(last4("4111111111111234"), "1234");
        assert_eq!(last4("1234"), "1234");
        assert_eq!(last4("12"), "12");
    }

    #[test]
    fn without_variables_nobody_waits() {
        assert!(Delay::new(0, 0).is_none());
        assert_eq!(Delay::new(0, 0).of(u64::MAX), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn a_charge_takes_the_delay_give_or_take_the_jitter(base in 0..2000u64, jitter in 0..500u64, chance: u64) {
            let millis = u64::try_from(Delay::new(base, jitter).of(chance).as_millis()).unwrap();
            prop_assert!(millis >= base.saturating_sub(jitter) && millis <= base + jitter);
        }
    }

    #[test]
    fn the_seeds_delay_reaches_both_its_ends() {
        let seed = Delay::new(400, 220);
        assert_eq!(seed.of(0), Duration::from_millis(180));
        assert_eq!(seed.of(440), Duration::from_millis(620));
    }
}
