//! What must hold: said in SQL over the stores, and independent of the code that is tested.
//!
//! - [`rules`]: within one store;
//! - [`fates`]: what becomes of an order, its money and its seat, across the stores;
//! - [`followers`]: what those who only listen make of it.

mod fates;
mod followers;
mod rules;

use crate::world::Stores;
use rules::{ALWAYS, QUIET, Rule};
use std::collections::{BTreeMap, BTreeSet};
use store::{Row, StoreError, Value};

type Found = Result<Vec<String>, StoreError>;

/// Stores by their labels, each with some of its tables.
type Tables = &'static [(&'static str, &'static [&'static str])];

/// Everything that is stored and means something.
const MEANINGFUL: Tables = &[
    ("order", &["events", "orders", "courses", "retries", "tallies"]),
    ("pay", &["events", "pays"]),
    ("gateway", &["charges", "refunds"]),
    ("reservation", &["events", "courses", "reservations"]),
    ("notification", &["messages", "courses"]),
    ("inbox", &["inbox"]),
    ("information", &["infomations", "timeline", "courses"]),
];

/// The lists of those that decide.
const LISTS: Tables = &[
    ("order", &["orders", "tallies", "retries"]),
    ("pay", &["pays"]),
    ("reservation", &["courses", "reservations"]),
];

/// What of the lists is told by events alone, and comes back with them. (`order` keeps beside its own what `pay` told.)
const FORGET: [(&str, &str); 3] = [
    ("pay", "DELETE FROM pays"),
    ("reservation", "DELETE FROM reservations"),
    ("reservation", "DELETE FROM courses"),
];

const MAKE_AGAIN: &str = "INSERT INTO projection (position, subject, version, type, data, time)
    SELECT position, subject, version, type, data, time FROM events ORDER BY position";

/// What must hold after every step.
pub fn after_each_step(stores: &Stores) -> Found {
    let mut wrong = ask(stores, ALWAYS)?;
    let seated = "SELECT DISTINCT subject FROM events WHERE type IN ('Reserved', 'ReservationConfirmed')";
    for row in stores.of("reservation").run(seated, &[])? {
        let order = row.text("subject")?;
        let paid = "SELECT 1 FROM events WHERE subject = $1 AND type = 'Paid'";
        if stores.of("pay").run(paid, &[Value::Text(order.to_owned())])?.is_empty() {
            wrong.push(format!("only what is paid is reserved: order {order} is not"));
        }
    }
    Ok(wrong)
}

fn ask(stores: &Stores, rules: &[Rule]) -> Found {
    let mut wrong = vec![];
    for (rule, label, sql) in rules {
        for row in stores.of(label).run(sql, &[])? {
            wrong.push(format!("{rule}: {}", row.text("wrong")?));
        }
    }
    Ok(wrong)
}

/// Whoever gave a card that pays, or has nothing to pay, need not do anything more: `order` tries until it is paid.
/// Asked when every try has had its time, and before orders expire.
pub fn promised(stores: &Stores, now: i64, promised: &BTreeSet<u64>, doubtful: &BTreeSet<u64>) -> Found {
    let rows = stores.of("order").run(
        "SELECT order_id, amount = 0 OR coalesce(card_last4, '') IN ('1234', '4444') AS can_pay FROM orders
         WHERE status = 'Ordered' AND due_at > $1 AND (pay_status IS NULL OR pay_version <= delayed_at)",
        &[Value::Integer(now)],
    )?;
    let mut wrong = vec![];
    for row in &rows {
        let (order, can_pay) = (row.count("order_id")?, row.int("can_pay")? == 1);
        if (can_pay || promised.contains(&order)) && !doubtful.contains(&order) {
            wrong.push(format!("what can be paid is tried until it is paid: order {order} still waits"));
        }
    }
    Ok(wrong)
}

/// A list says nothing that the events do not: made again from them, all lists are as they were.
pub fn made_again(stores: &Stores) -> Found {
    let before = lines(stores, LISTS)?;
    for (label, forget) in FORGET {
        stores.of(label).run(forget, &[])?;
    }
    for (label, _) in LISTS {
        stores.of(label).run(MAKE_AGAIN, &[])?;
    }
    let after = lines(stores, LISTS)?;
    let differing = before.symmetric_difference(&after);
    Ok(differing.map(|line| format!("the lists follow from the events: {line}")).collect())
}

/// What must hold once everything is told and nothing is left to do.
pub fn at_rest(stores: &Stores) -> Found {
    let mut wrong = ask(stores, QUIET)?;
    wrong.extend(fates::money_and_seats(stores)?);
    wrong.extend(fates::waiting_lists(stores)?);
    wrong.extend(followers::messages(stores)?);
    wrong.extend(followers::views(stores)?);
    wrong.extend(followers::copies(stores)?);
    Ok(wrong)
}

/// Everything that is stored and means something, a text for each row.
pub fn dump(stores: &Stores) -> Result<BTreeSet<String>, StoreError> {
    lines(stores, MEANINGFUL)
}

fn lines(stores: &Stores, tables: Tables) -> Result<BTreeSet<String>, StoreError> {
    let mut lines = BTreeSet::new();
    for (label, tables) in tables {
        for table in *tables {
            let rows = stores.of(label).dump(table)?;
            lines.extend(rows.into_iter().map(|row| format!("{label}.{table} {row}")));
        }
    }
    Ok(lines)
}

/// Rows by their first column.
fn by_key(
    stores: &Stores,
    label: &'static str,
    sql: &str,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let line = |row: &Row| {
        let mut texts = row.values().iter().map(|value| match value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Null => "-".to_owned(),
            other => format!("{other:?}"),
        });
        (texts.next().unwrap_or_default(), texts.collect())
    };
    Ok(stores.of(label).run(sql, &[])?.iter().map(line).collect())
}
