//! What those who only listen make of the events.

use super::{Found, by_key};
use crate::world::Stores;
use eventlog::topology;
use std::collections::{BTreeMap, BTreeSet};
use store::StoreError;

/// Context, subject, version, name and status of an event.
type Told = (&'static str, String, u64, String, String);

/// Every event about an order.
fn order_events(stores: &Stores) -> Result<Vec<Told>, StoreError> {
    let mut events = vec![];
    for context in topology::sources() {
        let rows = stores.of(context).run(
            "SELECT subject, version, type, data ->> 'status' AS status FROM events
             WHERE subject NOT GLOB 'course/*' ORDER BY subject, version",
            &[],
        )?;
        for row in &rows {
            let name = row.text("type")?.to_owned();
            let status = match name.as_str() {
                "Ordered" => "Ordered",
                "PaymentDelayed" => "Payment Delayed",
                "OrderCanceled" => "Order Canceled",
                "Paid" => "Paid",
                "PaymentDeclined" => "Payment Declined",
                "PaymentCanceled" => "Payment Canceled",
                "Reserved" => row.text("status")?,
                "ReservationConfirmed" => "Reservation Confirmed",
                "ReservationRejected" => "Reservation Rejected",
                "ReservationCanceled" => "Reservation Canceled",
                _ => "?",
            };
            events.push((
                context,
                row.text("subject")?.to_owned(),
                row.count("version")?,
                name.clone(),
                status.to_owned(),
            ));
        }
    }
    Ok(events)
}

/// Every event about an order is one message, and one message in the inbox.
pub(super) fn messages(stores: &Stores) -> Found {
    let events = order_events(stores)?;
    let wanted: BTreeSet<String> = events
        .iter()
        .map(|(context, subject, version, ..)| format!("{context}:{subject}:{version}"))
        .collect();
    let mut wrong = vec![];
    for (label, sql) in
        [("notification", "SELECT id FROM messages"), ("inbox", "SELECT message_id AS id FROM inbox")]
    {
        let rows = stores.of(label).run(sql, &[])?;
        let there =
            rows.iter().map(|row| row.text("id").map(str::to_owned)).collect::<Result<Vec<_>, _>>()?;
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
pub(super) fn views(stores: &Stores) -> Found {
    let events = order_events(stores)?;
    let mut wanted: BTreeMap<String, [String; 3]> = BTreeMap::new();
    let mut told = BTreeSet::new();
    // In the order of contexts and versions, so that the last one stays; `pay` comes after `order`'s delays.
    for (context, subject, version, name, status) in &events {
        told.insert(format!("{subject} {context} {version} {name} {status}"));
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
        "SELECT order_id || ' ' || context || ' ' || version || ' ' || event || ' ' || status AS event FROM timeline",
        &[],
    )?;
    let there = timeline
        .iter()
        .map(|row| row.text("event").map(str::to_owned))
        .collect::<Result<BTreeSet<_>, _>>()?;
    wrong.extend(
        told.symmetric_difference(&there).map(|event| format!("the timeline has every event: {event}")),
    );
    Ok(wrong)
}

/// What a context keeps of another's is what the other says, as far as the context reacts to it.
pub(super) fn copies(stores: &Stores) -> Found {
    let mut wrong = vec![];
    let courses = by_key(stores, "reservation", "SELECT edu_no, title, fee, status FROM courses")?;
    for (label, columns) in [
        ("order", "edu_no, version, title, fee, status"),
        ("information", "edu_no, version, title, NULL, status"),
        ("notification", "edu_no, version, title, NULL, NULL"),
    ] {
        let copy = by_key(stores, label, &format!("SELECT {columns} FROM courses"))?;
        let told = course_versions(stores, label)?;
        for (course, is) in &courses {
            let is = told.get(course).into_iter().chain(is);
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

/// By course: the version of the last of its events that a consumer reacts to.
fn course_versions(stores: &Stores, consumer: &str) -> Result<BTreeMap<String, String>, StoreError> {
    let rows = stores.of("reservation").run(
        "SELECT CAST(data ->> 'eduNo' AS TEXT) AS edu_no, type, CAST(version AS TEXT) AS version FROM events
         WHERE subject GLOB 'course/*' ORDER BY position",
        &[],
    )?;
    let mut versions = BTreeMap::new();
    for row in &rows {
        let name = row.text("type")?;
        if topology::Consumer::named(consumer).is_some_and(|consumer| consumer.reacts("reservation", name)) {
            versions.insert(row.text("edu_no")?.to_owned(), row.text("version")?.to_owned());
        }
    }
    Ok(versions)
}
