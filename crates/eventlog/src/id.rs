//! The ids of a stream's entries.

use std::fmt;

/// `<generation>-<position>`: in which generation of the store's log, and where in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId {
    /// Raised by every replay.
    pub generation: u64,
    /// The event's place in its context's log.
    pub position: u64,
}

impl EntryId {
    /// Reads an id; none where it is something else.
    pub fn parse(id: &str) -> Option<Self> {
        let (generation, position) = id.split_once('-')?;
        let read = Self { generation: generation.parse().ok()?, position: position.parse().ok()? };
        // Redis writes no other spelling of it.
        (read.to_string() == id).then_some(read)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.generation, self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::EntryId;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_id_reads_back_and_any_other_text_is_none(generation: u64, position: u64, text in "[-+0-9 a]{0,6}|\\PC*") {
            let id = EntryId { generation, position };
            prop_assert_eq!(EntryId::parse(&id.to_string()), Some(id));
            if let Some(id) = EntryId::parse(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn ids_sort_by_generation_and_then_by_position_and_read_back() {
        let ids = ["0-0", "1-9", "1-10", "2-1", "1789000000000-0"];
        for pair in ids.windows(2) {
            assert!(EntryId::parse(pair[0]) < EntryId::parse(pair[1]), "{pair:?}");
        }
        assert!(ids.iter().all(|id| EntryId::parse(id).unwrap().to_string() == *id));
        for id in ["7", "+1-2", "01-2", "1-02", "1-2-3", "-1-2"] {
            assert_eq!(EntryId::parse(id), None, "{id}");
        }
    }
}
