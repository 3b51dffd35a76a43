//! What becomes of an order, its money and its seat.

use super::{Found, by_key};
use crate::world::Stores;
use std::collections::{BTreeMap, BTreeSet};

/// Every order is either paid, charged just that, and has its place; or it is canceled, and has neither.
pub(super) fn money_and_seats(stores: &Stores) -> Found {
    let orders = by_key(stores, "order", "SELECT order_id, status, amount FROM orders")?;
    let pays = by_key(stores, "pay", "SELECT order_id, status, amount, gateway_key FROM pays")?;
    let balances = by_key(stores, "gateway", "SELECT order_id, balance, outstanding FROM balances")?;
    let outstanding = by_key(
        stores,
        "gateway",
        "SELECT order_id, key, amount FROM charges WHERE outcome = 'Approved' AND key NOT IN (SELECT key FROM refunds)",
    )?;
    let seats = by_key(stores, "reservation", "SELECT order_id, status FROM reservations")?;
    let all: BTreeSet<_> =
        orders.keys().chain(pays.keys()).chain(balances.keys()).chain(seats.keys()).collect();
    let at = |rows: &BTreeMap<String, Vec<String>>, order: &str, column: usize| {
        rows.get(order).and_then(|row| row.get(column)).cloned().unwrap_or_else(|| "-".to_owned())
    };
    let mut wrong = vec![];
    for order in all {
        let (status, amount) = (at(&orders, order, 0), at(&orders, order, 1));
        let (pay, paid, key) = (at(&pays, order, 0), at(&pays, order, 1), at(&pays, order, 2));
        let balance = balances.get(order).map_or_else(|| "0".to_owned(), |_| at(&balances, order, 0));
        let seat = at(&seats, order, 0);
        let charged = (at(&outstanding, order, 0), at(&outstanding, order, 1));
        let living =
            ["Reservation Requested", "Reservation Confirmed", "Waitlisted"].contains(&seat.as_str());
        let right = match status.as_str() {
            "Ordered" => {
                let charged_right =
                    if amount == "0" { charged.0 == "-" } else { charged == (key, amount.clone()) };
                pay == "Paid" && paid == amount && balance == amount && charged_right && living
            }
            "Order Canceled" => pay == "Payment Canceled" && balance == "0" && seat != "-" && !living,
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "order {order} is unresolved: {status}, {pay}, charged {balance} of {amount}, {seat}"
            ));
        }
    }
    Ok(wrong)
}

/// Seats are given in the order of the waiting list, and never more than there are, at any moment of the log.
pub(super) fn waiting_lists(stores: &Stores) -> Found {
    struct Seats {
        capacity: i64,
        taken: i64,
        waiting: Vec<(String, i64)>,
        seated: BTreeMap<String, i64>,
    }
    let rows = stores.of("reservation").run(
        "SELECT type, subject, data ->> 'eduNo' AS edu_no, data ->> 'guest' AS guest, data ->> 'status' AS status,
             data ->> 'capacity' AS capacity
         FROM events ORDER BY position",
        &[],
    )?;
    let mut courses: BTreeMap<i64, Seats> = BTreeMap::new();
    let mut wrong = vec![];
    for row in &rows {
        let (kind, subject) = (row.text("type")?, row.text("subject")?.to_owned());
        let new = || Seats { capacity: 0, taken: 0, waiting: vec![], seated: BTreeMap::new() };
        let course = courses.entry(row.int("edu_no")?).or_insert_with(new);
        if kind.starts_with("Course") {
            course.capacity = row.int("capacity")?;
            continue;
        }
        let guests = row.int("guest")?;
        match (kind, row.opt_text("status")?) {
            ("Reserved", Some("Waitlisted")) => course.waiting.push((subject.clone(), guests)),
            ("Reserved", _) => {
                match course.waiting.first() {
                    Some((head, _)) if *head == subject => drop(course.waiting.remove(0)),
                    Some((head, _)) => {
                        wrong.push(format!("order {subject} got a seat before {head}, who waited"))
                    }
                    None => {}
                }
                course.taken += guests;
                course.seated.insert(subject.clone(), guests);
            }
            ("ReservationConfirmed", _) => {
                if !course.seated.contains_key(&subject) {
                    wrong.push(format!("order {subject} was confirmed without a seat"));
                }
            }
            _ => {
                course.taken -= course.seated.remove(&subject).unwrap_or(0);
                course.waiting.retain(|(waiter, _)| *waiter != subject);
            }
        }
        if course.taken > course.capacity {
            wrong.push(format!("order {subject} was given a seat that is not there"));
        }
    }
    Ok(wrong)
}
