//! Where in a stream an event stands, as one number: what the column `sent` holds.

use std::fmt;

/// How many bits the number within a millisecond has: two million events, which also covers a clock that was set
/// back for a while (Redis then goes on counting within the last millisecond it knew).
const SEQUENCE_BITS: u32 = 21;

/// The largest number within a millisecond, and the last millisecond (in the year 2109), that can be told. What lies
/// beyond is taken for these: then a loss within that last bit is not noticed, and nothing else goes wrong.
const LAST_SEQUENCE: u64 = (1 << SEQUENCE_BITS) - 1;
const LAST_MILLISECOND: u64 = (1 << (63 - SEQUENCE_BITS)) - 1;

/// The id that Redis gave to an entry (`<milliseconds>-<number>`), in one integer that sorts as ids do.
///
/// Events that were sent before positions were kept have a 1, which is before any real position; 0 is before
/// everything, and says of an event that it is still to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(i64);

impl Position {
    /// Reads an entry's id; none where it is something else.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (millisecond, number) = parts(id)?;
        let packed = millisecond.min(LAST_MILLISECOND) << SEQUENCE_BITS | number.min(LAST_SEQUENCE);
        i64::try_from(packed).ok().map(Self)
    }

    /// What the column `sent` holds.
    pub(crate) const fn stored(sent: i64) -> Self {
        Self(sent)
    }

    /// For the column `sent`.
    pub(crate) const fn to_stored(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0 >> SEQUENCE_BITS, self.0.unsigned_abs() & LAST_SEQUENCE)
    }
}

/// The two numbers of an entry's id, which compare as ids do.
pub(crate) fn parts(id: &str) -> Option<(u64, u64)> {
    let (millisecond, number) = id.split_once('-')?;
    Some((millisecond.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(id: &str) -> Position {
        Position::parse(id).unwrap()
    }

    #[test]
    fn positions_sort_as_ids_do_and_read_back() {
        let ids = ["0-0", "0-1", "1-0", "9-2097151", "10-9", "10-10", "1789000000000-0", "4398046511103-7"];
        for pair in ids.windows(2) {
            assert!(position(pair[0]) < position(pair[1]), "{pair:?}");
        }
        for id in ids {
            assert_eq!(position(id).to_string(), id);
            assert_eq!(Position::stored(position(id).to_stored()), position(id));
        }
        assert_eq!(position("0-0").to_stored(), 0);
    }

    #[test]
    fn an_event_sent_before_positions_were_kept_is_before_every_entry() {
        assert!(Position::stored(0) < Position::stored(1));
        assert!(Position::stored(1) < position("1000000000000-0"));
    }

    #[test]
    fn what_cannot_be_told_is_the_last_that_can() {
        assert_eq!(position("5-2097152"), position("5-2097151"));
        assert_eq!(position("18446744073709551615-0").to_string(), "4398046511103-0");
    }

    #[test]
    fn what_is_no_id_is_no_position() {
        for id in ["", "7", "e", "1-", "-1", "1-2-3", "a-1", "{\"a\":1}"] {
            assert_eq!(Position::parse(id), None, "{id}");
        }
    }
}
