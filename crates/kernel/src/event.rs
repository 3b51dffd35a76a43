//! The published language: what each context tells the others.
//!
//! An event's `data` is the JSON of one of these structures; its name is the last part of the CloudEvents
//! type `sugang.<context>.<Event>`. Fields may be added; none may change its meaning. A card number, whole or
//! hashed, is in none of them.

use crate::{
    Approval, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, ReservationStatus, Timestamp, Won,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod member;

pub use member::{Member, MemberErased};

/// Whose application an event is about; every event about an order carries it, so that no consumer has to
/// wait for another event to know the customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applicant {
    /// The order.
    pub order_id: OrderId,
    /// The customer, if the order said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The course applied for.
    pub edu_no: EduNo,
    /// How many people.
    #[serde(default)]
    pub guest: Guests,
    /// The language to write to the customer in.
    #[serde(default)]
    pub language: Language,
}

/// An order was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ordered {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// What it costs, in won.
    pub amount: Won,
    /// The last four digits of the card, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_last4: Option<String>,
    /// The course's title at that moment.
    pub course_title: String,
    /// When.
    pub ordered_at: Timestamp,
    /// When it expires if it is not paid by then. Orders of before this was told have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
}

/// Why a payment did not happen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DelayReason {
    /// `pay` did not answer within the deadline; whether it charged is not known.
    Deadline,
    /// `pay` could not be reached, or failed.
    Unavailable,
    /// The breaker was open, so `pay` was not asked.
    BreakerOpen,
    /// The order came without a card.
    CardMissing,
}

/// An order was accepted without its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDelayed {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// Why.
    pub reason: DelayReason,
    /// The last of `pay`'s events that `order` had heard of when it was delayed, by its version; 0 before any. A later
    /// one ends the delay.
    #[serde(default)]
    pub pay_version: u64,
}

crate::words!(
    /// Why an order, and with it a reservation, ended.
    pub CancelReason, "reason" {
        /// The customer canceled it.
        Customer = "customer",
        /// It was not paid in time.
        Expired = "expired",
        /// The course manager (or the course's state) rejected the reservation.
        ReservationRejected = "reservation-rejected",
        /// The course will not take place.
        CourseCanceled = "course-canceled",
    }
);

/// An order ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderCanceled {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// Why.
    pub reason: CancelReason,
}

/// An order was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// How much, in won.
    pub amount: Won,
    /// The last four digits of the card; none where there was nothing to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_last4: Option<String>,
    /// The card company's number for the charge; none where there was nothing to pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// When.
    pub paid_at: Timestamp,
}

/// The card company refused to pay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDeclined {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// How much was asked for, in won.
    pub amount: Won,
    /// The last four digits of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_last4: Option<String>,
    /// What the card company said.
    pub reason: String,
}

/// A payment was given back, or an order number was closed before anything was paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentCanceled {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// How much was given back, in won; 0 where nothing had been paid.
    pub amount: Won,
    /// When.
    pub refunded_at: Timestamp,
}

/// A paid order has a seat, or a place in line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reserved {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// `Reservation Requested`, `Reservation Confirmed` or `Waitlisted`.
    pub status: ReservationStatus,
    /// The place in line at that moment, counted from 1; only while waitlisted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_position: Option<u64>,
    /// When.
    pub reserved_at: Timestamp,
}

/// The course manager confirmed a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationConfirmed {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
}

/// A reservation was turned down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationRejected {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// Why, in a few words for the log and the customer.
    pub reason: String,
}

/// A reservation was given back; also where none existed yet, so that none can come into being later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReservationCanceled {
    /// Whose.
    #[serde(flatten)]
    pub applicant: Applicant,
    /// Why.
    pub reason: CancelReason,
}

/// A course as it stands after one of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// The course's number.
    pub edu_no: EduNo,
    /// What it is called.
    pub title: String,
    /// How many people it takes.
    pub capacity: u32,
    /// What one person pays, in won.
    pub fee: Won,
    /// Who confirms.
    pub approval: Approval,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Where it stands.
    pub status: CourseStatus,
    /// Who manages it. Courses of before members are managed by the operators alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<Manager>,
}

/// Somebody who manages a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// The member.
    pub customer_id: CustomerId,
}

/// Everything that one context tells another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// From `order`.
    Ordered(Ordered),
    /// From `order`.
    PaymentDelayed(PaymentDelayed),
    /// From `order`.
    OrderCanceled(OrderCanceled),
    /// From `pay`.
    Paid(Paid),
    /// From `pay`.
    PaymentDeclined(PaymentDeclined),
    /// From `pay`.
    PaymentCanceled(PaymentCanceled),
    /// From `reservation`.
    Reserved(Reserved),
    /// From `reservation`.
    ReservationConfirmed(ReservationConfirmed),
    /// From `reservation`.
    ReservationRejected(ReservationRejected),
    /// From `reservation`.
    ReservationCanceled(ReservationCanceled),
    /// From `reservation`: a course takes applications.
    CourseOpened(Course),
    /// From `reservation`: a course's title, fee, capacity or dates changed.
    CourseChanged(Course),
    /// From `reservation`.
    CourseStarted(Course),
    /// From `reservation`.
    CourseFinished(Course),
    /// From `reservation`.
    CourseCanceled(Course),
    /// From `member`.
    MemberRegistered(Member),
    /// From `member`: name, number, address, language or roles changed.
    MemberChanged(Member),
    /// From `member`.
    MemberErased(MemberErased),
}

/// Of each course the newest that a batch of events tells, given with their versions.
pub fn newest_courses<'a>(told: impl IntoIterator<Item = (u64, &'a Event)>) -> Vec<(u64, &'a Course)> {
    newest(told, |event| event.course().map(|course| (course.edu_no, course)))
}

/// Of each member the newest event of a batch, given with their versions. What is not [told](Event::person) there is gone.
pub fn newest_members<'a>(told: impl IntoIterator<Item = (u64, &'a Event)>) -> Vec<(u64, &'a Event)> {
    newest(told, |event| event.member().map(|member| (member, event)))
}

fn newest<'a, K: Ord, T>(
    told: impl IntoIterator<Item = (u64, &'a Event)>,
    about: impl Fn(&'a Event) -> Option<(K, &'a T)>,
) -> Vec<(u64, &'a T)> {
    let mut newest: BTreeMap<K, (u64, &T)> = BTreeMap::new();
    for (version, event) in told {
        let Some((key, said)) = about(event) else { continue };
        let known = newest.entry(key).or_insert((version, said));
        if version > known.0 {
            *known = (version, said);
        }
    }
    newest.into_values().collect()
}

/// An event that this version does not know, or whose data it cannot read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The name is none of ours.
    #[error("there is no event called `{0}`")]
    UnknownName(String),
    /// The data is not what the name promises.
    #[error("the data of `{name}` cannot be read: {source}")]
    Data {
        /// The event's name.
        name: String,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
}

macro_rules! events {
    ($($name:ident),+ ; $($course:ident),+ ; $($member:ident),+) => {
        impl Event {
            /// The names of all events.
            pub const NAMES: &'static [&'static str] =
                &[$(stringify!($name),)+ $(stringify!($course),)+ $(stringify!($member),)+];

            /// The event's name, as in the CloudEvents type after `sugang.<context>.`.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)+
                    $(Self::$course(_) => stringify!($course),)+
                    $(Self::$member(_) => stringify!($member),)+
                }
            }

            /// The `data` of the CloudEvent, as JSON text.
            pub fn to_data(&self) -> String {
                let json = match self {
                    $(Self::$name(data) => serde_json::to_string(data),)+
                    $(Self::$course(data) => serde_json::to_string(data),)+
                    $(Self::$member(data) => serde_json::to_string(data),)+
                };
                // Writing plain structures with string keys to memory cannot fail.
                json.unwrap_or_default()
            }

            /// Reads an event from its name and its `data`.
            pub fn parse(name: &str, data: &str) -> Result<Self, Unreadable> {
                let read = match name {
                    $(stringify!($name) => serde_json::from_str(data).map(Self::$name),)+
                    $(stringify!($course) => serde_json::from_str(data).map(Self::$course),)+
                    $(stringify!($member) => serde_json::from_str(data).map(Self::$member),)+
                    _ => return Err(Unreadable::UnknownName(name.to_owned())),
                };
                read.map_err(|source| Unreadable::Data { name: name.to_owned(), source })
            }

            /// Whose application it is about; none for the events of a course or a member.
            pub const fn applicant(&self) -> Option<&Applicant> {
                match self {
                    $(Self::$name(data) => Some(&data.applicant),)+
                    $(Self::$course(_) => None,)+
                    $(Self::$member(_) => None,)+
                }
            }

            /// The course as it stands after the event; none for the events of an order or a member.
            pub const fn course(&self) -> Option<&Course> {
                match self {
                    $(Self::$name(_) => None,)+
                    $(Self::$course(course) => Some(course),)+
                    $(Self::$member(_) => None,)+
                }
            }

            /// The number of the member that it is about; none for the events of an order or a course.
            pub const fn member(&self) -> Option<CustomerId> {
                match self {
                    $(Self::$name(_) => None,)+
                    $(Self::$course(_) => None,)+
                    $(Self::$member(data) => Some(data.customer_id),)+
                }
            }
        }
    };
}

events!(
    Ordered, PaymentDelayed, OrderCanceled, Paid, PaymentDeclined, PaymentCanceled, Reserved,
    ReservationConfirmed, ReservationRejected, ReservationCanceled;
    CourseOpened, CourseChanged, CourseStarted, CourseFinished, CourseCanceled;
    MemberRegistered, MemberChanged, MemberErased
);

impl Event {
    /// The member as they stand after the event; none for the end of one, and for the events of an order or a course.
    pub const fn person(&self) -> Option<&Member> {
        match self {
            Self::MemberRegistered(member) | Self::MemberChanged(member) => Some(member),
            _ => None,
        }
    }

    /// What the event is about, as the CloudEvents `subject`: the order's number, `course/<eduNo>`, or
    /// `member/<customerId>`.
    pub fn subject(&self) -> String {
        match (self.applicant(), self.course(), self.member()) {
            (Some(applicant), _, _) => applicant.order_id.to_string(),
            (_, Some(course), _) => course_subject(course.edu_no),
            (_, _, Some(member)) => member_subject(member),
            (None, None, None) => String::new(),
        }
    }
}

/// The subject of a member's events: `member/<customerId>`.
pub fn member_subject(customer_id: CustomerId) -> String {
    format!("member/{customer_id}")
}

/// The subject of a course's events: `course/<eduNo>`.
pub fn course_subject(edu_no: EduNo) -> String {
    format!("course/{edu_no}")
}

#[cfg(test)]
mod tests;
