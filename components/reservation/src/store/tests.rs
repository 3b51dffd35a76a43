//! The statements themselves, on a store of our own.

mod migration;

use super::*;
use crate::domain::{Capacity, Changes, Decided};
use crate::service::NotDone;
use crate::testing::{
    NOW, Reservation, applicant, confirm, edu, moved, new_course, open, order, over, reject, service,
};
use ::store::Page;
use ::store::native::{Engine, Store};
use futures::executor::block_on;
use journal::Decision;
use kernel::event::CancelReason;
use kernel::{Approval, CustomerId, ReservationStatus};
use proptest::prelude::*;

::store::on_postgres!(
    the_lists_say_what_the_events_say,
    what_is_committed_reads_back_as_it_was_decided,
    a_canceled_order_without_a_reservation_is_remembered_in_the_store,
    a_waiting_position_moves_up_as_those_before_it_leave,
    a_waiting_list_is_served_in_the_order_of_arrival_and_not_of_order_numbers,
    a_decision_made_from_seats_that_have_moved_since_is_refused_whole,
    without_the_seats_version_the_capacity_itself_forbids_selling_a_seat_twice,
    two_decisions_about_one_order_exclude_each_other,
    a_course_that_opens_meanwhile_lets_nobody_be_turned_down_as_unknown,
    many_confirmations_at_once_do_not_meet,
    many_who_leave_at_once_do_not_meet_while_nobody_waits,
    what_becomes_free_goes_to_whoever_came_to_wait_meanwhile,
    each_of_many_who_leave_at_once_lets_one_move_up,
    whoever_is_turned_down_for_how_the_course_is_counts_on_that,
    a_confirmation_that_the_course_s_cancellation_overtakes_is_refused,
    a_course_is_started_however_many_apply_at_that_moment,
    who_was_slower_decides_again_from_what_is_there_now,
    a_course_that_closes_meanwhile_takes_nobody_any_more,
    both_of_two_replicas_that_open_the_same_course_find_it_open,
    what_is_refused_leaves_no_trace_of_the_commands_before_it,
    a_canceled_course_releases_everyone_in_as_many_decisions_as_it_takes,
    a_long_waiting_list_moves_up_completely_after_the_capacity_was_raised,
    courses_are_due_when_their_time_has_passed,
    lists_are_filtered_and_read_on_from_the_last_one_seen,
    a_course_that_was_put_off_starts_and_ends_at_its_new_times,
    a_full_course_with_people_waiting_has_nothing_to_settle,
    seats_and_those_who_wait_are_never_fewer_than_none,
    courses_whose_longest_waiting_order_does_not_fit_do_not_keep_the_others_from_their_turn,
    of_two_requests_that_a_key_is_to_be_remembered_for_the_first_has_it,
);

fn pay(order_id: u64) -> Command {
    Command::Reserve(applicant(order_id, 101, 1))
}

fn cancel(order_id: u64) -> Command {
    Command::Cancel(applicant(order_id, 101, 1), CancelReason::Customer)
}

#[test]
fn what_is_committed_reads_back_as_it_was_decided() {
    let service = service();
    service.do_all(&[open(101, 2), pay(1), pay(2), pay(3)]).unwrap();

    let listed = block_on(find_course(service.store(), edu(101))).unwrap().unwrap();
    assert_eq!((listed.taken, listed.waiting, listed.version), (2, 1, 1));
    assert_eq!(listed.terms.title, "러스트 입문");
    assert_eq!(listed.terms.starts_at, NOW.plus_minutes(60));

    let waiting = service.reservation(3);
    assert_eq!(waiting.reservation.applicant, applicant(3, 101, 1));
    assert_eq!(waiting.waiting_position, Some(1));
    assert_eq!(waiting.reserved_at, Some(NOW.to_string()));
    assert_eq!(block_on(find_reservation(service.store(), order(4))).unwrap(), None);
}

#[test]
fn a_canceled_order_without_a_reservation_is_remembered_in_the_store() {
    let service = service();
    service.do_all(&[open(101, 2), cancel(1)]).unwrap();
    assert_eq!(service.do_all(&[pay(1)]).unwrap(), []);
    assert_eq!(service.status(1), ReservationStatus::ReservationCanceled);
    assert_eq!(service.reservation(1).reserved_at, None);
    assert_eq!(service.seats(101), (0, 0));
}

#[test]
fn a_waiting_position_moves_up_as_those_before_it_leave() {
    let service = service();
    service.do_all(&[open(101, 1), pay(1), pay(2), pay(3), pay(4)]).unwrap();
    assert_eq!(service.reservation(4).waiting_position, Some(3));
    service.do_all(&[cancel(1)]).unwrap();
    assert_eq!(service.status(2), ReservationStatus::ReservationConfirmed);
    assert_eq!(service.reservation(2).waiting_position, None);
    service.do_all(&[cancel(3)]).unwrap();
    assert_eq!(service.reservation(4).waiting_position, Some(1));
    assert_eq!(service.seats(101), (1, 1));
}

#[test]
fn a_waiting_list_is_served_in_the_order_of_arrival_and_not_of_order_numbers() {
    let service = service();
    service.do_all(&[open(101, 1), pay(5), pay(4), pay(3)]).unwrap();
    service.do_all(&[pay(2)]).unwrap();
    service.do_all(&[cancel(5)]).unwrap();
    assert_eq!(service.status(4), ReservationStatus::ReservationConfirmed);
    service.do_all(&[cancel(4)]).unwrap();
    assert_eq!(service.status(3), ReservationStatus::ReservationConfirmed);
}

/// What is decided about these commands from the store as it is now, to be committed later.
fn decided_now(service: &Reservation, commands: &[Command]) -> (Vec<Decided>, u64) {
    let mut loaded = block_on(load(service.store(), commands.iter())).unwrap();
    let decided = commands.iter().flat_map(|command| loaded.snapshot.handle(command, NOW).unwrap()).collect();
    (decided, loaded.seats_version(edu(101)))
}

/// Commits it as it is, however stale, and says why it was refused.
fn commit(service: &Reservation, stale: &[Decided], seats_version: Option<u64>) -> String {
    let committed = service.journal.carry_out(async |_| {
        let mut decision = Decision::new();
        if let Some(seats_version) = seats_version {
            decision.expect("seats", 101, seats_version);
        }
        for Decided { version, event } in stale {
            decision.event(*version, event, NOW, None);
        }
        Ok::<_, StoreError>((decision, ()))
    });
    block_on(committed).unwrap_err().to_string()
}

/// The harm that `seats_version` is there against: without it, the second writer would let its applicant past
/// the one who began to wait meanwhile, or sell the seat again.
#[test]
fn a_decision_made_from_seats_that_have_moved_since_is_refused_whole() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let (stale, seats_version) = decided_now(&service, &[pay(2), cancel(3)]);
    service.do_all(&[pay(1)]).unwrap();

    let refusal = commit(&service, &stale, Some(seats_version));

    assert!(refusal.ends_with("the seats changed"), "{refusal}");
    assert_eq!(service.number("SELECT count(*) FROM events"), 2, "nothing of it was kept");
    assert_eq!(service.seats(101), (1, 0));
}

#[test]
fn without_the_seats_version_the_capacity_itself_forbids_selling_a_seat_twice() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let (stale, _) = decided_now(&service, &[pay(2)]);
    service.do_all(&[pay(1)]).unwrap();

    // As if the decider had forgotten to say what it saw.
    let refusal = commit(&service, &stale, None);

    assert!(refusal.contains("CHECK"), "{refusal}");
    assert_eq!(service.number("SELECT count(*) FROM events"), 2);
}

#[test]
fn two_decisions_about_one_order_exclude_each_other() {
    let service = service();
    let (stale, seats_version) = decided_now(&service, &[cancel(1)]);
    service.do_all(&[pay(1)]).unwrap();
    let refusal = commit(&service, &stale, Some(seats_version));
    assert!(refusal.contains("UNIQUE"), "{refusal}");
}

#[test]
fn a_course_that_opens_meanwhile_lets_nobody_be_turned_down_as_unknown() {
    let service = service();
    service.meanwhile(&[open(101, 1)]);
    service.do_all(&[pay(1)]).unwrap();
    assert_eq!(service.status(1), ReservationStatus::ReservationConfirmed);
}

#[test]
fn many_confirmations_at_once_do_not_meet() {
    let service = service();
    service.do_all(&[Command::Open(edu(101), new_course(40, Approval::Manual))]).unwrap();
    service.do_all(&(1..=40).map(pay).collect::<Vec<_>>()).unwrap();
    service.meanwhile(&(2..=40).map(confirm).chain([pay(41), cancel(42)]).collect::<Vec<_>>());
    service.do_all(&[confirm(1)]).unwrap();
    assert_eq!(service.store().conflicts(), 0);
    let confirmed = "SELECT count(*) FROM reservations WHERE status = 'Reservation Confirmed'";
    assert_eq!(service.number(confirmed), 40);
}

#[test]
fn many_who_leave_at_once_do_not_meet_while_nobody_waits() {
    let service = service();
    service.do_all(&[Command::Open(edu(101), new_course(80, Approval::Manual))]).unwrap();
    service.do_all(&(1..=80).map(pay).collect::<Vec<_>>()).unwrap();
    let others = (2..=20).map(reject).chain((21..=40).map(cancel)).chain((41..=60).map(confirm));
    service.meanwhile(&others.collect::<Vec<_>>());
    service.do_all(&[reject(1)]).unwrap();
    service.meanwhile(&[reject(61), confirm(62), pay(81)]);
    service.do_all(&[cancel(63)]).unwrap();
    assert_eq!(service.store().conflicts(), 0);
    assert_eq!(service.seats(101), (80 - 40 - 2 + 1, 0));
}

#[test]
fn what_becomes_free_goes_to_whoever_came_to_wait_meanwhile() {
    let service = service();
    service.do_all(&[Command::Open(edu(101), new_course(1, Approval::Manual)), pay(1)]).unwrap();
    service.meanwhile(&[pay(2)]);
    service.do_all(&[reject(1)]).unwrap();
    assert_eq!(service.store().conflicts(), 1);
    assert_eq!(service.status(2), ReservationStatus::ReservationRequested);
    // And whoever is about to wait for what becomes free gets it.
    service.meanwhile(&[cancel(2)]);
    service.do_all(&[pay(3)]).unwrap();
    assert_eq!(service.status(3), ReservationStatus::ReservationRequested);
    assert_eq!(service.seats(101), (1, 0));
}

#[test]
fn each_of_many_who_leave_at_once_lets_one_move_up() {
    let service = service();
    service.do_all(&[Command::Open(edu(101), new_course(40, Approval::Manual))]).unwrap();
    service.do_all(&(1..=100).map(pay).collect::<Vec<_>>()).unwrap();
    // The first is overtaken by each of the others in turn.
    for other in 2..=40 {
        service.meanwhile(&[if other % 2 == 0 { reject(other) } else { cancel(other) }]);
    }
    service.do_all(&[reject(1)]).unwrap();
    assert_eq!((service.store().conflicts(), service.seats(101)), (39, (40, 20)));
    for moved_up in 41..=80 {
        assert_eq!(service.status(moved_up), ReservationStatus::ReservationRequested, "{moved_up}");
    }
}

#[test]
fn whoever_is_turned_down_for_how_the_course_is_counts_on_that() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let raised = Changes { capacity: Some(Capacity::parse(2).unwrap()), ..Changes::default() };
    service.meanwhile(&[Command::Change(edu(101), raised)]);
    service.do_all(&[Command::Reserve(applicant(1, 101, 2))]).unwrap();
    assert_eq!(service.status(1), ReservationStatus::ReservationConfirmed);
}

#[test]
fn a_confirmation_that_the_course_s_cancellation_overtakes_is_refused() {
    let service = service();
    service.do_all(&[Command::Open(edu(101), new_course(1, Approval::Manual)), pay(1)]).unwrap();
    service.meanwhile(&[moved(101, CourseStatus::CourseCanceled)]);
    let refused = service.do_all(&[confirm(1)]).unwrap_err();
    assert!(matches!(refused, NotDone::Refused(_)), "{refused:?}");
    assert_eq!(service.status(1), ReservationStatus::ReservationRequested);
}

#[test]
fn a_course_is_started_however_many_apply_at_that_moment() {
    let service = service();
    service.do_all(&[open(101, 9)]).unwrap();
    service.meanwhile(&[pay(1)]);
    service.do_all(&[moved(101, CourseStatus::Started)]).unwrap();
    assert_eq!(service.store().conflicts(), 0);
}

#[test]
fn who_was_slower_decides_again_from_what_is_there_now() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    service.meanwhile(&[pay(1)]);
    service.do_all(&[pay(2)]).unwrap();
    assert_eq!(service.store().pauses(), 1);
    assert_eq!(service.status(1), ReservationStatus::ReservationConfirmed);
    assert_eq!(service.status(2), ReservationStatus::Waitlisted);
}

#[test]
fn a_course_that_closes_meanwhile_takes_nobody_any_more() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    service.meanwhile(&[moved(101, CourseStatus::CourseCanceled)]);
    service.do_all(&[pay(1)]).unwrap();
    assert_eq!(service.status(1), ReservationStatus::ReservationRejected);
}

#[test]
fn both_of_two_replicas_that_open_the_same_course_find_it_open() {
    let service = service();
    service.meanwhile(&[open(101, 2)]);
    assert_eq!(service.do_all(&[open(101, 2)]).unwrap(), []);
    assert_eq!(service.number("SELECT count(*) FROM events"), 1);
}

#[test]
fn what_is_refused_leaves_no_trace_of_the_commands_before_it() {
    let service = service();
    let refused = service.do_all(&[open(101, 1), confirm(1)]).unwrap_err();
    assert!(matches!(refused, NotDone::Refused(crate::domain::Refusal::UnknownReservation(_))));
    assert_eq!(service.number("SELECT count(*) FROM events"), 0);
}

#[test]
fn a_canceled_course_releases_everyone_in_as_many_decisions_as_it_takes() {
    let service = service();
    let people = FRONT * 2 + 1;
    service.do_all(&[open(101, 1_000)]).unwrap();
    let payments: Vec<Command> = (1..=people).map(pay).collect();
    service.do_all(&payments).unwrap();
    service.do_all(&[moved(101, CourseStatus::CourseCanceled)]).unwrap();
    assert_eq!(block_on(duties(service.store(), NOW)).unwrap().to_settle, [edu(101)]);

    let mut decisions = 0;
    while !service.do_all(&[Command::Settle(edu(101))]).unwrap().is_empty() {
        decisions += 1;
    }
    assert!(decisions > 1);
    assert_eq!(service.seats(101), (0, 0));
    assert_eq!(block_on(duties(service.store(), NOW)).unwrap(), Duties::default());
}

#[test]
fn a_long_waiting_list_moves_up_completely_after_the_capacity_was_raised() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let payments: Vec<Command> = (1..=FRONT + 10).map(pay).collect();
    service.do_all(&payments).unwrap();
    let capacity = Some(Capacity::parse(10_000).unwrap());
    service.do_all(&[Command::Change(edu(101), Changes { capacity, ..Changes::default() })]).unwrap();
    assert_eq!(service.seats(101), (501, 9), "the front of the list at once");

    // Whoever comes now still stands behind the nine.
    service.do_all(&[pay(1_000)]).unwrap();
    assert_eq!(service.status(1_000), ReservationStatus::Waitlisted);
    assert_eq!(block_on(duties(service.store(), NOW)).unwrap().to_settle, [edu(101)]);
    service.do_all(&[Command::Settle(edu(101))]).unwrap();
    assert_eq!(service.seats(101), (511, 0));
}

#[test]
fn courses_are_due_when_their_time_has_passed() {
    let service = service();
    service.do_all(&[open(101, 1), open(102, 1)]).unwrap();
    service.do_all(&[moved(102, CourseStatus::Started)]).unwrap();
    let due = |minutes| block_on(duties(service.store(), NOW.plus_minutes(minutes))).unwrap();
    assert_eq!(due(59), Duties::default());
    assert_eq!(due(60).to_start, [edu(101)]);
    assert_eq!(due(120).to_finish, [edu(102)]);
}

#[test]
fn lists_are_filtered_and_read_on_from_the_last_one_seen() {
    let service = service();
    service.do_all(&[open(101, 2), open(102, 2)]).unwrap();
    service.do_all(&(1..=4).map(pay).collect::<Vec<_>>()).unwrap();
    service.do_all(&[Command::Reserve(applicant(9, 102, 1))]).unwrap();

    let ids = |filter: &ReservationFilter, page: Page| -> Vec<u64> {
        let listed = block_on(list_reservations(service.store(), filter, &page)).unwrap();
        listed.iter().map(|listed| listed.reservation.applicant.order_id.get()).collect()
    };
    let first = |limit| Page { limit, ..Page::default() };
    let all = ReservationFilter::default();
    assert_eq!(ids(&all, first(3)), [1, 2, 3]);
    assert_eq!(ids(&all, Page { after: Some(3), ..first(3) }), [4, 9]);
    assert_eq!(ids(&all, Page { offset: 3, ..first(3) }), [4, 9]);
    assert_eq!(ids(&all, Page { offset: 1, descending: true, ..first(2) }), [4, 3]);

    let waiting = ReservationFilter { statuses: vec![ReservationStatus::Waitlisted], ..all.clone() };
    assert_eq!(ids(&waiting, first(9)), [3, 4]);
    let several = vec![ReservationStatus::Waitlisted, ReservationStatus::ReservationRejected];
    assert_eq!(ids(&ReservationFilter { statuses: several, ..all.clone() }, first(9)), [3, 4]);
    let of_102 = ReservationFilter { edu_no: Some(edu(102)), ..all.clone() };
    assert_eq!(ids(&of_102, first(9)), [9]);
    let of_nobody = ReservationFilter { customer_id: Some(CustomerId::parse(8).unwrap()), ..all };
    assert_eq!(ids(&of_nobody, first(9)), [0u64; 0]);
    assert_eq!(block_on(count_reservations(service.store(), &waiting)).unwrap(), 2);

    let started = Some(CourseStatus::Started);
    assert_eq!(block_on(count_courses(service.store(), None)).unwrap(), 2);
    assert_eq!(block_on(list_courses(service.store(), started, &first(9))).unwrap(), []);
}

/// Tables grow; what is asked every second, for every event and for every page must not slow down with them.
#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let service = service();
    let plan = |statement: &Statement| service.store().plan(statement.sql(), statement.params()).unwrap();
    let duties = plan(&Statement::new(DUTIES).bind("").bind(0_i64));
    for index in
        ["courses_due_to_start", "courses_due_to_finish", "courses_unsettled", "idempotency_keys_by_age"]
    {
        assert!(duties.contains(index), "{index}: {duties}");
    }
    let of = |filter: ReservationFilter| {
        filter.conditions().page(
            &read::select_reservations(),
            "order_id",
            &Page { limit: 9, after: Some(0), ..Page::default() },
        )
    };
    let all = ReservationFilter::default();
    let edu_no = Some(edu(101));
    let statuses = vec![ReservationStatus::Waitlisted];
    let several = vec![ReservationStatus::Waitlisted, ReservationStatus::ReservationConfirmed];
    for filter in [
        all.clone(),
        ReservationFilter { customer_id: CustomerId::parse(1).ok(), ..all.clone() },
        ReservationFilter { edu_no, ..all.clone() },
        ReservationFilter { statuses: statuses.clone(), ..all.clone() },
        ReservationFilter { edu_no, statuses, ..all.clone() },
        ReservationFilter { edu_no, statuses: several, ..all },
    ] {
        let plan = plan(&of(filter.clone()));
        assert!(plan.contains("waiting_list"), "the waiting position of {filter:?}: {plan}");
        let plan = plan.replace("SCAN json_each VIRTUAL TABLE", "");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{filter:?}: {plan}");
    }
    let waiting = format!("SELECT {RESERVATION} FROM reservations AS r WHERE edu_no = $1 AND {WAITING}");
    let waiting = plan(&Statement::new(waiting).bind(101_i64));
    assert!(waiting.contains("waiting_list") && !waiting.contains("TEMP B-TREE"), "{waiting}");
}

#[test]
fn an_order_and_its_course_are_loaded_by_their_keys() {
    let service = service();
    let load = load_statement([pay(1)].iter());
    let plan = service.store().plan(load.sql(), load.params()).unwrap();
    assert_eq!(plan.matches("USING INTEGER PRIMARY KEY").count(), 2, "{plan}");
}

// ---- the tables against the events ----------------------------------------------------------------------

fn any_command() -> impl Strategy<Value = Command> {
    let of_order = |id: u64| applicant(id, 101 + id % 2, 1 + id % 3);
    let edu_no = || (101..103u64).prop_map(edu);
    prop_oneof![
        10 => (1..30u64).prop_map(move |id| Command::Reserve(of_order(id))),
        5 => (1..30u64).prop_map(move |id| Command::Cancel(of_order(id), CancelReason::Customer)),
        2 => (1..30u64).prop_map(reject),
        2 => (1..30u64).prop_map(confirm),
        2 => edu_no().prop_map(Command::Settle),
        2 => (edu_no(), 1..9u64).prop_map(|(edu_no, seats)| {
            let capacity = Some(Capacity::parse(seats).unwrap());
            Command::Change(edu_no, Changes { capacity, ..Changes::default() })
        }),
        1 => (edu_no(), prop::sample::select(CourseStatus::ALL)).prop_map(|(edu_no, to)| Command::Change(edu_no, Changes::to(to))),
    ]
}

/// What the events say, folded from the very first one.
fn folded(service: &Reservation) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (version, event) in service.events() {
        assert_eq!(snapshot.evolve(&event), version);
    }
    snapshot
}

const REBUILD: &str = "INSERT INTO projection SELECT * FROM projection ORDER BY position";

/// What the lists show, with the seats.
fn lists(service: &Reservation) -> [Vec<String>; 2] {
    ["courses", "reservations"].map(|list| service.store().dump(list).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(Engine::current().cases(64)))]

    /// Two writers, each overtaken by the other now and then: what the lists show is what the events say.
    #[test]
    fn the_lists_say_what_the_events_say(
        rounds in prop::collection::vec((prop::collection::vec(any_command(), 1..5), prop::option::of(any_command())), 1..40)
    ) {
        let service = service();
        service.do_all(&[Command::Open(edu(101), new_course(3, Approval::Manual)), open(102, 6)]).unwrap();
        for (commands, meanwhile) in rounds {
            // A refused command would only make the other writer's test double give up.
            let harmless = meanwhile.filter(|command| matches!(command, Command::Reserve(_) | Command::Cancel(..)));
            if let Some(command) = harmless {
                service.meanwhile(&[command]);
            }
            match service.do_all(&commands) {
                Ok(_) | Err(NotDone::Refused(_)) => {}
                Err(error) => panic!("{error}"),
            }
            service.store().nothing_meanwhile();
        }
        let events = folded(&service);
        for course in events.courses.values() {
            let listed = block_on(find_course(service.store(), course.terms.edu_no)).unwrap().unwrap();
            let waiting = block_on(front(service.store(), course.terms.edu_no, WAITING)).unwrap();
            let waiting_list = waiting.iter().map(|waiter| waiter.applicant.order_id).collect();
            prop_assert_eq!(&Course { waiting_list, ..listed }, course);
        }
        let every = Page { limit: 1_000, ..Page::default() };
        let listed = block_on(list_reservations(service.store(), &ReservationFilter::default(), &every)).unwrap();
        let listed: Vec<_> = listed.into_iter().map(|listed| listed.reservation).collect();
        prop_assert_eq!(listed, events.reservations.into_values().collect::<Vec<_>>());

        // Handed to the projection once more they change nothing; and they make lists that were lost again.
        let shown = lists(&service);
        service.store().run(REBUILD, &[]).unwrap();
        prop_assert_eq!(&lists(&service), &shown);
        for list in ["reservations", "courses"] {
            service.store().run(&format!("DELETE FROM {list}"), &[]).unwrap();
        }
        service.store().run(REBUILD, &[]).unwrap();
        prop_assert_eq!(&lists(&service), &shown);
    }
}

#[test]
fn a_course_that_was_put_off_starts_and_ends_at_its_new_times() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let (starts_at, ends_at) = (Some(NOW.plus_minutes(600)), Some(NOW.plus_minutes(700)));
    service
        .do_all(&[Command::Change(edu(101), Changes { starts_at, ends_at, ..Changes::default() })])
        .unwrap();
    let due = |minutes| block_on(duties(service.store(), NOW.plus_minutes(minutes))).unwrap();
    assert_eq!(due(599), Duties::default());
    assert_eq!(due(600).to_start, [edu(101)]);
    service.do_all(&[moved(101, CourseStatus::Started)]).unwrap();
    assert_eq!(due(699), Duties::default());
    assert_eq!(due(700).to_finish, [edu(101)]);
}

#[test]
fn a_full_course_with_people_waiting_has_nothing_to_settle() {
    let service = service();
    service.do_all(&[open(101, 1), pay(1), pay(2)]).unwrap();
    assert_eq!(block_on(duties(service.store(), NOW)).unwrap(), Duties::default());
}

#[test]
fn seats_and_those_who_wait_are_never_fewer_than_none() {
    let service = service();
    service.do_all(&[open(101, 1), pay(1)]).unwrap();
    for wrong in ["UPDATE courses SET taken = -1", "UPDATE courses SET waiting = -1"] {
        assert!(service.store().run(wrong, &[]).is_err(), "{wrong} was taken");
    }
}

#[test]
fn courses_whose_longest_waiting_order_does_not_fit_do_not_keep_the_others_from_their_turn() {
    let service = service();
    for edu_no in 1..=101 {
        let group = |order_id, guests| Command::Reserve(applicant(order_id, edu_no, guests));
        service.do_all(&[open(edu_no, 2), group(edu_no, 1), group(1_000 + edu_no, 2)]).unwrap();
    }
    let looked: BTreeSet<EduNo> =
        (0..10).flat_map(|_| block_on(duties(service.store(), NOW)).unwrap().to_settle).collect();
    assert_eq!(looked.len(), 101);
}

#[test]
fn of_two_requests_that_a_key_is_to_be_remembered_for_the_first_has_it() {
    let service = service();
    let remember = |fingerprint, edu_no| {
        let key = NewKey { key: "k", opened: false, fingerprint, made_at: 0 };
        block_on(remember_key(service.store(), &key, edu(edu_no))).unwrap()
    };
    let first = Some(Key { edu_no: edu(101), opened: false, fingerprint: "a".to_owned() });
    assert_eq!(remember("a", 101), first);
    assert_eq!(remember("b", 102), first);
    assert_eq!(block_on(find_key(service.store(), "k")).unwrap(), first);
    assert_eq!(block_on(find_key(service.store(), "l")).unwrap(), None);
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    ::store::native::assert_same_on_both(&DATABASE);
}
