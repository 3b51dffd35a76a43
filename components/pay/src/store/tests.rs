//! The statements that run in production, on a store of the tests' own.

use super::*;
use crate::domain::{Attempt, Command, Outcome, Owed, Terms, decide, owed};
use futures::executor::block_on;
use journal::{Decision, Journal, Tell};
use kernel::event::Applicant;
use kernel::{CustomerId, EduNo, Guests, Language, Timestamp};
use std::path::Path;
use store::Value;
use store::native::Store;

store::on_postgres!(
    a_list_shows_of_every_payment_what_its_events_come_to,
    a_list_that_is_made_again_from_the_events_is_the_same,
    of_two_decisions_from_the_same_state_one_is_a_conflict_and_leaves_no_trace,
    a_list_never_says_what_no_payment_can_be,
    many_orders_are_loaded_and_committed_at_once_each_by_itself,
    every_event_is_kept_with_what_the_log_needs,
    the_key_of_the_outstanding_charge_is_there_to_compare_the_ledgers_by,
    lists_are_filtered_and_go_by_page_or_by_key,
);

const AT: Timestamp = Timestamp::from_millis(1_795_309_323_004);

/// Nobody has to be told.
struct Nobody;

impl Tell for Nobody {
    fn committed(&self) {}
}

fn store() -> Store {
    Store::new(&DATABASE)
}

fn order(id: u64) -> OrderId {
    OrderId::parse(id).unwrap()
}

fn terms(order_id: u64, edu_no: u64) -> Terms {
    let applicant = Applicant {
        order_id: order(order_id),
        customer_id: Some(CustomerId::parse(7).unwrap()),
        edu_no: EduNo::parse(edu_no).unwrap(),
        guest: Guests::parse(2).unwrap(),
        language: Language::En,
    };
    Terms { applicant, amount: Won::amount(100).unwrap() }
}

/// Of what is committed, what a test says: the command, and the record that it was decided on.
fn commit(store: &Store, decided: &[(&Record, Command)]) -> Result<Vec<Record>, StoreError> {
    let journal = Journal { storage: store.clone(), tell: Nobody };
    let mut given_up = false;
    block_on(journal.carry_out(async |_| {
        // Decided once: a conflict is to be seen, and not decided again.
        if std::mem::replace(&mut given_up, true) {
            return Err(StoreError::Unique { constraint: String::new() });
        }
        let mut decision = Decision::new();
        let mut after = Vec::new();
        for (record, command) in decided {
            let event = decide(record, command).unwrap().pop().unwrap();
            let record = (*record).clone().and(&event);
            decision.event(record.version, &event, AT, Some("trace"));
            after.push(record);
        }
        Ok((decision, after))
    }))
}

fn commit_one(store: &Store, record: &Record, command: Command) -> Record {
    commit(store, &[(record, command)]).unwrap().pop().unwrap()
}

fn next_attempt(record: &Record, terms: &Terms) -> Attempt {
    match owed(record, terms) {
        Ok(Owed::Charge(attempt)) => attempt,
        other => panic!("{other:?}"),
    }
}

fn paid(record: &Record, terms: &Terms) -> Command {
    let attempt = next_attempt(record, terms);
    let (card_last4, transaction_id) = ("1234".to_owned(), "t".to_owned());
    let outcome = Outcome::Approved { attempt, amount: terms.amount, card_last4, transaction_id };
    Command::Settle { terms: terms.clone(), outcome, at: AT }
}

fn declined(record: &Record, terms: &Terms) -> Command {
    let attempt = next_attempt(record, terms);
    let (card_last4, reason) = ("0002".to_owned(), "no".to_owned());
    Command::Settle {
        terms: terms.clone(),
        outcome: Outcome::Declined { attempt, card_last4, reason },
        at: AT,
    }
}

fn closed(terms: &Terms, undone: Option<Attempt>, refunded: Won) -> Command {
    Command::Close { applicant: terms.applicant.clone(), undone, refunded, at: AT }
}

fn loaded(store: &Store, order_id: u64) -> Record {
    block_on(load(store, order(order_id))).unwrap()
}

fn found(store: &Store, order_id: u64) -> Option<Stored> {
    block_on(find(store, order(order_id))).unwrap()
}

/// Payments of every kind: paid, free, declined twice, paid by the second attempt, refunded, closed unpaid.
fn with_every_kind() -> Store {
    let store = store();
    let new = Record::default();
    let settle = |record: &Record, command: Command| commit_one(&store, record, command);
    settle(&new, paid(&new, &terms(1, 101)));
    let free = Command::Settle {
        terms: Terms { amount: Won::ZERO, ..terms(2, 101) },
        outcome: Outcome::Free,
        at: AT,
    };
    settle(&new, free);
    let refused = settle(&new, declined(&new, &terms(3, 101)));
    settle(&refused, declined(&refused, &terms(3, 101)));
    let refused = settle(&new, declined(&new, &terms(4, 101)));
    let mut other = terms(4, 101);
    (other.applicant.customer_id, other.applicant.guest) = (None, Guests::ONE);
    other.applicant.language = Language::Ko;
    settle(&refused, paid(&refused, &other));
    let taken = settle(&new, paid(&new, &terms(5, 101)));
    settle(&taken, closed(&terms(5, 101), Some(Attempt::FIRST), terms(5, 101).amount));
    let refused = settle(&new, declined(&new, &terms(6, 101)));
    let undone = Some(next_attempt(&refused, &terms(6, 101)));
    settle(&refused, closed(&terms(6, 101), undone, Won::ZERO));
    settle(&new, closed(&terms(7, 101), Some(Attempt::FIRST), Won::amount(30).unwrap()));
    store
}

#[test]
fn a_list_shows_of_every_payment_what_its_events_come_to() {
    let store = with_every_kind();
    for id in 1..=7 {
        assert_eq!(found(&store, id), Stored::of(&loaded(&store, id)), "order {id}");
    }
    assert_eq!((loaded(&store, 8), found(&store, 8)), (Record::default(), None));
}

#[test]
fn a_list_that_is_made_again_from_the_events_is_the_same() {
    const AGAIN: &str = "INSERT INTO projection SELECT * FROM projection ORDER BY position";
    let store = with_every_kind();
    let before = store.dump("pays").unwrap();
    store.run(AGAIN, &[]).unwrap();
    assert_eq!(store.dump("pays").unwrap(), before);
    store.run("DELETE FROM pays", &[]).unwrap();
    store.run(AGAIN, &[]).unwrap();
    assert_eq!(store.dump("pays").unwrap(), before);
}

#[test]
fn of_two_decisions_from_the_same_state_one_is_a_conflict_and_leaves_no_trace() {
    let store = store();
    let (one, other) = (terms(1, 101), terms(2, 101));
    let new = Record::default();
    commit_one(&store, &new, paid(&new, &one));
    let both = [(&new, paid(&new, &other)), (&new, declined(&new, &one))];
    assert!(commit(&store, &both).unwrap_err().is_conflict());
    assert_eq!((loaded(&store, 2), found(&store, 2)), (new, None));
    assert_eq!(found(&store, 1).unwrap().status, PayStatus::Paid);
}

#[test]
fn a_list_never_says_what_no_payment_can_be() {
    let store = with_every_kind();
    for wrong in [
        "UPDATE pays SET card_last4 = '41111'",
        "UPDATE pays SET status = 'Pending'",
        "UPDATE pays SET amount = -1",
    ] {
        assert!(store.run(wrong, &[]).is_err(), "{wrong} was taken");
    }
}

#[test]
fn many_orders_are_loaded_and_committed_at_once_each_by_itself() {
    let store = store();
    let new = Record::default();
    let decided: Vec<_> = (1..=100).map(|id| (&new, paid(&new, &terms(id, 101)))).collect();
    commit(&store, &decided).unwrap();
    assert_eq!(store.statements(), 1);
    let records = block_on(load_all(&store, [100, 1, 999].map(order))).unwrap();
    let versions: Vec<_> = records.iter().map(|(order, record)| (order.get(), record.version)).collect();
    assert_eq!(versions, [(1, 1), (100, 1), (999, 0)]);
}

#[test]
fn every_event_is_kept_with_what_the_log_needs() {
    let store = store();
    let new = Record::default();
    commit_one(&store, &new, paid(&new, &terms(1113, 101)));
    let row = store.run("SELECT * FROM events", &[]).unwrap().pop().unwrap();
    assert_eq!(store.number("SELECT position FROM projection").unwrap(), 1);
    assert_eq!(row.text("subject").unwrap(), "1113");
    assert_eq!((row.int("version").unwrap(), row.text("type").unwrap()), (1, "Paid"));
    assert_eq!((row.text("time").unwrap(), row.text("traceparent").unwrap()), (&*AT.to_string(), "trace"));
    assert!(row.text("data").unwrap().contains("\"cardLast4\":\"1234\""));
}

#[test]
fn the_key_of_the_outstanding_charge_is_there_to_compare_the_ledgers_by() {
    let store = with_every_kind();
    let keys = store
        .run("SELECT order_id, gateway_key FROM pays WHERE gateway_key IS NOT NULL ORDER BY order_id", &[])
        .unwrap();
    let keys: Vec<_> =
        keys.iter().map(|row| (row.int("order_id").unwrap(), row.text("gateway_key").unwrap())).collect();
    assert_eq!(keys, [(1, "1-1"), (4, "4-2")]);
}

#[test]
fn lists_are_filtered_and_go_by_page_or_by_key() {
    let store = store();
    let new = Record::default();
    for id in 1..=6 {
        let terms = terms(id, 100 + id % 2);
        commit_one(&store, &new, if id == 6 { declined(&new, &terms) } else { paid(&new, &terms) });
    }
    let all = Page { limit: 20, ..Page::default() };
    let numbers = |filter, page| -> Vec<u64> {
        let listed = block_on(list(&store, filter, &page)).unwrap();
        listed.iter().map(|stored| stored.payment.applicant.order_id.get()).collect()
    };
    let total = |filter| block_on(total(&store, filter)).unwrap();
    let none = Filter::default();
    assert_eq!(numbers(none, all), [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(none, Page { offset: 2, limit: 2, ..all }), [3, 4]);
    assert_eq!(numbers(none, Page { after: Some(4), ..all }), [5, 6]);
    assert_eq!(numbers(none, Page { descending: true, limit: 3, ..all }), [6, 5, 4]);

    let course = Filter { edu_no: Some(EduNo::parse(100).unwrap()), ..none };
    assert_eq!((numbers(course, all), total(course)), (vec![2, 4, 6], 3));
    let paid = Filter { status: Some(PayStatus::Paid), ..course };
    assert_eq!((numbers(paid, all), total(paid)), (vec![2, 4], 2));
    let nobody = Filter { customer_id: Some(CustomerId::parse(8).unwrap()), ..none };
    assert_eq!((numbers(nobody, all), total(nobody)), (vec![], 0));
}

#[test]
fn neither_a_payment_nor_a_list_is_found_by_reading_everything() {
    let store = store();
    let by = |column| format!("{PAY} WHERE {column} = $1 AND order_id > $2 ORDER BY order_id");
    for (sql, index) in [
        (LOAD.to_owned(), "SEARCH events USING INDEX"),
        (format!("{PAY} WHERE order_id = $1"), "PRIMARY KEY"),
        (by("customer_id"), "pays_by_customer"),
        (by("edu_no"), "pays_by_course"),
        (by("status"), "pays_by_status"),
    ] {
        let params: Vec<_> = sql.matches('$').map(|_| Value::Text("[]".to_owned())).collect();
        let plan = store.plan(&sql, &params).unwrap();
        assert!(plan.contains(index) && !plan.contains("SCAN pays"), "{sql}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

/// What the release that kept an outbox made of an empty store.
const VERSION_3: [&str; 12] = [
    "CREATE TABLE IF NOT EXISTS events (
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
    "CREATE INDEX IF NOT EXISTS events_unsent ON events (seq) WHERE sent = 0",
    "CREATE TABLE IF NOT EXISTS stream (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    reached INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL
)",
    "CREATE TRIGGER IF NOT EXISTS stream_reached
    AFTER UPDATE OF sent ON events WHEN NEW.sent > 0
    BEGIN
        UPDATE stream SET reached = NEW.sent WHERE reached < NEW.sent;
    END",
    "CREATE TRIGGER IF NOT EXISTS stream_acknowledged
    AFTER UPDATE OF sent ON events WHEN NEW.sent = 0
    BEGIN
        UPDATE stream SET acknowledged = NEW.seq - 1 WHERE acknowledged >= NEW.seq;
    END",
    "INSERT OR IGNORE INTO stream (id, reached, epoch, acknowledged)
    SELECT 1, coalesce(max(sent), 0), 0, 0 FROM events",
    "CREATE TABLE IF NOT EXISTS pays (
        order_id INTEGER PRIMARY KEY,
        customer_id INTEGER,
        edu_no INTEGER NOT NULL,
        guest INTEGER NOT NULL,
        language TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount >= 0),
        status TEXT NOT NULL CHECK (status IN ('Paid', 'Payment Declined', 'Payment Canceled')),
        card_last4 TEXT CHECK (length(card_last4) <= 4),
        transaction_id TEXT,
        gateway_key TEXT,
        paid_at TEXT,
        refunded_at TEXT,
        version INTEGER NOT NULL
    )",
    "CREATE INDEX IF NOT EXISTS pays_by_customer ON pays (customer_id, order_id)",
    "CREATE INDEX IF NOT EXISTS pays_by_course ON pays (edu_no, order_id)",
    "CREATE INDEX IF NOT EXISTS pays_by_status ON pays (status, order_id)",
    "CREATE VIEW IF NOT EXISTS decisions AS
        SELECT e.subject, e.type, e.data, e.time, e.traceparent, p.*
        FROM pays p JOIN events e ON e.subject = CAST(p.order_id AS TEXT) AND e.version = p.version",
    "CREATE TRIGGER IF NOT EXISTS decide INSTEAD OF INSERT ON decisions BEGIN
        INSERT INTO events (subject, version, type, data, time, traceparent)
            VALUES (NEW.subject, NEW.version, NEW.type, NEW.data, NEW.time, NEW.traceparent);
        INSERT INTO pays (order_id, customer_id, edu_no, guest, language, amount, status, card_last4,
                          transaction_id, gateway_key, paid_at, refunded_at, version)
            VALUES (NEW.order_id, NEW.customer_id, NEW.edu_no, NEW.guest, NEW.language, NEW.amount, NEW.status,
                    NEW.card_last4, NEW.transaction_id, NEW.gateway_key, NEW.paid_at, NEW.refunded_at, NEW.version)
            ON CONFLICT (order_id) DO UPDATE SET
                customer_id = excluded.customer_id, edu_no = excluded.edu_no, guest = excluded.guest,
                language = excluded.language, amount = excluded.amount, status = excluded.status,
                card_last4 = excluded.card_last4, transaction_id = excluded.transaction_id,
                gateway_key = excluded.gateway_key, paid_at = excluded.paid_at,
                refunded_at = excluded.refunded_at, version = excluded.version;
    END",
];

/// A store of that release that holds `new`'s events and rows, all but the last event told and acknowledged.
fn version_3(new: &Store) -> Store {
    let old = Store::as_it_is(Path::new(":memory:")).unwrap();
    for statement in VERSION_3 {
        old.run(statement, &[]).unwrap();
    }
    let copy = |columns: &str, from: &str, into: &str| {
        for row in new.run(&format!("SELECT {columns} FROM {from}"), &[]).unwrap() {
            let marks = vec!["?"; row.values().len()].join(", ");
            old.run(&format!("INSERT INTO {into} VALUES ({marks})"), row.values()).unwrap();
        }
    };
    let told = "subject, version, type, data, time, traceparent";
    copy(&format!("position, {told}"), "events", &format!("events (seq, {told})"));
    copy("*", "pays", "pays");
    let told =
        "UPDATE events SET sent = 1795309323004 * 2097152 + seq WHERE seq < (SELECT max(seq) FROM events)";
    old.run(told, &[]).unwrap();
    old.run("UPDATE stream SET acknowledged = coalesce((SELECT max(seq) FROM events) - 1, 0)", &[]).unwrap();
    old.run("PRAGMA user_version = 3", &[]).unwrap();
    old
}

#[test]
fn a_store_of_the_release_before_goes_on_where_it_was() {
    let new = with_every_kind();
    let old = version_3(&new);
    old.migrate(&DATABASE).unwrap();
    for table in ["events", "pays"] {
        assert_eq!(old.dump(table).unwrap(), new.dump(table).unwrap(), "{table}");
    }
    // Behind every id of the streams of before, whose first part was the time.
    let events = old.number("SELECT max(position) FROM events").unwrap();
    assert_eq!(old.number("SELECT floor FROM log").unwrap(), events - 1);
    assert!(old.number("SELECT generation FROM log").unwrap() > 1_795_309_323_004);

    let record = loaded(&old, 3);
    commit_one(&old, &record, paid(&record, &terms(3, 101)));
    assert_eq!(found(&old, 3), Stored::of(&loaded(&old, 3)));
    assert_eq!(old.number("SELECT max(position) FROM events").unwrap(), events + 1);
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}
