//! That nothing stays under way: outboxes, consumer groups, dead letters.

use super::about;
use crate::check::Violation;
use crate::event_log::Group;
use crate::facts::Facts;

/// Whatever was decided is sent.
pub(super) fn outboxes(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (context, history) in facts.histories() {
        let unsent = history.all().filter(|told| !told.sent && !facts.recent.is(told.time));
        let times: Vec<_> = unsent.map(|told| told.time).collect();
        let Some(oldest) = times.iter().min() else { continue };
        let message = format!(
            "{} of its events were not sent, the oldest since {oldest}. They are sent on the next tick after Redis can \
             be reached: look whether Redis, the tick and the worker of `{context}` run, and what it logs",
            times.len()
        );
        found.push(about("outbox", format!("context {context}"), message));
    }
    found
}

/// Whatever was sent is read and acknowledged by every group.
pub(super) fn groups(facts: &Facts) -> Vec<Violation> {
    let groups = facts.log.iter().flat_map(|log| &log.groups);
    groups.filter_map(|group| behind(facts, group)).collect()
}

fn behind(facts: &Facts, group: &Group) -> Option<Violation> {
    let Group { name, context, .. } = group;
    let late = |waited| waited >= facts.recent.grace;
    let problem = if let Some(waited) = group.unread_for.filter(|waited| late(*waited)) {
        format!("it has not read events of `{context}` for {waited:.0?}")
    } else if group.pending > 0 && late(group.pending_for) {
        format!(
            "{} events of `{context}` that it read are not acknowledged, the oldest for {:.0?}",
            group.pending, group.pending_for
        )
    } else {
        return None;
    };
    let message = format!(
        "{problem}. Look whether the worker of `{name}` and the tick run, and what it logs; it goes on by itself"
    );
    Some(about("lag", format!("group {name}"), message))
}

/// Nothing was given up.
pub(super) fn dead_letters(facts: &Facts) -> Vec<Violation> {
    let letters = facts.log.iter().flat_map(|log| &log.dead);
    let violation = |letter: &crate::dead_letters::DeadLetter| {
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
    use crate::dead_letters::DeadLetter;
    use crate::event_log::{Group, Log};
    use crate::testing::{healthy, only};
    use std::time::Duration;

    #[test]
    fn an_event_that_was_not_sent_is_told() {
        let facts = healthy().with_history(|history| history.pay.orders.get_mut(&1).unwrap()[0].sent = false);
        only(&facts, &["outbox"], "context pay");
    }

    fn group(unread_for: Option<Duration>, pending: u64) -> Log {
        let pending_for = Duration::from_secs(10);
        Log {
            groups: vec![Group {
                name: "information".to_owned(),
                context: "pay",
                unread_for,
                pending,
                pending_for,
            }],
            dead: vec![],
        }
    }

    #[test]
    fn a_group_that_is_behind_is_told_once_it_has_had_its_time() {
        let mut facts = healthy();
        facts.log = Some(group(None, 0));
        only(&facts, &[], "");
        for behind in [group(Some(Duration::from_secs(10)), 0), group(None, 1)] {
            facts.log = Some(behind);
            facts.recent.grace = Duration::ZERO;
            only(&facts, &["lag"], "group information");
            facts.recent.grace = Duration::from_secs(60);
            only(&facts, &[], "");
        }
    }

    #[test]
    fn a_dead_letter_is_told_with_its_reason() {
        let mut facts = healthy();
        let text = r#"{"type":"sugang.pay.Paid","subject":"1"}"#.to_owned();
        facts.log = Some(Log {
            groups: vec![],
            dead: vec![DeadLetter {
                group: "order".to_owned(),
                id: "1-0".to_owned(),
                context: "pay".to_owned(),
                entry: "1-0".to_owned(),
                reason: "no such column: x".to_owned(),
                at: "today".to_owned(),
                text,
            }],
        });
        only(&facts, &["dead-letter"], "group order");
        let told = crate::invariants::broken(&facts);
        assert!(
            told[0].message.contains("Paid of order 1") && told[0].message.contains("no such column"),
            "{told:?}"
        );
    }
}
