-- The schema of version 3, as revision fc244d8 made it. Each statement ends with a line `;;`.
CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    subject TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    time TEXT NOT NULL,
    traceparent TEXT,
    sent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (subject, version)
)
;;
CREATE INDEX IF NOT EXISTS events_unsent ON events (seq) WHERE sent = 0
;;
CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reached INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
)
;;
CREATE TRIGGER IF NOT EXISTS stream_reached
    AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
    BEGIN
        UPDATE stream SET reached = NEW.sent WHERE reached < NEW.sent;
    END
;;
CREATE TRIGGER IF NOT EXISTS stream_acknowledged
    AFTER UPDATE OF sent ON events WHEN NEW.sent = 0
    BEGIN
        UPDATE stream SET acknowledged = NEW.seq - 1 WHERE acknowledged >= NEW.seq;
    END
;;
INSERT OR IGNORE INTO stream (id, reached, epoch, acknowledged)
    SELECT 1, coalesce(max(sent), 0), 0, 0 FROM events
;;
CREATE TABLE IF NOT EXISTS courses (
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
) STRICT
;;
CREATE INDEX IF NOT EXISTS courses_due_to_start ON courses (starts_at) WHERE status = 'Open'
;;
CREATE INDEX IF NOT EXISTS courses_due_to_finish ON courses (ends_at) WHERE status = 'Started'
;;
CREATE INDEX IF NOT EXISTS courses_unsettled ON courses (edu_no)
    WHERE waiting > 0 OR (status = 'Course Canceled' AND taken > 0)
;;
CREATE TABLE IF NOT EXISTS reservations (
    order_id INTEGER PRIMARY KEY,
    customer_id INTEGER,
    edu_no INTEGER NOT NULL,
    guest INTEGER NOT NULL,
    language TEXT NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    ticket INTEGER,
    reserved_at TEXT
) STRICT
;;
CREATE INDEX IF NOT EXISTS reservations_of_course ON reservations (edu_no, order_id)
;;
CREATE INDEX IF NOT EXISTS reservations_of_course_by_status
    ON reservations (edu_no, status, order_id)
;;
CREATE INDEX IF NOT EXISTS reservations_of_customer ON reservations (customer_id, order_id)
;;
CREATE INDEX IF NOT EXISTS reservations_by_status ON reservations (status, order_id)
;;
CREATE INDEX IF NOT EXISTS waiting_list ON reservations (edu_no, ticket)
    WHERE status = 'Waitlisted'
;;
CREATE TRIGGER IF NOT EXISTS seats_of_a_new_reservation
AFTER INSERT ON reservations
WHEN NEW.status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted')
BEGIN
    UPDATE courses SET
        taken = taken + iif(NEW.status = 'Waitlisted', 0, NEW.guest),
        waiting = waiting + (NEW.status = 'Waitlisted')
    WHERE edu_no = NEW.edu_no;
END
;;
CREATE TRIGGER IF NOT EXISTS seats_of_a_changed_reservation
AFTER UPDATE OF status ON reservations
WHEN NEW.status <> OLD.status
BEGIN
    UPDATE courses SET
        taken = taken
            + iif(NEW.status IN ('Reservation Requested', 'Reservation Confirmed'), NEW.guest, 0)
            - iif(OLD.status IN ('Reservation Requested', 'Reservation Confirmed'), OLD.guest, 0),
        waiting = waiting + (NEW.status = 'Waitlisted') - (OLD.status = 'Waitlisted')
    WHERE edu_no = NEW.edu_no;
END
;;
CREATE VIEW IF NOT EXISTS decisions AS
    SELECT subject, version, type, data, time, traceparent, NULL AS edu_no, NULL AS seats_version FROM events
;;
CREATE TRIGGER IF NOT EXISTS decided INSTEAD OF INSERT ON decisions
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
END
;;
PRAGMA user_version=3
;;
