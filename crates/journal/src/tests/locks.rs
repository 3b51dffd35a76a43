//! Two decide at the same moment, on PostgreSQL, where neither waits for the other of itself.

use super::*;
use std::time::Duration;
use store::native::Engine;

/// The expectation of these tests without its lock.
const UNLOCKED: &str =
    expectation!("seats", "SELECT version FROM seats WHERE edu_no = CAST(NEW.subject AS BIGINT)", "");

/// What becomes of a decision that another, from the same seats, has overtaken and not committed yet.
fn overtaken(prepare: impl Fn(&Store)) -> Result<(), StoreError> {
    let journal = Engine::Postgres.run(journal);
    let store = &journal.storage;
    let seat = |order| {
        let mut decision = Decision::new();
        decision.expect("seats", 101, 1);
        decision.event(1, &confirmed(order, 101), now(), None);
        decision.statement()
    };
    journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None)).unwrap();
    prepare(store);
    let address = store.address(&DATABASE).unwrap();
    store.run("BEGIN", &[]).unwrap();
    at_once(seat(2).run(store)).unwrap().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| at_once(seat(3).run(&address.connect().unwrap())).unwrap());
        let waiting = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while address.connect().unwrap().number(waiting).unwrap() == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        store.run("COMMIT", &[]).unwrap();
        other.join().unwrap()
    })
}

#[test]
fn of_two_decisions_from_the_same_seats_the_second_waits_and_is_a_conflict() {
    assert_eq!(overtaken(|_| {}).unwrap_err(), StoreError::Raised("the seats changed".to_owned()));
}

/// The harm that the lock is there against.
#[test]
fn without_the_lock_of_an_expectation_both_decisions_would_be_committed() {
    let unlocked = |store: &Store| {
        store.alter("DROP TRIGGER expect_seats").unwrap();
        store.alter(UNLOCKED).unwrap();
        // So that what is beneath has nothing against a third.
        store.run("UPDATE seats SET taken = 0", &[]).unwrap();
    };
    overtaken(unlocked).unwrap();
}
