//! One of two hosts stands still, and is started anew while the other goes on taking orders.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use xtask::probe;

use super::{CAPACITY, COURSE, Demand, Outcome};
use crate::api::Api;
use crate::cluster::{Cluster, Shape};
use crate::orders;

const HOSTS: usize = 2;

/// How many people apply at the same time, each waiting for an answer.
const APPLICANTS: u64 = 4;

/// How long a host that stood still may take until it is ready again.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take until a host that is stopped does nothing any more.
const STOPPED_WITHIN: Duration = Duration::from_secs(2);

/// How long nobody is harmed before and after.
const CALM: Duration = Duration::from_millis(500);

/// What was seen of one host that stood still.
#[derive(Debug)]
pub struct Stood {
    /// Whether it no longer answered at `/livez`.
    pub silent: bool,
    /// How long it took until it was started anew, and until it was ready.
    pub started_after: Duration,
    /// The same, until it was ready.
    pub ready_after: Duration,
    /// How many orders were taken meanwhile.
    pub taken_meanwhile: u64,
}

/// What came of it all.
#[derive(Debug)]
pub struct Revived {
    /// A line for each time.
    pub stood: Vec<Stood>,
    /// How many orders were accepted in all.
    pub accepted: u64,
    /// How many requests had no answer, or one that was no acceptance: those that were in a host when it was ended.
    pub unanswered: u64,
    /// What became of the orders.
    pub outcome: Outcome,
}

/// Has a host of a new cluster stand still so many times, each of them in turn.
pub fn freeze(shape: fn(usize) -> Shape, times: u32) -> Result<Revived> {
    let cluster = Cluster::start(shape(HOSTS))?;
    cluster.open_course_for_all(COURSE, CAPACITY)?;
    let (accepted, unanswered, over) = (AtomicU64::new(1), AtomicU64::new(0), AtomicBool::new(false));
    let stood = thread::scope(|scope| {
        for applicant in 0..APPLICANTS {
            let (accepted, unanswered, over, address) = (&accepted, &unanswered, &over, cluster.address());
            scope.spawn(move || {
                let api = Api::new(address);
                let mut id = 1 + applicant;
                while !over.load(Ordering::Relaxed) {
                    let order = orders::order(id, COURSE);
                    let answer = api.attempt(api.json("POST", "/orders"), Some(order.to_string()));
                    match answer {
                        Ok(answer) if answer.status == 201 => accepted.fetch_add(1, Ordering::Relaxed),
                        _ => unanswered.fetch_add(1, Ordering::Relaxed),
                    };
                    id += APPLICANTS;
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        let stood: Result<Vec<_>> =
            (0..times as usize).map(|time| stand_still(&cluster, time % HOSTS, &accepted)).collect();
        over.store(true, Ordering::Relaxed);
        stood
    });
    let outcome = Outcome::of(&cluster)?;
    Ok(Revived {
        stood: stood?,
        accepted: accepted.into_inner(),
        unanswered: unanswered.into_inner(),
        outcome,
    })
}

fn stand_still(cluster: &Cluster, host: usize, accepted: &AtomicU64) -> Result<Stood> {
    thread::sleep(CALM);
    let address = cluster.hosts().get(host).context("there is no such host")?.address();
    let (starts, before) = (cluster.starts(host), accepted.load(Ordering::Relaxed));
    cluster.signal(host, Signal::STOP)?;
    let begun = Instant::now();
    // The kernel stops one thread after the other, the busy ones when it comes by.
    let is_silent = || probe::status(address, "/livez", Duration::from_millis(500)).is_none();
    let mut silent = is_silent();
    while !silent && begun.elapsed() < STOPPED_WITHIN {
        silent = is_silent();
    }
    while cluster.starts(host) == starts {
        ensure!(begun.elapsed() < READY_WITHIN, "nobody has started host {} anew", host + 1);
        thread::sleep(Duration::from_millis(20));
    }
    let started_after = begun.elapsed();
    cluster.wait_until_ready(READY_WITHIN)?;
    let ready_after = begun.elapsed();
    let taken_meanwhile = accepted.load(Ordering::Relaxed) - before;
    thread::sleep(CALM);
    Ok(Stood { silent, started_after, ready_after, taken_meanwhile })
}

impl Revived {
    /// What is demanded of it.
    #[must_use]
    pub fn demands(&self) -> Vec<Demand> {
        let mut demands = Vec::new();
        for stood in &self.stood {
            demands.push((
                "a host that stands still fails /livez",
                if stood.silent { "no answer" } else { "it answers" }.to_owned(),
                stood.silent,
            ));
            demands.push((
                "it is started anew, and ready ≤ 60 s",
                format!("started after {:.1?}, ready after {:.1?}", stood.started_after, stood.ready_after),
                stood.ready_after <= READY_WITHIN,
            ));
            demands.push((
                "orders are taken meanwhile",
                stood.taken_meanwhile.to_string(),
                stood.taken_meanwhile > 0,
            ));
        }
        // Whoever's request a host had when it was ended hears nothing of it; each at most once a time.
        let most = APPLICANTS * self.stood.len() as u64;
        demands.push((
            "no answer only for what was in it",
            format!("{} of {}", self.unanswered, self.accepted + self.unanswered),
            self.unanswered <= most,
        ));
        demands.extend(self.outcome.demands(self.accepted));
        demands
    }
}
