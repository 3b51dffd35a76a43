//! Events to test with, one of every kind that somebody is written to about, and a channel.

use crate::domain::Attempt;
use crate::ports::{Channel, Outgoing};
use kernel::event::{
    Applicant, CancelReason, Course, DelayReason, Event, OrderCanceled, Ordered, Paid, PaymentCanceled,
    PaymentDeclined, PaymentDelayed, ReservationCanceled, ReservationConfirmed, ReservationRejected,
    Reserved,
};
use kernel::{
    Approval, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, ReservationStatus, Timestamp, Won,
};
use std::cell::{Cell, RefCell};

/// A customer whose phone is always busy.
pub(crate) const BUSY: u64 = 8;

/// A customer whom no message reaches.
pub(crate) const BLOCKED: u64 = 9;

/// A channel that keeps what it was handed, and takes it at second 7.
#[derive(Default)]
pub(crate) struct Phones {
    pub(crate) handed: RefCell<Vec<Outgoing>>,
    pub(crate) sendings: Cell<usize>,
}

impl Channel for Phones {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        self.sendings.set(self.sendings.get() + 1);
        let attempt = |message: &Outgoing| match message.to.parse() {
            Ok(BUSY) => Attempt::Busy("503".to_owned()),
            Ok(BLOCKED) => Attempt::Refused("blocked".to_owned()),
            _ => Attempt::Accepted { at: Timestamp::from_millis(7) },
        };
        let attempts = messages.iter().map(attempt).collect();
        self.handed.borrow_mut().extend(messages);
        attempts
    }
}

impl Phones {
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.handed.borrow().iter().map(|message| message.body.clone()).collect()
    }
}

pub(crate) fn applicant(order_id: u64, language: Language) -> Applicant {
    Applicant {
        order_id: OrderId::parse(order_id).unwrap(),
        customer_id: Some(CustomerId::parse(1).unwrap()),
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::parse(2).unwrap(),
        language,
    }
}

fn won(amount: u64) -> Won {
    Won::amount(amount).unwrap()
}

pub(crate) fn paid(language: Language) -> Event {
    paid_for(applicant(1113, language), 1_250_000)
}

fn paid_for(applicant: Applicant, amount: u64) -> Event {
    Event::Paid(Paid {
        applicant,
        amount: won(amount),
        card_last4: Some("1234".to_owned()),
        transaction_id: None,
        paid_at: Timestamp::from_millis(0),
    })
}

pub(crate) fn course_opened(title: &str) -> Event {
    Event::CourseOpened(Course {
        edu_no: EduNo::parse(101).unwrap(),
        title: title.to_owned(),
        capacity: 10,
        fee: won(625_000),
        approval: Approval::Automatic,
        starts_at: Timestamp::from_millis(0),
        ends_at: Timestamp::from_millis(1),
        status: CourseStatus::Open,
        managers: vec![],
    })
}

/// Every event about order 1113, with every reason and status that changes the words.
pub(crate) fn order_events(language: Language) -> Vec<Event> {
    let applicant = || applicant(1113, language);
    let at = Timestamp::from_millis(0);
    let mut events = vec![
        Event::Ordered(Ordered {
            applicant: applicant(),
            amount: won(1_250_000),
            card_last4: Some("1234".to_owned()),
            course_title: "자바 입문".to_owned(),
            ordered_at: at,
            due_at: None,
        }),
        paid(language),
        paid_for(applicant(), 0),
        Event::PaymentDeclined(PaymentDeclined {
            applicant: applicant(),
            amount: won(1_250_000),
            card_last4: None,
            reason: String::new(),
        }),
        Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant() }),
        Event::ReservationRejected(ReservationRejected {
            applicant: applicant(),
            reason: "선수 과목 미이수".to_owned(),
        }),
    ];
    for reason in
        [DelayReason::Deadline, DelayReason::Unavailable, DelayReason::BreakerOpen, DelayReason::CardMissing]
    {
        events.push(Event::PaymentDelayed(PaymentDelayed { applicant: applicant(), reason, pay_version: 0 }));
    }
    for amount in [0, 1_250_000] {
        let amount = won(amount);
        events.push(Event::PaymentCanceled(PaymentCanceled {
            applicant: applicant(),
            amount,
            refunded_at: at,
        }));
    }
    for (status, waiting_position) in [
        (ReservationStatus::ReservationRequested, None),
        (ReservationStatus::ReservationConfirmed, None),
        (ReservationStatus::Waitlisted, Some(3)),
    ] {
        events.push(Event::Reserved(Reserved {
            applicant: applicant(),
            status,
            waiting_position,
            reserved_at: at,
        }));
    }
    for reason in [
        CancelReason::Customer,
        CancelReason::Expired,
        CancelReason::ReservationRejected,
        CancelReason::CourseCanceled,
    ] {
        events.push(Event::OrderCanceled(OrderCanceled { applicant: applicant(), reason }));
        events.push(Event::ReservationCanceled(ReservationCanceled { applicant: applicant(), reason }));
    }
    events
}
