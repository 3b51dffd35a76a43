//! One applicant: a person who wants one place in one course, and what they do about it.
//!
//! What they do is told by their number and the seed alone. When it happens, real processes have a say in.

use std::thread;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};

use super::client::{Ask, Traffic, said};
use super::ledger::Ledger;
use super::system::System;
use crate::answer::Answer;
use crate::orders::{ANSWER_LOST_CARD, ASK_LOST_CARD, DECLINED_CARD, FAILING_CARD, GOOD_CARD, with};

/// What an applicant is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// Applies and pays.
    Apply,
    /// Sends the application several times at once, as an impatient browser does.
    ApplyAtOnce,
    /// Leaves the number to the system, with a key to be recognised by.
    ApplyWithKey,
    /// Applies without a card, and pays later.
    PayLater,
    /// Applies with a card that is declined, then pays with another.
    Declined,
    /// Applies with a card at which the card company fails, or does not answer, charged or not; then pays with another.
    Failing,
    /// Applies and pays, and changes their mind.
    Cancel,
    /// Applies and cancels at the same moment.
    CancelAtOnce,
    /// Never pays; the order is canceled in the end, or expires.
    NeverPay,
    /// Sends another application under the same number.
    Contradict,
}

/// How often each plan is made, out of the sum of these.
const PLANS: [(Plan, u32); 10] = [
    (Plan::Apply, 31),
    (Plan::ApplyAtOnce, 10),
    (Plan::ApplyWithKey, 10),
    (Plan::PayLater, 10),
    (Plan::Declined, 6),
    (Plan::Failing, 8),
    (Plan::Cancel, 14),
    (Plan::CancelAtOnce, 4),
    (Plan::NeverPay, 3),
    (Plan::Contradict, 4),
];

/// How often one applies again for a course that `order` has not heard of yet.
const PATIENCE_FOR_COURSE: u32 = 8;

/// An applicant at work.
pub struct Applicant<'a> {
    system: &'a System,
    traffic: &'a Traffic,
    ledger: &'a Ledger,
    rng: Rng,
    customer: u64,
    number: u64,
    edu_no: u64,
    guest: u64,
}

impl<'a> Applicant<'a> {
    /// The applicant of this number, who chooses among these courses.
    #[must_use]
    pub fn new(
        system: &'a System,
        traffic: &'a Traffic,
        ledger: &'a Ledger,
        (seed, number): (u64, u64),
        courses: &[u64],
    ) -> Self {
        let mut rng = super::rng(seed, "applicant", number);
        let edu_no = rng.choice(courses).copied().unwrap_or_default();
        let guest = if rng.u8(..10) < 7 { 1 } else { rng.u64(2..=3) };
        Self { system, traffic, ledger, rng, customer: 1_000_000 + number, number, edu_no, guest }
    }

    /// Does what they do, to the end.
    pub fn act(mut self) {
        let plan = self.plan();
        match plan {
            Plan::Apply => drop(self.apply(Some(GOOD_CARD))),
            Plan::ApplyAtOnce => self.apply_at_once(),
            Plan::ApplyWithKey => self.apply_with_key(),
            Plan::PayLater => self.apply_then_pay(None),
            Plan::Declined => self.apply_then_pay(Some(DECLINED_CARD)),
            Plan::Failing => {
                let card = self.rng.choice([FAILING_CARD, ANSWER_LOST_CARD, ASK_LOST_CARD]);
                self.apply_then_pay(card);
            }
            Plan::Cancel => {
                if self.apply(Some(GOOD_CARD)).is_some() {
                    self.think(3_000);
                    self.cancel(self.number);
                }
            }
            Plan::CancelAtOnce => self.cancel_at_once(),
            Plan::NeverPay => {
                if self.apply(None).is_some() {
                    self.think(20_000);
                    self.cancel(self.number);
                }
            }
            Plan::Contradict => self.contradict(),
        }
    }

    fn plan(&mut self) -> Plan {
        let all: u32 = PLANS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.rng.u32(..all);
        for (plan, weight) in PLANS {
            if drawn < weight {
                return plan;
            }
            drawn -= weight;
        }
        Plan::Apply
    }

    /// A pause of up to so many milliseconds.
    fn think(&mut self, most: u64) {
        let time = Duration::from_millis(self.rng.u64(..most));
        self.traffic.pause(time);
    }

    /// What they send; null takes a field out.
    fn application(&self, card: Option<&str>) -> Value {
        let body = json!({ "orderId": self.number, "customerId": self.customer });
        let wish =
            json!({ "orderId": self.number, "eduNo": self.edu_no, "guest": self.guest, "cardNo": card });
        with(body, &wish)
    }

    /// Applies under the applicant's own number; the answer, once it is a 2xx.
    fn apply(&self, card: Option<&str>) -> Option<Answer> {
        if card != Some(GOOD_CARD) {
            self.ledger.promise(self.number, |promise| promise.may_stay_unpaid = true);
        }
        let ask = Ask::new("POST", "/orders").body(self.application(card));
        for _ in 0..PATIENCE_FOR_COURSE {
            let answer = self.traffic.insist(self.system.orders(), &ask)?;
            match answer.status {
                200 | 201 => return Some(self.acknowledged(answer)),
                422 => self.traffic.pause(Duration::from_millis(500)),
                409 => return None,
                status => {
                    self.ledger.wrong(format!("applying was answered {status}: {}", answer.body));
                    return None;
                }
            }
        }
        None
    }

    fn acknowledged(&self, answer: Answer) -> Answer {
        let order = said(&answer, "/orderId").as_u64().unwrap_or_default();
        self.ledger.acknowledged(order, self.customer, self.edu_no, self.guest);
        self.note_payment(order, &answer);
        for (field, sent) in [("/eduNo", self.edu_no), ("/guest", self.guest), ("/customerId", self.customer)]
        {
            if said(&answer, field) != sent {
                self.ledger.wrong(format!(
                    "order {order} was sent with {field} {sent}, and answered {}",
                    answer.body
                ));
            }
        }
        answer
    }

    /// That an order was paid is a promise only while it lives: what is charged after its end is given back.
    fn note_payment(&self, order: u64, answer: &Answer) {
        if said(answer, "/status") == "Ordered" && said(answer, "/payStatus") == "Paid" {
            self.ledger.promise(order, |promise| promise.paid = true);
        }
    }

    fn apply_at_once(&mut self) {
        let times = self.rng.usize(2..=3);
        thread::scope(|scope| {
            for _ in 0..times {
                scope.spawn(|| self.apply(Some(GOOD_CARD)));
            }
        });
        // And once more, long after: it is the same order.
        self.think(2_000);
        self.apply(Some(GOOD_CARD));
    }

    fn apply_with_key(&mut self) {
        let key = format!("key-{:016x}-{}", self.rng.u64(..), self.number);
        let body = with(self.application(Some(GOOD_CARD)), &json!({ "orderId": null }));
        let ask = Ask::new("POST", "/orders").body(body).key(Some(key.clone()));
        let send = || self.traffic.insist(self.system.orders(), &ask).filter(|answer| answer.status < 300);
        let answers = if self.rng.bool() {
            thread::scope(|scope| {
                let other = scope.spawn(send);
                [send(), other.join().ok().flatten()]
            })
        } else {
            [send(), send()]
        };
        let answers = answers.into_iter().flatten().map(|answer| self.acknowledged(answer));
        let orders: Vec<_> = answers.map(|answer| said(&answer, "/orderId")).collect();
        if orders.windows(2).any(|pair| pair.first() != pair.last()) {
            self.ledger.wrong(format!("the key {key} stands for several orders: {orders:?}"));
        }
    }

    fn apply_then_pay(&mut self, card: Option<&str>) {
        if self.apply(card).is_none() {
            return;
        }
        self.think(2_500);
        let ask =
            Ask::new("POST", format!("/orders/{}/payment", self.number)).body(json!({ "cardNo": GOOD_CARD }));
        let Some(answer) = self.traffic.insist(self.system.orders(), &ask) else { return };
        match answer.status {
            200 | 202 => self.note_payment(self.number, &answer),
            // It has ended meanwhile.
            409 => {}
            status => {
                self.ledger.wrong(format!("paying {} was answered {status}: {}", self.number, answer.body))
            }
        }
    }

    fn cancel(&mut self, order: u64) {
        self.ledger.promise(order, |promise| promise.cancel_asked = true);
        let ask = if self.rng.bool() {
            Ask::new("DELETE", format!("/orders/{order}"))
        } else {
            Ask::new("PATCH", format!("/orders/{order}")).body(json!({ "status": "Order Canceled" }))
        };
        let Some(answer) = self.traffic.insist(self.system.orders(), &ask) else { return };
        match answer.status {
            200 | 204 => self.ledger.promise(order, |promise| promise.canceled = true),
            // Its course has started, or it ended otherwise.
            409 => {}
            status => self.ledger.wrong(format!("canceling {order} was answered {status}: {}", answer.body)),
        }
    }

    fn cancel_at_once(&mut self) {
        // Whichever comes first: a number that is not there yet cannot be canceled.
        let begun = self.apply(None).is_some();
        let pay =
            Ask::new("POST", format!("/orders/{}/payment", self.number)).body(json!({ "cardNo": GOOD_CARD }));
        if begun {
            let (traffic, system) = (self.traffic, self.system);
            thread::scope(|scope| {
                scope.spawn(|| traffic.insist(system.orders(), &pay));
                self.cancel(self.number);
            });
        }
    }

    fn contradict(&mut self) {
        if self.apply(Some(GOOD_CARD)).is_none() {
            return;
        }
        let other = with(self.application(Some(GOOD_CARD)), &json!({ "guest": self.guest + 1 }));
        let ask = Ask::new("POST", "/orders").body(other);
        if let Some(answer) = self.traffic.insist(self.system.orders(), &ask)
            && answer.status < 300
        {
            self.ledger
                .wrong(format!("order {} was taken a second time, for others: {}", self.number, answer.body));
        }
    }
}
