//! One system, taken through everything that is measured.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use sugang_tests::Api;
use xtask::bench::Flow;

use crate::cost::{COSTS, Cost, Memory, Meter};
use crate::system::System;
use sugang_tests::load::{Applicants, Loaded, wait};

/// How long the view is waited for before the rest counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(60);

/// How long a system is left alone for what it does after its start, and then watched doing nothing but its ticks.
const START_UP: u64 = 3;
const IDLE: u64 = 5;

/// How long an order alone is given until its messages are sent and the view shows it; and how long nothing happens
/// before the next, so that it too finds no instance of a component that is still there.
const THROUGH: Duration = Duration::from_secs(1);
const QUIET: Duration = Duration::from_millis(1_500);

/// What a system showed.
pub(crate) struct Measured {
    /// At this many connections, and at a single one, if that was asked for.
    pub(crate) load: Loaded,
    pub(crate) single: Option<Loaded>,
    /// What an order costs under the load, less what a second of an idle system costs.
    pub(crate) per_order: Cost,
    /// What an order costs alone, without any tick.
    pub(crate) alone: Option<Cost>,
    /// What a second costs in which nothing happens but a tick.
    pub(crate) idle_second: Cost,
    pub(crate) idle_memory: Option<Memory>,
    pub(crate) rested_memory: Option<Memory>,
    /// How many orders were acknowledged in all, and how many of them without the payment made in time.
    pub(crate) acknowledged: u64,
    pub(crate) delayed: u64,
    /// How long the view took, from the end of the load, to show every order confirmed; none if it never did.
    pub(crate) catch_up: Option<Duration>,
}

/// Takes a system that has just been started through everything.
pub(crate) fn measure(flow: &Flow, system: &System, signed_in: bool) -> Result<Measured> {
    let (api, mut meter) = (system.api(), Meter::new(system)?);
    let tick = system.tick()?;
    wait("starting", START_UP);
    let before = meter.read()?;
    wait("idle", IDLE);
    let idle_second = per_second(meter.since(before)?);
    let idle_memory = Memory::of(system);

    let applicants = Applicants::open_courses(api)?;
    let applicants = if signed_in { applicants.signed_in() } else { applicants };
    drop(tick);
    let alone = match flow.alone {
        0 => None,
        orders => Some(alone(orders, &applicants, api, &mut meter)?),
    };
    let _tick = system.tick()?;
    let single = match flow.single {
        0 => None,
        seconds => Some(applicants.load(1, 1, seconds)?),
    };
    let (before, before_orders) = (meter.read()?, applicants.acknowledged());
    let load = applicants.load(flow.connections, flow.warmup, flow.seconds)?;
    let catch_up = catch_up(api, applicants.acknowledged());
    // The messages about the last orders are sent a little later than the view shows them.
    thread::sleep(THROUGH);
    let (cost, took) = meter.since(before)?;
    let orders = applicants.acknowledged() - before_orders;
    let per_order = (cost - idle_second.times(took.as_secs_f64())).times(1.0 / orders as f64);
    let rested_memory = rest(flow.rest, system);
    Ok(Measured {
        load,
        single,
        per_order,
        alone,
        idle_second,
        idle_memory,
        rested_memory,
        acknowledged: applicants.acknowledged(),
        delayed: applicants.delayed(),
        catch_up,
    })
}

fn per_second((cost, took): (Cost, Duration)) -> Cost {
    cost.times(1.0 / took.as_secs_f64())
}

/// What one order costs where nothing else happens: the mean of so many, one after the other. The processor time that
/// passes without any is taken off.
fn alone(orders: u32, applicants: &Applicants<'_>, api: &Api, meter: &mut Meter<'_>) -> Result<Cost> {
    thread::sleep(THROUGH + QUIET);
    let before = meter.read()?;
    thread::sleep(THROUGH);
    let quiet_second = per_second(meter.since(before)?);
    let mut costs = Vec::new();
    for _ in 0..orders {
        let before = meter.read()?;
        let (id, _) = applicants.apply(api)?;
        thread::sleep(THROUGH);
        let (cost, took) = meter.since(before)?;
        costs.push(cost - quiet_second.times(took.as_secs_f64()));
        let statuses = api.statuses(id);
        ensure!(
            statuses == "Ordered / Paid / Reservation Confirmed",
            "after {THROUGH:?}, and without a tick, the view shows of order {id}: {statuses}"
        );
        if api.messages(id).is_empty() {
            bail!("after {THROUGH:?}, and without a tick, there is no message about order {id}");
        }
        thread::sleep(QUIET);
    }
    let mean = |index: usize| {
        let known: Option<Vec<f64>> = costs.iter().map(|cost| cost.0.get(index).copied().flatten()).collect();
        known.map(|known| known.iter().sum::<f64>() / f64::from(orders))
    };
    let mut means = (0..COSTS.len()).map(mean);
    Ok(Cost(std::array::from_fn(|_| means.next().flatten())))
}

/// How long the view takes to show every order confirmed; none if it never does.
fn catch_up(api: &Api, acknowledged: u64) -> Option<Duration> {
    let started = Instant::now();
    while started.elapsed() < LOST_AFTER {
        let confirmed =
            api.get("/infomations?status=Reservation%20Confirmed&size=1").at("/page/totalElements");
        if confirmed.as_u64().is_some_and(|confirmed| confirmed >= acknowledged) {
            return Some(started.elapsed());
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Looks at a page of every list, lets so many seconds pass, and reads the memory.
fn rest(seconds: u64, system: &System) -> Option<Memory> {
    for list in ["orders", "pays", "reservations", "courses", "notifications", "infomations"] {
        system.api().get(&format!("/{list}")).expect(200);
    }
    wait("resting", seconds);
    Memory::of(system)
}
