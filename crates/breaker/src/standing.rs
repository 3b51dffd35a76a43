//! What whoever looks on is told of a breaker.

use std::fmt;

/// How many times of opening and closing are remembered.
pub(crate) const KEPT_CHANGES: usize = 20;

/// Where a breaker stands, in the field's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Calls go through.
    Closed,
    /// None does.
    Open,
    /// It has been open for long enough: one at a time does.
    HalfOpen,
}

impl Position {
    /// As it is spelt.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How a breaker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether calls go through.
    pub position: Position,
    /// Since when it is closed, or open; 0 where it was never anything but closed. In milliseconds.
    pub since: i64,
    /// How many calls failed within the window; 0 while it is not closed.
    pub failures: u64,
    /// When it opened and closed, newest first: as much as the shared store has not lost.
    pub history: Vec<Change>,
}

/// One time that it opened or closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether it opened, or else closed.
    pub opened: bool,
    /// When, in milliseconds.
    pub at: i64,
}

impl Change {
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (word, at) = line.split_once(' ')?;
        let opened = match word {
            "opened" => true,
            "closed" => false,
            _ => return None,
        };
        Some(Self { opened, at: at.parse().ok()? })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.opened { "opened" } else { "closed" }, self.at)
    }
}
