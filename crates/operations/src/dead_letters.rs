//! What a group failed to handle every time: looked at, handed to it again, or thrown away.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use eventlog::keys;
use eventlog::topology::CONSUMERS;
use redis::Connection;
use serde::Serialize;
use serde_json::Value;

use crate::event_log::connect;

/// How many are read at once.
const PAGE: usize = 500;

/// Gives an event back to the group that gave it up, and to it alone, and takes it from the dead letters, in one step.
const REPLAY: &str = "
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'e', ARGV[2], 'stream', ARGV[3], 'id', ARGV[4])
redis.call('PUBLISH', KEYS[3], 'event')
return 1";

/// One event that one group gave up on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Who could not handle it: a group goes by its context's name.
    pub group: String,
    /// Its own id among the dead letters of the group.
    pub id: String,
    /// The context whose event it is, or was meant to be.
    pub context: String,
    /// The id that it had in its stream.
    pub entry: String,
    /// What the handler, or the reader before it, said.
    pub reason: String,
    /// When it was given up.
    pub at: String,
    /// The event as it was read; not always an event.
    pub text: String,
}

impl DeadLetter {
    /// What it is, as far as that can be read: `Paid of order 1113`.
    pub fn what(&self) -> String {
        let Ok(event) = serde_json::from_str::<Value>(&self.text) else {
            return "something that is no event".to_owned();
        };
        let field = |name: &str| event.get(name).and_then(Value::as_str);
        let (Some(kind), Some(subject)) = (field("type"), field("subject")) else {
            return "something that is no event".to_owned();
        };
        let name = kind.rsplit('.').next().unwrap_or(kind);
        match subject.split_once('/') {
            Some((kind, number)) => format!("{name} of {kind} {number}"),
            None => format!("{name} of order {subject}"),
        }
    }

    /// Why it is here, and what can be done, in words.
    pub fn advice(&self) -> &'static str {
        let says = |sign: &str| self.reason.contains(sign);
        if says("not a CloudEvent") || says("this application does not write") {
            "It was read once: it is nothing that Sugang writes, so that no trying helps. Find out who else writes to \
             this Redis, then drop it."
        } else if says("there is no event called") || says("cannot be read:") {
            "It was read once: this version does not know such an event. If a newer version wrote it, install that one, \
             then replay it; otherwise drop it."
        } else if says("did not come back") {
            "Each of five tries ended in a crash or ran out of time. Look for the group's name in the log of the host \
             around that time, mend the cause, then replay it."
        } else {
            "Each of five tries failed for this reason. Mend the cause, then replay it."
        }
    }
}

/// The dead letters in the Redis at `redis_url`, oldest first in each group; of one group, or of all.
pub fn dead_letters(redis_url: &str, group: Option<&str>) -> Result<Vec<DeadLetter>> {
    list(&mut connect(redis_url)?, group)
}

pub(crate) fn list(redis: &mut Connection, group: Option<&str>) -> Result<Vec<DeadLetter>> {
    let groups = CONSUMERS.each_ref().map(|consumer| consumer.name);
    if let Some(group) = group
        && !groups.contains(&group)
    {
        bail!("there is no group `{group}`; the groups are {}", groups.join(", "));
    }
    let mut found = Vec::new();
    for name in groups.into_iter().filter(|name| group.is_none_or(|group| group == *name)) {
        let mut from = "-".to_owned();
        loop {
            let page: Vec<(String, HashMap<String, String>)> = redis::cmd("XRANGE")
                .arg(keys::dead_letters(name))
                .arg(&from)
                .arg("+")
                .arg("COUNT")
                .arg(PAGE)
                .query(redis)?;
            let Some((last, _)) = page.last() else { break };
            from = format!("({last}");
            found.extend(page.into_iter().map(|(id, fields)| read(name, id, fields)));
        }
    }
    Ok(found)
}

fn read(group: &str, id: String, mut fields: HashMap<String, String>) -> DeadLetter {
    let mut field = |name: &str| fields.remove(name).unwrap_or_default();
    let stream = field("stream");
    DeadLetter {
        group: group.to_owned(),
        id,
        context: stream.strip_prefix("sugang:events:").unwrap_or(&stream).to_owned(),
        entry: field("id"),
        reason: field("reason"),
        at: field("at"),
        text: field("e"),
    }
}

/// The one that `id` names. Two groups may have given up within the same millisecond, and then have one of the
/// same id each: then the group has to be said.
pub fn find(letters: Vec<DeadLetter>, id: &str) -> Result<DeadLetter> {
    let mut named: Vec<_> = letters.into_iter().filter(|letter| letter.id == id).collect();
    match (named.pop(), named.len()) {
        (Some(letter), 0) => Ok(letter),
        (Some(other), _) => {
            let groups: Vec<_> = named.iter().chain([&other]).map(|letter| letter.group.as_str()).collect();
            bail!("the groups {} each have a dead letter {id}: say which with --group", groups.join(", "))
        }
        (None, _) => bail!("there is no dead letter {id}; `sugang events list` shows those that there are"),
    }
}

/// Has its group handle it again; false where somebody else has replayed or dropped it meanwhile.
pub fn replay_dead_letter(redis_url: &str, letter: &DeadLetter) -> Result<bool> {
    let mut redis = connect(redis_url)?;
    redis::cmd("EVAL")
        .arg(REPLAY)
        .arg(3)
        .arg(keys::dead_letters(&letter.group))
        .arg(keys::replayed(&letter.group))
        .arg(keys::wake(&letter.group))
        .arg(&[&letter.id, &letter.text, &keys::stream(&letter.context), &letter.entry])
        .query(&mut redis)
        .with_context(|| format!("replaying the dead letter {} of {}", letter.id, letter.group))
}

/// Throws it away; says whether it was still there.
pub fn drop_dead_letter(redis_url: &str, letter: &DeadLetter) -> Result<bool> {
    let mut redis = connect(redis_url)?;
    let dropped: u64 =
        redis::cmd("XDEL").arg(keys::dead_letters(&letter.group)).arg(&letter.id).query(&mut redis)?;
    Ok(dropped > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(group: &str, id: &str, text: &str, reason: &str) -> DeadLetter {
        DeadLetter {
            group: group.to_owned(),
            id: id.to_owned(),
            context: "pay".to_owned(),
            entry: "1-0".to_owned(),
            reason: reason.to_owned(),
            at: String::new(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_dead_letter_is_called_by_its_event_and_what_it_is_about() {
        let event = |subject: &str| format!(r#"{{"type":"sugang.pay.Paid","subject":"{subject}"}}"#);
        assert_eq!(letter("order", "1-0", &event("7"), "").what(), "Paid of order 7");
        assert_eq!(letter("order", "1-0", &event("course/101"), "").what(), "Paid of course 101");
        assert_eq!(letter("order", "1-0", &event("member/7"), "").what(), "Paid of member 7");
        assert_eq!(letter("order", "1-0", "garbage", "").what(), "something that is no event");
    }

    #[test]
    fn what_can_be_done_depends_on_why_it_is_here() {
        let advice = |reason: &str| letter("order", "1-0", "", reason).advice();
        assert!(advice("it is not a CloudEvent in structured JSON: …").contains("drop it"));
        assert!(advice("there is no event called `Refunded`").contains("newer version"));
        assert!(advice("its handler did not come back 5 times").contains("log"));
        assert!(advice("no such column: x").contains("Mend the cause"));
    }

    #[test]
    fn an_id_that_two_groups_have_needs_the_group() {
        let letters = || {
            vec![letter("order", "1-0", "", ""), letter("pay", "1-0", "", ""), letter("pay", "2-0", "", "")]
        };
        assert_eq!(find(letters(), "2-0").unwrap().group, "pay");
        assert!(find(letters(), "1-0").unwrap_err().to_string().contains("--group"));
        assert!(find(letters(), "3-0").unwrap_err().to_string().contains("events list"));
    }
}
