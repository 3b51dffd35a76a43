//! The relay: from a context's committed events to its stream.
//!
//! It asks Redis for the stream's last id, reads what comes after it, and appends that by one script which does so only
//! if the last id is still the one it saw. That comparison is the only lock there is: two relays at once, one that froze,
//! a crash anywhere, a Redis that lost its last second or everything are all the ordinary path. Why nothing is lost by
//! it is told in `docs/adr/012-positions-and-compare-and-append.md`.

use crate::envelope::{Stored, to_json};
use crate::floor;
use crate::id::EntryId;
use crate::keys;
use crate::redis::{LogError, Redis, as_text, odd};
use crate::runtime::{sleep, spawn};
use crate::topology::{Consumer, Pace, readers_of};
use crate::waking;
use kernel::Actor;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use store::{Database, Row, Statement, Storage, StoreError};

/// How many events go to the stream at once.
pub(crate) const BATCH: u64 = 200;

/// The pause before looking again under load, so that commits gather into batches; also how long consumers of
/// [`Pace::Gathered`] are left alone. An event may pass through two contexts until everyone can see it, which is to take
/// less than a second.
const GATHER: Duration = Duration::from_millis(100);

/// How often a relay tries to number events while others do: each conflict is another's progress.
const NUMBERINGS: u32 = 3;

/// After this long a relay goes on no more, whatever is left: a worker takes one wake-up at a time, and has other
/// duties. The relay after the next commit, or on the next tick, goes on.
const BUDGET: Duration = Duration::from_secs(2);

/// What comes after the stream's last id ($1: its generation, $2: its position), beside how the log stands; this alone
/// where nothing comes.
///
/// In a stream of an older generation everything above the floor comes again: that is what a replay asks for. What everyone
/// has acknowledged is not sent again, whatever Redis has lost. One statement, and so one state of the store.
pub(crate) const NEXT: &str = "SELECT l.generation, l.floor, l.newest,
        e.position, e.subject, e.version, e.type, e.data, e.time, e.traceparent, e.actor
    FROM (SELECT generation, floor, coalesce((SELECT max(position) FROM events), 0) AS newest,
            CASE WHEN $1 = generation AND $2 > floor THEN $2 ELSE floor END AS sent
        FROM log WHERE id = 1) AS l
    LEFT JOIN events AS e ON e.position > l.sent
    ORDER BY e.position LIMIT $3";

/// On PostgreSQL, where many commit at once, the order of commits is not that of any sequence: what is committed and has no
/// position yet gets the next ones here, in an order in which everything comes after what it was decided from. Of two that
/// give the same position at once the second fails, because positions are unique.
pub(crate) const NUMBER: &str = "/*postgres UPDATE events SET position = numbered.position
    FROM (SELECT inserted, row_number() OVER (ORDER BY inserted) + coalesce((SELECT max(position) FROM events), 0)
            AS position
        FROM (SELECT inserted FROM events WHERE position IS NULL ORDER BY inserted LIMIT 1000) AS unnumbered) AS numbered
    WHERE events.inserted = numbered.inserted AND events.position IS NULL*/";

/// Writes down the floor ($1), unless there was a replay since it was found in generation $2.
pub(crate) const NOTE_FLOOR: &str = "UPDATE log SET floor = $1 WHERE generation = $2 AND floor < $1";

/// Appends entries (pairs of id and event) if the stream's last id is ARGV[1], wakes the consumers whose channels are
/// the other keys, and answers with the last id as it then is, and whether it appended.
const APPEND: &str = "local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
    local about = redis.call('XINFO', 'STREAM', KEYS[1])
    for i = 1, #about, 2 do if about[i] == 'last-generated-id' then last = about[i + 1] end end
end
if last ~= ARGV[1] then return {last, 0} end
for i = 2, #ARGV, 2 do last = redis.call('XADD', KEYS[1], ARGV[i], 'e', ARGV[i + 1]) end
for i = 2, #KEYS do redis.call('PUBLISH', KEYS[i], 'event') end
return {last, 1}";

/// Wakes of these groups (ARGV, each with its channel as key) those that have not read the stream to its end, and says which.
const WAKE_BEHIND: &str = "local read, last, woken = {}, '', {}
if redis.call('EXISTS', KEYS[1]) == 0 then return woken end
local about = redis.call('XINFO', 'STREAM', KEYS[1])
for i = 1, #about, 2 do if about[i] == 'last-generated-id' then last = about[i + 1] end end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    read[fields.name] = fields['last-delivered-id']
end
for i = 2, #KEYS do
    if read[ARGV[i - 1]] ~= last then
        redis.call('PUBLISH', KEYS[i], 'event')
        woken[#woken + 1] = ARGV[i - 1]
    end
end
return woken";

thread_local! {
    /// Whether a relay of this instance is under way, and whether it was asked for again since.
    static UNDER_WAY: Cell<UnderWay> = const { Cell::new(UnderWay::Idle) };
    /// The last id that this instance has seen of each context's stream: where the next look most likely begins.
    static SEEN: RefCell<BTreeMap<&'static str, EntryId>> = const { RefCell::new(BTreeMap::new()) };
}

#[derive(Clone, Copy, PartialEq)]
enum UnderWay {
    Idle,
    Running,
    RunningAskedAgain,
}

/// The relay of one context.
#[derive(Clone, Copy, Debug)]
pub struct Relay<S = &'static Database> {
    storage: S,
    context: &'static str,
}

/// What is to be sent next, and how the log stands.
struct Batch {
    generation: u64,
    floor: u64,
    newest: u64,
    events: Vec<(EntryId, String)>,
    /// Their names, and who asked for them.
    names: Vec<(String, Option<Actor>)>,
}

/// What a run of the relay did, and how it found the log.
#[derive(Default)]
pub(crate) struct Relayed {
    pub(crate) appended: u64,
    generation: u64,
    floor: u64,
    /// Who is still to be woken.
    to_wake: Vec<&'static Consumer>,
}

/// What came of an append.
enum Appended {
    /// The stream ends here now, with what was to be appended.
    Yes(EntryId),
    /// It ended here, and not where it was said to; nothing was appended.
    EndsAt(EntryId),
}

impl<S: Storage> Relay<S> {
    /// The relay of the context of that name, whose events are in `storage`.
    pub const fn new(storage: S, context: &'static str) -> Self {
        Self { storage, context }
    }

    /// Relays right after a commit, beside the answer: to be called from what answers requests. Calls while a relay of
    /// this instance is under way, and [`GATHER`] longer, are together one more look. What fails is done on the tick.
    pub(crate) fn soon(&self, redis_url: &str)
    where
        S: Clone + 'static,
    {
        if UNDER_WAY.get() != UnderWay::Idle {
            UNDER_WAY.set(UnderWay::RunningAskedAgain);
            return;
        }
        UNDER_WAY.set(UnderWay::Running);
        let (relay, url) = (self.clone(), redis_url.to_owned());
        spawn(async move {
            loop {
                let gathered = match relay.run_within(BUDGET, &url, Pace::Gathered).await {
                    Ok(relayed) => relayed.to_wake,
                    Err(error) => {
                        eprintln!("relaying the events of {}: {error}; the next tick does it", relay.context);
                        break;
                    }
                };
                // Where one commit comes others follow: they are waited for, and share the next look.
                sleep(GATHER).await;
                if let Err(error) = relay.wake_behind(&url, &gathered).await {
                    eprintln!("waking who follows {}: {error}; the next tick does it", relay.context);
                }
                if UNDER_WAY.replace(UnderWay::Running) == UnderWay::Running {
                    break;
                }
            }
            UNDER_WAY.set(UnderWay::Idle);
        });
    }

    /// Appends everything that is not in the stream, as far as the time budget goes, and wakes everyone concerned.
    /// Returns how many events this call appended.
    pub async fn run(&self, redis_url: &str) -> Result<u64, LogError> {
        Ok(self.run_within(BUDGET, redis_url, Pace::AtOnce).await?.appended)
    }

    /// On the tick: relays, whatever has become of the stream, and writes down the floor.
    pub async fn tick(&self, redis_url: &str) -> Result<(), LogError> {
        // What this instance has seen may be gone.
        SEEN.with_borrow_mut(|seen| seen.remove(self.context));
        let log = self.run_within(BUDGET, redis_url, Pace::AtOnce).await?;
        let redis = Redis::connect(redis_url).await?;
        let acknowledged = floor::trim(&redis, self.context).await?;
        redis.release();
        if let Some(id) = acknowledged
            && id.generation == log.generation
            && id.position > log.floor
        {
            Statement::new(NOTE_FLOOR).bind(id.position).bind(id.generation).run(&self.storage).await?;
        }
        Ok(())
    }

    /// Consumers of a pace beyond `pace` are not woken by this: they are in what comes back.
    pub(crate) async fn run_within(
        &self,
        budget: Duration,
        redis_url: &str,
        pace: Pace,
    ) -> Result<Relayed, LogError> {
        let ends = Instant::now() + budget;
        let mut relayed = Relayed::default();
        let seen = SEEN.with_borrow(|seen| seen.get(self.context).copied());
        let redis = Redis::connect(redis_url).await?;
        let mut last = match seen {
            Some(last) => last,
            None => self.ask(&redis).await?,
        };
        loop {
            let batch = self.next(last).await?;
            (relayed.generation, relayed.floor) = (batch.generation, batch.floor);
            if last.generation > batch.generation
                || (last.generation == batch.generation && last.position > batch.newest)
            {
                eprintln!(
                    "the stream of {} ends at {last}, and its store at {}-{}: the stream belongs to another store, and \
                     nothing is sent. Use the store that it belongs to, or delete the stream",
                    self.context, batch.generation, batch.newest
                );
                // Once somebody has put that right the next look is to begin with what there is.
                SEEN.with_borrow_mut(|seen| seen.remove(self.context));
                redis.release();
                return Ok(relayed);
            }
            if batch.events.is_empty() {
                break;
            }
            faults::point(self.context, "relay.read").await;
            let concerned = readers_of(self.context).filter(|reader| {
                let mut named = batch.names.iter();
                named.any(|(name, actor)| reader.hears(self.context, name, actor.as_ref()))
            });
            let (at_once, gathered): (Vec<_>, Vec<_>) =
                concerned.partition(|reader| pace == Pace::AtOnce || reader.pace == Pace::AtOnce);
            if !faults::guard("relay.compare") {
                last = self.ask(&redis).await?;
            }
            match self.append(&redis, last, &batch.events, &at_once).await? {
                Appended::Yes(id) => {
                    last = id;
                    relayed.appended += batch.events.len() as u64;
                    waking::wake(at_once).await;
                    for consumer in gathered {
                        if !relayed.to_wake.contains(&consumer) {
                            relayed.to_wake.push(consumer);
                        }
                    }
                    faults::point(self.context, "relay.appended").await;
                    if (batch.events.len() as u64) < BATCH {
                        break;
                    }
                }
                Appended::EndsAt(id) => last = id,
            }
            if Instant::now() >= ends {
                break;
            }
        }
        SEEN.with_borrow_mut(|seen| seen.insert(self.context, last));
        redis.release();
        Ok(relayed)
    }

    async fn ask(&self, redis: &Redis) -> Result<EntryId, LogError> {
        // No stream ends there, so nothing can be appended.
        match self.append(redis, EntryId { generation: 0, position: u64::MAX }, &[], &[]).await? {
            Appended::Yes(id) | Appended::EndsAt(id) => Ok(id),
        }
    }

    async fn append(
        &self,
        redis: &Redis,
        last: EntryId,
        events: &[(EntryId, String)],
        wake: &[&'static Consumer],
    ) -> Result<Appended, LogError> {
        let (ids, expected): (Vec<String>, _) =
            (events.iter().map(|(id, _)| id.to_string()).collect(), last.to_string());
        let mut arguments = vec![expected.as_str()];
        for (id, (_, json)) in ids.iter().zip(events) {
            arguments.extend([id.as_str(), json.as_str()]);
        }
        let keys: Vec<_> = std::iter::once(keys::stream(self.context))
            .chain(wake.iter().map(|consumer| keys::wake(consumer.name)))
            .collect();
        let reply = redis.script(APPEND, &keys, &arguments).await?;
        let [end, appended] = reply.as_slice() else { return Err(odd("appending", &reply)) };
        let end = EntryId::parse(&as_text(end)).ok_or_else(|| odd("appending", &reply))?;
        Ok(if as_text(appended) == "1" { Appended::Yes(end) } else { Appended::EndsAt(end) })
    }

    async fn wake_behind(&self, redis_url: &str, gathered: &[&'static Consumer]) -> Result<(), LogError> {
        if gathered.is_empty() {
            return Ok(());
        }
        let redis = Redis::connect(redis_url).await?;
        let names: Vec<_> = gathered.iter().map(|consumer| consumer.name).collect();
        let channels = names.iter().map(|name| keys::wake(name));
        let keys: Vec<_> = std::iter::once(keys::stream(self.context)).chain(channels).collect();
        let woken = redis.script(WAKE_BEHIND, &keys, &names).await?;
        redis.release();
        waking::wake(woken.iter().filter_map(|name| Consumer::named(&as_text(name)))).await;
        Ok(())
    }

    async fn next(&self, last: EntryId) -> Result<Batch, LogError> {
        // Another relay that numbers at this moment has done so once the conflict is known; what it has left is ours.
        for _ in 0..NUMBERINGS {
            match Statement::new(NUMBER).run(&self.storage).await {
                Err(error) if error.is_conflict() => {}
                numbered => {
                    numbered?;
                    break;
                }
            }
        }
        let next = Statement::new(NEXT).bind(last.generation).bind(last.position).bind(BATCH);
        let rows = next.rows(&self.storage).await?;
        let first =
            rows.first().ok_or_else(|| StoreError::Failure("the table `log` has no row".to_owned()))?;
        let generation = first.count("generation")?;
        let mut batch = Batch {
            generation,
            floor: first.count("floor")?,
            newest: first.count("newest")?,
            events: Vec::with_capacity(rows.len()),
            names: Vec::with_capacity(rows.len()),
        };
        for row in &rows {
            if let Some(position) = row.opt_count("position")? {
                batch.events.push((EntryId { generation, position }, self.cloud_event(row)?));
                batch.names.push((row.text("type")?.to_owned(), row.opt_parse("actor")?));
            }
        }
        Ok(batch)
    }

    fn cloud_event(&self, row: &Row) -> Result<String, LogError> {
        let stored = Stored {
            subject: row.text("subject")?,
            version: row.count("version")?,
            name: row.text("type")?,
            data: row.text("data")?,
            time: row.parse("time")?,
            traceparent: row.opt_text("traceparent")?,
            actor: row.opt_text("actor")?,
        };
        to_json(self.context, &stored)
            .map_err(|e| StoreError::Failure(format!("event {} is not JSON: {e}", stored.subject)).into())
    }
}
