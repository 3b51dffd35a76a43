//! The tables of this context, and what one decision does to them.
//!
//! The lists that answers are read from (`courses`, `reservations`) are made from the events alone. What the deciders
//! promise, the tables hold them to:
//!
//! - `UNIQUE (subject, version)`: two decisions from the same state of one subject exclude each other;
//! - `seats_version` moves with every change of a course, its seats or its waiting list. Whoever counted on those says
//!   which version was seen, and is refused if it has moved since. That is what keeps the waiting list in order between
//!   replicas. Whoever only frees seats that nobody waits for counts on that alone: any number of them do not meet;
//! - `CHECK (taken <= capacity)`: even a decider that miscounts cannot sell a seat twice. Seats are counted here, from
//!   the reservations, and not taken from the decision's word.

use journal::{count_tallies, programs, tables, tallies, tally_changed, tally_gone, tally_new};
use store::{Schema, Step, course_managers};

pub(super) static SCHEMA: Schema = Schema {
    version: 8,
    oldest_code: 4,
    tables: &[
        tables::EVENTS,
        tables::LOG,
        tables::LOG_BEGINS,
        COURSES,
        "CREATE INDEX courses_due_to_start ON courses (starts_at) WHERE status = 'Open'",
        "CREATE INDEX courses_due_to_finish ON courses (ends_at) WHERE status = 'Started'",
        COURSES_UNSETTLED,
        RESERVATIONS,
        "CREATE INDEX reservations_of_course ON reservations (edu_no, order_id)",
        "CREATE INDEX reservations_of_course_by_status ON reservations (edu_no, status, order_id)",
        "CREATE INDEX reservations_of_customer ON reservations (customer_id, order_id)",
        "CREATE INDEX reservations_by_status ON reservations (status, order_id)",
        "CREATE INDEX waiting_list ON reservations (edu_no, ticket) WHERE status = 'Waitlisted'",
        NUMBERING,
        NUMBERING_BEGINS,
        IDEMPOTENCY_KEYS,
        IDEMPOTENCY_KEYS_BY_AGE,
        tallies::TALLIES,
        course_managers::TABLE,
        course_managers::BY_MEMBER,
        journal::ANONYMOUS,
        journal::ANONYMOUS_BEGINS,
    ],
    steps: &[
        Step { to: 4, statements: &tables::FROM_OUTBOX },
        Step {
            to: 4,
            statements: &[
                // 0 is where there is no course.
                "UPDATE courses SET seats_version = seats_version + 1",
                NUMBERING,
                NUMBERING_BEGINS,
                IDEMPOTENCY_KEYS,
                IDEMPOTENCY_KEYS_BY_AGE,
            ],
        },
        Step { to: 5, statements: &[tallies::TALLIES, count_tallies!("reservations")] },
        // Nobody managed a course before.
        Step {
            to: 6,
            statements: &[
                "ALTER TABLE courses ADD COLUMN managers TEXT NOT NULL DEFAULT '[]'",
                course_managers::TABLE,
                course_managers::BY_MEMBER,
            ],
        },
        Step { to: 7, statements: &[tables::WITH_ACTORS] },
        Step { to: 8, statements: &[journal::ANONYMOUS, journal::ANONYMOUS_BEGINS] },
    ],
    programs: &[
        programs::DECISIONS,
        programs::APPEND_EVENT,
        programs::PROJECTION,
        // All of them are 0 for a course that does not exist.
        journal::expectation!(
            "course",
            "SELECT version FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR SHARE"
        ),
        journal::expectation!(
            "course_alone",
            "SELECT version FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR UPDATE"
        ),
        journal::expectation!(
            "seats",
            "SELECT seats_version FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR UPDATE"
        ),
        // Expected of an empty one, which its length tells from every other.
        journal::expectation!(
            "waiting_list",
            "SELECT waiting FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR UPDATE"
        ),
        KEEP_KEY,
        PROJECT_COURSE,
        PROJECT_RESERVATION,
        SEATS_OF_A_NEW_RESERVATION,
        SEATS_OF_A_CHANGED_RESERVATION,
        tally_new!("reservations"),
        tally_changed!("reservations"),
        tally_gone!("reservations"),
        journal::EXPIRED,
        journal::PASS_EXPIRED,
        journal::anonymise!("reservations", ""),
    ],
};

const COURSES: &str = "CREATE TABLE courses (
    edu_no INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    taken INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    fee INTEGER NOT NULL,
    approval TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    ends_at TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    seats_version INTEGER NOT NULL DEFAULT 0,
    managers TEXT NOT NULL DEFAULT '[]',
    CHECK (taken >= 0 AND taken <= capacity), -- guard: reservation.capacity
    CHECK (waiting >= 0)
) STRICT";

/// Courses with somebody who may have to be told something: a few, however many courses there are.
const COURSES_UNSETTLED: &str = "CREATE INDEX courses_unsettled ON courses (edu_no)
    WHERE waiting > 0 OR (status = 'Course Canceled' AND taken > 0)";

/// `ticket` is the position of the event that put a reservation on the waiting list: the order of that list.
/// `reserved_at` is empty where an order was canceled or rejected without ever having had a place.
const RESERVATIONS: &str = "CREATE TABLE reservations (
    order_id INTEGER PRIMARY KEY,
    customer_id INTEGER,
    edu_no INTEGER NOT NULL,
    guest INTEGER NOT NULL,
    language TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    ticket INTEGER,
    reserved_at TEXT
) STRICT";

/// One row: the last course number that was chosen by us. No list: were it lost, numbers would begin anew and pass over
/// those that are taken.
const NUMBERING: &str = "CREATE TABLE numbering (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
)";

const NUMBERING_BEGINS: &str = "INSERT INTO numbering (id, last) VALUES (1, 0)";

/// Which course an `Idempotency-Key` stands for, and for what content; `opened` is 1 where it came with what opened the course.
/// `made_at` is in milliseconds.
const IDEMPOTENCY_KEYS: &str = "CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    edu_no INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    made_at INTEGER NOT NULL
) WITHOUT ROWID";

const IDEMPOTENCY_KEYS_BY_AGE: &str = "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (made_at)";

const KEEP_KEY: &str = "CREATE TRIGGER keep_key INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'key' BEGIN
    INSERT INTO idempotency_keys (key, edu_no, opened, fingerprint, made_at)
    VALUES (NEW.data ->> 'key', CAST(NEW.subject AS BIGINT), CAST(NEW.data ->> 'opened' AS BIGINT),
        NEW.data ->> 'fingerprint', CAST(NEW.data ->> 'madeAt' AS BIGINT));
END";

/// An event that the list has already is passed over, so that no capacity of before meets the seats of today.
const PROJECT_COURSE: &str = "CREATE TRIGGER project_course INSTEAD OF INSERT ON projection
WHEN NEW.type IN ('CourseOpened', 'CourseChanged', 'CourseStarted', 'CourseFinished', 'CourseCanceled') BEGIN
    INSERT INTO courses
        (edu_no, title, capacity, fee, approval, starts_at, ends_at, status, version, seats_version, managers)
    VALUES (CAST(NEW.data ->> 'eduNo' AS BIGINT), NEW.data ->> 'title', CAST(NEW.data ->> 'capacity' AS BIGINT),
        CAST(NEW.data ->> 'fee' AS BIGINT), NEW.data ->> 'approval', NEW.data ->> 'startsAt',
        NEW.data ->> 'endsAt', NEW.data ->> 'status', NEW.version, 1,
        coalesce(NEW.data ->> 'managers', '[]'))
    ON CONFLICT (edu_no) DO UPDATE SET
        title = excluded.title, capacity = excluded.capacity, fee = excluded.fee,
        approval = excluded.approval, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        status = excluded.status, version = excluded.version, seats_version = courses.seats_version + 1,
        managers = excluded.managers
    WHERE excluded.version > courses.version;
    DELETE FROM course_managers WHERE edu_no = CAST(NEW.data ->> 'eduNo' AS BIGINT);
    INSERT INTO course_managers (edu_no, customer_id)
        SELECT courses.edu_no, CAST(member.value ->> 'customerId' AS BIGINT)
        FROM courses, json_each(courses.managers) AS member
        WHERE courses.edu_no = CAST(NEW.data ->> 'eduNo' AS BIGINT);
END";

const PROJECT_RESERVATION: &str = "CREATE TRIGGER project_reservation INSTEAD OF INSERT ON projection
WHEN NEW.type IN ('Reserved', 'ReservationConfirmed', 'ReservationRejected', 'ReservationCanceled') BEGIN
    INSERT INTO reservations
        (order_id, customer_id, edu_no, guest, language, status, version, ticket, reserved_at)
    VALUES (CAST(NEW.data ->> 'orderId' AS BIGINT), CAST(NEW.data ->> 'customerId' AS BIGINT),
        CAST(NEW.data ->> 'eduNo' AS BIGINT), CAST(NEW.data ->> 'guest' AS BIGINT), NEW.data ->> 'language',
        CASE NEW.type
            WHEN 'Reserved' THEN NEW.data ->> 'status'
            WHEN 'ReservationConfirmed' THEN 'Reservation Confirmed'
            WHEN 'ReservationRejected' THEN 'Reservation Rejected'
            WHEN 'ReservationCanceled' THEN 'Reservation Canceled'
        END,
        NEW.version,
        CASE WHEN NEW.data ->> 'status' = 'Waitlisted' THEN NEW.position END,
        NEW.data ->> 'reservedAt')
    ON CONFLICT (order_id) DO UPDATE SET
        status = excluded.status, version = excluded.version, ticket = excluded.ticket,
        reserved_at = coalesce(excluded.reserved_at, reservations.reserved_at)
    WHERE excluded.version > reservations.version;
END";

const SEATS_OF_A_NEW_RESERVATION: &str =
    "CREATE TRIGGER seats_of_a_new_reservation AFTER INSERT ON reservations
WHEN NEW.status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted') BEGIN
    UPDATE courses SET
        taken = taken + CASE NEW.status WHEN 'Waitlisted' THEN 0 ELSE NEW.guest END,
        waiting = waiting + CASE NEW.status WHEN 'Waitlisted' THEN 1 ELSE 0 END,
        seats_version = seats_version + 1
    WHERE edu_no = NEW.edu_no;
END";

/// A confirmation leaves the seats as they are, so that any number of them may be given at once.
const SEATS_OF_A_CHANGED_RESERVATION: &str = "CREATE TRIGGER seats_of_a_changed_reservation
AFTER UPDATE OF status ON reservations
WHEN NEW.status <> OLD.status
    AND NOT (OLD.status = 'Reservation Requested' AND NEW.status = 'Reservation Confirmed') BEGIN
    UPDATE courses SET
        taken = taken
            + CASE WHEN NEW.status IN ('Reservation Requested', 'Reservation Confirmed') THEN NEW.guest ELSE 0 END
            - CASE WHEN OLD.status IN ('Reservation Requested', 'Reservation Confirmed') THEN OLD.guest ELSE 0 END,
        waiting = waiting + CASE NEW.status WHEN 'Waitlisted' THEN 1 ELSE 0 END
            - CASE OLD.status WHEN 'Waitlisted' THEN 1 ELSE 0 END,
        seats_version = seats_version + 1
    WHERE edu_no = NEW.edu_no;
END";
