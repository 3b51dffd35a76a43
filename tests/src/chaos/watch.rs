//! What must hold at every moment, looked at while everything breaks.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use operations::Violation;
use rusqlite::{Connection, OpenFlags};

use crate::stores;

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
pub fn watch(folder: &Path, over: &AtomicBool) -> Vec<Violation> {
    let mut seen = BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        for (label, invariant, sql) in
            [("gateway", "one-outstanding-charge", CHARGED_TWICE), ("reservation", "seats", OVERSOLD)]
        {
            // A store that is locked or not there yet is looked at the next time.
            let rows = rows(folder, label, sql).unwrap_or_default();
            seen.extend(rows.into_iter().map(|(subject, message)| Violation { invariant, subject, message }));
        }
        thread::sleep(PERIOD);
    }
    seen.into_iter().collect()
}

/// What a query gives, as texts: what it is about, and what is wrong with it.
pub fn rows(folder: &Path, label: &str, sql: &str) -> Result<Vec<(String, String)>> {
    let connection = open(folder, label)?;
    let mut statement = connection.prepare(sql)?;
    let text = |row: &rusqlite::Row<'_>, column| -> rusqlite::Result<String> {
        Ok(match row.get_ref(column)? {
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        })
    };
    let rows = statement.query_map([], |row| Ok((text(row, 0)?, text(row, 1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A store, for looking.
pub fn open(folder: &Path, label: &str) -> Result<Connection> {
    let file = stores::file(folder, label).with_context(|| format!("no store {label}"))?;
    let connection = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}
