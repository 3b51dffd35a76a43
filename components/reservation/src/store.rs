//! The store of this context: loads a desk, lets it decide, and commits what it decided in one statement.
//!
//! Somebody else may have decided in between, in this process or in another replica. The tables notice (see
//! [`schema`]), and then everything is loaded and decided again. Reading for answers is in [`read`].

mod read;
mod schema;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub(crate) use read::{
    CourseFilter, ListedCourse, ListedReservation, Part, ReservationFilter, Slice, count_courses,
    count_reservations, find_course, find_reservation, known_courses, list_courses, list_reservations,
    next_edu_no,
};

use crate::domain::{Command, Course, Decided, Desk, Refusal, Reservation};
use kernel::event::{Applicant, Course as Terms};
use kernel::{CourseStatus, CustomerId, EduNo, Guests, OrderId, ReservationStatus, Timestamp, Won};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use store::{Database, Row, Storage, StoreError, Value, count, int, null, opt_text, placeholders, text};

/// The store under the label `reservation`.
pub static DATABASE: Database = Database::new("reservation", 3, schema::SCHEMA);

/// How often a decision is made again because somebody else was faster.
const MAX_ATTEMPTS: u64 = 10;

/// How many of those who wait for, or hold seats in, one course are loaded at once. What concerns more of them
/// is done in several decisions, each of which is right by itself.
const FRONT: u64 = 500;

/// A command, and the trace that it belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// What is asked.
    pub(crate) command: Command,
    /// The W3C trace context it came with; the events carry it on.
    pub(crate) traceparent: Option<String>,
}

/// Why nothing was committed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    /// The desk said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store did not do its part, or others were faster every time.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A desk, and which state of each course's seats it shows.
struct Loaded {
    desk: Desk,
    seats_versions: BTreeMap<EduNo, i64>,
}

/// One event to be committed.
struct Entry {
    decided: Decided,
    traceparent: Option<String>,
}

/// Decides the commands in turn, each seeing what the ones before it did, and commits all of it in one
/// statement; where one is refused, nothing is. Returns what was committed.
pub(crate) async fn carry_out(
    storage: &impl Storage,
    asked: &[Asked],
    now: Timestamp,
) -> Result<Vec<Decided>, Undecided> {
    let mut attempt = 1;
    loop {
        let mut loaded = load(storage, asked).await?;
        let entries = decide_all(&mut loaded.desk, asked, now)?;
        match commit(storage, &entries, &mut loaded.seats_versions, now).await {
            Ok(()) => {
                faults::point("reservation", "decided").await;
                return Ok(entries.into_iter().map(|entry| entry.decided).collect());
            }
            Err(error) if error.is_conflict() && attempt < MAX_ATTEMPTS => storage.pause(attempt).await,
            // Nobody else causes this one every time: the decider and the tables disagree.
            Err(StoreError::Check { constraint }) => {
                return Err(StoreError::Failure(format!("a decision breaks CHECK ({constraint})")).into());
            }
            Err(error) => return Err(error.into()),
        }
        attempt += 1;
    }
}

fn decide_all(desk: &mut Desk, asked: &[Asked], now: Timestamp) -> Result<Vec<Entry>, Refusal> {
    let mut entries = Vec::with_capacity(asked.len());
    for Asked { command, traceparent } in asked {
        let decided = desk.handle(command, now)?;
        entries
            .extend(decided.into_iter().map(|decided| Entry { decided, traceparent: traceparent.clone() }));
    }
    Ok(entries)
}

/// One statement, whatever the number of events.
async fn commit(
    storage: &impl Storage,
    entries: &[Entry],
    seats_versions: &mut BTreeMap<EduNo, i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    const COLUMNS: usize = 8;
    if entries.is_empty() {
        return Ok(());
    }
    let time = now.to_string();
    let mut params = Vec::with_capacity(entries.len() * COLUMNS);
    for Entry { decided: Decided { version, event }, traceparent } in entries {
        let edu_no = match (event.applicant(), event.course()) {
            (Some(applicant), _) => Some(applicant.edu_no),
            (None, course) => course.map(|course| course.edu_no),
        };
        // Removed, so that only the first row about a course names the state of its seats: the statement
        // itself moves it on.
        let seats = edu_no
            .filter(|_| faults::guard("reservation.capacity"))
            .and_then(|edu_no| Some((edu_no, seats_versions.remove(&edu_no)?)));
        params.extend([
            text(event.subject()),
            count(*version),
            text(event.name()),
            text(event.to_data()),
            text(&time),
            opt_text(traceparent.as_deref()),
            seats.map_or_else(null, |(edu_no, _)| int(edu_no.as_i64())),
            seats.map_or_else(null, |(_, version)| int(version)),
        ]);
    }
    let sql = format!(
        "INSERT INTO decisions (subject, version, type, data, time, traceparent, edu_no, seats_version) VALUES {}",
        placeholders(entries.len(), COLUMNS)
    );
    storage.query(&sql, params).await.map(drop)
}

/// Everything that the commands are about: their reservations, the courses of these, and, where seats may
/// become free, who is next in line.
///
/// The three are not read at one instant. It does not matter: a reservation that has moved since shows in its
/// version, and a course or its line in `seats_version`, which is read before the line is.
async fn load(storage: &impl Storage, asked: &[Asked]) -> Result<Loaded, StoreError> {
    let commands = || asked.iter().map(|asked| &asked.command);
    let orders: BTreeSet<OrderId> = commands().filter_map(Command::order_id).collect();
    let mut desk = Desk { reservations: reservations(storage, &orders).await?, ..Desk::default() };

    let of_orders = desk.reservations.values().map(|reservation| reservation.applicant.edu_no);
    let edu_nos: BTreeSet<EduNo> = commands().filter_map(Command::edu_no).chain(of_orders).collect();
    let mut seats_versions = BTreeMap::new();
    for (course, seats_version) in courses(storage, &edu_nos).await? {
        seats_versions.insert(course.terms.edu_no, seats_version);
        desk.courses.insert(course.terms.edu_no, course);
    }

    if commands().any(Command::concerns_the_line) {
        for course in desk.courses.values_mut().filter(|course| course.waiting > 0) {
            let line = line(storage, course.terms.edu_no).await?;
            course.line = line.iter().map(|waiter| waiter.applicant.order_id).collect();
            desk.reservations.extend(by_order(line));
        }
    }
    for command in commands() {
        if let Command::Settle(edu_no) = command
            && let Some(course) = desk.courses.get(edu_no)
            && course.terms.status == CourseStatus::CourseCanceled
        {
            desk.reservations.extend(by_order(living(storage, *edu_no).await?));
        }
    }
    Ok(Loaded { desk, seats_versions })
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
}

/// Looks what is to be done by `now`.
pub(crate) async fn duties(storage: &impl Storage, now: Timestamp) -> Result<Duties, StoreError> {
    let now = text(now.to_string());
    Ok(Duties {
        to_start: edu_nos(storage, DUE_TO_START, vec![now.clone()]).await?,
        to_finish: edu_nos(storage, DUE_TO_FINISH, vec![now]).await?,
        to_settle: edu_nos(storage, TO_SETTLE, vec![]).await?,
    })
}

const DUE_TO_START: &str = "SELECT edu_no FROM courses WHERE status = 'Open' AND starts_at <= ? LIMIT 100";

const DUE_TO_FINISH: &str = "SELECT edu_no FROM courses WHERE status = 'Started' AND ends_at <= ? LIMIT 100";

/// The first condition is the index's own, word for word, so that it is used. At random, since those whose head
/// does not fit yet come up again every time and must not keep the others from their turn.
const TO_SETTLE: &str = "SELECT edu_no FROM courses
    WHERE (waiting > 0 OR (status = 'Course Canceled' AND taken > 0))
    AND NOT (status = 'Open' AND taken = capacity) ORDER BY random() LIMIT 100";

async fn edu_nos(storage: &impl Storage, sql: &str, params: Vec<Value>) -> Result<Vec<EduNo>, StoreError> {
    let rows = storage.query(sql, params).await?;
    rows.iter().map(|row| parsed(row, 0, EduNo::parse)).collect()
}

const RESERVATION: &str = "order_id, customer_id, edu_no, guest, language, status, version";
const COURSE: &str = "edu_no, title, capacity, fee, approval, starts_at, ends_at, status, version, taken, waiting, seats_version";

async fn reservations(
    storage: &impl Storage,
    orders: &BTreeSet<OrderId>,
) -> Result<BTreeMap<OrderId, Reservation>, StoreError> {
    if orders.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql =
        format!("SELECT {RESERVATION} FROM reservations WHERE order_id IN {}", placeholders(1, orders.len()));
    let rows = storage.query(&sql, orders.iter().map(|id| int(id.as_i64())).collect()).await?;
    Ok(by_order(rows.iter().map(reservation).collect::<Result<Vec<_>, _>>()?).collect())
}

async fn courses(
    storage: &impl Storage,
    edu_nos: &BTreeSet<EduNo>,
) -> Result<Vec<(Course, i64)>, StoreError> {
    if edu_nos.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!("SELECT {COURSE} FROM courses WHERE edu_no IN {}", placeholders(1, edu_nos.len()));
    let rows = storage.query(&sql, edu_nos.iter().map(|id| int(id.as_i64())).collect()).await?;
    rows.iter().map(course).collect()
}

async fn line(storage: &impl Storage, edu_no: EduNo) -> Result<Vec<Reservation>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION} FROM reservations
         WHERE edu_no = ? AND status = 'Waitlisted' ORDER BY ticket LIMIT {FRONT}"
    );
    let rows = storage.query(&sql, vec![int(edu_no.as_i64())]).await?;
    rows.iter().map(reservation).collect()
}

async fn living(storage: &impl Storage, edu_no: EduNo) -> Result<Vec<Reservation>, StoreError> {
    let sql = format!(
        "SELECT {RESERVATION} FROM reservations WHERE edu_no = ?
         AND status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted') LIMIT {FRONT}"
    );
    let rows = storage.query(&sql, vec![int(edu_no.as_i64())]).await?;
    rows.iter().map(reservation).collect()
}

fn by_order(reservations: Vec<Reservation>) -> impl Iterator<Item = (OrderId, Reservation)> {
    reservations.into_iter().map(|reservation| (reservation.applicant.order_id, reservation))
}

/// Reads the columns [`RESERVATION`].
fn reservation(row: &Row) -> Result<Reservation, StoreError> {
    let customer_id = row.opt_int(1)?.map(|_| parsed(row, 1, CustomerId::parse)).transpose()?;
    Ok(Reservation {
        applicant: Applicant {
            order_id: parsed(row, 0, OrderId::parse)?,
            customer_id,
            edu_no: parsed(row, 2, EduNo::parse)?,
            guest: parsed(row, 3, Guests::parse)?,
            language: row.parse(4)?,
        },
        status: row.parse::<ReservationStatus>(5)?,
        version: row.count(6)?,
    })
}

/// Reads the columns [`COURSE`].
fn course(row: &Row) -> Result<(Course, i64), StoreError> {
    let terms = Terms {
        edu_no: parsed(row, 0, EduNo::parse)?,
        title: row.text(1)?.to_owned(),
        capacity: parsed(row, 2, u32::try_from)?,
        fee: parsed(row, 3, Won::fee)?,
        approval: row.parse(4)?,
        starts_at: row.parse(5)?,
        ends_at: row.parse(6)?,
        status: row.parse(7)?,
    };
    let course = Course {
        terms,
        version: row.count(8)?,
        taken: parsed(row, 9, u32::try_from)?,
        waiting: row.count(10)?,
        line: VecDeque::new(),
    };
    Ok((course, row.int(11)?))
}

/// The number in a column as a type of the domain, which what was stored once always is.
fn parsed<T, E: std::fmt::Display>(
    row: &Row,
    index: usize,
    parse: impl Fn(u64) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(row.count(index)?).map_err(|e| StoreError::Failure(format!("column {index}: {e}")))
}
