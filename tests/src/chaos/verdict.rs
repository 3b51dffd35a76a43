//! The verdict at rest: the invariants that anybody can check, and the promises that only the suite knows of.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use operations::{Stores, Violation};
use xtask::workspace;

use super::copy;
use super::ledger::{Books, Course, Promise};
use super::system::System;
use super::watch::rows;
use crate::stores::{self, State};

/// Holds the system, which is at rest, to everything.
pub fn check(system: &System, books: &Books) -> Result<Vec<Violation>> {
    let mut files = system.folder().to_owned();
    if system.state().database().is_some() {
        files.push("copy");
        copy::stores(system.state(), &files)?;
    }
    let stores = Stores::new(&workspace::runtime_config(), &files)?;
    let mut violations = operations::check(&stores, Some(system.redis_url()), Duration::ZERO)?.violations;
    violations.extend(kept(system.state(), books)?);
    Ok(violations)
}

/// An order as its store has it.
struct Stored {
    customer: Option<u64>,
    edu_no: u64,
    guest: u64,
    status: String,
    reason: Option<String>,
    pay_status: Option<String>,
}

/// Whether every promise was kept.
fn kept(state: &State, books: &Books) -> Result<Vec<Violation>> {
    let orders = orders(state)?;
    let reservations: BTreeMap<String, String> =
        rows(state, "reservation", "SELECT order_id, status FROM reservations")?.into_iter().collect();
    let decided = rows(
        state,
        "reservation",
        "SELECT subject, string_agg(type, ',') FROM events WHERE subject NOT LIKE 'course/%' GROUP BY subject",
    )?;
    let decided: BTreeMap<_, _> = decided.into_iter().collect();
    let charged = rows(state, "gateway", "SELECT order_id, charged FROM balances")?;
    let charged: BTreeMap<_, _> = charged.into_iter().collect();

    let mut broken = Broken::default();
    for (id, promise) in books.orders.iter().filter(|(_, promise)| promise.acknowledged) {
        let Some(stored) = orders.get(id) else {
            broken.add("acknowledged-order-exists", *id, "was acknowledged, and is not there");
            continue;
        };
        broken.check_order(*id, promise, stored);
        let key = id.to_string();
        let history = decided.get(&key).map_or("", String::as_str);
        if promise.paid && stored.costs(state, *id)? && !charged.contains_key(&key) {
            broken.add("acknowledged-payment-exists", *id, "was answered as paid, and was never charged");
        }
        if promise.confirmed && !history.contains("ReservationConfirmed") {
            broken.add(
                "acknowledged-confirmation-holds",
                *id,
                &format!("was confirmed; its history is {history}"),
            );
        }
        let now = reservations.get(&key).map_or("", String::as_str);
        if promise.rejected && now != "Reservation Rejected" {
            broken.add("acknowledged-rejection-holds", *id, &format!("was rejected, and is `{now}`"));
        }
    }
    broken.check_doubles(&orders);
    broken.check_courses(state, books)?;
    for wrong in &books.wrong {
        broken.0.push(Violation {
            invariant: "answers-are-right",
            subject: "an answer".to_owned(),
            message: wrong.clone(),
        });
    }
    Ok(broken.0)
}

impl Stored {
    /// Whether there was anything to charge.
    fn costs(&self, state: &State, id: u64) -> Result<bool> {
        let amount = format!("SELECT amount FROM orders WHERE order_id = {id}");
        Ok(stores::value::<i64>(state, "order", &amount)? > 0)
    }
}

#[derive(Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn add(&mut self, invariant: &'static str, order: u64, what: &str) {
        let (subject, message) = (format!("order {order}"), what.to_owned());
        self.0.push(Violation { invariant, subject, message });
    }

    fn check_order(&mut self, id: u64, promise: &Promise, stored: &Stored) {
        let content = (stored.customer, stored.edu_no, stored.guest);
        let promised = (Some(promise.customer), promise.edu_no, promise.guest);
        if content != promised {
            let what =
                format!("is {content:?} (customer, course, people), and was acknowledged as {promised:?}");
            self.add("acknowledged-order-exists", id, &what);
        }
        if promise.canceled && stored.status != "Order Canceled" {
            self.add(
                "acknowledged-cancellation-holds",
                id,
                &format!("was canceled, and is `{}`", stored.status),
            );
        }
        if !promise.cancel_asked && stored.reason.as_deref() == Some("customer") {
            self.add("nobody-else-cancels", id, "was canceled for its customer, who had not asked for it");
        }
        if promise.paid && stored.reason.as_deref() == Some("expired") {
            self.add("acknowledged-payment-exists", id, "was answered as paid, and expired as unpaid");
        }
        if promise.paid && stored.status == "Ordered" && stored.pay_status.as_deref() != Some("Paid") {
            let what = format!("was answered as paid, and is `{:?}`", stored.pay_status);
            self.add("acknowledged-payment-exists", id, &what);
        }
    }

    /// Every client of the workload wants one order.
    fn check_doubles(&mut self, orders: &BTreeMap<u64, Stored>) {
        let mut of_customer = BTreeMap::<u64, Vec<u64>>::new();
        for (id, stored) in orders {
            of_customer.entry(stored.customer.unwrap_or_default()).or_default().push(*id);
        }
        for (customer, orders) in of_customer {
            if let [first, _, ..] = orders.as_slice() {
                self.add(
                    "one-order-per-wish",
                    *first,
                    &format!("customer {customer} wanted one, and has {orders:?}"),
                );
            }
        }
    }

    fn check_courses(&mut self, state: &State, books: &Books) -> Result<()> {
        let known: BTreeMap<String, String> =
            rows(state, "reservation", "SELECT edu_no, status FROM courses")?.into_iter().collect();
        for (edu_no, course) in &books.courses {
            let now = known.get(&edu_no.to_string()).map(String::as_str);
            if !is_kept(course, now) {
                let message = format!("was acknowledged as {:?}, and is {now:?}", course.statuses);
                let subject = format!("course {edu_no}");
                self.0.push(Violation { invariant: "acknowledged-course-exists", subject, message });
            }
        }
        Ok(())
    }
}

/// Whether a course has the status that was acknowledged last, or a later one that somebody asked for.
fn is_kept(course: &Course, now: Option<&str>) -> bool {
    let age = |status: &str| match status {
        "Open" => 0,
        "Started" => 1,
        _ => 2,
    };
    let Some(now) = now else { return false };
    let later = |said: &String| age(now) > age(said) && course.asked.iter().any(|asked| asked == now);
    course.statuses.last().is_none_or(|said| said == now || later(said))
}

fn orders(state: &State) -> Result<BTreeMap<u64, Stored>> {
    let sql = "SELECT order_id, customer_id, edu_no, guest, status, cancel_reason, pay_status FROM orders";
    let mut orders = BTreeMap::new();
    for row in state.open("order")?.run(sql, &[])? {
        let stored = Stored {
            customer: row.opt_int("customer_id")?.and_then(|id| u64::try_from(id).ok()),
            edu_no: row.int("edu_no")?.unsigned_abs(),
            guest: row.int("guest")?.unsigned_abs(),
            status: row.text("status")?.to_owned(),
            reason: row.opt_string("cancel_reason")?,
            pay_status: row.opt_string("pay_status")?,
        };
        orders.insert(row.int("order_id")?.unsigned_abs(), stored);
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_may_be_further_than_acknowledged_but_never_behind() {
        let course = |said: &str, asked: &[&str]| Course {
            statuses: vec![said.to_owned()],
            asked: asked.iter().map(|status| (*status).to_owned()).collect(),
        };
        assert!(is_kept(&course("Open", &[]), Some("Open")));
        assert!(is_kept(&course("Open", &["Started"]), Some("Started")));
        assert!(!is_kept(&course("Open", &[]), Some("Started")), "nobody asked for it");
        assert!(!is_kept(&course("Started", &["Started"]), Some("Open")));
        assert!(!is_kept(
            &course("Finished", &["Started", "Finished", "Course Canceled"]),
            Some("Course Canceled")
        ));
        assert!(!is_kept(&course("Open", &[]), None));
    }
}
