//! What one decision commits.

use super::*;
use store::native::Engine;

store::on_postgres!(
    an_event_is_stored_as_it_was_decided_and_reads_back,
    an_event_that_cannot_be_read_is_a_mistake_of_ours,
    others_are_told_once_of_each_commit_and_not_of_a_decision_without_events,
    an_expectation_that_does_not_hold_keeps_everything_out,
    where_there_is_nothing_yet_version_0_is_expected,
    an_expectation_is_about_the_state_before_the_events_of_its_own_decision,
    of_several_expectations_each_must_hold,
    the_statement_reads_the_same_however_much_it_commits,
    many_events_have_their_places_in_the_order_in_which_they_were_decided,
    what_goes_beside_the_events_is_committed_with_them_or_refused_with_them,
    what_goes_beside_is_in_no_event,
    a_list_is_made_again_from_the_events_alone,
    an_event_has_a_version_of_at_least_1,
    a_place_in_the_log_is_given_once,
);

#[test]
fn an_event_is_stored_as_it_was_decided_and_reads_back() {
    let journal = journal();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = rejected(1113, "it's \"full\" 만석 \\ {}");
    journal.commit(|decision| decision.event(3, &event, now(), Some(trace))).unwrap();
    let rows = journal.storage.run("SELECT * FROM events", &[]).unwrap();
    let row = &rows[0];
    assert_eq!((row.text("subject").unwrap(), row.count("version").unwrap()), ("1113", 3));
    assert_eq!(row.text("time").unwrap(), "1970-01-01T00:00:00.000Z");
    assert_eq!(journal.storage.number("SELECT position FROM projection").unwrap(), 1);
    assert_eq!(row.text("traceparent").unwrap(), trace);
    assert_eq!((row.text("data").unwrap(), history(row).unwrap()), (event.to_data().as_str(), event));
}

#[test]
fn an_event_that_cannot_be_read_is_a_mistake_of_ours() {
    let journal = journal();
    for (name, data) in [("Forgotten", "{}"), ("ReservationConfirmed", "{}")] {
        let sql = format!("SELECT '{name}' AS type, '{data}' AS data");
        let rows = journal.storage.run(&sql, &[]).unwrap();
        assert!(
            matches!(history(&rows[0]), Err(StoreError::Failure(text)) if text.contains("a stored event"))
        );
    }
}

#[test]
fn others_are_told_once_of_each_commit_and_not_of_a_decision_without_events() {
    let journal = journal();
    journal.commit(|_| {}).unwrap();
    // What was expected of nothing is not looked at, and what goes beside no event goes nowhere.
    journal.commit(|decision| decision.expect("seats", 101, 77)).unwrap();
    journal.commit(|decision| decision.beside("card", 1, &card("0000"))).unwrap();
    assert_eq!((journal.told(), journal.storage.statements(), journal.count("cards")), (0, 0, 0));
    journal
        .commit(|decision| {
            decision.event(1, &confirmed(1, 101), now(), None);
            decision.event(2, &rejected(1, "no"), now(), None);
        })
        .unwrap();
    assert_eq!((journal.told(), journal.storage.statements(), journal.count("events")), (1, 1, 2));
}

#[test]
fn an_expectation_that_does_not_hold_keeps_everything_out() {
    let journal = journal();
    journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None)).unwrap();
    for (version, holds) in [(0, false), (2, false), (1, true)] {
        let committed = journal.commit(|decision| {
            decision.expect("seats", 101, version);
            decision.event(1, &confirmed(2, 102), now(), None);
            decision.beside("card", 2, &card("0000"));
        });
        assert_eq!(committed.is_ok(), holds, "{version}: {committed:?}");
        let written = (journal.count("events"), journal.count("seats"), journal.count("cards"));
        assert_eq!(written, if holds { (2, 2, 1) } else { (1, 1, 0) }, "{version}");
    }
}

#[test]
fn where_there_is_nothing_yet_version_0_is_expected() {
    let journal = journal();
    let first = |version| {
        journal.commit(|decision| {
            decision.expect("seats", 101, version);
            decision.event(1, &confirmed(1, 101), now(), None);
        })
    };
    assert!(first(1).is_err());
    first(0).unwrap();
}

#[test]
fn an_expectation_is_about_the_state_before_the_events_of_its_own_decision() {
    let journal = journal();
    journal
        .commit(|decision| {
            // Even where it is said after them.
            decision.event(1, &confirmed(1, 101), now(), None);
            decision.expect("seats", 101, 0);
        })
        .unwrap();
    assert_eq!(journal.storage.conflicts(), 0);
}

#[test]
fn of_several_expectations_each_must_hold() {
    let journal = journal();
    journal.commit(|decision| decision.event(1, &confirmed(1, 101), now(), None)).unwrap();
    for (first, second, holds) in [(1, 1, false), (0, 0, false), (1, 0, true)] {
        let committed = journal.commit(|decision| {
            decision.expect("seats", 101, first);
            decision.expect("seats", 102, second);
            decision.event(1, &rejected(2, "no"), now(), None);
        });
        assert_eq!(committed.is_ok(), holds, "{first} {second}");
    }
}

#[test]
fn the_statement_reads_the_same_however_much_it_commits() {
    let texts: Vec<_> = [1, 2, 500]
        .map(|events| {
            let mut decision = Decision::new();
            for event in 1..=events {
                decision.expect("seats", event, 0);
                decision.event(event, &confirmed(1, 101), now(), None);
                decision.beside("card", event, &card("0000"));
            }
            let statement = decision.statement();
            assert_eq!(statement.params().len(), 1);
            statement.sql().to_owned()
        })
        .into();
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
}

#[test]
fn many_events_have_their_places_in_the_order_in_which_they_were_decided() {
    let journal = journal();
    journal
        .commit(|decision| {
            for order in (1..=500).rev() {
                decision.event(1, &rejected(order, "no"), now(), None);
            }
        })
        .unwrap();
    let rows = journal.storage.run("SELECT subject FROM projection ORDER BY position", &[]).unwrap();
    let subjects: Vec<u64> = rows.iter().map(|row| row.parse("subject").unwrap()).collect();
    assert_eq!(subjects, (1..=500).rev().collect::<Vec<_>>());
    assert_eq!(journal.storage.number("SELECT max(position) FROM projection").unwrap(), 500);
}

fn card(number: &str) -> impl serde::Serialize {
    std::collections::BTreeMap::from([("card", number.to_owned())])
}

#[test]
fn what_goes_beside_the_events_is_committed_with_them_or_refused_with_them() {
    let journal = journal();
    let left = |order, number: &str| {
        journal.commit(|decision| {
            decision.event(1, &confirmed(order, 101), now(), None);
            decision.beside("card", order, &card(number));
        })
    };
    left(1, "it's sealed").unwrap();
    let kept = journal.storage.run("SELECT card FROM cards WHERE order_id = 1", &[]).unwrap();
    assert_eq!(kept[0].text("card").unwrap(), "it's sealed");
    // What stands beside is refused: its event is not there either.
    assert!(left(2, "").is_err());
    assert_eq!((journal.count("events"), journal.count("cards"), journal.told()), (1, 1, 1));
    // The event is refused, and so is what stands beside it.
    journal.storage.run("DELETE FROM cards", &[]).unwrap();
    assert!(left(1, "another").is_err());
    assert_eq!((journal.count("events"), journal.count("cards"), journal.told()), (1, 0, 1));
}

#[test]
fn what_goes_beside_is_in_no_event() {
    let journal = journal();
    journal
        .commit(|decision| {
            decision.event(1, &confirmed(1, 101), now(), None);
            decision.beside("card", 1, &card("4111111111111111"));
        })
        .unwrap();
    assert!(!journal.storage.dump("events").unwrap().concat().contains("4111"));
}

#[test]
fn a_list_is_made_again_from_the_events_alone() {
    let journal = journal();
    for (order, course) in [(1, 101), (2, 102), (3, 101)] {
        journal.commit(|decision| decision.event(1, &confirmed(order, course), now(), None)).unwrap();
    }
    journal.commit(|decision| decision.event(1, &rejected(4, "full"), now(), None)).unwrap();
    let before = journal.storage.dump("seats").unwrap();
    assert_eq!(before.len(), 2);
    let again = "INSERT INTO projection SELECT * FROM projection ORDER BY position";
    // Over what is there, and from nothing.
    for emptied in [false, true] {
        if emptied {
            journal.storage.run("DELETE FROM seats", &[]).unwrap();
        }
        journal.storage.run(again, &[]).unwrap();
        assert_eq!(journal.storage.dump("seats").unwrap(), before, "emptied: {emptied}");
    }
    assert_eq!(journal.count("events"), 4);
}

#[test]
fn an_event_has_a_version_of_at_least_1() {
    let constraint = match Engine::current() {
        Engine::Sqlite => "CHECK (version > 0)",
        Engine::Postgres => "CHECK (events_version_check)",
    };
    let refused = journal().commit(|decision| decision.event(0, &confirmed(1, 101), now(), None));
    assert!(matches!(refused, Err(StoreError::Failure(text)) if text.contains(constraint)));
}

#[test]
fn a_place_in_the_log_is_given_once() {
    let journal = journal();
    journal.commit(|decision| decision.event(1, &rejected(1, "no"), now(), None)).unwrap();
    journal.storage.run("DELETE FROM events", &[]).unwrap();
    journal.commit(|decision| decision.event(1, &rejected(1, "no"), now(), None)).unwrap();
    assert_eq!(journal.storage.number("SELECT position FROM projection").unwrap(), 2);
}

#[test]
fn what_was_refused_leaves_no_gap_in_the_log() {
    let journal = journal();
    journal.commit(|decision| decision.event(1, &rejected(1, "no"), now(), None)).unwrap();
    let half = journal.commit(|decision| {
        decision.event(1, &rejected(2, "no"), now(), None);
        decision.event(1, &rejected(1, "no"), now(), None);
    });
    assert!(half.is_err());
    journal.commit(|decision| decision.event(1, &rejected(2, "no"), now(), None)).unwrap();
    assert_eq!(journal.storage.number("SELECT max(position) FROM events").unwrap(), 2);
}
