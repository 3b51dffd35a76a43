//! What must hold: said in SQL over the stores, and independent of the code that is tested.

use crate::world::Stores;
use std::collections::{BTreeMap, BTreeSet};
use store::{Row, StoreError};

type Found = Result<Vec<String>, StoreError>;

/// One row for each that is wrong, with a text that says what.
type Rule = (&'static str, &'static str, &'static str);

/// Holds at every moment, also between the statements of somebody.
const ALWAYS: &[Rule] = &[
    (
        "at most one outstanding charge",
        "gateway",
        "SELECT 'order ' || order_id || ' has ' || outstanding FROM balances WHERE outstanding > 1",
    ),
    (
        "nothing is given back twice",
        "gateway",
        "SELECT 'order ' || order_id || ' got back ' || refunded || ' of ' || charged FROM balances WHERE balance < 0",
    ),
    (
        "no seat is sold twice",
        "reservation",
        "SELECT 'course ' || edu_no || ': ' || taken || ' of ' || capacity FROM (
            SELECT c.edu_no, c.capacity, coalesce(sum(r.guest), 0) AS taken FROM courses c LEFT JOIN reservations r
            ON r.edu_no = c.edu_no AND r.status IN ('Reservation Requested', 'Reservation Confirmed')
            GROUP BY c.edu_no) WHERE taken > capacity",
    ),
    (
        "seats and line are counted right",
        "reservation",
        "SELECT 'course ' || c.edu_no FROM courses c WHERE
            c.taken <> (SELECT coalesce(sum(guest), 0) FROM reservations r WHERE r.edu_no = c.edu_no
                AND r.status IN ('Reservation Requested', 'Reservation Confirmed'))
            OR c.waiting <> (SELECT count(*) FROM reservations r WHERE r.edu_no = c.edu_no AND r.status = 'Waitlisted')",
    ),
    (
        "a card is kept only while its payment is open",
        "order",
        "SELECT 'order ' || order_id FROM retries JOIN orders USING (order_id)
            WHERE status <> 'Ordered' OR pay_status = 'Paid'",
    ),
];

/// What must hold after every step.
pub fn after_each_step(stores: &Stores) -> Found {
    let mut wrong = ask(stores, ALWAYS)?;
    let seated = "SELECT DISTINCT subject FROM events WHERE type IN ('Reserved', 'ReservationConfirmed')";
    for row in stores.of("reservation").run(seated, &[])? {
        let order = row.text(0)?;
        let paid = "SELECT 1 FROM events WHERE subject = ? AND type = 'Paid'";
        if stores.of("pay").run(paid, &[store::text(order)])?.is_empty() {
            wrong.push(format!("only what is paid is reserved: order {order} is not"));
        }
    }
    Ok(wrong)
}

fn ask(stores: &Stores, rules: &[Rule]) -> Found {
    let mut wrong = vec![];
    for (rule, label, sql) in rules {
        for row in stores.of(label).run(sql, &[])? {
            wrong.push(format!("{rule}: {}", row.text(0)?));
        }
    }
    Ok(wrong)
}

/// Every event-sourced context's log is without gaps.
const LOG: &str =
    "SELECT subject || ' has ' || count(*) || ' events, the last of them number ' || max(version)
    FROM events GROUP BY subject HAVING count(*) <> max(version) OR min(version) <> 1
    UNION ALL SELECT a.subject || ': event ' || a.version || ' came after ' || b.version
    FROM events a JOIN events b ON a.subject = b.subject AND a.version < b.version AND a.seq > b.seq";

/// Whoever gave a card that pays, or has nothing to pay, need not do anything more: `order` tries until it is paid.
/// Asked when every try has had its time, and before orders expire.
pub fn promised(stores: &Stores, now: i64, promised: &BTreeSet<u64>, doubtful: &BTreeSet<u64>) -> Found {
    let rows = stores.of("order").run(
        "SELECT order_id, amount = 0 OR coalesce(card_last4, '') IN ('1234', '4444') FROM orders WHERE status = 'Ordered'
         AND due_at > ? AND (pay_status IS NULL OR pay_status = 'Payment Delayed')",
        &[store::int(now)],
    )?;
    let mut wrong = vec![];
    for row in &rows {
        let (order, can_pay) = (row.count(0)?, row.int(1)? == 1);
        if (can_pay || promised.contains(&order)) && !doubtful.contains(&order) {
            wrong.push(format!("what can be paid is tried until it is paid: order {order} still waits"));
        }
    }
    Ok(wrong)
}

/// Holds within one store once all is quiet.
const QUIET: &[Rule] = &[
    ("the log has no gaps", "order", LOG),
    ("the log has no gaps", "pay", LOG),
    ("the log has no gaps", "reservation", LOG),
    (
        "the orders are what their events say",
        "order",
        "SELECT 'order ' || o.order_id FROM orders o
            LEFT JOIN (SELECT subject, max(version) AS version, sum(type = 'OrderCanceled') AS ended,
                sum(type = 'Ordered') AS placed FROM events GROUP BY subject) e
            ON e.subject = CAST(o.order_id AS TEXT)
            WHERE e.version IS NOT o.version OR e.placed <> 1 OR (o.status = 'Order Canceled') <> (e.ended = 1)",
    ),
    (
        "the payments are what their events say",
        "pay",
        "SELECT 'order ' || p.order_id FROM pays p LEFT JOIN events e
            ON e.subject = CAST(p.order_id AS TEXT) AND e.version = p.version
            WHERE e.type IS NOT CASE p.status WHEN 'Paid' THEN 'Paid' WHEN 'Payment Declined' THEN 'PaymentDeclined'
                ELSE 'PaymentCanceled' END
            OR e.version <> (SELECT max(version) FROM events WHERE subject = e.subject)",
    ),
    (
        "the reservations are what their events say",
        "reservation",
        "SELECT 'order ' || r.order_id FROM reservations r LEFT JOIN events e
            ON e.subject = CAST(r.order_id AS TEXT) AND e.version = r.version
            WHERE r.status IS NOT CASE e.type WHEN 'Reserved' THEN e.data ->> 'status'
                WHEN 'ReservationConfirmed' THEN 'Reservation Confirmed'
                WHEN 'ReservationRejected' THEN 'Reservation Rejected' ELSE 'Reservation Canceled' END
            OR e.version <> (SELECT max(version) FROM events WHERE subject = e.subject)",
    ),
    ("no payment is still to be tried", "order", "SELECT 'order ' || order_id FROM retries"),
    (
        "nobody who fits waits at the head of a line",
        "reservation",
        "SELECT 'order ' || r.order_id FROM courses c JOIN reservations r ON r.edu_no = c.edu_no
            WHERE c.status = 'Open' AND r.status = 'Waitlisted' AND r.guest <= c.capacity - c.taken
            AND r.ticket = (SELECT min(ticket) FROM reservations WHERE edu_no = c.edu_no AND status = 'Waitlisted')",
    ),
    (
        "nobody waits for a course that has begun, and nobody has a place in a canceled one",
        "reservation",
        "SELECT 'order ' || r.order_id || ': ' || r.status FROM courses c JOIN reservations r ON r.edu_no = c.edu_no
            WHERE (c.status <> 'Open' AND r.status = 'Waitlisted') OR (c.status = 'Course Canceled'
                AND r.status IN ('Reservation Requested', 'Reservation Confirmed', 'Waitlisted'))",
    ),
    (
        "every message is sent, or was tried often enough",
        "notification",
        "SELECT id || ': ' || status FROM messages WHERE status <> 'Sent' AND NOT (status = 'Failed' AND attempts >= 8)",
    ),
    (
        "messages are counted right",
        "notification",
        "SELECT status || ': ' || rows FROM counts AS c
            WHERE rows <> (SELECT count(*) FROM messages m WHERE m.status = c.status)",
    ),
    (
        "the view is counted right",
        "information",
        "SELECT name || ': ' || rows FROM counts WHERE rows <> (SELECT count(*) FROM infomations
            WHERE name = 'all' OR name = 'eduNo ' || edu_no
            OR name IN (order_status, pay_status, reservation_status))",
    ),
];

/// What must hold once everything is told and nothing is left to do.
pub fn at_rest(stores: &Stores) -> Found {
    let mut wrong = ask(stores, QUIET)?;
    wrong.extend(money_and_seats(stores)?);
    wrong.extend(waiting_lists(stores)?);
    wrong.extend(messages(stores)?);
    wrong.extend(views(stores)?);
    wrong.extend(copies(stores)?);
    Ok(wrong)
}

/// Rows by their first column.
fn by_key(
    stores: &Stores,
    label: &'static str,
    sql: &str,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let line = |row: &Row| {
        let mut texts = row.values().iter().map(|value| match value {
            store::Value::Text(text) => text.clone(),
            store::Value::Integer(number) => number.to_string(),
            store::Value::Null => "-".to_owned(),
            other => format!("{other:?}"),
        });
        (texts.next().unwrap_or_default(), texts.collect())
    };
    Ok(stores.of(label).run(sql, &[])?.iter().map(line).collect())
}

/// Every order is either paid, charged just that, and has its place; or it is canceled, and has neither.
fn money_and_seats(stores: &Stores) -> Found {
    let orders = by_key(stores, "order", "SELECT order_id, status, amount FROM orders")?;
    let pays = by_key(stores, "pay", "SELECT order_id, status, amount, gateway_key FROM pays")?;
    let balances = by_key(stores, "gateway", "SELECT order_id, balance, outstanding FROM balances")?;
    let outstanding = by_key(
        stores,
        "gateway",
        "SELECT order_id, key, amount FROM charges WHERE outcome = 'Approved' AND key NOT IN (SELECT key FROM refunds)",
    )?;
    let seats = by_key(stores, "reservation", "SELECT order_id, status FROM reservations")?;
    let all: BTreeSet<_> =
        orders.keys().chain(pays.keys()).chain(balances.keys()).chain(seats.keys()).collect();
    let at = |rows: &BTreeMap<String, Vec<String>>, order: &str, column: usize| {
        rows.get(order).and_then(|row| row.get(column)).cloned().unwrap_or_else(|| "-".to_owned())
    };
    let mut wrong = vec![];
    for order in all {
        let (status, amount) = (at(&orders, order, 0), at(&orders, order, 1));
        let (pay, paid, key) = (at(&pays, order, 0), at(&pays, order, 1), at(&pays, order, 2));
        let balance = balances.get(order).map_or_else(|| "0".to_owned(), |_| at(&balances, order, 0));
        let seat = at(&seats, order, 0);
        let charged = (at(&outstanding, order, 0), at(&outstanding, order, 1));
        let living =
            ["Reservation Requested", "Reservation Confirmed", "Waitlisted"].contains(&seat.as_str());
        let right = match status.as_str() {
            "Ordered" => {
                let books = if amount == "0" { charged.0 == "-" } else { charged == (key, amount.clone()) };
                pay == "Paid" && paid == amount && balance == amount && books && living
            }
            "Order Canceled" => pay == "Payment Canceled" && balance == "0" && seat != "-" && !living,
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "order {order} is unresolved: {status}, {pay}, charged {balance} of {amount}, {seat}"
            ));
        }
    }
    Ok(wrong)
}

/// Seats are given in the order of the line, and never more than there are, at any moment of the log.
fn waiting_lists(stores: &Stores) -> Found {
    struct Line {
        capacity: i64,
        taken: i64,
        waiting: Vec<(String, i64)>,
        seated: BTreeMap<String, i64>,
    }
    let rows = stores.of("reservation").run(
        "SELECT type, subject, data ->> 'eduNo', data ->> 'guest', data ->> 'status', data ->> 'capacity', seq
         FROM events ORDER BY seq",
        &[],
    )?;
    let mut lines: BTreeMap<i64, Line> = BTreeMap::new();
    let mut wrong = vec![];
    for row in &rows {
        let (kind, subject) = (row.text(0)?, row.text(1)?.to_owned());
        let new = || Line { capacity: 0, taken: 0, waiting: vec![], seated: BTreeMap::new() };
        let line = lines.entry(row.int(2)?).or_insert_with(new);
        if kind.starts_with("Course") {
            line.capacity = row.int(5)?;
            continue;
        }
        let guests = row.int(3)?;
        match (kind, row.opt_text(4)?) {
            ("Reserved", Some("Waitlisted")) => line.waiting.push((subject.clone(), guests)),
            ("Reserved", _) => {
                match line.waiting.first() {
                    Some((head, _)) if *head == subject => drop(line.waiting.remove(0)),
                    Some((head, _)) => {
                        wrong.push(format!("order {subject} got a seat before {head}, who waited"))
                    }
                    None => {}
                }
                line.taken += guests;
                line.seated.insert(subject.clone(), guests);
            }
            ("ReservationConfirmed", _) => {
                if !line.seated.contains_key(&subject) {
                    wrong.push(format!("order {subject} was confirmed without a seat"));
                }
            }
            _ => {
                line.taken -= line.seated.remove(&subject).unwrap_or(0);
                line.waiting.retain(|(waiter, _)| *waiter != subject);
            }
        }
        if line.taken > line.capacity {
            wrong.push(format!("order {subject} was given a seat that is not there"));
        }
    }
    Ok(wrong)
}

/// Context, subject, version, name and status of an event.
type Told = (&'static str, String, u64, String, String);

/// Every event about an order.
fn order_events(stores: &Stores) -> Result<Vec<Told>, StoreError> {
    let mut events = vec![];
    for context in ["order", "pay", "reservation"] {
        let rows = stores.of(context).run(
            "SELECT subject, version, type, data ->> 'status' FROM events
             WHERE subject NOT GLOB 'course/*' ORDER BY subject, version",
            &[],
        )?;
        for row in &rows {
            let name = row.text(2)?.to_owned();
            let status = match name.as_str() {
                "Ordered" => "Ordered",
                "PaymentDelayed" => "Payment Delayed",
                "OrderCanceled" => "Order Canceled",
                "Paid" => "Paid",
                "PaymentDeclined" => "Payment Declined",
                "PaymentCanceled" => "Payment Canceled",
                "Reserved" => row.text(3)?,
                "ReservationConfirmed" => "Reservation Confirmed",
                "ReservationRejected" => "Reservation Rejected",
                "ReservationCanceled" => "Reservation Canceled",
                _ => "?",
            };
            events.push((context, row.text(0)?.to_owned(), row.count(1)?, name.clone(), status.to_owned()));
        }
    }
    Ok(events)
}

/// Every event about an order is one message, and one message in the inbox.
fn messages(stores: &Stores) -> Found {
    let events = order_events(stores)?;
    let wanted: BTreeSet<String> = events
        .iter()
        .map(|(context, subject, version, ..)| format!("{context}:{subject}:{version}"))
        .collect();
    let mut wrong = vec![];
    for (label, sql) in
        [("notification", "SELECT id FROM messages"), ("inbox", "SELECT message_id FROM inbox")]
    {
        let rows = stores.of(label).run(sql, &[])?;
        let there = rows.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
        let once: BTreeSet<_> = there.iter().cloned().collect();
        let given_up = by_key(stores, "notification", "SELECT id FROM messages WHERE status = 'Failed'")?;
        let missing = wanted.difference(&once).filter(|id| label != "inbox" || !given_up.contains_key(*id));
        wrong.extend(missing.map(|id| format!("messages exactly once: {label} lacks {id}")));
        wrong.extend(once.difference(&wanted).map(|id| format!("messages exactly once: {label} has {id}")));
        if there.len() != once.len() {
            wrong.push(format!("messages exactly once: {label} has {there:?}"));
        }
    }
    Ok(wrong)
}

/// The view is the fold of all events, and the timeline has each of them once.
fn views(stores: &Stores) -> Found {
    let events = order_events(stores)?;
    let mut wanted: BTreeMap<String, [String; 3]> = BTreeMap::new();
    let mut lines = BTreeSet::new();
    // In the order of contexts and versions, so that the last one stays; `pay` comes after `order`'s delays.
    for (context, subject, version, name, status) in &events {
        lines.insert(format!("{subject} {context} {version} {name} {status}"));
        let [order, pay, seat] =
            wanted.entry(subject.clone()).or_insert_with(|| ["-", "-", "-"].map(str::to_owned));
        match (*context, name.as_str()) {
            ("order", "PaymentDelayed") => pay.clone_from(status),
            ("order", _) => order.clone_from(status),
            ("pay", _) => pay.clone_from(status),
            _ => seat.clone_from(status),
        }
    }
    let there = by_key(
        stores,
        "information",
        "SELECT order_id, order_status, pay_status, reservation_status FROM infomations",
    )?;
    let mut wrong = vec![];
    for order in wanted.keys().chain(there.keys()).collect::<BTreeSet<_>>() {
        let (is, should) =
            (there.get(order).map(Vec::as_slice), wanted.get(order).map(<[String; 3]>::as_slice));
        if is != should {
            wrong.push(format!("the view is the fold: order {order} is {is:?} and should be {should:?}"));
        }
    }
    let timeline = stores.of("information").run(
        "SELECT order_id || ' ' || context || ' ' || version || ' ' || event || ' ' || status FROM timeline",
        &[],
    )?;
    let there =
        timeline.iter().map(|row| row.text(0).map(str::to_owned)).collect::<Result<BTreeSet<_>, _>>()?;
    wrong.extend(
        lines.symmetric_difference(&there).map(|line| format!("the timeline has every event: {line}")),
    );
    Ok(wrong)
}

/// What a context keeps of another's is what the other says.
fn copies(stores: &Stores) -> Found {
    let mut wrong = vec![];
    let courses = by_key(stores, "reservation", "SELECT edu_no, version, title, fee, status FROM courses")?;
    for (label, columns) in [
        ("order", "edu_no, version, title, fee, status"),
        ("information", "edu_no, version, title, NULL, status"),
        ("notification", "edu_no, version, title, NULL, NULL"),
    ] {
        let copy = by_key(stores, label, &format!("SELECT {columns} FROM courses"))?;
        for (course, is) in &courses {
            let same = copy.get(course).is_some_and(|copy| {
                copy.iter().zip(is).all(|(copied, original)| copied == "-" || copied == original)
            });
            if !same {
                wrong.push(format!("copies are true: {label} has course {course} as {:?}", copy.get(course)));
            }
        }
    }
    let pays = by_key(stores, "pay", "SELECT order_id, status, version FROM pays")?;
    let copy = by_key(stores, "order", "SELECT order_id, pay_status, pay_version FROM orders")?;
    for (order, is) in &pays {
        if copy.get(order) != Some(is) {
            wrong.push(format!(
                "copies are true: order takes the payment of {order} to be {:?}",
                copy.get(order)
            ));
        }
    }
    Ok(wrong)
}

/// Everything that is stored and means something, a line for each row.
pub fn dump(stores: &Stores) -> Found {
    let mut lines = vec![];
    for (label, tables) in [
        ("order", &["events", "orders", "courses", "retries", "tallies"][..]),
        ("pay", &["events", "pays"]),
        ("gateway", &["charges", "refunds"]),
        ("reservation", &["events", "courses", "reservations"]),
        ("notification", &["messages", "courses"]),
        ("inbox", &["inbox"]),
        ("information", &["infomations", "timeline", "courses"]),
    ] {
        for table in tables {
            let rows = stores.of(label).dump(table)?;
            lines.extend(rows.into_iter().map(|row| format!("{label}.{table} {row}")));
        }
    }
    Ok(lines)
}
