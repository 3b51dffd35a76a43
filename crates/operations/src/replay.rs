//! Sending events again, from the stores: for when the event log has lost some, or all.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kernel::Timestamp;
use rusqlite::{Connection, params};

use crate::event_log::CONSUMERS;
use crate::stores::Stores;

/// How many events are marked in one transaction: few enough that no order waits for it noticeably.
const CHUNK: i64 = 2_000;

/// Between two of them others get their turn.
const PAUSE: Duration = Duration::from_millis(5);

/// Puts events back into the outbox of each of `contexts` (of all where there are none), those decided at or
/// after `since`. Their relay sends them with the next tick, and consumers change nothing that they have done.
///
/// Says for each context how many. May be broken off anywhere, and done again.
pub fn replay(
    stores: &Stores,
    contexts: &[String],
    since: Option<Timestamp>,
) -> Result<Vec<(&'static str, u64)>> {
    let known = CONSUMERS.map(|(context, _)| context);
    if let Some(unknown) = contexts.iter().find(|context| !known.contains(&context.as_str())) {
        bail!("`{unknown}` sends no events; those that do are {}", known.join(", "));
    }
    let wanted =
        known.into_iter().filter(|context| contexts.is_empty() || contexts.iter().any(|c| c == context));
    let mut marked = Vec::new();
    for context in wanted {
        let store = stores.open(context)?;
        let count =
            mark(&store, since).with_context(|| format!("marking the events of `{context}` as not sent"))?;
        marked.push((context, count));
    }
    Ok(marked)
}

fn mark(store: &Connection, since: Option<Timestamp>) -> Result<u64> {
    if !has_events(store)? {
        return Ok(0);
    }
    // A relay that stands still with something to mark would mark what is about to be sent again.
    if has_table(store, "stream")? {
        store.execute("UPDATE stream SET epoch = epoch + 1", [])?;
    }
    let first = first_since(store, since)?;
    let last: i64 = store.query_row("SELECT coalesce(max(seq), 0) FROM events", [], |row| row.get(0))?;
    let (mut from, mut marked) = (first, 0);
    // Oldest first, so that they stand in the stream in their order again, even while the relay is at it.
    while from <= last {
        let changed = store.execute(
            "UPDATE events SET sent = 0 WHERE seq >= ?1 AND seq <= ?2 AND sent <> 0",
            params![from, last.min(from + CHUNK - 1)],
        )?;
        marked += changed as u64;
        from += CHUNK;
        thread::sleep(PAUSE);
    }
    Ok(marked)
}

/// The first event of that time. All that come after it are sent with it, whatever their clocks said, so that
/// they stand in the stream in their order.
fn first_since(store: &Connection, since: Option<Timestamp>) -> rusqlite::Result<i64> {
    let Some(since) = since else { return Ok(1) };
    // Times are all written alike, so that as texts they compare as times do.
    let sql = "SELECT coalesce(min(seq), 9223372036854775807) FROM events WHERE time >= ?";
    store.query_row(sql, [since.to_string()], |row| row.get(0))
}

pub(crate) fn has_events(store: &Connection) -> rusqlite::Result<bool> {
    has_table(store, "events")
}

fn has_table(store: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?";
    store.query_row(sql, [name], |row| row.get::<_, i64>(0)).map(|tables| tables > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stores_in;

    fn unsent(stores: &Stores, context: &str) -> Vec<i64> {
        let store = stores.open(context).unwrap();
        let mut statement = store.prepare("SELECT seq FROM events WHERE sent = 0 ORDER BY seq").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn events_are_sent_again_from_a_time_on_of_the_contexts_that_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        for context in ["order", "pay"] {
            let store = stores.open(context).unwrap();
            for (seq, time) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
                let time = Timestamp::from_millis(time).to_string();
                let sql = "INSERT INTO events (seq, subject, version, type, data, time, sent) VALUES (?, '1', ?, '', '', ?, 7)";
                store.execute(sql, params![seq, seq, time]).unwrap();
            }
        }
        // Nobody has asked anything of it yet, so that it has no tables.
        stores.open("reservation").unwrap().execute_batch("DROP TABLE events; DROP TABLE stream").unwrap();
        let since = Some(Timestamp::from_millis(2_000));
        assert_eq!(replay(&stores, &["pay".to_owned()], since).unwrap(), [("pay", 2)]);
        assert_eq!((unsent(&stores, "order"), unsent(&stores, "pay")), (vec![], vec![2, 3]));
        let all = replay(&stores, &[], None).unwrap();
        assert_eq!(all, [("order", 3), ("pay", 1), ("reservation", 0)]);
        assert_eq!(unsent(&stores, "order"), [1, 2, 3]);
    }

    #[test]
    fn a_context_that_sends_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = replay(&stores_in(folder.path()), &["information".to_owned()], None).unwrap_err();
        assert!(refusal.to_string().contains("order, pay, reservation"), "{refusal}");
    }

    #[test]
    fn a_long_log_is_sent_again_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let all = 2 * CHUNK + 500;
        let sql = "WITH RECURSIVE n (seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
            INSERT INTO events (subject, version, type, data, time, sent) SELECT seq, 1, '', '', '', 7 FROM n";
        stores.open("pay").unwrap().execute(sql, [all]).unwrap();
        assert_eq!(replay(&stores, &["pay".to_owned()], None).unwrap(), [("pay", all.cast_unsigned())]);
    }

    #[test]
    fn others_get_their_turn_between_two_parts_of_a_long_log() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let store = stores.open("pay").unwrap();
        // With nothing in between, so that what takes time is the pauses.
        for seq in [1, 100 * CHUNK] {
            let sql = "INSERT INTO events (seq, subject, version, type, data, time, sent)
                VALUES (?, ?, 1, '', '', '', 7)";
            store.execute(sql, params![seq, seq]).unwrap();
        }
        let begun = std::time::Instant::now();
        assert_eq!(replay(&stores, &["pay".to_owned()], None).unwrap(), [("pay", 2)]);
        assert!(begun.elapsed() >= PAUSE * 100, "{:?}", begun.elapsed());
    }
}
