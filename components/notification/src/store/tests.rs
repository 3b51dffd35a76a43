//! The statements on a real SQLite, with two workers at once.

use super::*;
use crate::samples;
use kernel::Language;
use store::native;

::store::on_postgres!(
    an_event_told_again_adds_no_second_message,
    two_workers_never_hold_the_same_message,
    a_message_that_a_clock_which_was_ahead_has_put_off_is_due_at_once,
    what_waits_as_it_should_is_not_pulled_in,
    if_a_claim_took_what_is_not_due_two_workers_would_hold_the_same_message,
    what_is_sent_is_never_claimed_again,
    what_a_crash_left_is_due_again_when_the_lease_runs_out,
    whoever_lost_a_message_may_say_that_it_is_sent_and_nothing_else,
    what_was_just_written_is_in_the_hands_of_who_wrote_it,
    a_busy_message_waits_for_as_long_as_it_is_told,
    a_message_given_up_is_counted_as_failed,
    the_newest_title_of_a_course_is_kept_in_whatever_order_it_is_told,
    messages_are_listed_newest_first_and_by_key_as_they_were_written,
    filters_choose_and_count_the_same_messages,
    what_has_been_due_longest_is_taken_first,
    what_is_taken_is_read_oldest_first_in_whatever_order_it_is_answered,
);

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A store as a component would find it.
struct Store(native::Store);

impl Store {
    fn new() -> Self {
        Self(native::Store::new(&DATABASE))
    }

    /// With so many messages that are due and were never tried, each about an order of its own.
    fn with_messages(count: u64) -> Self {
        let store = Self::new();
        store.add_due(&(1..=count).map(message).collect::<Vec<_>>(), NOW);
        store
    }

    fn add_due(&self, messages: &[Message], due: Timestamp) {
        for row in self.run(&add(messages, NOW, due)) {
            self.ask(&format!("UPDATE messages SET attempts = 0 WHERE seq = {}", row.int("seq").unwrap()));
        }
    }

    fn run(&self, statement: &Statement) -> Vec<Row> {
        self.0.run(statement.sql(), statement.params()).unwrap()
    }

    fn ask(&self, sql: &str) -> Vec<Row> {
        self.0.run(sql, &[]).unwrap()
    }

    fn claim(&self, now: Timestamp, limit: u32) -> Vec<Claimed> {
        claimed(&self.run(&claim(now, now.plus_seconds(LEASE), limit))).unwrap()
    }

    fn conclude(&self, claimed: &[Claimed], verdict: &Verdict) {
        let conclusions: Vec<_> =
            claimed.iter().map(|message| concluded(message, verdict.clone(), None)).collect();
        self.run(&conclude(&conclusions, NOW));
    }

    /// `status attempts` of each message.
    fn shown(&self) -> Vec<String> {
        let rows = self.ask("SELECT status || ' ' || attempts AS shown FROM messages ORDER BY seq");
        rows.iter().map(|row| row.text("shown").unwrap().to_owned()).collect()
    }

    /// Each status with its count, where there is any; told by the triggers.
    fn counted(&self) -> Vec<(String, i64)> {
        let rows = self.ask("SELECT status, rows FROM counts WHERE rows <> 0 ORDER BY status");
        rows.iter().map(|row| (row.text("status").unwrap().to_owned(), row.int("rows").unwrap())).collect()
    }
}

fn message(order_id: u64) -> Message {
    let event = kernel::event::Event::ReservationConfirmed(kernel::event::ReservationConfirmed {
        applicant: samples::applicant(order_id, Language::Ko),
    });
    Message::about("reservation", 1, &event, None).unwrap()
}

fn concluded(message: &Claimed, verdict: Verdict, problem: Option<&str>) -> Conclusion {
    let problem = problem.map(str::to_owned);
    Conclusion { seq: message.seq, attempts: message.attempts, verdict, problem }
}

fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|message| message.id.as_str()).collect()
}

#[test]
fn an_event_told_again_adds_no_second_message() {
    let store = Store::with_messages(2);
    let again = store.run(&add(&[message(2), message(3), message(3)], NOW, NOW));
    assert_eq!(ids(&claimed(&again).unwrap()), ["reservation:3:1"], "only what is new is to be sent");
    assert_eq!(store.shown(), ["Pending 0", "Pending 0", "Pending 1"]);
    assert_eq!(store.counted(), [("Pending".to_owned(), 3)]);
}

#[test]
fn two_workers_never_hold_the_same_message() {
    let store = Store::with_messages(5);
    let first = store.claim(NOW, 3);
    let second = store.claim(NOW, 3);
    assert_eq!(ids(&first), ["reservation:1:1", "reservation:2:1", "reservation:3:1"]);
    assert_eq!(ids(&second), ["reservation:4:1", "reservation:5:1"]);
    assert!(store.claim(NOW, 3).is_empty());
}

#[test]
fn a_message_that_a_clock_which_was_ahead_has_put_off_is_due_at_once() {
    // How far ahead the clock was, in seconds, and after how many tries.
    for (ahead, tries) in [(1, 0), (1, 1), (1, 4), (2, 5), (50, 7), (286, 10), (286, 40)] {
        let store = Store::with_messages(1);
        for _ in 0..tries {
            store.claim(NOW, 1);
            store.run(&pull_in(NOW.plus_minutes(-10)));
        }
        store.ask(&format!("UPDATE messages SET due_at = {}", NOW.plus_seconds(LEASE).millis()));
        let really = NOW.plus_seconds(-ahead);
        assert!(store.claim(really, 1).is_empty(), "{tries}");
        store.run(&pull_in(really));
        assert_eq!(store.claim(really, 1).len(), 1, "{tries}");
        store.run(&pull_in(really));
        assert!(store.claim(really, 1).is_empty(), "by the true clock it is claimed now");
    }
}

#[test]
fn what_waits_as_it_should_is_not_pulled_in() {
    for (tries, pause) in [(1, LEASE), (4, LEASE), (5, 16), (7, 64), (10, 300), (40, 300)] {
        let store = Store::with_messages(1);
        for _ in 0..tries {
            store.claim(NOW, 1);
            store.run(&pull_in(NOW.plus_minutes(-10)));
        }
        assert_eq!(store.shown(), [format!("Pending {tries}")]);
        store.ask(&format!("UPDATE messages SET due_at = {}", NOW.plus_seconds(pause).millis()));
        store.run(&pull_in(NOW));
        assert!(store.claim(NOW.plus_seconds(pause - 1), 1).is_empty(), "{tries}");
    }
}

#[test]
fn if_a_claim_took_what_is_not_due_two_workers_would_hold_the_same_message() {
    let store = Store::with_messages(1);
    let first = store.claim(NOW, 10);
    let careful = claim(NOW, NOW.plus_seconds(LEASE), 10);
    let greedy = careful.sql().replace("due_at <= $1", "CAST($1 AS BIGINT) IS NOT NULL");
    assert_ne!(greedy, careful.sql());
    let second = claimed(&store.0.run(&greedy, careful.params()).unwrap()).unwrap();
    assert_eq!(ids(&first), ids(&second));
}

#[test]
fn what_is_sent_is_never_claimed_again() {
    let store = Store::with_messages(2);
    let claimed = store.claim(NOW, 10);
    store.conclude(&claimed, &Verdict::Sent { at: NOW });
    assert_eq!(store.shown(), ["Sent 1", "Sent 1"]);
    assert_eq!(store.counted(), [("Sent".to_owned(), 2)]);
    assert!(store.claim(NOW.plus_minutes(60), 10).is_empty());
}

#[test]
fn what_a_crash_left_is_due_again_when_the_lease_runs_out() {
    let store = Store::with_messages(1);
    store.claim(NOW, 10);
    assert!(store.claim(NOW.plus_seconds(LEASE).plus_millis(-1), 10).is_empty());
    let healed = store.claim(NOW.plus_seconds(LEASE), 10);
    assert_eq!(ids(&healed), ["reservation:1:1"]);
    assert_eq!(healed[0].attempts, 2);
}

#[test]
fn whoever_lost_a_message_may_say_that_it_is_sent_and_nothing_else() {
    let store = Store::with_messages(2);
    let slow = store.claim(NOW, 10);
    let later = NOW.plus_seconds(LEASE);
    assert_eq!(store.claim(later, 10).len(), 2);
    store.conclude(&slow[..1], &Verdict::Retry { due: NOW });
    store.conclude(&slow[..1], &Verdict::Failed);
    store.conclude(&slow[1..], &Verdict::Sent { at: NOW });
    assert_eq!(store.shown(), ["Pending 2", "Sent 2"]);
    assert!(store.claim(later, 10).is_empty());
}

#[test]
fn what_was_just_written_is_in_the_hands_of_who_wrote_it() {
    let store = Store::new();
    let mine = claimed(&store.run(&add(&[message(1)], NOW, NOW.plus_seconds(LEASE)))).unwrap();
    assert!(store.claim(NOW, 10).is_empty());
    store.conclude(&mine, &Verdict::Sent { at: NOW });
    assert_eq!(store.shown(), ["Sent 1"]);
}

#[test]
fn a_busy_message_waits_for_as_long_as_it_is_told() {
    let store = Store::with_messages(2);
    let claimed = store.claim(NOW, 10);
    let due = NOW.plus_seconds(9);
    let busy = concluded(&claimed[0], Verdict::Retry { due }, Some("busy"));
    let sooner = concluded(&claimed[1], Verdict::Retry { due: NOW }, Some("busy"));
    store.run(&conclude(&[busy, sooner], NOW));
    assert_eq!(store.shown(), ["Pending 1", "Pending 1"]);
    assert_eq!(ids(&store.claim(NOW, 10)), ["reservation:2:1"]);
    assert_eq!(ids(&store.claim(due, 10)), ["reservation:1:1"]);
}

#[test]
fn a_message_given_up_is_counted_as_failed() {
    let store = Store::with_messages(2);
    let claimed = store.claim(NOW, 1);
    store.conclude(&claimed, &Verdict::Failed);
    assert_eq!(store.counted(), [("Failed".to_owned(), 1), ("Pending".to_owned(), 1)]);
}

#[test]
fn the_newest_title_of_a_course_is_kept_in_whatever_order_it_is_told() {
    let course = |title: &str| match samples::course_opened(title) {
        kernel::event::Event::CourseOpened(course) => course,
        other => panic!("{other:?}"),
    };
    let (old, new) = (course("자바 입문"), course("자바 입문 (개정)"));
    let edu_no = old.edu_no;
    for told in [[(1, &old), (2, &new)], [(2, &new), (1, &old)]] {
        let store = Store::new();
        for course in told {
            store.run(&keep_courses(&[course]));
        }
        let known = native::at_once(titles(&store.0, [edu_no])).unwrap().unwrap();
        assert_eq!(known[&edu_no], "자바 입문 (개정)");
    }
}

impl Store {
    fn list(&self, filter: Filter, page: &Page) -> Vec<u64> {
        let rows = self.run(&filter.ask_list(page));
        rows.iter().map(|row| Found::read(row).unwrap().seq).collect()
    }

    fn total(&self, filter: Filter) -> u64 {
        self.run(&filter.ask_total())[0].count("total").unwrap()
    }
}

/// So many of the newest.
fn newest(limit: u64) -> Page {
    Page { limit, descending: true, ..Page::default() }
}

#[test]
fn messages_are_listed_newest_first_and_by_key_as_they_were_written() {
    let store = Store::with_messages(5);
    let everything = Filter::default();
    assert_eq!(store.list(everything, &newest(2)), [5, 4]);
    assert_eq!(store.list(everything, &Page { offset: 4, ..newest(2) }), [1]);
    assert_eq!(store.list(everything, &Page { descending: false, ..newest(2) }), [1, 2]);
    assert_eq!(store.list(everything, &Page { after: Some(2), ..newest(2) }), [3, 4]);
}

#[test]
fn filters_choose_and_count_the_same_messages() {
    let store = Store::with_messages(5);
    let claimed = store.claim(NOW, 2);
    store.conclude(&claimed, &Verdict::Sent { at: NOW });
    let order_id = Some(OrderId::parse(2).unwrap());
    let customer_id = Some(CustomerId::parse(1).unwrap());
    let cases: [(Filter, &[u64]); 6] = [
        (Filter::default(), &[5, 4, 3, 2, 1]),
        (Filter { order_id, ..Filter::default() }, &[2]),
        (Filter { customer_id, ..Filter::default() }, &[5, 4, 3, 2, 1]),
        (Filter { status: Some(Status::Sent), ..Filter::default() }, &[2, 1]),
        (Filter { status: Some(Status::Failed), ..Filter::default() }, &[]),
        (Filter { status: Some(Status::Pending), order_id, customer_id, owners: None }, &[]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(store.list(filter, &newest(100)), wanted, "{filter:?}");
        assert_eq!(store.total(filter), wanted.len() as u64, "{filter:?}");
    }
}

#[test]
fn no_list_and_no_duty_reads_the_whole_table() {
    let store = Store::new();
    let of_order = Filter { order_id: OrderId::parse(2).ok(), ..Filter::default() };
    let of_customer = Filter { customer_id: CustomerId::parse(1).ok(), ..Filter::default() };
    let of_status = Filter { status: Some(Status::Failed), ..Filter::default() };
    let page = Page { after: Some(3), ..newest(100) };
    let gone = Conclusion { seq: 1, attempts: 1, verdict: Verdict::Failed, problem: None };
    let [due, empty] = ask_empty(NOW);
    for (statement, index) in [
        (Filter::default().ask_list(&page), "PRIMARY KEY"),
        (of_order.ask_list(&page), "messages_by_order"),
        (of_customer.ask_list(&page), "messages_by_customer"),
        (of_status.ask_list(&page), "messages_by_status"),
        (of_customer.ask_total(), "messages_by_customer"),
        (of_status.ask_total(), "PRIMARY KEY"),
        (pull_in(NOW), "messages_due (status=? AND due_at>?)"),
        (claim(NOW, NOW.plus_seconds(LEASE), 9), "messages_due (status=? AND due_at<?)"),
        (conclude(&[gone], NOW), "messages USING INTEGER PRIMARY KEY"),
        (due, "messages_kept (created_at<?)"),
        (empty, "messages_kept (created_at<?)"),
        (ask_titles(EduNo::parse(1)), "courses USING INTEGER PRIMARY KEY"),
    ] {
        let plan = store.0.plan(statement.sql(), statement.params()).unwrap();
        assert!(plan.contains(index), "{}: {plan}", statement.sql());
        assert!(
            !plan.contains("SCAN messages") && !plan.contains("TEMP B-TREE"),
            "{}: {plan}",
            statement.sql()
        );
    }
    // Nothing but the few rows of counts is read to count them all.
    let all = Filter::default().ask_total();
    assert_eq!(store.0.plan(all.sql(), all.params()).unwrap(), "SCAN counts");
}

#[test]
fn what_has_been_due_longest_is_taken_first() {
    let store = Store::new();
    for (order_id, due) in [(1, 2), (2, 0), (3, 1)] {
        store.add_due(&[message(order_id)], NOW.plus_seconds(due));
    }
    let later = NOW.plus_seconds(5);
    for id in ["reservation:2:1", "reservation:3:1", "reservation:1:1"] {
        assert_eq!(ids(&store.claim(later, 1)), [id]);
    }
}

#[test]
fn what_is_taken_is_read_oldest_first_in_whatever_order_it_is_answered() {
    let store = Store::with_messages(3);
    let mut rows = store.run(&claim(NOW, NOW.plus_seconds(LEASE), 3));
    rows.sort_by_key(|row| std::cmp::Reverse(row.int("seq").unwrap()));
    let read = claimed(&rows).unwrap();
    assert_eq!(ids(&read), ["reservation:1:1", "reservation:2:1", "reservation:3:1"]);
}

/// What the release before this one made of an empty store, up to version 1.
const VERSION_1: &[&str] = &[
    "CREATE TABLE IF NOT EXISTS messages (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        order_id INTEGER NOT NULL,
        customer_id INTEGER,
        event TEXT NOT NULL,
        language TEXT NOT NULL,
        body TEXT NOT NULL,
        status TEXT NOT NULL DEFAULT 'Pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL,
        due_at INTEGER NOT NULL,
        claim TEXT,
        sent_at TEXT,
        problem TEXT
    )",
    "CREATE INDEX IF NOT EXISTS messages_by_order ON messages (order_id)",
    "CREATE INDEX IF NOT EXISTS messages_by_customer ON messages (customer_id)",
    "CREATE INDEX IF NOT EXISTS messages_by_status ON messages (status)",
    "CREATE INDEX IF NOT EXISTS messages_due ON messages (due_at) WHERE status = 'Pending'",
    "CREATE TABLE IF NOT EXISTS courses (
        edu_no INTEGER PRIMARY KEY,
        version INTEGER NOT NULL,
        title TEXT NOT NULL
    )",
    "CREATE TABLE IF NOT EXISTS counts (status TEXT PRIMARY KEY, rows INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TRIGGER IF NOT EXISTS messages_inserted AFTER INSERT ON messages BEGIN
        INSERT INTO counts (status, rows) VALUES (NEW.status, 1)
            ON CONFLICT (status) DO UPDATE SET rows = rows + 1;
    END",
    "CREATE TRIGGER IF NOT EXISTS messages_updated AFTER UPDATE OF status ON messages
        WHEN NEW.status <> OLD.status
    BEGIN
        INSERT INTO counts (status, rows) VALUES (OLD.status, -1), (NEW.status, 1)
            ON CONFLICT (status) DO UPDATE SET rows = rows + excluded.rows;
    END",
    "PRAGMA user_version=1",
];

/// A message as version 1 wrote it, and then took it to be sent.
const OLD_MESSAGE: &str = "INSERT INTO messages (id, order_id, event, language, body, created_at, due_at)
    VALUES ('order:1:1', 1, 'Ordered', 'ko', 'x', '1970-01-01T00:16:40.000Z', 1000000)";
const OLD_CLAIM: &str = "UPDATE messages SET claim = 'old', due_at = 1015000, attempts = attempts + 1
    WHERE seq IN (SELECT seq FROM messages INDEXED BY messages_due
        WHERE status = 'Pending' AND due_at <= 1000000 ORDER BY due_at, seq LIMIT 100)";

/// A store of version 1 with a message that is due.
fn old(path: &std::path::Path) -> Store {
    let old = Store(native::Store::as_it_is(path).unwrap());
    for statement in VERSION_1 {
        old.ask(statement);
    }
    old.ask(OLD_MESSAGE);
    old
}

#[test]
fn a_store_of_the_release_before_keeps_its_messages() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notification.db");
    drop(old(&path));
    let store = Store(native::Store::file(&path, &DATABASE).unwrap());
    assert_eq!(ids(&store.claim(NOW, 10)), ["order:1:1"]);
    assert_eq!(store.counted(), [("Pending".to_owned(), 1)]);
}

#[test]
fn two_releases_beside_each_other_never_hold_the_same_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notification.db");
    let old = old(&path);
    let new = Store(native::Store::file(&path, &DATABASE).unwrap());
    old.ask(OLD_CLAIM);
    assert!(new.claim(NOW, 10).is_empty());
    let lost = NOW.plus_seconds(LEASE);
    assert_eq!(new.claim(lost, 10).len(), 1);
    // Whoever lost it knows itself by the claim.
    assert_eq!(old.0.number("SELECT count(*) FROM messages WHERE claim = 'old'").unwrap(), 0);
    old.ask(OLD_CLAIM);
    assert_eq!(new.shown(), ["Pending 2"]);
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}
