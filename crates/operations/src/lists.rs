//! Making the lists of a context that decides again from its events, in its own store.
//!
//! The rows are made by the very triggers that the component's decisions run: this is no check, and what it makes must be
//! what the component would have made. It is one transaction, so that whoever reads sees the lists of before or of after,
//! and a crash leaves those of before.

use anyhow::{Context, Result, bail};
use rusqlite::Connection;

use crate::stores::Stores;

/// The lists of one context: what is emptied before all events are handed to `projection`, and what is counted after.
struct Lists {
    context: &'static str,
    tables: &'static [&'static str],
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const LISTS: [Lists; 3] = [
    Lists {
        context: "order",
        tables: &["orders", "tallies"],
        // What `pay` has told stays: it is in no event of this context.
        before: &[
            "DELETE FROM orders WHERE CAST(order_id AS TEXT) NOT IN (SELECT subject FROM events WHERE type = 'Ordered')",
        ],
        after: &[
            "DELETE FROM tallies",
            "INSERT INTO tallies (edu_no, status, orders) SELECT edu_no, status, count(*) FROM orders GROUP BY 1, 2",
        ],
    },
    Lists {
        context: "pay",
        tables: &["pays", "tallies"],
        before: &["DELETE FROM pays"],
        after: &[
            "DELETE FROM tallies",
            "INSERT INTO tallies (edu_no, status, orders) SELECT edu_no, status, count(*) FROM pays GROUP BY 1, 2",
        ],
    },
    Lists {
        context: "reservation",
        tables: &["courses", "reservations", "tallies"],
        before: &["DELETE FROM reservations", "DELETE FROM courses"],
        after: &[
            "DELETE FROM tallies",
            "INSERT INTO tallies (edu_no, status, orders) SELECT edu_no, status, count(*) FROM reservations GROUP BY 1, 2",
        ],
    },
];

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remade {
    /// How many events were handed over.
    pub events: u64,
    /// Rows that were wrong or missing, and are right now.
    pub mended: u64,
    /// Rows that no event speaks of, or that said something else, and are gone now.
    pub removed: u64,
}

/// Makes the lists of `context` (`order`, `pay` or `reservation`) again.
pub fn rebuild_lists(stores: &Stores, context: &str) -> Result<Remade> {
    let Some(lists) = LISTS.iter().find(|lists| lists.context == context) else {
        let known = LISTS.map(|lists| lists.context).join(", ");
        bail!("`{context}` has no lists that are made of events of its own; those that have are {known}");
    };
    let mut store = stores.open(context)?;
    let views = "SELECT count(*) FROM sqlite_schema WHERE name = 'projection'";
    if store.query_row(views, [], |row| row.get::<_, i64>(0))? == 0 {
        bail!("the store `{context}` was not opened by this version yet: start the system once");
    }
    remake(&mut store, lists)
        .with_context(|| format!("making the lists of `{context}` again; they are as they were"))
}

fn remake(store: &mut Connection, lists: &Lists) -> Result<Remade> {
    let transaction = store.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for table in lists.tables {
        transaction
            .execute(&format!("CREATE TEMP TABLE before_{table} AS SELECT * FROM main.{table}"), [])?;
    }
    let run = |statements: &[&str]| {
        statements.iter().try_for_each(|statement| transaction.execute(statement, []).map(drop))
    };
    run(lists.before)?;
    transaction.execute(
        "INSERT INTO projection (position, subject, version, type, data, time)
            SELECT position, subject, version, type, data, time FROM events ORDER BY position",
        [],
    )?;
    run(lists.after)?;
    let count =
        |sql: &str| transaction.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::cast_unsigned);
    let mut remade = Remade { events: count("SELECT count(*) FROM events")?, ..Remade::default() };
    for table in lists.tables {
        let columns = columns(&transaction, table)?;
        // A tally of no orders says what a missing one says.
        let says = if *table == "tallies" { " WHERE orders <> 0" } else { "" };
        let differ = |one: &str, other: &str| {
            count(&format!(
                "SELECT count(*) FROM (SELECT {columns} FROM {one}{says} EXCEPT SELECT {columns} FROM {other}{says})"
            ))
        };
        let (before, now) = (format!("temp.before_{table}"), format!("main.{table}"));
        remade.mended += differ(&now, &before)?;
        remade.removed += differ(&before, &now)?;
        transaction.execute(&format!("DROP TABLE temp.before_{table}"), [])?;
    }
    transaction.commit()?;
    Ok(remade)
}

/// The columns that say something. The version of seats counts changes, and begins anew with the list.
fn columns(store: &Connection, table: &str) -> rusqlite::Result<String> {
    let sql = "SELECT group_concat(name, ', ') FROM pragma_table_info(?) WHERE name <> 'seats_version'";
    store.query_row(sql, [table], |row| row.get(0))
}
