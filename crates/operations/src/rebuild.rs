//! Making the view of `information` again, beside the live one, and swapping the two while the system runs.
//!
//! The rows come from the events of `order`, `pay`, `reservation` and `member`, by the very code that the component runs:
//! this is no check, and what it makes must be what the worker would have made.
//!
//! The swap is one transaction on the live file. It takes the write lock, so that the worker waits; folds in
//! what was decided meanwhile, so that the new view knows all that the live one knows; and puts right each row
//! that differs. Readers see the old view until it commits, and so does whoever comes after a crash.

use anyhow::{Context, Result, bail};
use eventlog::{Envelope, topology};
use information::View;
use kernel::event::Event;
use store::Database;
use store::native::{Address, Store, at_once};

use crate::opened::Opened;
use crate::scratch::Scratch;
use crate::stores::{Place, Stores};
use crate::trail::note_command;

/// How many events are handed over at once, as the drain does it.
const BATCH: usize = 100;

/// How often the new view is committed while it is made: nobody reads it before it is complete.
const BATCHES_IN_A_TRANSACTION: usize = 200;

/// The tables of the view, each with its key. `counts` follows from the first.
const TABLES: [(&str, &str); 4] = [
    ("infomations", "order_id"),
    ("timeline", "order_id, context, version"),
    ("courses", "edu_no"),
    ("people", "customer_id"),
];

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many events were taken in.
    pub events: u64,
    /// How many of them were decided while the rest was read.
    pub meanwhile: u64,
    /// Events that could not be read, and are in no view: `pay 1113:2`.
    pub unreadable: Vec<String>,
    /// Orders in the view now.
    pub rows: u64,
    /// Rows (of all its tables) that were wrong or missing, and are right now.
    pub mended: u64,
    /// Rows that no event speaks of, and are gone now.
    pub removed: u64,
}

/// Makes the view again and puts it in the place of the live one.
pub fn rebuild_information(stores: &Stores) -> Result<Rebuilt> {
    // Before the live one, so that it goes after it: what is read cannot be dropped.
    let scratch = NewStore::make(stores)?;
    let live = stores.open("information")?;
    same_schema(&live)?;
    let mut sources = Vec::new();
    for context in topology::sources() {
        sources.push(Source { context, store: stores.open(context)?, last: 0 });
    }
    let mut view = NewView { storage: scratch.storage.clone(), rebuilt: Rebuilt::default() };
    for source in &mut sources {
        view.take_in(source)?;
    }
    note_command(stores, "ListsRebuilt", &["information"])?;
    swap(&live, &scratch, &mut view, &mut sources)
        .context("swapping the views; the live one is as it was")?;
    Ok(view.rebuilt)
}

/// A view that another version made has other columns.
fn same_schema(live: &Opened) -> Result<()> {
    let ours = Opened::Sqlite(rusqlite::Connection::open_in_memory()?);
    store::native::tables(&information::DATABASE).iter().try_for_each(|statement| ours.run(statement))?;
    for (table, _) in TABLES {
        if !live.has(table)? {
            bail!(
                "the store `information` has no tables yet: start the system once, and there will be nothing to rebuild"
            );
        }
        if live.columns(table)? != ours.columns(table)? {
            bail!(
                "the table `{table}` of the store `information` is of another version than this command: use the \
                 `sugang` that was installed with the running system"
            );
        }
    }
    Ok(())
}

/// Where the new view is made: a file beside that of the live one, or a schema in its database. Gone with this.
struct NewStore {
    storage: Store,
    kind: Kind,
}

enum Kind {
    File(Scratch),
    Schema,
}

const SCHEMA: &str = "information_rebuild";

impl NewStore {
    fn make(stores: &Stores) -> Result<Self> {
        let (storage, kind) = match stores.place("information")? {
            Place::File(live) => {
                let scratch = Scratch::beside(live, "rebuild")?;
                let storage = Store::file(scratch.path(), &information::DATABASE)
                    .with_context(|| format!("cannot make the new view in {}", scratch.path().display()))?;
                // Worth nothing until it is complete, so it need not survive anything.
                storage.run("PRAGMA synchronous=OFF", &[])?;
                (storage, Kind::File(scratch))
            }
            Place::Postgres(url) => (new_schema(url)?, Kind::Schema),
        };
        Ok(Self { storage, kind })
    }

    /// How the tables of the live view and of the new one are called by a connection to the live one.
    fn prefixes(&self, live: &Opened) -> Result<(&'static str, String)> {
        match (&self.kind, live) {
            (Kind::File(scratch), Opened::Sqlite(live)) => {
                live.execute("ATTACH ? AS rebuilt", [scratch.path().to_string_lossy()])?;
                Ok(("main", "rebuilt".to_owned()))
            }
            _ => Ok(("information", SCHEMA.to_owned())),
        }
    }
}

impl Drop for NewStore {
    fn drop(&mut self) {
        if let Kind::Schema = self.kind {
            // What cannot be dropped is dropped by the next.
            for statement in ["ROLLBACK", "DROP SCHEMA information_rebuild CASCADE"] {
                let _ = self.storage.run(statement, &[]);
            }
        }
    }
}

fn new_schema(url: &str) -> Result<Store> {
    let database = Database::new(SCHEMA, information::DATABASE.schema());
    let storage = Store::over_postgres(store::native::connect(url, SCHEMA)?, Address::of(SCHEMA, url));
    // For as long as this connection lasts.
    let alone = "SELECT pg_try_advisory_lock(hashtextextended('sugang information_rebuild', 0))";
    if storage.number(alone)? == 0 {
        bail!("the view is being made again by another already: let that end");
    }
    storage.run("DROP SCHEMA IF EXISTS information_rebuild CASCADE", &[])?;
    storage.migrate(&database)?;
    storage.run("SET synchronous_commit = off", &[])?;
    Ok(storage)
}

/// The events of one context, up to the last that was read.
struct Source {
    context: &'static str,
    store: Opened,
    last: i64,
}

struct NewView {
    storage: Store,
    rebuilt: Rebuilt,
}

impl NewView {
    /// Takes in what there is of a context's events and was not taken in yet.
    fn take_in(&mut self, source: &mut Source) -> Result<u64> {
        let context = source.context;
        let before = self.rebuilt.events;
        if !source.store.has("events")? {
            return Ok(0);
        }
        let mut batches = 0;
        self.storage.run("BEGIN", &[])?;
        loop {
            let events = self.read(source).with_context(|| format!("reading the events of `{context}`"))?;
            let Some(events) = events else { break };
            // It is told, and no time passes for it.
            let view = View { storage: self.storage.clone(), contract_records_days: u16::MAX };
            at_once(view.take_in(&events))
                .context("the view waited for something else than its store")?
                .with_context(|| format!("the view did not take in events of `{context}`"))?;
            self.rebuilt.events += events.len() as u64;
            batches += 1;
            if batches % BATCHES_IN_A_TRANSACTION == 0 {
                self.storage.run("COMMIT", &[])?;
                self.storage.run("BEGIN", &[])?;
            }
        }
        self.storage.run("COMMIT", &[])?;
        Ok(self.rebuilt.events - before)
    }

    /// The next batch; none when there is nothing more.
    fn read(&mut self, source: &mut Source) -> Result<Option<Vec<Envelope>>> {
        let sql = format!(
            "SELECT position, subject, version, type, data, time FROM events WHERE position > {} ORDER BY position LIMIT {BATCH}",
            source.last
        );
        let (mut events, mut any, context) = (Vec::with_capacity(BATCH), false, source.context);
        source.store.each(&sql, |row| {
            any = true;
            source.last = row.get("position")?;
            let (subject, version): (String, i64) = (row.get("subject")?, row.get("version")?);
            let event = Event::parse(row.text("type")?, row.text("data")?);
            match (event, row.text("time")?.parse()) {
                (Ok(event), Ok(time)) => {
                    events.push(Envelope::new(context, version.cast_unsigned(), time, event));
                }
                _ => self.rebuilt.unreadable.push(format!("{context} {subject}:{version}")),
            }
            Ok(())
        })?;
        Ok(any.then_some(events))
    }
}

fn swap(live: &Opened, scratch: &NewStore, view: &mut NewView, sources: &mut [Source]) -> Result<()> {
    let (old, new) = scratch.prefixes(live)?;
    match live {
        // The lock of the live file alone: the new view is still written by its own connection.
        Opened::Sqlite(_) => live.run("BEGIN; UPDATE main.counts SET rows = rows WHERE 0")?,
        Opened::Postgres(_) => {
            live.begin_alone(&["infomations", "timeline", "courses", "people", "counts"])?
        }
    }
    for source in sources {
        view.rebuilt.meanwhile += view.take_in(source)?;
    }
    for (table, key) in TABLES {
        let columns = live.columns(table)?.join(", ");
        let less = |columns: &str, one: &str, other: &str| {
            format!("SELECT {columns} FROM {one}.{table} EXCEPT SELECT {columns} FROM {other}.{table}")
        };
        let delete = format!("DELETE FROM {old}.{table} WHERE ({key}) IN");
        view.rebuilt.removed += live.execute(&format!("{delete} ({})", less(key, old, &new)))?;
        live.execute(&format!("{delete} (SELECT {key} FROM ({}) AS wrong)", less(&columns, old, &new)))?;
        let insert = format!("INSERT INTO {old}.{table} ({columns}) {}", less(&columns, &new, old));
        view.rebuilt.mended += live.execute(&insert)?;
    }
    // After the triggers of the live view have counted along.
    live.run(&format!("DELETE FROM {old}.counts; INSERT INTO {old}.counts SELECT * FROM {new}.counts"))?;
    view.rebuilt.rows = live.count(&format!("SELECT count(*) FROM {old}.infomations"))?;
    live.run("COMMIT")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ordered, stores_in};

    #[test]
    fn a_view_of_another_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        rebuild_information(&stores).unwrap();
        stores.open("information").unwrap().run("ALTER TABLE courses ADD COLUMN more BIGINT").unwrap();
        let refusal = rebuild_information(&stores).unwrap_err().to_string();
        assert!(refusal.contains("`courses`") && refusal.contains("another version"), "{refusal}");
    }

    #[test]
    fn a_history_longer_than_one_transaction_is_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let all = (BATCH * BATCHES_IN_A_TRANSACTION + 50) as i64;
        let time = kernel::Timestamp::from_millis(0).to_string();
        let data = ordered(5, 101, 1).to_data();
        let sql = format!(
            "WITH RECURSIVE n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < {all})
                INSERT INTO events (subject, version, type, data, time) SELECT '5', v, 'Ordered', '{data}', '{time}' FROM n"
        );
        stores.open("order").unwrap().run(&sql).unwrap();
        assert_eq!(rebuild_information(&stores).unwrap().events, all.cast_unsigned());
    }
}
