//! The waiting list: first come, first served, whatever the number of people.

use kernel::ReservationStatus;
use kernel::event::Event;

use super::seats::{Replay, in_order};
use super::{about_course, about_order};
use crate::check::Violation;
use crate::facts::Facts;

/// Whoever got a seat was at the head of the line, or there was none; whoever had to wait did not fit, or
/// others waited; and the course was open.
pub(super) fn served_in_order(facts: &Facts) -> Vec<Violation> {
    let mut replay = Replay::default();
    let mut found = Vec::new();
    for told in in_order(facts) {
        if let (Event::Reserved(reserved), Some(applicant)) = (&told.event, told.event.applicant())
            && let Some(course) = replay.courses.get(&applicant.edu_no.get())
        {
            let (order, edu_no) = (applicant.order_id.get(), applicant.edu_no);
            let guests = i64::try_from(applicant.guest.get()).unwrap_or(i64::MAX);
            let seated = reserved.status != ReservationStatus::Waitlisted;
            let problem = match course.line.first() {
                _ if !course.open => Some(format!("got a place in course {edu_no} while that was not open")),
                Some((head, _)) if seated && *head != order => Some(format!(
                    "got a seat in course {edu_no} before order {head}, which had waited for longer"
                )),
                None if !seated && guests <= course.capacity - course.taken => Some(format!(
                    "had to wait for course {edu_no}, although nobody else waited and {} seats were free",
                    course.capacity - course.taken
                )),
                _ => None,
            };
            if let Some(problem) = problem {
                let advice = "What was promised stands; whoever was passed over should be offered the next seat by hand";
                let message = format!("{problem} ({}). {advice}", told.time);
                found.push(about_order("waiting-list-order", order, message));
            }
        }
        replay.take_in(told);
    }
    found
}

/// The head of the line fits into no free seat, and nobody waits for a course that takes nobody any more.
pub(super) fn nobody_waits_for_a_free_seat(facts: &Facts) -> Vec<Violation> {
    let mut replay = Replay::default();
    in_order(facts).into_iter().for_each(|told| replay.take_in(told));
    let resting = replay.courses.iter().filter(|(edu_no, _)| facts.course_rests(**edu_no));
    let violation = |(edu_no, course): (&u64, &super::seats::Course)| {
        let (head, guests) = course.line.first()?;
        let free = course.capacity - course.taken;
        let why = if !course.open {
            "it takes nobody any more".to_owned()
        } else if *guests <= free {
            format!("{free} seats are free, and it asked for {guests}")
        } else {
            return None;
        };
        let message = format!(
            "order {head} still waits for it, although {why}. The worker of `reservation` settles this on every tick: \
             look whether it runs, and what it logs"
        );
        Some(about_course("waiting-list-settled", *edu_no, message))
    };
    resting.filter_map(violation).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{canceled, healthy, only, reserved};
    use kernel::ReservationStatus::{ReservationConfirmed, Waitlisted};

    #[test]
    fn somebody_who_was_passed_over_is_told() {
        let facts = healthy().with_history(|history| {
            history.leave(3, canceled(3, 103, 2));
            history.pay_and_order(6, 103, 1);
            history.reserve(6, reserved(6, 103, 1, ReservationConfirmed));
            history.reserve(4, reserved(4, 103, 1, ReservationConfirmed));
        });
        only(&facts, &["waiting-list-order"], "order 6");
    }

    #[test]
    fn a_free_seat_that_nobody_was_offered_is_told() {
        let facts = healthy().with_history(|history| {
            history.leave(3, canceled(3, 103, 2));
        });
        only(&facts, &["waiting-list-settled"], "course 103");
    }

    #[test]
    fn somebody_who_waits_without_need_is_told() {
        let facts = healthy().with_history(|history| {
            history.pay_and_order(6, 101, 1);
            history.reserve(6, reserved(6, 101, 1, Waitlisted));
        });
        only(&facts, &["waiting-list-order", "waiting-list-settled"], "");
    }

    #[test]
    fn whoever_waits_for_a_course_that_has_begun_is_told() {
        let facts = healthy().with_history(|history| history.start_course(103));
        only(&facts, &["waiting-list-settled"], "course 103");
    }

    #[test]
    fn a_seat_in_a_course_that_has_begun_is_told() {
        let facts = healthy().with_history(|history| {
            history.start_course(101);
            history.pay_and_order(6, 101, 1);
            history.reserve(6, reserved(6, 101, 1, ReservationConfirmed));
        });
        only(&facts, &["waiting-list-order"], "order 6");
    }
}
