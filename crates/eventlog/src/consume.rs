//! The drain: from the streams to a consumer.
//!
//! An entry is acknowledged only after its handler has committed. What a crash left unacknowledged is claimed
//! on a later tick and handled one by one, so that an event which kills its handler harms no other; what was
//! begun [`MAX_ATTEMPTS`] times without success goes to the dead letters.

use crate::envelope::Envelope;
use crate::keys::{self, Wake};
use crate::redis::{LogError, Redis, as_text};
use crate::reply::{Entry, read_claimed, read_entries};
use kernel::Timestamp;
use spin_sdk::redis::RedisResult;
use std::time::{Duration, Instant};

/// How many entries of each stream are read, and handed to the consumer, at once.
const BATCH: &str = "100";

/// After this long a drain stops and wakes itself again: Spin handles the messages of all workers one after
/// another, and none may starve the others.
const BUDGET: Duration = Duration::from_secs(2);

/// How long an entry stays with whoever read it, in milliseconds, before another may claim it: longer than a
/// drain's budget, so that only the dead and the frozen lose theirs.
const CLAIM_AFTER_MS: &str = "5000";

/// How often the handling of one event may begin in vain before it is a dead letter.
const MAX_ATTEMPTS: i64 = 5;

/// The consumer's name inside its group. Replicas share it: what each may claim is told by time alone, and a
/// name per instance would pile up in Redis.
const CONSUMER: &str = "worker";

/// The beginning of a stream; as the answer to how far one has come, its end.
const FROM_THE_START: &str = "0-0";

/// How long, in seconds, it is known where to go on claiming: a tick comes every second.
const KEEP_BOOKMARK_S: &str = "60";

/// Moves an entry to the dead letters, in one step; not again where another worker has done so.
const BURY: &str = "redis.call('HDEL', KEYS[3], KEYS[1] .. ' ' .. ARGV[2])
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', 'stream', KEYS[1], 'id', ARGV[2], 'e', ARGV[3], 'reason', ARGV[4], 'at', ARGV[5])
return 1";

/// Has what was read while the server's clock was ahead count as read now, once the clock is set back: otherwise nobody
/// could claim it before the clock has caught up.
///
/// `XPENDING` gives such an entry an idle time of zero, like one that is being read this very millisecond. Only where there
/// is a zero, the true times are looked up, which nothing less than `XINFO STREAM FULL` tells.
pub(crate) const HEED_CLOCK: &str = "local function field(about, name)
    for i = 1, #about, 2 do if about[i] == name then return about[i + 1] end end
end
local group, consumer, most = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, stream in ipairs(KEYS) do
    local suspected = false
    for _, entry in ipairs(redis.pcall('XPENDING', stream, group, '-', '+', most)) do
        suspected = suspected or entry[3] == 0
    end
    local about = suspected and redis.call('XINFO', 'STREAM', stream, 'FULL', 'COUNT', most) or {}
    for _, of_group in ipairs(field(about, 'groups') or {}) do
        for _, entry in ipairs(field(of_group, 'name') == group and field(of_group, 'pending') or {}) do
            if entry[3] > now then redis.call('XCLAIM', stream, group, consumer, 0, entry[1], 'JUSTID') end
        end
    end
end
return 1";

/// How many pending entries of each stream [`HEED_CLOCK`] looks at, the oldest first.
const HEEDED: &str = "1000";

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
            // A conflict that outlived the consumer's own tries is a matter of load, not of the event.
            store::StoreError::Failure(reason) => Self::Poison(reason),
            other => Self::Later(other.to_string()),
        }
    }
}

/// What reacts to events. Events come late, twice and out of order, and the same end must be reached.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Consumer {
    /// Handles a batch (1 to 100 events of each source, in the order of its stream) and returns only when its effects are
    /// committed. It must be harmless to handle any event again.
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled>;
}

/// What a drain did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Events handled and acknowledged.
    pub handled: usize,
    /// Events that went to the dead letters.
    pub buried: usize,
    /// Events left for later, still unacknowledged.
    pub left: usize,
    /// Whether it came to the end of its streams: where the time budget was spent before, there may be more.
    pub to_the_end: bool,
}

/// Reads the streams of the contexts `sources` as the group `group` until they are empty or the time budget is
/// spent; on [`Wake::Tick`] first claims what was left unacknowledged.
pub async fn drain(
    redis_url: &str,
    group: &'static str,
    sources: &[&str],
    wake: Wake,
    consumer: &impl Consumer,
) -> Result<Drained, LogError> {
    drain_within(BUDGET, redis_url, group, sources, wake, consumer).await
}

pub(crate) async fn drain_within(
    budget: Duration,
    redis_url: &str,
    group: &'static str,
    sources: &[&str],
    wake: Wake,
    consumer: &impl Consumer,
) -> Result<Drained, LogError> {
    let redis = Redis::connect(redis_url).await?;
    let streams = sources.iter().map(|s| keys::stream(s)).collect();
    let drain = Drain { redis: &redis, group, streams, ends: Instant::now() + budget };
    let mut drained = Drained::default();
    let mut all_claimed = true;
    if wake == Wake::Tick && faults::guard("drain.reclaim") {
        all_claimed = drain.claim_abandoned(consumer, &mut drained).await?;
    }
    loop {
        let entries = drain.read().await?;
        if entries.is_empty() {
            drained.to_the_end = all_claimed;
            break;
        }
        faults::point(group, "drain.read").await;
        if !drain.handle_batch(entries, consumer, &mut drained).await? {
            // What it needs is missing; reading on would only pile up unacknowledged events.
            break;
        }
        if drain.is_spent() {
            if let Some(stream) = drain.streams.first() {
                redis.command("PUBLISH", &[stream, "event"]).await?;
            }
            break;
        }
    }
    redis.release();
    Ok(drained)
}

struct Drain<'a> {
    redis: &'a Redis,
    group: &'static str,
    streams: Vec<String>,
    /// When no more is begun.
    ends: Instant,
}

impl Drain<'_> {
    fn is_spent(&self) -> bool {
        Instant::now() > self.ends
    }

    async fn read(&self) -> Result<Vec<Entry>, LogError> {
        let mut arguments = vec!["GROUP", self.group, CONSUMER, "COUNT", BATCH, "STREAMS"];
        arguments.extend(self.streams.iter().map(String::as_str));
        arguments.extend(self.streams.iter().map(|_| ">"));
        let reply = match self.redis.raw("XREADGROUP", &arguments).await {
            Ok(reply) => reply,
            Err(error) if format!("{error:?}").contains("NOGROUP") => {
                self.create_groups().await?;
                self.redis.command("XREADGROUP", &arguments).await?
            }
            Err(error) => return Err(LogError::Redis(format!("XREADGROUP: {error:?}"))),
        };
        Ok(read_entries(&reply))
    }

    /// Groups begin at the very first entry, so that a context that comes late catches up with everything.
    async fn create_groups(&self) -> Result<(), LogError> {
        for stream in &self.streams {
            let created = self.redis.raw("XGROUP", &["CREATE", stream, self.group, "0", "MKSTREAM"]).await;
            if let Err(error) = created
                && !format!("{error:?}").contains("BUSYGROUP")
            {
                return Err(LogError::Redis(format!("XGROUP CREATE: {error:?}")));
            }
        }
        Ok(())
    }

    /// Handles what was read, and says whether to read on.
    async fn handle_batch(
        &self,
        entries: Vec<Entry>,
        consumer: &impl Consumer,
        drained: &mut Drained,
    ) -> Result<bool, LogError> {
        let mut readable = Vec::with_capacity(entries.len());
        for entry in entries {
            match Envelope::parse(&entry.json) {
                Ok(envelope) => readable.push((entry, envelope)),
                Err(malformed) => self.bury(&entry, &malformed.to_string(), drained).await?,
            }
        }
        let (entries, envelopes): (Vec<_>, Vec<_>) = readable.into_iter().unzip();
        if envelopes.is_empty() {
            return Ok(true);
        }
        if !faults::guard("drain.acknowledge-after") {
            self.acknowledge(&entries, &mut Drained::default()).await?;
        }
        match consumer.handle(&envelopes).await {
            Ok(()) => {
                faults::point(self.group, "drain.handled").await;
                self.acknowledge(&entries, drained).await?;
                faults::point(self.group, "drain.acknowledged").await;
                Ok(true)
            }
            Err(Unhandled::Later(reason)) => {
                eprintln!("{}: {} events wait: {reason}", self.group, entries.len());
                drained.left += entries.len();
                Ok(false)
            }
            Err(Unhandled::Poison(_)) => {
                for (entry, envelope) in entries.iter().zip(&envelopes) {
                    self.handle_one(entry, envelope, consumer, drained).await?;
                }
                Ok(true)
            }
        }
    }

    /// Handles one event by itself, counting the attempt before it begins: a handler that traps cannot count.
    async fn handle_one(
        &self,
        entry: &Entry,
        envelope: &Envelope,
        consumer: &impl Consumer,
        drained: &mut Drained,
    ) -> Result<(), LogError> {
        let (hash, field) = (keys::attempts(self.group), format!("{} {}", entry.stream, entry.id));
        let counted = self.redis.command("HINCRBY", &[&hash, &field, "1"]).await?;
        let attempt = match counted.first() {
            Some(RedisResult::Int64(attempt)) => *attempt,
            _ => 1,
        };
        if attempt > MAX_ATTEMPTS {
            let reason = format!("its handler did not come back {MAX_ATTEMPTS} times");
            return self.bury(entry, &reason, drained).await;
        }
        match consumer.handle(std::slice::from_ref(envelope)).await {
            Ok(()) => {
                self.redis.command("HDEL", &[&hash, &field]).await?;
                self.acknowledge(std::slice::from_ref(entry), drained).await
            }
            Err(Unhandled::Later(reason)) => {
                eprintln!("{}: event {} waits: {reason}", self.group, envelope.id);
                self.redis.command("HINCRBY", &[&hash, &field, "-1"]).await?;
                drained.left += 1;
                Ok(())
            }
            Err(Unhandled::Poison(reason)) if attempt == MAX_ATTEMPTS => {
                self.bury(entry, &reason, drained).await
            }
            Err(Unhandled::Poison(reason)) => {
                eprintln!("{}: event {}, attempt {attempt}: {reason}", self.group, envelope.id);
                drained.left += 1;
                Ok(())
            }
        }
    }

    async fn acknowledge(&self, entries: &[Entry], drained: &mut Drained) -> Result<(), LogError> {
        for stream in &self.streams {
            let mut arguments = vec![stream.as_str(), self.group];
            arguments.extend(entries.iter().filter(|e| e.stream == *stream).map(|e| e.id.as_str()));
            if arguments.len() > 2 {
                self.redis.command("XACK", &arguments).await?;
            }
        }
        drained.handled += entries.len();
        Ok(())
    }

    async fn bury(&self, entry: &Entry, reason: &str, drained: &mut Drained) -> Result<(), LogError> {
        eprintln!("{}: entry {} of {} is a dead letter: {reason}", self.group, entry.id, entry.stream);
        let keys = [entry.stream.clone(), keys::dead_letters(self.group), keys::attempts(self.group)];
        let now = Timestamp::now().to_string();
        self.redis
            .script(
                BURY,
                &keys.each_ref().map(String::as_str),
                &[self.group, &entry.id, &entry.json, reason, &now],
            )
            .await?;
        drained.buried += 1;
        Ok(())
    }

    /// Goes round the streams for what was left unacknowledged, from where the last round had to stop: what waits
    /// for something that is missing must not keep what is behind it from its turn, however much it is. Says whether it
    /// got round.
    async fn claim_abandoned(
        &self,
        consumer: &impl Consumer,
        drained: &mut Drained,
    ) -> Result<bool, LogError> {
        let streams: Vec<_> = self.streams.iter().map(String::as_str).collect();
        self.redis.script(HEED_CLOCK, &streams, &[self.group, CONSUMER, HEEDED]).await?;
        let bookmark = keys::claimed_up_to(self.group);
        let kept = self.redis.command("GET", &[&bookmark]).await?;
        let kept = kept.first().and_then(as_text).unwrap_or_default();
        let (stream, mut from) = kept.split_once(' ').unwrap_or(("", FROM_THE_START));
        let first = self.streams.iter().position(|known| known == stream).unwrap_or(0);
        for stream in self.streams.iter().cycle().skip(first).take(self.streams.len()) {
            let mut next;
            loop {
                next = self.claim_some(stream, from, consumer, drained).await?;
                if next == FROM_THE_START {
                    break;
                }
                if self.is_spent() {
                    let kept = format!("{stream} {next}");
                    self.redis.command("SET", &[&bookmark, &kept, "EX", KEEP_BOOKMARK_S]).await?;
                    return Ok(false);
                }
                from = &next;
            }
            from = FROM_THE_START;
        }
        if !kept.is_empty() {
            self.redis.command("DEL", &[&bookmark]).await?;
        }
        Ok(true)
    }

    /// Claims up to [`BATCH`] entries of one stream and handles them one by one. Says where to go on.
    async fn claim_some(
        &self,
        stream: &str,
        from: &str,
        consumer: &impl Consumer,
        drained: &mut Drained,
    ) -> Result<String, LogError> {
        let arguments = [stream, self.group, CONSUMER, CLAIM_AFTER_MS, from, "COUNT", BATCH];
        let reply = match self.redis.raw("XAUTOCLAIM", &arguments).await {
            Ok(reply) => reply,
            // Nothing can have been left where nothing was ever read.
            Err(error) if format!("{error:?}").contains("NOGROUP") => return Ok(FROM_THE_START.to_owned()),
            Err(error) => return Err(LogError::Redis(format!("XAUTOCLAIM: {error:?}"))),
        };
        let (next, entries) = read_claimed(stream, &reply);
        for entry in entries {
            match Envelope::parse(&entry.json) {
                Ok(envelope) => self.handle_one(&entry, &envelope, consumer, drained).await?,
                Err(malformed) => self.bury(&entry, &malformed.to_string(), drained).await?,
            }
        }
        Ok(next)
    }
}

/// Buries an entry that may have been buried already.
#[cfg(test)]
pub(crate) async fn bury_again(url: &str, stream: &str, id: &str) {
    let redis = Redis::connect(url).await.unwrap();
    let drain = Drain { redis: &redis, group: "pay", streams: vec![], ends: Instant::now() };
    let entry = Entry { stream: stream.to_owned(), id: id.to_owned(), json: String::new() };
    drain.bury(&entry, "", &mut Drained::default()).await.unwrap();
}
