//! What an event says about an order or a course, and when nothing more can be said: pure.
//!
//! Events come late, twice and out of order, and still have to end as the same row. So a row is not changed by
//! events but *joined* with what each of them says by itself: of each fact the version that is newer stays. Joining is
//! commutative, associative and idempotent (a join-semilattice), which is all there is to "eventually consistent". The
//! join is a trigger of the store's.

use kernel::event::{Event, Manager};
use kernel::{
    CourseStatus, CustomerId, EduNo, Guests, OrderId, OrderStatus, PayStatus, ReservationStatus, Timestamp,
    Won,
};
use serde::Serialize;

/// What a single event says. A function of the event alone: none needs the one before it to be understood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told<'a> {
    /// The context that told it.
    source: &'a str,
    /// That context's count of events about the order or course, from 1.
    version: u64,
    event: &'static str,
    time: Timestamp,
    /// None for the events of a course.
    order_id: Option<OrderId>,
    customer_id: Option<CustomerId>,
    edu_no: Option<EduNo>,
    guest: Option<Guests>,
    title: Option<&'a str>,
    amount: Option<Won>,
    order_status: Option<OrderStatus>,
    pay_status: Option<PayStatus>,
    /// The last of `pay`'s events that `order` had heard of when it told that the payment is delayed.
    delayed_at: Option<u64>,
    reservation_status: Option<ReservationStatus>,
    waiting_position: Option<u64>,
    course_status: Option<CourseStatus>,
    /// Who manages the course; none for the events of an order.
    managers: Option<&'a [Manager]>,
}

impl<'a> Told<'a> {
    /// What the `version`th event that `source` told about its subject says.
    pub(crate) fn of(source: &'a str, version: u64, time: Timestamp, event: &'a Event) -> Self {
        let applicant = event.applicant();
        let mut told = Self {
            source,
            version,
            event: event.name(),
            time,
            order_id: applicant.map(|applicant| applicant.order_id),
            customer_id: applicant.and_then(|applicant| applicant.customer_id),
            edu_no: applicant.map(|applicant| applicant.edu_no),
            guest: applicant.map(|applicant| applicant.guest),
            title: None,
            amount: None,
            order_status: None,
            pay_status: None,
            delayed_at: None,
            reservation_status: None,
            waiting_position: None,
            course_status: None,
            managers: None,
        };
        match event {
            Event::Ordered(ordered) => {
                told.title = Some(&ordered.course_title);
                told.amount = Some(ordered.amount);
                told.order_status = Some(OrderStatus::Ordered);
            }
            Event::PaymentDelayed(delayed) => {
                told.order_status = Some(OrderStatus::Ordered);
                told.pay_status = Some(PayStatus::PaymentDelayed);
                told.delayed_at = Some(delayed.pay_version);
            }
            Event::OrderCanceled(_) => told.order_status = Some(OrderStatus::OrderCanceled),
            Event::Paid(_) => told.pay_status = Some(PayStatus::Paid),
            Event::PaymentDeclined(_) => told.pay_status = Some(PayStatus::PaymentDeclined),
            Event::PaymentCanceled(_) => told.pay_status = Some(PayStatus::PaymentCanceled),
            Event::Reserved(reserved) => {
                told.reservation_status = Some(reserved.status);
                told.waiting_position = reserved.waiting_position;
            }
            Event::ReservationConfirmed(_) => {
                told.reservation_status = Some(ReservationStatus::ReservationConfirmed);
            }
            Event::ReservationRejected(_) => {
                told.reservation_status = Some(ReservationStatus::ReservationRejected);
            }
            Event::ReservationCanceled(_) => {
                told.reservation_status = Some(ReservationStatus::ReservationCanceled);
            }
            Event::CourseOpened(course)
            | Event::CourseChanged(course)
            | Event::CourseStarted(course)
            | Event::CourseFinished(course)
            | Event::CourseCanceled(course) => {
                told.edu_no = Some(course.edu_no);
                told.title = Some(&course.title);
                told.course_status = Some(course.status);
                told.managers = Some(&course.managers);
            }
            // What is known of a member is no status of an order.
            Event::MemberRegistered(_) | Event::MemberChanged(_) | Event::MemberErased(_) => {}
        }
        told
    }
}

/// The four statuses that a reader of an order sees, as far as they are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Statuses {
    #[serde(rename = "orderStatus")]
    pub(crate) order: Option<OrderStatus>,
    #[serde(rename = "payStatus")]
    pub(crate) pay: Option<PayStatus>,
    #[serde(rename = "reservationStatus")]
    pub(crate) reservation: Option<ReservationStatus>,
    #[serde(rename = "courseStatus")]
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
}
