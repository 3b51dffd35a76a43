//! The course managers: they open courses with few seats, change, start, finish and cancel them, confirm and reject.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;

use super::client::{Ask, Traffic, said};
use super::ledger::Ledger;
use super::system::System;
use crate::orders::{course, with};

/// How many courses are open at a time.
const OPEN_COURSES: usize = 8;

/// The first number: behind those of the demonstration courses.
const FIRST: u64 = 1_000;

/// The courses that one may apply for.
#[derive(Debug, Default)]
pub struct Catalogue {
    open: RwLock<Vec<u64>>,
}

impl Catalogue {
    /// Which they are.
    #[must_use]
    pub fn open(&self) -> Vec<u64> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u64>)) {
        change(&mut self.open.write().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A manager at work.
pub struct Manager<'a> {
    system: &'a System,
    traffic: &'a Traffic,
    ledger: &'a Ledger,
    catalogue: &'a Catalogue,
    rng: Rng,
    next: u64,
    step: u64,
}

impl<'a> Manager<'a> {
    /// The manager of this number, of so many.
    #[must_use]
    pub fn new(
        system: &'a System,
        traffic: &'a Traffic,
        ledger: &'a Ledger,
        catalogue: &'a Catalogue,
        (seed, number, of): (u64, u64, u64),
    ) -> Self {
        let rng = super::rng(seed, "manager", number);
        Self { system, traffic, ledger, catalogue, rng, next: FIRST + number, step: of }
    }

    /// Opens courses until there are as many as there should be.
    pub fn open_courses(&mut self) {
        while self.catalogue.open().len() < OPEN_COURSES {
            if self.open().is_none() {
                return;
            }
        }
    }

    /// Does one thing.
    pub fn act(&mut self) {
        match self.rng.u8(..100) {
            0..=64 => self.decide(),
            65..=79 => self.change_capacity(),
            80..=84 => self.move_on("Started"),
            85..=87 => self.move_on("Course Canceled"),
            _ => {}
        }
        self.open_courses();
    }

    fn open(&mut self) -> Option<()> {
        let edu_no = self.next;
        let capacity = self.rng.u64(3..=40);
        let approval = if self.rng.u8(..3) == 0 { "manual" } else { "automatic" };
        let fee = if self.rng.u8(..8) == 0 { 0 } else { self.rng.u64(1..=30) * 1_000 };
        let course = with(course(edu_no, capacity, approval), &json!({ "fee": fee }));
        let answer =
            self.traffic.insist(self.system.courses(), &Ask::new("POST", "/courses").body(course))?;
        if answer.status >= 300 {
            self.ledger
                .wrong(format!("opening course {edu_no} was answered {}: {}", answer.status, answer.body));
            return None;
        }
        self.next += self.step;
        self.ledger.write(|books| books.courses.entry(edu_no).or_default().statuses.push("Open".to_owned()));
        self.catalogue.change(|open| open.push(edu_no));
        Some(())
    }

    fn any_course(&mut self) -> Option<u64> {
        let open = self.catalogue.open();
        self.rng.choice(open.iter()).copied()
    }

    fn change_capacity(&mut self) {
        let Some(edu_no) = self.any_course() else { return };
        let capacity = self.rng.u64(1..=60);
        let ask = Ask::new("PATCH", format!("/courses/{edu_no}")).body(json!({ "capacity": capacity }));
        if let Some(answer) = self.traffic.insist(self.system.courses(), &ask)
            && ![200, 409].contains(&answer.status)
        {
            self.ledger
                .wrong(format!("changing course {edu_no} was answered {}: {}", answer.status, answer.body));
        }
    }

    /// Starts or cancels a course; what was started may be finished or canceled then.
    fn move_on(&mut self, status: &str) {
        let Some(edu_no) = self.any_course() else { return };
        self.catalogue.change(|open| open.retain(|known| *known != edu_no));
        self.move_to(edu_no, status);
        if status == "Started" && self.rng.bool() {
            self.traffic.pause(Duration::from_millis(300));
            let then = if self.rng.bool() { "Finished" } else { "Course Canceled" };
            self.move_to(edu_no, then);
        }
    }

    fn move_to(&mut self, edu_no: u64, status: &str) {
        self.ledger.write(|books| books.courses.entry(edu_no).or_default().asked.push(status.to_owned()));
        let ask = Ask::new("PATCH", format!("/courses/{edu_no}")).body(json!({ "status": status }));
        if let Some(answer) = self.traffic.insist(self.system.courses(), &ask)
            && answer.status == 200
        {
            self.ledger
                .write(|books| books.courses.entry(edu_no).or_default().statuses.push(status.to_owned()));
        }
    }

    /// Decides on some of those who ask for a place.
    fn decide(&mut self) {
        let path = "/reservations?status=Reservation%20Requested&size=10";
        let Some(answer) = self.traffic.insist(self.system.courses(), &Ask::new("GET", path)) else { return };
        let asking = said(&answer, "/_embedded/reservations");
        let orders: Vec<u64> =
            asking.as_array().into_iter().flatten().filter_map(|it| it["orderId"].as_u64()).collect();
        for order in orders {
            let confirms = self.rng.u8(..10) < 7;
            let status = if confirms { "Reservation Confirmed" } else { "Reservation Rejected" };
            let ask = Ask::new("PATCH", format!("/reservations/{order}")).body(json!({ "status": status }));
            let Some(answer) = self.traffic.insist(self.system.courses(), &ask) else { return };
            match answer.status {
                200 if said(&answer, "/status") == status => self.ledger.promise(order, |promise| {
                    if confirms {
                        promise.confirmed = true;
                    } else {
                        promise.rejected = true;
                    }
                }),
                // It changed between the decision and its answer, or before.
                200 | 404 | 409 => {}
                other => {
                    self.ledger.wrong(format!("deciding on {order} was answered {other}: {}", answer.body))
                }
            }
        }
    }
}
