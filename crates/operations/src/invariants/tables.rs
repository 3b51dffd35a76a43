//! The tables that answers are read from: they say nothing that the events do not.

use std::collections::BTreeMap;

use kernel::event::{Applicant, Event};
use kernel::{CustomerId, OrderStatus, PayStatus, ReservationStatus};

use super::{about, about_course, about_order};
use crate::check::Violation;
use crate::facts::{CourseRow, Facts, OrderRow, PayRow, ReservationRow, Tallies, Told};

const REPAIR: &str = "Each decision writes both in one statement: somebody else wrote to the store, or it is damaged \
    (`PRAGMA integrity_check`). `sugang rebuild` with the store's name makes its lists again from the events";

pub(super) fn orders(facts: &Facts) -> Vec<Violation> {
    let should =
        facts.order.history.orders.iter().filter_map(|(order, told)| Some((*order, order_row(told)?)));
    let wrong = differing(&facts.order.orders, should, OrderRow::differences);
    tell("orders-table", "order", about_order, wrong)
}

pub(super) fn pays(facts: &Facts) -> Vec<Violation> {
    let should =
        facts.pay.history.orders.iter().filter_map(|(order, told)| Some((*order, pay_row(*order, told)?)));
    let wrong = differing(&facts.pay.pays, should, PayRow::differences);
    tell("pays-table", "pay", about_order, wrong)
}

pub(super) fn reservations(facts: &Facts) -> Vec<Violation> {
    let histories = facts.reservation.history.orders.iter();
    let should = histories.filter_map(|(order, told)| Some((*order, reservation_row(told)?)));
    let wrong = differing(&facts.reservation.reservations, should, ReservationRow::differences);
    tell("reservations-table", "reservation", about_order, wrong)
}

pub(super) fn courses(facts: &Facts) -> Vec<Violation> {
    let histories = facts.reservation.history.courses.iter();
    let should = histories.filter_map(|(edu_no, told)| Some((*edu_no, course_row(told)?)));
    let wrong = differing(&facts.reservation.courses, should, CourseRow::differences);
    tell("courses-table", "reservation", about_course, wrong)
}

fn tell(
    invariant: &'static str,
    store: &str,
    about: fn(&'static str, u64, String) -> Violation,
    wrong: Vec<(u64, String)>,
) -> Vec<Violation> {
    let message =
        |what| format!("in the store `{store}` its row is not what its events say: {what}. {REPAIR}");
    wrong.into_iter().map(|(key, what)| about(invariant, key, message(what))).collect()
}

/// The keys whose rows differ from what they should be, with what differs in words.
pub(super) fn differing<T>(
    rows: &BTreeMap<u64, T>,
    should: impl Iterator<Item = (u64, T)>,
    differences: impl Fn(&T, &T) -> Vec<String>,
) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    let mut seen = 0_usize;
    let mut expected = std::collections::HashSet::new();
    for (key, should) in should {
        match rows.get(&key) {
            None => found.push((key, "it is missing".to_owned())),
            Some(row) => {
                seen += 1;
                let what = differences(row, &should);
                if !what.is_empty() {
                    found.push((key, what.join(", ")));
                }
            }
        }
        expected.insert(key);
    }
    if seen < rows.len() {
        let extra = rows.keys().filter(|key| !expected.contains(key));
        found.extend(extra.map(|key| (*key, "there are no events about it".to_owned())));
    }
    found
}

fn customer(applicant: &Applicant) -> Option<i64> {
    applicant.customer_id.map(CustomerId::as_i64)
}

fn guests(applicant: &Applicant) -> i64 {
    i64::try_from(applicant.guest.get()).unwrap_or(i64::MAX)
}

/// Of the last event; 0 where there is none.
pub(super) fn version(told: &[Told]) -> i64 {
    told.last().map_or(0, |told| i64::try_from(told.version).unwrap_or(i64::MAX))
}

pub(crate) fn order_row(told: &[Told]) -> Option<OrderRow> {
    let mut row = OrderRow { version: version(told), ..OrderRow::default() };
    for told in told {
        match &told.event {
            Event::Ordered(ordered) => {
                let applicant = &ordered.applicant;
                row = OrderRow {
                    customer_id: customer(applicant),
                    edu_no: applicant.edu_no.as_i64(),
                    guest: guests(applicant),
                    language: applicant.language.as_str().to_owned(),
                    card_last4: ordered.card_last4.clone(),
                    amount: ordered.amount.as_i64(),
                    course_title: ordered.course_title.clone(),
                    ordered_at: ordered.ordered_at.to_string(),
                    status: OrderStatus::Ordered.as_str().to_owned(),
                    ..row
                };
            }
            Event::OrderCanceled(canceled) => {
                row.status = OrderStatus::OrderCanceled.as_str().to_owned();
                row.cancel_reason = Some(canceled.reason.as_str().to_owned());
            }
            Event::PaymentDelayed(delayed) => row.delayed_at = i64::try_from(delayed.pay_version).ok(),
            _ => {}
        }
    }
    // A history that does not begin with the order is another rule's matter.
    matches!(told.first()?.event, Event::Ordered(_)).then_some(row)
}

pub(crate) fn pay_row(order: u64, told: &[Told]) -> Option<PayRow> {
    let mut row = PayRow::default();
    let mut declines = 0;
    for event in told.iter().map(|told| &told.event) {
        let applicant = event.applicant()?;
        let fresh = PayRow {
            customer_id: customer(applicant),
            edu_no: applicant.edu_no.as_i64(),
            guest: guests(applicant),
            language: applicant.language.as_str().to_owned(),
            ..PayRow::default()
        };
        row = match event {
            Event::Paid(paid) => PayRow {
                amount: paid.amount.as_i64(),
                status: PayStatus::Paid.as_str().to_owned(),
                card_last4: paid.card_last4.clone(),
                transaction_id: paid.transaction_id.clone(),
                // Attempts are numbered by the refusals before them; what costs nothing needs none.
                gateway_key: (paid.amount.as_i64() > 0).then(|| format!("{order}-{}", declines + 1)),
                paid_at: Some(paid.paid_at.to_string()),
                ..fresh
            },
            Event::PaymentDeclined(declined) => {
                declines += 1;
                PayRow {
                    amount: declined.amount.as_i64(),
                    status: PayStatus::PaymentDeclined.as_str().to_owned(),
                    card_last4: declined.card_last4.clone(),
                    ..fresh
                }
            }
            Event::PaymentCanceled(canceled) => {
                let was_paid = row.paid_at.is_some();
                let kept = if was_paid { row } else { PayRow { amount: canceled.amount.as_i64(), ..fresh } };
                PayRow {
                    status: PayStatus::PaymentCanceled.as_str().to_owned(),
                    gateway_key: None,
                    refunded_at: Some(canceled.refunded_at.to_string()),
                    ..kept
                }
            }
            _ => row,
        };
    }
    row.version = version(told);
    (!told.is_empty()).then_some(row)
}

pub(crate) fn reservation_row(told: &[Told]) -> Option<ReservationRow> {
    let applicant = told.first()?.event.applicant()?;
    let mut row = ReservationRow {
        customer_id: customer(applicant),
        edu_no: applicant.edu_no.as_i64(),
        guest: guests(applicant),
        language: applicant.language.as_str().to_owned(),
        version: version(told),
        ..ReservationRow::default()
    };
    for told in told {
        row.ticket = None;
        let status = match &told.event {
            Event::Reserved(reserved) => {
                row.reserved_at = Some(reserved.reserved_at.to_string());
                row.ticket =
                    (reserved.status == ReservationStatus::Waitlisted).then_some(told.inserted.cast_signed());
                reserved.status
            }
            Event::ReservationConfirmed(_) => ReservationStatus::ReservationConfirmed,
            Event::ReservationRejected(_) => ReservationStatus::ReservationRejected,
            _ => ReservationStatus::ReservationCanceled,
        };
        row.status = status.as_str().to_owned();
    }
    Some(row)
}

pub(crate) fn course_row(told: &[Told]) -> Option<CourseRow> {
    let terms = told.last()?.event.course()?;
    Some(CourseRow {
        title: terms.title.clone(),
        capacity: i64::from(terms.capacity),
        fee: terms.fee.as_i64(),
        approval: terms.approval.as_str().to_owned(),
        starts_at: terms.starts_at.to_string(),
        ends_at: terms.ends_at.to_string(),
        status: terms.status.as_str().to_owned(),
        version: version(told),
    })
}

/// What triggers count is what there is to count.
pub(super) fn tallies(facts: &Facts) -> Vec<Violation> {
    let orders = facts.order.orders.values().map(|row| format!("{} {}", row.edu_no, row.status));
    let pays = facts.pay.pays.values().map(|row| format!("{} {}", row.edu_no, row.status));
    let reservations =
        facts.reservation.reservations.values().map(|row| format!("{} {}", row.edu_no, row.status));
    let messages = facts.notification.messages.iter().map(|message| message.status.clone());
    let kinds = [
        ("order", "tallies", &facts.order.tallies, counted(orders)),
        ("pay", "tallies", &facts.pay.tallies, counted(pays)),
        ("reservation", "tallies", &facts.reservation.tallies, counted(reservations)),
        ("notification", "counts", &facts.notification.tallies, counted(messages)),
        ("information", "counts", &facts.information.tallies, view_tallies(facts)),
    ];
    let mut found = Vec::new();
    for (store, table, has, should) in kinds {
        for name in has.keys().chain(should.keys().filter(|name| !has.contains_key(*name))) {
            let (has, should) = (has.get(name).copied().unwrap_or(0), should.get(name).copied().unwrap_or(0));
            if has != should {
                let message = format!(
                    "it says {has} for `{name}`, and there are {should}: totals of lists are wrong. Set it right while the \
                     system is stopped (but for `notification`: `sugang rebuild {store}`)"
                );
                found.push(about("tallies", format!("the table {table} of the store {store}"), message));
            }
        }
    }
    found
}

fn counted(names: impl Iterator<Item = String>) -> Tallies {
    let mut tallies = Tallies::new();
    for name in names {
        *tallies.entry(name).or_default() += 1;
    }
    tallies
}

pub(crate) fn view_tallies(facts: &Facts) -> Tallies {
    let rows = facts.information.rows.values();
    counted(rows.flat_map(|row| {
        let statuses = [&row.order_status, &row.pay_status, &row.reservation_status];
        let always = ["all".to_owned(), format!("eduNo {}", row.edu_no)];
        always.into_iter().chain(statuses.into_iter().flatten().cloned())
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::{healthy, only};

    #[test]
    fn a_row_that_says_something_else_than_the_events_is_told() {
        let mut facts = healthy();
        facts.order.orders.get_mut(&1).unwrap().amount += 1;
        only(&facts, &["orders-table"], "order 1");
        let mut facts = healthy();
        facts.pay.pays.get_mut(&2).unwrap().refunded_at = None;
        only(&facts, &["pays-table"], "order 2");
        let mut facts = healthy();
        facts.reservation.reservations.get_mut(&4).unwrap().ticket = None;
        only(&facts, &["reservations-table"], "order 4");
        let mut facts = healthy();
        facts.reservation.courses.get_mut(&101).unwrap().fee = 1;
        only(&facts, &["courses-table"], "course 101");
    }

    #[test]
    fn a_row_that_is_missing_or_has_no_events_is_told() {
        let mut facts = healthy();
        let row = facts.pay.pays.remove(&1).unwrap();
        facts.pay.tallies.remove("101 Paid").unwrap();
        only(&facts, &["pays-table"], "order 1");
        let mut facts = healthy();
        facts.pay.pays.insert(99, row);
        *facts.pay.tallies.get_mut("101 Paid").unwrap() += 1;
        only(&facts, &["pays-table"], "order 99");
    }

    #[test]
    fn a_wrong_total_is_told() {
        let mut facts = healthy();
        *facts.notification.tallies.get_mut("Sent").unwrap() -= 1;
        only(&facts, &["tallies"], "notification");
    }

    #[test]
    fn what_costs_nothing_has_no_key_at_the_card_company() {
        let key = |amount: kernel::Won| {
            let mut told = healthy().pay.history.of(1).to_vec();
            let kernel::event::Event::Paid(paid) = &mut told[0].event else { panic!("order 1 is paid") };
            paid.amount = amount;
            super::pay_row(1, &told).unwrap().gateway_key
        };
        assert_eq!(key(kernel::Won::amount(1).unwrap()).as_deref(), Some("1-1"));
        assert_eq!(key(kernel::Won::ZERO), None);
    }
}
