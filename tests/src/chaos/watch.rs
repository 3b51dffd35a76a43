//! What must hold at every moment, looked at while everything breaks.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use operations::Violation;
use store::Value;

use crate::stores::{self, Column as _, State};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(300);

/// More than one charge for an order that has not been given back.
const CHARGED_TWICE: &str =
    "SELECT order_id, outstanding || ' charges are outstanding' FROM balances WHERE outstanding > 1";

/// More seats taken than there are: by the reservations, and not by what the course says of itself.
const OVERSOLD: &str = "SELECT c.edu_no, sum(r.guest) || ' seats of ' || c.capacity || ' are taken'
    FROM courses c JOIN reservations r ON r.edu_no = c.edu_no
    WHERE r.status IN ('Reservation Requested', 'Reservation Confirmed')
    GROUP BY c.edu_no HAVING sum(r.guest) > c.capacity";

/// Looks until it is over; gives back what was seen, each once.
pub fn watch(state: &State, over: &AtomicBool) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        for (label, invariant, sql) in
            [("gateway", "one-outstanding-charge", CHARGED_TWICE), ("reservation", "seats", OVERSOLD)]
        {
            // A store that is locked or not there yet is looked at the next time.
            let rows = rows(state, label, sql).unwrap_or_default();
            seen.extend(rows.into_iter().map(|(subject, message)| Violation { invariant, subject, message }));
        }
        thread::sleep(PERIOD);
    }
    seen.into_iter().collect()
}

/// What a query gives, as texts: what it is about, and what is wrong with it.
pub fn rows(state: &State, label: &str, sql: &str) -> Result<Vec<(String, String)>> {
    let rows = stores::rows(state, label, sql)?;
    let text = |row: &[Value], column: usize| row.get(column).and_then(String::read).unwrap_or_default();
    Ok(rows.iter().map(|row| (text(row, 0), text(row, 1))).collect())
}
