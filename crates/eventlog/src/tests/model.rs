//! Random histories of one log, in memory, in which nothing may be lost: relays in steps that are cut anywhere, groups that
//! read and acknowledge, floors and trims, a Redis that falls back or loses everything, and replays.
//!
//! What comes next is asked of the real statement, over a real store; only Redis and the consumers are played. Each rule
//! that prevents a loss is left out once, to see that the histories notice.

use super::store::DATABASE;
use crate::id::EntryId;
use crate::relay::{NEXT, NOTE_FLOOR, NUMBER};
use std::collections::BTreeSet;
use store::Value;
use store::native::{Engine, Store};

::store::on_postgres!(
    in_no_history_is_anything_lost,
    without_comparing_where_the_stream_ends_events_are_lost,
    if_a_stream_of_an_older_generation_were_gone_on_with_a_replay_would_not_be_sent,
    what_consumers_have_forgotten_comes_with_a_replay,
    if_a_replay_did_not_lower_the_floor_it_would_not_be_sent,
    if_a_floor_of_before_a_replay_were_noted_after_it_it_would_not_be_sent,
);

const HISTORIES: u32 = 2_000;

/// What an operator's replay from $1 does.
const REPLAY: &str = "UPDATE log SET generation = generation + 1, floor = min(floor, CAST($1 AS BIGINT) - 1)";

/// The rules that are played by.
#[derive(Clone)]
struct Rules {
    next: String,
    note: &'static str,
    replay: &'static str,
    /// An append is refused where the stream does not end as its relay saw it.
    compares: bool,
    /// With a replay the consumers have forgotten what is replayed, as one whose store is of before has.
    forgets: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self { next: NEXT.to_owned(), note: NOTE_FLOOR, replay: REPLAY, compares: true, forgets: false }
    }
}

/// Numbers at random, and the same ones for the same seed (SplitMix64).
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    const fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    const fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// What Redis holds of the log.
#[derive(Clone, Default)]
struct Redis {
    last: EntryId,
    entries: BTreeSet<EntryId>,
    groups: [Group; 3],
}

#[derive(Clone, Default)]
struct Group {
    delivered: EntryId,
    pending: BTreeSet<EntryId>,
}

impl Group {
    /// Up to where it has acknowledged everything.
    fn acknowledged(&self) -> EntryId {
        self.pending
            .first()
            .map_or(self.delivered, |first| EntryId { position: first.position - 1, ..*first })
    }
}

/// How far a relay has come, of one of two instances.
struct Relay {
    instance: usize,
    last: EntryId,
    /// What it has read, to be appended.
    batch: Option<Vec<EntryId>>,
}

struct History<'a> {
    rules: &'a Rules,
    store: &'a Store,
    random: Random,
    events: u64,
    redis: Redis,
    generation: u64,
    /// States that Redis may fall back to.
    kept: Vec<Redis>,
    relays: Vec<Relay>,
    /// The stream's end as each instance has last seen it.
    seen: [Option<EntryId>; 2],
    /// A floor that was found, and not written down yet.
    found: Option<EntryId>,
    /// By group: what it has handled. That is in its own store, and Redis cannot lose it.
    handled: [BTreeSet<u64>; 3],
}

const fn int(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

impl<'a> History<'a> {
    fn new(rules: &'a Rules, store: &'a Store, seed: u64) -> Self {
        for sql in [
            "DELETE FROM events",
            "/*sqlite UPDATE sqlite_sequence SET seq = 0*//*postgres ALTER SEQUENCE events_inserted_seq RESTART*/",
            "UPDATE log SET generation = 1, floor = 0",
        ] {
            store.run(sql, &[]).unwrap();
        }
        Self {
            rules,
            store,
            random: Random(seed),
            events: 0,
            redis: Redis::default(),
            generation: 1,
            kept: Vec::new(),
            relays: Vec::new(),
            seen: [None; 2],
            found: None,
            handled: Default::default(),
        }
    }

    /// Plays it, lets it come to rest, and says what some group has not handled by then.
    fn play(mut self) -> Result<(), String> {
        for _ in 0..50 + self.random.below(350) {
            match self.random.below(268) {
                0..50 => self.commit(),
                50..130 => self.relay()?,
                130..210 => self.consume(),
                210..260 => self.floor(),
                260..265 => self.lose(),
                _ => self.replay(),
            }
            if self.random.percent(10) {
                self.kept.push(self.redis.clone());
            }
        }
        self.relays.clear();
        for _ in 0..4_000 {
            match self.random.below(13) {
                0..4 => self.relay()?,
                4..12 => self.consume(),
                _ => self.floor(),
            }
            if self.handled.iter().all(|handled| handled.len() as u64 == self.events) {
                return Ok(());
            }
        }
        let missing = |handled: &BTreeSet<u64>| (1..=self.events).find(|event| !handled.contains(event));
        Err(format!(
            "of {} events the first missing are {:?}",
            self.events,
            self.handled.each_ref().map(missing)
        ))
    }

    fn commit(&mut self) {
        self.events += 1;
        let sql = "INSERT INTO events (subject, version, type, data, time) VALUES ('1', $1, '', '', '')";
        self.store.run(sql, &[int(self.events)]).unwrap();
    }

    /// One step of some relay, which may be its last.
    fn relay(&mut self) -> Result<(), String> {
        if self.relays.is_empty() || self.random.percent(30) {
            let instance = self.random.below(2);
            let seen = self.seen[instance].filter(|_| self.random.percent(80));
            self.relays.push(Relay { instance, last: seen.unwrap_or(self.redis.last), batch: None });
        }
        let at = self.random.below(self.relays.len());
        let mut relay = self.relays.swap_remove(at);
        if let Some(batch) = relay.batch.take() {
            if self.append(relay.last, &batch)? {
                self.seen[relay.instance] = batch.last().copied();
                return Ok(());
            }
            relay.last = self.redis.last;
        } else {
            relay.batch = Some(self.next(relay.last)?).filter(|batch| !batch.is_empty());
            if relay.batch.is_none() {
                self.seen[relay.instance] = Some(relay.last);
                return Ok(());
            }
        }
        if self.random.percent(90) {
            self.relays.push(relay);
        }
        Ok(())
    }

    fn next(&self, last: EntryId) -> Result<Vec<EntryId>, String> {
        let params = [int(last.generation), int(last.position), int(3)];
        self.store.run(NUMBER, &[]).unwrap();
        let rows = self.store.run(&self.rules.next, &params).unwrap();
        let (generation, newest) = (rows[0].count("generation").unwrap(), rows[0].count("newest").unwrap());
        if last.generation > generation || (last.generation == generation && last.position > newest) {
            return Err(format!("the stream is taken for another store's: {last}"));
        }
        let positions = rows.iter().filter_map(|row| row.opt_count("position").unwrap());
        Ok(positions.map(|position| EntryId { generation, position }).collect())
    }

    fn append(&mut self, last: EntryId, batch: &[EntryId]) -> Result<bool, String> {
        if self.redis.last != last {
            // Redis itself refuses only ids that do not rise.
            let may = !self.rules.compares && batch.first().is_some_and(|id| *id > self.redis.last);
            if !may {
                return Ok(false);
            }
        }
        for id in batch {
            if *id <= self.redis.last {
                return Err(format!("{id} behind {}", self.redis.last));
            }
            self.redis.entries.insert(*id);
            self.redis.last = *id;
        }
        Ok(true)
    }

    /// Some group takes what is new, or what was left, and handles and acknowledges most of it.
    fn consume(&mut self) {
        let of = self.random.below(3);
        let group = &mut self.redis.groups[of];
        let mut taken: Vec<_> = group.pending.iter().copied().collect();
        if taken.is_empty() || self.random.percent(50) {
            taken = self
                .redis
                .entries
                .range(group.delivered..)
                .filter(|id| **id > group.delivered)
                .copied()
                .collect();
            taken.truncate(2);
            group.delivered = taken.last().copied().unwrap_or(group.delivered);
            group.pending.extend(&taken);
        } else {
            let at = self.random.below(taken.len());
            taken = vec![taken[at]];
        }
        for id in taken {
            // A crash may come before, or between handling and acknowledging.
            if self.random.percent(85) {
                self.handled[of].insert(id.position);
                if self.random.percent(95) {
                    self.redis.groups[of].pending.remove(&id);
                }
            }
        }
    }

    /// Finds how far everyone is done, and trims behind it; or writes down what was found.
    fn floor(&mut self) {
        if let Some(found) = self.found.take() {
            if self.random.percent(90) {
                self.store.run(self.rules.note, &[int(found.position), int(found.generation)]).unwrap();
            }
            return;
        }
        let least = self.redis.groups.iter().map(Group::acknowledged).min().unwrap();
        if self.random.percent(50) {
            self.redis.entries.retain(|id| *id > least);
        }
        self.found = Some(least).filter(|id| id.generation == self.generation);
    }

    /// Redis loses everything, or all since some moment not long ago.
    fn lose(&mut self) {
        let recent = self.kept.len().min(6);
        self.redis = if recent == 0 || self.random.percent(40) {
            Redis::default()
        } else {
            let back = self.random.below(recent);
            self.kept[self.kept.len() - 1 - back].clone()
        };
    }

    fn replay(&mut self) {
        if self.events == 0 {
            return;
        }
        let from = 1 + self.random.next() % self.events;
        self.store.run(self.rules.replay, &[int(from)]).unwrap();
        self.generation += 1;
        if self.rules.forgets {
            self.handled.iter_mut().for_each(|handled| handled.retain(|event| *event < from));
        }
    }
}

/// Plays so many histories by these rules, and tells of the first in which something is lost.
fn play(rules: &Rules, histories: u32) -> Result<(), String> {
    let engine = Engine::current();
    let histories = u64::from(engine.cases(histories));
    std::thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            scope.spawn(move || {
                let store = engine.run(|| Store::new(&DATABASE));
                (half..histories).step_by(2).try_for_each(|seed| {
                    History::new(rules, &store, seed).play().map_err(|lost| format!("history {seed}: {lost}"))
                })
            })
        });
        halves.map(|half| half.join().unwrap()).into_iter().collect()
    })
}

/// Without a rule something is lost before long.
#[track_caller]
fn loses(rules: &Rules) {
    let lost = play(rules, HISTORIES).expect_err("nothing was lost without it");
    assert!(lost.contains("the first missing"), "{lost}");
}

fn next_without(rule: &str, instead: &str) -> String {
    assert!(NEXT.contains(rule));
    NEXT.replace(rule, instead)
}

#[test]
fn in_no_history_is_anything_lost() {
    play(&Rules::default(), HISTORIES).unwrap();
}

#[test]
fn without_comparing_where_the_stream_ends_events_are_lost() {
    loses(&Rules { compares: false, ..Rules::default() });
}

#[test]
fn if_a_stream_of_an_older_generation_were_gone_on_with_a_replay_would_not_be_sent() {
    let next = next_without("$1 = generation AND", "CAST($1 AS BIGINT) >= 0 AND");
    loses(&Rules { next, forgets: true, ..Rules::default() });
}

#[test]
fn what_consumers_have_forgotten_comes_with_a_replay() {
    play(&Rules { forgets: true, ..Rules::default() }, HISTORIES / 4).unwrap();
}

#[test]
fn if_a_replay_did_not_lower_the_floor_it_would_not_be_sent() {
    let replay = "UPDATE log SET generation = generation + 1 WHERE CAST($1 AS BIGINT) > 0";
    loses(&Rules { replay, forgets: true, ..Rules::default() });
}

#[test]
fn if_a_floor_of_before_a_replay_were_noted_after_it_it_would_not_be_sent() {
    let note = "UPDATE log SET floor = $1 WHERE CAST($2 AS BIGINT) > 0 AND floor < $1";
    loses(&Rules { note, forgets: true, ..Rules::default() });
}
