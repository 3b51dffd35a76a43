//! What an order is, and what may happen to it: pure, without clock or store.
//!
//! `order` decides three things: that an order is taken, that its payment is delayed, and that it has ended.
//! Whether it is *paid* is not its to decide: that is `pay`'s fact, of which this context keeps a replica (see `store`)
//! and gives the deciders what they need of it.

mod rate;

pub(crate) use rate::{Client, Rate};

use kernel::event::{Applicant, CancelReason, DelayReason, Event, OrderCanceled, Ordered, PaymentDelayed};
use kernel::{CourseStatus, EduNo, OrderId, OrderStatus, PayStatus, Timestamp, Won};

/// What somebody applies with. The card number itself stays outside of the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Application {
    /// Who, for what, for how many.
    pub(crate) applicant: Applicant,
    /// The last four digits of the card, if there is one.
    pub(crate) card_last4: Option<String>,
}

impl Application {
    /// Whether two applications under one order number are one and the same. The language is not asked: the
    /// same request sent again by another program may name another.
    fn same_content(&self, other: &Self) -> bool {
        self.fingerprint() == other.fingerprint()
    }

    /// The content as one text: two applications are the same if these are. Nothing in it is secret.
    pub(crate) fn fingerprint(&self) -> String {
        let customer = self.applicant.customer_id.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let card = self.card_last4.as_deref().unwrap_or("-");
        format!("{customer}/{}/{}/{card}", self.applicant.edu_no, self.applicant.guest)
    }
}

/// What this context knows of a course, from `reservation`'s events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    pub(crate) title: String,
    /// What one person pays.
    pub(crate) fee: Won,
    /// Where it stands.
    pub(crate) status: CourseStatus,
}

/// An order as its events left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) application: Application,
    pub(crate) amount: Won,
    /// The course's title at that moment.
    pub(crate) course_title: String,
    pub(crate) ordered_at: Timestamp,
    /// Why it has ended, if it has.
    pub(crate) canceled: Option<CancelReason>,
}

impl Order {
    pub(crate) fn of(ordered: &Ordered) -> Self {
        Self {
            application: Application {
                applicant: ordered.applicant.clone(),
                card_last4: ordered.card_last4.clone(),
            },
            amount: ordered.amount,
            course_title: ordered.course_title.clone(),
            ordered_at: ordered.ordered_at,
            canceled: None,
        }
    }

    pub(crate) const fn order_id(&self) -> OrderId {
        self.application.applicant.order_id
    }

    /// Where it stands, as the API spells it.
    pub(crate) const fn status(&self) -> OrderStatus {
        if self.canceled.is_some() { OrderStatus::OrderCanceled } else { OrderStatus::Ordered }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Command<'a> {
    /// A customer applies for a course.
    Apply(Apply<'a>),
    /// `pay` did not settle the payment at once.
    DelayPayment {
        reason: DelayReason,
        /// Where the payment stands, as far as this context knows.
        payment: Option<PayStatus>,
        /// The version of `pay`'s event that says so; 0 before any.
        pay_version: u64,
        /// The same as it was when `pay` was asked.
        asked_at: u64,
    },
    /// The order is to end.
    Cancel {
        reason: CancelReason,
        /// Where the course stands, if this context has heard of it.
        course: Option<CourseStatus>,
        /// Where the payment stands, as far as this context knows.
        payment: Option<PayStatus>,
    },
}

/// What an application is decided from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Apply<'a> {
    pub(crate) application: &'a Application,
    /// The course, if this context has heard of it.
    pub(crate) course: Option<&'a Course>,
    /// Whether `pay` is left alone at the moment.
    pub(crate) breaker_open: bool,
    pub(crate) now: Timestamp,
    /// When the order expires if it is not paid.
    pub(crate) due_at: Timestamp,
}

/// What the domain says no to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no course {0}")]
    UnknownCourse(EduNo),
    #[error("course {0} is {1} and takes no applications")]
    CourseNotOpen(EduNo, CourseStatus),
    /// The number belongs to an order with other content.
    #[error("this order number belongs to an order with other content")]
    ContentDiffers,
    #[error("there is no order with this number")]
    UnknownOrder,
    #[error("the order has ended ({})", .0.as_str())]
    Ended(CancelReason),
    /// The course is over and paid for, and what was taken part in cannot be canceled.
    #[error("the course is over, and it is paid for")]
    CourseFinished,
    /// Only what is not paid expires.
    #[error("the order is paid")]
    Paid,
}

/// What happens when `command` is asked of an order, if there is one: events, none where it is so already, or a refusal.
pub(crate) fn decide(order: Option<&Order>, command: &Command<'_>) -> Result<Vec<Event>, Refusal> {
    match (order, command) {
        (None, Command::Apply(apply)) => take(apply),
        (None, Command::DelayPayment { .. } | Command::Cancel { .. }) => Err(Refusal::UnknownOrder),

        (Some(order), Command::Apply(apply)) if order.application.same_content(apply.application) => {
            Ok(vec![])
        }
        (Some(_), Command::Apply(_)) => Err(Refusal::ContentDiffers),

        (Some(Order { canceled: Some(reason), .. }), Command::DelayPayment { .. }) => {
            Err(Refusal::Ended(*reason))
        }
        // `pay` has answered since it was asked.
        (Some(_), Command::DelayPayment { pay_version, asked_at, .. }) if pay_version > asked_at => {
            Ok(vec![])
        }
        (Some(order), Command::DelayPayment { reason, payment, pay_version, .. }) => match payment {
            // What is so already is not told twice, and what was paid meanwhile is not delayed.
            Some(PayStatus::PaymentDelayed | PayStatus::Paid | PayStatus::PaymentCanceled) => Ok(vec![]),
            None | Some(PayStatus::PaymentDeclined) => {
                Ok(vec![delayed(&order.application.applicant, *reason, *pay_version)])
            }
        },

        (Some(Order { canceled: Some(_), .. }), Command::Cancel { .. }) => Ok(vec![]),
        (Some(_), Command::Cancel { reason: CancelReason::Expired, payment: Some(PayStatus::Paid), .. }) => {
            Err(Refusal::Paid)
        }
        (Some(_), Command::Cancel { reason: CancelReason::Customer, course, payment })
            if !customer_may_cancel(*course, *payment) =>
        {
            Err(Refusal::CourseFinished)
        }
        (Some(order), Command::Cancel { reason, .. }) => {
            let applicant = order.application.applicant.clone();
            Ok(vec![Event::OrderCanceled(OrderCanceled { applicant, reason: *reason })])
        }
    }
}

/// Whether a customer may cancel a living order: until the course is over, and even then where it is not paid, since
/// nobody has taken part who has not paid.
pub(crate) fn customer_may_cancel(course: Option<CourseStatus>, payment: Option<PayStatus>) -> bool {
    course != Some(CourseStatus::Finished) || payment != Some(PayStatus::Paid)
}

fn take(apply: &Apply<'_>) -> Result<Vec<Event>, Refusal> {
    let application = apply.application;
    let applicant = &application.applicant;
    let course = apply.course.ok_or(Refusal::UnknownCourse(applicant.edu_no))?;
    if course.status != CourseStatus::Open {
        return Err(Refusal::CourseNotOpen(applicant.edu_no, course.status));
    }
    let amount = course.fee.times(applicant.guest);
    let ordered = Event::Ordered(Ordered {
        applicant: applicant.clone(),
        amount,
        card_last4: application.card_last4.clone(),
        course_title: course.title.clone(),
        ordered_at: apply.now,
        due_at: Some(apply.due_at),
    });
    let card_missing = application.card_last4.is_none() && !amount.is_zero();
    Ok(match (card_missing, apply.breaker_open) {
        (true, _) => vec![ordered, delayed(applicant, DelayReason::CardMissing, 0)],
        (false, true) => vec![ordered, delayed(applicant, DelayReason::BreakerOpen, 0)],
        (false, false) => vec![ordered],
    })
}

fn delayed(applicant: &Applicant, reason: DelayReason, pay_version: u64) -> Event {
    Event::PaymentDelayed(PaymentDelayed { applicant: applicant.clone(), reason, pay_version })
}

/// What paying for an order now comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayAgain {
    /// `pay` is to be asked.
    Ask,
    /// It is paid: nothing to do.
    AlreadyPaid,
}

/// Whether an order may be paid for (again, or at last).
pub(crate) fn pay_again(order: &Order, payment: Option<PayStatus>) -> Result<PayAgain, Refusal> {
    match (order.canceled, payment) {
        (Some(reason), _) => Err(Refusal::Ended(reason)),
        (None, Some(PayStatus::Paid)) => Ok(PayAgain::AlreadyPaid),
        (None, _) => Ok(PayAgain::Ask),
    }
}

/// An order after another of its events. That its payment is delayed changes nothing about the order itself.
pub(crate) fn evolve(order: Order, event: &Event) -> Order {
    match event {
        Event::OrderCanceled(canceled) => Order { canceled: Some(canceled.reason), ..order },
        _ => order,
    }
}

#[cfg(test)]
pub(crate) mod tests;
