//! Somebody else decides in between.

use super::*;

store::on_postgres!(
    a_decision_from_an_older_state_is_made_again_from_the_new_one,
    two_decisions_about_the_same_version_of_a_subject_exclude_each_other,
    it_is_made_two_hundred_times_at_most_and_then_somebody_else_is_to_try_later,
    a_version_that_is_taken_every_time_is_a_matter_of_load_too,
    a_check_that_fails_every_time_is_a_mistake_of_ours,
    a_check_that_only_somebody_elses_decision_broke_is_a_conflict_like_any_other,
    what_is_no_conflict_is_not_tried_again,
    a_decider_that_cannot_load_has_decided_nothing,
);

/// Takes a seat in a course if it has the version that was loaded.
fn take_seat(journal: &Journal<Store, Told>, order: u64) -> Result<u64, StoreError> {
    let loaded = Statement::new("SELECT version FROM seats WHERE edu_no = 101");
    let carried_out = journal.carry_out(async |storage: &Store| {
        let row = loaded.row(storage).await?;
        let version = row.map_or(Ok(0), |row| row.count("version"))?;
        let mut decision = Decision::new();
        decision.expect("seats", 101, version);
        decision.event(1, &confirmed(order, 101), now(), None);
        Ok::<_, StoreError>((decision, version))
    });
    at_once(carried_out).unwrap()
}

/// Somebody else takes a seat just before the next decision is committed, so many times.
fn others_take_seats(storage: &Store, times: u64) {
    for other in 0..times {
        storage.meanwhile(move |storage| {
            let sql = "INSERT INTO seats (edu_no, taken, version, last) VALUES (101, 0, 1000, '')
                ON CONFLICT (edu_no) DO UPDATE SET version = seats.version + 1";
            storage.run(sql, &[]).unwrap_or_else(|error| panic!("{other}: {error}"));
        });
    }
}

#[test]
fn a_decision_from_an_older_state_is_made_again_from_the_new_one() {
    let journal = journal();
    others_take_seats(&journal.storage, 1);
    // The answer is of the attempt that was committed.
    assert_eq!(take_seat(&journal, 1).unwrap(), 1000);
    assert_eq!((journal.storage.conflicts(), journal.storage.pauses(), journal.told()), (1, 1, 1));
    assert_eq!(journal.count("events"), 1);
}

#[test]
fn two_decisions_about_the_same_version_of_a_subject_exclude_each_other() {
    let journal = journal();
    journal.storage.meanwhile(|storage| {
        let sql = "INSERT INTO events (subject, version, type, data, time) VALUES ('1', 1, 'ReservationRejected', '{}', '')";
        storage.run(sql, &[]).unwrap();
    });
    let next = Statement::new("SELECT coalesce(max(version), 0) + 1 AS next FROM events WHERE subject = '1'");
    let carried_out = journal.carry_out(async |storage: &Store| {
        let version = next.row(storage).await?.unwrap().count("next")?;
        let mut decision = Decision::new();
        decision.event(version, &confirmed(1, 101), now(), None);
        Ok::<_, StoreError>((decision, version))
    });
    assert_eq!(at_once(carried_out).unwrap().unwrap(), 2);
    assert_eq!(journal.storage.conflicts(), 1);
}

#[test]
fn it_is_made_two_hundred_times_at_most_and_then_somebody_else_is_to_try_later() {
    let journal = journal();
    others_take_seats(&journal.storage, 199);
    take_seat(&journal, 1).unwrap();
    assert_eq!((journal.storage.conflicts(), journal.storage.pauses()), (199, 199));

    let journal = super::journal();
    others_take_seats(&journal.storage, 200);
    let error = take_seat(&journal, 1).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("the seats changed"), "{error}");
    assert_eq!((journal.storage.conflicts(), journal.storage.pauses(), journal.told()), (200, 199, 0));
    assert_eq!(journal.count("events"), 0);
}

#[test]
fn a_version_that_is_taken_every_time_is_a_matter_of_load_too() {
    let journal = journal();
    journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None)).unwrap();
    let again = journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None));
    assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
}

#[test]
fn a_check_that_fails_every_time_is_a_mistake_of_ours() {
    let journal = journal();
    for order in 1..=2 {
        journal.commit(|decision| decision.event(1, &confirmed(order, 101), now(), None)).unwrap();
    }
    let error = journal.commit(|decision| decision.event(1, &confirmed(3, 101), now(), None)).unwrap_err();
    assert_eq!(error, StoreError::Failure("a decision breaks CHECK (enough_seats)".to_owned()));
    // Somebody else may have been the cause, so it was tried as often as any other.
    assert_eq!((journal.storage.conflicts(), journal.count("events")), (10, 2));
}

#[test]
fn a_check_that_only_somebody_elses_decision_broke_is_a_conflict_like_any_other() {
    let journal = journal();
    journal.storage.meanwhile(|storage| {
        let sql = "INSERT INTO seats (edu_no, taken, version, last) VALUES (101, 2, 0, '')";
        storage.run(sql, &[]).unwrap();
    });
    let free = Statement::new("SELECT coalesce(max(taken), 0) < 2 AS free FROM seats WHERE edu_no = 101");
    let carried_out = journal.carry_out(async |storage: &Store| {
        let free = free.row(storage).await?.unwrap().int("free")? == 1;
        let mut decision = Decision::new();
        let event = if free { confirmed(7, 101) } else { rejected(7, "full") };
        decision.event(1, &event, now(), None);
        Ok::<_, StoreError>((decision, event.name()))
    });
    assert_eq!(at_once(carried_out).unwrap().unwrap(), "ReservationRejected");
}

#[test]
fn what_is_no_conflict_is_not_tried_again() {
    let journal = journal();
    journal.storage.run("DROP TABLE seats", &[]).unwrap();
    let error = journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None)).unwrap_err();
    assert!(matches!(error, StoreError::Failure(_)), "{error}");
    assert_eq!((journal.storage.pauses(), journal.told()), (0, 0));
}

#[test]
fn a_decider_that_cannot_load_has_decided_nothing() {
    let journal = journal();
    let refused =
        journal.carry_out(async |_: &Store| Err::<(Decision, ()), _>(StoreError::unavailable("locked")));
    assert_eq!(at_once(refused).unwrap().unwrap_err(), StoreError::unavailable("locked"));
    assert_eq!(journal.storage.statements(), 0);
}
