//! A circuit breaker whose state all instances and replicas share.
//!
//! *Closed* it lets every call through and counts. When, within [`Settings::window`] and at least
//! [`Settings::min_calls`] calls, [`Settings::failure_ratio`] of them failed, it *opens*: for
//! [`Settings::open`] no call is let through. After that it lets one probe through at a time; a probe that
//! succeeds closes it, one that fails opens it again.
//!
//! The state lives in a [`Shared`] store that offers no more than Spin's key-value stores can be relied upon
//! for: read, write, delete, and an atomic increment. There is no compare-and-swap in it (see [`Shared`]), so
//! nothing here depends on one: whoever may probe is settled by an increment, and a write that comes too late
//! is one that the next reader recovers from.
//!
//! What it costs: a call that succeeds costs one read and no write. Successes are counted in the instance's
//! memory and told to the others together with the next failure.
//!
//! What it deliberately has not: a clock (every method is given the time), timers, logging, and knowledge of
//! what is called. The deadline is the caller's; a call that ran past it is recorded as [`Outcome::Failure`].

mod counts;
mod shared;
mod standing;
mod state;

pub use shared::Shared;
pub use standing::{Change, Position, Standing};

use counts::{Counts, Window};
use standing::KEPT_CHANGES;
use state::State;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

/// The numbers of a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// How far back calls count.
    pub window: Duration,
    /// Fewer calls than this within the window never open it.
    pub min_calls: u64,
    /// The part of the calls within the window, from 0 to 1, whose failure opens it.
    pub failure_ratio: f64,
    /// How long it stays open before it probes.
    pub open: Duration,
    /// The longest that a call may take (the caller's deadline). Whoever probes and has said nothing after
    /// this and a margin is taken for dead, and another may probe.
    pub call: Duration,
}

/// Whether a call may be made.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may; what became of it is to be given to [`Breaker::record`].
    Call(Permit),
    /// It may not.
    Refused {
        /// When trying again may help.
        retry_after: Duration,
    },
}

/// What a call was admitted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// When the state that admitted it began, in milliseconds.
    since: i64,
    /// The slot of time in which it is the only probe; none for a call through the closed breaker.
    probe: Option<i64>,
}

impl Permit {
    /// Of a call that is made without asking, since the shared store cannot be asked: what becomes of it counts for
    /// nothing.
    pub const fn unasked() -> Self {
        Self { since: i64::MIN, probe: None }
    }

    /// Whether the call is the one that decides if the breaker closes.
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, in time. A refusal on the merits (a declined card) is an answer too.
    Success,
    /// It failed, or ran past its deadline.
    Failure,
}

/// One instance's view of a breaker. Keep it for as long as the instance lives: it holds the successes that
/// nobody else has been told of yet.
///
/// Times are milliseconds since an instant that is the same for every replica (1970, say). Replicas' clocks
/// may differ by less than 200 ms before two of them could probe at once.
#[derive(Debug)]
pub struct Breaker {
    name: &'static str,
    settings: Settings,
    memory: RefCell<Memory>,
}

/// What an instance remembers by itself.
#[derive(Debug, Default)]
struct Memory {
    /// The closed state that `successes` belong to.
    since: i64,
    /// Successes by bucket that are not in the shared store yet.
    successes: BTreeMap<i64, u64>,
    /// The slot in which another probes, as (open since, slot), so that it is asked for only once.
    taken: Option<(i64, i64)>,
}

impl Breaker {
    /// The breaker of this name; keys in the shared store begin with `breaker:<name>:`.
    pub fn new(name: &'static str, settings: Settings) -> Self {
        Self { name, settings, memory: RefCell::default() }
    }

    /// Whether a call may be made now.
    ///
    /// An error is the store's. The breaker is there to protect, not to be one more thing that can fail: a
    /// caller that gets one had better make its call.
    pub async fn admit<S: Shared>(&self, shared: &S, now: i64) -> Result<Admission, S::Error> {
        match self.state(shared).await? {
            State::Closed { since, .. } => Ok(Admission::Call(Permit { since, probe: None })),
            State::Open { since, .. } => self.admit_probe(shared, since, now).await,
        }
    }

    /// How it stands, for whoever looks on.
    pub async fn standing<S: Shared>(&self, shared: &S, now: i64) -> Result<Standing, S::Error> {
        let history = shared.get(&self.key("history")).await?.unwrap_or_default();
        let history: Vec<_> = history.lines().filter_map(Change::parse).collect();
        Ok(match self.state(shared).await? {
            State::Closed { since, .. } => {
                let window = Window::new(self.settings.window);
                let bucket = window.bucket(now);
                let mut failures = 0;
                for counted in window.first(bucket)..=bucket {
                    let counts = shared.count(&self.count_key(since, counted)).await?;
                    failures += Counts::unpack(counts).failures;
                }
                Standing { position: Position::Closed, since, failures, history }
            }
            State::Open { since, .. } => {
                let is_probing = now - since >= millis(self.settings.open);
                let position = if is_probing { Position::HalfOpen } else { Position::Open };
                Standing { position, since, failures: 0, history }
            }
        })
    }

    /// Writes down that it opened or closed. The store may lose it, and of two who write at once one wins.
    async fn note<S: Shared>(&self, shared: &S, change: Change) -> Result<(), S::Error> {
        let key = self.key("history");
        let before = shared.get(&key).await?.unwrap_or_default();
        let before: Vec<_> = before.lines().filter_map(Change::parse).collect();
        if before.first().is_some_and(|last| last.opened == change.opened) {
            return Ok(());
        }
        let lines = std::iter::once(change).chain(before).take(KEPT_CHANGES);
        shared.set(&key, &lines.map(|change| change.to_string()).collect::<Vec<_>>().join("\n")).await
    }

    /// Tells the breaker what became of an admitted call.
    pub async fn record<S: Shared>(
        &self,
        shared: &S,
        permit: Permit,
        outcome: Outcome,
        now: i64,
    ) -> Result<(), S::Error> {
        match (permit.probe, outcome) {
            (None, Outcome::Success) => {
                self.remember_success(permit, now);
                Ok(())
            }
            (None, Outcome::Failure) => self.count_failure(shared, permit, now).await,
            (Some(slot), outcome) => self.end_probe(shared, permit, slot, outcome, now).await,
        }
    }

    /// One probe per slot of time, the slots counted from when the breaker has been open for long enough.
    ///
    /// A slot is twice as long as a probe may take, and a probe starts in its first half only: so it has
    /// ended, or its instance is dead, before the next slot begins.
    async fn admit_probe<S: Shared>(&self, shared: &S, since: i64, now: i64) -> Result<Admission, S::Error> {
        let open = millis(self.settings.open);
        let longest_probe = millis(self.settings.call) + 200;
        // A clock that was ahead, or has been set back, must not keep the breaker open for hours: then it has been open
        // for long enough, and the slots are counted from 1970.
        let waited = if since - now > open { now } else { now - since - open };
        if waited < 0 {
            return Ok(refused(-waited));
        }
        let (slot, into) = (waited / (2 * longest_probe), waited % (2 * longest_probe));
        let until_next = 2 * longest_probe - into;
        if into >= longest_probe || self.memory.borrow().taken == Some((since, slot)) {
            return Ok(refused(until_next));
        }
        if shared.increment(&self.probe_key(since, slot), 1).await? == 1 {
            return Ok(Admission::Call(Permit { since, probe: Some(slot) }));
        }
        self.memory.borrow_mut().taken = Some((since, slot));
        Ok(refused(until_next))
    }

    async fn end_probe<S: Shared>(
        &self,
        shared: &S,
        permit: Permit,
        slot: i64,
        outcome: Outcome,
        now: i64,
    ) -> Result<(), S::Error> {
        let state = self.state(shared).await?;
        // A probe that outlived its slot has been replaced; its word no longer counts once another's has.
        let State::Open { since, last_probe } = state else { return Ok(()) };
        if since != permit.since {
            return Ok(());
        }
        let ended = Some((permit.since, slot));
        let next = match outcome {
            Outcome::Success => State::Closed { since: now, last_probe: ended },
            Outcome::Failure => State::Open { since: now, last_probe: ended },
        };
        shared.set(&self.key("state"), &next.to_string()).await?;
        if outcome == Outcome::Success {
            self.note(shared, Change { opened: false, at: now }).await?;
        }
        self.forget_probes(shared, last_probe).await
    }

    fn remember_success(&self, permit: Permit, now: i64) {
        let window = Window::new(self.settings.window);
        let bucket = window.bucket(now);
        let mut memory = self.memory.borrow_mut();
        if memory.since < permit.since {
            memory.since = permit.since;
            memory.successes.clear();
        }
        if memory.since == permit.since {
            *memory.successes.entry(bucket).or_default() += 1;
            memory.successes.retain(|&counted, _| counted >= window.first(bucket));
        }
    }

    async fn count_failure<S: Shared>(&self, shared: &S, permit: Permit, now: i64) -> Result<(), S::Error> {
        let State::Closed { since, last_probe } = self.state(shared).await? else { return Ok(()) };
        // A straggler from before the breaker last closed says nothing about now.
        if since != permit.since {
            return Ok(());
        }
        let window = Window::new(self.settings.window);
        let bucket = window.bucket(now);
        let untold = self.untold_successes(since);
        let mut total = Counts::default();
        for counted in window.first(bucket)..=bucket {
            let news = Counts {
                failures: u64::from(counted == bucket),
                successes: untold.get(&counted).copied().unwrap_or(0),
            };
            let key = self.count_key(since, counted);
            let counts = if news == Counts::default() {
                shared.count(&key).await?
            } else {
                shared.increment(&key, news.packed()).await?
            };
            let counts = Counts::unpack(counts);
            if counted == bucket && counts == news {
                self.sweep(shared, since, bucket, window).await?;
            }
            total = total + counts;
        }
        if total.failures + total.successes >= self.settings.min_calls
            && total.ratio() >= self.settings.failure_ratio
        {
            // Two may come to this at once, and then write the same but for a few milliseconds.
            let open = State::Open { since: now, last_probe: None };
            shared.set(&self.key("state"), &open.to_string()).await?;
            self.note(shared, Change { opened: true, at: now }).await?;
            self.forget_probes(shared, last_probe).await?;
        }
        Ok(())
    }

    /// Takes the successes that the others do not know of yet.
    fn untold_successes(&self, since: i64) -> BTreeMap<i64, u64> {
        let mut memory = self.memory.borrow_mut();
        if memory.since == since { std::mem::take(&mut memory.successes) } else { BTreeMap::new() }
    }

    /// Deletes counters that have left the window. Called for the first failure of a bucket.
    ///
    /// `swept` names the bucket of the last sweep. Every counter since then lies within one window of it,
    /// or else there would have been another sweep: so all of them can be named, and none is left behind.
    async fn sweep<S: Shared>(
        &self,
        shared: &S,
        since: i64,
        bucket: i64,
        window: Window,
    ) -> Result<(), S::Error> {
        let key = self.key("swept");
        let last = shared.get(&key).await?;
        let last = last.as_deref().and_then(|text| text.split_once(' '));
        let last = last.and_then(|(since, bucket)| Some((since.parse().ok()?, bucket.parse().ok()?)));
        let (last_since, last_bucket): (i64, i64) = last.unwrap_or((since, bucket));
        let same_state = last_since == since;
        if same_state && (last_bucket..last_bucket + Window::BUCKETS).contains(&bucket) && last.is_some() {
            return Ok(());
        }
        for old in last_bucket - Window::BUCKETS..last_bucket + Window::BUCKETS {
            if !(same_state && (window.first(bucket)..=bucket).contains(&old)) {
                shared.delete(&self.count_key(last_since, old)).await?;
            }
        }
        shared.set(&key, &format!("{since} {bucket}")).await
    }

    /// Deletes the claims of the probes before the last: those of the last itself may still be asked for, by
    /// whoever read the state just before it changed.
    async fn forget_probes<S: Shared>(
        &self,
        shared: &S,
        last_probe: Option<(i64, i64)>,
    ) -> Result<(), S::Error> {
        let Some((since, slot)) = last_probe else { return Ok(()) };
        // Slots before it were claimed by probes that never ended: seldom any, and never many.
        for claimed in slot.saturating_sub(8).max(0)..=slot {
            shared.delete(&self.probe_key(since, claimed)).await?;
        }
        Ok(())
    }

    async fn state<S: Shared>(&self, shared: &S) -> Result<State, S::Error> {
        let text = shared.get(&self.key("state")).await?;
        // What cannot be read is as if it had been lost, which a key-value store is allowed to do.
        Ok(text.and_then(|text| text.parse().ok()).unwrap_or_default())
    }

    fn key(&self, of: &str) -> String {
        format!("breaker:{}:{of}", self.name)
    }

    fn count_key(&self, since: i64, bucket: i64) -> String {
        format!("breaker:{}:count:{since}:{bucket}", self.name)
    }

    fn probe_key(&self, since: i64, slot: i64) -> String {
        format!("breaker:{}:probe:{since}:{slot}", self.name)
    }
}

const fn refused(millis: i64) -> Admission {
    Admission::Refused { retry_after: Duration::from_millis(millis.unsigned_abs()) }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests;
