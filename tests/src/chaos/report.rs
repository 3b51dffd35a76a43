//! What a run came to, as people read it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use operations::Violation;

use super::rest::Rest;

/// The invariants that say that something was lost, and those that say that something was done twice. Every other
/// violation is neither.
const LOST: [&str; 5] = [
    "acknowledged-order-exists",
    "acknowledged-course-exists",
    "history-gap-free",
    "order-is-known",
    "paid-is-reserved",
];
const DOUBLED: [&str; 5] =
    ["one-order-per-wish", "one-outstanding-charge", "seats", "told-once", "delivered-once"];

/// A run's report.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Where everything random came from.
    pub seed: u64,
    /// How long the load lasted.
    pub load: Duration,
    /// How many requests were sent.
    pub requests: u64,
    /// How many of those because an earlier one went unanswered.
    pub retries: u64,
    /// How many wishes were given up without an answer.
    pub unanswered: u64,
    /// How many orders were acknowledged.
    pub orders: u64,
    /// How many of them were canceled, and paid, as far as their clients know.
    pub paid: u64,
    /// How many cancellations were acknowledged.
    pub canceled: u64,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<String, u64>,
    /// How long it took from the last fault until the system was at rest, each time.
    pub rests: Vec<Rest>,
    /// What must not have been, each once.
    pub violations: Vec<Violation>,
    /// Where everything is, if it is kept.
    pub kept: Option<PathBuf>,
}

impl Report {
    /// Whether not one invariant was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// How often something went wrong.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    fn among(&self, invariants: &[&str]) -> usize {
        self.violations.iter().filter(|violation| invariants.contains(&violation.invariant)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.requests as f64 / self.load.as_secs_f64().max(1.0);
        writeln!(f, "seed              {}", self.seed)?;
        writeln!(f, "load              {:.1} minutes, {rate:.0} requests/s", self.load.as_secs_f64() / 60.0)?;
        writeln!(f, "requests          {}, {} of them again", self.requests, self.retries)?;
        writeln!(f, "given up          {}", self.unanswered)?;
        writeln!(
            f,
            "orders            {} acknowledged, {} paid, {} canceled",
            self.orders, self.paid, self.canceled
        )?;
        writeln!(f, "faults            {}", self.faults())?;
        for (kind, count) in &self.faults {
            writeln!(f, "  {count:>5}  {kind}")?;
        }
        let longest = self.rests.iter().max_by_key(|rest| rest.time).cloned().unwrap_or_default();
        writeln!(
            f,
            "rest              {} times, the longest wait {:.1} s ({})",
            self.rests.len(),
            longest.time.as_secs_f64(),
            longest.awaited
        )?;
        writeln!(f, "lost              {}", self.among(&LOST))?;
        writeln!(f, "doubled           {}", self.among(&DOUBLED))?;
        write!(f, "violations        {}", self.violations.len())?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        if let Some(folder) = &self.kept {
            write!(f, "\nthe stores and logs are kept in {}", folder.display())?;
        }
        Ok(())
    }
}
