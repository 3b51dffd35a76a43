//! That what belongs together is alive together, and ends together.

use kernel::event::Event;

use super::about_order;
use crate::check::Violation;
use crate::facts::{Facts, Told};

const LOOK_AT_WORKER: &str = "look whether the group's events wait (`sugang check` with --redis), or are dead letters \
    (`sugang events list`); `sugang replay` sends them again";

/// Whether a history's last event leaves a seat, or a place in line.
fn lives(told: &[Told]) -> bool {
    matches!(told.last().map(|told| &told.event), Some(Event::Reserved(_) | Event::ReservationConfirmed(_)))
}

fn is_canceled(told: &[Told]) -> bool {
    matches!(told.last().map(|told| &told.event), Some(Event::OrderCanceled(_)))
}

/// Only what was paid has a seat, or a place in line. Reservations are read before payments, so that this
/// holds at every moment.
pub(super) fn no_unpaid_reservation(facts: &Facts) -> Vec<Violation> {
    let living = facts.reservation.history.orders.iter().filter(|(_, told)| lives(told));
    let unpaid = living.filter(|(order, _)| {
        let told = facts.pay.history.of(**order);
        let ever = told.iter().any(|told| matches!(told.event, Event::Paid(_)));
        let now = matches!(told.last().map(|told| &told.event), Some(Event::Paid(_)));
        !ever || (facts.rests(**order) && !now)
    });
    let violation = |(order, _): (&u64, &Vec<Told>)| {
        let message = "it has a seat, or waits for one, and is not paid. Have the course manager reject it \
                       (PATCH /reservations/…), or have the customer pay";
        about_order("no-unpaid-reservation", *order, message.to_owned())
    };
    unpaid.map(violation).collect()
}

/// A canceled order holds no seat.
pub(super) fn no_live_reservation_of_a_canceled_order(facts: &Facts) -> Vec<Violation> {
    let living =
        facts.reservation.history.orders.iter().filter(|(order, told)| lives(told) && facts.rests(**order));
    let orphaned = living.filter(|(order, _)| is_canceled(facts.order.history.of(**order)));
    let violation = |(order, _): (&u64, &Vec<Told>)| {
        let message = format!(
            "it was canceled, and its reservation still stands: `reservation` has not taken in the `OrderCanceled`; \
             {LOOK_AT_WORKER}"
        );
        about_order("no-live-reservation-of-canceled-order", *order, message)
    };
    orphaned.map(violation).collect()
}

/// Whoever has paid for a living order has a seat or a place in line.
pub(super) fn what_is_paid_is_reserved(facts: &Facts) -> Vec<Violation> {
    let paid = facts.pay.history.orders.iter().filter(|(order, told)| {
        let paid = matches!(told.last().map(|told| &told.event), Some(Event::Paid(_)));
        let ordered = facts.order.history.of(**order);
        paid && facts.rests(**order) && !ordered.is_empty() && !is_canceled(ordered)
    });
    let violation = |(order, _): (&u64, &Vec<Told>)| {
        let message = format!(
            "it is alive and paid, and has no seat and no place in line: `reservation` has not taken in the `Paid`; \
             {LOOK_AT_WORKER}"
        );
        about_order("paid-is-reserved", *order, message)
    };
    paid.filter(|(order, _)| facts.reservation.history.of(**order).is_empty()).map(violation).collect()
}

/// An order that is canceled is closed in `pay` and in `reservation`, and the other way round.
pub(super) fn what_ended_ended_everywhere(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (order, ordered) in facts.order.history.orders.iter().filter(|(order, _)| facts.rests(**order)) {
        let (reserved, paid) = (facts.reservation.history.of(*order), facts.pay.history.of(*order));
        let seat_ended = !reserved.is_empty() && !lives(reserved);
        let closed = matches!(paid.last().map(|told| &told.event), Some(Event::PaymentCanceled(_)));
        let mut tell = |who: &str, event: &str| {
            let message = format!(
                "`{who}` has not taken in the `{event}`, so that it has ended only in part; {LOOK_AT_WORKER}"
            );
            found.push(about_order("ended-everywhere", *order, message));
        };
        match (is_canceled(ordered), seat_ended, closed) {
            (true, false, _) if reserved.is_empty() => tell("reservation", "OrderCanceled"),
            (false, true, _) => tell("order", "ReservationRejected, or CourseCanceled"),
            (_, true, false) => tell("pay", "ReservationCanceled or ReservationRejected"),
            (false, false, true) => {
                let message = "its payment was given back although it lives. Have the customer cancel it, and apply again";
                found.push(about_order("ended-everywhere", *order, message.to_owned()));
            }
            _ => {}
        }
    }
    found
}

/// Payments and reservations are of orders that there are.
pub(super) fn every_order_is_known(facts: &Facts) -> Vec<Violation> {
    let others = [("pay", &facts.pay.history), ("reservation", &facts.reservation.history)];
    let mut found = Vec::new();
    for (context, history) in others {
        for order in history.orders.keys().filter(|order| facts.rests(**order)) {
            if facts.order.history.of(*order).is_empty() {
                let message = format!(
                    "`{context}` has events about it, and `order` knows of no such order: it was paid past `order` \
                     (POST /pays), or `order` was put back to an earlier time than `{context}`"
                );
                found.push(about_order("order-is-known", *order, message));
            }
        }
    }
    found
}

/// A card is kept only for as long as its payment is open.
pub(super) fn cards_are_forgotten(facts: &Facts) -> Vec<Violation> {
    let kept = facts.order.retries.iter().filter(|order| {
        let paid = facts.order.replicas.get(order).and_then(|replica| replica.pay_status.as_deref());
        let ordered = facts.order.history.of(**order);
        ordered.is_empty() || is_canceled(ordered) || paid == Some("Paid")
    });
    let violation = |order: &u64| {
        let message = "its card is still kept to try the payment again, although that is paid, or the order has ended. \
                       Delete its row from `retries` in the store `order`";
        about_order("card-is-forgotten", *order, message.to_owned())
    };
    kept.map(violation).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{canceled, healthy, only, order_canceled, reserved};
    use kernel::ReservationStatus::ReservationConfirmed;

    #[test]
    fn a_seat_that_nobody_paid_for_is_told() {
        let facts = healthy().with_history(|history| {
            history.reserve(5, reserved(5, 101, 1, ReservationConfirmed));
        });
        only(&facts, &["no-unpaid-reservation"], "order 5");
    }

    #[test]
    fn a_seat_of_a_canceled_order_is_told() {
        let facts = healthy().with_history(|history| history.order(1, order_canceled(1, 101, 1)));
        only(&facts, &["no-live-reservation-of-canceled-order", "order-costs-its-amount"], "order 1");
    }

    #[test]
    fn a_payment_that_reserved_nothing_is_told() {
        let facts = healthy().with_history(|history| history.pay_and_order(6, 101, 1));
        only(&facts, &["paid-is-reserved"], "order 6");
    }

    #[test]
    fn an_order_that_ended_only_in_part_is_told() {
        let facts = healthy().with_history(|history| history.reserve(1, canceled(1, 101, 1)));
        only(&facts, &["ended-everywhere"], "order 1");
    }

    #[test]
    fn a_payment_of_no_order_is_told() {
        let facts = healthy().with_history(|history| history.pay_past_order(9, 101, 1));
        only(&facts, &["order-costs-its-amount", "order-is-known"], "order 9");
    }

    #[test]
    fn a_card_kept_for_too_long_is_told() {
        let mut facts = healthy();
        facts.order.retries.insert(1);
        only(&facts, &["card-is-forgotten"], "order 1");
    }

    #[test]
    fn a_seat_whose_payment_was_given_back_is_told() {
        let facts = healthy().with_history(|history| {
            history.leave(1, canceled(1, 101, 1));
            history.order.orders.get_mut(&1).unwrap().pop();
            history.reservation.orders.get_mut(&1).unwrap().pop();
        });
        only(&facts, &["ended-everywhere", "no-unpaid-reservation"], "order 1");
    }

    #[test]
    fn a_cancellation_that_reservation_or_pay_has_not_heard_of_is_told() {
        let facts = healthy().with_history(|history| {
            history.pay_and_order(6, 101, 1);
            history.order(6, order_canceled(6, 101, 1));
        });
        only(&facts, &["ended-everywhere", "order-costs-its-amount"], "order 6");
        let facts = healthy().with_history(|history| {
            history.leave(1, canceled(1, 101, 1));
            history.pay.orders.get_mut(&1).unwrap().pop();
        });
        only(&facts, &["ended-everywhere", "pay-and-gateway-agree"], "order 1");
    }
}
