//! The statements that run in production, on a SQLite of the tests' own.

use super::*;
use crate::domain::{Command, Outcome, Owed, Terms, decide, owed};
use kernel::Language;
use store::native::Sqlite;

const AT: Timestamp = Timestamp::from_millis(1_795_309_323_004);

/// A store in memory.
pub(crate) fn sqlite() -> Sqlite {
    Sqlite::in_memory(&DATABASE).unwrap()
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

fn next_attempt(record: &Record, terms: &Terms) -> Attempt {
    match owed(&record.state, terms) {
        Ok(Owed::Charge(attempt)) => attempt,
        other => panic!("{other:?}"),
    }
}

fn decision(record: &Record, command: &Command) -> Decision {
    let event = decide(&record.state, command).unwrap().pop().unwrap();
    let record = record.clone().and(&event);
    Decision { event, record, at: AT, traceparent: Some("trace".to_owned()) }
}

fn paid(record: &Record, terms: &Terms) -> Decision {
    let attempt = next_attempt(record, terms);
    let (card_last4, transaction_id) = ("1234".to_owned(), "t".to_owned());
    let outcome = Outcome::Approved { attempt, amount: terms.amount, card_last4, transaction_id };
    decision(record, &Command::Settle { terms: terms.clone(), outcome, at: AT })
}

fn declined(record: &Record, terms: &Terms) -> Decision {
    let attempt = next_attempt(record, terms);
    let (card_last4, reason) = ("0002".to_owned(), "no".to_owned());
    let outcome = Outcome::Declined { attempt, card_last4, reason };
    decision(record, &Command::Settle { terms: terms.clone(), outcome, at: AT })
}

fn closed(record: &Record, terms: &Terms, undone: Option<Attempt>) -> Decision {
    let applicant = terms.applicant.clone();
    decision(record, &Command::Close { applicant, undone, refunded: terms.amount, at: AT })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    futures::executor::block_on(future)
}

fn load(pays: &Pays<Sqlite>, order_id: u64) -> Record {
    run(pays.load(&[order(order_id)])).unwrap().pop().unwrap()
}

#[test]
fn what_is_committed_is_loaded_and_listed_again() {
    let pays = Pays(sqlite());
    let terms = terms(1113, 101);
    let mut record = load(&pays, 1113);
    assert_eq!(record, Record::default());
    assert_eq!(run(pays.find(order(1113))).unwrap(), None);

    let attempt = Attempt::clone(&next_attempt(&declined(&record, &terms).record, &terms));
    for step in 0..3 {
        let decision = match step {
            0 => declined(&record, &terms),
            1 => paid(&record, &terms),
            _ => closed(&record, &terms, Some(attempt)),
        };
        run(pays.commit(std::slice::from_ref(&decision))).unwrap();
        record = load(&pays, 1113);
        assert_eq!(record, decision.record);
        assert_eq!(run(pays.find(order(1113))).unwrap(), Listed::of(record.clone()));
    }
    assert_eq!(record.version, 3);
}

#[test]
fn of_two_decisions_from_the_same_state_one_is_a_conflict_and_leaves_no_trace() {
    let pays = Pays(sqlite());
    let (one, other) = (terms(1, 101), terms(2, 101));
    let new = Record::default();
    run(pays.commit(&[paid(&new, &one)])).unwrap();
    let both = [paid(&new, &other), declined(&new, &one)];
    assert!(run(pays.commit(&both)).unwrap_err().is_conflict());
    assert_eq!(load(&pays, 2), new);
    assert_eq!(run(pays.find(order(2))).unwrap(), None);
    assert_eq!(run(pays.find(order(1))).unwrap().unwrap().status, PayStatus::Paid);
}

#[test]
fn a_list_never_says_what_no_payment_can_be() {
    let pays = Pays(sqlite());
    run(pays.commit(&[paid(&Record::default(), &terms(1, 101))])).unwrap();
    for wrong in [
        "UPDATE pays SET card_last4 = '41111'",
        "UPDATE pays SET status = 'Pending'",
        "UPDATE pays SET amount = -1",
    ] {
        assert!(pays.0.run(wrong, &[]).is_err(), "{wrong} was taken");
    }
}

#[test]
fn many_orders_are_loaded_and_committed_at_once_each_by_itself() {
    let pays = Pays(sqlite());
    let decisions: Vec<_> = (1..=100).map(|id| paid(&Record::default(), &terms(id, 101))).collect();
    run(pays.commit(&decisions)).unwrap();
    let orders: Vec<_> = [100, 1, 999].map(order).into();
    let records = run(pays.load(&orders)).unwrap();
    let numbers: Vec<_> =
        records.iter().map(|r| r.state.payment().map(|(_, p)| p.applicant.order_id.get())).collect();
    assert_eq!(numbers, [Some(100), Some(1), None]);
}

#[test]
fn every_event_waits_in_the_outbox_with_what_the_log_needs() {
    let pays = Pays(sqlite());
    run(pays.commit(&[paid(&Record::default(), &terms(1113, 101))])).unwrap();
    let rows = pays.0.run("SELECT subject, version, type, time, traceparent, sent, data FROM events", &[]);
    let row = rows.unwrap().pop().unwrap();
    assert_eq!((row.text(0).unwrap(), row.int(1).unwrap(), row.text(2).unwrap()), ("1113", 1, "Paid"));
    assert_eq!((row.text(3).unwrap(), row.text(4).unwrap()), (AT.to_string().as_str(), "trace"));
    assert_eq!(row.int(5).unwrap(), 0);
    assert!(row.text(6).unwrap().contains("\"cardLast4\":\"1234\""));
}

#[test]
fn the_key_of_the_outstanding_charge_is_there_to_hold_the_books_against_each_other() {
    let pays = Pays(sqlite());
    let terms = terms(1113, 101);
    let new = Record::default();
    let key = || {
        pays.0.run("SELECT gateway_key FROM pays", &[]).unwrap()[0].opt_text(0).unwrap().map(str::to_owned)
    };
    let first = paid(&new, &terms);
    run(pays.commit(std::slice::from_ref(&first))).unwrap();
    assert_eq!(key().as_deref(), Some("1113-1"));
    run(pays.commit(&[closed(&first.record, &terms, Some(next_attempt(&new, &terms)))])).unwrap();
    assert_eq!(key(), None);
}

#[test]
fn lists_are_filtered_and_go_by_page_or_by_key() {
    let pays = Pays(sqlite());
    for id in 1..=6 {
        let terms = terms(id, 100 + id % 2);
        let decision = if id == 6 { declined } else { paid }(&Record::default(), &terms);
        run(pays.commit(&[decision])).unwrap();
    }
    let all = Slice { after: None, skip: 0, limit: 20, descending: false };
    let numbers = |filter, slice| -> Vec<u64> {
        let listed = run(pays.list(filter, slice)).unwrap();
        listed.iter().map(|listed| listed.payment.applicant.order_id.get()).collect()
    };
    let none = Filter::default();
    assert_eq!(numbers(none, all), [1, 2, 3, 4, 5, 6]);
    assert_eq!(numbers(none, Slice { skip: 2, limit: 2, ..all }), [3, 4]);
    assert_eq!(numbers(none, Slice { after: Some(4), ..all }), [5, 6]);
    assert_eq!(numbers(none, Slice { after: Some(4), descending: true, ..all }), [3, 2, 1]);

    let course = Filter { edu_no: Some(EduNo::parse(100).unwrap()), ..none };
    assert_eq!((numbers(course, all), run(pays.total(course)).unwrap()), (vec![2, 4, 6], 3));
    let paid = Filter { status: Some(PayStatus::Paid), ..course };
    assert_eq!((numbers(paid, all), run(pays.total(paid)).unwrap()), (vec![2, 4], 2));
    let nobody = Filter { customer_id: Some(CustomerId::parse(8).unwrap()), ..none };
    assert_eq!((numbers(nobody, all), run(pays.total(nobody)).unwrap()), (vec![], 0));
}

#[test]
fn neither_a_payment_nor_a_list_is_found_by_reading_everything() {
    let pays = Pays(sqlite());
    for (sql, index) in [
        ("SELECT data FROM events WHERE subject IN (?, ?) ORDER BY subject, version", "USING INDEX"),
        ("SELECT * FROM pays WHERE order_id = ?", "PRIMARY KEY"),
        ("SELECT * FROM pays WHERE customer_id = ? AND order_id > ? ORDER BY order_id", "pays_by_customer"),
        ("SELECT * FROM pays WHERE edu_no = ? AND order_id > ? ORDER BY order_id", "pays_by_course"),
        ("SELECT * FROM pays WHERE status = ? AND order_id > ? ORDER BY order_id", "pays_by_status"),
    ] {
        let params: Vec<_> = sql.matches('?').map(|_| int(1)).collect();
        let plan = pays.0.plan(sql, &params).unwrap();
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

#[test]
fn a_row_says_who_paid_in_the_end_and_what_it_came_to() {
    let pays = Pays(sqlite());
    let new = Record::default();
    let commit = |decision: &Decision| run(pays.commit(std::slice::from_ref(decision))).unwrap();
    let refused = declined(&new, &terms(1, 101));
    commit(&refused);
    let mut other = terms(1, 101);
    (other.applicant.customer_id, other.applicant.guest) = (None, Guests::ONE);
    other.applicant.language = Language::Ko;
    let taken = paid(&refused.record, &other);
    commit(&taken);
    assert_eq!(run(pays.find(order(1))).unwrap(), Listed::of(taken.record));

    let refused = declined(&new, &terms(2, 101));
    commit(&refused);
    let undone = Some(next_attempt(&refused.record, &terms(2, 101)));
    let applicant = terms(2, 101).applicant;
    let ended = decision(&refused.record, &Command::Close { applicant, undone, refunded: Won::ZERO, at: AT });
    commit(&ended);
    assert_eq!(run(pays.find(order(2))).unwrap(), Listed::of(ended.record));
}
