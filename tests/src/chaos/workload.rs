//! Everybody who uses the system while it is being broken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::applicant::Applicant;
use super::client::Traffic;
use super::ledger::Ledger;
use super::manager::{Catalogue, Manager};
use super::system::System;

/// How many applicants are at it at the same time, at the most.
const AT_ONCE: u64 = 48;

/// How many managers there are, and how often each does something.
const MANAGERS: u64 = 2;
const MANAGERS_PAUSE: Duration = Duration::from_millis(400);

/// The workload of one run.
#[derive(Debug)]
pub struct Workload {
    /// Where everything random comes from.
    pub seed: u64,
    /// How many applicants come per second.
    pub rate: f64,
    /// What the clients did.
    pub traffic: Traffic,
    /// What they were promised.
    pub ledger: Ledger,
    catalogue: Catalogue,
    applicants: AtomicU64,
    over: AtomicBool,
}

impl Workload {
    /// Nobody has come yet.
    #[must_use]
    pub fn new(seed: u64, rate: f64) -> Self {
        Self {
            seed,
            rate,
            traffic: Traffic::default(),
            ledger: Ledger::default(),
            catalogue: Catalogue::default(),
            applicants: AtomicU64::new(0),
            over: AtomicBool::new(false),
        }
    }

    /// How many applicants came.
    #[must_use]
    pub fn applicants(&self) -> u64 {
        self.applicants.load(Ordering::Relaxed)
    }

    /// Opens the first courses, so that there is something to apply for.
    pub fn prepare<'a>(&'a self, system: &'a System) -> Vec<Manager<'a>> {
        let manager = |number| {
            let who = (self.seed, number, MANAGERS);
            Manager::new(system, &self.traffic, &self.ledger, &self.catalogue, who)
        };
        let mut managers: Vec<_> = (0..MANAGERS).map(manager).collect();
        if let Some(first) = managers.first_mut() {
            first.open_courses();
        }
        managers
    }

    /// Lets everybody come, until [`Workload::end`].
    pub fn drive<'scope, 'a: 'scope>(
        &'a self,
        scope: &'scope Scope<'scope, '_>,
        system: &'a System,
        managers: &'scope mut [Manager<'a>],
    ) {
        self.over.store(false, Ordering::Relaxed);
        self.traffic.hurry(false);
        for manager in managers {
            scope.spawn(move || {
                while !self.is_over() {
                    manager.act();
                    self.traffic.pause(MANAGERS_PAUSE);
                }
            });
        }
        scope.spawn(move || self.let_applicants_come(system));
    }

    /// Nobody new comes; who is there finishes what they have begun.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.traffic.hurry(true);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn let_applicants_come(&self, system: &System) {
        let (begun, present) = (Instant::now(), AtomicU64::new(0));
        thread::scope(|scope| {
            let mut came = 0_u32;
            while !self.is_over() {
                let due = Duration::from_secs_f64(f64::from(came) / self.rate);
                thread::sleep(due.saturating_sub(begun.elapsed()));
                came += 1;
                if present.load(Ordering::Relaxed) >= AT_ONCE {
                    continue;
                }
                let number = self.applicants.fetch_add(1, Ordering::Relaxed) + 1;
                let open = self.catalogue.open();
                let applicant =
                    Applicant::new(system, &self.traffic, &self.ledger, (self.seed, number), &open);
                present.fetch_add(1, Ordering::Relaxed);
                let present = &present;
                scope.spawn(move || {
                    applicant.act();
                    present.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
    }
}
