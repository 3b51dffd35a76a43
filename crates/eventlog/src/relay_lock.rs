//! The lock that lets one relay of a context run at a time, over all instances and replicas, and what may be done
//! only while holding it.
//!
//! Each operation is one script, so that no other relay comes in between. Whoever finds the lock taken leaves a note,
//! and the holder looks once more before it lets go; so no commit is left behind, however the two interleave. A holder
//! that freezes loses the lock after [`LOCK_MS`], and its late append is refused.

use crate::keys;
use crate::position::Position;
use crate::redis::{LogError, Redis, as_text};
use crate::runtime::random;
use spin_sdk::redis::RedisResult;

/// How long a relay that died keeps the others out, in milliseconds. Longer than any batch takes; the tick
/// comes every second, so a crash delays events by about this much.
const LOCK_MS: &str = "3000";

/// Defines `last(stream)`: the last id that a stream has given out, which trimming leaves as it is.
macro_rules! with_last {
    ($script:literal) => {
        concat!(
            "local function last(stream)
    if redis.call('EXISTS', stream) == 0 then return '0-0' end
    local about = redis.call('XINFO', 'STREAM', stream)
    for i = 1, #about, 2 do if about[i] == 'last-generated-id' then return about[i + 1] end end
end
",
            $script
        )
    };
}

/// Takes the lock and says how far the stream has come, or leaves a note to whoever has it. A lock that is there for
/// longer than any is given was taken when the server's clock was ahead.
pub(crate) const CLAIM: &str = with_last!(
    "local at = last(KEYS[3])
if redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return {1, at} end
redis.call('SET', KEYS[2], '1', 'PX', 60000)
return {0}"
);

/// Appends events and publishes one wake-up; answers with the ids. Not if the lock has gone to somebody else
/// meanwhile (0), nor if the stream is behind what has been appended to it (-1): Redis has lost something.
const APPEND: &str = with_last!(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local at, known_ms, known_n = last(KEYS[3]), tonumber(ARGV[3]), tonumber(ARGV[4])
local ms, n = string.match(at, '^(%d+)-(%d+)$')
ms, n = tonumber(ms), tonumber(n)
if ms < known_ms or (ms == known_ms and n < known_n) then return {-1, at} end
local reply = {1}
for i = 5, #ARGV do reply[#reply + 1] = redis.call('XADD', KEYS[3], '*', 'e', ARGV[i]) end
redis.call('PUBLISH', KEYS[3], 'event')
return reply"
);

/// Keeps the lock for longer, if it is still held.
const HOLD: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1";

/// Lets the lock go, unless somebody left a note: then look again.
const RELEASE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 1 end
if redis.call('DEL', KEYS[2]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 0 end
redis.call('DEL', KEYS[1])
return 1";

/// Lets the lock go whatever is left to do. Only one's own: another may have it by now.
const GIVE_UP: &str = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// The lock of one context, in the hands of one run of its relay.
pub(crate) struct RelayLock<'a> {
    redis: &'a Redis,
    keys: [String; 3],
    /// A name for this run that no other has: only the holder may append and release.
    token: String,
}

/// What came of an append.
pub(crate) enum Appended {
    /// It was made; where each event stands now.
    At(Vec<Position>),
    /// The stream has come no further than this, although more had been appended to it.
    Behind(Position),
    /// Another has the lock.
    Refused,
}

impl<'a> RelayLock<'a> {
    /// Takes the lock and says how far the stream has come; none, and a note to its holder, where it is taken.
    pub(crate) async fn claim(redis: &'a Redis, context: &str) -> Result<Option<(Self, Position)>, LogError> {
        let keys = [keys::relay_lock(context), keys::relay_again(context), keys::stream(context)];
        let token = format!("{:016x}{:016x}", random(), random());
        let lock = Self { redis, keys, token };
        let reply = redis.script_reply(CLAIM, &lock.keys(), &[&lock.token, LOCK_MS]).await?;
        match reply.as_slice() {
            [RedisResult::Int64(1), last] => Ok(Some((lock, position(last)?))),
            [RedisResult::Int64(0)] => Ok(None),
            other => Err(odd(other)),
        }
    }

    /// Appends events, in this order, to a stream that has come as far as `known` at least.
    pub(crate) async fn append(&self, events: &[String], known: Position) -> Result<Appended, LogError> {
        let known = known.to_string();
        let (millisecond, number) = known.split_once('-').unwrap_or(("0", "0"));
        let mut arguments = vec![self.token.as_str(), LOCK_MS, millisecond, number];
        arguments.extend(events.iter().map(String::as_str));
        let reply = self.redis.script_reply(APPEND, &self.keys(), &arguments).await?;
        match reply.as_slice() {
            [RedisResult::Int64(1), ids @ ..] if ids.len() == events.len() => {
                ids.iter().map(position).collect::<Result<_, _>>().map(Appended::At)
            }
            [RedisResult::Int64(-1), last] => Ok(Appended::Behind(position(last)?)),
            [RedisResult::Int64(0)] => Ok(Appended::Refused),
            other => Err(odd(other)),
        }
    }

    /// Keeps the lock for longer; false where it has gone to somebody else.
    pub(crate) async fn hold(&self) -> Result<bool, LogError> {
        Ok(self.redis.script(HOLD, &self.keys(), &[&self.token, LOCK_MS]).await? == 1)
    }

    /// Lets the lock go; false where somebody left a note, so that it is still held and the outbox has to be looked
    /// at once more.
    pub(crate) async fn release(&self) -> Result<bool, LogError> {
        Ok(self.redis.script(RELEASE, &self.keys(), &[&self.token, LOCK_MS]).await? == 1)
    }

    /// Lets the lock go so that the next one may try at once; if even this fails it runs out by itself.
    pub(crate) async fn give_up(&self) {
        let _ = self.redis.script(GIVE_UP, &self.keys(), &[&self.token]).await;
    }

    fn keys(&self) -> [&str; 3] {
        self.keys.each_ref().map(String::as_str)
    }
}

fn position(part: &RedisResult) -> Result<Position, LogError> {
    as_text(part).and_then(|id| Position::parse(&id)).ok_or_else(|| odd(std::slice::from_ref(part)))
}

fn odd(reply: &[RedisResult]) -> LogError {
    LogError::Redis(format!("the relay's script answered {reply:?}"))
}
