//! The statements themselves, on a store of our own.

use super::retries::back_off;
use super::*;
use crate::testing::*;
use ::store::Value;
use ::store::native::Store;
use kernel::CustomerId;
use kernel::event::Event;

::store::on_postgres!(
    no_card_number_is_anywhere_in_the_store,
    the_card_is_the_one_that_pay_told_of_last,
    what_pay_tells_is_written_only_where_it_is_news,
    of_several_things_that_pay_tells_at_once_the_newest_counts,
    a_course_is_known_as_its_latest_event_says,
    a_key_is_forgotten_once_it_is_old,
    a_payment_that_a_clock_which_was_ahead_has_put_off_is_due_at_once,
    a_payment_is_claimed_by_one_worker_at_a_time,
    what_did_not_settle_waits_longer_each_time,
    only_what_was_tried_is_put_off_and_each_by_its_own_time,
    orders_are_listed_by_page_by_key_and_by_filter,
    a_stored_word_that_nobody_knows_is_named,
    the_lists_made_again_from_the_events_are_the_same,
);

fn numbers(orders: &Orders, filter: Filter, page: Page) -> Vec<u64> {
    let listed = block_on(list(orders.storage(), filter, &page)).unwrap();
    listed.iter().map(|stored| stored.order_id().get()).collect()
}

#[test]
fn no_card_number_is_anywhere_in_the_store() {
    let orders = Orders::new();
    let applying = crate::service::Applying { key: Some("k".to_owned()), ..applying(1) };
    orders.take_it(&applying);
    let dump: String = ["events", "orders", "retries", "idempotency_keys"]
        .iter()
        .flat_map(|table| orders.storage().dump(table).unwrap())
        .collect();
    assert!(dump.contains("1234") && !dump.contains("4111"), "{dump}");
}

#[test]
fn the_card_is_the_one_that_pay_told_of_last() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    let declined = Fact { card_last4: Some("0002".to_owned()), ..fact(1, PayStatus::PaymentDeclined, 1) };
    let heard = block_on(hear(orders.storage(), &[declined])).unwrap();
    assert_eq!(heard, [orders.stored(1)]);
    assert_eq!(heard[0].payment.card_last4.as_deref(), Some("0002"));
    orders.hear(1, PayStatus::PaymentCanceled, 2);
    assert_eq!(orders.stored(1).payment.card_last4.as_deref(), Some("0002"));
}

#[test]
fn what_pay_tells_is_written_only_where_it_is_news() {
    let orders = Orders::new();
    (1..=2).for_each(|n| drop(orders.take_it(&applying(n))));
    orders.hear(1, PayStatus::Paid, 1);
    let statements = |facts: &[Fact]| {
        let before = orders.storage().statements();
        block_on(hear_news(orders.storage(), facts)).unwrap();
        orders.storage().statements() - before
    };
    assert_eq!(statements(&[]), 0);
    let known = fact(1, PayStatus::Paid, 1);
    assert_eq!(statements(&[known.clone(), fact(99, PayStatus::Paid, 1)]), 1);
    assert_eq!(statements(&[known, fact(2, PayStatus::Paid, 1)]), 2);
    assert_eq!(orders.pay_status(2), Some(PayStatus::Paid));
}

#[test]
fn of_several_things_that_pay_tells_at_once_the_newest_counts() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    let facts = [fact(1, PayStatus::Paid, 2), fact(1, PayStatus::PaymentDeclined, 1)];
    block_on(hear_news(orders.storage(), &facts)).unwrap();
    assert_eq!((orders.pay_status(1), orders.stored(1).payment.version), (Some(PayStatus::Paid), 2));
}

#[test]
fn a_course_is_known_as_its_latest_event_says() {
    let orders = Orders::new();
    let new = envelope("reservation", 5, Event::CourseStarted(terms(101, 1, CourseStatus::Started)));
    let old = envelope("reservation", 4, Event::CourseChanged(terms(101, 2, CourseStatus::Open)));
    orders.handle_all(&[new.clone(), old.clone()]);
    orders.handle_all(&[old]);
    orders.handle_all(&[new]);
    assert_eq!(orders.number("SELECT fee FROM courses WHERE edu_no = 101"), 1);
}

#[test]
fn a_key_is_forgotten_once_it_is_old() {
    let orders = Orders::new();
    orders.take_it(&keyed("k"));
    let in_a_day = NOW.plus_minutes(24 * 60);
    block_on(journal::keys::forget(orders.storage(), in_a_day)).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM idempotency_keys"), 1);
    block_on(journal::keys::forget(orders.storage(), in_a_day.plus_millis(1))).unwrap();
    assert_eq!(orders.number("SELECT count(*) FROM idempotency_keys"), 0);
}

#[test]
fn a_payment_that_a_clock_which_was_ahead_has_put_off_is_due_at_once() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    let due = |now| block_on(any_retry_due(orders.storage(), now)).unwrap();
    // As far away as a try is put off, half a minute, and farther than that.
    let next_at = NOW.plus_millis(1_610);
    assert!(!due(next_at.plus_seconds(-30)));
    assert!(due(next_at.plus_seconds(-30).plus_millis(-1)));
    let really = NOW.plus_minutes(-10);
    assert!(due(really));
    assert_eq!(orders.claim_at(really).len(), 1);
    assert!(orders.claim_at(really).is_empty(), "by the true clock it is claimed now");
}

#[test]
fn a_payment_is_claimed_by_one_worker_at_a_time() {
    let orders = Orders::new();
    (1..=20).for_each(|n| drop(orders.take_it(&applying(n))));
    assert!(!block_on(any_retry_due(orders.storage(), NOW.plus_millis(1_609))).unwrap());
    let due = NOW.plus_millis(1_610);
    assert!(block_on(any_retry_due(orders.storage(), due)).unwrap());
    let (first, second, third) = (orders.claim_at(due), orders.claim_at(due), orders.claim_at(due));
    assert_eq!((first.len(), second.len(), third.len()), (16, 4, 0));
    let retry = &first[0];
    let opened = orders.settings.seal.open(retry.sealed.as_deref().unwrap(), retry.stored.order_id());
    assert_eq!(opened.unwrap(), card("4111111111111234"));
    // Who crashed with its claim loses it.
    assert_eq!(orders.claim_at(due.plus_seconds(5)).len(), 16);
}

#[test]
fn what_did_not_settle_waits_longer_each_time() {
    let waits: Vec<_> = (0..8).map(back_off).collect();
    assert_eq!(waits, [1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
    let orders = Orders::new();
    orders.take_it(&applying(1));
    let mut now = NOW.plus_seconds(2);
    for wait in waits {
        let attempts = orders.claim_at(now).pop().unwrap().attempts;
        block_on(postpone(orders.storage(), &[(order(1), attempts)], now)).unwrap();
        assert!(orders.claim_at(now.plus_millis(wait - 1)).is_empty());
        now = now.plus_millis(wait);
    }
}

#[test]
fn only_what_was_tried_is_put_off_and_each_by_its_own_time() {
    let orders = Orders::new();
    (1..=3).for_each(|n| drop(orders.take_it(&applying(n))));
    block_on(postpone(orders.storage(), &[(order(1), 0), (order(2), 3)], NOW.plus_seconds(2))).unwrap();
    let next =
        |n: u64| orders.number(&format!("SELECT next_at FROM retries WHERE order_id = {n}")) - NOW.millis();
    assert_eq!([next(1), next(2), next(3)], [3_000, 10_000, 1_610]);
}

#[test]
fn orders_are_listed_by_page_by_key_and_by_filter() {
    let orders = Orders::new();
    for n in 1..=9 {
        let edu_no = edu(if n > 6 { 104 } else { 101 });
        orders.take_it(&crate::service::Applying { edu_no, ..applying(n) });
    }
    orders.cancel_it(2).unwrap();
    let by = |limit, offset| Page { limit, offset, ..Page::default() };
    let latest = Page { sort: Some(ORDERED_AT), descending: true, ..by(3, 0) };
    let all = Filter::default();
    assert_eq!(numbers(&orders, all, by(4, 4)), [5, 6, 7, 8]);
    orders.run("UPDATE orders SET ordered_at = '2020-01-01T00:00:00.000Z' WHERE order_id = 9");
    assert_eq!(numbers(&orders, all, latest), [8, 7, 6]);
    assert_eq!(numbers(&orders, all, Page { after: Some(7), ..by(3, 0) }), [8, 9]);
    assert_eq!(numbers(&orders, Filter { edu_no: Some(edu(104)), ..all }, by(9, 0)), [7, 8, 9]);
    let canceled = Filter { status: Some(OrderStatus::OrderCanceled), ..all };
    assert_eq!(numbers(&orders, canceled, by(9, 0)), [2]);
    let customer = Filter { customer_id: CustomerId::parse(1).ok(), ..all };
    assert_eq!(numbers(&orders, customer, by(9, 0)), [3, 6, 9]);
    assert_eq!(numbers(&orders, Filter { edu_no: Some(edu(104)), ..customer }, by(9, 0)), [9]);
    assert_eq!(numbers(&orders, customer, Page { after: Some(3), ..by(9, 0) }), [6, 9]);
    let total = |filter| block_on(count(orders.storage(), filter)).unwrap();
    assert_eq!([total(customer), total(all), total(canceled)], [3, 9, 1]);
    assert_eq!(total(Filter { edu_no: Some(edu(101)), status: Some(OrderStatus::Ordered), ..all }), 5);
}

#[test]
fn no_list_and_no_duty_reads_the_whole_table() {
    let orders = Orders::new();
    let plan = |statement: &Statement| orders.storage().plan(statement.sql(), statement.params()).unwrap();
    let page = |filter: Filter, page: &Page| {
        filter.conditions().page(&format!("SELECT {COLUMNS} FROM orders"), "order_id", page)
    };
    let (all, first) = (Filter::default(), Page { limit: 20, ..Page::default() });
    for statement in [
        page(Filter { customer_id: CustomerId::parse(1).ok(), ..all }, &first),
        page(Filter { edu_no: Some(edu(101)), ..all }, &first),
        page(Filter { status: Some(OrderStatus::Ordered), ..all }, &first),
        select(LIVING).bind(1_i64).bind(1_i64).bind(1_i64),
        select(OVERDUE).bind(1_i64).bind(1_i64),
        Statement::new("SELECT 1 FROM retries WHERE next_at <= $1 LIMIT 1").bind(1_i64),
        Statement::new("SELECT key FROM idempotency_keys WHERE made_at < $1 ORDER BY made_at LIMIT 9")
            .bind(1_i64),
    ] {
        let plan = plan(&statement);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{}: {plan}", statement.sql());
    }
    // Sorted without a condition it goes through an index, and ends at the limit.
    let latest = Page { sort: Some(ORDERED_AT), descending: true, ..first };
    let plan = plan(&page(all, &latest));
    assert!(plan.contains("USING INDEX orders_by_time") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[test]
fn a_stored_word_that_nobody_knows_is_named() {
    let orders = Orders::new();
    orders.take_it(&applying(1));
    orders.run("UPDATE orders SET cancel_reason = 'whim'");
    let failure = block_on(find(orders.storage(), order(1))).unwrap_err().to_string();
    assert!(failure.contains("cancel_reason") && failure.contains("whim"), "{failure}");
}

/// The store of version 3, as the release that kept an outbox made it.
const VERSION_3: &[&str] = &[
    "CREATE TABLE events (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        subject TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version > 0),
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        time TEXT NOT NULL,
        traceparent TEXT,
        sent INTEGER NOT NULL DEFAULT 0,
        UNIQUE (subject, version)
    )",
    "CREATE INDEX events_unsent ON events (seq) WHERE sent = 0",
    "CREATE TABLE stream (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        reached INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        acknowledged INTEGER NOT NULL
    )",
    "CREATE TRIGGER stream_reached AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
        BEGIN
            UPDATE stream SET reached = NEW.sent WHERE reached < NEW.sent;
        END",
    "INSERT INTO stream (id, reached, epoch, acknowledged) VALUES (1, 0, 0, 2)",
    "CREATE TABLE courses (
        edu_no INTEGER PRIMARY KEY,
        title TEXT NOT NULL,
        fee INTEGER NOT NULL,
        status TEXT NOT NULL,
        version INTEGER NOT NULL
    )",
    "CREATE TABLE orders (
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
    )",
    "CREATE INDEX orders_by_customer ON orders (customer_id, order_id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX orders_by_course ON orders (edu_no, order_id)",
    "CREATE INDEX orders_by_status ON orders (status, order_id)",
    "CREATE INDEX orders_by_time ON orders (ordered_at, order_id)",
    "CREATE INDEX orders_due ON orders (due_at) WHERE due_at IS NOT NULL",
    "CREATE TABLE retries (
        order_id INTEGER PRIMARY KEY,
        sealed BLOB,
        attempts INTEGER NOT NULL,
        next_at INTEGER NOT NULL
    )",
    "CREATE INDEX retries_due ON retries (next_at)",
    "CREATE TABLE idempotency_keys (
        key TEXT PRIMARY KEY,
        order_id INTEGER NOT NULL,
        fingerprint TEXT NOT NULL,
        made_at INTEGER NOT NULL
    ) WITHOUT ROWID",
    "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (made_at)",
    "CREATE TABLE tallies (
        edu_no INTEGER NOT NULL,
        status TEXT NOT NULL,
        orders INTEGER NOT NULL,
        PRIMARY KEY (edu_no, status)
    ) WITHOUT ROWID",
    "CREATE TRIGGER forget_card AFTER UPDATE OF status, pay_status ON orders
    WHEN NEW.status <> 'Ordered' OR NEW.pay_status IN ('Paid', 'Payment Declined', 'Payment Canceled') BEGIN
        DELETE FROM retries WHERE order_id = NEW.order_id;
    END",
    "CREATE VIEW decisions (subject, version, type, data) AS SELECT NULL, NULL, NULL, NULL WHERE 0",
    "CREATE TRIGGER decide INSTEAD OF INSERT ON decisions BEGIN
        INSERT INTO events (subject, version, type, data, time) VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, '');
    END",
    "PRAGMA user_version = 3",
];

/// An order as version 3 had it: its number, where its payment stood by which version, when it was due, why it ended, and
/// its events.
type Old = (u64, Option<&'static str>, u64, Option<i64>, Option<&'static str>, &'static [&'static str]);

const DUE: i64 = NOW.millis() + 30 * 60_000;

const OLD_ORDERS: [Old; 7] = [
    (1, None, 0, Some(DUE), None, &["Ordered"]),
    (2, Some("Payment Delayed"), 0, Some(DUE + 7), None, &["Ordered", "PaymentDelayed"]),
    (3, Some("Payment Delayed"), 1, Some(DUE), None, &["Ordered", "PaymentDelayed", "PaymentDelayed"]),
    (4, Some("Payment Declined"), 1, Some(DUE), None, &["Ordered", "PaymentDelayed"]),
    (5, Some("Paid"), 1, None, None, &["Ordered"]),
    (6, Some("Payment Canceled"), 2, None, Some("customer"), &["Ordered", "OrderCanceled"]),
    (7, Some("Payment Delayed"), 0, None, Some("expired"), &["Ordered", "PaymentDelayed", "OrderCanceled"]),
];

fn old_store(path: &std::path::Path) {
    let old = Store::as_it_is(path).unwrap();
    VERSION_3.iter().for_each(|sql| drop(old.run(sql, &[]).unwrap()));
    for (n, pay_status, pay_version, due_at, reason, events) in OLD_ORDERS {
        let text = |text: Option<&str>| text.map_or(Value::Null, |text| Value::Text(text.to_owned()));
        let status = if reason.is_some() { "Order Canceled" } else { "Ordered" };
        let row =
            "INSERT INTO orders VALUES ($1, 1, 101, 2, 'ko', '1234', 100000, 'x', '2025-11-22T01:02:03.004Z',
            $2, $3, $4, $5, $6, $7, NULL)";
        let number = |n: u64| Value::Integer(n as i64);
        let due_at = due_at.map_or(Value::Null, Value::Integer);
        let (version, pay_version) = (number(events.len() as u64), number(pay_version));
        let params =
            [number(n), text(Some(status)), text(reason), version, due_at, text(pay_status), pay_version];
        old.run(row, &params).unwrap();
        for (name, version) in events.iter().zip(1..) {
            let about = format!(r#""orderId":{n},"customerId":1,"eduNo":101,"guest":2,"language":"ko""#);
            let data = match *name {
                "Ordered" => format!(
                    r#"{{{about},"amount":100000,"cardLast4":"1234","courseTitle":"x","orderedAt":"2025-11-22T01:02:03.004Z"}}"#
                ),
                "PaymentDelayed" => format!(r#"{{{about},"reason":"deadline"}}"#),
                _ => format!(r#"{{{about},"reason":"{}"}}"#, reason.unwrap()),
            };
            let event = "INSERT INTO events (subject, version, type, data, time, sent) VALUES ($1, $2, $3, $4, '', 1)";
            let params = [text(Some(&n.to_string())), number(version), text(Some(name)), text(Some(&data))];
            old.run(event, &params).unwrap();
        }
    }
    old.run("INSERT INTO tallies SELECT edu_no, status, count(*) FROM orders GROUP BY 1, 2", &[]).unwrap();
    old.run("INSERT INTO retries VALUES (1, x'00ff10', 2, 5), (2, NULL, 0, 6)", &[]).unwrap();
}

#[test]
fn a_store_of_the_release_before_keeps_its_orders() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.db");
    old_store(&path);
    let orders = Orders::over(Store::file(&path, &DATABASE).unwrap());
    let delayed = Some(PayStatus::PaymentDelayed);
    let shown = [
        None,
        delayed,
        delayed,
        Some(PayStatus::PaymentDeclined),
        Some(PayStatus::Paid),
        Some(PayStatus::PaymentCanceled),
        delayed,
    ];
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(|n| orders.pay_status(n)), shown);
    assert_eq!(orders.number("SELECT due_at FROM orders WHERE order_id = 2"), DUE + 7);
    let told = "SELECT count(*) FROM events WHERE data ->> 'dueAt' = '2025-11-22T01:32:03.011Z'";
    assert_eq!(orders.number(told), 1);
    assert_eq!(orders.number("SELECT count(*) FROM retries WHERE sealed = '00FF10' OR sealed IS NULL"), 2);
    assert_eq!(orders.number("SELECT floor FROM log"), 2);
    // What pay answers to the second try ends the delay, and the first refusal told again does not.
    orders.hear(3, PayStatus::PaymentDeclined, 1);
    assert_eq!(orders.pay_status(3), delayed);
    orders.hear(3, PayStatus::Paid, 2);
    assert_eq!(orders.pay_status(3), Some(PayStatus::Paid));
}

#[test]
fn the_lists_of_a_store_of_the_release_before_follow_from_its_events() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("order.db");
    old_store(&path);
    let orders = Orders::over(Store::file(&path, &DATABASE).unwrap());
    let [before, after] = orders.project_again();
    assert_eq!(before, after);
}

#[test]
fn the_lists_made_again_from_the_events_are_the_same() {
    let orders = Orders::new();
    (1..=6).for_each(|n| drop(orders.take_it(&applying(n))));
    orders.hear(1, PayStatus::Paid, 1);
    orders.delay_it(2).unwrap();
    orders.hear(3, PayStatus::PaymentDeclined, 1);
    assert!(orders.keep(3, "5555", NOW));
    orders.delay_it(3).unwrap();
    orders.cancel_it(4).unwrap();
    orders.hear(4, PayStatus::PaymentCanceled, 1);
    orders.hear(5, PayStatus::Paid, 1);
    orders.hear(5, PayStatus::PaymentCanceled, 2);
    let [before, after] = orders.project_again();
    assert_eq!(before, after);
    assert_eq!(orders.number("SELECT count(*) FROM retries"), 3, "the cards that are kept stay");
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}
