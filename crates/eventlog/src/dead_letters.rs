//! What a consumer failed to handle every time: looked at, handed to it again, or thrown away.

use crate::keys;
use crate::redis::{LogError, Redis, as_text};
use crate::topology::{CONSUMERS, Consumer};
use crate::waking;
use serde::Deserialize;
use spin_sdk::redis::RedisResult;

/// Gives a dead letter (ARGV[1]) back to the group that gave it up, and to it alone, and takes it from the dead letters, in
/// one step. KEYS: the dead letters, where the group finds what was replayed, and the channel that it is woken on. Answers 0
/// where somebody else has replayed or dropped it meanwhile.
pub const REPLAY: &str = "local letter = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1]
if not letter then return 0 end
local fields = {}
for i = 1, #letter[2], 2 do fields[letter[2][i]] = letter[2][i + 1] end
redis.call('XDEL', KEYS[1], ARGV[1])
redis.call('XADD', KEYS[2], '*', 'e', fields.e, 'stream', fields.stream, 'id', fields.id)
redis.call('PUBLISH', KEYS[3], 'event')
return 1";

/// Answers for each of the dead letters KEYS[1] from ARGV[1] to ARGV[2], up to ARGV[3] of them, its id and its fields.
const READ: &str = "local told = {}
for _, letter in ipairs(redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])) do
    local fields = {}
    for i = 1, #letter[2], 2 do fields[letter[2][i]] = letter[2][i + 1] end
    told[#told + 1] = letter[1]
    for i = 4, #ARGV do told[#told + 1] = fields[ARGV[i]] or '' end
end
return told";

/// What is kept of one: the stream and the id that it had, why and when it was given up, and the event.
pub const FIELDS: [&str; 5] = ["stream", "id", "reason", "at", "e"];

/// How many of one consumer are listed.
const MOST: &str = "100";

/// One event that one group gave up on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Who could not handle it: a group goes by its consumer's name.
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

kernel::words!(
    /// Why there is a dead letter, as far as its reason tells; so what can be done about it.
    pub Cause, "cause" {
        /// It is nothing that this application writes: no trying helps.
        NotAnEvent = "not-an-event",
        /// This version knows no such event; a newer one may.
        UnknownEvent = "unknown-event",
        /// Every try ended in a crash, or ran out of time.
        Crashed = "crashed",
        /// Every try failed.
        Failed = "failed",
    }
);

impl Cause {
    /// What can be done.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotAnEvent => {
                "It was read once: it is nothing that Sugang writes, so that no trying helps. Find out who else writes to \
                 this Redis, then drop it."
            }
            Self::UnknownEvent => {
                "It was read once: this version does not know such an event. If a newer version wrote it, install that one, \
                 then replay it; otherwise drop it."
            }
            Self::Crashed => {
                "Each of five tries ended in a crash or ran out of time. Look for the group's name in the log of the host \
                 around that time, mend the cause, then replay it."
            }
            Self::Failed => "Each of five tries failed for this reason. Mend the cause, then replay it.",
        }
    }
}

/// The head of an event, as much as says what it is.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    subject: String,
}

impl DeadLetter {
    /// What a group keeps under an id: its [`FIELDS`].
    pub fn of(group: &str, id: String, fields: [String; 5]) -> Self {
        let [stream, entry, reason, at, text] = fields;
        let context = stream.strip_prefix("sugang:events:").unwrap_or(&stream).to_owned();
        Self { group: group.to_owned(), id, context, entry, reason, at, text }
    }

    /// The event's name and whom or what it is about (`Paid`, `1113`); none where it is no event.
    pub fn event(&self) -> Option<(String, String)> {
        let Head { kind, subject } = serde_json::from_str(&self.text).ok()?;
        Some((kind.rsplit('.').next().unwrap_or(&kind).to_owned(), subject))
    }

    /// What it is, as far as that can be read: `Paid of order 1113`.
    pub fn what(&self) -> String {
        let Some((name, subject)) = self.event() else { return "something that is no event".to_owned() };
        match subject.split_once('/') {
            Some((kind, number)) => format!("{name} of {kind} {number}"),
            None => format!("{name} of order {subject}"),
        }
    }

    /// Why it is here.
    pub fn cause(&self) -> Cause {
        let says = |sign: &str| self.reason.contains(sign);
        if says("not a CloudEvent") || says("this application does not write") {
            Cause::NotAnEvent
        } else if says("there is no event called") || says("cannot be read:") {
            Cause::UnknownEvent
        } else if says("did not come back") {
            Cause::Crashed
        } else {
            Cause::Failed
        }
    }
}

/// The dead letters of all consumers: of each up to a hundred, oldest first.
pub async fn dead_letters(redis_url: &str) -> Result<Vec<DeadLetter>, LogError> {
    let redis = Redis::connect(redis_url).await?;
    let mut letters = Vec::new();
    for consumer in &CONSUMERS {
        letters.extend(read(&redis, consumer, ["-", "+"]).await?);
    }
    redis.release();
    Ok(letters)
}

/// The one of a consumer that has this id.
pub async fn dead_letter(
    redis_url: &str,
    consumer: &'static Consumer,
    id: &str,
) -> Result<Option<DeadLetter>, LogError> {
    let redis = Redis::connect(redis_url).await?;
    let found = read(&redis, consumer, [id, id]).await?.pop();
    redis.release();
    Ok(found)
}

/// Has its consumer handle it again; false where it is there no more.
pub async fn replay_dead_letter(
    redis_url: &str,
    consumer: &'static Consumer,
    id: &str,
) -> Result<bool, LogError> {
    let name = consumer.name;
    let keys = [keys::dead_letters(name), keys::replayed(name), keys::wake(name)];
    let redis = Redis::connect(redis_url).await?;
    let replayed = is_one(&redis.script(REPLAY, &keys, &[id]).await?);
    redis.release();
    if replayed {
        waking::wake([consumer]).await;
    }
    Ok(replayed)
}

/// Throws it away; false where it is there no more.
pub async fn drop_dead_letter(
    redis_url: &str,
    consumer: &'static Consumer,
    id: &str,
) -> Result<bool, LogError> {
    let redis = Redis::connect(redis_url).await?;
    let dropped = is_one(&redis.command("XDEL", &[&keys::dead_letters(consumer.name), id]).await?);
    redis.release();
    Ok(dropped)
}

async fn read(
    redis: &Redis,
    consumer: &Consumer,
    [from, to]: [&str; 2],
) -> Result<Vec<DeadLetter>, LogError> {
    let arguments: Vec<_> = [from, to, MOST].into_iter().chain(FIELDS).collect();
    let told = redis.script(READ, &[keys::dead_letters(consumer.name)], &arguments).await?;
    let letter = |parts: &[RedisResult; 6]| {
        let [id, fields @ ..] = parts.each_ref().map(|part| as_text(part).into_owned());
        DeadLetter::of(consumer.name, id, fields)
    };
    Ok(told.as_chunks().0.iter().map(letter).collect())
}

fn is_one(reply: &[RedisResult]) -> bool {
    matches!(reply, [RedisResult::Int64(1)])
}

#[cfg(test)]
mod tests {
    use super::{Cause, DeadLetter};

    fn letter(text: &str, reason: &str) -> DeadLetter {
        DeadLetter::of("order", "1-0".to_owned(), ["", "", reason, "", text].map(str::to_owned))
    }

    #[test]
    fn a_dead_letter_is_called_by_its_event_and_what_it_is_about() {
        let what = |subject: &str| {
            letter(&format!(r#"{{"type":"sugang.pay.Paid","subject":"{subject}"}}"#), "").what()
        };
        assert_eq!(what("7"), "Paid of order 7");
        assert_eq!(what("course/101"), "Paid of course 101");
        assert_eq!(what("member/7"), "Paid of member 7");
        assert_eq!(letter("garbage", "").what(), "something that is no event");
    }

    #[test]
    fn its_reason_tells_what_can_be_done() {
        let cause = |reason: &str| letter("", reason).cause();
        assert_eq!(cause("it is not a CloudEvent in structured JSON: …"), Cause::NotAnEvent);
        assert_eq!(cause("there is no event called `Refunded`"), Cause::UnknownEvent);
        assert_eq!(cause("its handler did not come back 5 times"), Cause::Crashed);
        assert_eq!(cause("no such column: x"), Cause::Failed);
        assert!(Cause::Failed.advice().contains("Mend the cause"));
    }
}
