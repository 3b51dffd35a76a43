//! The statements themselves, on a SQLite of our own.

use super::testing::{NOW, Sqlite, applicant, asked, edu, open, order};
use super::*;
use crate::domain::{Capacity, Changes};
use futures::executor::block_on;
use kernel::event::{CancelReason, Event};
use proptest::prelude::*;

fn pay(order_id: u64) -> Command {
    Command::Reserve(applicant(order_id, 101, 1))
}

fn cancel(order_id: u64) -> Command {
    Command::Cancel(applicant(order_id, 101, 1), CancelReason::Customer)
}

#[test]
fn what_is_committed_reads_back_as_it_was_decided() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 2), pay(1), pay(2), pay(3)]).unwrap();

    let listed = block_on(find_course(&store, edu(101))).unwrap().unwrap();
    assert_eq!((listed.course.taken, listed.course.waiting, listed.course.version), (2, 1, 1));
    assert_eq!(listed.course.terms.title, "러스트 입문");
    assert_eq!(listed.course.terms.starts_at, NOW.plus_minutes(60));

    let waiting = store.reservation(3);
    assert_eq!(waiting.reservation.applicant, applicant(3, 101, 1));
    assert_eq!(waiting.waiting_position, Some(1));
    assert_eq!(waiting.reserved_at, Some(NOW.to_string()));
    assert_eq!(block_on(find_reservation(&store, order(4))).unwrap(), None);
}

#[test]
fn a_canceled_order_without_a_reservation_is_remembered_in_the_store() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 2), cancel(1)]).unwrap();
    assert_eq!(store.do_all(&[pay(1)]).unwrap(), []);
    assert_eq!(store.status(1), ReservationStatus::ReservationCanceled);
    assert_eq!(store.reservation(1).reserved_at, None);
    assert_eq!(store.seats(101), (0, 0));
}

#[test]
fn a_place_in_line_moves_up_as_those_before_it_leave() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1), pay(1), pay(2), pay(3), pay(4)]).unwrap();
    assert_eq!(store.reservation(4).waiting_position, Some(3));
    store.do_all(&[cancel(1)]).unwrap();
    assert_eq!(store.status(2), ReservationStatus::ReservationConfirmed);
    assert_eq!(store.reservation(2).waiting_position, None);
    store.do_all(&[cancel(3)]).unwrap();
    assert_eq!(store.reservation(4).waiting_position, Some(1));
    assert_eq!(store.seats(101), (1, 1));
}

#[test]
fn a_line_is_served_in_the_order_of_arrival_and_not_of_order_numbers() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1), pay(5), pay(4), pay(3)]).unwrap();
    store.do_all(&[pay(2)]).unwrap();
    store.do_all(&[cancel(5)]).unwrap();
    assert_eq!(store.status(4), ReservationStatus::ReservationConfirmed);
    store.do_all(&[cancel(4)]).unwrap();
    assert_eq!(store.status(3), ReservationStatus::ReservationConfirmed);
}

/// The harm that `seats_version` is there against: without it, the second writer would let its applicant past
/// the one who began to wait meanwhile, or sell the seat again.
#[test]
fn a_decision_made_from_seats_that_have_moved_since_is_refused_whole() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    let stale = asked(&[pay(2), cancel(3)]);
    let mut loaded = block_on(load(&store, &stale)).unwrap();
    let entries = decide_all(&mut loaded.desk, &stale, NOW).unwrap();

    store.do_all(&[pay(1)]).unwrap();
    let refusal = block_on(commit(&store, &entries, &mut loaded.seats_versions, NOW)).unwrap_err();

    assert_eq!(refusal, StoreError::Raised("seats changed".to_owned()));
    assert!(refusal.is_conflict());
    assert_eq!(store.number("SELECT count(*) FROM events"), 2, "nothing of it was kept");
    assert_eq!(store.seats(101), (1, 0));
}

#[test]
fn without_the_seats_version_the_capacity_itself_forbids_selling_a_seat_twice() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    let stale = asked(&[pay(2)]);
    let mut loaded = block_on(load(&store, &stale)).unwrap();
    let entries = decide_all(&mut loaded.desk, &stale, NOW).unwrap();
    store.do_all(&[pay(1)]).unwrap();

    // As if the decider had forgotten to say what it saw.
    let refusal = block_on(commit(&store, &entries, &mut BTreeMap::new(), NOW)).unwrap_err();

    assert!(matches!(refusal, StoreError::Check { .. }), "{refusal:?}");
    assert_eq!(store.number("SELECT count(*) FROM events"), 2);
}

#[test]
fn two_decisions_about_one_order_exclude_each_other() {
    let store = Sqlite::new();
    let stale = asked(&[cancel(1)]);
    let mut loaded = block_on(load(&store, &stale)).unwrap();
    let entries = decide_all(&mut loaded.desk, &stale, NOW).unwrap();
    store.do_all(&[pay(1)]).unwrap();

    let refusal = block_on(commit(&store, &entries, &mut loaded.seats_versions, NOW)).unwrap_err();
    assert!(matches!(refusal, StoreError::Unique { .. }), "{refusal:?}");
}

#[test]
fn who_was_slower_decides_again_from_what_is_there_now() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    store.overtake_with(asked(&[pay(1)]));
    store.do_all(&[pay(2)]).unwrap();
    assert_eq!(store.pauses(), 1);
    assert_eq!(store.status(1), ReservationStatus::ReservationConfirmed);
    assert_eq!(store.status(2), ReservationStatus::Waitlisted);
}

#[test]
fn a_course_that_closes_meanwhile_takes_nobody_any_more() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    store.overtake_with(asked(&[Command::Move(edu(101), CourseStatus::CourseCanceled)]));
    store.do_all(&[pay(1)]).unwrap();
    assert_eq!(store.status(1), ReservationStatus::ReservationRejected);
}

#[test]
fn both_of_two_replicas_that_open_the_same_course_find_it_open() {
    let store = Sqlite::new();
    store.overtake_with(asked(&[open(101, 2)]));
    assert_eq!(store.do_all(&[open(101, 2)]).unwrap(), []);
    assert_eq!(store.number("SELECT count(*) FROM events"), 1);
}

#[test]
fn a_writer_who_is_always_too_late_gives_up_with_the_conflict() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 100)]).unwrap();
    for other in 1..=MAX_ATTEMPTS {
        store.overtake_with(asked(&[pay(other)]));
    }
    let given_up = store.do_all(&[pay(100)]).unwrap_err();
    assert!(matches!(given_up, Undecided::Store(StoreError::Raised(_))), "{given_up:?}");
    assert_eq!(store.pauses(), MAX_ATTEMPTS - 1);
}

#[test]
fn what_is_refused_leaves_no_trace_of_the_commands_before_it() {
    let store = Sqlite::new();
    let refused = store.do_all(&[open(101, 1), Command::Confirm(order(1))]).unwrap_err();
    assert!(matches!(refused, Undecided::Refused(Refusal::UnknownReservation(_))));
    assert_eq!(store.number("SELECT count(*) FROM events"), 0);
}

#[test]
fn a_canceled_course_releases_everyone_in_as_many_decisions_as_it_takes() {
    let store = Sqlite::new();
    let people = FRONT * 2 + 1;
    store.do_all(&[open(101, 1_000)]).unwrap();
    let payments: Vec<Command> = (1..=people).map(pay).collect();
    store.do_all(&payments).unwrap();
    store.do_all(&[Command::Move(edu(101), CourseStatus::CourseCanceled)]).unwrap();
    assert_eq!(block_on(duties(&store, NOW)).unwrap().to_settle, [edu(101)]);

    let mut decisions = 0;
    while !store.do_all(&[Command::Settle(edu(101))]).unwrap().is_empty() {
        decisions += 1;
    }
    assert!(decisions > 1);
    assert_eq!(store.seats(101), (0, 0));
    assert_eq!(block_on(duties(&store, NOW)).unwrap(), Duties::default());
}

#[test]
fn a_long_line_moves_up_completely_after_the_capacity_was_raised() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    let payments: Vec<Command> = (1..=FRONT + 10).map(pay).collect();
    store.do_all(&payments).unwrap();
    let capacity = Some(Capacity::parse(10_000).unwrap());
    store.do_all(&[Command::Change(edu(101), Changes { capacity, ..Changes::default() })]).unwrap();
    assert_eq!(store.seats(101), (501, 9), "the front of the line at once");

    // Whoever comes now still stands behind the nine.
    store.do_all(&[pay(1_000)]).unwrap();
    assert_eq!(store.status(1_000), ReservationStatus::Waitlisted);
    assert_eq!(block_on(duties(&store, NOW)).unwrap().to_settle, [edu(101)]);
    store.do_all(&[Command::Settle(edu(101))]).unwrap();
    assert_eq!(store.seats(101), (511, 0));
}

#[test]
fn courses_are_due_when_their_time_has_passed() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1), open(102, 1)]).unwrap();
    store.do_all(&[Command::Move(edu(102), CourseStatus::Started)]).unwrap();
    let due = |minutes| block_on(duties(&store, NOW.plus_minutes(minutes))).unwrap();
    assert_eq!(due(59), Duties::default());
    assert_eq!(due(60).to_start, [edu(101)]);
    assert_eq!(due(120).to_finish, [edu(102)]);
}

#[test]
fn lists_are_filtered_and_read_on_from_the_last_one_seen() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 2), open(102, 2)]).unwrap();
    store.do_all(&(1..=4).map(pay).collect::<Vec<_>>()).unwrap();
    store.do_all(&[Command::Reserve(applicant(9, 102, 1))]).unwrap();

    let ids = |filter: &ReservationFilter, slice| -> Vec<u64> {
        let listed = block_on(list_reservations(&store, filter, slice)).unwrap();
        listed.iter().map(|listed| listed.reservation.applicant.order_id.get()).collect()
    };
    let first = |limit| Slice { part: Part::Skip(0), limit, descending: false };
    let all = ReservationFilter::default();
    assert_eq!(ids(&all, first(3)), [1, 2, 3]);
    assert_eq!(ids(&all, Slice { part: Part::After(3), ..first(3) }), [4, 9]);
    assert_eq!(ids(&all, Slice { part: Part::Skip(3), ..first(3) }), [4, 9]);
    assert_eq!(ids(&all, Slice { part: Part::After(4), limit: 2, descending: true }), [3, 2]);

    let waiting = ReservationFilter { statuses: vec![ReservationStatus::Waitlisted], ..all.clone() };
    assert_eq!(ids(&waiting, first(9)), [3, 4]);
    let of_102 = ReservationFilter { edu_no: Some(edu(102)), ..all.clone() };
    assert_eq!(ids(&of_102, first(9)), [9]);
    let of_nobody = ReservationFilter { customer_id: Some(CustomerId::parse(8).unwrap()), ..all };
    assert_eq!(ids(&of_nobody, first(9)), [0u64; 0]);
    assert_eq!(block_on(count_reservations(&store, &waiting)).unwrap(), 2);

    let started = CourseFilter { status: Some(CourseStatus::Started) };
    assert_eq!(block_on(count_courses(&store, CourseFilter::default())).unwrap(), 2);
    assert_eq!(block_on(list_courses(&store, started, first(9))).unwrap(), []);
    assert_eq!(block_on(next_edu_no(&store)).unwrap(), 103);
}

/// Tables grow; what is asked every second, for every event and for every page must not slow down with them.
#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let store = Sqlite::new();
    let plan = |sql: &str| -> String {
        let parameters = vec![int(1); sql.matches('?').count()];
        let rows = store.run(&format!("EXPLAIN QUERY PLAN {sql}"), &parameters).unwrap();
        rows.iter().map(|row| row.text(3).unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    };
    for (sql, index) in [
        (DUE_TO_START.to_owned(), "courses_due_to_start"),
        (DUE_TO_FINISH.to_owned(), "courses_due_to_finish"),
        (TO_SETTLE.to_owned(), "courses_unsettled"),
        (
            format!(
                "SELECT {RESERVATION} FROM reservations WHERE edu_no = ? AND status = 'Waitlisted' ORDER BY ticket"
            ),
            "waiting_list",
        ),
    ] {
        assert!(plan(&sql).contains(index), "{sql}: {}", plan(&sql));
    }
    for condition in [
        "order_id > ?",
        "customer_id = ? AND order_id > ?",
        "edu_no = ? AND order_id > ?",
        "status IN (?) AND order_id > ?",
        "edu_no = ? AND status IN (?) AND order_id > ?",
    ] {
        let plan = plan(&read::select_reservations(&format!("WHERE {condition} ORDER BY order_id LIMIT ?")));
        assert!(plan.contains("waiting_list"), "the place in line of {condition}: {plan}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{condition}: {plan}");
    }
}

// ---- the tables against the events ----------------------------------------------------------------------

fn any_command() -> impl Strategy<Value = Command> {
    let of_order = |id: u64| applicant(id, 101 + id % 2, 1 + id % 3);
    let edu_no = || (101..103u64).prop_map(edu);
    prop_oneof![
        10 => (1..30u64).prop_map(move |id| Command::Reserve(of_order(id))),
        5 => (1..30u64).prop_map(move |id| Command::Cancel(of_order(id), CancelReason::Customer)),
        2 => (1..30u64).prop_map(|id| Command::Reject(order(id))),
        2 => edu_no().prop_map(Command::Settle),
        2 => (edu_no(), 1..9u64).prop_map(|(edu_no, seats)| {
            let capacity = Some(Capacity::parse(seats).unwrap());
            Command::Change(edu_no, Changes { capacity, ..Changes::default() })
        }),
        1 => (edu_no(), prop::sample::select(CourseStatus::ALL)).prop_map(|(edu_no, to)| Command::Move(edu_no, to)),
    ]
}

/// What the events say, folded from the very first one.
fn folded(store: &Sqlite) -> Desk {
    let mut desk = Desk::default();
    for row in store.run("SELECT type, data, version FROM events ORDER BY seq", &[]).unwrap() {
        let event = Event::parse(row.text(0).unwrap(), row.text(1).unwrap()).unwrap();
        assert_eq!(desk.apply(&event), row.count(2).unwrap());
    }
    desk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Two writers, each overtaken by the other now and then: what the lists show is what the events say.
    #[test]
    fn the_lists_say_what_the_events_say(
        rounds in prop::collection::vec((prop::collection::vec(any_command(), 1..5), prop::option::of(any_command())), 1..40)
    ) {
        let store = Sqlite::new();
        store.do_all(&[open(101, 3), open(102, 6)]).unwrap();
        for (commands, meanwhile) in rounds {
            // A refused command would only make the other writer's test double give up.
            let harmless = meanwhile.filter(|command| matches!(command, Command::Reserve(_) | Command::Cancel(..)));
            if let Some(command) = harmless {
                store.overtake_with(asked(&[command]));
            }
            match store.do_all(&commands) {
                Ok(_) | Err(Undecided::Refused(_)) => {}
                Err(Undecided::Store(error)) => panic!("{error}"),
            }
        }
        let events = folded(&store);
        for course in events.courses.values() {
            let listed = block_on(find_course(&store, course.terms.edu_no)).unwrap().unwrap().course;
            let line = block_on(line(&store, course.terms.edu_no)).unwrap();
            let line: VecDeque<OrderId> = line.iter().map(|waiter| waiter.applicant.order_id).collect();
            prop_assert_eq!(&Course { line, ..listed }, course);
        }
        let every = Slice { part: Part::Skip(0), limit: 1_000, descending: false };
        let listed = block_on(list_reservations(&store, &ReservationFilter::default(), every)).unwrap();
        let listed: Vec<_> = listed.into_iter().map(|listed| listed.reservation).collect();
        prop_assert_eq!(listed, events.reservations.into_values().collect::<Vec<_>>());
    }
}

#[test]
fn a_course_that_was_put_off_starts_and_ends_at_its_new_times() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    let (starts_at, ends_at) = (Some(NOW.plus_minutes(600)), Some(NOW.plus_minutes(700)));
    store.do_all(&[Command::Change(edu(101), Changes { starts_at, ends_at, ..Changes::default() })]).unwrap();
    let due = |minutes| block_on(duties(&store, NOW.plus_minutes(minutes))).unwrap();
    assert_eq!(due(599), Duties::default());
    assert_eq!(due(600).to_start, [edu(101)]);
    store.do_all(&[Command::Move(edu(101), CourseStatus::Started)]).unwrap();
    assert_eq!(due(699), Duties::default());
    assert_eq!(due(700).to_finish, [edu(101)]);
}

#[test]
fn a_full_course_with_people_waiting_has_nothing_to_settle() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1), pay(1), pay(2)]).unwrap();
    assert_eq!(block_on(duties(&store, NOW)).unwrap(), Duties::default());
}

#[test]
fn seats_and_places_in_line_are_never_fewer_than_none() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1), pay(1)]).unwrap();
    for wrong in ["UPDATE courses SET taken = -1", "UPDATE courses SET waiting = -1"] {
        assert!(store.run(wrong, &[]).is_err(), "{wrong} was taken");
    }
}

#[test]
fn courses_whose_head_does_not_fit_do_not_keep_the_others_from_their_turn() {
    let store = Sqlite::new();
    for edu_no in 1..=101 {
        let group = |order_id, guests| Command::Reserve(applicant(order_id, edu_no, guests));
        store.do_all(&[open(edu_no, 2), group(edu_no, 1), group(1_000 + edu_no, 2)]).unwrap();
    }
    let looked: BTreeSet<EduNo> =
        (0..10).flat_map(|_| block_on(duties(&store, NOW)).unwrap().to_settle).collect();
    assert_eq!(looked.len(), 101);
}
