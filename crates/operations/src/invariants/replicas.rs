//! What one context keeps of what others have told.

use kernel::event::Event;

use super::{about_course, about_order};
use crate::check::Violation;
use crate::facts::{CourseCopies, Facts, ReplicaRow};

/// What `order` takes a payment to be is what `pay` has told last.
pub(super) fn payments(facts: &Facts) -> Vec<Violation> {
    let resting = facts.order.replicas.iter().filter(|(order, _)| facts.rests(**order));
    let violation = |(order, row): (&u64, &ReplicaRow)| {
        let should = replica(facts, *order);
        let what = row.differences(&should);
        (!what.is_empty()).then(|| {
            let message = format!(
                "what `order` knows of its payment is not what `pay` has told: {}. `sugang replay pay` tells it again",
                what.join(", ")
            );
            about_order("payment-replica", *order, message)
        })
    };
    resting.filter_map(violation).collect()
}

pub(crate) fn replica(facts: &Facts, order: u64) -> ReplicaRow {
    let told = facts.pay.history.of(order);
    let status = match told.last().map(|told| &told.event) {
        Some(Event::Paid(_)) => Some("Paid"),
        Some(Event::PaymentDeclined(_)) => Some("Payment Declined"),
        Some(Event::PaymentCanceled(_)) => Some("Payment Canceled"),
        _ => None,
    };
    ReplicaRow {
        pay_status: status.map(str::to_owned),
        pay_version: told.last().map_or(0, |told| i64::try_from(told.version).unwrap_or(i64::MAX)),
    }
}

/// Every copy of a course is of its latest event.
pub(super) fn courses(facts: &Facts) -> Vec<Violation> {
    let copies: [(&str, &CourseCopies); 3] = [
        ("order", &facts.order.courses),
        ("notification", &facts.notification.courses),
        ("information", &facts.information.courses),
    ];
    let mut found = Vec::new();
    for (edu_no, row) in facts.reservation.courses.iter().filter(|(edu_no, _)| facts.course_rests(**edu_no)) {
        for (context, copies) in copies {
            let problem = match copies.get(edu_no) {
                None => "has not heard of it".to_owned(),
                Some((version, title)) if *version != row.version || *title != row.title => {
                    format!(
                        "has its version {version} (`{title}`), and it is at {} (`{}`)",
                        row.version, row.title
                    )
                }
                Some(_) => continue,
            };
            let message = format!("`{context}` {problem}. `sugang replay reservation` tells it again");
            found.push(about_course("course-copies", *edu_no, message));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::testing::{healthy, only};

    #[test]
    fn a_payment_that_order_has_not_heard_of_is_told() {
        let mut facts = healthy();
        facts.order.replicas.get_mut(&1).unwrap().pay_status = Some("Payment Delayed".to_owned());
        only(&facts, &["payment-replica"], "order 1");
    }

    #[test]
    fn a_copy_of_a_course_that_stayed_behind_is_told() {
        let mut facts = healthy();
        facts.notification.courses.get_mut(&103).unwrap().0 = 0;
        only(&facts, &["course-copies"], "course 103");
    }

    #[test]
    fn a_context_that_has_not_heard_of_a_course_is_told() {
        for who in 0..3 {
            let mut facts = healthy();
            let copies =
                [&mut facts.order.courses, &mut facts.notification.courses, &mut facts.information.courses];
            copies.into_iter().nth(who).unwrap().remove(&103);
            only(&facts, &["course-copies"], "course 103");
        }
    }
}
