//! An order as HAL shows it.

use crate::domain::{Order, customer_may_cancel};
use crate::store::Stored;
use hal::link;
use kernel::PayStatus;
use serde_json::{Map, Value, json};

/// The document of one order, with links to what may be done with it now. `base` is where the client reached us.
pub(crate) fn representation(stored: &Stored, base: &str) -> Value {
    let Some(placed) = stored.order.placed() else { return Value::Null };
    let applicant = &placed.application.applicant;
    let href = format!("{base}/orders/{}", applicant.order_id);
    let living = matches!(stored.order, Order::Living(_));
    let mut links = Map::new();
    if living && customer_may_cancel(stored.course, stored.payment.status) {
        links.insert("cancel".to_owned(), link(href.clone()));
    }
    if living && stored.payment.status != Some(PayStatus::Paid) {
        links.insert("payment".to_owned(), link(format!("{href}/payment")));
    }
    links.insert("order".to_owned(), link(href.clone()));
    links.insert("self".to_owned(), link(href));
    let card_last4 = stored.payment.card_last4.as_ref().or(placed.application.card_last4.as_ref());
    json!({
        "orderId": applicant.order_id,
        "customerId": applicant.customer_id,
        "eduNo": applicant.edu_no,
        "courseTitle": placed.course_title,
        "guest": applicant.guest,
        "status": stored.order.status(),
        "payStatus": stored.payment.status,
        "cardLast4": card_last4,
        "amount": placed.amount,
        "orderedAt": placed.ordered_at,
        "_links": links,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evolve;
    use crate::domain::tests::ordered;
    use crate::store::Payment;

    #[test]
    fn an_order_links_to_itself_under_both_names_and_to_what_may_be_done_with_it() {
        let order = evolve(Order::Unknown, &ordered());
        let mut stored = Stored { order, version: 1, payment: Payment::default(), course: None };
        let links = |stored: &Stored| representation(stored, "http://h")["_links"].clone();
        let (here, pay) = (link("http://h/orders/1113"), link("http://h/orders/1113/payment"));
        let unpaid = json!({ "cancel": here, "order": here, "payment": pay, "self": here });
        assert_eq!(links(&stored), unpaid);
        stored.payment.status = Some(PayStatus::Paid);
        assert_eq!(links(&stored), json!({ "cancel": here, "order": here, "self": here }));
    }
}
