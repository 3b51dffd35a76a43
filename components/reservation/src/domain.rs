//! What `reservation` decides: who gets a seat, who waits, who moves up, and what becomes of a course.
//!
//! Pure: a [`Snapshot`] holds what has been loaded, [`decide`] answers a [`Command`] with the events that follow
//! from it (or a [`Refusal`]), and [`Snapshot::evolve`] takes an event in. No clock, no SQL, no HTTP.
//!
//! The rules that are easy to break, and are therefore kept in one place:
//! - a seat is taken only by a paid order, once, and never above the course's capacity;
//! - the waiting list is strictly first come, first served: while anybody waits, nobody else gets a free seat,
//!   and a head that does not fit yet holds up whoever is behind it;
//! - what ended (rejected, canceled) stays ended, whatever arrives late or twice.
//!
//! A snapshot may know only the front of a waiting list ([`Course::waiting_list`]). Whatever is decided is then still
//! right; those behind move up with the next [`Command::Settle`].

use kernel::event::{
    Applicant, CancelReason, Course as Terms, Event, ReservationCanceled, ReservationConfirmed,
    ReservationRejected, Reserved,
};
use kernel::{Approval, CourseStatus, EduNo, OrderId, ReservationStatus, Timestamp};

mod snapshot;
mod terms;
#[cfg(test)]
mod tests;

pub(crate) use snapshot::{Course, Decided, Reservation, Snapshot};
pub(crate) use terms::{Capacity, Changes, Managers, NewCourse, Title};

/// What is asked of this context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Open(EduNo, NewCourse),
    /// Change an open course, start, finish or cancel one, or both at once.
    Change(EduNo, Changes),
    /// An order was paid: give it a seat, or a place on the waiting list.
    Reserve(Applicant),
    /// An order was canceled: free its seat, or remember that it must never get one.
    Cancel(Applicant, CancelReason),
    /// The course manager gives a reservation another status: confirms it or turns it down.
    Judge(OrderId, ReservationStatus),
    /// Finish what a course's present state asks for: whoever waits moves up while it is open, is turned down
    /// once it has started, and everyone is released when it is canceled. As far as the snapshot has them loaded.
    Settle(EduNo),
}

impl Command {
    /// The order that it is about, if it is about one.
    pub(crate) const fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Reserve(applicant) | Self::Cancel(applicant, _) => Some(applicant.order_id),
            Self::Judge(order_id, _) => Some(*order_id),
            Self::Open(..) | Self::Change(..) | Self::Settle(_) => None,
        }
    }

    /// The course that it names; judging is about the course of the reservation.
    pub(crate) const fn edu_no(&self) -> Option<EduNo> {
        match self {
            Self::Reserve(applicant) | Self::Cancel(applicant, _) => Some(applicant.edu_no),
            Self::Open(edu_no, _) | Self::Change(edu_no, _) | Self::Settle(edu_no) => Some(*edu_no),
            Self::Judge(..) => None,
        }
    }

    /// Whether somebody may move up because of it, so that the snapshot should know who waits.
    pub(crate) const fn concerns_the_waiting_list(&self) -> bool {
        matches!(
            self,
            Self::Change(..)
                | Self::Cancel(..)
                | Self::Judge(_, ReservationStatus::ReservationRejected)
                | Self::Settle(_)
        )
    }
}

/// Why a command is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no course {0}")]
    UnknownCourse(EduNo),
    /// The number is taken by a course with other terms.
    #[error("course {} exists with other terms", .0.edu_no)]
    CourseDiffers(Box<Terms>),
    /// The course is past the point where this can be done.
    #[error("the course is `{present}`")]
    CourseClosed { present: CourseStatus },
    /// A course does not go from where it stands to there.
    #[error("a course that is `{present}` cannot become `{asked}`")]
    CourseTransition { present: CourseStatus, asked: CourseStatus },
    /// More people have a seat than the course would then take.
    #[error("{taken} seats are taken")]
    CapacityBelowTaken { taken: u32 },
    #[error("a course ends after it starts")]
    EndsBeforeStart,
    /// Who confirms is settled when a course opens.
    #[error("approval cannot be changed once the course is open")]
    ApprovalFixed,
    #[error("there is no reservation for order {0}")]
    UnknownReservation(OrderId),
    /// A reservation does not go from where it stands to there.
    #[error("a reservation that is `{present}` cannot become `{asked}`")]
    ReservationTransition { present: ReservationStatus, asked: ReservationStatus },
}

/// What follows from a command; no events where there is nothing left to do.
pub(crate) fn decide(snapshot: &Snapshot, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Open(edu_no, course) => open(snapshot, *edu_no, course),
        Command::Change(edu_no, changes) => change(snapshot, *edu_no, changes, now),
        Command::Reserve(applicant) => Ok(reserve(snapshot, applicant, now)),
        Command::Cancel(applicant, reason) => Ok(cancel(snapshot, applicant, *reason, now)),
        Command::Judge(order_id, to) => judge(snapshot, *order_id, *to, now),
        Command::Settle(edu_no) => Ok(settle(snapshot, *edu_no, now)),
    }
}

fn open(snapshot: &Snapshot, edu_no: EduNo, new: &NewCourse) -> Result<Vec<Event>, Refusal> {
    if new.ends_at <= new.starts_at {
        return Err(Refusal::EndsBeforeStart);
    }
    let terms = new.terms(edu_no);
    match snapshot.courses.get(&edu_no) {
        None => Ok(vec![Event::CourseOpened(terms)]),
        // Asked for again: the same course, however far it has got since.
        Some(course) if (Terms { status: course.terms.status, ..terms }) == course.terms => Ok(vec![]),
        Some(course) => Err(Refusal::CourseDiffers(Box::new(course.terms.clone()))),
    }
}

fn change(
    snapshot: &Snapshot,
    edu_no: EduNo,
    changes: &Changes,
    now: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    let course = snapshot.courses.get(&edu_no).ok_or(Refusal::UnknownCourse(edu_no))?;
    let present = &course.terms;
    if changes.approval.is_some_and(|approval| approval != present.approval) {
        return Err(Refusal::ApprovalFixed);
    }
    let terms = changes.to_terms(present);
    let mut events = vec![];
    if terms != *present {
        let managers = present.managers.clone();
        let only_managers = (Terms { managers, ..terms.clone() }) == *present;
        let may_change = match present.status {
            CourseStatus::Open => true,
            CourseStatus::Started => only_managers,
            CourseStatus::Finished | CourseStatus::CourseCanceled => false,
        };
        if !may_change {
            return Err(Refusal::CourseClosed { present: present.status });
        }
        if terms.ends_at <= terms.starts_at {
            return Err(Refusal::EndsBeforeStart);
        }
        if terms.capacity < course.taken {
            return Err(Refusal::CapacityBelowTaken { taken: course.taken });
        }
        events.push(Event::CourseChanged(terms.clone()));
        if !only_managers {
            events.extend(move_up(snapshot, course, &terms, Seats { freed: 0, leaving: None }, now));
        }
    }
    // A client that sends the whole course back, changed in one field, does not ask for the status that it has.
    match changes.status {
        Some(to) if to != present.status || *changes == Changes::to(to) => events.push(advance(terms, to)?),
        _ => {}
    }
    Ok(events)
}

fn advance(terms: Terms, to: CourseStatus) -> Result<Event, Refusal> {
    let present = terms.status;
    let terms = Terms { status: to, ..terms };
    match (present, to) {
        (CourseStatus::Open, CourseStatus::Started) => Ok(Event::CourseStarted(terms)),
        (CourseStatus::Started, CourseStatus::Finished) => Ok(Event::CourseFinished(terms)),
        (CourseStatus::Open | CourseStatus::Started, CourseStatus::CourseCanceled) => {
            Ok(Event::CourseCanceled(terms))
        }
        (present, asked) => Err(Refusal::CourseTransition { present, asked }),
    }
}

fn reserve(snapshot: &Snapshot, applicant: &Applicant, now: Timestamp) -> Vec<Event> {
    if snapshot.reservations.contains_key(&applicant.order_id) {
        // Heard before, or canceled before it was paid.
        return vec![];
    }
    let Some(course) = snapshot.courses.get(&applicant.edu_no) else {
        return vec![rejected(applicant, "unknown-course")];
    };
    if let Some(reason) = closed(course.terms.status) {
        return vec![rejected(applicant, reason)];
    }
    if seats(applicant) > course.terms.capacity {
        return vec![rejected(applicant, TOO_MANY_GUESTS)];
    }
    if course.waiting > 0 || seats(applicant) > course.free() {
        return vec![reserved(applicant, ReservationStatus::Waitlisted, Some(course.waiting + 1), now)];
    }
    vec![reserved(applicant, seated(&course.terms), None, now)]
}

fn cancel(snapshot: &Snapshot, applicant: &Applicant, reason: CancelReason, now: Timestamp) -> Vec<Event> {
    match snapshot.reservations.get(&applicant.order_id) {
        None if faults::guard("reservation.remembered") => vec![canceled(applicant, reason)],
        None => vec![],
        Some(reservation) if !is_living(reservation.status) => vec![],
        Some(reservation) => leave(snapshot, reservation, canceled(&reservation.applicant, reason), now),
    }
}

fn judge(
    snapshot: &Snapshot,
    order_id: OrderId,
    to: ReservationStatus,
    now: Timestamp,
) -> Result<Vec<Event>, Refusal> {
    use ReservationStatus::{ReservationConfirmed as Confirmed, ReservationRejected as Rejected};
    use ReservationStatus::{ReservationRequested as Requested, Waitlisted};
    let reservation = snapshot.reservations.get(&order_id).ok_or(Refusal::UnknownReservation(order_id))?;
    let applicant = &reservation.applicant;
    match (reservation.status, to) {
        (Requested, Confirmed) => match snapshot.courses.get(&applicant.edu_no) {
            // Everyone is about to be released; confirming it now would only tell the customer two stories.
            Some(course) if course.terms.status == CourseStatus::CourseCanceled => {
                Err(Refusal::CourseClosed { present: course.terms.status })
            }
            _ => Ok(vec![Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant.clone() })]),
        },
        (Requested | Waitlisted, Rejected) => {
            Ok(leave(snapshot, reservation, rejected(applicant, "rejected-by-manager"), now))
        }
        (present, asked) => Err(Refusal::ReservationTransition { present, asked }),
    }
}

fn settle(snapshot: &Snapshot, edu_no: EduNo, now: Timestamp) -> Vec<Event> {
    let Some(course) = snapshot.courses.get(&edu_no) else { return vec![] };
    let of_course =
        snapshot.reservations.values().filter(|reservation| reservation.applicant.edu_no == edu_no);
    match (course.terms.status, closed(course.terms.status)) {
        (CourseStatus::CourseCanceled, _) => of_course
            .filter(|reservation| is_living(reservation.status))
            .map(|reservation| canceled(&reservation.applicant, CancelReason::CourseCanceled))
            .collect(),
        (_, Some(reason)) => of_course
            .filter(|reservation| reservation.status == ReservationStatus::Waitlisted)
            .map(|reservation| rejected(&reservation.applicant, reason))
            .collect(),
        (_, None) => move_up(snapshot, course, &course.terms, Seats { freed: 0, leaving: None }, now),
    }
}

/// A living reservation ends with `ending`, and whoever waits moves up into what it leaves.
fn leave(snapshot: &Snapshot, reservation: &Reservation, ending: Event, now: Timestamp) -> Vec<Event> {
    let freed = if reservation.status.takes_seats() { seats(&reservation.applicant) } else { 0 };
    let seats = Seats { freed, leaving: Some(reservation.applicant.order_id) };
    let moved_up = match snapshot.courses.get(&reservation.applicant.edu_no) {
        Some(course) => move_up(snapshot, course, &course.terms, seats, now),
        None => vec![],
    };
    std::iter::once(ending).chain(moved_up).collect()
}

/// What changed about a course's seats in the decision being made, before the snapshot has taken it in.
struct Seats {
    freed: u32,
    /// Who no longer waits.
    leaving: Option<OrderId>,
}

/// Offers the free seats of an open course to the head of its waiting list, as long as each next head fits. Who
/// could never fit (the capacity was lowered below their number) is turned down instead of blocking the rest.
fn move_up(
    snapshot: &Snapshot,
    course: &Course,
    terms: &Terms,
    seats_now: Seats,
    now: Timestamp,
) -> Vec<Event> {
    if terms.status != CourseStatus::Open {
        return vec![];
    }
    let mut free = terms.capacity.saturating_sub(course.taken).saturating_add(seats_now.freed);
    let mut blocked = false;
    let mut events = vec![];
    let waiters = course.waiting_list.iter().filter(|waiter| Some(**waiter) != seats_now.leaving);
    for reservation in waiters.filter_map(|waiter| snapshot.reservations.get(waiter)) {
        let applicant = &reservation.applicant;
        let wanted = seats(applicant);
        if wanted > terms.capacity {
            events.push(rejected(applicant, TOO_MANY_GUESTS));
        } else if !blocked && wanted <= free {
            free -= wanted;
            events.push(reserved(applicant, seated(terms), None, now));
        } else {
            blocked = true;
        }
    }
    events
}

/// Why an application is turned down that is for more people than the whole course takes.
const TOO_MANY_GUESTS: &str = "too-many-guests";

/// Why a course takes no applications; none while it does.
const fn closed(status: CourseStatus) -> Option<&'static str> {
    match status {
        CourseStatus::Open => None,
        CourseStatus::Started => Some("course-started"),
        CourseStatus::Finished => Some("course-finished"),
        CourseStatus::CourseCanceled => Some("course-canceled"),
    }
}

/// What a free seat is worth: the course manager's decision, or already the confirmation.
const fn seated(terms: &Terms) -> ReservationStatus {
    match terms.approval {
        Approval::Manual => ReservationStatus::ReservationRequested,
        Approval::Automatic => ReservationStatus::ReservationConfirmed,
    }
}

/// Whether a reservation has, or may still get, a seat.
pub(crate) const fn is_living(status: ReservationStatus) -> bool {
    status.takes_seats() || matches!(status, ReservationStatus::Waitlisted)
}

/// Every guest needs a seat. At most 20, so the conversion keeps the number.
const fn seats(applicant: &Applicant) -> u32 {
    applicant.guest.get() as u32
}

fn reserved(
    applicant: &Applicant,
    status: ReservationStatus,
    waiting_position: Option<u64>,
    reserved_at: Timestamp,
) -> Event {
    Event::Reserved(Reserved { applicant: applicant.clone(), status, waiting_position, reserved_at })
}

fn rejected(applicant: &Applicant, reason: &str) -> Event {
    Event::ReservationRejected(ReservationRejected {
        applicant: applicant.clone(),
        reason: reason.to_owned(),
    })
}

fn canceled(applicant: &Applicant, reason: CancelReason) -> Event {
    Event::ReservationCanceled(ReservationCanceled { applicant: applicant.clone(), reason })
}
