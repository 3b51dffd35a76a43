//! What becomes of applications, cancellations and payments, on a store of our own.

use super::*;
use crate::domain::{Client, Rate};
use crate::store::{Card, knows_courses};
use crate::testing::*;
use kernel::event::ReservationRejected;
use kernel::{CourseStatus, OrderStatus, PayStatus};
use proptest::prelude::*;

::store::on_postgres!(
    without_the_course_version_an_order_would_be_taken_at_an_old_fee,
    without_the_payment_version_what_was_just_paid_would_expire,
    without_their_versions_what_was_paid_and_over_would_be_canceled,
    an_order_is_taken_with_one_read_and_one_statement,
    a_client_is_held_to_its_rate_by_the_orders_own_statement,
    an_order_that_is_paid_at_once_costs_one_read_and_two_writes,
    pay_is_asked_for_the_applicant_the_amount_and_the_card,
    an_order_says_in_its_event_when_it_expires,
    with_the_breaker_open_the_order_and_its_delay_are_one_statement,
    the_breaker_is_asked_once_and_only_where_pay_would_be,
    an_order_without_a_card_waits_for_its_customer_and_not_for_the_worker,
    the_same_order_again_is_found_and_other_content_refused,
    what_is_refused_is_not_stored,
    a_key_stands_for_one_order_with_one_content,
    a_key_that_came_with_an_order_of_before_stands_for_that,
    orders_without_a_number_get_one_each,
    two_who_apply_under_one_number_at_once_make_one_order,
    an_order_is_never_taken_at_terms_that_have_changed_meanwhile,
    whoever_applies_before_any_course_is_known_waits_for_the_first,
    a_cancellation_that_met_another_is_decided_again,
    a_customer_cannot_cancel_what_was_paid_and_over_before_that_was_committed,
    a_conditional_cancellation_is_refused_where_the_state_changes_before_it_is_committed,
    a_card_is_kept_only_for_the_order_as_it_was_loaded,
    a_sealed_card_is_kept_until_paid_declined_canceled_or_expired,
    what_pay_answered_is_not_undone_by_what_comes_late,
    a_delay_decided_before_pay_was_heard_does_not_hide_what_it_said,
    what_pay_told_while_it_was_asked_in_vain_is_no_delay,
    whoever_pays_again_in_vain_is_told_what_pay_said_meanwhile,
    an_order_that_ends_while_pay_is_asked_in_vain_has_ended,
    an_order_that_expires_while_pay_charges_it_is_not_answered_as_if_it_lived,
    whoever_pays_is_answered_what_pay_told_last_even_if_its_answer_came_late,
    whoever_is_always_too_late_gives_up,
    another_card_is_tried_from_the_beginning,
    another_card_may_be_tried_after_a_refusal,
    what_is_paid_or_has_ended_is_not_asked_for_again,
    an_order_is_paid_with_another_card_and_that_is_what_is_shown,
    what_is_not_paid_in_time_expires_and_what_is_paid_does_not,
    a_canceled_course_ends_all_of_its_orders,
    a_rejected_reservation_ends_its_order,
    while_the_orders_of_a_canceled_course_are_ended_nobody_applies_for_it,
    the_end_of_an_order_belongs_to_the_trace_of_what_ended_it,
    the_trace_of_a_request_is_that_of_all_its_events,
);

const PAID: &str = r#"{"status":"Paid","version":1,"cardLast4":"1234"}"#;
const DECLINED: &str = r#"{"status":"Payment Declined","version":1}"#;

#[track_caller]
fn apply(orders: &Orders, applying: &Applying) -> Stored {
    match block_on(orders.apply(applying, None)).unwrap() {
        Applied::Taken(stored, _) => stored,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_order_is_taken_with_one_read_and_one_statement() {
    let orders = Orders::new();
    let before = orders.storage().statements();
    let taken = orders.take_it(&applying(1113));
    assert_eq!(orders.storage().statements() - before, 2);
    assert_eq!(taken, orders.stored(1113));
    assert_eq!(taken.order.amount.get(), 100_000);
    assert_eq!((taken.version, taken.payment.status, taken.course), (1, None, Some(CourseStatus::Open)));
    assert_eq!(orders.number("SELECT count(*) FROM events WHERE type = 'Ordered'"), 1);
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 1);
}

#[test]
fn a_client_is_held_to_its_rate_by_the_orders_own_statement() {
    let orders = Orders::new();
    let client = |name: &str| Some(Client { name: name.to_owned(), rate: Rate { per_hour: 2 } });
    let take = |number, name| orders.try_take(&Applying { client: client(name), ..applying(number) });
    let before = orders.storage().statements();
    assert!(matches!(take(1, "member:7"), Ok(Applied::Taken(..))));
    assert_eq!(orders.storage().statements() - before, 2);
    assert!(take(2, "member:7").is_ok());
    assert!(matches!(take(3, "member:7"), Err(NotDone::TooMany(1800))));
    assert_eq!(orders.number("SELECT count(*) FROM orders"), 2);
    // What is there is answered, and others are not held up.
    assert!(matches!(take(1, "member:7"), Ok(Applied::Same(_))));
    assert!(take(3, "member:8").is_ok());
    // A payment counts as much, and one that is refused is not begun.
    let pay =
        |name| block_on(orders.pay(order(3), Some(&card("5555")), client(name).as_ref(), |_| true, None));
    assert!(pay("member:8").is_ok());
    assert!(matches!(pay("member:8"), Err(NotDone::TooMany(_))));
    kernel::clock::set(NOW.plus_minutes(30));
    assert!(take(4, "member:7").is_ok());
    assert!(matches!(take(5, "member:7"), Err(NotDone::TooMany(_))));
    kernel::clock::set(NOW.plus_minutes(91));
    block_on(store::forget_rates(orders.storage(), Timestamp::now())).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM rates"), 0);
}

#[test]
fn an_order_that_is_paid_at_once_costs_one_read_and_two_writes() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, PAID)));
    let before = orders.storage().statements();
    let taken = apply(&orders, &applying(1));
    assert_eq!(orders.storage().statements() - before, 3);
    assert_eq!((taken.payment.status, &taken), (Some(PayStatus::Paid), &orders.stored(1)));
    // Its event comes later and is news to nobody.
    let before = orders.storage().statements();
    orders.handle_all(&[paid(1, 1)]);
    assert_eq!(orders.storage().statements() - before, 1);
    assert_eq!(orders.journal.tell.0.get(), 1);
}

#[test]
fn pay_is_asked_for_the_applicant_the_amount_and_the_card() {
    let orders = Orders::new();
    apply(&orders, &applying(1));
    apply(&orders, &Applying { card: None, edu_no: edu(104), ..applying(2) });
    assert_eq!(
        *orders.ports.bodies.borrow(),
        [
            r#"{"orderId":1,"customerId":2,"eduNo":101,"guest":2,"language":"ko","amount":100000,"cardNo":"4111111111111234"}"#,
            r#"{"orderId":2,"customerId":3,"eduNo":104,"guest":2,"language":"ko","amount":0}"#,
        ]
    );
}

#[test]
fn an_order_says_in_its_event_when_it_expires() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    let due_at = (NOW.plus_minutes(30)).millis();
    assert_eq!(orders.number("SELECT due_at FROM orders"), due_at);
    let told = format!("SELECT count(*) FROM events WHERE data ->> 'dueAt' = '{}'", NOW.plus_minutes(30));
    assert_eq!(orders.number(&told), 1);
}

#[test]
fn with_the_breaker_open_the_order_and_its_delay_are_one_statement() {
    let orders = Orders::new();
    orders.ports.open.set(true);
    let before = orders.storage().statements();
    let taken = apply(&orders, &applying(1));
    assert_eq!(orders.storage().statements() - before, 2);
    assert_eq!((taken.version, taken.payment.status), (2, Some(PayStatus::PaymentDelayed)));
    assert_eq!(taken, orders.stored(1));
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 1);
}

#[test]
fn the_breaker_is_asked_once_and_only_where_pay_would_be() {
    let orders = Orders::new();
    orders.meanwhile(|other| other.learn(&[(2, &terms(101, 70_000, CourseStatus::Open))]));
    apply(&orders, &applying(1));
    assert_eq!(orders.ports.asked.get(), 1);
    apply(&orders, &Applying { card: None, ..applying(2) });
    drop(block_on(orders.apply(&applying(1), None)));
    assert_eq!(orders.ports.asked.get(), 1);
}

#[test]
fn an_order_without_a_card_waits_for_its_customer_and_not_for_the_worker() {
    let orders = Orders::new();
    let taken = orders.take_it(&Applying { card: None, ..applying(1) });
    assert_eq!(taken.payment.status, Some(PayStatus::PaymentDelayed));
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 0);
    // What costs nothing needs no card, and is retried without one.
    let free = orders.take_it(&Applying { card: None, edu_no: edu(104), ..applying(2) });
    assert_eq!(free.payment.status, None);
    let retries = orders.claim_at(NOW.plus_seconds(2));
    assert!(matches!(&retries[..], [retry] if retry.sealed.is_none() && retry.stored == free));
}

#[test]
fn the_same_order_again_is_found_and_other_content_refused() {
    let orders = Orders::new();
    let taken = orders.take_it(&applying(1));
    assert!(matches!(orders.try_take(&applying(1)), Ok(Applied::Same(same)) if same == taken));
    let other = orders.try_take(&Applying { edu_no: edu(104), ..applying(1) });
    assert!(matches!(other, Err(NotDone::Refused(Refusal::ContentDiffers))));
    assert_eq!(orders.number("SELECT count(*) FROM events"), 1);
}

#[test]
fn what_is_refused_is_not_stored() {
    let orders = Orders::new();
    let unknown = orders.try_take(&Applying { edu_no: edu(999), key: Some("k".to_owned()), ..applying(1) });
    assert!(matches!(unknown, Err(NotDone::Refused(Refusal::UnknownCourse(_)))));
    for table in ["events", "orders", "retries", "idempotency_keys", "tallies"] {
        assert_eq!(orders.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[test]
fn a_key_stands_for_one_order_with_one_content() {
    let orders = Orders::new();
    let taken = orders.take_it(&keyed("8e03"));
    let again = orders.try_take(&keyed("8e03"));
    assert!(matches!(again, Ok(Applied::Replayed { stored, was_taken: true }) if stored == taken));
    let other = Applying { edu_no: edu(104), ..keyed("8e03") };
    assert!(matches!(orders.try_take(&other), Err(NotDone::KeyReused)));
    assert_eq!(orders.number("SELECT count(*) FROM orders"), 1);
    let numbered = |number| Applying { key: Some("n".to_owned()), ..applying(number) };
    orders.take_it(&numbered(5));
    assert!(matches!(orders.try_take(&numbered(6)), Err(NotDone::KeyReused)));
}

#[test]
fn a_key_that_came_with_an_order_of_before_stands_for_that() {
    let orders = Orders::new();
    let taken = orders.take_it(&applying(1));
    kernel::clock::set(NOW.plus_seconds(1));
    let with_key = |number| Applying { key: Some("k".to_owned()), ..applying(number) };
    assert!(matches!(orders.try_take(&with_key(1)), Ok(Applied::Same(same)) if same == taken));
    let again = orders.try_take(&with_key(1));
    assert!(matches!(again, Ok(Applied::Replayed { stored, was_taken: false }) if stored == taken));
    assert!(matches!(orders.try_take(&with_key(2)), Err(NotDone::KeyReused)));
    assert!(matches!(orders.try_take(&keyed("k")), Err(NotDone::KeyReused)));
    assert_eq!(orders.number("SELECT count(*) FROM orders"), 1);
    assert_eq!(orders.number("SELECT count(*) FROM events"), 1);
}

#[test]
fn of_two_who_use_one_key_at_once_for_orders_of_before_one_has_it() {
    let orders = Orders::new();
    (1..=2).for_each(|n| drop(orders.take_it(&applying(n))));
    let overtaken = "CREATE TRIGGER overtaken BEFORE INSERT ON idempotency_keys WHEN NEW.order_id = 1 BEGIN
        INSERT INTO idempotency_keys VALUES (NEW.key, 2, 'other', NEW.made_at);
    END";
    orders.run(overtaken);
    let late = Applying { key: Some("k".to_owned()), ..applying(1) };
    assert!(matches!(orders.try_take(&late), Err(NotDone::KeyReused)));
    assert_eq!(orders.number("SELECT order_id FROM idempotency_keys"), 2);
}

#[test]
fn orders_without_a_number_get_one_each() {
    let orders = Orders::new();
    let anonymous = Applying { order_id: None, ..applying(1) };
    let mut numbers: Vec<_> = (0..400).map(|_| orders.take_it(&anonymous).order_id()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 400, "two customers got one order");
    assert!(numbers.iter().all(|number| number.get() > 1 << 40));
}

#[test]
fn two_who_apply_under_one_number_at_once_make_one_order() {
    let orders = Orders::new();
    orders.meanwhile(|other| drop(other.take_it(&applying(1))));
    assert!(matches!(orders.try_take(&applying(1)), Ok(Applied::Same(_))));
    assert_eq!(orders.number("SELECT count(*) FROM events"), 1);
    // The same with one key, where neither has a number.
    orders.meanwhile(|other| drop(other.take_it(&keyed("k"))));
    assert!(matches!(orders.try_take(&keyed("k")), Ok(Applied::Replayed { .. })));
    assert_eq!(orders.number("SELECT count(*) FROM orders"), 2);
}

#[test]
fn an_order_is_never_taken_at_terms_that_have_changed_meanwhile() {
    let orders = Orders::new();
    orders.meanwhile(|other| other.learn(&[(2, &terms(101, 70_000, CourseStatus::Open))]));
    assert_eq!(orders.take_it(&applying(1)).order.amount.get(), 140_000);
    orders.meanwhile(|other| other.learn(&[(3, &terms(101, 70_000, CourseStatus::CourseCanceled))]));
    let late = orders.try_take(&applying(2));
    assert!(matches!(late, Err(NotDone::Refused(Refusal::CourseNotOpen(..)))), "{late:?}");
}

/// The harm that the version of the course's copy is there against.
#[test]
fn without_the_course_version_an_order_would_be_taken_at_an_old_fee() {
    let orders = Orders::new();
    orders.storage().alter("DROP TRIGGER expect_course").unwrap();
    orders.meanwhile(|other| other.learn(&[(2, &terms(101, 70_000, CourseStatus::Open))]));
    assert_eq!(orders.take_it(&applying(1)).order.amount.get(), 100_000);
}

#[test]
fn whoever_applies_before_any_course_is_known_waits_for_the_first() {
    let orders = Orders::without_courses();
    let unknown = block_on(orders.apply(&applying(7), None));
    assert!(matches!(unknown, Err(NotDone::Refused(Refusal::UnknownCourse(_)))));
    let storage = orders.storage().clone();
    let course_comes: Box<dyn FnOnce()> =
        Box::new(move || Orders::over(storage).learn(&[(1, &terms(101, 5, CourseStatus::Open))]));
    orders.ports.while_waiting.replace(Some(course_comes));
    apply(&orders, &applying(7));
    assert!(block_on(knows_courses(orders.storage())).unwrap());
}

#[test]
fn a_cancellation_that_met_another_is_decided_again() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.meanwhile(|other| drop(other.cancel_it(1).unwrap()));
    let canceled = orders.cancel_it(1).unwrap();
    assert_eq!((canceled.version, canceled.order.status()), (2, OrderStatus::OrderCanceled));
    assert_eq!(orders.number("SELECT count(*) FROM events"), 2);
}

#[test]
fn a_customer_cannot_cancel_what_was_paid_and_over_before_that_was_committed() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.learn(&[(2, &terms(101, 50_000, CourseStatus::Finished))]);
    orders.meanwhile(|other| other.hear(1, PayStatus::Paid, 1));
    assert!(matches!(orders.cancel_it(1), Err(NotDone::Refused(Refusal::CourseFinished))));
    orders.take_it(&Applying { edu_no: edu(104), ..applying(2) });
    orders.hear(2, PayStatus::Paid, 1);
    orders.meanwhile(|other| other.learn(&[(2, &terms(104, 0, CourseStatus::Finished))]));
    assert!(matches!(orders.cancel_it(2), Err(NotDone::Refused(Refusal::CourseFinished))));
}

/// The harm that the versions of the payment and of the course are there against.
#[test]
fn without_their_versions_what_was_paid_and_over_would_be_canceled() {
    let orders = Orders::new();
    orders.storage().alter("DROP TRIGGER expect_payment").unwrap();
    orders.storage().alter("DROP TRIGGER expect_course").unwrap();
    orders.take_it(&applying(1));
    orders.learn(&[(2, &terms(101, 50_000, CourseStatus::Finished))]);
    orders.meanwhile(|other| other.hear(1, PayStatus::Paid, 1));
    orders.cancel_it(1).unwrap();
}

/// A condition on the state is evaluated for the very state that is changed, whatever moved it meanwhile.
#[test]
fn a_conditional_cancellation_is_refused_where_the_state_changes_before_it_is_committed() {
    let changes: [fn(&Orders); 3] = [
        |other| drop(other.delay_it(1).unwrap()),
        |other| other.hear(1, PayStatus::Paid, 1),
        |other| other.learn(&[(2, &terms(101, 50_000, CourseStatus::Started))]),
    ];
    for change in changes {
        let orders = Orders::new();
        let seen = orders.take_it(&applying(1));
        orders.meanwhile(change);
        let canceled = block_on(orders.cancel(order(1), |stored| *stored == seen, None));
        assert!(matches!(canceled, Err(NotDone::PreconditionFailed)), "{canceled:?}");
        assert!(orders.stored(1).order.canceled.is_none());
    }
}

#[test]
fn a_conditional_payment_is_refused_where_the_state_changes_before_the_card_is_kept() {
    let changes = [
        "UPDATE orders SET version = 2",
        "UPDATE orders SET pay_version = 1, pay_status = 'Payment Declined'",
        "UPDATE courses SET version = 2",
    ];
    for change in changes {
        let orders = Orders::new();
        let seen = orders.take_it(&applying(1));
        orders.run(&format!(
            "CREATE TRIGGER overtaken BEFORE INSERT ON retries BEGIN {change}; SELECT RAISE(IGNORE); END"
        ));
        orders.ports.asked.set(0);
        let paid = block_on(orders.pay(order(1), Some(&card("5555")), None, |stored| *stored == seen, None));
        assert!(matches!(paid, Err(NotDone::PreconditionFailed)), "{change}: {paid:?}");
        assert_eq!(orders.ports.asked.get(), 0);
    }
}

#[test]
fn a_card_is_kept_only_for_the_order_as_it_was_loaded() {
    for change in [
        "UPDATE orders SET version = 2",
        "UPDATE orders SET pay_version = 1",
        "UPDATE courses SET version = 2",
        "UPDATE orders SET guest = guest",
    ] {
        let orders = Orders::new();
        let seen = orders.take_it(&applying(1));
        orders.run(change);
        let kept =
            block_on(store::keep_for_retry(orders.storage(), &seen, Card { sealed: None, next_at: 0 }));
        assert_eq!(kept.unwrap(), change.contains("guest"), "{change}");
    }
}

#[test]
fn a_sealed_card_is_kept_until_paid_declined_canceled_or_expired() {
    for status in [PayStatus::Paid, PayStatus::PaymentDeclined, PayStatus::PaymentCanceled] {
        let orders = Orders::new();
        orders.take_it(&applying(1));
        orders.hear(1, status, 1);
        assert_eq!(orders.pay_status(1), Some(status));
        assert_eq!(orders.number("SELECT count(*) FROM retries"), 0, "{status}");
    }
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.cancel_it(1).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 0);
    orders.take_it(&applying(2));
    orders.expire_at(NOW.plus_minutes(30)).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 0);
}

#[test]
fn what_pay_answered_is_not_undone_by_what_comes_late() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.hear(1, PayStatus::Paid, 2);
    // An older event, the delay that this context told meanwhile, and the same event again.
    orders.hear(1, PayStatus::PaymentDeclined, 1);
    assert_eq!(orders.delay_it(1).unwrap().payment.status, Some(PayStatus::Paid));
    let facts = [fact(1, PayStatus::Paid, 2), fact(1, PayStatus::PaymentCanceled, 3)];
    block_on(store::hear_news(orders.storage(), &facts)).unwrap();
    assert_eq!(orders.pay_status(1), Some(PayStatus::PaymentCanceled));
    orders.hear(1, PayStatus::Paid, 2);
    assert_eq!(orders.pay_status(1), Some(PayStatus::PaymentCanceled));
}

#[test]
fn a_delay_decided_before_pay_was_heard_does_not_hide_what_it_said() {
    for status in [PayStatus::Paid, PayStatus::PaymentDeclined] {
        let orders = Orders::new();
        orders.take_it(&applying(1));
        orders.meanwhile(move |other| other.hear(1, status, 1));
        orders.delay_it(1).unwrap();
        assert_eq!(orders.pay_status(1), Some(status));
    }
}

#[test]
fn what_pay_told_while_it_was_asked_in_vain_is_no_delay() {
    let orders = Orders::new();
    let storage = orders.storage().clone();
    let declined: Box<dyn FnOnce()> =
        Box::new(move || Orders::over(storage).hear(1, PayStatus::PaymentDeclined, 1));
    orders.ports.while_paying.replace(Some(declined));
    assert_eq!(apply(&orders, &applying(1)).payment.status, Some(PayStatus::PaymentDeclined));
    assert_eq!(orders.number("SELECT count(*) FROM events"), 1);
}

/// The card of before was declined after all: nobody is told that the new one is still to be tried, since it is not.
#[test]
fn whoever_pays_again_in_vain_is_told_what_pay_said_meanwhile() {
    let orders = Orders::new();
    assert_eq!(apply(&orders, &applying(1)).payment.status, Some(PayStatus::PaymentDelayed));
    let storage = orders.storage().clone();
    let declined: Box<dyn FnOnce()> =
        Box::new(move || Orders::over(storage).hear(1, PayStatus::PaymentDeclined, 1));
    orders.ports.while_paying.replace(Some(declined));
    let (stored, _) = block_on(orders.pay(order(1), Some(&card("5555")), None, |_| true, None)).unwrap();
    assert_eq!(stored.payment.status, Some(PayStatus::PaymentDeclined));
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 0);
}

#[test]
fn an_order_that_ends_while_pay_is_asked_in_vain_has_ended() {
    let orders = Orders::new();
    let storage = orders.storage().clone();
    let canceled: Box<dyn FnOnce()> = Box::new(move || drop(Orders::over(storage).cancel_it(1).unwrap()));
    orders.ports.while_paying.replace(Some(canceled));
    assert_eq!(apply(&orders, &applying(1)).order.status(), OrderStatus::OrderCanceled);
}

#[test]
fn an_order_that_expires_while_pay_charges_it_is_not_answered_as_if_it_lived() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, PAID)));
    let storage = orders.storage().clone();
    let expired: Box<dyn FnOnce()> =
        Box::new(move || Orders::over(storage).expire_at(NOW.plus_minutes(31)).unwrap());
    orders.ports.while_paying.replace(Some(expired));
    let answered = apply(&orders, &applying(1));
    assert_eq!(answered.order.canceled, Some(CancelReason::Expired));
    assert_eq!(answered, orders.stored(1));
}

#[test]
fn whoever_pays_is_answered_what_pay_told_last_even_if_its_answer_came_late() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, PAID)));
    let storage = orders.storage().clone();
    let refunded: Box<dyn FnOnce()> =
        Box::new(move || Orders::over(storage).hear(1, PayStatus::PaymentCanceled, 2));
    orders.ports.while_paying.replace(Some(refunded));
    assert_eq!(apply(&orders, &applying(1)).payment.status, Some(PayStatus::PaymentCanceled));
}

#[test]
fn whoever_is_always_too_late_gives_up() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    // As often as each of the two decides.
    for _ in 0..2 * 200 {
        orders.meanwhile(|other| {
            let version = other.stored(1).payment.version;
            other.hear(1, PayStatus::PaymentDeclined, version + 1);
        });
    }
    let late = orders.cancel_it(1);
    assert!(matches!(late, Err(NotDone::Store(StoreError::Unavailable(_)))), "{late:?}");
    assert!(matches!(orders.expire_at(NOW.plus_minutes(30)), Err(StoreError::Unavailable(_))));
}

#[test]
fn another_card_is_tried_from_the_beginning() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.claim_at(NOW.plus_seconds(2));
    assert!(orders.keep(1, "5555555555554444", NOW));
    let retry = orders.claim_at(NOW).pop().unwrap();
    let opened = orders.settings.seal.open(&retry.sealed.unwrap(), order(1)).unwrap();
    assert_eq!((retry.attempts, opened), (0, card("5555555555554444")));
}

#[test]
fn another_card_may_be_tried_after_a_refusal() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.hear(1, PayStatus::PaymentDeclined, 1);
    assert!(orders.keep(1, "5555", NOW));
    assert_eq!(orders.delay_it(1).unwrap().payment.status, Some(PayStatus::PaymentDelayed));
    assert_eq!(orders.pay_status(1), Some(PayStatus::PaymentDelayed));
    // The first refusal, told late, does not end the second try.
    orders.hear(1, PayStatus::PaymentDeclined, 1);
    assert_eq!(orders.claim_at(NOW).len(), 1);
    orders.hear(1, PayStatus::PaymentDeclined, 2);
    assert_eq!(orders.pay_status(1), Some(PayStatus::PaymentDeclined));
    assert!(orders.claim_at(NOW.plus_minutes(1)).is_empty());
}

#[test]
fn what_is_paid_or_has_ended_is_not_asked_for_again() {
    let orders = Orders::new();
    (1..=2).for_each(|n| drop(orders.take_it(&applying(n))));
    orders.hear(1, PayStatus::Paid, 1);
    orders.cancel_it(2).unwrap();
    orders.ports.asked.set(0);
    let pay = |number| block_on(orders.pay(order(number), Some(&card("5555")), None, |_| true, None));
    assert!(matches!(pay(1), Ok((stored, _)) if stored.payment.status == Some(PayStatus::Paid)));
    assert!(matches!(pay(2), Err(NotDone::Refused(Refusal::Ended(CancelReason::Customer)))));
    assert!(matches!(pay(3), Err(NotDone::Refused(Refusal::UnknownOrder))));
    assert_eq!(orders.ports.asked.get(), 0);
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 0);
}

#[test]
fn what_was_paid_while_its_card_was_put_away_is_not_asked_for_again() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    // Between the order's being read and its card's being kept, it is paid.
    let overtaken = "CREATE TRIGGER overtaken BEFORE INSERT ON retries BEGIN
        UPDATE orders SET pay_status = 'Paid', pay_version = 1 WHERE order_id = NEW.order_id;
        SELECT RAISE(IGNORE);
    END";
    orders.run(overtaken);
    orders.ports.asked.set(0);
    let (stored, _) = block_on(orders.pay(order(1), Some(&card("5555")), None, |_| true, None)).unwrap();
    assert_eq!(stored.payment.status, Some(PayStatus::Paid));
    assert_eq!(orders.ports.asked.get(), 0);
}

#[test]
fn an_order_is_paid_with_another_card_and_that_is_what_is_shown() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, DECLINED)));
    apply(&orders, &applying(1));
    orders.ports.answer.set(Some((201, r#"{"status":"Paid","version":2,"cardLast4":"5555"}"#)));
    let (stored, _) = block_on(orders.pay(order(1), Some(&card("5555")), None, |_| true, None)).unwrap();
    assert_eq!((stored.payment.status, &stored), (Some(PayStatus::Paid), &orders.stored(1)));
    assert_eq!(stored.payment.card_last4.as_deref(), Some("5555"));
}

#[test]
fn what_is_not_paid_in_time_expires_and_what_is_paid_does_not() {
    let orders = Orders::new();
    (1..=3).for_each(|n| drop(orders.take_it(&applying(n))));
    orders.hear(1, PayStatus::Paid, 1);
    orders.hear(2, PayStatus::PaymentDeclined, 1);
    orders.expire_at(NOW.plus_minutes(30).plus_millis(-1)).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 3);
    // Paid at the very last moment, between reading and committing: the whole is decided again.
    orders.meanwhile(|other| other.hear(3, PayStatus::Paid, 1));
    orders.expire_at(NOW.plus_minutes(30)).unwrap();
    let ended = |number| orders.stored(number).order.canceled;
    assert_eq!([ended(1), ended(2), ended(3)], [None, Some(CancelReason::Expired), None]);
    orders.expire_at(NOW.plus_minutes(99)).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM events WHERE type = 'OrderCanceled'"), 1);
}

/// The harm that the version of the payment is there against.
#[test]
fn without_the_payment_version_what_was_just_paid_would_expire() {
    let orders = Orders::new();
    orders.storage().alter("DROP TRIGGER expect_payment").unwrap();
    orders.take_it(&applying(1));
    orders.meanwhile(|other| other.hear(1, PayStatus::Paid, 1));
    orders.expire_at(NOW.plus_minutes(30)).unwrap();
    assert_eq!(orders.stored(1).order.canceled, Some(CancelReason::Expired));
}

#[test]
fn a_canceled_course_ends_all_of_its_orders() {
    let orders = Orders::new();
    (1..=450).for_each(|n| drop(orders.take_it(&applying(n))));
    (501..=510).for_each(|n| drop(orders.take_it(&Applying { edu_no: edu(104), ..applying(n) })));
    orders.cancel_it(7).unwrap();
    let canceled = terms(101, 50_000, CourseStatus::CourseCanceled);
    let event = envelope("reservation", 2, Event::CourseCanceled(canceled));
    let before = orders.storage().statements();
    orders.handle_all(std::slice::from_ref(&event));
    // The copy of the course, and a read and a statement for each 200 orders and for none any more.
    assert_eq!(orders.storage().statements() - before, 1 + 3 * 2 + 1);
    orders.handle_all(&[event]);
    assert_eq!(orders.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 10);
    assert_eq!(orders.number("SELECT count(*) FROM events WHERE type = 'OrderCanceled'"), 450);
    assert_eq!(orders.stored(7).order.canceled, Some(CancelReason::Customer));
    assert_eq!(orders.stored(1).order.canceled, Some(CancelReason::CourseCanceled));
}

#[test]
fn a_rejected_reservation_ends_its_order() {
    let orders = Orders::new();
    (1..=2).for_each(|n| drop(orders.take_it(&applying(n))));
    let rejected = |n| {
        let event = ReservationRejected { applicant: applicant(n, 101), reason: "full".to_owned() };
        envelope("reservation", 1, Event::ReservationRejected(event))
    };
    // Among them one that this context does not know, and one twice.
    orders.handle_all(&[rejected(1), rejected(99), rejected(1), paid(2, 1)]);
    assert_eq!(orders.stored(1).order.canceled, Some(CancelReason::ReservationRejected));
    assert_eq!(orders.stored(2).order.canceled, None);
    assert_eq!(orders.pay_status(2), Some(PayStatus::Paid));
}

#[test]
fn while_the_orders_of_a_canceled_course_are_ended_nobody_applies_for_it() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.meanwhile(|other| {
        let late = other.try_take(&applying(2));
        assert!(matches!(late, Err(NotDone::Refused(Refusal::CourseNotOpen(..)))), "{late:?}");
    });
    let canceled = Event::CourseCanceled(terms(101, 50_000, CourseStatus::CourseCanceled));
    orders.handle_all(&[envelope("reservation", 2, canceled)]);
    assert_eq!(orders.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 0);
}

#[test]
fn the_end_of_an_order_belongs_to_the_trace_of_what_ended_it() {
    let orders = Orders::new();
    (1..=2).for_each(|n| drop(orders.take_it(&applying(n))));
    let rejected = ReservationRejected { applicant: applicant(1, 101), reason: "full".to_owned() };
    let canceled = terms(101, 50_000, CourseStatus::CourseCanceled);
    let traced =
        |trace: &str, envelope| eventlog::Envelope { traceparent: Some(trace.to_owned()), ..envelope };
    orders.handle_all(&[
        traced("a", envelope("reservation", 1, Event::ReservationRejected(rejected))),
        traced("b", envelope("reservation", 2, Event::CourseCanceled(canceled))),
    ]);
    let right = "SELECT count(*) FROM events WHERE type = 'OrderCanceled'
        AND traceparent = CASE subject WHEN '1' THEN 'a' ELSE 'b' END";
    assert_eq!(orders.number(right), 2);
}

#[test]
fn the_trace_of_a_request_is_that_of_all_its_events() {
    let orders = Orders::new();
    drop(block_on(orders.apply(&applying(1), Some("t"))));
    drop(block_on(orders.cancel(order(1), |_| true, Some("t"))));
    assert_eq!(orders.number("SELECT count(*) FROM events WHERE traceparent = 't'"), 3);
}

#[derive(Clone, Debug)]
enum Act {
    Take { order: u64, breaker_open: bool },
    Cancel(u64),
    Delay(u64),
    Keep(u64),
    Pay(u64, u64),
    Hear(u64, u64),
    Expire(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let order = 1..5_u64;
    prop_oneof![
        (order.clone(), any::<bool>()).prop_map(|(order, breaker_open)| Act::Take { order, breaker_open }),
        order.clone().prop_map(Act::Cancel),
        order.clone().prop_map(Act::Delay),
        order.clone().prop_map(Act::Keep),
        (order.clone(), 1..5_u64).prop_map(|(order, version)| Act::Pay(order, version)),
        (order, 1..5_u64).prop_map(|(order, version)| Act::Hear(order, version)),
        (0..60_i64).prop_map(Act::Expire),
    ]
}

/// What `pay` tells of an order by that version: refusals, a payment, and that it was given back. Order 4 is closed
/// before anything was paid.
const fn said(order: u64, version: u64) -> PayStatus {
    let paid_at = order % 4;
    if version < paid_at {
        PayStatus::PaymentDeclined
    } else if version == paid_at {
        PayStatus::Paid
    } else {
        PayStatus::PaymentCanceled
    }
}

fn perform(orders: &Orders, act: &Act) {
    match act {
        Act::Take { order, breaker_open } => {
            orders.ports.open.set(*breaker_open);
            drop(orders.try_take(&applying(*order)));
        }
        Act::Cancel(order) => drop(orders.cancel_it(*order)),
        Act::Delay(order) => drop(orders.delay_it(*order)),
        Act::Keep(number) => {
            let payable = |stored: &Stored| {
                matches!(domain::pay_again(&stored.order, stored.payment.status), Ok(domain::PayAgain::Ask))
            };
            if block_on(orders.find(order(*number))).is_ok_and(|stored| payable(&stored)) {
                orders.keep(*number, "5555", NOW);
            }
        }
        Act::Pay(order, version) => orders.hear(*order, said(*order, *version), *version),
        Act::Hear(order, version) => {
            let facts = [fact(*order, said(*order, *version), *version)];
            block_on(store::hear_news(orders.storage(), &facts)).unwrap();
        }
        Act::Expire(minutes) => drop(orders.expire_at(NOW.plus_minutes(*minutes))),
    }
}

/// The orders as their events say, against the rows that the same statements wrote.
fn check_lists(orders: &Orders) {
    let mut folded: BTreeMap<String, Stored> = BTreeMap::new();
    let events = "SELECT subject, version, type, data FROM projection ORDER BY position";
    for row in orders.storage().run(events, &[]).unwrap() {
        let (subject, event) = (row.text("subject").unwrap().to_owned(), journal::history(&row).unwrap());
        let stored = match event {
            Event::Ordered(ordered) => Stored::new(domain::Order::of(&ordered), None),
            event => folded.remove(&subject).unwrap().and(&event),
        };
        assert_eq!(stored.version, row.count("version").unwrap());
        folded.insert(subject, stored);
    }
    for (subject, folded) in &folded {
        let stored = block_on(orders.find(subject.parse().unwrap())).unwrap();
        assert_eq!((&stored.order, stored.version), (&folded.order, folded.version), "order {subject}");
        if stored.payment.version == 0 {
            assert_eq!(stored.payment.status, folded.payment.status, "order {subject}");
        }
    }
    assert_eq!(orders.number("SELECT count(*) FROM orders"), folded.len() as i64);
    let tallies = "SELECT count(*) FROM (SELECT edu_no, status, orders FROM tallies WHERE orders <> 0
        EXCEPT SELECT edu_no, status, count(*) FROM orders GROUP BY 1, 2)";
    assert_eq!(orders.number(tallies), 0);
    let kept = "SELECT count(*) FROM retries JOIN orders USING (order_id)
        WHERE status <> 'Ordered' OR pay_status = 'Paid'";
    assert_eq!(orders.number(kept), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, and whatever another does in between: the rows are the fold of the events, made again they are
    /// the same, a card is kept only for what may still be paid, and what pay said last is what is shown.
    #[test]
    fn the_tables_always_say_what_the_events_say(
        acts in prop::collection::vec((act(), prop::option::of(act())), 1..25),
    ) {
        let orders = Orders::new();
        for (act, other) in acts {
            if let Some(other) = other {
                orders.meanwhile(move |orders| perform(orders, &other));
            }
            perform(&orders, &act);
            orders.storage().nothing_meanwhile();
        }
        check_lists(&orders);
        orders.run("DELETE FROM tallies WHERE orders = 0");
        let [before, after] = orders.project_again();
        prop_assert_eq!(before, after);
    }
}
