//! Given / when / then for each rule, and a model that holds any history of commands to all of them at once.

use super::*;
use kernel::Won;
use kernel::{CustomerId, Guests, Language};
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

fn edu(number: u64) -> EduNo {
    EduNo::parse(number).unwrap()
}

fn order(number: u64) -> OrderId {
    OrderId::parse(number).unwrap()
}

/// An application for course 101.
fn applicant(order_id: u64, guests: u64) -> Applicant {
    Applicant {
        order_id: order(order_id),
        customer_id: Some(CustomerId::parse(1).unwrap()),
        edu_no: edu(101),
        guest: Guests::parse(guests).unwrap(),
        language: Language::Ko,
    }
}

fn seats_in(seats: u32) -> Capacity {
    Capacity::parse(seats.into()).unwrap()
}

fn new_course(capacity: u64, approval: Approval) -> NewCourse {
    NewCourse {
        title: Title::parse("러스트 입문").unwrap(),
        capacity: Capacity::parse(capacity).unwrap(),
        fee: Won::fee(50_000).unwrap(),
        approval,
        starts_at: NOW.plus_minutes(60),
        ends_at: NOW.plus_minutes(120),
        managers: Managers::default(),
    }
}

/// What has happened so far, told as commands: course 101 with this many seats, then the rest.
fn given(capacity: u64, approval: Approval, before: &[Command]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.handle(&Command::Open(edu(101), new_course(capacity, approval)), NOW).unwrap();
    for command in before {
        snapshot.handle(command, NOW).unwrap();
    }
    snapshot
}

/// The outcome in a few words: one line per event, or the refusal.
fn when(snapshot: &mut Snapshot, command: &Command) -> Vec<String> {
    match snapshot.handle(command, NOW) {
        Ok(decided) => decided.iter().map(|decided| told(&decided.event)).collect(),
        Err(refusal) => vec![format!("refused: {refusal}")],
    }
}

fn told(event: &Event) -> String {
    let subject = event.subject();
    match event {
        Event::Reserved(Reserved { status, waiting_position: Some(position), .. }) => {
            format!("{subject} {status} as number {position}")
        }
        Event::Reserved(Reserved { status, .. }) => format!("{subject} {status}"),
        Event::ReservationRejected(rejected) => format!("{subject} rejected: {}", rejected.reason),
        Event::ReservationCanceled(canceled) => format!("{subject} canceled: {}", canceled.reason.as_str()),
        other => format!("{subject} {}", other.name()),
    }
}

fn check(snapshot: Snapshot, command: Command, outcome: &[&str]) {
    let mut snapshot = snapshot;
    assert_eq!(when(&mut snapshot, &command), outcome, "{command:?}");
}

fn pay(order_id: u64, guests: u64) -> Command {
    Command::Reserve(applicant(order_id, guests))
}

fn cancel_order(order_id: u64) -> Command {
    Command::Cancel(applicant(order_id, 1), CancelReason::Customer)
}

fn changed(changes: Changes) -> Command {
    Command::Change(edu(101), changes)
}

fn confirm(order_id: u64) -> Command {
    Command::Judge(order(order_id), ReservationStatus::ReservationConfirmed)
}

fn reject(order_id: u64) -> Command {
    Command::Judge(order(order_id), ReservationStatus::ReservationRejected)
}

fn moved(to: CourseStatus) -> Command {
    Command::Change(edu(101), Changes::to(to))
}

use Approval::{Automatic, Manual};
use CourseStatus::{CourseCanceled as Off, Finished, Open as TakingApplications, Started};

#[test]
fn a_paid_order_asks_the_manager_of_a_manual_course() {
    check(given(2, Manual, &[]), pay(1, 1), &["1 Reservation Requested"]);
}

#[test]
fn a_paid_order_is_confirmed_at_once_by_an_automatic_course() {
    check(given(2, Automatic, &[]), pay(1, 2), &["1 Reservation Confirmed"]);
}

#[test]
fn a_paid_order_waits_when_there_are_fewer_free_seats_than_guests() {
    check(given(2, Automatic, &[pay(1, 1)]), pay(2, 2), &["2 Waitlisted as number 1"]);
    check(given(2, Automatic, &[pay(1, 2), pay(2, 1)]), pay(3, 1), &["3 Waitlisted as number 2"]);
}

#[test]
fn nobody_overtakes_who_waits_longest_even_where_a_seat_is_free() {
    let snapshot = given(2, Automatic, &[pay(1, 1), pay(2, 2)]);
    assert_eq!(snapshot.courses[&edu(101)].free(), 1);
    check(snapshot, pay(3, 1), &["3 Waitlisted as number 2"]);
}

#[test]
fn an_application_that_could_never_fit_is_turned_down_instead_of_blocking_the_waiting_list() {
    check(given(2, Automatic, &[]), pay(1, 3), &["1 rejected: too-many-guests"]);
}

#[test]
fn a_paid_order_for_a_course_that_takes_none_is_rejected_with_the_reason() {
    check(Snapshot::default(), pay(1, 1), &["1 rejected: unknown-course"]);
    check(given(2, Automatic, &[moved(Started)]), pay(1, 1), &["1 rejected: course-started"]);
    check(
        given(2, Automatic, &[moved(Started), moved(Finished)]),
        pay(1, 1),
        &["1 rejected: course-finished"],
    );
    check(given(2, Automatic, &[moved(Off)]), pay(1, 1), &["1 rejected: course-canceled"]);
}

#[test]
fn a_payment_heard_twice_reserves_once() {
    check(given(2, Automatic, &[pay(1, 1)]), pay(1, 1), &[]);
    check(given(1, Automatic, &[pay(1, 1), pay(2, 1)]), pay(2, 1), &[]);
    check(Snapshot::default(), Command::Settle(edu(101)), &[]);
}

#[test]
fn a_cancellation_that_comes_before_the_payment_is_remembered() {
    let mut snapshot = given(2, Automatic, &[]);
    assert_eq!(when(&mut snapshot, &cancel_order(1)), ["1 canceled: customer"]);
    assert_eq!(when(&mut snapshot, &pay(1, 1)), [""; 0]);
    assert_eq!(when(&mut snapshot, &cancel_order(1)), [""; 0]);
    assert_eq!(snapshot.courses[&edu(101)].taken, 0);
}

#[test]
fn a_freed_seat_goes_to_who_waits_longest_in_the_same_decision() {
    check(
        given(1, Automatic, &[pay(1, 1), pay(2, 1), pay(3, 1)]),
        cancel_order(1),
        &["1 canceled: customer", "2 Reservation Confirmed"],
    );
    check(
        given(1, Manual, &[pay(1, 1), pay(2, 1)]),
        reject(1),
        &["1 rejected: rejected-by-manager", "2 Reservation Requested"],
    );
}

#[test]
fn freed_seats_are_offered_as_long_as_each_next_head_fits() {
    let waiting = [pay(1, 4), pay(2, 1), pay(3, 2), pay(4, 2), pay(5, 1)];
    check(
        given(4, Automatic, &waiting),
        cancel_order(1),
        // Order 4 wants two and one is left: it keeps its turn, and order 5 does not pass it.
        &["1 canceled: customer", "2 Reservation Confirmed", "3 Reservation Confirmed"],
    );
}

#[test]
fn a_head_that_leaves_lets_the_next_one_in_if_it_fits() {
    check(
        given(2, Automatic, &[pay(1, 1), pay(2, 2), pay(3, 1)]),
        cancel_order(2),
        &["2 canceled: customer", "3 Reservation Confirmed"],
    );
}

#[test]
fn a_seat_given_back_after_the_start_is_not_sold_again() {
    check(
        given(1, Automatic, &[pay(1, 1), pay(2, 1), moved(Started)]),
        cancel_order(1),
        &["1 canceled: customer"],
    );
}

#[test]
fn a_manager_confirms_what_was_requested_and_nothing_else() {
    check(given(1, Manual, &[pay(1, 1)]), confirm(1), &["1 ReservationConfirmed"]);
    for (before, present) in [
        (vec![pay(1, 1), confirm(1)], "Reservation Confirmed"),
        (vec![pay(2, 1), pay(1, 1)], "Waitlisted"),
        (vec![pay(1, 1), reject(1)], "Reservation Rejected"),
        (vec![cancel_order(1)], "Reservation Canceled"),
    ] {
        let refusal =
            format!("refused: a reservation that is `{present}` cannot become `Reservation Confirmed`");
        check(given(1, Manual, &before), confirm(1), &[&refusal]);
    }
    check(given(1, Manual, &[]), confirm(1), &["refused: there is no reservation for order 1"]);
}

#[test]
fn a_manager_rejects_what_was_requested_or_waits_and_nothing_else() {
    check(given(1, Manual, &[pay(1, 1)]), reject(1), &["1 rejected: rejected-by-manager"]);
    check(given(1, Manual, &[pay(2, 1), pay(1, 1)]), reject(1), &["1 rejected: rejected-by-manager"]);
    for (before, present) in [
        (vec![pay(1, 1), confirm(1)], "Reservation Confirmed"),
        (vec![pay(1, 1), reject(1)], "Reservation Rejected"),
        (vec![cancel_order(1)], "Reservation Canceled"),
    ] {
        let refusal =
            format!("refused: a reservation that is `{present}` cannot become `Reservation Rejected`");
        check(given(1, Manual, &before), reject(1), &[&refusal]);
    }
}

#[test]
fn a_reservation_of_a_canceled_course_is_not_confirmed_any_more() {
    check(
        given(1, Manual, &[pay(1, 1), moved(Off)]),
        confirm(1),
        &["refused: the course is `Course Canceled`"],
    );
}

#[test]
fn a_course_moves_forward_only() {
    for (before, to, outcome) in [
        (vec![], Started, "course/101 CourseStarted"),
        (vec![moved(Started)], Finished, "course/101 CourseFinished"),
        (vec![], Off, "course/101 CourseCanceled"),
        (vec![moved(Started)], Off, "course/101 CourseCanceled"),
        (vec![], Finished, "refused: a course that is `Open` cannot become `Finished`"),
        (vec![], TakingApplications, "refused: a course that is `Open` cannot become `Open`"),
        (vec![moved(Started)], Started, "refused: a course that is `Started` cannot become `Started`"),
        (
            vec![moved(Started), moved(Finished)],
            Off,
            "refused: a course that is `Finished` cannot become `Course Canceled`",
        ),
        (vec![moved(Off)], Started, "refused: a course that is `Course Canceled` cannot become `Started`"),
    ] {
        check(given(1, Manual, &before), moved(to), &[outcome]);
    }
    check(Snapshot::default(), moved(Started), &["refused: there is no course 101"]);
}

#[test]
fn a_course_opened_again_with_the_same_terms_is_the_same_course() {
    let same = || Command::Open(edu(101), new_course(2, Manual));
    check(given(2, Manual, &[]), same(), &[]);
    check(given(2, Manual, &[moved(Started)]), same(), &[]);
    check(given(3, Manual, &[]), same(), &["refused: course 101 exists with other terms"]);
}

#[test]
fn a_course_ends_after_it_starts() {
    let backwards = NewCourse { ends_at: NOW.plus_minutes(60), ..new_course(1, Manual) };
    check(
        Snapshot::default(),
        Command::Open(edu(101), backwards),
        &["refused: a course ends after it starts"],
    );
    let late = Changes { starts_at: Some(NOW.plus_minutes(120)), ..Changes::default() };
    check(given(1, Manual, &[]), changed(late), &["refused: a course ends after it starts"]);
}

#[test]
fn raising_the_capacity_lets_in_who_waits() {
    let more = Changes { capacity: Some(seats_in(3)), ..Changes::default() };
    check(
        given(1, Automatic, &[pay(1, 1), pay(2, 1), pay(3, 1), pay(4, 1)]),
        changed(more),
        &["course/101 CourseChanged", "2 Reservation Confirmed", "3 Reservation Confirmed"],
    );
}

#[test]
fn the_capacity_is_not_lowered_below_the_seats_taken() {
    let fewer = Changes { capacity: Some(seats_in(1)), ..Changes::default() };
    check(given(2, Automatic, &[pay(1, 2)]), changed(fewer), &["refused: 2 seats are taken"]);
}

#[test]
fn who_can_no_longer_fit_after_the_capacity_was_lowered_is_turned_down() {
    let fewer = Changes { capacity: Some(seats_in(2)), ..Changes::default() };
    check(
        given(3, Automatic, &[pay(1, 1), pay(2, 3), pay(3, 1)]),
        changed(fewer),
        &["course/101 CourseChanged", "2 rejected: too-many-guests", "3 Reservation Confirmed"],
    );
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    check(given(2, Manual, &[]), changed(Changes::default()), &[]);
    let same = || Changes { title: Some(Title::parse(" 러스트 입문 ").unwrap()), ..Changes::default() };
    check(given(2, Manual, &[]), changed(same()), &[]);
    check(given(2, Manual, &[moved(Started)]), changed(same()), &[]);
}

#[test]
fn a_course_that_has_started_keeps_its_terms() {
    let free = Changes { fee: Some(Won::ZERO), ..Changes::default() };
    check(given(2, Manual, &[moved(Started)]), changed(free), &["refused: the course is `Started`"]);
}

#[test]
fn when_a_course_starts_whoever_still_waits_is_turned_down() {
    check(
        given(1, Automatic, &[pay(1, 1), pay(2, 1), pay(3, 1), moved(Started)]),
        Command::Settle(edu(101)),
        &["2 rejected: course-started", "3 rejected: course-started"],
    );
}

#[test]
fn when_a_course_is_canceled_every_living_reservation_is() {
    let before = [pay(1, 1), confirm(1), pay(2, 1), pay(3, 1), cancel_order(3), pay(4, 1)];
    check(
        given(2, Manual, &[&before[..], &[moved(Off)]].concat()),
        Command::Settle(edu(101)),
        &["1 canceled: course-canceled", "2 canceled: course-canceled", "4 canceled: course-canceled"],
    );
}

#[test]
fn a_snapshot_that_knows_only_the_front_of_the_waiting_list_sends_newcomers_to_its_end() {
    let mut snapshot = given(1, Automatic, &[pay(1, 1), pay(2, 1), pay(3, 1)]);
    snapshot.courses.get_mut(&edu(101)).unwrap().waiting_list.truncate(1);
    assert_eq!(when(&mut snapshot, &pay(4, 1)), ["4 Waitlisted as number 3"]);
    assert_eq!(when(&mut snapshot, &cancel_order(1)), ["1 canceled: customer", "2 Reservation Confirmed"]);
    // Order 3 is next, though this snapshot does not know it: the seat stays free until the course is settled.
    assert_eq!(when(&mut snapshot, &cancel_order(2)), ["2 canceled: customer"]);
}

#[test]
fn a_course_is_changed_and_moved_on_in_one_decision() {
    let both = Changes { fee: Some(Won::ZERO), ..Changes::to(Started) };
    check(given(2, Manual, &[]), changed(both), &["course/101 CourseChanged", "course/101 CourseStarted"]);
    let too_late = Changes { fee: Some(Won::ZERO), ..Changes::to(Finished) };
    check(given(2, Manual, &[moved(Started)]), changed(too_late), &["refused: the course is `Started`"]);
    let raised = Changes { capacity: Some(seats_in(2)), ..Changes::to(Started) };
    check(
        given(1, Automatic, &[pay(1, 1), pay(2, 1)]),
        changed(raised),
        &["course/101 CourseChanged", "2 Reservation Confirmed", "course/101 CourseStarted"],
    );
}

#[test]
fn a_course_sent_back_whole_is_not_asked_for_the_status_that_it_has() {
    let whole = || Changes { fee: Some(Won::fee(50_000).unwrap()), ..Changes::to(Started) };
    check(given(2, Manual, &[moved(Started)]), changed(whole()), &[]);
    check(given(2, Manual, &[]), changed(whole()), &["course/101 CourseStarted"]);
}

#[test]
fn who_confirms_is_settled_when_a_course_opens() {
    let approval = |approval| changed(Changes { approval: Some(approval), ..Changes::default() });
    check(given(2, Manual, &[]), approval(Manual), &[]);
    check(
        given(2, Manual, &[]),
        approval(Automatic),
        &["refused: approval cannot be changed once the course is open"],
    );
}

#[test]
fn titles_and_capacities_are_refused_out_of_range() {
    for garbage in ["", "  ", "a\nb", &"가".repeat(201)] {
        assert!(Title::parse(garbage).is_err(), "{garbage:?} was taken");
    }
    assert!(Title::parse(&"가".repeat(200)).is_ok());
    assert!(Capacity::parse(0).is_err());
    assert!(Capacity::parse(100_000).is_ok());
    assert!(Capacity::parse(100_001).is_err());
    assert!(Capacity::parse(u64::MAX).is_err());
}

// ---- the model ------------------------------------------------------------------------------------------

const COURSES: u64 = 3;
const ORDERS: u64 = 24;

/// An order always applies for the same course with the same number of people, as `order` makes sure.
fn application(order_id: u64) -> Applicant {
    let guests = 1 + order_id % 4;
    Applicant { edu_no: edu(101 + order_id % COURSES), ..applicant(order_id, guests) }
}

fn any_command() -> impl Strategy<Value = Command> {
    let edu_no = || (101..101 + COURSES).prop_map(edu);
    prop_oneof![
        12 => (1..=ORDERS).prop_map(|id| Command::Reserve(application(id))),
        6 => (1..=ORDERS).prop_map(|id| Command::Cancel(application(id), CancelReason::Customer)),
        3 => (1..=ORDERS).prop_map(confirm),
        3 => (1..=ORDERS).prop_map(reject),
        2 => edu_no().prop_map(Command::Settle),
        3 => (edu_no(), 1..=8u32).prop_map(|(edu_no, seats)| {
            Command::Change(edu_no, Changes { capacity: Some(seats_in(seats)), ..Changes::default() })
        }),
        1 => (edu_no(), prop::sample::select(vec![Started, Finished, Off]))
            .prop_map(|(edu_no, to)| Command::Change(edu_no, Changes::to(to))),
    ]
}

/// The whole truth, against which what a snapshot with a partial view decides is held.
struct Truth {
    snapshot: Snapshot,
    paid: BTreeSet<OrderId>,
}

impl Truth {
    fn new() -> Self {
        let mut snapshot = Snapshot::default();
        for number in 101..101 + COURSES {
            let approval = if number % 2 == 0 { Manual } else { Automatic };
            snapshot.handle(&Command::Open(edu(number), new_course(2 + number % 4, approval)), NOW).unwrap();
        }
        Self { snapshot, paid: BTreeSet::new() }
    }

    /// A snapshot that knows no more than `front` of those who wait for each course.
    fn partial_view(&self, front: usize) -> Snapshot {
        let mut snapshot = self.snapshot.clone();
        for course in snapshot.courses.values_mut() {
            course.waiting_list.truncate(front);
        }
        snapshot
    }

    fn take(&mut self, decided: &Decided) {
        self.check_turn(&decided.event);
        let version = self.snapshot.evolve(&decided.event);
        assert_eq!(version, decided.version, "a gap in the history of {}", decided.event.subject());
        self.check_seats();
    }

    /// First come, first served; only the paid get seats; what ended stays ended.
    fn check_turn(&self, event: &Event) {
        let Some(applicant) = event.applicant() else { return };
        let before =
            self.snapshot.reservations.get(&applicant.order_id).map(|reservation| reservation.status);
        assert!(before.is_none_or(is_living), "{} had ended as {before:?}", event.subject());
        let Event::Reserved(reserved) = event else { return };
        assert!(self.paid.contains(&applicant.order_id), "{} was never paid", applicant.order_id);
        let course = &self.snapshot.courses[&applicant.edu_no];
        assert_eq!(course.terms.status, TakingApplications);
        match (before, reserved.status) {
            (None, ReservationStatus::Waitlisted) => {
                assert_eq!(reserved.waiting_position, Some(course.waiting + 1));
                assert!(course.waiting > 0 || seats(applicant) > course.free(), "waits before a free seat");
            }
            (None, _) => assert_eq!(course.waiting, 0, "{} passed those who wait", applicant.order_id),
            (Some(_), status) => {
                assert_eq!(status, seated(&course.terms));
                assert_eq!(course.waiting_list.front(), Some(&applicant.order_id), "moved up out of turn");
            }
        }
    }

    fn check_seats(&self) {
        for (edu_no, course) in &self.snapshot.courses {
            let of_course = || self.snapshot.reservations.values().filter(|r| r.applicant.edu_no == *edu_no);
            let seated: u32 =
                of_course().filter(|r| r.status.takes_seats()).map(|r| seats(&r.applicant)).sum();
            let waiting = of_course().filter(|r| r.status == ReservationStatus::Waitlisted).count() as u64;
            assert_eq!(course.taken, seated, "seats of {edu_no} are miscounted");
            assert_eq!((course.waiting, course.waiting_list.len() as u64), (waiting, waiting));
            assert!(course.taken <= course.terms.capacity, "{edu_no} is oversold");
        }
    }

    /// After everything has been settled, no seat is empty that the head of the waiting list could take, and nobody
    /// has a claim on a course that is over.
    fn check_rest(&self) {
        for course in self.snapshot.courses.values() {
            match (course.terms.status, course.waiting_list.front()) {
                (TakingApplications, Some(head)) => {
                    let wanted = seats(&self.snapshot.reservations[head].applicant);
                    assert!(wanted > course.free(), "{head} could have been let in");
                }
                (TakingApplications, None) => {}
                (Off, _) => assert_eq!((course.taken, course.waiting), (0, 0)),
                (_, _) => assert_eq!(course.waiting, 0),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Batches of commands as they come from the log: in any order, repeated, and decided by snapshots that see
    /// only the front of each waiting list.
    #[test]
    fn any_history_keeps_seats_waiting_lists_and_endings(
        batches in prop::collection::vec((prop::collection::vec(any_command(), 1..6), 0..4usize, any::<bool>()), 1..40)
    ) {
        let mut truth = Truth::new();
        for (commands, front, repeated) in batches {
            let times = if repeated { 2 } else { 1 };
            for time in 0..times {
                let mut snapshot = truth.partial_view(front);
                for command in &commands {
                    if let Command::Reserve(applicant) = command {
                        truth.paid.insert(applicant.order_id);
                    }
                    let Ok(decided) = snapshot.handle(command, NOW) else { continue };
                    let heard_before = time > 0 && matches!(command, Command::Reserve(_) | Command::Cancel(..));
                    prop_assert!(decided.is_empty() || !heard_before, "{command:?} was acted on twice");
                    for decided in &decided {
                        truth.take(decided);
                    }
                }
            }
        }
        for number in 101..101 + COURSES {
            for decided in truth.snapshot.clone().handle(&Command::Settle(edu(number)), NOW).unwrap() {
                truth.take(&decided);
            }
        }
        truth.check_rest();
    }

    /// `Paid` and `OrderCanceled` of one order end the same, whichever comes first and however often.
    #[test]
    fn a_canceled_order_ends_canceled_in_whatever_order_its_events_arrive(
        cancel_first in any::<bool>(), repeats in 1..4usize
    ) {
        let mut snapshot = given(1, Automatic, &[]);
        let mut events = [pay(1, 1), cancel_order(1)];
        if cancel_first { events.reverse(); }
        for command in std::iter::repeat_n(events, repeats).flatten() {
            snapshot.handle(&command, NOW).unwrap();
        }
        prop_assert_eq!(snapshot.reservations[&order(1)].status, ReservationStatus::ReservationCanceled);
        prop_assert_eq!(snapshot.courses[&edu(101)].taken, 0);
    }
}

#[test]
fn the_capacity_may_be_lowered_to_just_the_seats_taken() {
    let fewer = Changes { capacity: Some(seats_in(2)), ..Changes::default() };
    check(given(3, Automatic, &[pay(1, 2)]), changed(fewer), &["course/101 CourseChanged"]);
}
