//! Holding everything against each other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::facts::Facts;
use crate::invariants::broken;
use crate::soundness::damaged;
use crate::stores::Stores;

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// Which of the rules is broken, as one word for programs: `seats`.
    pub invariant: &'static str,
    /// What it is about: `order 1113`, `course 103`, `group information`.
    pub subject: String,
    /// What is wrong, and what an operator can do.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.subject, self.message, self.invariant)
    }
}

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Everything that must not be, the gravest rules first.
    pub violations: Vec<Violation>,
    /// How much was looked at: `orders`, `events`, `charges`, `messages`, …
    pub counts: BTreeMap<&'static str, u64>,
}

/// Looks at all stores, and at the event log where `redis_url` is given.
///
/// What changed less than `grace` ago is not held against the rules that need rest: a system that is busy is
/// not wrong because an event is on its way. With no grace everything must have come to rest. An error means
/// that it could not be looked.
pub fn check(stores: &Stores, redis_url: Option<&str>, grace: Duration) -> Result<Report> {
    let damaged = damaged(stores)?;
    if !damaged.is_empty() {
        return Ok(Report { violations: damaged, ..Report::default() });
    }
    let facts = Facts::load(stores, redis_url, grace)?;
    Ok(Report { violations: broken(&facts), counts: counts(&facts) })
}

fn counts(facts: &Facts) -> BTreeMap<&'static str, u64> {
    let rows = |rows: usize| rows as u64;
    let events = facts.histories().iter().map(|(_, history)| rows(history.all().count())).sum();
    let charges: u64 = facts.gateway.values().map(|balance| rows(balance.outstanding.len())).sum();
    BTreeMap::from([
        ("orders", rows(facts.order.orders.len())),
        ("courses", rows(facts.reservation.courses.len())),
        ("events", events),
        ("outstandingCharges", charges),
        ("reservations", rows(facts.reservation.reservations.len())),
        ("messages", rows(facts.notification.messages.len())),
        ("views", rows(facts.information.rows.len())),
        ("busyOrders", rows(facts.recent.orders.len())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{damage, healthy, stores_in};

    #[test]
    fn of_a_damaged_store_nothing_else_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        assert_eq!(check(&stores, None, Duration::ZERO).unwrap().violations, []);
        damage(&stores, "order", 0xff);
        let told = check(&stores, None, Duration::ZERO).unwrap().violations;
        assert_eq!(told.iter().map(|told| told.invariant).collect::<Vec<_>>(), ["store-is-sound"]);
    }

    #[test]
    fn what_was_looked_at_is_counted() {
        let facts = healthy().busy(|_| {}, 2);
        let counted: Vec<_> = counts(&facts).into_iter().collect();
        let expected = [
            ("busyOrders", 1),
            ("courses", 2),
            // Five orders placed and four paid and reserved; one canceled in three contexts, one delayed; two courses.
            ("events", 5 + 4 + 4 + 3 + 1 + 2),
            ("messages", 5 + 4 + 4 + 3 + 1),
            ("orders", 5),
            ("outstandingCharges", 3),
            ("reservations", 4),
            ("views", 5),
        ];
        assert_eq!(counted, expected);
    }
}
