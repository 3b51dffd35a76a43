//! Where an application stands, told by all that is known about it: pure.
//!
//! Each context knows its own part first, and the view all of it a moment later. What is further on is taken.

use crate::documents::{Course, Happening, Infomation, Order, Reservation};
use crate::messages::Messages;
use kernel::event::CancelReason;
use kernel::{CourseStatus, EduNo, Language, OrderId, OrderStatus, PayStatus, ReservationStatus, Timestamp};

/// Where an application stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Taken, and it is not known yet whether it is paid.
    Settling,
    /// The payment is tried again by itself.
    Delayed,
    /// The card was declined.
    Declined,
    /// Paid; the seat is not there yet.
    Paid,
    /// The manager has to confirm.
    Requested,
    /// On the waiting list, at a place that may not be known.
    Waiting(Option<u64>),
    Confirmed,
    /// The course has begun.
    Attending,
    /// The course is over.
    Attended,
    Ended(Reason, Money),
}

/// Why an application has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// By the customer.
    Customer,
    /// It was not paid in time.
    Expired,
    /// One of these two: `order` knows which, and is away.
    Canceled,
    /// By the manager, or because no seat became free.
    Rejected,
    CourseCanceled,
}

/// What became of the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Money {
    /// There was none.
    None,
    /// Paid, and not given back yet.
    OnItsWay,
    GivenBack,
}

/// All that is known about one application.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) order: Option<Order>,
    pub(crate) infomation: Option<Infomation>,
    pub(crate) reservation: Option<Reservation>,
    pub(crate) course: Option<Course>,
}

impl Known {
    pub(crate) fn order_status(&self) -> OrderStatus {
        let told = self.infomation.as_ref().and_then(|it| it.order_status);
        let own = self.order.as_ref().map(|order| order.status);
        let is_canceled = [told, own].contains(&Some(OrderStatus::OrderCanceled));
        if is_canceled { OrderStatus::OrderCanceled } else { OrderStatus::Ordered }
    }

    pub(crate) fn pay_status(&self) -> Option<PayStatus> {
        let told = self.infomation.as_ref().and_then(|it| it.pay_status);
        let own = self.order.as_ref().and_then(|order| order.pay_status);
        let far = |status: Option<PayStatus>| match status {
            None => 0,
            Some(PayStatus::PaymentDelayed | PayStatus::PaymentDeclined) => 1,
            Some(PayStatus::Paid) => 2,
            Some(PayStatus::PaymentCanceled) => 3,
        };
        if far(told) > far(own) { told } else { own }
    }

    pub(crate) fn reservation_status(&self) -> Option<ReservationStatus> {
        let own = self.reservation.as_ref().map(|it| it.status);
        own.or_else(|| self.infomation.as_ref().and_then(|it| it.reservation_status))
    }

    fn course_status(&self) -> Option<CourseStatus> {
        let own = self.course.as_ref().map(|course| course.status);
        own.or_else(|| self.infomation.as_ref().and_then(|it| it.course_status))
    }

    fn waiting_position(&self) -> Option<u64> {
        let own = self.reservation.as_ref().and_then(|it| it.waiting_position);
        own.or_else(|| self.infomation.as_ref().and_then(|it| it.waiting_position))
    }

    pub(crate) fn order_id(&self) -> Option<OrderId> {
        self.order.as_ref().map(|it| it.order_id).or_else(|| self.infomation.as_ref().map(|it| it.order_id))
    }

    pub(crate) fn edu_no(&self) -> Option<EduNo> {
        self.order.as_ref().map(|it| it.edu_no).or_else(|| self.infomation.as_ref().map(|it| it.edu_no))
    }

    /// The course's present title, else the one it was applied for under.
    pub(crate) fn title(&self) -> &str {
        let course = self.course.as_ref().map(|course| course.title.as_str());
        let told = || self.infomation.as_ref().and_then(|it| it.course_title.as_deref());
        let own = || self.order.as_ref().map(|order| order.course_title.as_str());
        course.or_else(told).or_else(own).unwrap_or_default()
    }

    pub(crate) fn guest(&self) -> u64 {
        let own = self.order.as_ref().map(|order| order.guest);
        own.or_else(|| self.infomation.as_ref().map(|it| it.guest)).unwrap_or(1)
    }

    pub(crate) fn amount(&self) -> Option<u64> {
        let own = self.order.as_ref().map(|order| order.amount);
        own.or_else(|| self.infomation.as_ref().and_then(|it| it.amount))
    }

    /// Whether money was taken for it.
    pub(crate) fn was_paid(&self) -> bool {
        let told = |it: &Infomation| it.timeline.iter().any(|happening| happening.event == "Paid");
        let is_free = self.amount() == Some(0);
        let paid = self.pay_status() == Some(PayStatus::Paid) || self.infomation.as_ref().is_some_and(told);
        paid && !is_free
    }

    /// Whether nothing of it moves any more, and the view, which has the history, says so too.
    pub(crate) fn is_over(&self) -> bool {
        let told = Self { infomation: self.infomation.clone(), ..Self::default() };
        self.stage().is_over() && told.stage().is_over()
    }

    pub(crate) fn stage(&self) -> Stage {
        if self.order_status() == OrderStatus::OrderCanceled {
            return Stage::Ended(self.reason(), self.money());
        }
        match (self.pay_status(), self.reservation_status()) {
            (_, Some(ReservationStatus::ReservationRejected | ReservationStatus::ReservationCanceled)) => {
                Stage::Ended(self.reason(), self.money())
            }
            (_, Some(ReservationStatus::ReservationRequested)) => Stage::Requested,
            (_, Some(ReservationStatus::Waitlisted)) => Stage::Waiting(self.waiting_position()),
            (_, Some(ReservationStatus::ReservationConfirmed)) => match self.course_status() {
                Some(CourseStatus::Started) => Stage::Attending,
                Some(CourseStatus::Finished) => Stage::Attended,
                Some(CourseStatus::CourseCanceled) => Stage::Ended(Reason::CourseCanceled, self.money()),
                Some(CourseStatus::Open) | None => Stage::Confirmed,
            },
            (Some(PayStatus::Paid), None) => Stage::Paid,
            (Some(PayStatus::PaymentDeclined), None) => Stage::Declined,
            (Some(PayStatus::PaymentDelayed), None) => Stage::Delayed,
            (Some(PayStatus::PaymentCanceled), None) => Stage::Ended(self.reason(), self.money()),
            (None, None) => Stage::Settling,
        }
    }

    /// As the order says, else as it is to be seen from the rest.
    fn reason(&self) -> Reason {
        match self.order.as_ref().and_then(|order| order.cancel_reason) {
            Some(CancelReason::Customer) => return Reason::Customer,
            Some(CancelReason::Expired) => return Reason::Expired,
            Some(CancelReason::ReservationRejected) => return Reason::Rejected,
            Some(CancelReason::CourseCanceled) => return Reason::CourseCanceled,
            None => {}
        }
        match (self.course_status(), self.reservation_status()) {
            (Some(CourseStatus::CourseCanceled), _) => Reason::CourseCanceled,
            (_, Some(ReservationStatus::ReservationRejected)) => Reason::Rejected,
            // What was paid does not run out of time.
            _ if self.was_paid() => Reason::Customer,
            _ => Reason::Canceled,
        }
    }

    fn money(&self) -> Money {
        match (self.was_paid(), self.pay_status()) {
            (true, Some(PayStatus::PaymentCanceled)) => Money::GivenBack,
            (true, _) => Money::OnItsWay,
            (false, _) => Money::None,
        }
    }
}

/// How a stage looks: the class of its colour and its icon.
pub(crate) type Look = (&'static str, &'static str);

impl Stage {
    pub(crate) const fn look(self) -> Look {
        match self {
            Self::Settling | Self::Paid => ("busy", "clock"),
            Self::Delayed => ("warn", "clock"),
            Self::Declined => ("bad", "card"),
            Self::Requested | Self::Waiting(_) => ("busy", "people"),
            Self::Confirmed | Self::Attending | Self::Attended => ("good", "check"),
            Self::Ended(_, Money::OnItsWay) => ("busy", "refund"),
            Self::Ended(..) => ("over", "cross"),
        }
    }

    pub(crate) fn word(self, t: Messages) -> &'static str {
        match self {
            Self::Settling => t.stage_settling(),
            Self::Delayed => t.stage_delayed(),
            Self::Declined => t.stage_declined(),
            Self::Paid => t.stage_paid(),
            Self::Requested => t.stage_requested(),
            Self::Waiting(_) => t.stage_waiting(),
            Self::Confirmed => t.stage_confirmed(),
            Self::Attending => t.stage_attending(),
            Self::Attended => t.stage_attended(),
            Self::Ended(Reason::Customer | Reason::Expired | Reason::Canceled, _) => t.stage_canceled(),
            Self::Ended(Reason::Rejected, _) => t.stage_rejected(),
            Self::Ended(Reason::CourseCanceled, _) => t.stage_course_canceled(),
        }
    }

    /// What that means, and what comes next.
    pub(crate) fn sentence(self, t: Messages, due: &str) -> String {
        match self {
            Self::Settling => t.next_settling().to_owned(),
            Self::Delayed => t.next_delayed(due),
            Self::Declined => t.next_declined(due),
            Self::Paid => t.next_paid().to_owned(),
            Self::Requested => t.next_requested().to_owned(),
            Self::Waiting(Some(position)) => t.next_waiting(position),
            Self::Waiting(None) => t.next_waiting_unknown().to_owned(),
            Self::Confirmed => t.next_confirmed().to_owned(),
            Self::Attending => t.next_attending().to_owned(),
            Self::Attended => t.next_attended().to_owned(),
            Self::Ended(reason, money) => {
                let why = match reason {
                    Reason::Customer => t.next_canceled(),
                    Reason::Expired => t.next_expired(),
                    Reason::Canceled => t.next_canceled_unpaid(),
                    Reason::Rejected => t.next_rejected(),
                    Reason::CourseCanceled => t.next_course_canceled(),
                };
                let and = match money {
                    Money::None => t.money_none(),
                    Money::OnItsWay => t.money_on_its_way(),
                    Money::GivenBack => t.money_given_back(),
                };
                format!("{why} {and}")
            }
        }
    }

    /// Whether nothing of it moves any more.
    pub(crate) const fn is_over(self) -> bool {
        matches!(self, Self::Ended(_, Money::None | Money::GivenBack) | Self::Attended)
    }
}

/// A step on the way to a seat.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    /// `done`, `now`, `bad` or `todo`: a class, and whether it is the present one.
    pub(crate) state: &'static str,
}

/// The steps of an application, of which one is where it stands. One that has ended is on no way to a seat.
pub(crate) fn steps(known: &Known, t: Messages) -> Vec<Step> {
    let (paid, seat, confirmed) = match known.stage() {
        Stage::Settling | Stage::Delayed => ("now", "todo", "todo"),
        Stage::Declined => ("bad", "todo", "todo"),
        Stage::Paid => ("done", "now", "todo"),
        Stage::Waiting(_) => ("done", "now", "todo"),
        Stage::Requested => ("done", "done", "now"),
        Stage::Confirmed | Stage::Attending | Stage::Attended => ("done", "done", "done"),
        Stage::Ended(..) => return Vec::new(),
    };
    let steps = [
        (t.step_applied(), "done"),
        (t.step_paid(), paid),
        (t.step_seat(), seat),
        (t.step_confirmed(), confirmed),
    ];
    steps.into_iter().map(|(name, state)| Step { name, state }).collect()
}

/// What happened, the latest first. What is only said between contexts is left out: nothing is given back that was never there.
pub(crate) fn history(timeline: &[Happening]) -> impl Iterator<Item = &Happening> {
    let there = |event: &str| timeline.iter().any(|happening| happening.event == event);
    let (was_paid, was_reserved) = (there("Paid"), there("Reserved"));
    timeline.iter().rev().filter(move |happening| match happening.event.as_str() {
        "PaymentCanceled" => was_paid,
        "ReservationCanceled" => was_reserved,
        _ => true,
    })
}

/// What happened, in words.
pub(crate) fn happening(event: &str, status: &str, t: Messages) -> (&'static str, Look) {
    match (event, status) {
        ("Ordered", _) => (t.happened_ordered(), ("good", "check")),
        ("PaymentDelayed", _) => (t.happened_delayed(), ("warn", "clock")),
        ("OrderCanceled", _) => (t.happened_canceled(), ("over", "cross")),
        ("Paid", _) => (t.happened_paid(), ("good", "won")),
        ("PaymentDeclined", _) => (t.happened_declined(), ("bad", "card")),
        ("PaymentCanceled", _) => (t.happened_refunded(), ("good", "refund")),
        ("Reserved", "Waitlisted") => (t.happened_waitlisted(), ("busy", "people")),
        ("Reserved", "Reservation Requested") => (t.happened_requested(), ("busy", "seat")),
        ("Reserved" | "ReservationConfirmed", _) => (t.happened_confirmed(), ("good", "check")),
        ("ReservationRejected", _) => (t.happened_rejected(), ("bad", "cross")),
        ("ReservationCanceled", _) => (t.happened_seat_free(), ("over", "seat")),
        _ => (t.happened_other(), ("busy", "info")),
    }
}

pub(crate) fn course_status(status: CourseStatus, t: Messages) -> &'static str {
    match status {
        CourseStatus::Open => t.course_open(),
        CourseStatus::Started => t.course_started(),
        CourseStatus::Finished => t.course_finished(),
        CourseStatus::CourseCanceled => t.course_canceled(),
    }
}

pub(crate) fn reservation_status(status: ReservationStatus, t: Messages) -> &'static str {
    match status {
        ReservationStatus::ReservationRequested => t.reservation_requested(),
        ReservationStatus::Waitlisted => t.reservation_waitlisted(),
        ReservationStatus::ReservationConfirmed => t.reservation_confirmed(),
        ReservationStatus::ReservationRejected => t.reservation_rejected(),
        ReservationStatus::ReservationCanceled => t.reservation_canceled(),
    }
}

/// What a fee is called: nothing is free of charge.
pub(crate) fn fee(amount: u64, t: Messages) -> String {
    if amount == 0 { t.free().to_owned() } else { crate::format::won(amount, t.0) }
}

/// When an order that is not paid ends.
pub(crate) fn due(ordered_at: Timestamp, minutes: i64, language: Language) -> String {
    crate::format::moment(ordered_at.plus_minutes(minutes), language)
}

#[cfg(test)]
mod tests;
