//! What can go wrong, as data: drawn from the seed, and carried out by [`inject`](super::inject).

use std::time::Duration;

use eventlog::topology;
use fastrand::Rng;

use super::network::Way;
use super::proxy::Mood;
use crate::ground::CONTEXTS;
use xtask::postgres_url::LABELS;

/// The stores that somebody else can lock, the one that the breaker keeps to among them.
const STORES: [&str; 9] = [
    "order",
    "pay",
    "gateway",
    "reservation",
    "notification",
    "inbox",
    "information",
    "member",
    "sqlite_key_value",
];

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A process is killed, and is away for a while.
    Kill(&'static str, Duration),
    /// All processes are killed at once, as when the power fails, and are away for a while.
    KillAll(Duration),
    /// A process is killed exactly here.
    KillAt(&'static str, String),
    /// A process stands still, with all it holds, and then goes on.
    Freeze(&'static str, Duration),
    /// The files of a process cannot grow beyond so many bytes.
    DiskFull(&'static str, u64, Duration),
    /// The clock of a process is wrong by so many seconds.
    Clock(&'static str, i64, Duration),
    /// The clock of a process jumps by so many seconds while it runs, and later back.
    ClockJumps(&'static str, i64, Duration),
    /// The card company takes this long.
    SlowGateway(Duration, Duration),
    /// Redis is killed, and is away for a while.
    RedisKilled(Duration),
    /// The same, and the last so many bytes it has written are gone.
    RedisForgets(u64, Duration),
    /// Redis loses everything.
    RedisEmptied,
    /// One stream is deleted, with the groups that read it.
    StreamDeleted(&'static str),
    /// A group no longer knows what it has read of a stream.
    GroupForgotten(&'static str, &'static str),
    /// Redis stands still.
    RedisFrozen(Duration),
    /// Redis takes no writes, as when it has no memory or its disk is full.
    RedisReadOnly(Duration),
    /// The connections to Redis are cut, again and again.
    RedisCutOff(Duration),
    /// The connections on which workers are woken are cut, again and again.
    WakeupsDropped(Duration),
    /// No tick.
    NoTick(Duration),
    /// Many more wake-ups than there are events.
    WakeupsRepeated(Duration),
    /// Whatever is written to Redis, wake-ups too, waits.
    WakeupsDelayed(Duration),
    /// Something between `order` and `pay`.
    PayTrouble(Mood, Duration),
    /// PostgreSQL is killed, and is away for a while.
    DatabaseKilled(Duration),
    /// PostgreSQL is stopped without writing anything down, and is away for a while.
    DatabaseStopped(Duration),
    /// The connections to PostgreSQL are cut, again and again.
    DatabaseCutOff(Duration),
    /// The process that serves one connection stands still.
    DatabaseFrozen(Duration),
    /// PostgreSQL takes no writes.
    DatabaseReadOnly(Duration),
    /// Transactions are serializable, so that of those that meet all but one are given up.
    Serializable(Duration),
    /// Somebody else takes tables the other way around, so that deadlocks are resolved.
    Deadlocks(Duration),
    /// The network to PostgreSQL is parted.
    DatabaseParted(Way, Duration),
    /// Somebody else holds the write lock of a store.
    StoreLocked(&'static str, Duration),
    /// An operator has the events of a context sent again that are not older than this.
    Replayed(&'static str, Duration),
}

impl Fault {
    /// Under which name it is counted.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Kill(..) => "process killed".to_owned(),
            Self::KillAll(_) => "all processes killed".to_owned(),
            Self::KillAt(_, point) => format!("killed at {point}"),
            Self::Freeze(..) => "process frozen".to_owned(),
            Self::DiskFull(..) => "disk full".to_owned(),
            Self::Clock(_, seconds, _) if *seconds > 0 => "clock ahead".to_owned(),
            Self::Clock(..) => "clock behind".to_owned(),
            Self::ClockJumps(_, seconds, _) if *seconds > 0 => "clock jumps ahead".to_owned(),
            Self::ClockJumps(..) => "clock jumps back".to_owned(),
            Self::SlowGateway(..) => "gateway slow".to_owned(),
            Self::RedisKilled(_) => "Redis killed".to_owned(),
            Self::RedisForgets(..) => "Redis lost its last writes".to_owned(),
            Self::RedisEmptied => "Redis emptied".to_owned(),
            Self::StreamDeleted(_) => "stream deleted".to_owned(),
            Self::GroupForgotten(..) => "group forgotten".to_owned(),
            Self::RedisFrozen(_) => "Redis frozen".to_owned(),
            Self::RedisReadOnly(_) => "Redis takes no writes".to_owned(),
            Self::RedisCutOff(_) => "connections to Redis cut".to_owned(),
            Self::WakeupsDropped(_) => "wake-ups dropped".to_owned(),
            Self::NoTick(_) => "no tick".to_owned(),
            Self::WakeupsRepeated(_) => "wake-ups repeated".to_owned(),
            Self::WakeupsDelayed(_) => "wake-ups delayed".to_owned(),
            Self::PayTrouble(mood, _) => mood.name().to_owned(),
            Self::DatabaseKilled(_) => "PostgreSQL killed".to_owned(),
            Self::DatabaseStopped(_) => "PostgreSQL stopped at once".to_owned(),
            Self::DatabaseCutOff(_) => "connections to PostgreSQL cut".to_owned(),
            Self::DatabaseFrozen(_) => "connection to PostgreSQL frozen".to_owned(),
            Self::DatabaseReadOnly(_) => "PostgreSQL takes no writes".to_owned(),
            Self::Serializable(_) => "serialization failures".to_owned(),
            Self::Deadlocks(_) => "deadlocks".to_owned(),
            Self::DatabaseParted(Way::NoAnswers, _) => "PostgreSQL heard no more".to_owned(),
            Self::DatabaseParted(..) => "PostgreSQL out of reach".to_owned(),
            Self::StoreLocked(..) => "store locked".to_owned(),
            Self::Replayed(..) => "events replayed".to_owned(),
        }
    }
}

/// Every named place at which a process can be killed, and the process that comes by it.
#[must_use]
pub fn points() -> Vec<(&'static str, String)> {
    let mut points = Vec::new();
    let mut add = |member, point: &str| points.push((member, point.to_owned()));
    for point in ["order.committed", "order.pay-answered", "order.retry-claimed"] {
        add("order", point);
    }
    for point in ["pay.charged", "pay.committed", "pay.refunded"] {
        add("pay", point);
    }
    add("reservation", "reservation.decided");
    add("notification", "notification.sent");
    for context in ["order", "pay", "reservation"] {
        for place in ["read", "appended"] {
            add(context, &format!("{context}.relay.{place}"));
        }
    }
    for group in CONTEXTS {
        for place in ["read", "handled", "acknowledged"] {
            add(group, &format!("{group}.drain.{place}"));
        }
    }
    points
}

/// Which part of the system a lane of faults is about. The lanes go on at the same time, and two faults of one
/// lane never do: each needs what it breaks for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// The processes, one by one.
    Processes,
    /// Those named points at which a process can be killed.
    Points,
    /// Redis and its wake-ups.
    Redis,
    /// The connection to `pay`, and the stores.
    PayAndStores,
    /// The PostgreSQL of the stores, where they are on one.
    Database,
}

impl Lane {
    /// All that there are where stores are files.
    pub const ALL: [Self; 4] = [Self::Processes, Self::Points, Self::Redis, Self::PayAndStores];

    /// All that there are where stores are on PostgreSQL.
    pub const ALL_ON_POSTGRES: [Self; 5] =
        [Self::Processes, Self::Points, Self::Redis, Self::PayAndStores, Self::Database];
}

/// A pile of faults to draw from: shuffled, so that each comes by before any comes again.
#[derive(Debug)]
pub struct Deck {
    lane: Lane,
    rng: Rng,
    pile: Vec<Fault>,
    members: Vec<&'static str>,
    clocks: bool,
}

impl Deck {
    /// The faults of one lane, in the order that the seed gives. `clocks` says whether clocks can be set wrong.
    #[must_use]
    pub fn new(lane: Lane, seed: u64, members: Vec<&'static str>, clocks: bool) -> Self {
        Self { lane, rng: super::rng(seed, "faults", lane as u64), pile: Vec::new(), members, clocks }
    }

    /// The next fault.
    pub fn draw(&mut self) -> Fault {
        loop {
            if let Some(fault) = self.pile.pop() {
                return fault;
            }
            self.pile = match self.lane {
                Lane::Processes => self.processes(),
                Lane::Points => {
                    points().into_iter().map(|(member, point)| Fault::KillAt(member, point)).collect()
                }
                Lane::Redis => self.redis(),
                Lane::PayAndStores => self.pay_and_stores(),
                Lane::Database => self.database(),
            };
            self.rng.shuffle(&mut self.pile);
        }
    }

    /// How long to leave the lane alone after a fault.
    pub fn pause(&mut self) -> Duration {
        self.time(300, 2_500)
    }

    fn time(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.rng.u64(least..=most))
    }

    fn any_member(&mut self) -> &'static str {
        self.rng.choice(self.members.iter()).copied().unwrap_or("order")
    }

    fn any_source(&mut self) -> &'static str {
        let sources: Vec<_> = topology::sources().collect();
        self.rng.choice(sources).unwrap_or("order")
    }

    fn processes(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for _ in 0..3 {
            faults.push(Fault::Kill(self.any_member(), self.time(100, 4_000)));
        }
        // Longer than what is read stays with who has read it.
        faults.push(Fault::Freeze(self.any_member(), Duration::from_millis(7_000)));
        faults.push(Fault::Freeze(self.any_member(), self.time(200, 3_500)));
        faults.push(Fault::DiskFull(self.any_member(), self.rng.u64(0..200_000), self.time(1_000, 5_000)));
        faults.push(Fault::KillAll(self.time(100, 2_000)));
        faults.push(Fault::SlowGateway(self.time(300, 1_500), self.time(2_000, 6_000)));
        if self.clocks {
            for wrong_by in [self.rng.i64(60..=600), -self.rng.i64(60..=600)] {
                faults.push(Fault::Clock(self.any_member(), wrong_by, self.time(2_000, 6_000)));
                faults.push(Fault::ClockJumps(self.any_member(), wrong_by, self.time(2_000, 6_000)));
            }
        }
        faults
    }

    fn redis(&mut self) -> Vec<Fault> {
        let stream = self.any_source();
        let readers: Vec<_> = topology::readers_of(stream).collect();
        let group = self.rng.choice(readers).map_or("information", |reader| reader.name);
        vec![
            Fault::StreamDeleted(self.any_source()),
            Fault::GroupForgotten(stream, group),
            Fault::RedisReadOnly(self.time(1_000, 5_000)),
            Fault::RedisCutOff(self.time(1_000, 4_000)),
            Fault::RedisKilled(self.time(2_000, 8_000)),
            Fault::RedisForgets(self.rng.u64(200..=6_000), self.time(100, 3_000)),
            Fault::RedisEmptied,
            Fault::RedisFrozen(self.time(500, 5_000)),
            Fault::WakeupsDropped(self.time(1_000, 4_000)),
            Fault::NoTick(self.time(2_000, 6_000)),
            Fault::WakeupsRepeated(self.time(1_000, 3_000)),
            Fault::WakeupsDelayed(self.time(500, 3_000)),
        ]
    }

    fn database(&mut self) -> Vec<Fault> {
        vec![
            Fault::DatabaseKilled(self.time(100, 3_000)),
            Fault::DatabaseStopped(self.time(100, 3_000)),
            Fault::DatabaseCutOff(self.time(500, 3_000)),
            // Longer than an answer is waited for, and shorter.
            Fault::DatabaseFrozen(Duration::from_secs(14)),
            Fault::DatabaseFrozen(self.time(500, 5_000)),
            Fault::DatabaseReadOnly(self.time(500, 4_000)),
            Fault::Serializable(self.time(2_000, 5_000)),
            Fault::Deadlocks(self.time(2_000, 5_000)),
            // Longer than what is read stays with who has read it.
            Fault::DatabaseParted(Way::Parted, self.time(7_000, 15_000)),
            Fault::DatabaseParted(Way::NoAnswers, self.time(500, 7_000)),
            Fault::StoreLocked(self.rng.choice(LABELS).unwrap_or("order"), self.time(1_000, 7_000)),
        ]
    }

    fn pay_and_stores(&mut self) -> Vec<Fault> {
        let mut faults: Vec<_> = [
            Mood::SlowRequest(self.time(200, 1_500)),
            Mood::LateAnswer(self.time(650, 2_500)),
            Mood::Failing,
            Mood::Garbage,
            Mood::CutBefore,
            Mood::CutAfter,
            Mood::Twice,
            Mood::TwiceAtOnce,
        ]
        .into_iter()
        .map(|mood| Fault::PayTrouble(mood, Duration::ZERO))
        .collect();
        for fault in &mut faults {
            if let Fault::PayTrouble(_, duration) = fault {
                *duration = Duration::from_millis(self.rng.u64(1_000..=5_000));
            }
        }
        for _ in 0..2 {
            let store = self.rng.choice(STORES).unwrap_or("order");
            faults.push(Fault::StoreLocked(store, self.time(1_000, 7_000)));
        }
        let context = self.any_source();
        faults.push(Fault::Replayed(context, self.time(10_000, 300_000)));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(seed: u64, lane: Lane) -> Vec<Fault> {
        let mut deck = Deck::new(lane, seed, vec!["order", "pay"], true);
        (0..100).map(|_| deck.draw()).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_faults() {
        for lane in Lane::ALL_ON_POSTGRES {
            assert_eq!(drawn(7, lane), drawn(7, lane));
            assert_ne!(drawn(7, lane), drawn(8, lane));
        }
    }

    #[test]
    fn every_point_comes_by_before_any_comes_again() {
        let points = points();
        let mut drawn: Vec<_> = drawn(7, Lane::Points).iter().take(points.len()).map(Fault::kind).collect();
        drawn.sort();
        drawn.dedup();
        assert_eq!(drawn.len(), points.len());
    }
}
