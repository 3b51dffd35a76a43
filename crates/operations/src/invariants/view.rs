//! The view: what `information` shows is what the other contexts have told.

use kernel::event::{Applicant, Event};
use kernel::{CustomerId, OrderStatus, PayStatus, ReservationStatus};

use super::about_order;
use super::tables::{differing, version};
use crate::check::Violation;
use crate::facts::{Facts, Step, Told, ViewRow};

const REPAIR: &str = "`sugang rebuild information` makes the view again";

pub(super) fn rows(facts: &Facts) -> Vec<Violation> {
    let orders = histories(facts);
    let should = orders.iter().filter_map(|order| Some((*order, view_row(facts, *order)?)));
    let differ = differing(&facts.information.rows, should, ViewRow::differences);
    let resting = differ.into_iter().filter(|(order, _)| facts.rests(*order));
    let tell = |(order, what): (u64, String)| {
        about_order(
            "view",
            order,
            format!("`information` shows something else than was told: {what}. {REPAIR}"),
        )
    };
    resting.map(tell).collect()
}

pub(super) fn timelines(facts: &Facts) -> Vec<Violation> {
    let mut found: Vec<_> = facts
        .information
        .strange_steps
        .iter()
        .map(|(order, step)| {
            about_order(
                "timeline",
                *order,
                format!("its timeline has the line {step}, which nothing writes. {REPAIR}"),
            )
        })
        .collect();
    for order in histories(facts).into_iter().filter(|order| facts.rests(*order)) {
        let should = timeline(facts, order);
        let shown = facts.information.timelines.get(&order).map_or(&[][..], Vec::as_slice);
        if let Some(step) = should.iter().find(|step| shown.binary_search(step).is_err()) {
            let message = format!(
                "its timeline lacks the `{}` of `{}` (event {}). {REPAIR}",
                step.event, step.context, step.version
            );
            found.push(about_order("timeline", order, message));
        } else if shown.len() != should.len() {
            let message = format!(
                "its timeline has {} lines, and {} events happened. {REPAIR}",
                shown.len(),
                should.len()
            );
            found.push(about_order("timeline", order, message));
        }
    }
    found
}

/// Every order that any context has told of.
fn histories(facts: &Facts) -> std::collections::BTreeSet<u64> {
    facts.histories().into_iter().flat_map(|(_, history)| history.orders.keys().copied()).collect()
}

/// The events of one order as its timeline shows them, sorted as timelines are.
pub(crate) fn timeline(facts: &Facts, order: u64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (context, history) in facts.histories() {
        steps.extend(history.of(order).iter().filter_map(|told| {
            let status = match &told.event {
                Event::PaymentDelayed(_) => PayStatus::PaymentDelayed.as_str(),
                Event::Ordered(_) | Event::OrderCanceled(_) => order_status(told)?,
                _ => pay_status(told).or_else(|| seat(told).map(|(status, _)| status.as_str()))?,
            };
            Some(Step { context, version: told.version, event: told.event.name(), status, time: told.time })
        }));
    }
    steps.sort();
    steps
}

const fn order_status(told: &Told) -> Option<&'static str> {
    match &told.event {
        Event::Ordered(_) | Event::PaymentDelayed(_) => Some(OrderStatus::Ordered.as_str()),
        Event::OrderCanceled(_) => Some(OrderStatus::OrderCanceled.as_str()),
        _ => None,
    }
}

const fn pay_status(told: &Told) -> Option<&'static str> {
    match &told.event {
        Event::Paid(_) => Some(PayStatus::Paid.as_str()),
        Event::PaymentDeclined(_) => Some(PayStatus::PaymentDeclined.as_str()),
        Event::PaymentCanceled(_) => Some(PayStatus::PaymentCanceled.as_str()),
        _ => None,
    }
}

const fn seat(told: &Told) -> Option<(ReservationStatus, Option<u64>)> {
    match &told.event {
        Event::Reserved(reserved) => Some((reserved.status, reserved.waiting_position)),
        Event::ReservationConfirmed(_) => Some((ReservationStatus::ReservationConfirmed, None)),
        Event::ReservationRejected(_) => Some((ReservationStatus::ReservationRejected, None)),
        Event::ReservationCanceled(_) => Some((ReservationStatus::ReservationCanceled, None)),
        _ => None,
    }
}

/// The row that an order's whole history comes to.
pub(crate) fn view_row(facts: &Facts, order: u64) -> Option<ViewRow> {
    let [ordered, paid, reserved, _] = facts.histories().map(|(_, history)| history.of(order));
    let all = || ordered.iter().chain(paid).chain(reserved);
    let placed = ordered.iter().find_map(|told| match &told.event {
        Event::Ordered(placed) => Some(placed),
        _ => None,
    });
    // A delay counts until `pay` tells more than was known when the payment was delayed.
    let delayed = ordered.iter().filter_map(|told| match &told.event {
        Event::PaymentDelayed(delayed) => Some(delayed.pay_version),
        _ => None,
    });
    let delayed = delayed.max() >= Some(paid.last().map_or(0, |told| told.version));
    let (status, position) = reserved.last().and_then(seat).unzip();
    let applicant = applicant(facts, order, all())?;
    Some(ViewRow {
        customer_id: applicant.customer_id.map(CustomerId::as_i64),
        edu_no: applicant.edu_no.as_i64(),
        guest: i64::try_from(applicant.guest.get()).unwrap_or(i64::MAX),
        course_title: placed.map(|placed| placed.course_title.clone()),
        amount: placed.map(|placed| placed.amount.as_i64()),
        order_version: version(ordered),
        order_status: ordered.last().and_then(order_status).map(str::to_owned),
        pay_version: version(paid),
        pay_status: if delayed {
            Some(PayStatus::PaymentDelayed.as_str().to_owned())
        } else {
            paid.last().and_then(pay_status).map(str::to_owned)
        },
        reservation_version: version(reserved),
        reservation_status: status.map(|status| status.as_str().to_owned()),
        waiting_position: position.flatten().and_then(|position| i64::try_from(position).ok()),
        updated_at: all().map(|told| told.time).max()?.to_string(),
    })
}

/// Who applied, as any of the events says it: the view takes it from the one it hears first.
fn applicant<'a>(facts: &Facts, order: u64, events: impl Iterator<Item = &'a Told>) -> Option<&'a Applicant> {
    let shown = facts.information.rows.get(&order);
    let mut first = None;
    for applicant in events.filter_map(|told| told.event.applicant()) {
        let same = shown.is_some_and(|row| {
            row.customer_id == applicant.customer_id.map(CustomerId::as_i64)
                && row.edu_no == applicant.edu_no.as_i64()
        });
        if same {
            return Some(applicant);
        }
        first = first.or(Some(applicant));
    }
    first
}

#[cfg(test)]
mod tests {
    use super::{rows, timelines};
    use crate::facts::Facts;
    use crate::load::{Snapshot, information_store};
    use crate::testing::{applicant, healthy, only, ordered, reserved, stores_in};
    use eventlog::{Envelope, Worker};
    use kernel::event::{Event, PaymentDeclined, ReservationConfirmed, ReservationRejected};
    use kernel::{ReservationStatus, Won};
    use store::native::{Sqlite, at_once};

    /// Beside what a healthy system has: 6 confirmed by its manager, 7 rejected, 8 declined.
    fn eventful() -> Facts {
        let applicant = |order| applicant(order, 101, 1);
        healthy().with_history(|all| {
            for order in [6, 7] {
                all.pay_and_order(order, 101, 1);
                all.reserve(order, reserved(order, 101, 1, ReservationStatus::ReservationRequested));
            }
            all.reserve(6, Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant(6) }));
            let rejected = ReservationRejected { applicant: applicant(7), reason: "full".to_owned() };
            all.leave(7, Event::ReservationRejected(rejected));
            all.order(8, ordered(8, 101, 1));
            let (amount, reason) = (Won::amount(10_000).unwrap(), "no".to_owned());
            all.pay(
                8,
                Event::PaymentDeclined(PaymentDeclined {
                    applicant: applicant(8),
                    amount,
                    card_last4: None,
                    reason,
                }),
            );
        })
    }

    #[test]
    fn what_is_expected_is_what_information_makes_of_the_events() {
        let mut facts = eventful();
        let mut told = Vec::new();
        for (context, history) in facts.histories() {
            let events = history.all();
            told.extend(
                events.map(|told| Envelope::new(context, told.version, told.time, told.event.clone())),
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let storage = Sqlite::file(stores.path("information").unwrap(), &information::DATABASE).unwrap();
        at_once(information::View { storage: &storage, contract_records_days: 1827 }.handle(&told))
            .unwrap()
            .unwrap();
        facts.information = information_store(&Snapshot::take(&stores, "information").unwrap()).unwrap();
        assert_eq!((rows(&facts), timelines(&facts)), (vec![], vec![]));
        assert_eq!(facts.information.rows.len(), 8);
    }

    #[test]
    fn a_row_that_was_deleted_or_changed_is_told() {
        let mut facts = healthy();
        facts.information.rows.get_mut(&3).unwrap().guest += 1;
        only(&facts, &["view"], "order 3");
        let mut facts = healthy();
        facts.information.rows.get_mut(&3).unwrap().updated_at = String::new();
        only(&facts, &["view"], "order 3");
        let mut facts = healthy();
        facts.information.rows.remove(&3);
        facts.information.tallies = crate::invariants::tables::view_tallies(&facts);
        only(&facts, &["view"], "order 3");
    }

    #[test]
    fn a_line_missing_from_a_timeline_is_told() {
        let mut facts = healthy();
        facts.information.timelines.get_mut(&2).unwrap().pop();
        only(&facts, &["timeline"], "order 2");
        let mut facts = healthy();
        facts.information.strange_steps.push((2, "`order` `Refunded` `` ``".to_owned()));
        only(&facts, &["timeline"], "order 2");
    }

    #[test]
    fn a_view_that_is_a_moment_late_is_not_wrong() {
        let facts = healthy().busy(|facts| facts.information.timelines.get_mut(&2).unwrap().clear(), 2);
        only(&facts, &[], "");
    }
}
