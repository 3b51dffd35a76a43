//! Breaking things, and putting them right again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use eventlog::{keys, topology};
use kernel::Timestamp;
use rustix::process::Signal;
use xtask::postgres_url::LABELS;

use super::clock::Clock;
use super::database;
use super::fault::Fault;
use super::log;
use super::member::{Member, Start};
use super::proxy::Mood;
use super::system::System;
use crate::stores;

/// How long a process may take to come by the point at which it is to be killed. With other workers around, it may
/// never come.
const COMES_BY: Duration = Duration::from_secs(6);

/// How long it may take until `pay` is asked: `order` may be away just now, or its breaker open.
const MEETS: Duration = Duration::from_secs(20);

/// How long a clock that jumps is right before and after: longer than a program takes to notice.
const CLOCK_RIGHT: Duration = Duration::from_millis(1_500);

/// What happened so far.
#[derive(Debug, Default)]
pub struct Injected {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Injected {
    /// How often each kind of fault really happened.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, fault: &Fault) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(fault.kind()).or_default() += 1;
    }

    /// Brings a fault about, and heals it. It is counted only if it came about.
    pub fn inject(&self, system: &System, fault: &Fault) -> Result<()> {
        if bring_about(system, fault).with_context(|| fault.kind())? {
            self.note(fault);
        }
        Ok(())
    }
}

/// Whether it came about: a process may not come by the point at which it was to be killed.
fn bring_about(system: &System, fault: &Fault) -> Result<bool> {
    match fault {
        Fault::Kill(name, away) => {
            let mut member = system.member(name)?;
            member.kill()?;
            thread::sleep(*away);
            member.start(&Start::default())?;
        }
        Fault::KillAll(away) => kill_all(system, *away)?,
        Fault::KillAt(name, point) => return kill_at(system, name, point),
        Fault::Freeze(name, time) => {
            let mut member = system.member(name)?;
            member.signal(Signal::STOP)?;
            thread::sleep(*time);
            member.signal(Signal::CONT)?;
        }
        Fault::DiskFull(name, bytes, time) => {
            let mut member = system.member(name)?;
            member.limit_files(Some(*bytes))?;
            thread::sleep(*time);
            member.limit_files(None)?;
        }
        Fault::Clock(name, seconds, time) => {
            let wrong = Start { clock: Some(*seconds), ..Start::default() };
            differently(system, name, &wrong, || sleep(*time))?;
        }
        Fault::ClockJumps(name, seconds, time) => {
            let clock = system.member(name)?.clock().clone();
            let right = Start { clock: Some(0), ..Start::default() };
            differently(system, name, &right, || jump(&clock, *seconds, *time))?;
        }
        Fault::SlowGateway(delay, time) => {
            let slow = Start { gateway_delay: *delay, ..Start::default() };
            differently(system, "pay", &slow, || sleep(*time))?;
        }
        Fault::PayTrouble(mood, time) => {
            let before = system.proxy().troubled();
            system.proxy().set(*mood);
            let begun = Instant::now();
            let has_met = || system.proxy().troubled() > before;
            while begun.elapsed() < *time || (!has_met() && begun.elapsed() < MEETS) {
                thread::sleep(Duration::from_millis(50));
            }
            system.proxy().set(Mood::Fair);
            return Ok(has_met());
        }
        Fault::StoreLocked(label, time) => return lock_store(system, label, *time),
        Fault::Replayed(context, age) => return replay(system, context, *age),
        Fault::DatabaseKilled(_)
        | Fault::DatabaseStopped(_)
        | Fault::DatabaseCutOff(_)
        | Fault::DatabaseFrozen(_)
        | Fault::DatabaseReadOnly(_)
        | Fault::Serializable(_)
        | Fault::Deadlocks(_)
        | Fault::DatabaseParted(..) => return postgres(system, fault),
        _ => redis(system, fault)?,
    }
    Ok(true)
}

/// Has a process run in another way for a while. It changes in the way a crash and a restart change it.
fn differently(
    system: &System,
    name: &str,
    start: &Start,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let mut member = system.member(name)?;
    member.kill()?;
    member.start(start)?;
    meanwhile()?;
    member.restart()
}

#[allow(clippy::unnecessary_wraps, reason = "what else is done meanwhile may fail")]
fn sleep(time: Duration) -> Result<()> {
    thread::sleep(time);
    Ok(())
}

/// Sets a clock that is right wrong for so long.
fn jump(clock: &Clock, seconds: i64, time: Duration) -> Result<()> {
    thread::sleep(CLOCK_RIGHT);
    clock.set(seconds)?;
    thread::sleep(time);
    clock.set(0)?;
    thread::sleep(CLOCK_RIGHT);
    Ok(())
}

/// Nobody else touches any of them meanwhile: who has one in hand asks for no other.
fn kill_all(system: &System, away: Duration) -> Result<()> {
    let mut members = system.names().map(|name| system.member(name)).collect::<Result<Vec<_>>>()?;
    members.iter_mut().try_for_each(|member| member.kill())?;
    thread::sleep(away);
    thread::scope(|scope| {
        let starting: Vec<_> = members
            .iter_mut()
            .map(|member| {
                let member: &mut Member = member;
                scope.spawn(|| member.start(&Start::default()))
            })
            .collect();
        starting
            .into_iter()
            .try_for_each(|start| start.join().unwrap_or_else(|_| Err(anyhow!("a start panicked"))))
    })
}

fn kill_at(system: &System, name: &str, point: &str) -> Result<bool> {
    let mut member = system.member(name)?;
    member.kill()?;
    let from = member.log_length();
    member.start(&Start { fault: Some(point.to_owned()), ..Start::default() })?;
    let came_by = member.waits_at(point, from, COMES_BY);
    member.restart()?;
    Ok(came_by)
}

fn redis(system: &System, fault: &Fault) -> Result<()> {
    let mut log = system.log();
    match fault {
        Fault::RedisKilled(away) => {
            log.kill()?;
            thread::sleep(*away);
        }
        Fault::RedisForgets(bytes, away) => {
            log.kill()?;
            log.lose_tail(*bytes)?;
            thread::sleep(*away);
        }
        Fault::RedisEmptied => redis::cmd("FLUSHALL").exec(&mut log.connect()?)?,
        Fault::StreamDeleted(stream) => {
            redis::cmd("DEL").arg(keys::stream(stream)).exec(&mut log.connect()?)?;
        }
        Fault::GroupForgotten(stream, group) => {
            // Where there is none yet, that is an error, and as good.
            let forget = redis::cmd("XGROUP").arg("DESTROY").arg(keys::stream(stream)).arg(*group).clone();
            _ = forget.exec(&mut log.connect()?);
        }
        Fault::RedisReadOnly(time) => {
            // Writes are taken only with a replica beside, and there is none.
            log.set("min-replicas-to-write", "1")?;
            thread::sleep(*time);
            log.set("min-replicas-to-write", "0")?;
        }
        Fault::RedisCutOff(time) => repeatedly(&log, *time, 50, |redis| {
            ["normal", "pubsub"]
                .iter()
                .try_for_each(|kind| redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg(kind).exec(redis))
        })?,
        Fault::RedisFrozen(time) => {
            log.signal(Signal::STOP)?;
            thread::sleep(*time);
            log.signal(Signal::CONT)?;
        }
        Fault::NoTick(time) => {
            log.stop_ticking();
            thread::sleep(*time);
        }
        Fault::WakeupsDropped(time) => repeatedly(&log, *time, 100, |redis| {
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec(redis)
        })?,
        Fault::WakeupsRepeated(time) => repeatedly(&log, *time, 5, |redis| {
            topology::CONSUMERS.iter().try_for_each(|consumer| {
                redis::cmd("PUBLISH").arg(keys::wake(consumer.name)).arg("event").exec(redis)
            })?;
            redis::cmd("PUBLISH").arg(keys::TICK).arg("tick").exec(redis)
        })?,
        Fault::WakeupsDelayed(time) => {
            let millis = u64::try_from(time.as_millis()).unwrap_or_default();
            redis::cmd("CLIENT").arg("PAUSE").arg(millis).arg("WRITE").exec(&mut log.connect()?)?;
            thread::sleep(*time);
        }
        _ => {}
    }
    log.revive()
}

/// How PostgreSQL says that it gave up a transaction for another.
const GIVEN_UP: &str = "could not serialize access";

/// Whether it came about: transactions may not have met.
fn postgres(system: &System, fault: &Fault) -> Result<bool> {
    let mut database = system.database().context("the stores are not on PostgreSQL")?;
    match fault {
        Fault::DatabaseKilled(away) => {
            database.kill()?;
            thread::sleep(*away);
            database.revive()?;
        }
        Fault::DatabaseStopped(away) => {
            database.stop_at_once()?;
            thread::sleep(*away);
            database.revive()?;
        }
        Fault::DatabaseCutOff(time) => database.cut_off(*time)?,
        Fault::DatabaseFrozen(time) => return database.freeze_one(*time),
        Fault::DatabaseReadOnly(time) => {
            database.differently("default_transaction_read_only", "on", *time)?;
        }
        Fault::Serializable(time) => {
            let from = database.log_length();
            database.differently("default_transaction_isolation", "serializable", *time)?;
            return Ok(database.said(GIVEN_UP, from));
        }
        Fault::Deadlocks(time) => return database.deadlock(*time),
        Fault::DatabaseParted(way, time) => database.part(*way, *time),
        _ => return Ok(false),
    }
    Ok(true)
}

fn repeatedly(
    log: &log::Log,
    time: Duration,
    every_millis: u64,
    mut act: impl FnMut(&mut redis::Connection) -> redis::RedisResult<()>,
) -> Result<()> {
    let mut connection = log.connect()?;
    let begun = Instant::now();
    while begun.elapsed() < time {
        act(&mut connection)?;
        thread::sleep(Duration::from_millis(every_millis));
    }
    Ok(())
}

/// Takes the write lock of a store and keeps it; `false` where nobody has made the store yet.
fn lock_store(system: &System, label: &str, time: Duration) -> Result<bool> {
    if let Some(url) = system.state().database().filter(|_| LABELS.contains(&label)) {
        // It may be away just now.
        return Ok(database::lock(url, label, time).unwrap_or(false));
    }
    let Some(file) = stores::file(system.folder(), label) else { return Ok(false) };
    let connection = rusqlite::Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    if connection.execute_batch("BEGIN IMMEDIATE").is_err() {
        return Ok(false);
    }
    thread::sleep(time);
    connection.execute_batch("ROLLBACK")?;
    Ok(true)
}

/// Whether there was anything to send again.
fn replay(system: &System, context: &str, age: Duration) -> Result<bool> {
    let since = Timestamp::now().plus_millis(-i64::try_from(age.as_millis())?);
    let replayed = operations::replay(&system.state().stores()?, &[context.to_owned()], Some(since));
    if system.state().database().is_some() && replayed.is_err() {
        // The database may be away just now.
        return Ok(false);
    }
    Ok(replayed?.iter().any(|(_, events)| *events > 0))
}
