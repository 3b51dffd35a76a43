//! The rules, each a function of the facts that says where they are broken.
//!
//! A rule about one store holds at every moment, since a store is read in one snapshot. A rule between stores
//! holds once an order has come to rest: what is recent is left out by [`Facts::rests`].

mod audit;
#[cfg(test)]
pub(crate) mod derived;
mod endings;
mod history;
mod log;
mod messages;
mod money;
mod persons;
mod replicas;
mod seats;
mod tables;
mod view;
mod waiting_list;

use crate::check::Violation;
use crate::facts::Facts;

/// A rule: everything that breaks it.
type Rule = fn(&Facts) -> Vec<Violation>;

/// All of them, the gravest first: money, seats, what customers are told, then what can be made again.
const RULES: &[Rule] = &[
    money::one_outstanding_charge,
    money::pay_and_the_card_company_agree,
    money::an_order_costs_its_amount_or_nothing,
    seats::seats_are_counted_and_not_oversold,
    seats::no_seat_was_ever_oversold,
    waiting_list::served_in_order,
    waiting_list::nobody_waits_for_a_free_seat,
    endings::no_unpaid_reservation,
    endings::no_live_reservation_of_a_canceled_order,
    endings::what_is_paid_is_reserved,
    endings::what_ended_ended_everywhere,
    endings::every_order_is_known,
    endings::cards_are_forgotten,
    persons::erased_everywhere,
    audit::trail,
    history::gap_free,
    history::possible,
    tables::orders,
    tables::pays,
    tables::reservations,
    tables::courses,
    persons::members,
    tables::tallies,
    replicas::payments,
    replicas::courses,
    messages::one_for_each_event,
    messages::each_delivered_once,
    view::rows,
    view::timelines,
    log::relays,
    log::groups,
    log::dead_letters,
];

/// Everything that is wrong.
pub(crate) fn broken(facts: &Facts) -> Vec<Violation> {
    RULES.iter().flat_map(|rule| rule(facts)).collect()
}

fn about(invariant: &'static str, subject: String, message: String) -> Violation {
    Violation { invariant, subject, message }
}

fn about_order(invariant: &'static str, order: u64, message: String) -> Violation {
    about(invariant, format!("order {order}"), message)
}

fn about_course(invariant: &'static str, edu_no: u64, message: String) -> Violation {
    about(invariant, format!("course {edu_no}"), message)
}
