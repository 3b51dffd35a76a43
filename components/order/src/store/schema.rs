//! The tables of this context, and what one decision does to them.
//!
//! A decision is one `INSERT` into the view `decisions`, a row per event; its trigger does everything that has
//! to happen together. Each row carries the order as it stands after its event.

use eventlog::EVENTS_TABLE;

/// Every statement, in order; each harmless when repeated.
pub(crate) const SCHEMA: &[&str] = &[
    EVENTS_TABLE[0],
    EVENTS_TABLE[1],
    EVENTS_TABLE[2],
    EVENTS_TABLE[3],
    EVENTS_TABLE[4],
    EVENTS_TABLE[5],
    COURSES,
    ORDERS,
    "CREATE INDEX IF NOT EXISTS orders_by_customer ON orders (customer_id, order_id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS orders_by_course ON orders (edu_no, order_id)",
    "CREATE INDEX IF NOT EXISTS orders_by_status ON orders (status, order_id)",
    "CREATE INDEX IF NOT EXISTS orders_by_time ON orders (ordered_at, order_id)",
    "CREATE INDEX IF NOT EXISTS orders_due ON orders (due_at) WHERE due_at IS NOT NULL",
    RETRIES,
    "CREATE INDEX IF NOT EXISTS retries_due ON retries (next_at)",
    IDEMPOTENCY_KEYS,
    "CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (made_at)",
    TALLIES,
    TALLY_NEW,
    TALLY_CHANGED,
    FORGET_CARD,
    DECISIONS,
    DECIDE,
];

/// This context's own copy of the courses, from `reservation`'s events; `version` is of the last one taken in.
const COURSES: &str = "CREATE TABLE IF NOT EXISTS courses (
    edu_no INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    fee INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL
)";

/// The orders as their events left them, and (`pay_…`) a replica of what `pay` has told of each. `due_at` is
/// when an order that is not paid expires, in milliseconds; none once it cannot.
const ORDERS: &str = "CREATE TABLE IF NOT EXISTS orders (
    order_id INTEGER PRIMARY KEY,
    customer_id INTEGER,
    edu_no INTEGER NOT NULL,
    guest INTEGER NOT NULL,
    language TEXT NOT NULL,
    card_last4 TEXT,
    amount INTEGER NOT NULL,
    course_title TEXT NOT NULL,
    ordered_at TEXT NOT NULL,
    status TEXT NOT NULL,
    cancel_reason TEXT,
    version INTEGER NOT NULL,
    due_at INTEGER,
    pay_status TEXT,
    pay_version INTEGER NOT NULL DEFAULT 0,
    pay_card_last4 TEXT
)";

/// The payments that `pay` has still to be asked for, with the card (sealed; none where there is nothing to
/// pay). A row is there from the order's own statement on, so that no crash can lose a payment.
const RETRIES: &str = "CREATE TABLE IF NOT EXISTS retries (
    order_id INTEGER PRIMARY KEY,
    sealed BLOB,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL
)";

/// Which order an `Idempotency-Key` stands for, and for what content. `made_at` is in milliseconds.
const IDEMPOTENCY_KEYS: &str = "CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    order_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    made_at INTEGER NOT NULL
) WITHOUT ROWID";

/// How many orders there are by course and status: counting rows would slow down as the table grows.
const TALLIES: &str = "CREATE TABLE IF NOT EXISTS tallies (
    edu_no INTEGER NOT NULL,
    status TEXT NOT NULL,
    orders INTEGER NOT NULL,
    PRIMARY KEY (edu_no, status)
) WITHOUT ROWID";

const TALLY_NEW: &str = "CREATE TRIGGER IF NOT EXISTS tally_new AFTER INSERT ON orders BEGIN
    INSERT INTO tallies (edu_no, status, orders) VALUES (NEW.edu_no, NEW.status, 1)
        ON CONFLICT (edu_no, status) DO UPDATE SET orders = orders + 1;
END";

const TALLY_CHANGED: &str = "CREATE TRIGGER IF NOT EXISTS tally_changed AFTER UPDATE OF status ON orders
WHEN OLD.status <> NEW.status BEGIN
    UPDATE tallies SET orders = orders - 1 WHERE edu_no = OLD.edu_no AND status = OLD.status;
    INSERT INTO tallies (edu_no, status, orders) VALUES (NEW.edu_no, NEW.status, 1)
        ON CONFLICT (edu_no, status) DO UPDATE SET orders = orders + 1;
END";

/// A card is kept only for as long as the payment is open.
const FORGET_CARD: &str =
    "CREATE TRIGGER IF NOT EXISTS forget_card AFTER UPDATE OF status, pay_status ON orders
WHEN NEW.status <> 'Ordered' OR NEW.pay_status IN ('Paid', 'Payment Declined', 'Payment Canceled') BEGIN
    DELETE FROM retries WHERE order_id = NEW.order_id;
END";

/// The columns of a decision. `course_version` and `pay_version` say which state of the course's copy and of
/// the payment's replica it was made from, where that matters.
const DECISIONS: &str = "CREATE VIEW IF NOT EXISTS decisions (
    subject, version, type, data, time, traceparent,
    order_id, customer_id, edu_no, guest, language, card_last4, amount, course_title, ordered_at,
    status, cancel_reason, due_at, course_version, pay_version,
    sealed, next_at, idempotency_key, fingerprint, made_at
) AS SELECT NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL WHERE 0";

/// The delay is written before the rest of the order: `forget_card` must not see the refusal that the card kept
/// for the new try comes after.
const DECIDE: &str = "CREATE TRIGGER IF NOT EXISTS decide INSTEAD OF INSERT ON decisions BEGIN
    SELECT RAISE(ABORT, 'decision: the course has changed')
        WHERE NEW.course_version IS NOT NULL
        AND NEW.course_version IS NOT (SELECT version FROM courses WHERE edu_no = NEW.edu_no);
    SELECT RAISE(ABORT, 'decision: the payment has changed')
        WHERE NEW.cancel_reason = 'expired'
        AND NEW.pay_version IS NOT (SELECT pay_version FROM orders WHERE order_id = NEW.order_id);
    INSERT INTO events (subject, version, type, data, time, traceparent)
        VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time, NEW.traceparent);
    UPDATE orders SET pay_status = 'Payment Delayed'
        WHERE NEW.type = 'PaymentDelayed' AND order_id = NEW.order_id
        AND pay_version = NEW.pay_version AND pay_status IS NOT 'Paid';
    INSERT INTO orders (order_id, customer_id, edu_no, guest, language, card_last4, amount, course_title,
            ordered_at, status, cancel_reason, version, due_at)
        VALUES (NEW.order_id, NEW.customer_id, NEW.edu_no, NEW.guest, NEW.language, NEW.card_last4, NEW.amount,
            NEW.course_title, NEW.ordered_at, NEW.status, NEW.cancel_reason, NEW.version, NEW.due_at)
        ON CONFLICT (order_id) DO UPDATE SET
            status = excluded.status,
            cancel_reason = excluded.cancel_reason,
            version = excluded.version,
            due_at = CASE WHEN excluded.status = 'Ordered' THEN orders.due_at END;
    INSERT INTO retries (order_id, sealed, attempts, next_at)
        SELECT NEW.order_id, NEW.sealed, 0, NEW.next_at WHERE NEW.next_at IS NOT NULL;
    INSERT INTO idempotency_keys (key, order_id, fingerprint, made_at)
        SELECT NEW.idempotency_key, NEW.order_id, NEW.fingerprint, NEW.made_at
        WHERE NEW.idempotency_key IS NOT NULL;
END";
