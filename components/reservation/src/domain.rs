//! What `reservation` decides: who gets a seat, who waits, who moves up, and what becomes of a course.
//!
//! Pure: a [`Desk`] holds what has been loaded, [`decide`] answers a [`Command`] with the events that follow
//! from it (or a [`Refusal`]), and [`Desk::apply`] takes an event in. No clock, no SQL, no HTTP.
//!
//! The rules that are easy to break, and are therefore kept in one place:
//! - a seat is taken only by a paid order, once, and never above the course's capacity;
//! - the waiting list is strictly first come, first served: while anybody waits, nobody else gets a free seat,
//!   and a head that does not fit yet holds up whoever is behind it;
//! - what ended (rejected, canceled) stays ended, whatever arrives late or twice.
//!
//! A desk may know only the front of a waiting list ([`Course::line`]). Whatever is decided is then still right;
//! those behind move up with the next [`Command::Settle`].

use kernel::event::{
    Applicant, CancelReason, Course as Terms, Event, ReservationCanceled, ReservationConfirmed,
    ReservationRejected, Reserved,
};
use kernel::{Approval, CourseStatus, EduNo, Invalid, OrderId, ReservationStatus, Timestamp, Won};
use std::collections::{BTreeMap, VecDeque};

#[cfg(test)]
mod tests;

/// What a course is called: 1 to 200 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// The most characters a title may have: what fits a KakaoTalk message beside the rest of it.
    const MAX_CHARS: usize = 200;

    /// Space around the title is dropped.
    pub fn parse(raw: &str) -> Result<Self, Invalid> {
        let title = raw.trim();
        if title.is_empty() || title.chars().count() > Self::MAX_CHARS || title.contains(char::is_control) {
            let problem = format!("must be 1 to {} characters without control characters", Self::MAX_CHARS);
            return Err(Invalid::new("title", problem));
        }
        Ok(Self(title.to_owned()))
    }
}

/// How many people a course takes: 1 to 100,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity(u32);

impl Capacity {
    /// The largest course.
    pub const MAX: u32 = 100_000;

    /// From 1 to [`Capacity::MAX`].
    pub fn parse(raw: u64) -> Result<Self, Invalid> {
        match u32::try_from(raw) {
            Ok(seats @ 1..=Self::MAX) => Ok(Self(seats)),
            _ => Err(Invalid::new("capacity", format!("must be an integer from 1 to {}", Self::MAX))),
        }
    }
}

/// A course to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCourse {
    /// What it is called.
    pub title: Title,
    /// How many people it takes.
    pub capacity: Capacity,
    /// What one person pays.
    pub fee: Won,
    /// Who confirms its reservations.
    pub approval: Approval,
    /// When it begins.
    pub starts_at: Timestamp,
    /// When it ends: later than it begins.
    pub ends_at: Timestamp,
}

/// What to change in a course; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What it is called.
    pub title: Option<Title>,
    /// How many people it takes; not fewer than have a seat.
    pub capacity: Option<Capacity>,
    /// What one person pays. Orders already taken keep their price.
    pub fee: Option<Won>,
    /// When it begins.
    pub starts_at: Option<Timestamp>,
    /// When it ends.
    pub ends_at: Option<Timestamp>,
}

/// What is asked of the desk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a course for applications.
    Open(EduNo, NewCourse),
    /// Change an open course.
    Change(EduNo, Changes),
    /// Start, finish or cancel a course.
    Move(EduNo, CourseStatus),
    /// An order was paid: give it a seat, or a place in line.
    Reserve(Applicant),
    /// An order was canceled: free its seat, or remember that it must never get one.
    Cancel(Applicant, CancelReason),
    /// The course manager confirms a reservation.
    Confirm(OrderId),
    /// The course manager turns a reservation down.
    Reject(OrderId),
    /// Go on with the commands that follow only if this is still the course's latest version.
    CourseAt(EduNo, u64),
    /// Go on with the commands that follow only if this is still the reservation's latest version.
    ReservationAt(OrderId, u64),
    /// Finish what a course's present state asks for: whoever waits moves up while it is open, is turned down
    /// once it has started, and everyone is released when it is canceled. As far as the desk has them loaded.
    Settle(EduNo),
}

impl Command {
    /// The order that it is about, if it is about one.
    pub const fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Reserve(applicant) | Self::Cancel(applicant, _) => Some(applicant.order_id),
            Self::Confirm(order_id) | Self::Reject(order_id) | Self::ReservationAt(order_id, _) => {
                Some(*order_id)
            }
            Self::Open(..) | Self::Change(..) | Self::Move(..) | Self::CourseAt(..) | Self::Settle(_) => None,
        }
    }

    /// The course that it names; confirming and rejecting are about the course of their reservation.
    pub const fn edu_no(&self) -> Option<EduNo> {
        match self {
            Self::Reserve(applicant) | Self::Cancel(applicant, _) => Some(applicant.edu_no),
            Self::Open(edu_no, _)
            | Self::Change(edu_no, _)
            | Self::Move(edu_no, _)
            | Self::CourseAt(edu_no, _)
            | Self::Settle(edu_no) => Some(*edu_no),
            Self::Confirm(_) | Self::Reject(_) | Self::ReservationAt(..) => None,
        }
    }

    /// Whether somebody may move up because of it, so that the desk should know who waits.
    pub const fn concerns_the_line(&self) -> bool {
        matches!(self, Self::Change(..) | Self::Cancel(..) | Self::Reject(_) | Self::Settle(_))
    }
}

/// What the desk says no to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such course.
    #[error("there is no course {0}")]
    UnknownCourse(EduNo),
    /// The number is taken by a course with other terms.
    #[error("course {} exists with other terms", .0.edu_no)]
    CourseDiffers(Box<Terms>),
    /// The course is past the point where this can be done.
    #[error("the course is `{present}`")]
    CourseClosed {
        /// Where the course stands.
        present: CourseStatus,
    },
    /// A course does not go from where it stands to there.
    #[error("a course that is `{present}` cannot become `{asked}`")]
    CourseTransition {
        /// Where the course stands.
        present: CourseStatus,
        /// What was asked for.
        asked: CourseStatus,
    },
    /// More people have a seat than the course would then take.
    #[error("{taken} seats are taken")]
    CapacityBelowTaken {
        /// How many seats are taken.
        taken: u32,
    },
    /// A course ends after it starts.
    #[error("a course ends after it starts")]
    EndsBeforeStart,
    /// What the command was made for has changed since.
    #[error("it has changed since version {expected}")]
    Changed {
        /// The version that the command was made for.
        expected: u64,
    },
    /// There is no such reservation.
    #[error("there is no reservation for order {0}")]
    UnknownReservation(OrderId),
    /// A reservation does not go from where it stands to there.
    #[error("a reservation that is `{present}` cannot become `{asked}`")]
    ReservationTransition {
        /// Where the reservation stands.
        present: ReservationStatus,
        /// What was asked for.
        asked: ReservationStatus,
    },
}

/// A course with its seats and the front of its waiting list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// What it is and where it stands.
    pub terms: Terms,
    /// The number of its latest event.
    pub version: u64,
    /// Seats held by requested and confirmed reservations.
    pub taken: u32,
    /// How many orders wait, including those that are not in `line`.
    pub waiting: u64,
    /// The front of the waiting list, longest wait first; complete when as long as `waiting` says.
    pub line: VecDeque<OrderId>,
}

impl Course {
    /// Seats that nobody holds.
    pub const fn free(&self) -> u32 {
        self.terms.capacity.saturating_sub(self.taken)
    }
}

/// Where the seat of one order stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub applicant: Applicant,
    /// Where it stands.
    pub status: ReservationStatus,
    /// The number of its latest event.
    pub version: u64,
}

/// An event with its place among the events of its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Counted from 1 for each subject.
    pub version: u64,
    /// What happened.
    pub event: Event,
}

/// The courses and reservations that a decision needs to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desk {
    /// By number.
    pub courses: BTreeMap<EduNo, Course>,
    /// By order. Every order in a course's `line` is here.
    pub reservations: BTreeMap<OrderId, Reservation>,
}

impl Desk {
    /// Decides a command and takes its events in, so that the next command sees them.
    pub fn handle(&mut self, command: &Command, now: Timestamp) -> Result<Vec<Decided>, Refusal> {
        let events = decide(self, command, now)?;
        Ok(events.into_iter().map(|event| Decided { version: self.apply(&event), event }).collect())
    }

    /// Takes an event in, and says which event of its subject it is.
    pub fn apply(&mut self, event: &Event) -> u64 {
        if let Some(terms) = event.course() {
            return self.apply_to_course(terms);
        }
        match (event.applicant(), status_after(event)) {
            (Some(applicant), Some(status)) => self.apply_to_reservation(applicant, status),
            _ => 0,
        }
    }

    fn apply_to_course(&mut self, terms: &Terms) -> u64 {
        let course = self.courses.entry(terms.edu_no).or_insert_with(|| Course {
            terms: terms.clone(),
            version: 0,
            taken: 0,
            waiting: 0,
            line: VecDeque::new(),
        });
        course.terms = terms.clone();
        course.version += 1;
        course.version
    }

    fn apply_to_reservation(&mut self, applicant: &Applicant, status: ReservationStatus) -> u64 {
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
        course.line.retain(|waiter| *waiter != applicant.order_id);
    }
    if after == ReservationStatus::Waitlisted {
        // Whoever joins a line of which only the front is known stands behind people who are not in it.
        if course.line.len() as u64 == course.waiting {
            course.line.push_back(applicant.order_id);
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

/// What follows from a command; no events where there is nothing left to do.
pub fn decide(desk: &Desk, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::Open(edu_no, course) => open(desk, *edu_no, course),
        Command::Change(edu_no, changes) => change(desk, *edu_no, changes, now),
        Command::Move(edu_no, to) => advance(desk, *edu_no, *to),
        Command::Reserve(applicant) => Ok(reserve(desk, applicant, now)),
        Command::Cancel(applicant, reason) => Ok(cancel(desk, applicant, *reason, now)),
        Command::Confirm(order_id) => confirm(desk, *order_id),
        Command::Reject(order_id) => reject(desk, *order_id, now),
        Command::CourseAt(edu_no, version) => unchanged(*version, known(desk, *edu_no)?.version),
        Command::ReservationAt(order_id, version) => unchanged(*version, held(desk, *order_id)?.version),
        Command::Settle(edu_no) => Ok(settle(desk, *edu_no, now)),
    }
}

fn open(desk: &Desk, edu_no: EduNo, new: &NewCourse) -> Result<Vec<Event>, Refusal> {
    if new.ends_at <= new.starts_at {
        return Err(Refusal::EndsBeforeStart);
    }
    let terms = Terms {
        edu_no,
        title: new.title.0.clone(),
        capacity: new.capacity.0,
        fee: new.fee,
        approval: new.approval,
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        status: CourseStatus::Open,
    };
    match desk.courses.get(&edu_no) {
        None => Ok(vec![Event::CourseOpened(terms)]),
        // Asked for again: the same course, however far it has got since.
        Some(course) if (Terms { status: course.terms.status, ..terms }) == course.terms => Ok(vec![]),
        Some(course) => Err(Refusal::CourseDiffers(Box::new(course.terms.clone()))),
    }
}

fn change(desk: &Desk, edu_no: EduNo, changes: &Changes, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    let course = known(desk, edu_no)?;
    let present = &course.terms;
    let terms = Terms {
        title: changes.title.as_ref().map_or_else(|| present.title.clone(), |title| title.0.clone()),
        capacity: changes.capacity.map_or(present.capacity, |capacity| capacity.0),
        fee: changes.fee.unwrap_or(present.fee),
        starts_at: changes.starts_at.unwrap_or(present.starts_at),
        ends_at: changes.ends_at.unwrap_or(present.ends_at),
        ..present.clone()
    };
    if terms == *present {
        return Ok(vec![]);
    }
    if present.status != CourseStatus::Open {
        return Err(Refusal::CourseClosed { present: present.status });
    }
    if terms.ends_at <= terms.starts_at {
        return Err(Refusal::EndsBeforeStart);
    }
    if terms.capacity < course.taken {
        return Err(Refusal::CapacityBelowTaken { taken: course.taken });
    }
    let moved_up = move_up(desk, course, &terms, Seats { freed: 0, leaving: None }, now);
    Ok(std::iter::once(Event::CourseChanged(terms)).chain(moved_up).collect())
}

fn advance(desk: &Desk, edu_no: EduNo, to: CourseStatus) -> Result<Vec<Event>, Refusal> {
    let course = known(desk, edu_no)?;
    let terms = Terms { status: to, ..course.terms.clone() };
    match (course.terms.status, to) {
        (CourseStatus::Open, CourseStatus::Started) => Ok(vec![Event::CourseStarted(terms)]),
        (CourseStatus::Started, CourseStatus::Finished) => Ok(vec![Event::CourseFinished(terms)]),
        (CourseStatus::Open | CourseStatus::Started, CourseStatus::CourseCanceled) => {
            Ok(vec![Event::CourseCanceled(terms)])
        }
        (present, asked) => Err(Refusal::CourseTransition { present, asked }),
    }
}

fn reserve(desk: &Desk, applicant: &Applicant, now: Timestamp) -> Vec<Event> {
    if desk.reservations.contains_key(&applicant.order_id) {
        // Heard before, or canceled before it was paid.
        return vec![];
    }
    let Some(course) = desk.courses.get(&applicant.edu_no) else {
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

fn cancel(desk: &Desk, applicant: &Applicant, reason: CancelReason, now: Timestamp) -> Vec<Event> {
    match desk.reservations.get(&applicant.order_id) {
        None if faults::guard("reservation.remembered") => vec![canceled(applicant, reason)],
        None => vec![],
        Some(reservation) if !is_living(reservation.status) => vec![],
        Some(reservation) => leave(desk, reservation, canceled(&reservation.applicant, reason), now),
    }
}

fn confirm(desk: &Desk, order_id: OrderId) -> Result<Vec<Event>, Refusal> {
    let reservation = held(desk, order_id)?;
    let applicant = &reservation.applicant;
    match reservation.status {
        ReservationStatus::ReservationRequested => match desk.courses.get(&applicant.edu_no) {
            // On its way to being canceled; confirming it now would only tell the customer two stories.
            Some(course) if course.terms.status == CourseStatus::CourseCanceled => {
                Err(Refusal::CourseClosed { present: course.terms.status })
            }
            _ => Ok(vec![Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant.clone() })]),
        },
        present => {
            Err(Refusal::ReservationTransition { present, asked: ReservationStatus::ReservationConfirmed })
        }
    }
}

fn reject(desk: &Desk, order_id: OrderId, now: Timestamp) -> Result<Vec<Event>, Refusal> {
    let reservation = held(desk, order_id)?;
    match reservation.status {
        ReservationStatus::ReservationRequested | ReservationStatus::Waitlisted => {
            Ok(leave(desk, reservation, rejected(&reservation.applicant, "rejected-by-manager"), now))
        }
        present => {
            Err(Refusal::ReservationTransition { present, asked: ReservationStatus::ReservationRejected })
        }
    }
}

fn settle(desk: &Desk, edu_no: EduNo, now: Timestamp) -> Vec<Event> {
    let Some(course) = desk.courses.get(&edu_no) else { return vec![] };
    let of_course = desk.reservations.values().filter(|reservation| reservation.applicant.edu_no == edu_no);
    match (course.terms.status, closed(course.terms.status)) {
        (CourseStatus::CourseCanceled, _) => of_course
            .filter(|reservation| is_living(reservation.status))
            .map(|reservation| canceled(&reservation.applicant, CancelReason::CourseCanceled))
            .collect(),
        (_, Some(reason)) => of_course
            .filter(|reservation| reservation.status == ReservationStatus::Waitlisted)
            .map(|reservation| rejected(&reservation.applicant, reason))
            .collect(),
        (_, None) => move_up(desk, course, &course.terms, Seats { freed: 0, leaving: None }, now),
    }
}

/// A living reservation ends with `ending`, and whoever waits moves up into what it leaves.
fn leave(desk: &Desk, reservation: &Reservation, ending: Event, now: Timestamp) -> Vec<Event> {
    let freed = if reservation.status.takes_seats() { seats(&reservation.applicant) } else { 0 };
    let seats = Seats { freed, leaving: Some(reservation.applicant.order_id) };
    let moved_up = match desk.courses.get(&reservation.applicant.edu_no) {
        Some(course) => move_up(desk, course, &course.terms, seats, now),
        None => vec![],
    };
    std::iter::once(ending).chain(moved_up).collect()
}

/// What changed about a course's seats in the decision being made, before the desk has taken it in.
struct Seats {
    /// How many became free.
    freed: u32,
    /// Who no longer waits.
    leaving: Option<OrderId>,
}

/// Offers the free seats of an open course to the head of its waiting list, as long as each next head fits. Who
/// could never fit (the capacity was lowered below their number) is turned down instead of blocking the rest.
fn move_up(desk: &Desk, course: &Course, terms: &Terms, seats_now: Seats, now: Timestamp) -> Vec<Event> {
    if terms.status != CourseStatus::Open {
        return vec![];
    }
    let mut free = terms.capacity.saturating_sub(course.taken).saturating_add(seats_now.freed);
    let mut blocked = false;
    let mut events = vec![];
    let waiters = course.line.iter().filter(|waiter| Some(**waiter) != seats_now.leaving);
    for reservation in waiters.filter_map(|waiter| desk.reservations.get(waiter)) {
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
pub const fn is_living(status: ReservationStatus) -> bool {
    status.takes_seats() || matches!(status, ReservationStatus::Waitlisted)
}

fn known(desk: &Desk, edu_no: EduNo) -> Result<&Course, Refusal> {
    desk.courses.get(&edu_no).ok_or(Refusal::UnknownCourse(edu_no))
}

fn held(desk: &Desk, order_id: OrderId) -> Result<&Reservation, Refusal> {
    desk.reservations.get(&order_id).ok_or(Refusal::UnknownReservation(order_id))
}

fn unchanged(expected: u64, present: u64) -> Result<Vec<Event>, Refusal> {
    if expected == present { Ok(vec![]) } else { Err(Refusal::Changed { expected }) }
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
