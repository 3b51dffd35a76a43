//! Coming to rest: by itself, and within a minute of the last fault.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use eventlog::topology;

use super::client::Ask;
use super::log;
use super::system::System;
use super::watch::rows;
use super::workload::Workload;
use crate::stores::{self, State};

/// How long the system may take, once everything is whole again.
pub const WITHIN: Duration = Duration::from_secs(60);

/// For how long nothing may change before that counts as rest: several ticks.
const STILL_FOR: Duration = Duration::from_millis(2_500);

/// How often it is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// What has still to be done, in each store. Orders that wait for a payment, too: they are settled, or expire.
const OPEN_WORK: [(&str, &str, &str); 2] = [
    ("notification", "messages not sent", "SELECT COUNT(*) FROM messages WHERE status = 'Pending'"),
    (
        "order",
        "orders not paid yet",
        "SELECT COUNT(*) FROM orders WHERE status = 'Ordered' AND pay_status IS DISTINCT FROM 'Paid'",
    ),
];

/// What nobody changes at rest.
const PRINTS: [(&str, &str); 5] = [
    ("order", "SELECT COUNT(*) FROM events"),
    ("pay", "SELECT COUNT(*) FROM events"),
    ("reservation", "SELECT COUNT(*) FROM events"),
    ("notification", "SELECT COUNT(*) FROM messages"),
    (
        "information",
        "SELECT CAST(COALESCE(SUM(order_version + pay_version + reservation_version), 0) AS BIGINT) FROM infomations",
    ),
];

/// Orders that wait for a card, which nobody will give: who had them would cancel them, too.
const WITHOUT_A_CARD: &str =
    "SELECT order_id, pay_status FROM orders WHERE status = 'Ordered' AND pay_status IS DISTINCT FROM 'Paid'";

/// Cancels what its client may have left unpaid.
fn tidy(system: &System, workload: &Workload) {
    let unpaid = rows(system.state(), "order", WITHOUT_A_CARD).unwrap_or_default();
    let books = workload.ledger.books();
    for order in unpaid.into_iter().filter_map(|(order, _)| order.parse().ok()) {
        if books.orders.get(&order).is_some_and(|promise| promise.may_stay_unpaid) {
            workload.ledger.promise(order, |promise| promise.cancel_asked = true);
            workload.traffic.once(system.orders(), &Ask::new("DELETE", format!("/orders/{order}")));
        }
    }
}

/// How a system came to rest.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// How long that took.
    pub time: Duration,
    /// What was to be done meanwhile, and until when.
    pub awaited: Awaited,
}

/// What was to be done, each kind with the time until which there was any.
#[derive(Clone, Debug, Default)]
pub struct Awaited(BTreeMap<String, Duration>);

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by_key(|(_, until)| Reverse(**until));
        for (number, (what, until)) in kinds.into_iter().enumerate() {
            write!(f, "{}{what} until {:.1} s", if number == 0 { "" } else { ", " }, until.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Waits for rest. Gives back how it was come to from `since` on, or what was still going on in the end, in words.
pub fn wait(
    system: &System,
    workload: &Workload,
    since: Instant,
    within: Duration,
) -> Result<Result<Rest, String>> {
    let mut last = (print(system.state())?, Instant::now());
    let mut awaited = Awaited::default();
    loop {
        tidy(system, workload);
        let open_work = open_work(system);
        let print = print(system.state())?;
        for (what, _) in &open_work {
            awaited.0.insert(what.clone(), since.elapsed());
        }
        if print != last.0 || !open_work.is_empty() {
            last = (print, Instant::now());
        } else if last.1.elapsed() >= STILL_FOR {
            return Ok(Ok(Rest { time: last.1.duration_since(since.min(last.1)), awaited }));
        }
        if since.elapsed() > within + STILL_FOR {
            let what: Vec<_> = open_work.iter().map(|(what, count)| format!("{count} {what}")).collect();
            let what = if what.is_empty() { "something keeps changing".to_owned() } else { what.join(", ") };
            return Ok(Err(format!("{what} {} s after the last fault ({awaited})", within.as_secs())));
        }
        thread::sleep(PERIOD);
    }
}

/// What is still to be done, and how much of it.
fn open_work(system: &System) -> Vec<(String, u64)> {
    let mut open_work = Vec::new();
    for (label, what, sql) in OPEN_WORK {
        match stores::value::<i64>(system.state(), label, sql) {
            Ok(0) => {}
            Ok(count) => open_work.push((what.to_owned(), count.unsigned_abs())),
            Err(error) => open_work.push((format!("a look into the store {label} ({error:#})"), 1)),
        }
    }
    let mut in_redis = |what: String, counted: Result<u64>| match counted {
        Ok(0) => {}
        Ok(count) => open_work.push((what, count)),
        Err(error) => open_work.push((format!("a look into Redis ({error:#})"), 1)),
    };
    for context in topology::sources() {
        let unsent = log::unsent(system.redis_url(), system.state(), context);
        in_redis(format!("events of {context} not sent"), unsent);
    }
    in_redis("events not handled".to_owned(), log::behind(system.redis_url()));
    open_work
}

fn print(state: &State) -> Result<Vec<i64>> {
    PRINTS.iter().map(|(label, sql)| stores::value(state, label, sql)).collect()
}
