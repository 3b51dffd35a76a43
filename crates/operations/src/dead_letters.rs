//! What a group failed to handle every time: looked at, handed to it again, or thrown away.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use eventlog::topology::CONSUMERS;
use eventlog::{DeadLetter, FIELDS, REPLAY, keys};
use redis::Connection;

use crate::event_log::connect;

/// How many are read at once.
const PAGE: usize = 500;

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
            found.extend(page.into_iter().map(|(id, mut fields)| {
                DeadLetter::of(name, id, FIELDS.map(|field| fields.remove(field).unwrap_or_default()))
            }));
        }
    }
    Ok(found)
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
        .arg(&letter.id)
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

    fn letter(group: &str, id: &str) -> DeadLetter {
        DeadLetter::of(group, id.to_owned(), FIELDS.map(str::to_owned))
    }

    #[test]
    fn an_id_that_two_groups_have_needs_the_group() {
        let letters = || vec![letter("order", "1-0"), letter("pay", "1-0"), letter("pay", "2-0")];
        assert_eq!(find(letters(), "2-0").unwrap().group, "pay");
        assert!(find(letters(), "1-0").unwrap_err().to_string().contains("--group"));
        assert!(find(letters(), "3-0").unwrap_err().to_string().contains("events list"));
    }
}
