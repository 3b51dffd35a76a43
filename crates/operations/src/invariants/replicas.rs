//! What one context keeps of what others have told.

use eventlog::topology::Consumer;
use kernel::event::Event;

use super::tables::version;
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
    ReplicaRow { pay_status: status.map(str::to_owned), pay_version: version(told) }
}

/// Every copy of a course is of the latest event that its context reacts to. It may be of a later one, that another
/// release of it reacted to.
pub(super) fn courses(facts: &Facts) -> Vec<Violation> {
    let copies: [(&str, &CourseCopies); 3] = [
        ("order", &facts.order.courses),
        ("notification", &facts.notification.courses),
        ("information", &facts.information.courses),
    ];
    let newest = |edu_no: &u64| facts.reservation.courses.get(edu_no).map_or(0, |row| row.version);
    let mut found = Vec::new();
    for (context, copies) in copies {
        let should = courses_of(facts, context);
        for (edu_no, (version, title)) in should.iter().filter(|(edu_no, _)| facts.course_rests(**edu_no)) {
            let problem = match copies.get(edu_no) {
                None => "has not heard of it".to_owned(),
                Some((has, called)) if !(*version..=newest(edu_no)).contains(has) || called != title => {
                    format!(
                        "has its version {has} (`{called}`), and was told its version {version} (`{title}`)"
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

/// The copies that `context` has when it has heard everything that it reacts to.
pub(crate) fn courses_of(facts: &Facts, context: &str) -> CourseCopies {
    let reacts =
        |event: &Event| Consumer::named(context).is_some_and(|it| it.reacts("reservation", event.name()));
    let copies = facts.reservation.history.courses.iter().filter_map(|(edu_no, told)| {
        let heard = told.iter().rfind(|told| reacts(&told.event))?;
        let title = heard.event.course()?.title.clone();
        Some((*edu_no, (i64::try_from(heard.version).ok()?, title)))
    });
    copies.collect()
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
    fn a_copy_need_not_be_of_an_event_that_its_context_passes_over() {
        let facts = healthy().with_history(|history| history.start_course(101));
        assert_eq!(facts.order.courses[&101].0, 1 + facts.notification.courses[&101].0);
        only(&facts, &[], "");
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
