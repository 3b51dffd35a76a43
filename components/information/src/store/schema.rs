//! What the store looks like.

use store::{Schema, Step, course_managers};

pub(super) static SCHEMA: Schema = Schema {
    version: 4,
    oldest_code: 1,
    tables: &[
        // `delayed_at` is the newest of `pay`'s versions at which `order` told that the payment is delayed. Until a later
        // one is told, that is the status of the payment.
        "CREATE TABLE infomations (
            order_id INTEGER PRIMARY KEY,
            customer_id INTEGER,
            edu_no INTEGER NOT NULL,
            guest INTEGER NOT NULL,
            course_title TEXT,
            amount INTEGER,
            order_version INTEGER NOT NULL,
            order_status TEXT,
            pay_version INTEGER NOT NULL,
            pay_status TEXT,
            reservation_version INTEGER NOT NULL,
            reservation_status TEXT,
            waiting_position INTEGER,
            updated_at TEXT NOT NULL,
            delayed_at INTEGER
        )",
        // An index of SQLite ends with the row's key, so each of these also sorts by orderId.
        "CREATE INDEX infomations_by_customer ON infomations (customer_id/*postgres , order_id*/)",
        "CREATE INDEX infomations_by_course ON infomations (edu_no/*postgres , order_id*/)",
        "CREATE INDEX infomations_by_order_status ON infomations (order_status/*postgres , order_id*/)",
        "CREATE INDEX infomations_by_pay_status ON infomations (pay_status/*postgres , order_id*/)",
        "CREATE INDEX infomations_by_reservation_status ON infomations (reservation_status/*postgres , order_id*/)",
        "CREATE INDEX infomations_by_update ON infomations (updated_at/*postgres , order_id*/)",
        "CREATE TABLE timeline (
            order_id INTEGER NOT NULL,
            context TEXT NOT NULL,
            version INTEGER NOT NULL,
            event TEXT NOT NULL,
            status TEXT NOT NULL,
            time TEXT NOT NULL,
            PRIMARY KEY (order_id, context, version)
        ) WITHOUT ROWID",
        "CREATE TABLE courses (
            edu_no INTEGER PRIMARY KEY,
            version INTEGER NOT NULL,
            title TEXT NOT NULL,
            status TEXT NOT NULL,
            managers TEXT NOT NULL DEFAULT '[]'
        )",
        INFOMATIONS_KEPT,
        course_managers::TABLE,
        course_managers::BY_MEMBER,
        PEOPLE,
        // How many rows there are: in all (`all`), of a course (`eduNo 101`), in a status (`Paid`).
        "CREATE TABLE counts (name TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
    ],
    steps: &[
        Step {
            to: 2,
            statements: &[
                "ALTER TABLE infomations ADD COLUMN delayed_at INTEGER",
                "UPDATE infomations SET delayed_at = 0
                    WHERE order_id IN (SELECT order_id FROM timeline WHERE event = 'PaymentDelayed')",
            ],
        },
        // Nobody managed a course before, and nobody was known by name.
        Step {
            to: 3,
            statements: &[
                "ALTER TABLE courses ADD COLUMN managers TEXT NOT NULL DEFAULT '[]'",
                course_managers::TABLE,
                course_managers::BY_MEMBER,
                PEOPLE,
            ],
        },
        Step { to: 4, statements: &[INFOMATIONS_KEPT] },
    ],
    programs: &[TOLD, TOLD_OF_ORDER, TOLD_OF_COURSE, INSERTED, UPDATED],
};

/// To find those whose customer is kept for too long.
const INFOMATIONS_KEPT: &str =
    "CREATE INDEX infomations_kept ON infomations (updated_at) WHERE customer_id IS NOT NULL";

/// What members are called. Of whoever is erased the number and the version are left, so that an older event that comes late
/// tells nothing.
const PEOPLE: &str = "CREATE TABLE people (
    customer_id INTEGER PRIMARY KEY,
    name TEXT,
    version INTEGER NOT NULL
)";

/// Where what events say is inserted.
const TOLD: &str = "CREATE VIEW told AS
    SELECT t.context AS source, t.version, t.event, t.time, i.order_id, i.customer_id, i.edu_no, i.guest,
        c.title, i.amount, i.order_status, i.pay_status, i.delayed_at, i.reservation_status, i.waiting_position,
        c.status AS course_status, c.managers
    FROM timeline AS t JOIN infomations AS i ON i.order_id = t.order_id JOIN courses AS c ON c.edu_no = i.edu_no";

/// Adds a line to the timeline of an order, and joins its row. The line of a delay says what became of the payment.
pub(super) const TOLD_OF_ORDER: &str =
    "CREATE TRIGGER told_of_order INSTEAD OF INSERT ON told WHEN NEW.order_id IS NOT NULL BEGIN
    INSERT INTO timeline (order_id, context, version, event, status, time)
        VALUES (NEW.order_id, NEW.source, NEW.version, NEW.event,
            coalesce(NEW.pay_status, NEW.order_status, NEW.reservation_status), NEW.time)
        ON CONFLICT (order_id, context, version) DO NOTHING;
    INSERT INTO infomations (order_id, customer_id, edu_no, guest, course_title, amount, order_version, order_status,
            pay_version, pay_status, reservation_version, reservation_status, waiting_position, updated_at, delayed_at)
        VALUES (NEW.order_id, NEW.customer_id, NEW.edu_no, NEW.guest, NEW.title, NEW.amount,
            CASE NEW.source WHEN 'order' THEN NEW.version ELSE 0 END, NEW.order_status,
            CASE NEW.source WHEN 'pay' THEN NEW.version ELSE 0 END, NEW.pay_status,
            CASE NEW.source WHEN 'reservation' THEN NEW.version ELSE 0 END, NEW.reservation_status,
            NEW.waiting_position, NEW.time, NEW.delayed_at)
        ON CONFLICT (order_id) DO UPDATE SET
            course_title = coalesce(infomations.course_title, excluded.course_title),
            amount = coalesce(infomations.amount, excluded.amount),
            order_status = CASE WHEN excluded.order_version > 0
                AND excluded.order_version > infomations.order_version -- guard: information.version
                THEN excluded.order_status ELSE infomations.order_status END,
            order_version = max(infomations.order_version, excluded.order_version),
            pay_status = CASE WHEN excluded.delayed_at >= infomations.pay_version OR excluded.pay_version > 0
                AND excluded.pay_version > max(infomations.pay_version, coalesce(infomations.delayed_at, 0)) -- guard: information.version
                THEN excluded.pay_status ELSE infomations.pay_status END,
            delayed_at = coalesce(max(infomations.delayed_at, excluded.delayed_at), infomations.delayed_at, excluded.delayed_at),
            pay_version = max(infomations.pay_version, excluded.pay_version),
            reservation_status = CASE WHEN excluded.reservation_version > 0
                AND excluded.reservation_version > infomations.reservation_version -- guard: information.version
                THEN excluded.reservation_status ELSE infomations.reservation_status END,
            waiting_position = CASE WHEN excluded.reservation_version > 0
                AND excluded.reservation_version > infomations.reservation_version -- guard: information.version
                THEN excluded.waiting_position ELSE infomations.waiting_position END,
            reservation_version = max(infomations.reservation_version, excluded.reservation_version),
            updated_at = max(infomations.updated_at, excluded.updated_at);
END";

/// Keeps the newest of what was told about a course.
const TOLD_OF_COURSE: &str =
    "CREATE TRIGGER told_of_course INSTEAD OF INSERT ON told WHEN NEW.order_id IS NULL BEGIN
    INSERT INTO courses (edu_no, version, title, status, managers)
        VALUES (NEW.edu_no, NEW.version, NEW.title, NEW.course_status, coalesce(NEW.managers, '[]'))
        ON CONFLICT (edu_no) DO UPDATE
            SET version = excluded.version, title = excluded.title, status = excluded.status,
                managers = excluded.managers
            WHERE excluded.version > courses.version;
    DELETE FROM course_managers WHERE edu_no = NEW.edu_no;
    INSERT INTO course_managers (edu_no, customer_id)
        SELECT courses.edu_no, CAST(member.value ->> 'customerId' AS BIGINT)
        FROM courses, json_each(courses.managers) AS member WHERE courses.edu_no = NEW.edu_no;
END";

const INSERTED: &str = "CREATE TRIGGER infomations_inserted AFTER INSERT ON infomations BEGIN
    INSERT INTO counts (name, rows)
        SELECT name, 1
        FROM (SELECT 'all' AS name UNION ALL SELECT 'eduNo ' || NEW.edu_no
            UNION ALL SELECT NEW.order_status UNION ALL SELECT NEW.pay_status
            UNION ALL SELECT NEW.reservation_status) AS names
        WHERE name IS NOT NULL
        ON CONFLICT (name) DO UPDATE SET rows = counts.rows + 1;
END";

const UPDATED: &str = "CREATE TRIGGER infomations_updated
    AFTER UPDATE OF order_status, pay_status, reservation_status ON infomations
    WHEN NEW.order_status IS DISTINCT FROM OLD.order_status
        OR NEW.pay_status IS DISTINCT FROM OLD.pay_status
        OR NEW.reservation_status IS DISTINCT FROM OLD.reservation_status
BEGIN
    INSERT INTO counts (name, rows)
        SELECT name, CAST(sum(change) AS BIGINT)
        FROM (SELECT OLD.order_status AS name, -1 AS change UNION ALL SELECT OLD.pay_status, -1
            UNION ALL SELECT OLD.reservation_status, -1 UNION ALL SELECT NEW.order_status, 1
            UNION ALL SELECT NEW.pay_status, 1 UNION ALL SELECT NEW.reservation_status, 1) AS changes
        WHERE name IS NOT NULL GROUP BY name HAVING sum(change) <> 0
        ON CONFLICT (name) DO UPDATE SET rows = counts.rows + excluded.rows;
END";
