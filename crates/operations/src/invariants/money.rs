//! Between the orders, `pay` and the card company.

use kernel::event::Event;

use super::about_order;
use crate::check::Violation;
use crate::facts::{Balance, Facts};

/// An order may be charged again after a refund or a refusal, never while a charge stands.
pub(super) fn one_outstanding_charge(facts: &Facts) -> Vec<Violation> {
    let doubled = facts.gateway.iter().filter(|(_, balance)| balance.outstanding.len() > 1);
    let violation = |(order, balance): (&u64, &Balance)| {
        let message = format!(
            "the card company has {} charges that were not given back ({}). The customer paid more than once: find in \
             `pays.gateway_key` the charge that `pay` knows, and have the card company give the others back",
            balance.outstanding.len(),
            balance.outstanding.join(", ")
        );
        about_order("one-outstanding-charge", *order, message)
    };
    doubled.map(violation).collect()
}

/// What `pay` has on record of an order is what the card company has.
pub(super) fn pay_and_the_card_company_agree(facts: &Facts) -> Vec<Violation> {
    let orders = facts.orders().into_iter().filter(|order| facts.rests(*order));
    // Whose payment is still asked for may have been charged in vain so far: the next answer will tell.
    let settled = orders.filter(|order| facts.recent.grace.is_zero() || !facts.order.retries.contains(order));
    let violation = |order: u64| {
        let recorded = recorded(facts, order);
        let balance = facts.gateway.get(&order).map_or(0, Balance::balance);
        (recorded != balance).then(|| {
            let message = format!(
                "`pay` has {recorded} won on record as paid and not given back, the card company {balance} won. Hold \
                 the charges of this order against the events of `pay`; where the card company has more, have it give \
                 the difference back"
            );
            about_order("pay-and-gateway-agree", order, message)
        })
    };
    settled.filter_map(violation).collect()
}

/// What is paid and not given back by the events of `pay`.
fn recorded(facts: &Facts, order: u64) -> i64 {
    facts.pay.history.of(order).iter().fold(0, |paid, told| match &told.event {
        Event::Paid(event) => event.amount.as_i64(),
        Event::PaymentCanceled(_) => 0,
        _ => paid,
    })
}

/// Charges minus refunds are the order's amount while it is alive and paid, and nothing otherwise.
pub(super) fn an_order_costs_its_amount_or_nothing(facts: &Facts) -> Vec<Violation> {
    let orders = facts.orders().into_iter().filter(|order| facts.rests(*order));
    let settled = orders.filter(|order| facts.recent.grace.is_zero() || !facts.order.retries.contains(order));
    settled.filter_map(|order| wrong_balance(facts, order)).collect()
}

fn wrong_balance(facts: &Facts, order: u64) -> Option<Violation> {
    let (mut amount, mut alive) = (0, false);
    for told in facts.order.history.of(order) {
        match &told.event {
            Event::Ordered(ordered) => (amount, alive) = (ordered.amount.as_i64(), true),
            Event::OrderCanceled(_) => alive = false,
            _ => {}
        }
    }
    let paid = matches!(facts.pay.history.of(order).last().map(|told| &told.event), Some(Event::Paid(_)));
    let balance = facts.gateway.get(&order).map_or(0, Balance::balance);
    let (due, why) = match (alive, paid) {
        (true, true) => (amount, "it is alive and paid"),
        (true, false) => (0, "it is not paid"),
        (false, _) if facts.order.history.of(order).is_empty() => (0, "there is no such order"),
        (false, _) => (0, "it was canceled"),
    };
    (balance != due).then(|| {
        let message = format!(
            "the card company has taken {balance} won, and it should be {due} won, since {why}. If this stays, the \
             difference has to be settled with the card company by hand, and the customer told"
        );
        about_order("order-costs-its-amount", order, message)
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::{healthy, only};

    #[test]
    fn a_second_outstanding_charge_is_told() {
        let mut facts = healthy();
        let balance = facts.gateway.get_mut(&1).unwrap();
        balance.outstanding.push("1-2".to_owned());
        only(&facts, &["one-outstanding-charge"], "order 1");
    }

    #[test]
    fn a_charge_that_pay_does_not_know_is_told() {
        let mut facts = healthy();
        facts.gateway.entry(7).or_default().charged = 10_000;
        only(&facts, &["order-costs-its-amount", "pay-and-gateway-agree"], "order 7");
    }

    #[test]
    fn a_refund_that_never_came_is_told() {
        let mut facts = healthy();
        let balance = facts.gateway.get_mut(&2).unwrap();
        balance.refunded = 0;
        balance.outstanding = vec!["2-1".to_owned()];
        only(&facts, &["order-costs-its-amount", "pay-and-gateway-agree"], "order 2");
    }

    #[test]
    fn a_charge_of_another_amount_is_told() {
        let mut facts = healthy();
        facts.gateway.get_mut(&1).unwrap().charged += 1;
        only(&facts, &["order-costs-its-amount", "pay-and-gateway-agree"], "order 1");
    }

    #[test]
    fn what_is_still_to_be_asked_of_pay_is_not_held_against_a_system_that_is_busy() {
        let mut facts = healthy().busy(|facts| facts.gateway.entry(5).or_default().charged = 10_000, 2);
        let invariants = ["order-costs-its-amount", "pay-and-gateway-agree"];
        only(&facts, &invariants, "order 5");
        facts.order.retries.insert(5);
        only(&facts, &[], "");
        facts.recent.grace = std::time::Duration::ZERO;
        only(&facts, &invariants, "order 5");
    }

    #[test]
    fn a_charge_a_moment_ago_is_not_held_against_anyone_yet() {
        let facts = healthy().busy(|facts| facts.gateway.entry(7).or_default().charged = 10_000, 7);
        only(&facts, &[], "");
    }
}
