//! How the sandbox decides, and how long it takes. Pure: chance comes in as a number.

use std::time::Duration;

/// How often a card is asked for in vain that gets through late.
pub(crate) const ASKS_LOST: u64 = 2;

/// What the card company makes of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Charged.
    Approved,
    /// Refused, for the reason given.
    Declined(&'static str),
    /// No answer: as when the card company cannot be reached.
    Unavailable(&'static str),
    /// Charged, but whoever asks first does not hear of it.
    ApprovedUnheard,
    /// Charged, once it was asked more often than [`ASKS_LOST`].
    ApprovedLate,
}

impl Verdict {
    /// By the last digits of the card, so that whoever tests can choose.
    pub fn on(card_number: &str) -> Self {
        match last4(card_number) {
            "0002" => Self::Declined("the card was declined by its issuer"),
            "0119" => Self::Unavailable("the card company does not answer"),
            "0408" => Self::ApprovedUnheard,
            "0504" => Self::ApprovedLate,
            _ => Self::Approved,
        }
    }
}

/// What is lost between a caller and the card company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request: nothing was done.
    Ask,
    /// The answer: what was asked for was done.
    Answer,
}

/// How often something is lost: of so many of a hundred requests, whatever the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    percent: u64,
}

impl Loss {
    /// Out of a variable; above 100 is always.
    pub(crate) const fn new(percent: u64) -> Self {
        Self { percent }
    }

    /// Whether nothing is ever lost.
    pub(crate) const fn is_none(self) -> bool {
        self.percent == 0
    }

    /// What is lost of this request, where `chance` is any number, each as likely as the others. Requests and answers
    /// are lost equally often.
    pub(crate) const fn of(self, chance: u64) -> Option<Lost> {
        if chance % 100 >= self.percent {
            None
        } else if (chance / 100).is_multiple_of(2) {
            Some(Lost::Ask)
        } else {
            Some(Lost::Answer)
        }
    }
}

/// The last four digits of a card number, or all of it where it is no longer than that.
pub(crate) fn last4(card_number: &str) -> &str {
    card_number.len().checked_sub(4).and_then(|from| card_number.get(from..)).unwrap_or(card_number)
}

/// How long a charge takes: uniform in `base` ± `jitter`, in milliseconds, and never less than nothing. The seed's
/// 400 ms ± 220 ms is one setting.
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
        assert_eq!(Verdict::on("4000000000000408"), Verdict::ApprovedUnheard);
        assert_eq!(Verdict::on("4000000000000504"), Verdict::ApprovedLate);
    }

    #[test]
    fn as_much_is_lost_as_is_asked_for_and_in_both_directions() {
        let lost = |percent, lost| (0..1_000).filter(|chance| Loss::new(percent).of(*chance) == lost).count();
        assert_eq!((lost(0, None), Loss::new(0).is_none()), (1_000, true));
        assert_eq!(
            (lost(30, None), lost(30, Some(Lost::Ask)), lost(30, Some(Lost::Answer))),
            (700, 150, 150)
        );
        assert_eq!((lost(100, None), Loss::new(1).is_none()), (0, false));
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
