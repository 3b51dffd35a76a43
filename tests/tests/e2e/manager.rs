//! The course manager: decides on reservations, manages courses.

use serde_json::json;
use sugang_tests::orders::{AUTOMATIC, DECLINED_CARD, MANUAL, course, order, with};
use sugang_tests::{Sugang, eventually, stores};

store::on_postgres!(
    the_manager_confirms_a_reservation,
    the_manager_rejects_a_reservation_and_the_customer_is_refunded,
    a_decision_made_twice_is_made_once,
    a_course_is_opened_applied_for_and_listed_with_its_roster,
    an_order_keeps_the_price_it_was_made_at,
    a_canceled_course_is_refunded_to_everybody_and_closes_their_orders,
    when_a_course_starts_whoever_still_waits_is_turned_down_and_refunded,
    once_the_course_is_over_only_what_is_not_paid_can_be_canceled,
    a_course_whose_time_has_come_starts_and_ends_by_itself,
);

const CONFIRMED: &str = "Reservation Confirmed";
const REJECTED: &str = "Reservation Rejected";

/// A system with one order that waits for the manager.
fn requested(id: u64) -> Sugang {
    let sugang = Sugang::start();
    sugang.apply(&order(id, MANUAL)).expect(201);
    eventually(|| sugang.statuses(id), "Ordered / Paid / Reservation Requested");
    sugang
}

#[test]
fn the_manager_confirms_a_reservation() {
    let sugang = requested(1);
    assert_eq!(sugang.decide(1, CONFIRMED).expect(200).text("/status"), CONFIRMED);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    eventually(|| sugang.messages(1).iter().any(|it| it["event"] == "ReservationConfirmed"), true);
}

#[test]
fn the_manager_rejects_a_reservation_and_the_customer_is_refunded() {
    let sugang = requested(1);
    assert_eq!(sugang.decide(1, REJECTED).expect(200).text("/status"), REJECTED);
    eventually(|| sugang.statuses(1), "Order Canceled / Payment Canceled / Reservation Rejected");
    let outstanding =
        stores::count(sugang.state(), "gateway", "SELECT CAST(SUM(outstanding) AS BIGINT) FROM balances");
    assert_eq!(outstanding, 0, "the card company gave the money back");
    eventually(|| sugang.course(MANUAL).at("/taken"), 0);
}

#[test]
fn anything_but_the_managers_two_decisions_is_refused_naming_the_present_state() {
    let sugang = requested(1);
    sugang.decide(1, CONFIRMED).expect(200);
    let refused = sugang.decide(1, REJECTED).expect_problem(409, "transition-not-allowed");
    assert_eq!(refused.text("/presentStatus"), CONFIRMED);
    for status in ["Waitlisted", "Reservation Requested", "Reservation Canceled"] {
        let refused = sugang.decide(1, status).expect_problem(409, "transition-not-allowed");
        assert_eq!(refused.text("/presentStatus"), CONFIRMED, "{status}");
    }
    sugang.decide(1, "Reservation Forgotten").expect_problem(422, "invalid-fields");
    sugang.decide(2, CONFIRMED).expect_problem(404, "not-found");
    assert_eq!(sugang.reservation(1).text("/status"), CONFIRMED);
}

#[test]
fn a_decision_made_twice_is_made_once() {
    let sugang = requested(1);
    sugang.decide(1, CONFIRMED).expect(200);
    let again = sugang.decide(1, CONFIRMED);
    assert!([200, 409].contains(&again.status), "{} {}", again.status, again.body);
    eventually(|| sugang.messages(1).iter().filter(|it| it["event"] == "ReservationConfirmed").count(), 1);
}

#[test]
fn a_reservation_confirmed_at_once_is_not_confirmed_again() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    let refused = sugang.decide(1, REJECTED).expect_problem(409, "transition-not-allowed");
    assert_eq!(refused.text("/presentStatus"), CONFIRMED);
}

#[test]
fn a_course_is_opened_applied_for_and_listed_with_its_roster() {
    let sugang = Sugang::start();
    let opened = sugang.open_course(&course(500, 30, "automatic")).expect(201);
    assert_eq!(opened.header("location"), sugang.url("/courses/500"));
    eventually(|| sugang.apply(&order(1, 500)).status < 300, true);
    eventually(|| sugang.course(500).at("/taken"), 1);
    eventually(|| sugang.get("/courses/500/roster").expect(200).body.contains("\"orderId\":1"), true);
    let csv = sugang
        .send(sugang.request("GET", "/courses/500/roster").header("accept", "text/csv"), None)
        .expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"), "{:?}", csv.headers);
    assert!(csv.body.lines().any(|line| line.contains("Reservation Confirmed")), "{}", csv.body);
}

#[test]
fn an_order_keeps_the_price_it_was_made_at() {
    let sugang = Sugang::start();
    sugang.open_course(&course(500, 30, "automatic")).expect(201);
    eventually(|| sugang.apply(&order(1, 500)).status < 300, true);
    sugang.change_course(500, &json!({ "fee": 25_000 })).expect(200);
    eventually(|| sugang.course(500).at("/fee"), 25_000);
    assert_eq!(sugang.order(1).at("/amount"), 10_000);
    let mut id = 1;
    let amount = || {
        id += 1;
        sugang.apply(&order(id, 500)).expect(201).at("/amount")
    };
    eventually(amount, 25_000);
}

#[test]
fn a_canceled_course_is_refunded_to_everybody_and_closes_their_orders() {
    let sugang = Sugang::start();
    for id in 1..=3 {
        sugang.apply(&order(id, MANUAL)).expect(201);
    }
    for id in 1..=3 {
        eventually(|| sugang.statuses(id), "Ordered / Paid / Reservation Requested");
    }
    sugang.change_course(MANUAL, &json!({ "status": "Course Canceled" })).expect(200);
    for id in 1..=3 {
        eventually(|| sugang.statuses(id), "Order Canceled / Payment Canceled / Reservation Canceled");
        eventually(|| sugang.view(id).text("/courseStatus"), "Course Canceled");
    }
    eventually(|| sugang.apply(&order(4, MANUAL)).status, 409);
}

#[test]
fn when_a_course_starts_whoever_still_waits_is_turned_down_and_refunded() {
    let sugang = Sugang::start();
    sugang.open_course(&course(500, 1, "automatic")).expect(201);
    eventually(|| sugang.apply(&order(1, 500)).status < 300, true);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    sugang.apply(&order(2, 500)).expect(201);
    eventually(|| sugang.statuses(2), "Ordered / Paid / Waitlisted");
    sugang.change_course(500, &json!({ "status": "Started" })).expect(200);
    eventually(|| sugang.statuses(2), "Order Canceled / Payment Canceled / Reservation Rejected");
    eventually(|| sugang.view(1).text("/courseStatus"), "Started");
    assert_eq!(sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    eventually(|| sugang.apply(&with(order(3, 500), &json!({}))).status, 409);
}

#[test]
fn once_the_course_is_over_only_what_is_not_paid_can_be_canceled() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    sugang.apply(&with(order(2, AUTOMATIC), &json!({ "cardNo": DECLINED_CARD }))).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    for status in ["Started", "Finished"] {
        sugang.change_course(AUTOMATIC, &json!({ "status": status })).expect(200);
    }
    eventually(|| sugang.order(1).at("/_links/cancel").is_null(), true);
    let refused = sugang.cancel(1).expect_problem(409, "transition-not-allowed");
    assert_eq!(
        (refused.text("/presentStatus"), refused.text("/courseStatus")),
        ("Ordered".into(), "Finished".into())
    );
    assert!(!sugang.order(2).at("/_links/cancel").is_null());
    assert_eq!(sugang.cancel(2).expect(200).text("/status"), "Order Canceled");
    assert_eq!(sugang.order(1).text("/status"), "Ordered");
}

#[test]
fn a_course_whose_time_has_come_starts_and_ends_by_itself() {
    let sugang = Sugang::start();
    sugang.open_course(&course(500, 1, "automatic")).expect(201);
    eventually(|| sugang.apply(&order(1, 500)).status < 300, true);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    sugang.apply(&order(2, 500)).expect(201);
    eventually(|| sugang.statuses(2), "Ordered / Paid / Waitlisted");
    let now = kernel::Timestamp::now();
    let times = json!({ "startsAt": now.to_string(), "endsAt": now.plus_seconds(1).to_string() });
    sugang.change_course(500, &times).expect(200);
    eventually(|| sugang.course(500).text("/status"), "Finished");
    eventually(|| sugang.statuses(2), "Order Canceled / Payment Canceled / Reservation Rejected");
    assert_eq!(sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
}
