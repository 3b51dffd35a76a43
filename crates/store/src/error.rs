//! What a statement can come back with instead of rows.

use kernel::Unavailable;
use spin_sdk::sqlite;

/// Why a statement did not do what it says.
///
/// Spin passes on SQLite's message as text; the kinds below are read from it, which is why every message that
/// SQLite documents as part of its interface is tested here. PostgreSQL's are told by their SQLSTATE.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A row with that key is there already: somebody else decided first.
    #[error("UNIQUE constraint failed: {constraint}")]
    Unique {
        /// The columns, as SQLite names them (`events.subject, events.version`), or the name that PostgreSQL gave it.
        constraint: String,
    },
    /// A `CHECK` said no.
    #[error("CHECK constraint failed: {constraint}")]
    Check {
        /// The constraint's name or expression.
        constraint: String,
    },
    /// A trigger of ours raised this with `RAISE(ABORT, 'decision: …')`; the text after `decision: `.
    #[error("refused by the store: {0}")]
    Raised(String),
    /// PostgreSQL gave this statement up so that another could go on (a deadlock, a serialization failure).
    #[error("another statement went first: {0}")]
    Overtaken(#[source] Unavailable),
    /// The store cannot be used right now: locked for longer than the busy timeout, disk full, I/O error.
    /// Trying again later may help.
    #[error("the store is not available: {0}")]
    Unavailable(#[source] Unavailable),
    /// The store was brought to a later version by newer code, which this code cannot use.
    #[error(
        "the store is of version {found}, and this code knows up to version {known}: deploy the newer code again"
    )]
    Newer {
        /// The version of the store.
        found: u32,
        /// The version of this code.
        known: u32,
        /// Another host has the newer code, or this one is to have it again: it passes.
        #[source]
        meanwhile: Unavailable,
    },
    /// A mistake of ours: bad SQL, a missing grant, a column of another type.
    #[error("the store failed: {0}")]
    Failure(String),
}

impl StoreError {
    /// How the message of a `RAISE` in our triggers begins, to tell it from SQLite's own.
    pub const RAISED: &'static str = "decision: ";

    /// The store cannot be used right now, for the reason given.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable(Unavailable(reason.into()))
    }

    /// The store is of a later version than this code can use.
    pub fn newer(found: u32, known: u32) -> Self {
        Self::Newer {
            found,
            known,
            meanwhile: Unavailable("whoever has the newer code can use it".to_owned()),
        }
    }

    pub(crate) fn overtaken(reason: impl Into<String>) -> Self {
        Self::Overtaken(Unavailable(reason.into()))
    }

    /// Whether somebody else decided first, or a constraint forbids it: load again and decide again.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Unique { .. } | Self::Check { .. } | Self::Raised(_) | Self::Overtaken(_))
    }

    fn from_message(message: String) -> Self {
        // Spin's sync and async paths word the wrapping differently; what SQLite said is in both.
        let after = |marker: &str| message.split_once(marker).map(|(_, rest)| rest.trim().to_owned());
        if let Some(constraint) = after("UNIQUE constraint failed: ") {
            return Self::Unique { constraint };
        }
        if let Some(constraint) = after("CHECK constraint failed: ") {
            return Self::Check { constraint };
        }
        if let Some(raised) = after(Self::RAISED) {
            return Self::Raised(raised);
        }
        let passing =
            ["locked", "busy", "disk I/O error", "database or disk is full", "unable to open database"];
        if passing.iter().any(|sign| message.contains(sign)) {
            return Self::unavailable(message);
        }
        Self::Failure(message)
    }
}

impl From<sqlite::Error> for StoreError {
    fn from(error: sqlite::Error) -> Self {
        match error {
            sqlite::Error::Io(message) => Self::from_message(message),
            sqlite::Error::DatabaseFull => Self::unavailable("the database is full"),
            sqlite::Error::InvalidConnection => Self::unavailable("the connection is gone"),
            sqlite::Error::NoSuchDatabase => {
                Self::Failure("no store is configured under this label (runtime-config.toml)".to_owned())
            }
            sqlite::Error::AccessDenied => Self::Failure(
                "the component is not granted this store (sqlite_databases in spin.toml)".to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlites_messages_are_told_apart() {
        let kind = |message: &str| StoreError::from_message(message.to_owned());
        assert_eq!(
            kind("UNIQUE constraint failed: events.subject, events.version"),
            StoreError::Unique { constraint: "events.subject, events.version".to_owned() }
        );
        assert_eq!(
            kind("CHECK constraint failed: taken <= capacity"),
            StoreError::Check { constraint: "taken <= capacity".to_owned() }
        );
        assert_eq!(kind("decision: seats changed"), StoreError::Raised("seats changed".to_owned()));
        for passing in [
            "database is locked",
            "database or disk is full",
            "disk I/O error",
            "unable to open database file",
            "the database is busy",
        ] {
            assert!(matches!(kind(passing), StoreError::Unavailable(_)), "{passing}");
        }
        assert!(matches!(kind("no such column: x"), StoreError::Failure(_)));
    }

    #[test]
    fn what_is_not_there_for_now_is_told_from_what_was_never_given() {
        for gone in [sqlite::Error::DatabaseFull, sqlite::Error::InvalidConnection] {
            assert!(matches!(StoreError::from(gone), StoreError::Unavailable(_)));
        }
        for ours in [sqlite::Error::NoSuchDatabase, sqlite::Error::AccessDenied] {
            assert!(matches!(StoreError::from(ours), StoreError::Failure(_)));
        }
    }

    #[test]
    fn only_what_another_decision_could_mend_is_a_conflict() {
        assert!(StoreError::Raised(String::new()).is_conflict());
        assert!(!StoreError::unavailable("").is_conflict());
        assert!(!StoreError::Failure(String::new()).is_conflict());
    }
}
