use super::*;
use serde_json::{Value, json};

fn known(order: [Value; 2], told: [Value; 3], events: &[&str]) -> Known {
    let [status, pay] = order;
    let [order_status, pay_status, reservation_status] = told;
    let timeline: Vec<_> = events
        .iter()
        .map(|event| json!({ "event": event, "status": "", "time": "2026-11-22T00:00:00Z" }))
        .collect();
    let order = json!({ "orderId": 1, "eduNo": 2, "courseTitle": "t", "guest": 1, "status": status, "payStatus": pay,
        "cardLast4": null, "amount": 5000, "orderedAt": "2026-11-22T00:00:00Z" });
    let infomation = json!({ "orderId": 1, "eduNo": 2, "courseTitle": "t", "guest": 1, "amount": 5000,
        "orderStatus": order_status, "payStatus": pay_status, "reservationStatus": reservation_status,
        "courseStatus": null, "waitingPosition": 3, "updatedAt": "2026-11-22T00:00:00Z", "timeline": timeline });
    Known {
        order: serde_json::from_value(order).unwrap(),
        infomation: serde_json::from_value(infomation).unwrap(),
        ..Known::default()
    }
}

#[test]
fn a_stage_follows_from_whichever_context_knows_more() {
    let n = Value::Null;
    let check = |order: [&str; 2], told: [&str; 3], events: &[&str], stage: Stage| {
        let word = |word: &str| if word.is_empty() { n.clone() } else { json!(word) };
        let known = known(order.map(word), told.map(word), events);
        assert_eq!(known.stage(), stage, "{order:?} {told:?}");
    };
    check(["Ordered", ""], ["", "", ""], &[], Stage::Settling);
    check(["Ordered", "Payment Delayed"], ["", "", ""], &[], Stage::Delayed);
    check(["Ordered", "Payment Declined"], ["Ordered", "Payment Delayed", ""], &[], Stage::Declined);
    check(["Ordered", "Paid"], ["Ordered", "", ""], &[], Stage::Paid);
    check(["Ordered", "Paid"], ["Ordered", "Payment Declined", ""], &[], Stage::Paid);
    check(["Ordered", "Payment Delayed"], ["Ordered", "Paid", "Waitlisted"], &[], Stage::Waiting(Some(3)));
    check(["Ordered", "Paid"], ["Ordered", "Paid", "Reservation Requested"], &[], Stage::Requested);
    check(["Ordered", "Paid"], ["Ordered", "Paid", "Reservation Confirmed"], &[], Stage::Confirmed);
    let ended = |reason, money| Stage::Ended(reason, money);
    check(["Order Canceled", ""], ["Ordered", "", ""], &[], ended(Reason::Canceled, Money::None));
    check(
        ["Order Canceled", "Paid"],
        ["Ordered", "Paid", "Reservation Confirmed"],
        &["Paid"],
        ended(Reason::Customer, Money::OnItsWay),
    );
    check(
        ["Order Canceled", "Payment Canceled"],
        ["Order Canceled", "Payment Canceled", "Reservation Rejected"],
        &["Paid"],
        ended(Reason::Rejected, Money::GivenBack),
    );
    check(
        ["Order Canceled", "Payment Canceled"],
        ["Order Canceled", "Payment Canceled", ""],
        &[],
        ended(Reason::Canceled, Money::None),
    );
}

#[test]
fn an_order_says_itself_why_it_has_ended() {
    let word = |word: &str| json!(word);
    let ended = |reason: Option<CancelReason>, told: [&str; 3]| {
        let mut known = known(["Order Canceled", "Payment Canceled"].map(word), told.map(word), &[]);
        if let Some(order) = &mut known.order {
            order.cancel_reason = reason;
        }
        known.stage()
    };
    let unpaid = ["Order Canceled", "Payment Canceled", "Reservation Canceled"];
    let rejected = ["Ordered", "Paid", "Reservation Rejected"];
    for (reason, told, shown) in [
        (None, unpaid, Reason::Canceled),
        (Some(CancelReason::Customer), unpaid, Reason::Customer),
        (Some(CancelReason::Expired), unpaid, Reason::Expired),
        (Some(CancelReason::CourseCanceled), unpaid, Reason::CourseCanceled),
        (Some(CancelReason::ReservationRejected), unpaid, Reason::Rejected),
        (None, rejected, Reason::Rejected),
        (Some(CancelReason::Customer), rejected, Reason::Customer),
    ] {
        assert_eq!(ended(reason, told), Stage::Ended(shown, Money::None), "{reason:?} {told:?}");
    }
    let t = Messages(Language::En);
    let says = |reason| Stage::Ended(reason, Money::None).sentence(t, "");
    assert_eq!(says(Reason::Expired), "It was not paid in time, so it was canceled. Nothing was charged.");
    assert_eq!(says(Reason::Customer), "We canceled your application as you asked. Nothing was charged.");
}

#[test]
fn what_is_being_given_back_is_not_over() {
    assert!(!Stage::Ended(Reason::Customer, Money::OnItsWay).is_over());
    assert!(Stage::Ended(Reason::Customer, Money::GivenBack).is_over());
    assert!(Stage::Attended.is_over() && !Stage::Confirmed.is_over());
}

#[test]
fn an_application_moves_until_its_history_is_complete() {
    let n = Value::Null;
    let order = ["Order Canceled", "Payment Declined"].map(|word| json!(word));
    let behind = known(order.clone(), [json!("Ordered"), json!("Payment Declined"), n.clone()], &[]);
    let caught_up = known(order, [json!("Order Canceled"), json!("Payment Canceled"), n], &[]);
    assert!(behind.stage().is_over() && !behind.is_over());
    assert!(caught_up.is_over());
}

#[test]
fn a_history_gives_back_only_what_was_there() {
    let n = || Value::Null;
    let history_of = |events: &[&str]| {
        let known = known([json!("Ordered"), n()], [n(), n(), n()], events);
        let timeline = known.infomation.unwrap().timeline;
        history(&timeline).map(|happening| happening.event.clone()).collect::<Vec<_>>()
    };
    let ends = ["OrderCanceled", "ReservationCanceled", "PaymentCanceled"];
    let unpaid = history_of(&[&["Ordered", "PaymentDeclined"][..], &ends].concat());
    assert_eq!(unpaid, ["OrderCanceled", "PaymentDeclined", "Ordered"]);
    let paid = history_of(&[&["Ordered", "Paid", "Reserved"][..], &ends].concat());
    assert_eq!(paid.len(), 6);
}

#[test]
fn a_step_is_where_the_application_stands() {
    let t = Messages(Language::Ko);
    let word = |word: &str| json!(word);
    let states = |known: &Known| steps(known, t).into_iter().map(|step| step.state).collect::<Vec<_>>();
    let waiting = known(["Ordered", "Paid"].map(word), ["Ordered", "Paid", "Waitlisted"].map(word), &[]);
    assert_eq!(states(&waiting), ["done", "done", "now", "todo"]);
    let declined =
        known(["Ordered", "Payment Declined"].map(word), [Value::Null, Value::Null, Value::Null], &[]);
    assert_eq!(states(&declined), ["done", "bad", "todo", "todo"]);
    let canceled =
        known(["Order Canceled", "Payment Declined"].map(word), [Value::Null, Value::Null, Value::Null], &[]);
    assert!(states(&canceled).is_empty());
}
