//! The shared state, and how it is written.

use std::fmt;
use std::str::FromStr;

/// The probe that ended the state before: (open since, slot).
type LastProbe = Option<(i64, i64)>;

/// Where the breaker stands. `since` (milliseconds) also names the state: it is in the keys of its counters
/// and claims, so that those of one state never mix with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed { since: i64, last_probe: LastProbe },
    Open { since: i64, last_probe: LastProbe },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { since: 0, last_probe: None }
    }
}

/// A word, when it began, and the last probe if there was one: `open 1763773323004`, `closed 1763773329004
/// 1763773323004 0`. Text, so that an operator can read it and set it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, since, last_probe) = match self {
            Self::Closed { since, last_probe } => ("closed", since, last_probe),
            Self::Open { since, last_probe } => ("open", since, last_probe),
        };
        write!(f, "{word} {since}")?;
        last_probe.map_or(Ok(()), |(since, slot)| write!(f, " {since} {slot}"))
    }
}

impl FromStr for State {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let (word, numbers) = text.split_once(' ').ok_or(Unreadable)?;
        let numbers = numbers.split(' ').map(str::parse).collect::<Result<Vec<i64>, _>>();
        let (since, last_probe) = match numbers.as_deref() {
            Ok([since]) => (*since, None),
            Ok([since, probe_since, slot]) => (*since, Some((*probe_since, *slot))),
            _ => return Err(Unreadable),
        };
        match word {
            "closed" => Ok(Self::Closed { since, last_probe }),
            "open" => Ok(Self::Open { since, last_probe }),
            _ => Err(Unreadable),
        }
    }
}

/// What is not a state as this version writes it.
#[derive(Debug)]
pub(crate) struct Unreadable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_as_it_was_written() {
        for state in [
            State::Closed { since: 0, last_probe: None },
            State::Closed { since: 9, last_probe: Some((3, 0)) },
            State::Open { since: 1_763_773_323_004, last_probe: None },
            State::Open { since: 7, last_probe: Some((1, 12)) },
        ] {
            assert_eq!(state.to_string().parse::<State>().unwrap(), state);
        }
    }

    #[test]
    fn garbage_is_no_state() {
        for garbage in ["", "open", "open x", "ajar 1", "open 1 2", "open 1 2 3 4", "open  1"] {
            assert!(garbage.parse::<State>().is_err(), "{garbage:?} was taken");
        }
    }
}
