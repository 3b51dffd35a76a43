//! Negative controls: each guard is switched off, and its absence is noticed. A guard whose absence nobody notices is
//! not tested.

use std::thread;
use std::time::Duration;

use eventlog::keys;
use serde_json::json;
use sugang_tests::chaos::client::Ask;
use sugang_tests::chaos::log::{behind, connect};
use sugang_tests::chaos::proxy::Mood;
use sugang_tests::chaos::system::Shape;
use sugang_tests::orders::{DECLINED_CARD, GOOD_CARD};
use sugang_tests::{eventually, stores};

use crate::trial::{COURSE, Trial, caught, text};

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";
const CANCELED: &str = "Order Canceled / Payment Canceled / Reservation Canceled";

#[test]
fn without_idempotency_pay_charges_twice() {
    caught("pay.idempotency", Shape::Together, "one-outstanding-charge", |trial| {
        trial.open_course(10);
        trial.system.proxy().set(Mood::Twice);
        trial.apply(1, Some(GOOD_CARD));
        trial.wait_for(1, CONFIRMED);
    });
}

#[test]
fn what_is_appended_without_comparing_leaves_out_what_redis_lost() {
    caught("relay.compare", Shape::Spread { crews: 0 }, "paid-is-reserved", |trial| {
        trial.open_course(10);
        let reservation = trial.system.home("reservation");
        trial.system.member(reservation).unwrap().kill().unwrap();
        trial.system.log().stop_ticking();
        trial.apply(1, Some(GOOD_CARD));
        trial.entry("pay", "1:1");
        // Nobody has read it yet, and the instance that sent it goes on from where it was.
        let mut redis = connect(trial.system.redis_url()).unwrap();
        redis::cmd("DEL").arg(keys::stream("pay")).exec(&mut redis).unwrap();
        trial.apply(2, Some(GOOD_CARD));
        trial.entry("pay", "2:1");
        trial.system.log().revive().unwrap();
        trial.system.member(reservation).unwrap().restart().unwrap();
    });
}

/// Waits until the tick has nothing left to write to the store of `reservation`, which would wait for a lock as well.
fn nothing_left_to_write(trial: &Trial) {
    let unsettled = "SELECT (SELECT max(position) FROM events) - floor FROM log";
    eventually(|| stores::count(trial.system.state(), "reservation", unsettled), 0);
}

#[test]
fn what_is_acknowledged_before_it_is_handled_gets_lost() {
    caught("drain.acknowledge-after", Shape::Together, "paid-is-reserved", |trial| {
        trial.open_course(10);
        nothing_left_to_write(trial);
        // Nothing can be handled while somebody else holds the store.
        let file = stores::file(trial.system.folder(), "reservation").unwrap();
        let lock = rusqlite::Connection::open(file).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        trial.apply(1, Some(GOOD_CARD));
        let paid =
            || stores::count(trial.system.state(), "pay", "SELECT COUNT(*) FROM pays WHERE status = 'Paid'");
        eventually(paid, 1);
        thread::sleep(Duration::from_secs(7));
        lock.execute_batch("ROLLBACK").unwrap();
    });
}

#[test]
fn what_a_crash_left_and_nobody_claims_gets_lost() {
    caught("drain.reclaim", Shape::Spread { crews: 0 }, "paid-is-reserved", |trial| {
        trial.open_course(10);
        // So that what is read and left is the payment.
        trial.apply(1, None);
        eventually(|| behind(trial.system.redis_url()).unwrap_or(1), 0);
        trial.kill_at("reservation", "reservation.drain.read", || drop(trial.pay(1)));
    });
}

#[test]
fn without_the_version_of_a_payment_an_old_decline_undoes_it() {
    caught("order.pay-version", Shape::Together, "payment-replica", |trial| {
        trial.open_course(10);
        assert_eq!(text(&trial.apply(1, Some(DECLINED_CARD)), "/payStatus"), "Payment Declined");
        let declined = trial.entry("pay", "1:1");
        trial.pay(1);
        trial.wait_for(1, CONFIRMED);
        trial.tell_again("pay", &declined);
    });
}

#[test]
fn without_the_version_of_an_event_the_view_goes_back() {
    caught("information.version", Shape::Together, "view", |trial| {
        trial.open_course(10);
        trial.apply(1, Some(GOOD_CARD));
        trial.wait_for(1, CONFIRMED);
        let ordered = trial.entry("order", "1:1");
        trial.cancel(1);
        trial.wait_for(1, CANCELED);
        trial.tell_again("order", &ordered);
    });
}

#[test]
fn an_event_told_twice_is_two_messages_unless_they_are_recognised() {
    caught("notification.once", Shape::Together, "told-once", |trial| {
        trial.open_course(10);
        trial.apply(1, Some(GOOD_CARD));
        trial.wait_for(1, CONFIRMED);
        let ordered = trial.entry("order", "1:1");
        trial.tell_again("order", &ordered);
    });
}

#[test]
fn without_the_constraint_two_workers_sell_one_seat() {
    caught("reservation.capacity", Shape::Spread { crews: 1 }, "seats", |trial| {
        trial.open_course(1);
        nothing_left_to_write(trial);
        // Both workers decide while neither can commit: each about another order, each with the seat still free.
        let file = stores::file(trial.system.folder(), "reservation").unwrap();
        let lock = rusqlite::Connection::open(file).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        for order in 1..=2 {
            trial.apply(order, Some(GOOD_CARD));
            thread::sleep(Duration::from_millis(700));
        }
        lock.execute_batch("ROLLBACK").unwrap();
        let decided = "SELECT COUNT(*) FROM reservations";
        eventually(|| stores::count(trial.system.state(), "reservation", decided), 2);
    });
}

#[test]
fn a_closed_number_that_can_be_paid_takes_money_for_nothing() {
    caught("pay.closed", Shape::Together, "order-costs-its-amount", |trial| {
        trial.open_course(10);
        trial.apply(1, None);
        trial.cancel(1);
        trial.wait_for(1, CANCELED);
        let payment = json!({ "orderId": 1, "customerId": 1, "eduNo": COURSE, "guest": 1, "amount": 10_000, "cardNo": GOOD_CARD });
        trial.ask("payments", Ask::new("POST", "/pays").body(payment));
    });
}
