//! Which part of a list somebody wants to see.

/// Which part of a list, and in which order: by key, or by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many rows at most.
    pub limit: u64,
    /// Only those behind this key, in ascending order of the key: as fast however long the list is.
    pub after: Option<u64>,
    /// Not the first so many: costs more the more they are.
    pub offset: u64,
    /// The column to sort by before the key, if it is not the key.
    pub sort: Option<&'static str>,
    /// Whether the largest comes first.
    pub descending: bool,
}
