//! Histories to test with.

use kernel::event::{
    Applicant, CancelReason, Course, DelayReason, Event, OrderCanceled, Ordered, Paid, PaymentCanceled,
    PaymentDeclined, PaymentDelayed, ReservationCanceled, ReservationConfirmed, Reserved,
};
use kernel::{
    Approval, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, ReservationStatus, Timestamp, Won,
};
use proptest::prelude::*;

pub(crate) fn applicant(order_id: u64) -> Applicant {
    Applicant {
        order_id: OrderId::parse(order_id).unwrap(),
        customer_id: Some(CustomerId::parse(1 + order_id % 3).unwrap()),
        edu_no: EduNo::parse(101 + order_id % 2).unwrap(),
        guest: Guests::parse(2).unwrap(),
        language: Language::Ko,
    }
}

pub(crate) fn course(edu_no: u64, title: &str, status: CourseStatus) -> Course {
    Course {
        edu_no: EduNo::parse(edu_no).unwrap(),
        title: title.to_owned(),
        capacity: 10,
        fee: Won::fee(25_000).unwrap(),
        approval: Approval::Manual,
        starts_at: Timestamp::from_millis(0),
        ends_at: Timestamp::from_millis(1),
        status,
        managers: vec![],
    }
}

/// Which context tells an event.
pub(crate) fn context(event: &Event) -> &'static str {
    match event.name() {
        "Ordered" | "PaymentDelayed" | "OrderCanceled" => "order",
        "Paid" | "PaymentDeclined" | "PaymentCanceled" => "pay",
        _ => "reservation",
    }
}

/// Everything that can happen to order 1113, as (version, milliseconds, event): delayed, declined, delayed again, paid,
/// waiting, moved up, confirmed, and canceled after all.
pub(crate) fn history() -> Vec<(u64, i64, Event)> {
    history_of(1113)
}

/// The same for another order.
pub(crate) fn history_of(order_id: u64) -> Vec<(u64, i64, Event)> {
    let applicant = || applicant(order_id);
    let at = Timestamp::from_millis;
    let amount = Won::amount(50_000).unwrap();
    let card_last4 = || Some("1234".to_owned());
    vec![
        (
            1,
            10,
            Event::Ordered(Ordered {
                applicant: applicant(),
                amount,
                card_last4: card_last4(),
                course_title: "자바 입문".to_owned(),
                ordered_at: at(10),
                due_at: None,
            }),
        ),
        (2, 20, delayed(applicant(), 0)),
        (
            1,
            30,
            Event::PaymentDeclined(PaymentDeclined {
                applicant: applicant(),
                amount,
                card_last4: card_last4(),
                reason: "declined".to_owned(),
            }),
        ),
        (3, 35, delayed(applicant(), 1)),
        (
            2,
            40,
            Event::Paid(Paid {
                applicant: applicant(),
                amount,
                card_last4: card_last4(),
                transaction_id: None,
                paid_at: at(40),
            }),
        ),
        (1, 50, reserved(applicant(), ReservationStatus::Waitlisted, Some(4), 50)),
        (2, 60, reserved(applicant(), ReservationStatus::ReservationRequested, None, 60)),
        (3, 70, Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant() })),
        (
            4,
            80,
            Event::OrderCanceled(OrderCanceled { applicant: applicant(), reason: CancelReason::Customer }),
        ),
        (
            4,
            90,
            Event::ReservationCanceled(ReservationCanceled {
                applicant: applicant(),
                reason: CancelReason::Customer,
            }),
        ),
        (
            3,
            100,
            Event::PaymentCanceled(PaymentCanceled { applicant: applicant(), amount, refunded_at: at(100) }),
        ),
    ]
}

fn delayed(applicant: Applicant, pay_version: u64) -> Event {
    Event::PaymentDelayed(PaymentDelayed { applicant, reason: DelayReason::Deadline, pay_version })
}

fn reserved(
    applicant: Applicant,
    status: ReservationStatus,
    waiting_position: Option<u64>,
    at: i64,
) -> Event {
    Event::Reserved(Reserved { applicant, status, waiting_position, reserved_at: Timestamp::from_millis(at) })
}

/// The first so many events of the history, each told one to three times, in any order.
pub(crate) fn disorder() -> impl Strategy<Value = Vec<(u64, i64, Event)>> {
    (1..=history().len()).prop_flat_map(|length| {
        prop::collection::vec(1..=3_usize, length)
            .prop_map(|copies| {
                let events = history().into_iter().zip(copies);
                events.flat_map(|(event, copies)| vec![event; copies]).collect::<Vec<_>>()
            })
            .prop_shuffle()
    })
}

/// The same events as they happened: once each, by time.
pub(crate) fn in_order(events: &[(u64, i64, Event)]) -> Vec<(u64, i64, Event)> {
    let mut told = events.to_vec();
    told.sort_by_key(|(_, time, _)| *time);
    told.dedup();
    told
}
