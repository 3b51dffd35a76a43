//! The statements on a real SQLite, with two workers at once.

use super::*;
use crate::samples;
use kernel::Language;
use store::native;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

/// A store as a component would find it.
struct Sqlite(native::Sqlite);

impl Sqlite {
    fn new() -> Self {
        Self(native::Sqlite::in_memory(&DATABASE).unwrap())
    }

    /// With so many messages, each about an order of its own.
    fn with_messages(count: u64) -> Self {
        let sqlite = Self::new();
        sqlite.run(add(&(1..=count).map(message).collect::<Vec<_>>(), NOW));
        sqlite
    }

    fn run(&self, statement: Statement) -> Vec<Row> {
        self.0.run(&statement.sql, &statement.params).unwrap()
    }

    fn ask(&self, sql: &str) -> Vec<Row> {
        self.0.run(sql, &[]).unwrap()
    }

    fn claim(&self, worker: &str, now: Timestamp, limit: u32) -> Vec<Claimed> {
        claimed(&self.run(claim(worker, now, now.plus_seconds(LEASE), limit))).unwrap()
    }

    fn conclude(&self, worker: &str, claimed: &[Claimed], verdict: &Verdict) {
        let conclusions: Vec<_> = claimed
            .iter()
            .map(|message| Conclusion { seq: message.seq, verdict: verdict.clone(), problem: None })
            .collect();
        self.run(conclude(worker, &conclusions, NOW));
    }

    /// `status attempts` of each message.
    fn shown(&self) -> Vec<String> {
        let rows = self.ask("SELECT status || ' ' || attempts FROM messages ORDER BY seq");
        rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect()
    }

    /// Each status with its count, where there is any; told by the triggers.
    fn counted(&self) -> Vec<(String, i64)> {
        let rows = self.ask("SELECT status, rows FROM counts WHERE rows <> 0 ORDER BY status");
        rows.iter().map(|row| (row.text(0).unwrap().to_owned(), row.int(1).unwrap())).collect()
    }
}

fn message(order_id: u64) -> Message {
    let event = kernel::event::Event::ReservationConfirmed(kernel::event::ReservationConfirmed {
        applicant: samples::applicant(order_id, Language::Ko),
    });
    Message::about("reservation", 1, &event, None).unwrap()
}

fn ids(claimed: &[Claimed]) -> Vec<&str> {
    claimed.iter().map(|message| message.id.as_str()).collect()
}

#[test]
fn an_event_told_again_adds_no_second_message() {
    let sqlite = Sqlite::with_messages(2);
    sqlite.run(add(&[message(2), message(3), message(3)], NOW));
    assert_eq!(sqlite.shown(), ["Pending 0", "Pending 0", "Pending 0"]);
    assert_eq!(sqlite.counted(), [("Pending".to_owned(), 3)]);
}

#[test]
fn two_workers_never_hold_the_same_message() {
    let sqlite = Sqlite::with_messages(5);
    let first = sqlite.claim("first", NOW, 3);
    let second = sqlite.claim("second", NOW, 3);
    assert_eq!(ids(&first), ["reservation:1:1", "reservation:2:1", "reservation:3:1"]);
    assert_eq!(ids(&second), ["reservation:4:1", "reservation:5:1"]);
    assert!(sqlite.claim("third", NOW, 3).is_empty());
}

#[test]
fn a_message_that_a_clock_which_was_ahead_has_put_off_is_due_at_once() {
    // How far ahead the clock was, in seconds, and after how many tries.
    for (ahead, tries) in [(1, 0), (1, 1), (1, 4), (2, 5), (50, 7), (286, 10), (286, 40)] {
        let sqlite = Sqlite::with_messages(1);
        for _ in 0..tries {
            sqlite.claim("first", NOW, 1);
            sqlite.run(pull_in(NOW.plus_minutes(-10)));
        }
        sqlite.ask(&format!("UPDATE messages SET due_at = {}", NOW.plus_seconds(LEASE).millis()));
        let really = NOW.plus_seconds(-ahead);
        assert!(sqlite.claim("second", really, 1).is_empty(), "{tries}");
        sqlite.run(pull_in(really));
        assert_eq!(sqlite.claim("second", really, 1).len(), 1, "{tries}");
        sqlite.run(pull_in(really));
        assert!(sqlite.claim("third", really, 1).is_empty(), "by the true clock it is claimed now");
    }
}

#[test]
fn what_waits_as_it_should_is_not_pulled_in() {
    for (tries, pause) in [(1, LEASE), (4, LEASE), (5, 16), (7, 64), (10, 300), (40, 300)] {
        let sqlite = Sqlite::with_messages(1);
        for _ in 0..tries {
            sqlite.claim("first", NOW, 1);
            sqlite.run(pull_in(NOW.plus_minutes(-10)));
        }
        assert_eq!(sqlite.shown(), [format!("Pending {tries}")]);
        sqlite.ask(&format!("UPDATE messages SET due_at = {}", NOW.plus_seconds(pause).millis()));
        sqlite.run(pull_in(NOW));
        assert!(sqlite.claim("second", NOW.plus_seconds(pause - 1), 1).is_empty(), "{tries}");
    }
}

#[test]
fn if_a_claim_took_what_is_not_due_two_workers_would_hold_the_same_message() {
    let sqlite = Sqlite::with_messages(1);
    let first = sqlite.claim("first", NOW, 10);
    let mut greedy = claim("second", NOW, NOW.plus_seconds(LEASE), 10);
    greedy.sql = greedy.sql.replace("due_at <= ?", "? IS NOT NULL");
    let second = claimed(&sqlite.run(greedy)).unwrap();
    assert_eq!(ids(&first), ids(&second));
}

#[test]
fn what_is_sent_is_never_claimed_again() {
    let sqlite = Sqlite::with_messages(2);
    let claimed = sqlite.claim("first", NOW, 10);
    sqlite.conclude("first", &claimed, &Verdict::Sent { at: NOW });
    assert_eq!(sqlite.shown(), ["Sent 1", "Sent 1"]);
    assert_eq!(sqlite.counted(), [("Sent".to_owned(), 2)]);
    assert!(sqlite.claim("second", NOW.plus_minutes(60), 10).is_empty());
}

#[test]
fn what_a_crash_left_is_due_again_when_the_lease_runs_out() {
    let sqlite = Sqlite::with_messages(1);
    sqlite.claim("crashes", NOW, 10);
    assert!(sqlite.claim("second", NOW.plus_seconds(LEASE).plus_millis(-1), 10).is_empty());
    let healed = sqlite.claim("second", NOW.plus_seconds(LEASE), 10);
    assert_eq!(ids(&healed), ["reservation:1:1"]);
    assert_eq!(healed[0].attempts, 2);
}

#[test]
fn whoever_lost_a_message_may_say_that_it_is_sent_and_nothing_else() {
    let sqlite = Sqlite::with_messages(2);
    let slow = sqlite.claim("slow", NOW, 10);
    let later = NOW.plus_seconds(LEASE);
    assert_eq!(sqlite.claim("second", later, 10).len(), 2);
    sqlite.conclude("slow", &slow[..1], &Verdict::Retry { due: NOW });
    sqlite.conclude("slow", &slow[..1], &Verdict::Failed);
    sqlite.conclude("slow", &slow[..1], &Verdict::PutBack);
    sqlite.conclude("slow", &slow[1..], &Verdict::Sent { at: NOW });
    assert_eq!(sqlite.shown(), ["Pending 2", "Sent 2"]);
    assert!(sqlite.claim("third", later, 10).is_empty());
}

#[test]
fn a_busy_message_waits_and_a_put_back_one_does_not() {
    let sqlite = Sqlite::with_messages(2);
    let claimed = sqlite.claim("first", NOW, 10);
    let due = NOW.plus_seconds(9);
    let busy =
        Conclusion { seq: claimed[0].seq, verdict: Verdict::Retry { due }, problem: Some("busy".to_owned()) };
    let not_made = Conclusion { seq: claimed[1].seq, verdict: Verdict::PutBack, problem: None };
    sqlite.run(conclude("first", &[busy, not_made], NOW));
    assert_eq!(sqlite.shown(), ["Pending 1", "Pending 0"]);
    assert_eq!(ids(&sqlite.claim("second", NOW, 10)), ["reservation:2:1"]);
    assert_eq!(ids(&sqlite.claim("third", due, 10)), ["reservation:1:1"]);
}

#[test]
fn a_message_given_up_is_counted_as_failed() {
    let sqlite = Sqlite::with_messages(2);
    let claimed = sqlite.claim("first", NOW, 1);
    sqlite.conclude("first", &claimed, &Verdict::Failed);
    assert_eq!(sqlite.counted(), [("Failed".to_owned(), 1), ("Pending".to_owned(), 1)]);
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
        let sqlite = Sqlite::new();
        for course in told {
            sqlite.run(keep_courses(&[course]));
        }
        let known = titles(&sqlite.run(ask_titles(&[edu_no]))).unwrap();
        assert_eq!(known[&edu_no.get()], "자바 입문 (개정)");
    }
}

impl Sqlite {
    fn page(&self, filter: &Filter, paging: &Paging) -> Vec<u64> {
        let rows = self.run(ask_page(filter, paging));
        rows.iter().map(|row| Found::read(row).unwrap().seq).collect()
    }

    fn count(&self, filter: &Filter) -> u64 {
        self.run(ask_count(filter))[0].count(0).unwrap()
    }
}

#[test]
fn messages_are_listed_newest_first_and_by_key_as_they_were_written() {
    let sqlite = Sqlite::with_messages(5);
    let paging = Paging { page: 0, size: 2, sort: None, after: None };
    let everything = Filter::default();
    assert_eq!(sqlite.page(&everything, &paging), [5, 4]);
    assert_eq!(sqlite.page(&everything, &Paging { page: 2, ..paging.clone() }), [1]);
    let sort = Some(hal::Sort { field: "createdAt", direction: Direction::Ascending });
    assert_eq!(sqlite.page(&everything, &Paging { sort, ..paging.clone() }), [1, 2]);
    assert_eq!(sqlite.page(&everything, &Paging { after: Some(2), ..paging }), [3, 4]);
}

#[test]
fn filters_choose_and_count_the_same_messages() {
    let sqlite = Sqlite::with_messages(5);
    let claimed = sqlite.claim("first", NOW, 2);
    sqlite.conclude("first", &claimed, &Verdict::Sent { at: NOW });
    let order_id = Some(OrderId::parse(2).unwrap());
    let customer_id = Some(CustomerId::parse(1).unwrap());
    let paging = Paging { page: 0, size: 100, sort: None, after: None };
    let cases: [(Filter, &[u64]); 6] = [
        (Filter::default(), &[5, 4, 3, 2, 1]),
        (Filter { order_id, ..Filter::default() }, &[2]),
        (Filter { customer_id, ..Filter::default() }, &[5, 4, 3, 2, 1]),
        (Filter { status: Some(Status::Sent), ..Filter::default() }, &[2, 1]),
        (Filter { status: Some(Status::Failed), ..Filter::default() }, &[]),
        (Filter { status: Some(Status::Pending), order_id, customer_id }, &[]),
    ];
    for (filter, wanted) in cases {
        assert_eq!(sqlite.page(&filter, &paging), wanted, "{filter:?}");
        assert_eq!(sqlite.count(&filter), wanted.len() as u64, "{filter:?}");
    }
}

#[test]
fn no_list_and_no_duty_reads_the_whole_table() {
    let sqlite = Sqlite::new();
    let of_order = Filter { order_id: OrderId::parse(2).ok(), ..Filter::default() };
    let of_customer = Filter { customer_id: CustomerId::parse(1).ok(), ..Filter::default() };
    let of_status = Filter { status: Some(Status::Failed), ..Filter::default() };
    let paging = Paging { page: 0, size: 100, sort: None, after: Some(3) };
    for (statement, index) in [
        (ask_page(&Filter::default(), &paging), "PRIMARY KEY"),
        (ask_page(&of_order, &paging), "messages_by_order"),
        (ask_page(&of_customer, &paging), "messages_by_customer"),
        (ask_page(&of_status, &paging), "messages_by_status"),
        (ask_count(&of_customer), "messages_by_customer"),
        (ask_count(&of_status), "PRIMARY KEY"),
        (pull_in(NOW), "messages_due"),
        (claim("first", NOW, NOW.plus_seconds(LEASE), 9), "messages_due"),
    ] {
        let plan = sqlite.0.plan(&statement.sql, &statement.params).unwrap();
        assert!(plan.contains(index), "{}: {plan}", statement.sql);
        assert!(
            !plan.contains("SCAN messages") && !plan.contains("TEMP B-TREE"),
            "{}: {plan}",
            statement.sql
        );
    }
    // Nothing but the few rows of counts is read to count them all.
    let all = ask_count(&Filter::default());
    assert_eq!(sqlite.0.plan(&all.sql, &all.params).unwrap(), "SCAN counts");
}

#[test]
fn what_has_been_due_longest_is_taken_first() {
    let sqlite = Sqlite::new();
    for (order_id, due) in [(1, 2), (2, 0), (3, 1)] {
        sqlite.run(add(&[message(order_id)], NOW.plus_seconds(due)));
    }
    let later = NOW.plus_seconds(5);
    for id in ["reservation:2:1", "reservation:3:1", "reservation:1:1"] {
        assert_eq!(ids(&sqlite.claim("first", later, 1)), [id]);
    }
}

#[test]
fn what_is_taken_is_read_oldest_first_in_whatever_order_it_is_answered() {
    let sqlite = Sqlite::with_messages(3);
    let mut rows = sqlite.run(claim("first", NOW, NOW.plus_seconds(LEASE), 3));
    rows.sort_by_key(|row| std::cmp::Reverse(row.int(0).unwrap()));
    let read = claimed(&rows).unwrap();
    assert_eq!(ids(&read), ["reservation:1:1", "reservation:2:1", "reservation:3:1"]);
}
