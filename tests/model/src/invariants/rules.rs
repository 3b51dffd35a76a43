//! What must hold within one store, said in SQL.

/// A promise, the label of the store it is about, and a query with a row for each that is `wrong`.
pub(super) type Rule = (&'static str, &'static str, &'static str);

/// Holds at every moment, also between the statements of somebody.
pub(super) const ALWAYS: &[Rule] = &[
    (
        "at most one outstanding charge",
        "gateway",
        "SELECT 'order ' || order_id || ' has ' || outstanding AS wrong FROM balances WHERE outstanding > 1",
    ),
    (
        "nothing is given back twice",
        "gateway",
        "SELECT 'order ' || order_id || ' got back ' || refunded || ' of ' || charged AS wrong FROM balances
            WHERE balance < 0",
    ),
    (
        "no seat is sold twice",
        "reservation",
        "SELECT 'course ' || edu_no || ': ' || taken || ' of ' || capacity AS wrong FROM (
            SELECT c.edu_no, c.capacity, coalesce(sum(r.guest), 0) AS taken FROM courses c LEFT JOIN reservations r
            ON r.edu_no = c.edu_no AND r.status IN ('Reservation Requested', 'Reservation Confirmed')
            GROUP BY c.edu_no) WHERE taken > capacity",
    ),
    (
        "seats and waiting list are counted right",
        "reservation",
        "SELECT 'course ' || c.edu_no AS wrong FROM courses c WHERE
            c.taken <> (SELECT coalesce(sum(guest), 0) FROM reservations r WHERE r.edu_no = c.edu_no
                AND r.status IN ('Reservation Requested', 'Reservation Confirmed'))
            OR c.waiting <> (SELECT count(*) FROM reservations r WHERE r.edu_no = c.edu_no AND r.status = 'Waitlisted')",
    ),
    (
        "a card is kept only while its payment is open",
        "order",
        "SELECT 'order ' || order_id AS wrong FROM retries JOIN orders USING (order_id)
            WHERE status <> 'Ordered' OR pay_status = 'Paid'",
    ),
];

/// Every event-sourced context's log is without gaps.
const LOG: &str =
    "SELECT subject || ' has ' || count(*) || ' events, the last of them number ' || max(version) AS wrong
    FROM events GROUP BY subject HAVING count(*) <> max(version) OR min(version) <> 1
    UNION ALL SELECT a.subject || ': event ' || a.version || ' came after ' || b.version
    FROM events a JOIN events b ON a.subject = b.subject AND a.version < b.version AND a.position > b.position";

/// Holds within one store once all is quiet.
pub(super) const QUIET: &[Rule] = &[
    ("the log has no gaps", "order", LOG),
    ("the log has no gaps", "pay", LOG),
    ("the log has no gaps", "reservation", LOG),
    (
        "the orders are what their events say",
        "order",
        "SELECT 'order ' || o.order_id AS wrong FROM orders o
            LEFT JOIN (SELECT subject, max(version) AS version, sum(type = 'OrderCanceled') AS ended,
                sum(type = 'Ordered') AS placed FROM events GROUP BY subject) e
            ON e.subject = CAST(o.order_id AS TEXT)
            WHERE e.version IS NOT o.version OR e.placed <> 1 OR (o.status = 'Order Canceled') <> (e.ended = 1)",
    ),
    (
        "the payments are what their events say",
        "pay",
        "SELECT 'order ' || p.order_id AS wrong FROM pays p LEFT JOIN events e
            ON e.subject = CAST(p.order_id AS TEXT) AND e.version = p.version
            WHERE e.type IS NOT CASE p.status WHEN 'Paid' THEN 'Paid' WHEN 'Payment Declined' THEN 'PaymentDeclined'
                ELSE 'PaymentCanceled' END
            OR e.version <> (SELECT max(version) FROM events WHERE subject = e.subject)",
    ),
    (
        "the reservations are what their events say",
        "reservation",
        "SELECT 'order ' || r.order_id AS wrong FROM reservations r LEFT JOIN events e
            ON e.subject = CAST(r.order_id AS TEXT) AND e.version = r.version
            WHERE r.status IS NOT CASE e.type WHEN 'Reserved' THEN e.data ->> 'status'
                WHEN 'ReservationConfirmed' THEN 'Reservation Confirmed'
                WHEN 'ReservationRejected' THEN 'Reservation Rejected' ELSE 'Reservation Canceled' END
            OR e.version <> (SELECT max(version) FROM events WHERE subject = e.subject)",
    ),
    ("no payment is still to be tried", "order", "SELECT 'order ' || order_id AS wrong FROM retries"),
    (
        "nobody who fits waits at the head of a waiting list",
        "reservation",
        "SELECT 'order ' || r.order_id AS wrong FROM courses c JOIN reservations r ON r.edu_no = c.edu_no
            WHERE c.status = 'Open' AND r.status = 'Waitlisted' AND r.guest <= c.capacity - c.taken
            AND r.ticket = (SELECT min(ticket) FROM reservations WHERE edu_no = c.edu_no AND status = 'Waitlisted')",
    ),
    (
        "nobody waits for a course that has begun, and nobody has a place in a canceled one",
        "reservation",
        "SELECT 'order ' || r.order_id || ': ' || r.status AS wrong FROM courses c JOIN reservations r ON r.edu_no = c.edu_no
            WHERE (c.status <> 'Open' AND r.status = 'Waitlisted') OR (c.status = 'Course Canceled'
                AND r.status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted'))",
    ),
    (
        "every message is sent, or was tried often enough",
        "notification",
        "SELECT id || ': ' || status AS wrong FROM messages
            WHERE status <> 'Sent' AND NOT (status = 'Failed' AND attempts >= 11)",
    ),
    (
        "orders are counted right",
        "order",
        "SELECT edu_no || ' ' || status || ': ' || orders AS wrong FROM tallies AS t WHERE orders <>
            (SELECT count(*) FROM orders o WHERE o.edu_no = t.edu_no AND o.status = t.status)",
    ),
    (
        "messages are counted right",
        "notification",
        "SELECT status || ': ' || rows AS wrong FROM counts AS c
            WHERE rows <> (SELECT count(*) FROM messages m WHERE m.status = c.status)",
    ),
    (
        "the view is counted right",
        "information",
        "SELECT name || ': ' || rows AS wrong FROM counts WHERE rows <> (SELECT count(*) FROM infomations
            WHERE name = 'all' OR name = 'eduNo ' || edu_no
            OR name IN (order_status, pay_status, reservation_status))",
    ),
];
