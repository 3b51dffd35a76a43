//! From the streams to a consumer.
//!
//! An entry is acknowledged only after its handler has committed. What a crash left unacknowledged is claimed on a later
//! tick and handled one by one, so that an event which kills its handler harms no other; what was begun [`MAX_ATTEMPTS`]
//! times without success becomes a dead letter.

use crate::envelope::Envelope;
use crate::keys;
use crate::redis::{LogError, Redis, as_text, odd};
use crate::telling::Handling;
use crate::topology::Consumer;
use crate::waking;
use kernel::Timestamp;
use std::time::{Duration, Instant};

/// How many entries of each stream are read, and handed to the handler, at once.
const BATCH: &str = "100";

/// After this long a drain stops and has its consumer woken again: Spin handles the messages of all workers one after
/// another, and none may starve the others.
pub(crate) const BUDGET: Duration = Duration::from_secs(2);

/// How long an entry stays with whoever read it, in milliseconds, before another may claim it: longer than a drain's
/// budget, so that only the dead and the frozen lose theirs.
const CLAIM_AFTER_MS: &str = "5000";

/// How often the handling of one event may begin in vain before it is a dead letter.
const MAX_ATTEMPTS: i64 = 5;

/// Takes entries of the streams KEYS for the group ARGV[1], which begins at the very first entry: with ARGV[4] those that
/// were read and not acknowledged for ARGV[3] milliseconds, else new ones, up to ARGV[2] of each.
/// Answers three texts for each entry: which stream (its index), the id, and the event.
///
/// Replicas share one name in the group (`worker`): what each may claim is told by time alone.
const TAKE: &str = "local group, count, taken = ARGV[1], tonumber(ARGV[2]), {}
local function take(stream, entries)
    for _, entry in ipairs(entries) do
        local event = ''
        for i = 1, #(entry[2] or {}), 2 do if entry[2][i] == 'e' then event = entry[2][i + 1] end end
        if entry[2] then
            for _, part in ipairs({tostring(stream), entry[1], event}) do taken[#taken + 1] = part end
        end
    end
end
local function read()
    local words = {'XREADGROUP', 'GROUP', group, 'worker', 'COUNT', count, 'STREAMS'}
    for _, key in ipairs(KEYS) do words[#words + 1] = key end
    for _ = 1, #KEYS do words[#words + 1] = '>' end
    return redis.pcall(unpack(words))
end
if ARGV[4] == 'claim' then
    for stream, key in ipairs(KEYS) do
        local cursor = '0-0'
        repeat
            local claimed = redis.pcall('XAUTOCLAIM', key, group, 'worker', ARGV[3], cursor, 'COUNT', count)
            if claimed.err then break end
            cursor = claimed[1]
            take(stream, claimed[2])
        until cursor == '0-0' or #taken >= 3 * count
    end
    return taken
end
local streams = read()
if streams and streams.err then
    for _, key in ipairs(KEYS) do redis.pcall('XGROUP', 'CREATE', key, group, '0', 'MKSTREAM') end
    streams = read()
    if streams and streams.err then return streams end
end
for _, stream in ipairs(streams or {}) do
    for index, key in ipairs(KEYS) do if key == stream[1] then take(index, stream[2]) end end
end
return taken";

/// Acknowledges for the group ARGV[1] pairs of stream (its index) and id. What was replayed (the last stream) is gone then.
const ACKNOWLEDGE: &str = "local ids = {}
for i = 2, #ARGV, 2 do
    local stream = tonumber(ARGV[i])
    ids[stream] = ids[stream] or {}
    table.insert(ids[stream], ARGV[i + 1])
end
for stream, of in pairs(ids) do
    redis.call('XACK', KEYS[stream], ARGV[1], unpack(of))
    if stream == #KEYS then redis.call('XDEL', KEYS[stream], unpack(of)) end
end
return 1";

/// Makes a dead letter of an entry, in one step; not again where another worker has done so. One that was replayed keeps
/// the name of the entry that it was at first.
const GIVE_UP: &str = "local stream, id = KEYS[1], ARGV[2]
if ARGV[6] == 'replayed' then
    local entry = redis.call('XRANGE', stream, id, id)[1]
    if not entry then return 0 end
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    stream, id = fields.stream, fields.id
end
redis.call('HDEL', KEYS[3], KEYS[1] .. ' ' .. ARGV[2])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
if ARGV[6] == 'replayed' then redis.call('XDEL', KEYS[1], ARGV[2]) end
redis.call('XADD', KEYS[2], '*', 'stream', stream, 'id', id, 'e', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5])
return 1";

/// Why a consumer did not take some events.
#[derive(Debug, thiserror::Error)]
pub enum Unhandled {
    /// Something it needs is not there right now; the events stay pending and do not count as failed.
    #[error("not now: {0}")]
    Later(String),
    /// These events cannot be handled, now or (as far as one can tell) ever.
    #[error("cannot be handled: {0}")]
    Poison(String),
}

impl From<store::StoreError> for Unhandled {
    fn from(error: store::StoreError) -> Self {
        match error {
            store::StoreError::Failure(reason) => Self::Poison(reason),
            // A conflict that outlived the journal's tries is a matter of load, not of the event.
            other => Self::Later(other.to_string()),
        }
    }
}

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Events handled and acknowledged.
    pub handled: usize,
    /// Events that became dead letters.
    pub dead: usize,
    /// Events left for later, still unacknowledged.
    pub left: usize,
    /// Whether it came to the end of its streams: where the time budget was spent before, there may be more.
    pub to_the_end: bool,
}

impl Drained {
    /// Whether there is nothing left to hear of.
    pub const fn has_caught_up(&self) -> bool {
        self.to_the_end && self.left == 0
    }
}

/// One entry as read from a stream.
struct Entry {
    /// Which of the streams, counted from 1 as Redis's scripts do.
    stream: String,
    id: String,
    json: String,
}

/// A consumer that reads its streams, and what handles its events.
pub(crate) struct Drain<'a, H> {
    redis: &'a Redis,
    consumer: &'static Consumer,
    handle: H,
    /// Its streams, and behind them the one of its replayed dead letters.
    streams: Vec<String>,
    /// When no more is begun.
    ends: Instant,
    drained: Drained,
}

impl<'a, H: AsyncFn(&[Envelope]) -> Result<(), Unhandled>> Drain<'a, H> {
    pub(crate) fn new(redis: &'a Redis, consumer: &'static Consumer, budget: Duration, handle: H) -> Self {
        let streams = consumer.sources().map(keys::stream);
        let streams = streams.chain([keys::replayed(consumer.name)]).collect();
        Self { redis, consumer, handle, streams, ends: Instant::now() + budget, drained: Drained::default() }
    }

    /// Reads until the streams are empty or the time budget is spent; with `claim` first what was left unacknowledged.
    pub(crate) async fn run(mut self, claim: bool) -> Result<Drained, LogError> {
        let mut claiming = claim && faults::guard("drain.reclaim");
        loop {
            let entries = self.take(claiming).await?;
            if entries.is_empty() && !claiming {
                self.drained.to_the_end = true;
                return Ok(self.drained);
            }
            faults::point(self.consumer.name, "drain.read").await;
            if claiming {
                // What was taken is not there to be claimed again for a while, so the end of it comes.
                claiming = !entries.is_empty();
                for entry in entries {
                    self.handle_by_itself(entry).await?;
                }
            } else if !self.handle_batch(entries).await? {
                // What it needs is missing; reading on would only pile up unacknowledged events.
                return Ok(self.drained);
            }
            if Instant::now() > self.ends {
                self.redis.command("PUBLISH", &[&keys::wake(self.consumer.name), "event"]).await?;
                waking::wake([self.consumer]).await;
                return Ok(self.drained);
            }
        }
    }

    async fn take(&self, claim: bool) -> Result<Vec<Entry>, LogError> {
        let arguments = [self.consumer.name, BATCH, CLAIM_AFTER_MS, if claim { "claim" } else { "read" }];
        let reply = self.redis.script(TAKE, &self.streams, &arguments).await?;
        let (entries, rest) = reply.as_chunks::<3>();
        if !rest.is_empty() {
            return Err(odd("taking entries", &reply));
        }
        let text = |part| as_text(part).into_owned();
        Ok(entries
            .iter()
            .map(|[stream, id, json]| Entry { stream: text(stream), id: text(id), json: text(json) })
            .collect())
    }

    /// Handles what was read, and says whether to read on.
    async fn handle_batch(&mut self, entries: Vec<Entry>) -> Result<bool, LogError> {
        let (mut done, mut envelopes, mut of_envelopes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match self.parse(&entry) {
                Ok(Some(envelope)) => {
                    envelopes.push(envelope);
                    of_envelopes.push(entry);
                }
                Ok(None) => done.push(entry),
                Err(reason) => self.give_up(&entry, &reason).await?,
            }
        }
        if !faults::guard("drain.acknowledge-after") {
            self.acknowledge(&of_envelopes).await?;
        }
        let handled = if envelopes.is_empty() { Ok(()) } else { self.hand_over(&envelopes).await };
        match handled {
            Ok(()) => {
                faults::point(self.consumer.name, "drain.handled").await;
                self.drained.handled += of_envelopes.len();
                done.extend(of_envelopes);
                self.acknowledge(&done).await?;
                faults::point(self.consumer.name, "drain.acknowledged").await;
                Ok(true)
            }
            Err(Unhandled::Later(reason)) => {
                eprintln!("{}: {} events wait: {reason}", self.consumer.name, of_envelopes.len());
                self.drained.left += of_envelopes.len();
                self.acknowledge(&done).await?;
                Ok(false)
            }
            Err(Unhandled::Poison(_)) => {
                self.acknowledge(&done).await?;
                for entry in of_envelopes {
                    self.handle_by_itself(entry).await?;
                }
                Ok(true)
            }
        }
    }

    /// Handles one event by itself, counting the attempt before it begins: a handler that traps cannot count.
    async fn handle_by_itself(&mut self, entry: Entry) -> Result<(), LogError> {
        let envelope = match self.parse(&entry) {
            Ok(Some(envelope)) => envelope,
            Ok(None) => return self.acknowledge(&[entry]).await,
            Err(reason) => return self.give_up(&entry, &reason).await,
        };
        let attempt = self.count_try(&entry, "1").await?;
        if attempt > MAX_ATTEMPTS {
            let reason = format!("its handler did not come back {MAX_ATTEMPTS} times");
            return self.give_up(&entry, &reason).await;
        }
        match self.hand_over(std::slice::from_ref(&envelope)).await {
            Ok(()) => {
                self.redis.command("HDEL", &[&self.attempts(), &self.name(&entry)]).await?;
                self.drained.handled += 1;
                self.acknowledge(&[entry]).await
            }
            Err(Unhandled::Later(reason)) => {
                eprintln!("{}: event {} waits: {reason}", self.consumer.name, envelope.id);
                self.count_try(&entry, "-1").await?;
                self.drained.left += 1;
                Ok(())
            }
            Err(Unhandled::Poison(reason)) if attempt == MAX_ATTEMPTS => self.give_up(&entry, &reason).await,
            Err(Unhandled::Poison(reason)) => {
                eprintln!("{}: event {}, attempt {attempt}: {reason}", self.consumer.name, envelope.id);
                self.drained.left += 1;
                Ok(())
            }
        }
    }

    async fn hand_over(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let handling = Handling::begin();
        let handled = (self.handle)(events).await;
        handling.end(self.consumer, events, handled.is_err());
        handled
    }

    /// The event, or none where it leads to nothing here. The error says why it is no event.
    fn parse(&self, entry: &Entry) -> Result<Option<Envelope>, String> {
        Envelope::parse_if(&entry.json, |source, name, actor| self.consumer.hears(source, name, actor))
            .map_err(|malformed| malformed.to_string())
    }

    async fn acknowledge(&self, entries: &[Entry]) -> Result<(), LogError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut arguments = vec![self.consumer.name];
        for entry in entries {
            arguments.extend([entry.stream.as_str(), entry.id.as_str()]);
        }
        self.redis.script(ACKNOWLEDGE, &self.streams, &arguments).await.map(drop)
    }

    async fn count_try(&self, entry: &Entry, by: &str) -> Result<i64, LogError> {
        let counted = self.redis.command("HINCRBY", &[&self.attempts(), &self.name(entry), by]).await?;
        counted.first().and_then(|count| as_text(count).parse().ok()).ok_or_else(|| odd("counting", &counted))
    }

    async fn give_up(&mut self, entry: &Entry, reason: &str) -> Result<(), LogError> {
        let group = self.consumer.name;
        eprintln!("{group}: entry {} is a dead letter: {reason}", self.name(entry));
        let stream = self.stream(entry);
        let kind = if self.streams.last().is_some_and(|last| last == stream) { "replayed" } else { "" };
        let keys = [stream, &keys::dead_letters(group), &self.attempts()];
        let now = Timestamp::now().to_string();
        self.redis.script(GIVE_UP, &keys, &[group, &entry.id, &entry.json, reason, &now, kind]).await?;
        self.drained.dead += 1;
        Ok(())
    }

    fn attempts(&self) -> String {
        keys::attempts(self.consumer.name)
    }

    fn name(&self, entry: &Entry) -> String {
        format!("{} {}", self.stream(entry), entry.id)
    }

    fn stream(&self, entry: &Entry) -> &str {
        let index: usize = entry.stream.parse().unwrap_or_default();
        index.checked_sub(1).and_then(|index| self.streams.get(index)).map_or("", String::as_str)
    }
}
