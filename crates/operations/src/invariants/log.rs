//! That nothing stays under way: relays, consumer groups, dead letters.

use eventlog::EntryId;
use kernel::Timestamp;

use super::about;
use crate::check::Violation;
use crate::event_log::{Group, Log};
use crate::facts::{Facts, History};

/// Whatever was decided is in its stream, or was acknowledged by all.
pub(super) fn relays(facts: &Facts) -> Vec<Violation> {
    let Some(log) = &facts.log else { return Vec::new() };
    let histories = facts.histories();
    histories.iter().filter_map(|(context, history)| not_sent(facts, log, context, history)).collect()
}

fn not_sent(facts: &Facts, log: &Log, context: &str, history: &History) -> Option<Violation> {
    let tell = |message| Some(about("outbox", format!("context {context}"), message));
    let end = log.ends.get(context).copied().unwrap_or_default();
    let newest = history.all().filter_map(|told| told.position).max().unwrap_or(0);
    let row = history.log;
    if end.generation > row.generation || (end.generation == row.generation && end.position > newest) {
        return tell(format!(
            "its stream ends at {end}, and its store at {}-{newest}: the stream belongs to another store, so that nothing \
             is sent. Look whether Redis and the state directory belong together; if the store is right, delete the stream",
            row.generation
        ));
    }
    let sent = if end.generation == row.generation { end.position.max(row.floor) } else { row.floor };
    let unsent = history
        .all()
        .filter(|told| told.position.is_none_or(|position| position > sent) && !facts.recent.is(told.time));
    let times: Vec<_> = unsent.map(|told| told.time).collect();
    let oldest = times.iter().min()?;
    tell(format!(
        "{} of its events were not sent, the oldest since {oldest}. They are sent on the next tick after Redis can \
         be reached: look whether Redis, the tick and the worker of `{context}` run, and what it logs",
        times.len()
    ))
}

/// Whatever was sent is read and acknowledged by every group.
pub(super) fn groups(facts: &Facts) -> Vec<Violation> {
    let groups = facts.log.iter().flat_map(|log| &log.groups);
    groups.filter_map(|group| behind(facts, group)).collect()
}

fn behind(facts: &Facts, group: &Group) -> Option<Violation> {
    let Group { name, context, .. } = group;
    let late =
        |id: &EntryId| facts.recent.grace.is_zero() || !facts.recent.is(decided_at(facts, context, *id));
    let problem = if let Some(id) = group.unread.filter(late) {
        format!("it has not read events of `{context}` since {}", decided_at(facts, context, id))
    } else if let Some(id) = group.oldest_pending.filter(late) {
        format!(
            "{} events of `{context}` that it read are not acknowledged, the oldest of {}",
            group.pending,
            decided_at(facts, context, id)
        )
    } else {
        return None;
    };
    let message = format!(
        "{problem}. Look whether the worker of `{name}` and the tick run, and what it logs; it goes on by itself"
    );
    Some(about("lag", format!("group {name}"), message))
}

/// When an event was decided; long ago where no store has it.
fn decided_at(facts: &Facts, context: &str, id: EntryId) -> Timestamp {
    let histories = facts.histories();
    let history = histories.iter().find(|(known, _)| *known == context);
    let told = history.and_then(|(_, history)| history.all().find(|told| told.position == Some(id.position)));
    told.map_or(Timestamp::from_millis(0), |told| told.time)
}

/// Nothing was given up.
pub(super) fn dead_letters(facts: &Facts) -> Vec<Violation> {
    let letters = facts.log.iter().flat_map(|log| &log.dead);
    let violation = |letter: &eventlog::DeadLetter| {
        let message = format!(
            "it gave up on {} at {}: {}. `sugang events show {}` says more",
            letter.what(),
            letter.at,
            letter.reason,
            letter.id
        );
        about("dead-letter", format!("group {}", letter.group), message)
    };
    letters.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{healthy, only};
    use eventlog::DeadLetter;
    use std::time::Duration;

    fn with(log: Log) -> Facts {
        let mut facts = healthy();
        let ends = facts.histories().map(|(context, history)| {
            let position = history.all().filter_map(|told| told.position).max().unwrap_or(0);
            (context, EntryId { generation: history.log.generation, position })
        });
        let ends = if log.ends.is_empty() { ends.into() } else { log.ends };
        facts.log = Some(Log { ends, ..log });
        facts
    }

    fn ending(generation: u64, before_the_last: u64) -> Facts {
        let mut facts = with(Log::default());
        let end = facts.log.as_mut().unwrap().ends.get_mut("pay").unwrap();
        *end = EntryId { generation, position: end.position - before_the_last };
        facts
    }

    #[test]
    fn an_event_that_was_not_sent_is_told() {
        only(&ending(0, 0), &[], "");
        only(&ending(0, 1), &["outbox"], "context pay");
        let mut acknowledged = ending(0, 1);
        acknowledged.pay.history.log.floor = u64::MAX;
        only(&acknowledged, &[], "");
    }

    #[test]
    fn a_stream_of_another_store_is_told() {
        only(&ending(1, 1), &["outbox"], "context pay");
        let told = crate::invariants::broken(&ending(1, 1));
        assert!(told[0].message.contains("belongs to another store"), "{told:?}");
    }

    #[test]
    fn an_event_that_is_to_be_sent_again_and_was_not_is_told() {
        let mut facts = ending(0, 0);
        facts.pay.history.log.generation = 1;
        only(&facts, &["outbox"], "context pay");
    }

    #[test]
    fn an_event_that_has_no_place_in_the_log_yet_is_not_sent_yet() {
        let mut facts = with(Log::default());
        only(&facts, &[], "");
        let told = facts.pay.history.orders.get_mut(&1).unwrap().first_mut().unwrap();
        told.position = None;
        only(&facts, &["outbox"], "context pay");
    }

    fn group(unread: bool, pending: u64) -> Log {
        let oldest = EntryId { generation: 0, position: 6 };
        Log {
            groups: vec![Group {
                name: "information",
                context: "pay",
                unread: unread.then_some(oldest),
                pending,
                oldest_pending: (pending > 0).then_some(oldest),
            }],
            ..Log::default()
        }
    }

    #[test]
    fn a_group_that_is_behind_is_told_once_it_has_had_its_time() {
        only(&with(group(false, 0)), &[], "");
        for behind in [group(true, 0), group(false, 1)] {
            let mut facts = with(behind);
            only(&facts, &["lag"], "group information");
            facts.recent.grace = Duration::from_secs(60 * 60 * 24 * 365);
            let lag = crate::invariants::broken(&facts).iter().any(|told| told.invariant == "lag");
            assert!(!lag);
        }
    }

    #[test]
    fn a_dead_letter_is_told_with_its_reason() {
        let text = r#"{"type":"sugang.pay.Paid","subject":"1"}"#.to_owned();
        let facts = with(Log {
            dead: vec![DeadLetter {
                group: "order".to_owned(),
                id: "1-0".to_owned(),
                context: "pay".to_owned(),
                entry: "1-0".to_owned(),
                reason: "no such column: x".to_owned(),
                at: "today".to_owned(),
                text,
            }],
            ..Log::default()
        });
        only(&facts, &["dead-letter"], "group order");
        let told = crate::invariants::broken(&facts);
        assert!(
            told[0].message.contains("Paid of order 1") && told[0].message.contains("no such column"),
            "{told:?}"
        );
    }
}
