//! How often one client may apply and pay: a whole hour's worth at once, and another whenever its part of an hour has passed
//! (the generic cell rate algorithm, which keeps one number for each client).

/// Over how long a rate counts, in milliseconds.
const HOUR: i64 = 3_600_000;

/// How often, per hour. 0 is as often as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) per_hour: u32,
}

/// Whoever is held to a rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// A member's number or an address.
    pub(crate) name: String,
    pub(crate) rate: Rate,
}

impl Rate {
    /// How long it takes until one more may be asked for, in milliseconds.
    pub(crate) fn interval(self) -> i64 {
        HOUR / i64::from(self.per_hour.max(1))
    }

    /// The latest `full_at` at which one may still be asked for.
    pub(crate) fn latest(self, now: i64) -> i64 {
        now + HOUR - self.interval()
    }

    /// Refuses one more where all are used, with the seconds until there is one. `full_at` is when all are there again,
    /// in milliseconds.
    pub(crate) fn check(self, full_at: Option<i64>, now: i64) -> Result<(), u64> {
        let over = full_at.unwrap_or(now) - self.latest(now);
        if self.per_hour == 0 || over <= 0 {
            return Ok(());
        }
        Err(u64::try_from(over).unwrap_or(0).div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hours_worth_may_be_asked_for_at_once_and_then_one_at_a_time() {
        let rate = Rate { per_hour: 60 };
        let (mut full_at, mut now) = (None, 1_000_000);
        let ask = |full_at: &mut Option<i64>, now: i64| -> Result<(), u64> {
            rate.check(*full_at, now)?;
            *full_at = Some(full_at.unwrap_or(now).max(now) + rate.interval());
            Ok(())
        };
        for _ in 0..60 {
            assert_eq!(ask(&mut full_at, now), Ok(()));
        }
        assert_eq!(ask(&mut full_at, now), Err(60));
        now += 59_001;
        assert_eq!(ask(&mut full_at, now), Err(1));
        now += 999;
        assert_eq!((ask(&mut full_at, now), ask(&mut full_at, now)), (Ok(()), Err(60)));
        now += 3_600_000;
        for _ in 0..60 {
            assert_eq!(ask(&mut full_at, now), Ok(()));
        }
        assert!(ask(&mut full_at, now).is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!(Rate { per_hour: 0 }.check(Some(i64::MAX / 2), 0), Ok(()));
        assert_eq!(Rate { per_hour: 1 }.check(Some(1), 0), Err(1));
    }
}
