//! How what the contexts tell becomes one row per order: pure, and in whatever order it is told.
//!
//! Events come late, twice and out of order, and still have to end as the same row. So a row is not changed by
//! events but *joined* with what each of them says: [`Information::of`] makes a row from a single event and
//! [`Information::join`] takes of each fact the version that is newer. Joining is commutative, associative and
//! idempotent (a join-semilattice), which is all there is to "eventually consistent". The store's `UPSERT`
//! is the same join in SQL; `store.rs` tests the two against each other.

use kernel::event::{Applicant, Event};
use kernel::{CourseStatus, OrderId, OrderStatus, PayStatus, ReservationStatus, Timestamp, Won};
use std::collections::BTreeMap;

/// A fact as its context told it last: the context's version for the order, and the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told<T> {
    /// Versions are counted from 1.
    pub(crate) version: u64,
    /// What holds since that version.
    pub(crate) value: T,
}

/// The newer of two, if there is any.
fn newer<T>(one: Option<Told<T>>, other: Option<Told<T>>) -> Option<Told<T>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.version > one.version { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Where a seat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Its status.
    pub(crate) status: ReservationStatus,
    /// The place in line, while waitlisted.
    pub(crate) waiting_position: Option<u64>,
}

/// What is known about one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Information {
    /// Who applied for what; every event about the order carries the same.
    pub(crate) applicant: Applicant,
    /// The course's title when the order was taken, for as long as the course itself has not been heard of.
    pub(crate) course_title: Option<String>,
    /// What the order costs.
    pub(crate) amount: Option<Won>,
    /// What `order` told last.
    pub(crate) order: Option<Told<OrderStatus>>,
    /// Whether `order` ever told that the payment is delayed.
    pub(crate) payment_delayed: bool,
    /// What `pay` told last.
    pub(crate) pay: Option<Told<PayStatus>>,
    /// What `reservation` told last.
    pub(crate) seat: Option<Told<Seat>>,
    /// When the latest of the events happened.
    pub(crate) updated_at: Timestamp,
}

impl Information {
    /// What a single event says; none for the events of a course.
    pub(crate) fn of(version: u64, time: Timestamp, event: &Event) -> Option<Self> {
        let mut row = Self {
            applicant: event.applicant()?.clone(),
            course_title: None,
            amount: None,
            order: None,
            payment_delayed: false,
            pay: None,
            seat: None,
            updated_at: time,
        };
        match event {
            Event::Ordered(ordered) => {
                row.course_title = Some(ordered.course_title.clone());
                row.amount = Some(ordered.amount);
            }
            Event::PaymentDelayed(_) => row.payment_delayed = true,
            _ => {}
        }
        match change(event)? {
            Change::Order(value) => row.order = Some(Told { version, value }),
            Change::Pay(value) => row.pay = Some(Told { version, value }),
            Change::Seat(value) => row.seat = Some(Told { version, value }),
        }
        Some(row)
    }

    /// What both say together, in whichever order they are asked.
    #[must_use]
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            applicant: self.applicant,
            course_title: self.course_title.or(other.course_title),
            amount: self.amount.or(other.amount),
            order: newer(self.order, other.order),
            payment_delayed: self.payment_delayed || other.payment_delayed,
            pay: newer(self.pay, other.pay),
            seat: newer(self.seat, other.seat),
            updated_at: self.updated_at.max(other.updated_at),
        }
    }

    /// Where the payment stands: what `pay` says, and only until it says anything, that `order` could not
    /// reach it in time. For an answer that came too late is still an answer.
    pub(crate) fn pay_status(&self) -> Option<PayStatus> {
        let delayed = self.payment_delayed.then_some(PayStatus::PaymentDelayed);
        self.pay.map(|told| told.value).or(delayed)
    }
}

/// Joins the rows of a batch by order, so that the store is told once about each.
pub(crate) fn by_order(rows: impl IntoIterator<Item = Information>) -> Vec<Information> {
    let mut orders: BTreeMap<OrderId, Information> = BTreeMap::new();
    for row in rows {
        let joined = match orders.remove(&row.applicant.order_id) {
            Some(known) => known.join(row),
            None => row,
        };
        orders.insert(joined.applicant.order_id, joined);
    }
    orders.into_values().collect()
}

/// What an event says about one of the three statuses of an order.
enum Change {
    Order(OrderStatus),
    Pay(PayStatus),
    Seat(Seat),
}

/// What an event changes. A function of the event alone: none needs the one before it to be understood.
fn change(event: &Event) -> Option<Change> {
    let seat = |status| Change::Seat(Seat { status, waiting_position: None });
    Some(match event {
        Event::Ordered(_) | Event::PaymentDelayed(_) => Change::Order(OrderStatus::Ordered),
        Event::OrderCanceled(_) => Change::Order(OrderStatus::OrderCanceled),
        Event::Paid(_) => Change::Pay(PayStatus::Paid),
        Event::PaymentDeclined(_) => Change::Pay(PayStatus::PaymentDeclined),
        Event::PaymentCanceled(_) => Change::Pay(PayStatus::PaymentCanceled),
        Event::Reserved(reserved) => {
            Change::Seat(Seat { status: reserved.status, waiting_position: reserved.waiting_position })
        }
        Event::ReservationConfirmed(_) => seat(ReservationStatus::ReservationConfirmed),
        Event::ReservationRejected(_) => seat(ReservationStatus::ReservationRejected),
        Event::ReservationCanceled(_) => seat(ReservationStatus::ReservationCanceled),
        Event::CourseOpened(_)
        | Event::CourseChanged(_)
        | Event::CourseStarted(_)
        | Event::CourseFinished(_)
        | Event::CourseCanceled(_) => return None,
    })
}

/// The status that an event brought about, as the timeline shows it; none for the events of a course.
pub(crate) fn status_told(event: &Event) -> Option<&'static str> {
    if let Event::PaymentDelayed(_) = event {
        return Some(PayStatus::PaymentDelayed.as_str());
    }
    Some(match change(event)? {
        Change::Order(status) => status.as_str(),
        Change::Pay(status) => status.as_str(),
        Change::Seat(seat) => seat.status.as_str(),
    })
}

/// The four statuses that a reader of an order sees, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statuses {
    /// Of the order.
    pub(crate) order: Option<OrderStatus>,
    /// Of its payment.
    pub(crate) pay: Option<PayStatus>,
    /// Of its seat.
    pub(crate) reservation: Option<ReservationStatus>,
    /// Of its course.
    pub(crate) course: Option<CourseStatus>,
}

impl Statuses {
    /// Whether nothing will change any more: the order is canceled and its money and seat are given back, or
    /// the course that it had a seat in is over.
    pub(crate) fn are_final(self) -> bool {
        let given_back = self.order == Some(OrderStatus::OrderCanceled)
            && self.pay == Some(PayStatus::PaymentCanceled)
            && matches!(
                self.reservation,
                Some(ReservationStatus::ReservationCanceled | ReservationStatus::ReservationRejected)
            );
        let attended = self.course == Some(CourseStatus::Finished)
            && self.reservation == Some(ReservationStatus::ReservationConfirmed);
        given_back || attended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, history};
    use proptest::prelude::*;

    fn fold(events: &[(u64, i64, Event)]) -> Information {
        let rows = events.iter().filter_map(|(version, time, event)| {
            Information::of(*version, Timestamp::from_millis(*time), event)
        });
        let mut joined = by_order(rows);
        assert_eq!(joined.len(), 1);
        joined.remove(0)
    }

    proptest! {
        #[test]
        fn any_order_of_any_number_of_copies_folds_to_the_same_row(events in samples::disorder()) {
            let told: Vec<_> = samples::in_order(&events);
            prop_assert_eq!(fold(&events), fold(&told));
        }

        #[test]
        fn it_does_not_matter_where_a_history_is_cut_into_batches(events in samples::disorder(), cut in 0..20_usize) {
            let (first, second) = events.split_at(cut.min(events.len() - 1).max(1));
            let whole = fold(&events);
            if !second.is_empty() {
                prop_assert_eq!(fold(first).join(fold(second)), whole.clone());
                prop_assert_eq!(fold(second).join(fold(first)), whole.clone());
            }
            prop_assert_eq!(whole.clone().join(whole.clone()), whole);
        }
    }

    #[test]
    fn a_history_folds_to_its_last_statuses() {
        let row = fold(&history());
        assert_eq!(row.order.unwrap().value, OrderStatus::OrderCanceled);
        assert_eq!(row.pay_status(), Some(PayStatus::PaymentCanceled));
        assert_eq!(row.seat.unwrap().value.status, ReservationStatus::ReservationCanceled);
        assert_eq!(row.amount.unwrap().get(), 50_000);
    }

    #[test]
    fn a_delay_is_shown_until_pay_says_anything_even_when_it_is_told_last() {
        let [ordered, delayed, paid] = [0, 1, 3].map(|n| history()[n].clone());
        assert_eq!(paid.2.name(), "Paid");
        assert_eq!(fold(std::slice::from_ref(&ordered)).pay_status(), None);
        assert_eq!(fold(&[delayed.clone(), ordered.clone()]).pay_status(), Some(PayStatus::PaymentDelayed));
        assert_eq!(fold(&[ordered, paid, delayed]).pay_status(), Some(PayStatus::Paid));
    }

    #[test]
    fn the_place_in_line_is_forgotten_with_the_seat_that_ends_the_wait() {
        let events = history();
        let waiting = events.iter().find(|(_, _, event)| event.name() == "Reserved").unwrap();
        assert_eq!(fold(std::slice::from_ref(waiting)).seat.unwrap().value.waiting_position, Some(4));
        assert_eq!(fold(&events).seat.unwrap().value.waiting_position, None);
    }

    #[test]
    fn nothing_is_final_while_something_may_still_be_given_back() {
        let canceled = Statuses {
            order: Some(OrderStatus::OrderCanceled),
            pay: Some(PayStatus::PaymentCanceled),
            reservation: Some(ReservationStatus::ReservationCanceled),
            course: Some(CourseStatus::Open),
        };
        assert!(canceled.are_final());
        assert!(!Statuses { pay: Some(PayStatus::Paid), ..canceled }.are_final());
        assert!(!Statuses { reservation: None, ..canceled }.are_final());
        let attended = Statuses {
            order: Some(OrderStatus::Ordered),
            pay: Some(PayStatus::Paid),
            reservation: Some(ReservationStatus::ReservationConfirmed),
            course: Some(CourseStatus::Finished),
        };
        assert!(attended.are_final());
        assert!(!Statuses { course: Some(CourseStatus::Started), ..attended }.are_final());
    }

    #[test]
    fn the_timeline_shows_a_delay_as_what_became_of_the_payment() {
        let told: Vec<_> = history().iter().map(|(_, _, event)| status_told(event).unwrap()).collect();
        assert_eq!(told[..4], ["Ordered", "Payment Delayed", "Payment Declined", "Paid"]);
    }

    #[test]
    fn a_rejected_order_is_final_once_it_is_canceled_and_an_undecided_one_is_not() {
        let rejected = Statuses {
            order: Some(OrderStatus::OrderCanceled),
            pay: Some(PayStatus::PaymentCanceled),
            reservation: Some(ReservationStatus::ReservationRejected),
            course: Some(CourseStatus::Finished),
        };
        assert!(rejected.are_final());
        assert!(!Statuses { order: Some(OrderStatus::Ordered), ..rejected }.are_final());
        let undecided = Statuses {
            order: Some(OrderStatus::Ordered),
            pay: Some(PayStatus::Paid),
            reservation: Some(ReservationStatus::ReservationRequested),
            ..rejected
        };
        assert!(!undecided.are_final());
    }

    #[test]
    fn disorder_is_out_of_order_and_has_copies() {
        use proptest::{strategy::ValueTree, test_runner::TestRunner};
        let mut runner = TestRunner::deterministic();
        let told: Vec<_> =
            (0..20).map(|_| samples::disorder().new_tree(&mut runner).unwrap().current()).collect();
        assert!(told.iter().any(|events| !events.is_sorted_by_key(|(_, time, _)| *time)));
        assert!(told.iter().any(|events| events.len() > samples::in_order(events).len()));
    }
}
