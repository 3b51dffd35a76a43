//! The chaos suite: everything that can break is broken, while people use the system; and nothing may come of it.
//!
//! | module | what it is |
//! |---|---|
//! | [`system`], [`member`], [`log`], [`database`] | the system as deployed: processes, Redis, PostgreSQL |
//! | [`proxy`], [`network`] | the ways to `pay` and to PostgreSQL |
//! | [`workload`], [`applicant`], [`manager`], [`client`] | who uses it, and how |
//! | [`ledger`] | what they were promised |
//! | [`fault`], [`inject`], [`clock`] | what goes wrong, and how it is brought about |
//! | [`watch`], [`rest`], [`verdict`] | what must hold at every moment, when the system must be at rest, and what must hold then |
//! | [`report`] | what a run came to |
//!
//! A seed tells who comes, what they want, and which faults come in which order. When exactly, real processes have
//! a say in: two runs of one seed are alike, not the same.

pub mod applicant;
pub mod client;
pub mod clock;
mod copy;
pub mod database;
pub mod fault;
pub mod inject;
pub mod ledger;
pub mod log;
pub mod manager;
pub mod member;
pub mod network;
pub mod proxy;
pub mod report;
pub mod rest;
pub mod system;
pub mod verdict;
pub mod watch;
pub mod workload;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use fastrand::Rng;
use operations::Violation;

use fault::{Deck, Lane};
use inject::Injected;
use report::Report;
use rest::Rest;
use system::{Settings, System};
use workload::Workload;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where everything random comes from.
    pub seed: u64,
    /// How long there is load and harm, in all.
    pub load: Duration,
    /// After how long the system is let come to rest and checked, each time.
    pub round: Duration,
    /// How many applicants come per second.
    pub rate: f64,
    /// Which kinds of faults there are.
    pub lanes: Vec<Lane>,
    /// The system it is done to.
    pub settings: Settings,
    /// Whether it is said meanwhile how it goes.
    pub talkative: bool,
}

/// Random numbers for one purpose, told by the seed alone: what others draw changes nothing.
#[must_use]
pub fn rng(seed: u64, purpose: &str, number: u64) -> Rng {
    let mut mixed = Rng::with_seed(seed);
    for part in purpose.bytes().map(u64::from).chain([number]) {
        mixed = Rng::with_seed(mixed.u64(..) ^ part);
    }
    mixed
}

/// Does what is planned. An error means that the suite itself could not go on.
pub fn run(plan: &Plan) -> Result<Report> {
    let system = System::start(plan.settings.clone())?;
    let workload = Workload::new(plan.seed, plan.rate);
    let mut managers = workload.prepare(&system);
    let clocks = xtask::setup::faketime().is_some();
    let names: Vec<_> = system.names().collect();
    let mut decks: Vec<_> =
        plan.lanes.iter().map(|lane| Deck::new(*lane, plan.seed, names.clone(), clocks)).collect();
    let injected = Injected::default();
    let mut violations = BTreeSet::new();
    let (mut load, mut rests) = (Duration::ZERO, Vec::new());

    while load < plan.load && violations.is_empty() {
        let time = plan.round.min(plan.load.saturating_sub(load));
        let begun = Instant::now();
        violations.extend(round(&system, &workload, &mut managers, &mut decks, &injected, time)?);
        load += begun.elapsed();
        for story in system.revive()? {
            violations.insert(violation("processes-stay-up", "a process", story));
        }
        let rest = match rest::wait(&system, &workload, Instant::now(), rest::WITHIN)? {
            Ok(rest) => {
                let said = format!("at rest after {:.1} s ({})", rest.time.as_secs_f64(), rest.awaited);
                rests.push(rest);
                said
            }
            Err(unrest) => {
                violations.insert(violation("comes-to-rest", "the system", unrest));
                "not at rest".to_owned()
            }
        };
        violations.extend(verdict::check(&system, &workload.ledger.books())?);
        if plan.talkative {
            let (orders, faults) =
                (workload.ledger.books().orders.len(), injected.counts().values().sum::<u64>());
            let violations = violations.len();
            println!(
                "{:>4.0} s  {orders} orders, {faults} faults, {rest}, {violations} violations",
                load.as_secs_f64()
            );
        }
    }
    Ok(report(plan, &workload, &injected, load, rests, violations.into_iter().collect()))
}

fn violation(invariant: &'static str, subject: &str, message: String) -> Violation {
    Violation { invariant, subject: subject.to_owned(), message }
}

/// Load and faults for a while; afterwards everything is whole, and everybody has what they asked for.
fn round<'a>(
    system: &'a System,
    workload: &'a Workload,
    managers: &mut [manager::Manager<'a>],
    decks: &mut [Deck],
    injected: &Injected,
    time: Duration,
) -> Result<Vec<Violation>> {
    let over = AtomicBool::new(false);
    let at_rest = AtomicBool::new(false);
    thread::scope(|scope| {
        let watching = scope.spawn(|| watch::watch(system.state(), &at_rest));
        let outcome = thread::scope(|scope| {
            workload.drive(scope, system, managers);
            let lanes: Vec<_> = decks
                .iter_mut()
                .map(|deck| scope.spawn(|| break_things(system, deck, injected, &over)))
                .collect();
            thread::sleep(time);
            over.store(true, Ordering::Relaxed);
            let outcome: Result<()> = lanes
                .into_iter()
                .try_for_each(|lane| lane.join().unwrap_or_else(|_| Err(anyhow!("a lane panicked"))));
            workload.end();
            outcome
        });
        at_rest.store(true, Ordering::Relaxed);
        let seen = watching.join().map_err(|_| anyhow!("the watch panicked"))?;
        outcome.map(|()| seen)
    })
}

/// One fault of a lane after the other, until it is over.
fn break_things(system: &System, deck: &mut Deck, injected: &Injected, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Relaxed) {
        thread::sleep(deck.pause());
        if !over.load(Ordering::Relaxed) {
            injected.inject(system, &deck.draw())?;
        }
    }
    Ok(())
}

fn report(
    plan: &Plan,
    workload: &Workload,
    injected: &Injected,
    load: Duration,
    rests: Vec<Rest>,
    violations: Vec<Violation>,
) -> Report {
    let books = workload.ledger.books();
    let count =
        |what: fn(&ledger::Promise) -> bool| books.orders.values().filter(|it| what(it)).count() as u64;
    Report {
        seed: plan.seed,
        load,
        requests: workload.traffic.requests(),
        retries: workload.traffic.retries(),
        unanswered: workload.traffic.unanswered(),
        orders: count(|promise| promise.acknowledged),
        paid: count(|promise| promise.paid),
        canceled: count(|promise| promise.canceled),
        faults: injected.counts(),
        rests,
        kept: (!violations.is_empty()).then(|| plan.settings.folder.clone()),
        violations,
    }
}
