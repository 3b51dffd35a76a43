//! Making the lists of a context that decides again from its events, in its own store.
//!
//! The rows are made by the very triggers that the component's decisions run: this is no check, and what it makes must be
//! what the component would have made. It is one transaction, so that whoever reads sees the lists of before or of after,
//! and a crash leaves those of before.

use anyhow::{Context, Result, bail};

use crate::opened::Opened;
use crate::stores::Stores;
use crate::trail::note_command;

/// The lists of one context: what is emptied before all events are handed to `projection`, and what is counted after.
struct Lists {
    context: &'static str,
    tables: &'static [&'static str],
    before: &'static [&'static str],
    after: &'static [&'static str],
}

const LISTS: [Lists; 4] = [
    Lists {
        context: "order",
        tables: &["orders", "tallies"],
        // What `pay` has told stays: it is in no event of this context.
        before: &["DELETE FROM orders WHERE NOT EXISTS (SELECT 1 FROM events
                WHERE subject = CAST(orders.order_id AS TEXT) AND type = 'Ordered')"],
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
    // Whoever is erased stays so: their events say no more who they were.
    Lists { context: "member", tables: &["members"], before: &["DELETE FROM members"], after: &[] },
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

/// Makes the lists of `context` (`order`, `pay`, `reservation` or `member`) again.
pub fn rebuild_lists(stores: &Stores, context: &str) -> Result<Remade> {
    let Some(lists) = LISTS.iter().find(|lists| lists.context == context) else {
        let known = LISTS.map(|lists| lists.context).join(", ");
        bail!("`{context}` has no lists that are made of events of its own; those that have are {known}");
    };
    let store = stores.open(lists.context)?;
    if !store.has("projection")? {
        bail!("the store `{context}` was not opened by this version yet: start the system once");
    }
    note_command(stores, "ListsRebuilt", &[lists.context])?;
    remake(&store, lists)
        .with_context(|| format!("making the lists of `{context}` again; they are as they were"))
}

fn remake(store: &Opened, lists: &Lists) -> Result<Remade> {
    // Events are appended by whoever changes a list.
    store.begin_alone(&[lists.tables, &["events"][..]].concat())?;
    for table in lists.tables {
        store.run(&format!("CREATE TEMPORARY TABLE before_{table} AS SELECT * FROM {table}"))?;
    }
    let run = |statements: &[&str]| statements.iter().try_for_each(|statement| store.run(statement));
    run(lists.before)?;
    // All that the view shows, in the order in which it was decided, just as a decision hands it one event.
    store.run("INSERT INTO projection SELECT * FROM projection ORDER BY position")?;
    run(lists.after)?;
    let mut remade = Remade { events: store.count("SELECT count(*) FROM events")?, ..Remade::default() };
    for table in lists.tables {
        let columns = columns(store, table)?;
        // A tally of no orders says what a missing one says.
        let says = if *table == "tallies" { " WHERE orders <> 0" } else { "" };
        let differ = |one: &str, other: &str| {
            store.count(&format!(
                "SELECT count(*) FROM (SELECT {columns} FROM {one}{says} EXCEPT SELECT {columns} FROM {other}{says}) AS differ"
            ))
        };
        let before = format!("before_{table}");
        remade.mended += differ(table, &before)?;
        remade.removed += differ(&before, table)?;
        store.run(&format!("DROP TABLE {before}"))?;
    }
    store.run("COMMIT")?;
    Ok(remade)
}

/// The columns that say something. The version of seats counts changes, and begins anew with the list.
fn columns(store: &Opened, table: &str) -> Result<String> {
    let mut columns = store.columns(table)?;
    columns.retain(|column| column != "seats_version");
    Ok(columns.join(", "))
}
