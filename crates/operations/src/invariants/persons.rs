//! Members: their list, and that nobody knows who somebody was who is erased.

use kernel::WantedMessages;
use kernel::event::{Event, Member};
use serde_json::Value;

use super::about;
use super::tables::differing;
use crate::check::Violation;
use crate::facts::{Facts, MemberRow, Told};

/// What may not be known of whoever is erased, as events call it.
const PERSONAL: [&str; 3] = ["name", "phone", "email"];

/// The list of members is what their events say.
pub(super) fn members(facts: &Facts) -> Vec<Violation> {
    let histories = facts.member.history.members.iter();
    let should = histories.filter_map(|(member, told)| Some((*member, member_row(told)?)));
    // The values are not for a report.
    let differences = |row: &MemberRow, should: &MemberRow| {
        let differs = !row.differences(should).is_empty();
        if differs { vec!["it says something else".to_owned()] } else { vec![] }
    };
    differing(&facts.member.members, should, differences)
        .into_iter()
        .map(|(member, what)| {
            let message = format!(
                "in the store `member` the row is not what the events say: {what}. `sugang rebuild member` makes the list again"
            );
            about("members-table", subject(member), message)
        })
        .collect()
}

fn subject(member: u64) -> String {
    format!("member {member}")
}

pub(crate) fn member_row(told: &[Told]) -> Option<MemberRow> {
    let first = told.first()?.event.person()?;
    let version = i64::try_from(told.last()?.version).ok()?;
    if let Event::MemberErased(erased) = &told.last()?.event {
        let erased_at = Some(erased.at.to_string());
        let (roles, messages) = ("[]".to_owned(), WantedMessages::All.to_string());
        return Some(MemberRow { roles, messages, erased_at, version, ..MemberRow::default() });
    }
    let now = told.last()?.event.person()?;
    Some(MemberRow {
        name: now.name.as_ref().map(|name| name.as_str().to_owned()),
        phone: now.phone.as_ref().map(|phone| phone.as_str().to_owned()),
        email: now.email.as_ref().map(|email| email.as_str().to_owned()),
        language: Some(now.language.as_str().to_owned()),
        roles: serde_json::to_string(&now.roles).ok()?,
        registered_at: Some(first.at.to_string()),
        erased_at: None,
        version,
        messages: now.messages.to_string(),
    })
}

/// Whoever is erased has no name, number or address in any store, nor in what was given up.
pub(super) fn erased_everywhere(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (member, told) in &facts.member.history.members {
        let Some(Told { event: Event::MemberErased(_), time, .. }) = told.last() else { continue };
        let mut tell = |place: &str, advice: &str| {
            let message = format!("they are erased, and {place}. {advice}");
            found.push(about("erased", subject(*member), message));
        };
        if told.iter().filter_map(|told| told.event.person()).any(is_somebody) {
            tell("an event in the store `member` still says who it was", "Find out who changed the store");
        }
        // Events are under way for a moment.
        if !facts.recent.is(*time) {
            let again = "`sugang events replay member` has the event told again";
            if facts.notification.reached.contains(member) {
                tell("`notification` still has their telephone", again);
            }
            if facts.information.named.contains(member) {
                tell("`information` still has their name", again);
            }
        }
        for letter in facts.log.iter().flat_map(|log| &log.dead) {
            if tells_of(&letter.text, *member) {
                let place = format!("the dead letter {} of {} says who it was", letter.id, letter.group);
                tell(&place, "Drop it: `sugang events drop` does");
            }
        }
    }
    found
}

fn is_somebody(member: &Member) -> bool {
    member.name.is_some() || member.phone.is_some() || member.email.is_some()
}

/// Whether a member had another telephone before, or is erased.
pub(super) fn has_left_a_number(facts: &Facts, member: u64) -> bool {
    let Some(told) = facts.member.history.members.get(&member) else { return false };
    let mut phones = told.iter().map(|told| told.event.person().and_then(|person| person.phone.as_ref()));
    let first = phones.next();
    // Whoever is erased has no telephone in any event.
    first == Some(None) || phones.any(|phone| Some(phone) != first)
}

/// Whether the text of an event says who a member is.
fn tells_of(text: &str, member: u64) -> bool {
    let Ok(event) = serde_json::from_str::<Value>(text) else { return false };
    let is_about = event.get("subject").and_then(Value::as_str) == Some(&*format!("member/{member}"));
    let data = event.get("data");
    is_about
        && PERSONAL
            .iter()
            .any(|name| data.and_then(|data| data.get(name)).is_some_and(|said| !said.is_null()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::Log;
    use crate::testing::{healthy, only};
    use eventlog::DeadLetter;
    use kernel::event::MemberErased;
    use kernel::{CustomerId, Language, PersonName, Phone, Role, Timestamp};

    fn member(name: Option<&str>) -> Member {
        Member {
            customer_id: CustomerId::parse(7).unwrap(),
            name: name.map(|name| PersonName::parse(name).unwrap()),
            phone: name.map(|_| Phone::parse("010-1234-5678").unwrap()),
            email: None,
            language: Language::Ko,
            messages: kernel::WantedMessages::All,
            roles: vec![Role::Customer],
            at: Timestamp::from_millis(0),
        }
    }

    fn registered(name: Option<&str>) -> Facts {
        healthy().with_history(|histories| histories.member(7, Event::MemberRegistered(member(name))))
    }

    fn erased(name: Option<&str>) -> Facts {
        let (customer_id, at) = (CustomerId::parse(7).unwrap(), Timestamp::from_millis(1));
        registered(name).with_history(|histories| {
            histories.member(7, Event::MemberErased(MemberErased { customer_id, at }));
        })
    }

    #[test]
    fn members_who_are_and_who_were_are_as_they_should_be() {
        only(&registered(Some("홍길동")), &[], "");
        only(&erased(None), &[], "");
    }

    #[test]
    fn a_list_that_says_something_else_is_told_without_the_name() {
        let mut facts = registered(Some("홍길동"));
        facts.member.members.get_mut(&7).unwrap().name = Some("임꺽정".to_owned());
        only(&facts, &["members-table"], "member 7");
        assert!(!format!("{:?}", members(&facts)).contains("임꺽정"));
    }

    #[test]
    fn whoever_is_erased_and_still_known_somewhere_is_told() {
        only(&erased(Some("홍길동")), &["erased"], "member 7");
        let mut facts = erased(None);
        facts.notification.reached.insert(7);
        only(&facts, &["erased"], "member 7");
        let mut facts = erased(None);
        facts.information.named.insert(7);
        only(&facts, &["erased"], "member 7");
    }

    #[test]
    fn what_was_sent_to_a_number_that_is_nobodys_any_more_is_missed_by_nobody() {
        let mut facts = erased(None);
        facts.inbox.remove("order:1:1");
        only(&facts, &[], "");
        let mut facts = registered(Some("홍길동"));
        facts.inbox.remove("order:1:1");
        only(&facts, &["delivered-once"], "order 1");
    }

    #[test]
    fn a_dead_letter_with_the_name_of_somebody_erased_is_told() {
        let letter = |subject: &str| DeadLetter {
            group: "information".to_owned(),
            id: "1-0".to_owned(),
            context: "member".to_owned(),
            entry: "1-0".to_owned(),
            reason: String::new(),
            at: String::new(),
            text: format!(r#"{{"subject":"{subject}","data":{{"name":"홍길동"}}}}"#),
        };
        let mut facts = erased(None);
        facts.log = Some(Log { dead: vec![letter("member/7"), letter("member/8")], ..Log::default() });
        assert_eq!(erased_everywhere(&facts).len(), 1);
    }
}
