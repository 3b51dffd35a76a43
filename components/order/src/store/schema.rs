//! The tables of this context, how its lists follow from events, and what is committed beside them.

use journal::{expectation, programs, tables, tallies, tally_changed, tally_new};
use store::{Schema, Step};

pub(super) static SCHEMA: Schema = Schema {
    version: 7,
    // Up to version 3 the relay kept an outbox in the table `events`.
    oldest_code: 4,
    tables: &[
        tables::EVENTS,
        tables::LOG,
        tables::LOG_BEGINS,
        COURSES,
        ORDERS,
        "CREATE INDEX orders_by_customer ON orders (customer_id, order_id) WHERE customer_id IS NOT NULL",
        "CREATE INDEX orders_by_course ON orders (edu_no, order_id)",
        "CREATE INDEX orders_by_status ON orders (status, order_id)",
        "CREATE INDEX orders_by_time ON orders (ordered_at, order_id)",
        "CREATE INDEX orders_due ON orders (due_at) WHERE due_at IS NOT NULL",
        RETRIES,
        RETRIES_DUE,
        IDEMPOTENCY_KEYS,
        "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (made_at)",
        RATES,
        RATES_BY_AGE,
        tallies::TALLIES,
        journal::ANONYMOUS,
        journal::ANONYMOUS_BEGINS,
    ],
    steps: &[
        Step { to: 4, statements: &tables::FROM_OUTBOX },
        Step { to: 4, statements: FROM_EVENTS_WITHOUT_DUE },
        Step { to: 5, statements: &[RATES, RATES_BY_AGE] },
        Step { to: 6, statements: &[tables::WITH_ACTORS] },
        Step { to: 7, statements: &[journal::ANONYMOUS, journal::ANONYMOUS_BEGINS] },
    ],
    programs: &[
        programs::DECISIONS,
        programs::APPEND_EVENT,
        programs::PROJECTION,
        expectation!(
            "course",
            "SELECT version FROM courses WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR SHARE"
        ),
        expectation!(
            "payment",
            "SELECT pay_version FROM orders WHERE order_id = CAST(NEW.subject AS BIGINT)",
            "FOR UPDATE"
        ),
        KEEP_CARD,
        KEEP_KEY,
        USE_RATE,
        PROJECT_ORDERED,
        PROJECT_PAYMENT_DELAYED,
        PROJECT_ORDER_CANCELED,
        FORGET_CARD,
        tally_new!("orders"),
        tally_changed!("orders"),
        journal::EXPIRED,
        journal::PASS_EXPIRED,
        journal::anonymise!("orders", ", card_last4 = NULL, pay_card_last4 = NULL"),
    ],
};

/// This context's own copy of the courses, from `reservation`'s events; `version` is of the last one taken in.
const COURSES: &str = "CREATE TABLE courses (
    edu_no INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    fee INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL
)";

/// The orders as their events left them, and (`pay_…`) a replica of what `pay` has told of each.
///
/// `due_at` is when an order that is not paid expires, in milliseconds; none once it cannot. `delayed_at` is the
/// `pay_version` that its payment was delayed at last: whatever `pay` told up to there says nothing any more.
const ORDERS: &str = "CREATE TABLE orders (
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
    pay_card_last4 TEXT,
    delayed_at INTEGER
)";

/// The payments that `pay` has still to be asked for, with the card (sealed; none where there is nothing to
/// pay). A row is there from the order's own statement on, so that no crash can lose a payment.
const RETRIES: &str = "CREATE TABLE retries (
    order_id INTEGER PRIMARY KEY,
    sealed TEXT,
    attempts INTEGER NOT NULL,
    next_at INTEGER NOT NULL
)";

const RETRIES_DUE: &str = "CREATE INDEX retries_due ON retries (next_at)";

/// Which order an `Idempotency-Key` stands for, and for what content. `made_at` is in milliseconds; with the order's own
/// time the key came with the order.
const IDEMPOTENCY_KEYS: &str = "CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    order_id INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    made_at INTEGER NOT NULL
) WITHOUT ROWID";

/// How much of its rate each client has used: `full_at` is when all of it is there again, in milliseconds.
const RATES: &str = "CREATE TABLE rates (
    client TEXT PRIMARY KEY,
    full_at INTEGER NOT NULL
) WITHOUT ROWID";

const RATES_BY_AGE: &str = "CREATE INDEX rates_by_age ON rates (full_at)";

/// Up to version 3 `Payment Delayed` stood in the place of what `pay` had told, which can only have been a refusal; when
/// an order expires was in no event, nor what a delay came after; and sealed cards were bytes.
const FROM_EVENTS_WITHOUT_DUE: &[&str] = &[
    "UPDATE events SET data = json_set(data, '$.dueAt',
            strftime('%Y-%m-%dT%H:%M:%S', o.due_at / 1000, 'unixepoch') || printf('.%03dZ', o.due_at % 1000))
        FROM orders AS o
        WHERE events.type = 'Ordered' AND o.due_at IS NOT NULL AND events.subject = CAST(o.order_id AS TEXT)",
    "UPDATE events SET data = json_set(data, '$.payVersion', o.pay_version)
        FROM orders AS o
        WHERE events.type = 'PaymentDelayed' AND o.pay_status = 'Payment Delayed' AND o.pay_version > 0
        AND events.subject = CAST(o.order_id AS TEXT) AND events.version = (SELECT max(e.version) FROM events AS e
            WHERE e.subject = events.subject AND e.type = 'PaymentDelayed')",
    // Whoever shows such a payment as refused hears of the delay again.
    "UPDATE log SET floor = min(floor, (SELECT min(position) - 1 FROM events
            WHERE type = 'PaymentDelayed' AND data ->> 'payVersion' > 0))
        WHERE EXISTS (SELECT 1 FROM events WHERE type = 'PaymentDelayed' AND data ->> 'payVersion' > 0)",
    "ALTER TABLE orders ADD COLUMN delayed_at INTEGER",
    "UPDATE orders SET delayed_at = told.pay_version
        FROM (SELECT subject, max(coalesce(CAST(data ->> 'payVersion' AS BIGINT), 0)) AS pay_version
            FROM events WHERE type = 'PaymentDelayed' GROUP BY subject) AS told
        WHERE order_id = CAST(told.subject AS BIGINT)",
    "UPDATE orders SET pay_status = CASE WHEN pay_version > 0 THEN 'Payment Declined' END
        WHERE pay_status = 'Payment Delayed'",
    "ALTER TABLE retries RENAME TO old_retries",
    RETRIES,
    "INSERT INTO retries (order_id, sealed, attempts, next_at)
        SELECT order_id, hex(sealed), attempts, next_at FROM old_retries WHERE sealed IS NOT NULL
        UNION ALL SELECT order_id, NULL, attempts, next_at FROM old_retries WHERE sealed IS NULL",
    "DROP TABLE old_retries",
    RETRIES_DUE,
];

const KEEP_CARD: &str = "CREATE TRIGGER keep_card INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'card' BEGIN
    INSERT INTO retries (order_id, sealed, attempts, next_at)
        VALUES (CAST(NEW.subject AS BIGINT), NEW.data ->> 'sealed', 0, CAST(NEW.data ->> 'nextAt' AS BIGINT));
END";

const KEEP_KEY: &str = "CREATE TRIGGER keep_key INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'key' BEGIN
    INSERT INTO idempotency_keys (key, order_id, fingerprint, made_at)
        VALUES (NEW.data ->> 'key', CAST(NEW.subject AS BIGINT), NEW.data ->> 'fingerprint',
            CAST(NEW.data ->> 'madeAt' AS BIGINT));
END";

const USE_RATE: &str = "CREATE TRIGGER use_rate INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'rate' BEGIN
    INSERT INTO rates (client, full_at)
        VALUES (NEW.subject, CAST(NEW.data ->> 'now' AS BIGINT) + CAST(NEW.data ->> 'interval' AS BIGINT))
        ON CONFLICT (client) DO UPDATE SET full_at = CAST(NEW.data ->> 'interval' AS BIGINT)
            + CASE WHEN rates.full_at > CAST(NEW.data ->> 'now' AS BIGINT)
                THEN rates.full_at ELSE CAST(NEW.data ->> 'now' AS BIGINT) END;
END";

/// Where the event is told again, what `pay` has told stays, and so does the end of waiting for it.
const PROJECT_ORDERED: &str =
    "CREATE TRIGGER project_ordered INSTEAD OF INSERT ON projection WHEN NEW.type = 'Ordered' BEGIN
    INSERT INTO orders (order_id, customer_id, edu_no, guest, language, card_last4, amount, course_title,
            ordered_at, status, version, due_at)
        VALUES (CAST(NEW.subject AS BIGINT), CAST(NEW.data ->> 'customerId' AS BIGINT),
            CAST(NEW.data ->> 'eduNo' AS BIGINT), CAST(NEW.data ->> 'guest' AS BIGINT), NEW.data ->> 'language',
            NEW.data ->> 'cardLast4', CAST(NEW.data ->> 'amount' AS BIGINT), NEW.data ->> 'courseTitle',
            NEW.data ->> 'orderedAt', 'Ordered', NEW.version,
            unixepoch(NEW.data ->> 'dueAt') * 1000
                + CAST(substr(NEW.data ->> 'dueAt', 21, 3) AS BIGINT))
        ON CONFLICT (order_id) DO UPDATE SET
            customer_id = excluded.customer_id, edu_no = excluded.edu_no, guest = excluded.guest,
            language = excluded.language, card_last4 = excluded.card_last4, amount = excluded.amount,
            course_title = excluded.course_title, ordered_at = excluded.ordered_at, status = excluded.status,
            cancel_reason = NULL, version = excluded.version, delayed_at = NULL,
            due_at = CASE WHEN orders.pay_status IN ('Paid', 'Payment Canceled')
                THEN orders.due_at ELSE excluded.due_at END;
END";

const PROJECT_PAYMENT_DELAYED: &str = "CREATE TRIGGER project_payment_delayed
INSTEAD OF INSERT ON projection WHEN NEW.type = 'PaymentDelayed' BEGIN
    UPDATE orders SET version = NEW.version, delayed_at = coalesce(CAST(NEW.data ->> 'payVersion' AS BIGINT), 0)
        WHERE order_id = CAST(NEW.subject AS BIGINT);
END";

const PROJECT_ORDER_CANCELED: &str = "CREATE TRIGGER project_order_canceled
INSTEAD OF INSERT ON projection WHEN NEW.type = 'OrderCanceled' BEGIN
    UPDATE orders SET status = 'Order Canceled', cancel_reason = NEW.data ->> 'reason', version = NEW.version,
            due_at = NULL
        WHERE order_id = CAST(NEW.subject AS BIGINT);
    DELETE FROM retries WHERE order_id = CAST(NEW.subject AS BIGINT);
END";

/// A card is kept only for as long as the payment is open: until the order ends, or `pay` tells something new.
const FORGET_CARD: &str = "CREATE TRIGGER forget_card AFTER UPDATE OF pay_version ON orders
WHEN NEW.pay_version > OLD.pay_version BEGIN
    DELETE FROM retries WHERE order_id = NEW.order_id;
END";
