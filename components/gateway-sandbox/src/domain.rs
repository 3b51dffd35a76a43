//! How the sandbox decides, and how long it takes. Pure: chance comes in as a number.

use std::time::Duration;

/// A card that ends in these digits is declined.
const DECLINED_CARD: &str = "0002";
/// A card that ends in these digits makes the gateway fail, with nothing charged.
const FAILING_CARD: &str = "0119";

/// A card that ends in these digits is charged, and the first answer is lost: only asking again tells.
const ANSWER_LOST_CARD: &str = "0408";
/// A card that ends in these digits is charged at the third time of asking; the first two do not get through.
const ASK_LOST_CARD: &str = "0504";
/// How many those are.
pub(crate) const ASKS_LOST: u64 = 2;

/// What the card company makes of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Charged.
    Approved,
    /// Refused, for the reason given.
    Declined(&'static str),
    /// No answer: as when the line to the card company is down.
    Unavailable(&'static str),
    /// Charged, but whoever asks first does not hear of it.
    ApprovedUnheard,
    /// Charged, once it was asked more often than [`ASKS_LOST`].
    ApprovedLate,
}

impl Verdict {
    /// By the last digits of the card, so that whoever tests can choose.
    pub fn on(card_number: &str) -> Self {
        if card_number.ends_with(DECLINED_CARD) {
            Self::Declined("the card was declined by its issuer")
        } else if card_number.ends_with(FAILING_CARD) {
            Self::Unavailable("the card company does not answer")
        } else if card_number.ends_with(ANSWER_LOST_CARD) {
            Self::ApprovedUnheard
        } else if card_number.ends_with(ASK_LOST_CARD) {
            Self::ApprovedLate
        } else {
            Self::Approved
        }
    }
}

/// What is lost on the line to the card company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The request: nothing was done.
    Ask,
    /// The answer: what was asked for was done.
    Answer,
}

/// How often the line fails: in so many of a hundred requests, whatever the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line {
    fault_percent: u64,
}

impl Line {
    /// Out of a variable; above 100 is always.
    pub(crate) const fn new(fault_percent: u64) -> Self {
        Self { fault_percent }
    }

    /// Whether nothing is ever lost.
    pub(crate) const fn is_sound(self) -> bool {
        self.fault_percent == 0
    }

    /// What is lost of this request, where `chance` is any number, each as likely as the others. Requests and answers
    /// are lost equally often.
    pub(crate) const fn loses(self, chance: u64) -> Option<Lost> {
        if chance % 100 >= self.fault_percent {
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
        assert_eq!(Verdict::on("4000000000000408"), Verdict::ApprovedUnheard);
        assert_eq!(Verdict::on("4000000000000504"), Verdict::ApprovedLate);
    }

    #[test]
    fn the_line_fails_as_often_as_it_is_told_to_and_in_both_directions() {
        let lost =
            |percent, lost| (0..1_000).filter(|chance| Line::new(percent).loses(*chance) == lost).count();
        assert_eq!((lost(0, None), Line::new(0).is_sound()), (1_000, true));
        assert_eq!(
            (lost(30, None), lost(30, Some(Lost::Ask)), lost(30, Some(Lost::Answer))),
            (700, 150, 150)
        );
        assert_eq!((lost(100, None), Line::new(1).is_sound()), (0, false));
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
