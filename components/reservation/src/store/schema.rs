//! The tables of this context, and the one way in: the view `decisions`.
//!
//! A decision is one `INSERT INTO decisions`, with a row per event. Its trigger appends the event and brings the
//! lists that answers are read from (`courses`, `reservations`) in step with it; they say nothing that the
//! events do not. What the deciders promise, the tables hold them to:
//!
//! - `UNIQUE (subject, version)`: two decisions from the same state of one subject exclude each other;
//! - `seats_version`: so do two decisions about the seats of one course. The first row of a decision that
//!   touches a course says which state of its seats it was made from; if they have moved since, the whole
//!   statement is refused. That is what keeps the waiting list in order between replicas;
//! - `CHECK (taken <= capacity)`: even a decider that miscounts cannot sell a seat twice. Seats are counted
//!   here, from the reservations, and not taken from the decision's word.

/// Every statement, in order; each is harmless when repeated.
pub(super) const SCHEMA: &[&str] = &[
    eventlog::EVENTS_TABLE[0],
    eventlog::EVENTS_TABLE[1],
    eventlog::EVENTS_TABLE[2],
    eventlog::EVENTS_TABLE[3],
    eventlog::EVENTS_TABLE[4],
    eventlog::EVENTS_TABLE[5],
    COURSES,
    COURSES_DUE_TO_START,
    COURSES_DUE_TO_FINISH,
    COURSES_UNSETTLED,
    RESERVATIONS,
    RESERVATIONS_OF_COURSE,
    RESERVATIONS_OF_COURSE_BY_STATUS,
    RESERVATIONS_OF_CUSTOMER,
    RESERVATIONS_BY_STATUS,
    WAITING_LIST,
    SEATS_OF_A_NEW_RESERVATION,
    SEATS_OF_A_CHANGED_RESERVATION,
    DECISIONS,
    DECIDED,
];

const COURSES: &str = "CREATE TABLE IF NOT EXISTS courses (
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
    CHECK (taken >= 0 AND taken <= capacity), -- guard: reservation.capacity
    CHECK (waiting >= 0)
) STRICT";

const COURSES_DUE_TO_START: &str =
    "CREATE INDEX IF NOT EXISTS courses_due_to_start ON courses (starts_at) WHERE status = 'Open'";

const COURSES_DUE_TO_FINISH: &str =
    "CREATE INDEX IF NOT EXISTS courses_due_to_finish ON courses (ends_at) WHERE status = 'Started'";

/// Courses with somebody who may have to be told something: a few, however many courses there are.
const COURSES_UNSETTLED: &str = "CREATE INDEX IF NOT EXISTS courses_unsettled ON courses (edu_no)
    WHERE waiting > 0 OR (status = 'Course Canceled' AND taken > 0)";

/// `ticket` is the place in the log of the event that put a reservation on the waiting list: the order of the
/// line. `reserved_at` is empty where an order was canceled or rejected without ever having had a place.
const RESERVATIONS: &str = "CREATE TABLE IF NOT EXISTS reservations (
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

const RESERVATIONS_OF_COURSE: &str =
    "CREATE INDEX IF NOT EXISTS reservations_of_course ON reservations (edu_no, order_id)";

const RESERVATIONS_OF_COURSE_BY_STATUS: &str = "CREATE INDEX IF NOT EXISTS reservations_of_course_by_status
    ON reservations (edu_no, status, order_id)";

const RESERVATIONS_OF_CUSTOMER: &str =
    "CREATE INDEX IF NOT EXISTS reservations_of_customer ON reservations (customer_id, order_id)";

const RESERVATIONS_BY_STATUS: &str =
    "CREATE INDEX IF NOT EXISTS reservations_by_status ON reservations (status, order_id)";

const WAITING_LIST: &str = "CREATE INDEX IF NOT EXISTS waiting_list ON reservations (edu_no, ticket)
    WHERE status = 'Waitlisted'";

const SEATS_OF_A_NEW_RESERVATION: &str = "CREATE TRIGGER IF NOT EXISTS seats_of_a_new_reservation
AFTER INSERT ON reservations
WHEN NEW.status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted')
BEGIN
    UPDATE courses SET
        taken = taken + iif(NEW.status = 'Waitlisted', 0, NEW.guest),
        waiting = waiting + (NEW.status = 'Waitlisted')
    WHERE edu_no = NEW.edu_no;
END";

const SEATS_OF_A_CHANGED_RESERVATION: &str = "CREATE TRIGGER IF NOT EXISTS seats_of_a_changed_reservation
AFTER UPDATE OF status ON reservations
WHEN NEW.status <> OLD.status
BEGIN
    UPDATE courses SET
        taken = taken
            + iif(NEW.status IN ('Reservation Requested', 'Reservation Confirmed'), NEW.guest, 0)
            - iif(OLD.status IN ('Reservation Requested', 'Reservation Confirmed'), OLD.guest, 0),
        waiting = waiting + (NEW.status = 'Waitlisted') - (OLD.status = 'Waitlisted')
    WHERE edu_no = NEW.edu_no;
END";

/// `edu_no` and `seats_version` are given in the first row that touches a course, and are empty in the others.
const DECISIONS: &str = "CREATE VIEW IF NOT EXISTS decisions AS
    SELECT subject, version, type, data, time, traceparent, NULL AS edu_no, NULL AS seats_version FROM events";

const DECIDED: &str = "CREATE TRIGGER IF NOT EXISTS decided INSTEAD OF INSERT ON decisions
BEGIN
    UPDATE courses SET seats_version = seats_version + 1
    WHERE edu_no = NEW.edu_no AND seats_version = NEW.seats_version;
    SELECT RAISE(ABORT, 'decision: seats changed') WHERE NEW.edu_no IS NOT NULL AND changes() = 0;

    INSERT INTO events (subject, version, type, data, time, traceparent)
    VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time, NEW.traceparent);

    INSERT INTO courses (edu_no, title, capacity, fee, approval, starts_at, ends_at, status, version)
    SELECT NEW.data ->> 'eduNo', NEW.data ->> 'title', NEW.data ->> 'capacity', NEW.data ->> 'fee',
        NEW.data ->> 'approval', NEW.data ->> 'startsAt', NEW.data ->> 'endsAt', NEW.data ->> 'status',
        NEW.version
    WHERE NEW.type GLOB 'Course*'
    ON CONFLICT (edu_no) DO UPDATE SET
        title = excluded.title, capacity = excluded.capacity, fee = excluded.fee,
        approval = excluded.approval, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
        status = excluded.status, version = excluded.version;

    INSERT INTO reservations
        (order_id, customer_id, edu_no, guest, language, status, version, ticket, reserved_at)
    SELECT NEW.data ->> 'orderId', NEW.data ->> 'customerId', NEW.data ->> 'eduNo', NEW.data ->> 'guest',
        NEW.data ->> 'language',
        CASE NEW.type
            WHEN 'Reserved' THEN NEW.data ->> 'status'
            WHEN 'ReservationConfirmed' THEN 'Reservation Confirmed'
            WHEN 'ReservationRejected' THEN 'Reservation Rejected'
            WHEN 'ReservationCanceled' THEN 'Reservation Canceled'
        END,
        NEW.version,
        iif(NEW.data ->> 'status' = 'Waitlisted', (SELECT max(seq) FROM events), NULL),
        NEW.data ->> 'reservedAt'
    WHERE NEW.type GLOB 'Reserv*'
    ON CONFLICT (order_id) DO UPDATE SET
        status = excluded.status, version = excluded.version, ticket = excluded.ticket,
        reserved_at = coalesce(excluded.reserved_at, reserved_at);
END";
