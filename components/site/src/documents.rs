//! What the other contexts answer, as much of it as pages show.

use kernel::event::CancelReason;
use kernel::{Approval, CourseStatus, EduNo, OrderId, OrderStatus, PayStatus, ReservationStatus, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where something may be asked for or done; whatever has no link may not be done now.
type Links = BTreeMap<String, serde_json::Value>;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Course {
    pub(crate) edu_no: EduNo,
    pub(crate) title: String,
    pub(crate) capacity: u64,
    pub(crate) taken: u64,
    pub(crate) waiting: u64,
    pub(crate) fee: u64,
    pub(crate) approval: Approval,
    pub(crate) starts_at: Timestamp,
    pub(crate) ends_at: Timestamp,
    pub(crate) status: CourseStatus,
    /// Told to managers and operators, where anybody is asked who they are.
    #[serde(default)]
    managers: Option<Vec<u64>>,
    #[serde(rename = "_links", default)]
    links: Links,
}

impl Course {
    /// Whether it is among the courses of a member. Of whose it is only its managers and operators are told.
    pub(crate) fn is_managed_by(&self, member: Option<u64>) -> bool {
        let managers = self.managers.as_ref();
        managers.is_some_and(|managers| member.is_some_and(|member| managers.contains(&member)))
    }

    /// Seats that nobody has.
    pub(crate) const fn left(&self) -> u64 {
        self.capacity.saturating_sub(self.taken)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.status == CourseStatus::Open
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.approval == Approval::Manual
    }

    /// Whether whoever applies now has to wait: nobody overtakes those who wait.
    pub(crate) const fn is_full(&self) -> bool {
        self.left() == 0 || self.waiting > 0
    }

    pub(crate) fn may(&self, what: &str) -> bool {
        self.links.contains_key(what)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Order {
    pub(crate) order_id: OrderId,
    pub(crate) edu_no: EduNo,
    pub(crate) course_title: String,
    pub(crate) guest: u64,
    pub(crate) status: OrderStatus,
    pub(crate) cancel_reason: Option<CancelReason>,
    pub(crate) pay_status: Option<PayStatus>,
    pub(crate) card_last4: Option<String>,
    pub(crate) amount: u64,
    pub(crate) ordered_at: Timestamp,
    #[serde(rename = "_links", default)]
    links: Links,
    /// A guest's key, once.
    pub(crate) order_key: Option<String>,
}

impl Order {
    pub(crate) fn may(&self, what: &str) -> bool {
        self.links.contains_key(what)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pay {
    pub(crate) amount: u64,
    pub(crate) status: PayStatus,
    pub(crate) card_last4: Option<String>,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) refunded_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reservation {
    pub(crate) order_id: OrderId,
    pub(crate) customer_id: Option<u64>,
    pub(crate) guest: u64,
    pub(crate) status: ReservationStatus,
    pub(crate) waiting_position: Option<u64>,
    pub(crate) reserved_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Infomation {
    pub(crate) order_id: OrderId,
    /// Told to whoever manages the course; a guest has none, nor has whoever left.
    #[serde(default)]
    pub(crate) customer_name: Option<String>,
    pub(crate) edu_no: EduNo,
    pub(crate) course_title: Option<String>,
    pub(crate) guest: u64,
    pub(crate) amount: Option<u64>,
    pub(crate) order_status: Option<OrderStatus>,
    pub(crate) pay_status: Option<PayStatus>,
    pub(crate) reservation_status: Option<ReservationStatus>,
    pub(crate) course_status: Option<CourseStatus>,
    pub(crate) waiting_position: Option<u64>,
    pub(crate) updated_at: Timestamp,
    #[serde(default)]
    pub(crate) timeline: Vec<Happening>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Happening {
    pub(crate) event: String,
    pub(crate) status: String,
    pub(crate) time: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Notification {
    pub(crate) language: String,
    pub(crate) body: String,
    pub(crate) status: String,
    pub(crate) created_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PageOf {
    pub(crate) total_elements: u64,
    pub(crate) total_pages: u64,
    pub(crate) number: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Member {
    pub(crate) name: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) language: Option<String>,
    /// A `member` of before tells none.
    #[serde(default)]
    pub(crate) messages: Option<String>,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    #[serde(default)]
    pub(crate) consents: Vec<Consent>,
    pub(crate) registered_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Consent {
    pub(crate) name: String,
    pub(crate) given: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SessionOf {
    pub(crate) session_id: String,
    pub(crate) created_at: Timestamp,
    pub(crate) last_used_at: Timestamp,
    #[serde(default)]
    pub(crate) current: bool,
}

/// How the breaker before `pay` stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Breaker {
    pub(crate) state: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) failures: u64,
    pub(crate) window_seconds: u64,
    pub(crate) history: Vec<BreakerChange>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct BreakerChange {
    pub(crate) state: String,
    pub(crate) at: Timestamp,
}

/// How far behind the consumers of the event log are.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EventLog {
    pub(crate) consumers: Vec<Lag>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lag {
    pub(crate) consumer: String,
    pub(crate) dead_letters: u64,
    pub(crate) streams: Vec<StreamLag>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StreamLag {
    pub(crate) source: String,
    pub(crate) unread: u64,
    pub(crate) pending: u64,
    pub(crate) oldest: Option<Timestamp>,
}

/// An event that a consumer gave up on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    pub(crate) id: String,
    pub(crate) consumer: String,
    pub(crate) source: String,
    pub(crate) what: String,
    pub(crate) given_up_at: String,
    pub(crate) reason: String,
    pub(crate) cause: String,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct List<T> {
    #[serde(rename = "_embedded")]
    embedded: BTreeMap<String, Vec<T>>,
    #[serde(default)]
    pub(crate) page: PageOf,
}

impl<T> List<T> {
    pub(crate) fn items(self) -> Vec<T> {
        self.embedded.into_values().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whatever_it_is_called() {
        let text = r#"{"_embedded":{"pays":[{"amount":1,"status":"Paid","cardLast4":null,"paidAt":null,"refundedAt":null}]},
            "page":{"size":20,"totalElements":7,"totalPages":1,"number":0}}"#;
        let list: List<Pay> = serde_json::from_str(text).unwrap();
        assert_eq!(list.page.total_elements, 7);
        assert_eq!(list.items()[0].amount, 1);
    }
}
