//! What a decision sees, and what an event makes of it.

use super::{Command, Refusal, decide, seats};
use kernel::event::{Applicant, Course as Terms, Event};
use kernel::{EduNo, OrderId, ReservationStatus, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// A course with its seats and the front of its waiting list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Course {
    /// What it is and where it stands.
    pub(crate) terms: Terms,
    /// The number of its latest event.
    pub(crate) version: u64,
    /// Seats held by requested and confirmed reservations.
    pub(crate) taken: u32,
    /// How many orders wait, including those that are not in `waiting_list`.
    pub(crate) waiting: u64,
    /// The front of the waiting list, longest wait first; complete when as long as `waiting` says.
    pub(crate) waiting_list: VecDeque<OrderId>,
}

impl Course {
    /// Seats that nobody holds.
    pub(crate) const fn free(&self) -> u32 {
        self.terms.capacity.saturating_sub(self.taken)
    }
}

/// Where the seat of one order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// Whose.
    pub(crate) applicant: Applicant,
    /// Where it stands.
    pub(crate) status: ReservationStatus,
    /// The number of its latest event.
    pub(crate) version: u64,
}

/// An event with its place among the events of its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decided {
    /// Counted from 1 for each subject.
    pub(crate) version: u64,
    /// What happened.
    pub(crate) event: Event,
}

/// The courses and reservations that a decision needs to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By number.
    pub(crate) courses: BTreeMap<EduNo, Course>,
    /// By order. Every order in a course's `waiting_list` is here.
    pub(crate) reservations: BTreeMap<OrderId, Reservation>,
}

impl Snapshot {
    /// Decides a command and takes its events in, so that the next command sees them.
    pub(crate) fn handle(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Decided>, Refusal> {
        let events = decide(self, command, now)?;
        Ok(events.into_iter().map(|event| Decided { version: self.evolve(&event), event }).collect())
    }

    /// Takes an event in, and says which event of its subject it is.
    pub(crate) fn evolve(&mut self, event: &Event) -> u64 {
        if let Some(terms) = event.course() {
            return self.evolve_course(terms);
        }
        match (event.applicant(), status_after(event)) {
            (Some(applicant), Some(status)) => self.evolve_reservation(applicant, status),
            _ => 0,
        }
    }

    fn evolve_course(&mut self, terms: &Terms) -> u64 {
        let course = self.courses.entry(terms.edu_no).or_insert_with(|| Course {
            terms: terms.clone(),
            version: 0,
            taken: 0,
            waiting: 0,
            waiting_list: VecDeque::new(),
        });
        course.terms = terms.clone();
        course.version += 1;
        course.version
    }

    fn evolve_reservation(&mut self, applicant: &Applicant, status: ReservationStatus) -> u64 {
        let before = self.reservations.get(&applicant.order_id).map(|reservation| reservation.status);
        if let Some(course) = self.courses.get_mut(&applicant.edu_no) {
            recount(course, applicant, before, status);
        }
        let reservation = self.reservations.entry(applicant.order_id).or_insert_with(|| Reservation {
            applicant: applicant.clone(),
            status,
            version: 0,
        });
        reservation.status = status;
        reservation.version += 1;
        reservation.version
    }
}

/// Keeps a course's seats and waiting list in step with one reservation's change of status.
fn recount(
    course: &mut Course,
    applicant: &Applicant,
    before: Option<ReservationStatus>,
    after: ReservationStatus,
) {
    let guests = seats(applicant);
    if before.is_some_and(ReservationStatus::takes_seats) {
        course.taken = course.taken.saturating_sub(guests);
    }
    if after.takes_seats() {
        course.taken = course.taken.saturating_add(guests);
    }
    if before == Some(ReservationStatus::Waitlisted) {
        course.waiting = course.waiting.saturating_sub(1);
        course.waiting_list.retain(|waiter| *waiter != applicant.order_id);
    }
    if after == ReservationStatus::Waitlisted {
        // Whoever joins a list of which only the front is known stands behind people who are not in it.
        if course.waiting_list.len() as u64 == course.waiting {
            course.waiting_list.push_back(applicant.order_id);
        }
        course.waiting += 1;
    }
}

/// The status that an event leaves a reservation in.
const fn status_after(event: &Event) -> Option<ReservationStatus> {
    match event {
        Event::Reserved(reserved) => Some(reserved.status),
        Event::ReservationConfirmed(_) => Some(ReservationStatus::ReservationConfirmed),
        Event::ReservationRejected(_) => Some(ReservationStatus::ReservationRejected),
        Event::ReservationCanceled(_) => Some(ReservationStatus::ReservationCanceled),
        _ => None,
    }
}
