//! What time demands, with a `pay` that answers as it is told to.

use super::*;
use crate::testing::*;
use breaker::Outcome;
use std::rc::Rc;

::store::on_postgres!(
    what_is_due_is_asked_for_and_waits_a_second_where_it_did_not_settle,
    while_the_breaker_is_open_nothing_is_claimed,
    a_key_is_remembered_for_a_day,
    only_what_is_about_the_payment_is_a_refusal,
    a_duty_that_fails_keeps_no_other_from_being_done,
    what_pay_answers_the_worker_is_written_down_without_waiting_for_its_event,
    a_card_that_does_not_open_waits_for_its_customer,
    what_is_claimed_is_left_alone_for_longer_than_a_call_and_is_no_more_than_there_is_room_for,
    however_many_orders_are_due_one_tick_ends_them,
    an_answer_that_is_no_success_is_not_believed_whatever_it_says,
    a_tick_that_could_not_try_a_payment_has_failed,
    a_tick_that_could_not_forget_the_keys_has_failed,
    of_several_answers_that_have_come_each_is_written_down,
    the_breaker_is_told_of_a_failure_where_nothing_was_answered_or_too_late,
    the_worker_reacts_to_what_the_topology_says,
    after_five_years_an_order_is_nobodys_and_the_list_is_what_its_events_say,
);

#[test]
fn after_five_years_an_order_is_nobodys_and_the_list_is_what_its_events_say() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.hear(1, PayStatus::Paid, 1);
    orders.run("/*postgres UPDATE events SET position = inserted*/");
    let known = || orders.number("SELECT count(*) FROM orders WHERE customer_id IS NOT NULL");
    assert_eq!(known(), 1);
    let passes = |days: i64| {
        kernel::clock::set(NOW.plus_minutes(24 * 60 * days));
        orders.ticks();
    };
    passes(1827);
    assert_eq!(known(), 1);
    passes(1828);
    assert_eq!(known(), 0);
    for gone in ["customerId", "cardLast4"] {
        assert_eq!(orders.number(&format!("SELECT count(*) FROM events WHERE data LIKE '%{gone}%'")), 0);
    }
    let [before, after] = orders.project_again();
    assert_eq!(before, after);
    assert_eq!(orders.stored(1).order.status(), kernel::OrderStatus::Ordered);
}

const PAID: &str = r#"{"status":"Paid","version":1}"#;

/// With order 1, which costs nothing.
fn with_an_order() -> Orders {
    let orders = Orders::without_courses();
    insert(&orders, 1, 1);
    orders
}

/// Orders which cost nothing and are due.
fn insert(orders: &Orders, first: u32, last: u32) {
    orders.run(&format!(
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
         INSERT INTO orders (order_id, edu_no, guest, language, amount, course_title, ordered_at, status, version, due_at)
         SELECT i, 101, 1, 'ko', 0, 'x', '2026-01-01T00:00:00.000Z', 'Ordered', 1, CASE WHEN i > 1 THEN 0 END FROM n"
    ));
}

/// An answer of `pay`, should it answer at all.
fn answering(orders: &Orders, status: u16) {
    orders.ports.answer.set(Some((status, PAID)));
}

const PAID_ORDERS: &str = "SELECT count(*) FROM orders WHERE pay_status = 'Paid'";

#[test]
fn what_is_due_is_asked_for_and_waits_a_second_where_it_did_not_settle() {
    let orders = with_an_order();
    orders.ticks();
    assert_eq!(orders.ports.asked.get(), 0, "the breaker's yes may be the probe that another needs");
    orders.run(&format!("INSERT INTO retries VALUES (1, NULL, 0, {})", NOW.millis()));
    orders.ticks();
    assert_eq!(orders.ports.asked.get(), 1);
    assert_eq!(orders.number("SELECT next_at FROM retries"), NOW.plus_seconds(1).millis());
}

#[test]
fn while_the_breaker_is_open_nothing_is_claimed() {
    let orders = with_an_order();
    orders.run("INSERT INTO retries VALUES (1, NULL, 0, 0)");
    orders.ports.open.set(true);
    orders.ticks();
    assert_eq!(orders.number("SELECT attempts FROM retries"), 0);
}

#[test]
fn a_key_is_remembered_for_a_day() {
    let orders = with_an_order();
    let ago = |minutes: i64| NOW.plus_minutes(-minutes).millis();
    orders.run(&format!(
        "INSERT INTO idempotency_keys VALUES ('old', 1, '', {}), ('young', 2, '', {})",
        ago(24 * 60 + 1),
        ago(24 * 60 - 1)
    ));
    orders.ticks();
    assert_eq!(orders.number("SELECT order_id FROM idempotency_keys"), 2);
}

#[test]
fn only_what_is_about_the_payment_is_a_refusal() {
    for (status, refused) in [(409, true), (422, true), (404, false), (500, false)] {
        let orders = with_an_order();
        answering(&orders, status);
        let asked = orders.stored(1);
        let answer = block_on(orders.ask_pay(Permit::unasked(), &asked, None, Duration::ZERO, None));
        assert_eq!(answer == Answer::Refused, refused, "{status}");
    }
}

#[test]
fn a_duty_that_fails_keeps_no_other_from_being_done() {
    let orders = with_an_order();
    insert(&orders, 2, 2);
    // It can neither be expired nor be paid.
    orders.run("UPDATE orders SET language = 'fr' WHERE order_id = 2");
    orders.run("INSERT INTO retries VALUES (2, NULL, 0, 0)");
    orders.run("INSERT INTO idempotency_keys VALUES ('old', 1, '', 0)");
    assert!(block_on(orders.tick(true)).is_err());
    assert_eq!(orders.ports.asked.get(), 1);
    assert_eq!(orders.number("SELECT count(*) FROM idempotency_keys"), 0);
}

#[test]
fn what_pay_answers_the_worker_is_written_down_without_waiting_for_its_event() {
    let orders = with_an_order();
    answering(&orders, 201);
    orders.run("INSERT INTO retries VALUES (1, NULL, 0, 0)");
    orders.ticks();
    let paid = "SELECT count(*) FROM orders WHERE pay_status = 'Paid' AND pay_version = 1
        AND order_id NOT IN (SELECT order_id FROM retries)";
    assert_eq!(orders.number(paid), 1);
}

#[test]
fn a_card_that_does_not_open_waits_for_its_customer() {
    let orders = with_an_order();
    answering(&orders, 201);
    orders.run("INSERT INTO retries VALUES (1, '00', 0, 0)");
    orders.ticks();
    assert!(orders.ports.bodies.borrow().is_empty());
    assert_eq!(orders.number("SELECT attempts FROM retries"), 1);
}

#[test]
fn what_is_claimed_is_left_alone_for_longer_than_a_call_and_is_no_more_than_there_is_room_for() {
    let orders = Orders::without_courses();
    orders.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
         INSERT INTO retries SELECT i, NULL, 0, 0 FROM n",
    );
    drop(block_on(orders.claim(60)).unwrap());
    assert_eq!(orders.number("SELECT count(*) FROM retries WHERE attempts = 1"), 4);
    assert_eq!(orders.number("SELECT max(next_at) FROM retries"), NOW.plus_millis(4_440).millis());
}

#[test]
fn however_many_orders_are_due_one_tick_ends_them() {
    let orders = with_an_order();
    insert(&orders, 2, 451);
    orders.ticks();
    assert_eq!(orders.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 1);
}

#[test]
fn an_answer_that_is_no_success_is_not_believed_whatever_it_says() {
    for status in [302, 404, 500, 502] {
        let orders = with_an_order();
        answering(&orders, status);
        orders.run("INSERT INTO retries VALUES (1, NULL, 0, 0)");
        orders.ticks();
        assert_eq!(orders.number(PAID_ORDERS), 0, "{status}");
        assert_eq!(orders.number("SELECT count(*) FROM retries"), 1, "{status}");
    }
}

#[test]
fn a_tick_that_could_not_try_a_payment_has_failed() {
    let orders = with_an_order();
    orders.run("UPDATE orders SET language = 'fr'");
    orders.run("INSERT INTO retries VALUES (1, NULL, 0, 0)");
    assert!(block_on(orders.tick(true)).is_err());
}

#[test]
fn a_tick_that_could_not_forget_the_keys_has_failed() {
    let orders = with_an_order();
    orders.run("DROP TABLE idempotency_keys");
    assert!(block_on(orders.tick(true)).is_err());
}

#[test]
fn of_several_answers_that_have_come_each_is_written_down() {
    let orders = with_an_order();
    answering(&orders, 201);
    insert(&orders, 2, 3);
    orders.run("UPDATE orders SET due_at = NULL");
    orders.run("INSERT INTO retries SELECT order_id, NULL, 0, 0 FROM orders");
    orders.ticks();
    assert_eq!(orders.number(PAID_ORDERS), 3);
}

#[test]
fn the_breaker_is_told_of_a_failure_where_nothing_was_answered_or_too_late() {
    let told = |answer: Option<u16>, deadline: Duration| {
        let mut orders = with_an_order();
        orders.ports.answer.set(answer.map(|status| (status, PAID)));
        Rc::get_mut(&mut orders.settings).unwrap().pay_deadline = deadline;
        orders.run("INSERT INTO retries SELECT order_id, NULL, 0, 0 FROM orders");
        orders.ticks();
        orders.ports.told.take()
    };
    let ample = Duration::from_secs(60);
    assert_eq!(told(Some(201), ample), [Outcome::Success]);
    assert_eq!(told(Some(409), ample), [Outcome::Success], "a refusal on the merits is an answer");
    assert_eq!(told(Some(503), ample), [Outcome::Failure]);
    assert_eq!(told(None, ample), [Outcome::Failure]);
    assert_eq!(told(Some(201), Duration::ZERO), [Outcome::Failure], "it came after the deadline");
}

#[test]
fn the_worker_reacts_to_what_the_topology_says() {
    let consumer = eventlog::topology::Consumer::named(<Orders as Worker>::NAME).unwrap();
    assert_eq!(consumer.sources().collect::<Vec<_>>(), ["pay", "reservation"]);
}
