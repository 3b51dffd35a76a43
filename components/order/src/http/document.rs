//! An order as HAL shows it.

use crate::domain::customer_may_cancel;
use crate::store::Stored;
use hal::Links;
use kernel::event::CancelReason;
use kernel::{CustomerId, EduNo, Guests, OrderId, OrderStatus, PayStatus, Timestamp, Won};
use serde::Serialize;

/// The document of one order, with links to what may be done with it now.
///
/// Whatever goes into it is of its own events, of its payment or of its course: a conditional change is bound to the
/// versions of these three.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    edu_no: EduNo,
    course_title: &'a str,
    guest: Guests,
    status: OrderStatus,
    cancel_reason: Option<CancelReason>,
    pay_status: Option<PayStatus>,
    card_last4: Option<&'a str>,
    amount: Won,
    ordered_at: Timestamp,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

pub(super) fn href(base: &str, order_id: OrderId) -> String {
    format!("{base}/orders/{order_id}")
}

impl<'a> Document<'a> {
    pub(super) fn of(stored: &'a Stored, base: &str) -> Self {
        let Stored { order, payment, course, .. } = stored;
        let applicant = &order.application.applicant;
        let is_living = order.canceled.is_none();
        let here = href(base, applicant.order_id);
        let may_cancel = is_living && customer_may_cancel(*course, payment.status);
        let may_pay = is_living && payment.status != Some(PayStatus::Paid);
        Self {
            order_id: applicant.order_id,
            customer_id: applicant.customer_id,
            edu_no: applicant.edu_no,
            course_title: &order.course_title,
            guest: applicant.guest,
            status: order.status(),
            cancel_reason: order.canceled,
            pay_status: payment.status,
            card_last4: payment.card_last4.as_deref().or(order.application.card_last4.as_deref()),
            amount: order.amount,
            ordered_at: order.ordered_at,
            links: Links::new()
                .with("self", here.clone())
                .with("order", here.clone())
                .when(may_cancel, "cancel", here.clone())
                .when(may_pay, "payment", format!("{here}/payment")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Order;
    use crate::domain::tests::ordered;
    use hal::link;
    use serde_json::json;

    #[test]
    fn an_order_links_to_itself_under_both_names_and_to_what_may_be_done_with_it() {
        let mut stored = Stored::new(Order::of(&ordered()), None);
        let links = |stored: &Stored| json!(Document::of(stored, "http://h"))["_links"].clone();
        let (here, pay) = (link("http://h/orders/1113"), link("http://h/orders/1113/payment"));
        let unpaid = json!({ "cancel": here, "order": here, "payment": pay, "self": here });
        assert_eq!(links(&stored), unpaid);
        stored.payment.status = Some(PayStatus::Paid);
        assert_eq!(links(&stored), json!({ "cancel": here, "order": here, "self": here }));
    }

    #[test]
    fn an_order_that_has_ended_says_why() {
        let mut stored = Stored::new(Order::of(&ordered()), None);
        let shown = |stored: &Stored| json!(Document::of(stored, "http://h"))["cancelReason"].clone();
        assert_eq!(shown(&stored), json!(null));
        for reason in CancelReason::ALL {
            stored.order.canceled = Some(*reason);
            assert_eq!(shown(&stored), json!(reason.as_str()));
        }
    }
}
