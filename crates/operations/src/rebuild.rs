//! Making the view of `information` again, beside the live one, and swapping the two while the system runs.
//!
//! The rows come from the events of `order`, `pay` and `reservation`, by the very code that the component runs:
//! this is no check, and what it makes must be what the worker would have made.
//!
//! The swap is one transaction on the live file. It takes the write lock, so that the worker waits; folds in
//! what was decided meanwhile, so that the new view knows all that the live one knows; and puts right each row
//! that differs. Readers see the old view until it commits, and so does whoever comes after a crash.

use anyhow::{Context, Result, bail};
use eventlog::{Envelope, Worker, topology};
use information::View;
use kernel::event::Event;
use rusqlite::{Connection, params};
use store::native::{Sqlite, at_once};

use crate::replay::has_events;
use crate::scratch::Scratch;
use crate::stores::Stores;

/// How many events are handed over at once, as the drain does it.
const BATCH: usize = 100;

/// How often the new view is committed while it is made: nobody reads it before it is complete.
const BATCHES_IN_A_TRANSACTION: usize = 200;

/// The tables of the view, each with its key. `counts` follows from the first.
const TABLES: [(&str, &str); 3] =
    [("infomations", "order_id"), ("timeline", "order_id, context, version"), ("courses", "edu_no")];

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
    let live = stores.path("information").context("there is no store called `information`")?.to_owned();
    let connection = stores.open("information")?;
    same_schema(&connection)?;
    let scratch = Scratch::beside(&live, "rebuild")?;
    let mut sources = Vec::new();
    for context in topology::sources() {
        sources.push(Source { context, store: stores.open(context)?, last: 0 });
    }
    let mut view = NewView { storage: open(&scratch)?, rebuilt: Rebuilt::default() };
    for source in &mut sources {
        view.take_in(source)?;
    }
    swap(&connection, &scratch, &mut view, &mut sources)
        .context("swapping the views; the live one is as it was")?;
    Ok(view.rebuilt)
}

/// A view that another version made has other columns.
fn same_schema(live: &Connection) -> Result<()> {
    let version: i64 = live.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let ours = Sqlite::in_memory(&information::DATABASE)?;
    if version == 0 {
        bail!(
            "the store `information` has no tables yet: start the system once, and there will be nothing to rebuild"
        );
    }
    for (table, _) in TABLES {
        let sql = format!("SELECT group_concat(name) AS names FROM pragma_table_info('{table}')");
        let theirs: Option<String> = live.query_row(&sql, [], |row| row.get(0))?;
        let ours = ours.run(&sql, &[])?;
        if theirs.as_deref() != ours.first().and_then(|row| row.opt_text("names").ok().flatten()) {
            bail!(
                "the table `{table}` of the store `information` is of another version than this command: use the \
                 `sugang` that was installed with the running system"
            );
        }
    }
    Ok(())
}

/// Opens the file in which the new view is made.
fn open(scratch: &Scratch) -> Result<Sqlite> {
    let storage = Sqlite::file(scratch.path(), &information::DATABASE)
        .with_context(|| format!("cannot make the new view in {}", scratch.path().display()))?;
    // Worth nothing until it is complete, so it need not survive anything.
    storage.run("PRAGMA synchronous=OFF", &[])?;
    Ok(storage)
}

/// The events of one context, up to the last that was read.
struct Source {
    context: &'static str,
    store: Connection,
    last: i64,
}

struct NewView {
    storage: Sqlite,
    rebuilt: Rebuilt,
}

impl NewView {
    /// Takes in what there is of a context's events and was not taken in yet.
    fn take_in(&mut self, source: &mut Source) -> Result<u64> {
        let context = source.context;
        let before = self.rebuilt.events;
        if !has_events(&source.store)? {
            return Ok(0);
        }
        let mut batches = 0;
        self.storage.run("BEGIN", &[])?;
        loop {
            let events = self.read(source).with_context(|| format!("reading the events of `{context}`"))?;
            let Some(events) = events else { break };
            let view = View { storage: self.storage.clone() };
            at_once(view.handle(&events))
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
        let sql = "SELECT position, subject, version, type, data, time FROM events WHERE position > ? ORDER BY position LIMIT ?";
        let mut statement = source.store.prepare_cached(sql)?;
        let mut rows = statement.query(params![source.last, BATCH as i64])?;
        let (mut events, mut any) = (Vec::with_capacity(BATCH), false);
        while let Some(row) = rows.next()? {
            any = true;
            source.last = row.get(0)?;
            let (subject, version): (String, i64) = (row.get(1)?, row.get(2)?);
            let event = Event::parse(row.get_ref(3)?.as_str()?, row.get_ref(4)?.as_str()?);
            match (event, row.get_ref(5)?.as_str()?.parse()) {
                (Ok(event), Ok(time)) => events.push(Envelope {
                    id: format!("{subject}:{version}"),
                    source: source.context.to_owned(),
                    version: version.cast_unsigned(),
                    subject,
                    time,
                    traceparent: None,
                    event,
                }),
                _ => self.rebuilt.unreadable.push(format!("{} {subject}:{version}", source.context)),
            }
        }
        Ok(any.then_some(events))
    }
}

fn swap(live: &Connection, scratch: &Scratch, view: &mut NewView, sources: &mut [Source]) -> Result<()> {
    live.execute("ATTACH ? AS rebuilt", [scratch.path().to_string_lossy()])?;
    // The lock of the live file alone: the new view is still written by its own connection.
    live.execute_batch("BEGIN; UPDATE main.counts SET rows = rows WHERE 0")?;
    for source in sources {
        view.rebuilt.meanwhile += view.take_in(source)?;
    }
    for (table, key) in TABLES {
        let gone =
            format!("DELETE FROM main.{table} WHERE ({key}) NOT IN (SELECT {key} FROM rebuilt.{table})");
        view.rebuilt.removed += live.execute(&gone, [])? as u64;
        let wrong = format!(
            "INSERT OR REPLACE INTO main.{table} SELECT * FROM rebuilt.{table} EXCEPT SELECT * FROM main.{table}"
        );
        view.rebuilt.mended += live.execute(&wrong, [])? as u64;
    }
    // After the triggers of the live view have counted along.
    live.execute_batch("DELETE FROM main.counts; INSERT INTO main.counts SELECT * FROM rebuilt.counts")?;
    view.rebuilt.rows = live
        .query_row("SELECT count(*) FROM main.infomations", [], |row| row.get::<_, i64>(0))?
        .cast_unsigned();
    live.execute_batch("COMMIT")?;
    Ok(())
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
        stores.open("information").unwrap().execute_batch("ALTER TABLE courses ADD COLUMN more").unwrap();
        let refusal = rebuild_information(&stores).unwrap_err().to_string();
        assert!(refusal.contains("`courses`") && refusal.contains("another version"), "{refusal}");
    }

    #[test]
    fn a_history_longer_than_one_transaction_is_taken_in() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let all = (BATCH * BATCHES_IN_A_TRANSACTION + 50) as i64;
        let sql = "WITH RECURSIVE n (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < ?)
            INSERT INTO events (subject, version, type, data, time) SELECT '5', v, 'Ordered', ?, ? FROM n";
        let time = kernel::Timestamp::from_millis(0).to_string();
        let data = ordered(5, 101, 1).to_data();
        stores.open("order").unwrap().execute(sql, params![all, data, time]).unwrap();
        assert_eq!(rebuild_information(&stores).unwrap().events, all.cast_unsigned());
    }
}
