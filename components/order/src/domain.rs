//! What an order is, and what may happen to it: pure, without clock or store.
//!
//! `order` decides three things: that an order is taken, that its payment is delayed, and that it has ended.
//! Whether it is *paid* is not its to decide: that is `pay`'s fact, of which this context keeps a replica
//! (see `store`) and gives the deciders what they need of it.

use kernel::event::{Applicant, CancelReason, DelayReason, Event, OrderCanceled, Ordered, PaymentDelayed};
use kernel::{CourseStatus, EduNo, OrderStatus, PayStatus, Timestamp, Won};

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
    /// What it is called.
    pub(crate) title: String,
    /// What one person pays.
    pub(crate) fee: Won,
    /// Where it stands.
    pub(crate) status: CourseStatus,
}

/// An order as its events left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Nobody has applied under this number.
    #[default]
    Unknown,
    /// Applied for, and alive.
    Living(Placed),
    /// Ended.
    Canceled(Placed, CancelReason),
}

/// What stays true of an order once it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// What was applied with.
    pub(crate) application: Application,
    /// What it costs.
    pub(crate) amount: Won,
    /// The course's title at that moment.
    pub(crate) course_title: String,
    /// When it was taken.
    pub(crate) ordered_at: Timestamp,
}

impl Order {
    /// The order, if there is one.
    pub(crate) const fn placed(&self) -> Option<&Placed> {
        match self {
            Self::Unknown => None,
            Self::Living(placed) | Self::Canceled(placed, _) => Some(placed),
        }
    }

    /// Where it stands, as the API spells it; nothing where there is no order.
    pub(crate) const fn status(&self) -> Option<OrderStatus> {
        match self {
            Self::Unknown => None,
            Self::Living(_) => Some(OrderStatus::Ordered),
            Self::Canceled(..) => Some(OrderStatus::OrderCanceled),
        }
    }
}

/// What is asked of an order.
#[derive(Clone, Debug)]
pub(crate) enum Command<'a> {
    /// A customer applies for a course.
    Apply {
        /// With what.
        application: &'a Application,
        /// The course, if this context has heard of it.
        course: Option<&'a Course>,
        /// Whether `pay` is left alone at the moment.
        breaker_open: bool,
        /// The time.
        now: Timestamp,
    },
    /// `pay` did not settle the payment at once.
    DelayPayment {
        /// Why.
        reason: DelayReason,
        /// Where the payment stands, as far as this context knows.
        payment: Option<PayStatus>,
    },
    /// The order is to end.
    Cancel {
        /// Why.
        reason: CancelReason,
        /// Where the course stands, if this context has heard of it.
        course: Option<CourseStatus>,
        /// Where the payment stands, as far as this context knows.
        payment: Option<PayStatus>,
    },
}

/// What the domain says no to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No course has this number.
    #[error("there is no course {0}")]
    UnknownCourse(EduNo),
    /// The course takes no applications.
    #[error("course {0} is {1} and takes no applications")]
    CourseNotOpen(EduNo, CourseStatus),
    /// The number belongs to an order with other content.
    #[error("this order number belongs to an order with other content")]
    ContentDiffers,
    /// Nobody has applied under this number.
    #[error("there is no order with this number")]
    UnknownOrder,
    /// The order has ended.
    #[error("the order has ended ({})", .0.as_str())]
    Ended(CancelReason),
    /// The course is over and paid for, and what was taken part in cannot be canceled.
    #[error("the course is over, and it is paid for")]
    CourseFinished,
    /// Only what is not paid expires.
    #[error("the order is paid")]
    Paid,
}

/// What happens when `command` is asked of `order`: events, none where it is so already, or a refusal.
pub(crate) fn decide(order: &Order, command: &Command<'_>) -> Result<Vec<Event>, Refusal> {
    match (order, command) {
        (Order::Unknown, Command::Apply { application, course, breaker_open, now }) => {
            apply(application, *course, *breaker_open, *now)
        }
        (Order::Living(placed) | Order::Canceled(placed, _), Command::Apply { application, .. }) => {
            if placed.application.same_content(application) {
                Ok(vec![])
            } else {
                Err(Refusal::ContentDiffers)
            }
        }

        (Order::Living(placed), Command::DelayPayment { reason, payment }) => match payment {
            // What is so already is not told twice, and what was paid meanwhile is not delayed.
            Some(PayStatus::PaymentDelayed | PayStatus::Paid | PayStatus::PaymentCanceled) => Ok(vec![]),
            None | Some(PayStatus::PaymentDeclined) => {
                Ok(vec![delayed(&placed.application.applicant, *reason)])
            }
        },
        (Order::Canceled(_, reason), Command::DelayPayment { .. }) => Err(Refusal::Ended(*reason)),

        (Order::Living(_), Command::Cancel { reason: CancelReason::Expired, payment, .. })
            if *payment == Some(PayStatus::Paid) =>
        {
            Err(Refusal::Paid)
        }
        (Order::Living(_), Command::Cancel { reason: CancelReason::Customer, course, payment })
            if !customer_may_cancel(*course, *payment) =>
        {
            Err(Refusal::CourseFinished)
        }
        (Order::Living(placed), Command::Cancel { reason, .. }) => {
            let applicant = placed.application.applicant.clone();
            Ok(vec![Event::OrderCanceled(OrderCanceled { applicant, reason: *reason })])
        }
        (Order::Canceled(..), Command::Cancel { .. }) => Ok(vec![]),

        (Order::Unknown, Command::DelayPayment { .. } | Command::Cancel { .. }) => Err(Refusal::UnknownOrder),
    }
}

/// Whether a customer may cancel a living order: until the course is over, and even then where it is not paid, since
/// nobody has taken part who has not paid.
pub(crate) fn customer_may_cancel(course: Option<CourseStatus>, payment: Option<PayStatus>) -> bool {
    course != Some(CourseStatus::Finished) || payment != Some(PayStatus::Paid)
}

fn apply(
    application: &Application,
    course: Option<&Course>,
    breaker_open: bool,
    now: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    let applicant = &application.applicant;
    let course = course.ok_or(Refusal::UnknownCourse(applicant.edu_no))?;
    if course.status != CourseStatus::Open {
        return Err(Refusal::CourseNotOpen(applicant.edu_no, course.status));
    }
    let amount = course.fee.times(applicant.guest);
    let ordered = Event::Ordered(Ordered {
        applicant: applicant.clone(),
        amount,
        card_last4: application.card_last4.clone(),
        course_title: course.title.clone(),
        ordered_at: now,
    });
    let card_missing = application.card_last4.is_none() && !amount.is_zero();
    Ok(match (card_missing, breaker_open) {
        (true, _) => vec![ordered, delayed(applicant, DelayReason::CardMissing)],
        (false, true) => vec![ordered, delayed(applicant, DelayReason::BreakerOpen)],
        (false, false) => vec![ordered],
    })
}

fn delayed(applicant: &Applicant, reason: DelayReason) -> Event {
    Event::PaymentDelayed(PaymentDelayed { applicant: applicant.clone(), reason })
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
    match (order, payment) {
        (Order::Unknown, _) => Err(Refusal::UnknownOrder),
        (Order::Canceled(_, reason), _) => Err(Refusal::Ended(*reason)),
        (Order::Living(_), Some(PayStatus::Paid)) => Ok(PayAgain::AlreadyPaid),
        (Order::Living(_), _) => Ok(PayAgain::Ask),
    }
}

/// The order after one of its events. That its payment is delayed changes nothing about the order itself; nor
/// does an event that does not fit (none of ours, or none that follows).
pub(crate) fn evolve(order: Order, event: &Event) -> Order {
    match (order, event) {
        (Order::Unknown, Event::Ordered(ordered)) => Order::Living(Placed {
            application: Application {
                applicant: ordered.applicant.clone(),
                card_last4: ordered.card_last4.clone(),
            },
            amount: ordered.amount,
            course_title: ordered.course_title.clone(),
            ordered_at: ordered.ordered_at,
        }),
        (Order::Living(placed), Event::OrderCanceled(canceled)) => Order::Canceled(placed, canceled.reason),
        (order, _) => order,
    }
}

#[cfg(test)]
pub(crate) mod tests;
