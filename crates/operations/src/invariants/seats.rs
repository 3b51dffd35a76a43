//! Seats: how many are taken, and that there never were more than a course has.

use std::collections::BTreeMap;

use kernel::event::Event;

use super::about_course;
use crate::check::Violation;
use crate::facts::{Facts, Told};

/// A course's seats as its reservations have them: how many are taken, and how many orders wait.
fn counted(facts: &Facts) -> BTreeMap<u64, (i64, i64)> {
    let mut courses: BTreeMap<u64, (i64, i64)> = BTreeMap::new();
    for row in facts.reservation.reservations.values() {
        let Ok(edu_no) = u64::try_from(row.edu_no) else { continue };
        let (taken, waiting) = courses.entry(edu_no).or_default();
        match row.status.as_str() {
            "Reservation Requested" | "Reservation Confirmed" => *taken += row.guest,
            "Waitlisted" => *waiting += 1,
            _ => {}
        }
    }
    courses
}

/// What is taken is what requested and confirmed reservations hold, and no more than there is.
pub(super) fn seats_are_counted_and_not_oversold(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    let counted = counted(facts);
    for (edu_no, seats) in &facts.reservation.seats {
        let (taken, waiting) = counted.get(edu_no).copied().unwrap_or_default();
        if taken > seats.capacity {
            let message = format!(
                "{taken} seats are held by reservations, and it has only {}. Raise its capacity (PATCH /courses/{edu_no}), \
                 or agree with somebody on another course",
                seats.capacity
            );
            found.push(about_course("seats", *edu_no, message));
        } else if (seats.taken, seats.waiting) != (taken, waiting) {
            let message = format!(
                "it counts {} seats as taken and {} orders as waiting, but its reservations are {taken} and {waiting}. \
                 No one sells by the reservations: set `taken` and `waiting` of the table `courses` in the store \
                 `reservation` right while the system is stopped",
                seats.taken, seats.waiting
            );
            found.push(about_course("seats", *edu_no, message));
        }
    }
    found
}

/// The history of all seats, replayed in the order in which it was committed.
pub(super) fn no_seat_was_ever_oversold(facts: &Facts) -> Vec<Violation> {
    let mut replay = Replay::default();
    let mut found = BTreeMap::new();
    for told in in_order(facts) {
        replay.take_in(told);
        let Some(applicant) = told.event.applicant() else { continue };
        let edu_no = applicant.edu_no.get();
        let Some(course) = replay.courses.get(&edu_no) else { continue };
        if course.taken > course.capacity {
            found.entry(edu_no).or_insert_with(|| {
                let message = format!(
                    "at {} {} of {} seats were taken, by the event {}:{} of `reservation`. Somebody was promised a \
                     seat that there was not; look whether it was given back since",
                    told.time, course.taken, course.capacity, applicant.order_id, told.version
                );
                about_course("seats-ever", edu_no, message)
            });
        }
    }
    found.into_values().collect()
}

/// The events of `reservation` in the order in which they were committed.
pub(super) fn in_order(facts: &Facts) -> Vec<&Told> {
    let mut all: Vec<_> = facts.reservation.history.all().collect();
    all.sort_by_key(|told| told.inserted);
    all
}

/// The courses at one point of the history.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) courses: BTreeMap<u64, Course>,
    /// The seats that each order holds.
    held: BTreeMap<u64, i64>,
}

#[derive(Default)]
pub(super) struct Course {
    pub(super) capacity: i64,
    pub(super) taken: i64,
    pub(super) open: bool,
    /// Who waits, longest first, each with their guests.
    pub(super) line: Vec<(u64, i64)>,
}

impl Replay {
    pub(super) fn take_in(&mut self, told: &Told) {
        if let Some(terms) = told.event.course() {
            let course = self.courses.entry(terms.edu_no.get()).or_default();
            course.capacity = i64::from(terms.capacity);
            course.open = terms.status == kernel::CourseStatus::Open;
            return;
        }
        let Some(applicant) = told.event.applicant() else { return };
        let order = applicant.order_id.get();
        let guests = i64::try_from(applicant.guest.get()).unwrap_or(i64::MAX);
        let course = self.courses.entry(applicant.edu_no.get()).or_default();
        let waits = matches!(&told.event, Event::Reserved(reserved)
            if reserved.status == kernel::ReservationStatus::Waitlisted);
        let seated = match &told.event {
            Event::Reserved(_) => !waits,
            Event::ReservationConfirmed(_) => true,
            _ => false,
        };
        course.taken -= self.held.remove(&order).unwrap_or_default();
        course.line.retain(|(waiter, _)| *waiter != order);
        if seated {
            course.taken += guests;
            self.held.insert(order, guests);
        }
        if waits {
            course.line.push((order, guests));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{healthy, only, reserved};
    use kernel::ReservationStatus::ReservationConfirmed;

    #[test]
    fn a_seat_too_many_is_told() {
        let mut facts = healthy();
        facts.reservation.seats.get_mut(&103).unwrap().taken += 1;
        only(&facts, &["seats"], "course 103");
    }

    #[test]
    fn more_reservations_than_seats_are_told() {
        let mut facts = healthy();
        facts.reservation.seats.get_mut(&101).unwrap().capacity = 0;
        only(&facts, &["seats"], "course 101");
    }

    #[test]
    fn a_course_that_was_oversold_once_is_told_even_when_it_no_longer_is() {
        let facts = healthy().with_history(|history| {
            // Two seats, held by order 3 for two people; order 4 waits, and gets one all the same.
            history.reserve(4, reserved(4, 103, 1, ReservationConfirmed));
        });
        let told = crate::invariants::broken(&facts);
        assert!(told.iter().any(|v| v.invariant == "seats-ever" && v.message.contains("3 of 2")), "{told:?}");
    }
}
