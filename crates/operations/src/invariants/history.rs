//! The audit log: without gaps, readable, and possible.

use std::collections::BTreeMap;

use kernel::ReservationStatus;
use kernel::event::Event;

use super::about;
use crate::check::Violation;
use crate::facts::{Facts, Told};

const RESTORE: &str = "Nothing of Sugang deletes or changes events: restore a backup, or find out who did";

/// Each subject's versions are 1, 2, 3, …, and each can be read.
pub(super) fn gap_free(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (context, history) in facts.histories() {
        let mut unreadable: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &history.unreadable {
            *unreadable.entry(row.subject.as_str()).or_default() += 1;
            let message = format!(
                "event {} of it in `{context}` cannot be read: {}. {RESTORE}",
                row.version, row.problem
            );
            found.push(about("history-readable", row.subject.clone(), message));
        }
        for told in history.subjects() {
            let Some(first) = told.first() else { continue };
            let subject = first.event.subject();
            // What is there and cannot be read is not missing.
            if unreadable.contains_key(subject.as_str()) {
                continue;
            }
            let versions: Vec<u64> = told.iter().map(|told| told.version).collect();
            let should: Vec<u64> = (1..=u64::try_from(told.len()).unwrap_or(u64::MAX)).collect();
            if versions != should {
                let message = format!(
                    "its events in `{context}` have the versions {versions:?}, which have gaps. {RESTORE}"
                );
                found.push(about("history-gap-free", name(first), message));
            }
        }
    }
    found
}

/// `order 1113`, `course 103`.
fn name(told: &Told) -> String {
    match (told.event.applicant(), told.event.course(), told.event.member()) {
        (Some(applicant), ..) => format!("order {}", applicant.order_id),
        (_, Some(course), _) => format!("course {}", course.edu_no),
        (_, _, Some(member)) => format!("member {member}"),
        (None, None, None) => String::new(),
    }
}

/// Each event may follow the one before it.
pub(super) fn possible(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    for (context, history) in facts.histories() {
        for told in history.subjects() {
            let mut before: Option<&Told> = None;
            for now in told {
                if !may_follow(before.map(|told| &told.event), &now.event) {
                    let after = before.map_or("nothing", |told| told.event.name());
                    let message = format!(
                        "its event {} in `{context}` is `{}` after {after}, which never happens. {RESTORE}",
                        now.version,
                        now.event.name()
                    );
                    found.push(about("history-possible", name(now), message));
                }
                before = Some(now);
            }
        }
    }
    found
}

fn may_follow(before: Option<&Event>, event: &Event) -> bool {
    use Event::{
        CourseCanceled, CourseChanged, CourseFinished, CourseOpened, CourseStarted, MemberChanged,
        MemberErased, MemberRegistered, OrderCanceled, Ordered, Paid, PaymentCanceled, PaymentDeclined,
        PaymentDelayed, ReservationCanceled, ReservationConfirmed, ReservationRejected, Reserved,
    };
    let waits = |reserved: &kernel::event::Reserved| reserved.status == ReservationStatus::Waitlisted;
    match (before, event) {
        (None, Ordered(_) | Paid(_) | PaymentDeclined(_) | PaymentCanceled(_)) => true,
        (None, Reserved(_) | ReservationRejected(_) | ReservationCanceled(_) | CourseOpened(_)) => true,
        (Some(Ordered(_) | PaymentDelayed(_)), PaymentDelayed(_) | OrderCanceled(_)) => true,
        (Some(PaymentDeclined(_)), Paid(_) | PaymentDeclined(_) | PaymentCanceled(_)) => true,
        (Some(Paid(_)), PaymentCanceled(_)) => true,
        (Some(Reserved(before)), Reserved(now)) => waits(before) && !waits(now),
        (Some(Reserved(before)), ReservationConfirmed(_)) => {
            before.status == ReservationStatus::ReservationRequested
        }
        (Some(Reserved(before)), ReservationRejected(_)) => {
            before.status != ReservationStatus::ReservationConfirmed
        }
        (Some(Reserved(_) | ReservationConfirmed(_)), ReservationCanceled(_)) => true,
        (
            Some(CourseOpened(_) | CourseChanged(_)),
            CourseChanged(_) | CourseStarted(_) | CourseCanceled(_),
        ) => true,
        (None, MemberRegistered(_)) => true,
        (Some(MemberRegistered(_) | MemberChanged(_)), MemberChanged(_) | MemberErased(_)) => true,
        (Some(CourseStarted(_)), CourseFinished(_) | CourseCanceled(_)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::Unreadable;
    use crate::testing::{healthy, only, order_canceled, ordered};

    #[test]
    fn a_missing_event_is_told() {
        let facts = healthy().with_history(|history| {
            let told = history.order.orders.get_mut(&5).unwrap();
            told.last_mut().unwrap().version += 1;
        });
        only(&facts, &["history-gap-free"], "order 5");
    }

    #[test]
    fn an_event_that_cannot_be_read_is_told() {
        let mut facts = healthy();
        let problem = "there is no event called `Refunded`".to_owned();
        facts.pay.history.unreadable.push(Unreadable { subject: "9".to_owned(), version: 1, problem });
        only(&facts, &["history-readable"], "9");
    }

    #[test]
    fn an_event_that_cannot_follow_is_told() {
        let facts = healthy().with_history(|history| {
            history.order(2, order_canceled(2, 101, 1));
            history.order(5, ordered(5, 101, 1));
        });
        only(&facts, &["history-possible"], "");
    }

    #[test]
    fn an_event_that_cannot_be_read_is_not_told_as_missing_too() {
        let mut facts = healthy().with_history(|history| {
            history.order.orders.get_mut(&5).unwrap().last_mut().unwrap().version += 1;
        });
        let problem = "there is no event called `Refunded`".to_owned();
        facts.order.history.unreadable.push(Unreadable { subject: "5".to_owned(), version: 2, problem });
        only(&facts, &["history-readable"], "5");
    }
}
