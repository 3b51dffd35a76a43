//! What customers are told: each event about an order once.

use std::collections::{BTreeMap, HashMap};

use super::persons::has_left_a_number;
use super::{about, about_order};
use crate::check::Violation;
use crate::facts::Facts;

/// Each event about an order has one message, and each message an event.
pub(super) fn one_for_each_event(facts: &Facts) -> Vec<Violation> {
    let mut written: HashMap<&str, u64> = HashMap::new();
    for message in &facts.notification.messages {
        *written.entry(&message.id).or_default() += 1;
    }
    let mut found = Vec::new();
    for (context, history) in facts.histories() {
        for (order, told) in &history.orders {
            for told in told {
                match written.remove(format!("{context}:{order}:{}", told.version).as_str()) {
                    Some(1) => {}
                    Some(times) => found.push(doubled(*order, told.event.name(), times)),
                    None if facts.rests(*order) => {
                        let message = format!(
                            "nobody was told of its `{}` (event {} of `{context}`). `sugang replay {context}` has \
                             `notification` look at it again",
                            told.event.name(),
                            told.version
                        );
                        found.push(about_order("told-once", *order, message));
                    }
                    None => {}
                }
            }
        }
    }
    // Messages are read before the events that they are about, so that these can be no newer ones.
    let of: BTreeMap<&str, u64> = facts
        .notification
        .messages
        .iter()
        .filter(|message| written.contains_key(message.id.as_str()))
        .map(|message| (message.id.as_str(), message.order))
        .collect();
    for (id, order) in of {
        let message = format!(
            "the message `{id}` is about no event that there is. The customer was told of something twice, or of \
             something that was undone since; write to them"
        );
        found.push(about_order("told-once", order, message));
    }
    found
}

fn doubled(order: u64, event: &str, times: u64) -> Violation {
    let message = format!(
        "there are {times} messages about one and the same `{event}`. Delete those that are still Pending"
    );
    about_order("told-once", order, message)
}

/// How the ids of those begin that `member` sends, who keeps none of them: codes, and invitations.
const OF_MEMBER: [&str; 2] = ["code:", "invitation:"];

/// What is sent is in the inbox, once; nothing waits for long, and nothing was given up.
pub(super) fn each_delivered_once(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut unexpected = facts.inbox.keys().map(String::as_str).collect::<std::collections::HashSet<_>>();
    for message in &facts.notification.messages {
        let arrived = facts.inbox.get(&message.id).copied().unwrap_or(0);
        unexpected.remove(message.id.as_str());
        let problem = match (message.status.as_str(), arrived) {
            ("Sent", 1) => continue,
            _ if message.is_emptied => continue,
            // The customer wants to hear only what is needed.
            ("Unwanted", 0) => continue,
            (_, 2..) => format!("reached the customer {arrived} times. Apologise"),
            ("Failed", _) => {
                "was given up after its last try (its `problem` says why). Mend the channel, then set its \
                              `status` to Pending and `attempts` to 0"
                    .to_owned()
            }
            // The inbox is read before the messages: what was sent in between may not be seen there yet.
            (_, _) if facts.recent.is(message.changed_at) || !facts.rests(message.order) => continue,
            // What was sent to a number that somebody has no more went out of the inbox with it.
            ("Sent", _) if message.customer.is_some_and(|customer| has_left_a_number(facts, customer)) => {
                continue;
            }
            ("Sent", _) => {
                "is marked as sent, and is not in the customer's inbox. Set its `status` to Pending"
                    .to_owned()
            }
            (status, _) => format!(
                "has been `{status}` since {}. Look whether the worker of `notification` runs, and what it logs",
                message.changed_at
            ),
        };
        found.push(about_order(
            "delivered-once",
            message.order,
            format!("the message `{}` {problem}", message.id),
        ));
    }
    // The inbox was read first, and a message is written before it is sent.
    for id in unexpected.into_iter().filter(|id| !OF_MEMBER.iter().any(|of| id.starts_with(of))) {
        let message = "is in the customer's inbox, and `notification` knows of no such message: its store was put back, \
                       or the message was written under another id before. The customer may be told the same again";
        found.push(about("delivered-once", format!("message {id}"), message.to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::{healthy, only};

    #[test]
    fn a_change_that_nobody_was_told_of_is_told() {
        let mut facts = healthy();
        let message = facts.notification.messages.remove(0);
        facts.inbox.remove(&message.id);
        *facts.notification.tallies.get_mut("Sent").unwrap() -= 1;
        only(&facts, &["told-once"], "order 1");
    }

    #[test]
    fn what_a_message_said_long_ago_need_not_be_known_any_more() {
        let mut facts = healthy();
        let message = &mut facts.notification.messages[0];
        message.is_emptied = true;
        facts.inbox.remove(&message.id);
        only(&facts, &[], "");
        facts.notification.messages[0].is_emptied = false;
        only(&facts, &["delivered-once"], "order 1");
    }

    #[test]
    fn what_member_sends_is_missed_by_nobody() {
        let mut facts = healthy();
        facts.inbox.extend(["code:1", "invitation:1"].map(|id| (id.to_owned(), 1)));
        only(&facts, &[], "");
        facts.inbox.insert("other:1".to_owned(), 1);
        only(&facts, &["delivered-once"], "message other:1");
    }

    #[test]
    fn a_message_told_twice_under_another_name_is_told() {
        let mut facts = healthy();
        let mut again = facts.notification.messages[0].clone();
        again.id.push_str(":again");
        facts.inbox.insert(again.id.clone(), 1);
        facts.notification.messages.push(again);
        *facts.notification.tallies.get_mut("Sent").unwrap() += 1;
        only(&facts, &["told-once"], "order 1");
    }

    #[test]
    fn a_message_that_was_lost_or_arrived_twice_is_told() {
        for arrived in [0, 2] {
            let mut facts = healthy();
            facts.inbox.insert("order:1:1".to_owned(), arrived);
            only(&facts, &["delivered-once"], "order 1");
        }
    }

    #[test]
    fn a_message_about_what_happened_a_moment_ago_may_be_on_its_way() {
        let on_its_way = |facts: &mut crate::facts::Facts| {
            let message = &mut facts.notification.messages[0];
            message.status = "Pending".to_owned();
            facts.inbox.remove(&message.id);
            *facts.notification.tallies.get_mut("Sent").unwrap() -= 1;
            facts.notification.tallies.insert("Pending".to_owned(), 1);
        };
        only(&healthy().busy(on_its_way, 1), &[], "");
        only(&healthy().busy(on_its_way, 2), &["delivered-once"], "order 1");
    }

    #[test]
    fn a_message_that_was_given_up_is_told() {
        let mut facts = healthy();
        facts.notification.messages[0].status = "Failed".to_owned();
        facts.notification.tallies =
            [("Failed".to_owned(), 1), ("Sent".to_owned(), facts.notification.messages.len() as i64 - 1)]
                .into();
        only(&facts, &["delivered-once"], "order 1");
    }

    #[test]
    fn a_message_that_nobody_wrote_or_wrote_twice_or_never_sent_is_told() {
        let mut facts = healthy();
        facts.inbox.insert("order:9:1".to_owned(), 1);
        only(&facts, &["delivered-once"], "message order:9:1");
        let mut facts = healthy();
        facts.notification.messages.push(facts.notification.messages[0].clone());
        *facts.notification.tallies.get_mut("Sent").unwrap() += 1;
        only(&facts, &["told-once"], "order 1");
        let mut facts = healthy();
        facts.notification.messages[0].status = "Pending".to_owned();
        facts.inbox.remove(&facts.notification.messages[0].id);
        *facts.notification.tallies.get_mut("Sent").unwrap() -= 1;
        facts.notification.tallies.insert("Pending".to_owned(), 1);
        only(&facts, &["delivered-once"], "order 1");
    }
}
