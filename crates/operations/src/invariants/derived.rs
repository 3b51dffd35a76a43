//! For tests: every table as the rules want it.

use super::{persons, replicas, tables, view};
use crate::facts::{Facts, Tallies};

pub(crate) fn tables(facts: &mut Facts) {
    let orders = facts.order.history.orders.iter();
    facts.order.orders =
        orders.filter_map(|(order, told)| Some((*order, tables::order_row(told)?))).collect();
    let pays = facts.pay.history.orders.iter();
    facts.pay.pays =
        pays.filter_map(|(order, told)| Some((*order, tables::pay_row(*order, told)?))).collect();
    let reservations = facts.reservation.history.orders.iter();
    facts.reservation.reservations =
        reservations.filter_map(|(order, told)| Some((*order, tables::reservation_row(told)?))).collect();
    let courses = facts.reservation.history.courses.iter();
    facts.reservation.courses =
        courses.filter_map(|(edu_no, told)| Some((*edu_no, tables::course_row(told)?))).collect();
    let members = facts.member.history.members.iter();
    facts.member.members =
        members.filter_map(|(member, told)| Some((*member, persons::member_row(told)?))).collect();
    let known = |has: fn(&kernel::event::Member) -> bool| {
        let members = facts.member.history.members.iter();
        let known =
            members.filter(|(_, told)| told.last().and_then(|told| told.event.person()).is_some_and(has));
        known.map(|(member, _)| *member).collect()
    };
    facts.notification.reached = known(|member| member.phone.is_some());
    facts.information.named = known(|member| member.name.is_some());
    let replicas = facts.order.orders.keys().map(|order| (*order, replicas::replica(facts, *order)));
    facts.order.replicas = replicas.collect();
    facts.order.courses = replicas::courses_of(facts, "order");
    facts.notification.courses = replicas::courses_of(facts, "notification");
    facts.information.courses = replicas::courses_of(facts, "information");
    let orders = facts.order.orders.values();
    facts.order.tallies = tallies(orders.map(|row| (row.edu_no, &row.status)));
    let pays = facts.pay.pays.values();
    facts.pay.tallies = tallies(pays.map(|row| (row.edu_no, &row.status)));
    let reservations = facts.reservation.reservations.values();
    facts.reservation.tallies = tallies(reservations.map(|row| (row.edu_no, &row.status)));
    let orders: Vec<u64> =
        facts.histories().iter().flat_map(|(_, history)| history.orders.keys().copied()).collect();
    for order in orders {
        if let Some(row) = view::view_row(facts, order) {
            facts.information.rows.insert(order, row);
            let timeline = view::timeline(facts, order);
            facts.information.timelines.insert(order, timeline);
        }
    }
    facts.information.tallies = tables::view_tallies(facts);
}

fn tallies<'a>(rows: impl Iterator<Item = (i64, &'a String)>) -> Tallies {
    let mut tallies = Tallies::new();
    for (edu_no, status) in rows {
        *tallies.entry(format!("{edu_no} {status}")).or_default() += 1;
    }
    tallies
}
