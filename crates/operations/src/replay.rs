//! Sending events again, from the stores: for a consumer that is new, or lost what it knew.

use anyhow::{Context, Result, bail};
use eventlog::topology;
use kernel::Timestamp;

use crate::opened::Opened;
use crate::stores::Stores;
use crate::trail::note_command;

/// Has the events of each of `contexts` (of all where there are none) sent again, those decided at or after `since`.
/// Their relay sends them with the next tick, in a new generation of their stream, and consumers change nothing that
/// they have done.
///
/// Says for each context how many.
pub fn replay(
    stores: &Stores,
    contexts: &[String],
    since: Option<Timestamp>,
) -> Result<Vec<(&'static str, u64)>> {
    let known: Vec<_> = topology::sources().collect();
    if let Some(unknown) = contexts.iter().find(|context| !known.contains(&context.as_str())) {
        bail!("`{unknown}` sends no events; those that do are {}", known.join(", "));
    }
    let wanted =
        known.into_iter().filter(|context| contexts.is_empty() || contexts.iter().any(|c| c == context));
    let wanted: Vec<_> = wanted.collect();
    note_command(stores, "EventsReplayed", &wanted)?;
    let mut sent_again = Vec::new();
    for context in wanted {
        let store = stores.open(context)?;
        let events =
            again(&store, since).with_context(|| format!("sending the events of `{context}` again"))?;
        sent_again.push((context, events));
    }
    Ok(sent_again)
}

/// Begins a new generation at the first event of that time, and says how many there are from there on. One statement: a
/// relay that is at it sends in the old generation, or in the new.
///
/// Events that have no position yet are sent in any case, once they have one.
pub(crate) fn again(store: &Opened, since: Option<Timestamp>) -> Result<u64> {
    if !store.has("events")? {
        return Ok(0);
    }
    let first = first_since(store, since)?;
    let events = store.count(&format!("SELECT count(*) FROM events WHERE position >= {first}"))?;
    if events > 0 {
        store.execute(&format!(
            "UPDATE log SET generation = generation + 1, floor = CASE WHEN floor < {first} THEN floor ELSE {first} - 1 END"
        ))?;
    }
    Ok(events)
}

/// The first event of that time. All that come after it are sent with it, whatever their clocks said, so that
/// they stand in the stream in their order.
fn first_since(store: &Opened, since: Option<Timestamp>) -> Result<i64> {
    let Some(since) = since else { return Ok(1) };
    // Times are all written alike, so that as texts they compare as times do.
    let first = store.number(&format!("SELECT min(position) FROM events WHERE time >= '{since}'"))?;
    Ok(first.unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stores_in;
    use store::native::Engine;

    store::on_postgres!(
        events_are_sent_again_from_a_time_on_of_the_contexts_that_are_named,
        where_there_is_nothing_to_send_again_no_generation_begins,
    );

    /// The generation and the floor.
    fn log(stores: &Stores, context: &'static str) -> (i64, i64) {
        let number = |sql| stores.open(context).unwrap().number(sql).unwrap().unwrap();
        (number("SELECT generation FROM log"), number("SELECT floor FROM log"))
    }

    #[test]
    fn events_are_sent_again_from_a_time_on_of_the_contexts_that_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        for context in ["order", "pay"] {
            let store = stores.open(context).unwrap();
            for (position, time) in [(1, 1_000), (2, 2_000), (3, 3_000)] {
                let time = Timestamp::from_millis(time).to_string();
                let values = format!("({position}, '1', {position}, '', '', '{time}')");
                store
                    .run(&format!(
                        "INSERT INTO events (position, subject, version, type, data, time) VALUES {values}"
                    ))
                    .unwrap();
            }
            store.run("UPDATE log SET floor = 3").unwrap();
        }
        let since = Some(Timestamp::from_millis(2_000));
        assert_eq!(replay(&stores, &["pay".to_owned()], since).unwrap(), [("pay", 2)]);
        assert_eq!((log(&stores, "order"), log(&stores, "pay")), ((1, 3), (2, 1)));
        // Nobody has asked anything of it yet, so that it has no tables.
        let tables = match Engine::current() {
            Engine::Sqlite => "DROP TABLE events; DROP TABLE log",
            Engine::Postgres => "DROP TABLE events CASCADE; DROP TABLE log CASCADE",
        };
        stores.open("reservation").unwrap().run(tables).unwrap();
        let all = replay(&stores, &[], None).unwrap();
        assert_eq!(all, [("order", 3), ("pay", 3), ("reservation", 0), ("member", 0)]);
        assert_eq!((log(&stores, "order"), log(&stores, "pay")), ((2, 0), (3, 0)));
    }

    #[test]
    fn where_there_is_nothing_to_send_again_no_generation_begins() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        assert_eq!(replay(&stores, &["pay".to_owned()], None).unwrap(), [("pay", 0)]);
        assert_eq!(log(&stores, "pay"), (1, 0));
    }

    #[test]
    fn a_context_that_sends_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = replay(&stores_in(folder.path()), &["information".to_owned()], None).unwrap_err();
        assert!(refusal.to_string().contains("order, pay, reservation"), "{refusal}");
    }
}
