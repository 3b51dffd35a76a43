//! The store of this context: what a decision is made from, what is due, and what is kept beside the events.
//!
//! What the tables hold a decision to is in [`schema`], reading for answers in [`read`].

mod keys;
mod read;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use keys::{Key, NewKey, find_key, remember_key};
pub(crate) use read::{
    ListedReservation, ReservationFilter, count_courses, count_reservations, find_course, find_reservation,
    list_courses, list_reservations,
};

use crate::domain::{Command, Course, Reservation, Snapshot};
use kernel::event::Course as Terms;
use kernel::{CourseStatus, EduNo, OrderId, Timestamp, Won};
use serde::Serialize;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use store::{Database, Row, Statement, Storage, StoreError, course_managers};

/// The store under the label `reservation`.
pub static DATABASE: Database = Database::new("reservation", &schema::SCHEMA);

/// How many of those who wait for, or hold seats in, one course are loaded at once. What concerns more of them
/// is done in several decisions, each of which is right by itself.
const FRONT: u64 = 500;

/// A snapshot, and which versions of the courses it shows.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    versions: BTreeMap<EduNo, Versions>,
}

/// How a course was loaded.
#[derive(Clone, Copy, Debug, Default)]
struct Versions {
    course: u64,
    seats: u64,
    waiting: u64,
}

impl Loaded {
    /// The version of a course as it was loaded; 0 where there was none.
    pub(crate) fn course_version(&self, edu_no: EduNo) -> u64 {
        self.versions(edu_no).course
    }

    /// The version of a course's seats, which moves with the course too.
    pub(crate) fn seats_version(&self, edu_no: EduNo) -> u64 {
        self.versions(edu_no).seats
    }

    /// Whether anybody waited for a course when it was loaded.
    pub(crate) fn is_waited_for(&self, edu_no: EduNo) -> bool {
        self.versions(edu_no).waiting > 0
    }

    fn versions(&self, edu_no: EduNo) -> Versions {
        self.versions.get(&edu_no).copied().unwrap_or_default()
    }

    pub(crate) fn courses(&self) -> impl Iterator<Item = EduNo> {
        self.versions.keys().copied()
    }

    /// The course that a command is about: that of its reservation, if there is one.
    fn course_of(&self, command: &Command) -> Option<&Course> {
        let reservation = command.order_id().and_then(|order_id| self.snapshot.reservations.get(&order_id));
        let edu_no = reservation.map(|reservation| reservation.applicant.edu_no).or(command.edu_no())?;
        self.snapshot.courses.get(&edu_no)
    }

    fn insert(&mut self, reservation: Reservation) {
        self.snapshot.reservations.insert(reservation.applicant.order_id, reservation);
    }
}

/// What one command is about.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct About {
    order_id: Option<OrderId>,
    edu_no: Option<EduNo>,
}

const RESERVATION: &str = "r.order_id, r.customer_id, r.edu_no, r.guest, r.language, r.status, r.version";

const COURSE: &str = "c.edu_no AS course_no, c.title, c.capacity, c.fee, c.approval, c.starts_at, c.ends_at,
    c.managers, c.status AS course_status, c.version AS course_version, c.taken, c.waiting, c.seats_version";

/// One row for each command, with its reservation and the course of that, as far as they exist.
fn load_statement<'a>(commands: impl Iterator<Item = &'a Command>) -> Statement {
    let about = |command: &Command| About { order_id: command.order_id(), edu_no: command.edu_no() };
    let sql = format!(
        "SELECT {RESERVATION}, {COURSE} FROM json_each($1) AS about
         LEFT JOIN reservations AS r ON r.order_id = CAST(about.value ->> 'orderId' AS BIGINT)
         LEFT JOIN courses AS c ON c.edu_no = coalesce(r.edu_no, CAST(about.value ->> 'eduNo' AS BIGINT))"
    );
    Statement::new(sql).bind_list(commands.map(about))
}

/// Everything that the commands are about. Where seats may become free, those who wait longest are read after it; if the
/// waiting list has moved in between, so has the version of the seats, and the decision is not committed.
pub(crate) async fn load<'a>(
    storage: &impl Storage,
    commands: impl Iterator<Item = &'a Command> + Clone,
) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    for row in &load_statement(commands.clone()).rows(storage).await? {
        if row.opt_int("order_id")?.is_some() {
            loaded.insert(reservation(row)?);
        }
        let Some(edu_no) = row.opt_number("course_no", EduNo::parse)? else { continue };
        // Many may be about one course.
        if let Entry::Vacant(entry) = loaded.versions.entry(edu_no) {
            entry.insert(Versions {
                course: row.count("course_version")?,
                seats: row.count("seats_version")?,
                waiting: row.count("waiting")?,
            });
            loaded.snapshot.courses.insert(edu_no, course(row)?);
        }
    }
    let (mut waited_for, mut canceled) = (BTreeSet::new(), BTreeSet::new());
    for command in commands.filter(|command| command.concerns_the_waiting_list()) {
        match loaded.course_of(command) {
            Some(course) if course.terms.status == CourseStatus::CourseCanceled => {
                canceled.extend(matches!(command, Command::Settle(_)).then_some(course.terms.edu_no));
            }
            Some(course) if course.waiting > 0 => waited_for.extend([course.terms.edu_no]),
            _ => {}
        }
    }
    for edu_no in waited_for {
        let waiting = front(storage, edu_no, WAITING).await?;
        if let Some(course) = loaded.snapshot.courses.get_mut(&edu_no) {
            course.waiting_list = waiting.iter().map(|waiter| waiter.applicant.order_id).collect();
        }
        waiting.into_iter().for_each(|waiter| loaded.insert(waiter));
    }
    for edu_no in canceled {
        front(storage, edu_no, LIVING).await?.into_iter().for_each(|living| loaded.insert(living));
    }
    Ok(loaded)
}

/// Those who wait, longest wait first.
const WAITING: &str = "status = 'Waitlisted' ORDER BY ticket";

/// Those that a canceled course has still to release.
const LIVING: &str = "status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted')";

/// Of the reservations of one course the first so many that `which` says.
async fn front(storage: &impl Storage, edu_no: EduNo, which: &str) -> Result<Vec<Reservation>, StoreError> {
    let sql =
        format!("SELECT {RESERVATION} FROM reservations AS r WHERE edu_no = $1 AND {which} LIMIT {FRONT}");
    Statement::new(sql).bind(edu_no.get()).rows(storage).await?.iter().map(reservation).collect()
}

/// Which of these courses exist.
pub(crate) async fn known_courses(
    storage: &impl Storage,
    edu_nos: impl IntoIterator<Item = &EduNo>,
) -> Result<BTreeSet<EduNo>, StoreError> {
    let known = "SELECT edu_no FROM courses
        WHERE edu_no IN (SELECT CAST(value ->> 'v' AS BIGINT) FROM json_each($1))";
    let rows = Statement::new(known).bind_values(edu_nos).rows(storage).await?;
    rows.iter().map(|row| row.number("edu_no", EduNo::parse)).collect()
}

/// What time, or an earlier decision, asks to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Duties {
    /// Open courses whose start has passed.
    pub(crate) to_start: Vec<EduNo>,
    /// Started courses whose end has passed.
    pub(crate) to_finish: Vec<EduNo>,
    /// Courses with people who can move up, or are to be told that they cannot any more.
    pub(crate) to_settle: Vec<EduNo>,
    /// Whether there are idempotency keys to be forgotten.
    pub(crate) to_forget: bool,
}

/// What is due, up to so many of each. The condition of `settle` is its index's own, word for word, so that it is used.
/// Those come at random, since courses whose longest waiting order does not fit yet come up again every time and must not keep
/// the others from their turn.
const DUTIES: &str = "SELECT 'start' AS duty, edu_no FROM (SELECT edu_no FROM courses
        WHERE status = 'Open' AND starts_at <= $1 LIMIT 100) AS a
    UNION ALL SELECT 'finish', edu_no FROM (SELECT edu_no FROM courses
        WHERE status = 'Started' AND ends_at <= $1 LIMIT 100) AS b
    UNION ALL SELECT 'settle', edu_no FROM (SELECT edu_no FROM courses
        WHERE (waiting > 0 OR (status = 'Course Canceled' AND taken > 0))
        AND NOT (status = 'Open' AND taken = capacity) ORDER BY random() LIMIT 100) AS c
    UNION ALL SELECT 'forget', edu_no FROM (SELECT edu_no FROM idempotency_keys WHERE made_at < $2 LIMIT 1) AS d";

/// Looks what is to be done by `now`.
pub(crate) async fn duties(storage: &impl Storage, now: Timestamp) -> Result<Duties, StoreError> {
    let mut duties = Duties::default();
    let due = Statement::new(DUTIES).bind(now.to_string()).bind(journal::keys::forgotten(now));
    for row in &due.rows(storage).await? {
        let edu_no = row.number("edu_no", EduNo::parse)?;
        match row.text("duty")? {
            "start" => duties.to_start.push(edu_no),
            "finish" => duties.to_finish.push(edu_no),
            "settle" => duties.to_settle.push(edu_no),
            _ => duties.to_forget = true,
        }
    }
    Ok(duties)
}

/// Takes the next course number for a client that leaves the choice to us: one above the last that was taken so, or
/// the first behind it that is free. What others choose does not move it on, and no two requests get the same one.
pub(crate) async fn take_edu_no(storage: &impl Storage) -> Result<EduNo, StoreError> {
    let take = "UPDATE numbering SET last = CASE
            WHEN NOT EXISTS (SELECT 1 FROM courses WHERE edu_no = last + 1) THEN last + 1
            ELSE (SELECT edu_no + 1 FROM courses AS c WHERE edu_no > last
                AND NOT EXISTS (SELECT 1 FROM courses AS d WHERE d.edu_no = c.edu_no + 1)
                ORDER BY edu_no LIMIT 1)
        END RETURNING last";
    let row = Statement::new(take).row(storage).await?;
    let missing = || StoreError::Failure("the table `numbering` has no row".to_owned());
    row.ok_or_else(missing)?.number("last", EduNo::parse)
}

fn reservation(row: &Row) -> Result<Reservation, StoreError> {
    Ok(Reservation {
        applicant: row.applicant()?,
        status: row.parse("status")?,
        version: row.count("version")?,
    })
}

fn course(row: &Row) -> Result<Course, StoreError> {
    let terms = Terms {
        edu_no: row.number("course_no", EduNo::parse)?,
        title: row.text("title")?.to_owned(),
        capacity: row.number("capacity", u32::try_from)?,
        fee: row.number("fee", Won::fee)?,
        approval: row.parse("approval")?,
        starts_at: row.parse("starts_at")?,
        ends_at: row.parse("ends_at")?,
        status: row.parse("course_status")?,
        managers: course_managers::read(row)?,
    };
    Ok(Course {
        terms,
        version: row.count("course_version")?,
        taken: row.number("taken", u32::try_from)?,
        waiting: row.count("waiting")?,
        waiting_list: VecDeque::new(),
    })
}
