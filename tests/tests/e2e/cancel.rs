//! Canceling: the chain from the order through its seat to the refund, and who gets the seat then.

use serde_json::json;
use sugang_tests::orders::{AUTOMATIC, MANUAL, TWO_SEATS, order, with};
use sugang_tests::{Sugang, eventually, stores};

store::on_postgres!(
    a_canceled_order_frees_its_seat_and_is_refunded,
    canceling_twice_refunds_once,
    an_order_canceled_in_the_same_breath_ends_canceled_and_refunded,
    the_head_of_the_waiting_list_gets_the_seat_that_becomes_free,
    whoever_leaves_the_waiting_list_is_refunded_and_takes_nobodys_seat,
    a_group_waits_until_the_whole_of_it_fits,
    an_order_that_was_never_paid_is_canceled_for_good,
);

const CANCELED: &str = "Order Canceled / Payment Canceled / Reservation Canceled";
const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";

/// What the card company keeps of all it charged.
fn kept(sugang: &Sugang) -> i64 {
    stores::count(sugang.state(), "gateway", "SELECT CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM balances")
}

#[test]
fn a_canceled_order_frees_its_seat_and_is_refunded() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 1);
    assert!(sugang.order(1).expect(200).at("/cancelReason").is_null());
    let canceled = sugang.cancel(1).expect(200);
    assert_eq!([canceled.text("/status"), canceled.text("/cancelReason")], ["Order Canceled", "customer"]);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 0);
    assert_eq!(kept(&sugang), 0);
    let told = |event: &&str| sugang.messages(1).iter().filter(|it| it["event"] == **event).count();
    for event in ["OrderCanceled", "PaymentCanceled", "ReservationCanceled"] {
        eventually(|| told(&event), 1);
    }
}

#[test]
fn deleting_an_order_cancels_it() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, MANUAL)).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Requested");
    let deleted = sugang.delete("/orders/1");
    assert!([200, 204].contains(&deleted.status), "{} {}", deleted.status, deleted.body);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(sugang.order(1).expect(200).text("/status"), "Order Canceled");
}

#[test]
fn canceling_twice_refunds_once() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    sugang.cancel(1).expect(200);
    let again = sugang.cancel(1);
    assert!([200, 409].contains(&again.status), "{} {}", again.status, again.body);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(stores::count(sugang.state(), "gateway", "SELECT COUNT(*) FROM refunds"), 1);
}

#[test]
fn an_order_canceled_in_the_same_breath_ends_canceled_and_refunded() {
    let sugang = Sugang::start();
    for id in 1..=20 {
        sugang.apply(&order(id, AUTOMATIC)).expect(201);
        sugang.cancel(id).expect(200);
    }
    for id in 1..=20 {
        eventually(|| sugang.statuses(id), CANCELED);
    }
    assert_eq!((kept(&sugang), sugang.course(AUTOMATIC).at("/taken")), (0, json!(0)));
}

#[test]
fn the_head_of_the_waiting_list_gets_the_seat_that_becomes_free() {
    let sugang = Sugang::start();
    for id in 1..=2 {
        sugang.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
    for id in 3..=4 {
        sugang.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| sugang.statuses(id), "Ordered / Paid / Waitlisted");
        assert_eq!(sugang.reservation(id).at("/waitingPosition"), id - 2);
    }
    let course = sugang.course(TWO_SEATS);
    assert_eq!((course.at("/taken"), course.at("/waiting")), (json!(2), json!(2)));

    sugang.cancel(1).expect(200);
    eventually(|| sugang.statuses(3), CONFIRMED);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(sugang.statuses(4), "Ordered / Paid / Waitlisted");
    eventually(|| sugang.reservation(4).at("/waitingPosition"), 1);
    assert_eq!(sugang.course(TWO_SEATS).at("/taken"), 2);
}

#[test]
fn whoever_leaves_the_waiting_list_is_refunded_and_takes_nobodys_seat() {
    let sugang = Sugang::start();
    for id in 1..=4 {
        sugang.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| sugang.reservation(id).status, 200);
    }
    sugang.cancel(3).expect(200);
    eventually(|| sugang.statuses(3), CANCELED);
    assert_eq!(sugang.course(TWO_SEATS).at("/taken"), 2);
    sugang.cancel(2).expect(200);
    eventually(|| sugang.statuses(4), CONFIRMED);
}

#[test]
fn a_group_waits_until_the_whole_of_it_fits() {
    let sugang = Sugang::start();
    for id in 1..=2 {
        sugang.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
    sugang.apply(&with(order(3, TWO_SEATS), &json!({ "guest": 2 }))).expect(201);
    eventually(|| sugang.statuses(3), "Ordered / Paid / Waitlisted");
    sugang.cancel(1).expect(200);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(sugang.statuses(3), "Ordered / Paid / Waitlisted");
    sugang.cancel(2).expect(200);
    eventually(|| sugang.statuses(3), CONFIRMED);
    assert_eq!(sugang.course(TWO_SEATS).at("/taken"), 2);
}

#[test]
fn an_order_that_was_never_paid_is_canceled_for_good() {
    let sugang = Sugang::start();
    sugang.apply(&with(order(1, AUTOMATIC), &json!({ "cardNo": null }))).expect(201);
    sugang.cancel(1).expect(200);
    eventually(|| sugang.statuses(1).starts_with("Order Canceled"), true);
    sugang.pay(1, "4111111111111234").expect_any_problem(&[409]);
    assert_eq!(kept(&sugang), 0);
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 0);
}

#[test]
fn nothing_can_be_canceled_that_is_not_there() {
    let sugang = Sugang::start();
    sugang.cancel(1).expect_problem(404, "not-found");
    sugang.delete("/orders/1").expect_problem(404, "not-found");
}
