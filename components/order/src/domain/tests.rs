//! Given these events, when this is asked, then these events or that refusal.

use super::*;
use kernel::{CustomerId, Guests, Language, OrderId};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_773_323_004);
const DUE_AT: Timestamp = NOW.plus_minutes(30);

fn applicant() -> Applicant {
    Applicant {
        order_id: OrderId::parse(1113).unwrap(),
        customer_id: Some(CustomerId::parse(1).unwrap()),
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::parse(2).unwrap(),
        language: Language::Ko,
    }
}

fn application() -> Application {
    Application { applicant: applicant(), card_last4: Some("1234".to_owned()) }
}

fn without_card() -> Application {
    Application { card_last4: None, ..application() }
}

fn course(fee: u64, status: CourseStatus) -> Course {
    Course { title: "러스트 입문".to_owned(), fee: Won::fee(fee).unwrap(), status }
}

fn apply_with(
    application: &Application,
    course: Option<&Course>,
    breaker_open: bool,
) -> Result<Vec<Event>, Refusal> {
    decide(None, &Command::Apply(Apply { application, course, breaker_open, now: NOW, due_at: DUE_AT }))
}

pub(crate) fn ordered() -> Ordered {
    ordered_with(&application(), 100_000)
}

fn ordered_with(application: &Application, amount: u64) -> Ordered {
    Ordered {
        applicant: application.applicant.clone(),
        amount: Won::amount(amount).unwrap(),
        card_last4: application.card_last4.clone(),
        course_title: "러스트 입문".to_owned(),
        ordered_at: NOW,
        due_at: Some(DUE_AT),
    }
}

fn taken() -> Event {
    Event::Ordered(ordered())
}

fn payment_delayed(reason: DelayReason) -> Event {
    delayed(&applicant(), reason, 0)
}

fn canceled(reason: CancelReason) -> Event {
    Event::OrderCanceled(OrderCanceled { applicant: applicant(), reason })
}

fn cancel(reason: CancelReason) -> Command<'static> {
    Command::Cancel { reason, course: Some(CourseStatus::Open), payment: None }
}

fn given(events: &[Event]) -> Option<Order> {
    events.iter().fold(None, |order, event| match (order, event) {
        (None, Event::Ordered(ordered)) => Some(Order::of(ordered)),
        (order, event) => order.map(|order| evolve(order, event)),
    })
}

#[track_caller]
fn check(given_events: &[Event], when: &Command<'_>, then: Result<Vec<Event>, Refusal>) {
    assert_eq!(decide(given(given_events).as_ref(), when), then);
}

#[test]
fn an_order_costs_the_fee_for_every_guest() {
    let open = course(50_000, CourseStatus::Open);
    assert_eq!(apply_with(&application(), Some(&open), false), Ok(vec![taken()]));
}

#[test]
fn an_order_is_taken_while_the_breaker_is_open_and_its_payment_delayed() {
    let open = course(50_000, CourseStatus::Open);
    let events = vec![taken(), payment_delayed(DelayReason::BreakerOpen)];
    assert_eq!(apply_with(&application(), Some(&open), true), Ok(events));
}

#[test]
fn an_order_without_a_card_is_taken_and_its_payment_delayed() {
    let open = course(50_000, CourseStatus::Open);
    for breaker_open in [false, true] {
        let events = vec![
            Event::Ordered(ordered_with(&without_card(), 100_000)),
            payment_delayed(DelayReason::CardMissing),
        ];
        assert_eq!(apply_with(&without_card(), Some(&open), breaker_open), Ok(events));
    }
}

#[test]
fn what_costs_nothing_needs_no_card() {
    let free = course(0, CourseStatus::Open);
    assert_eq!(
        apply_with(&without_card(), Some(&free), false),
        Ok(vec![Event::Ordered(ordered_with(&without_card(), 0))])
    );
}

#[test]
fn only_an_open_course_takes_orders() {
    let edu_no = applicant().edu_no;
    assert_eq!(apply_with(&application(), None, false), Err(Refusal::UnknownCourse(edu_no)));
    for status in [CourseStatus::Started, CourseStatus::Finished, CourseStatus::CourseCanceled] {
        let refusal = Err(Refusal::CourseNotOpen(edu_no, status));
        assert_eq!(apply_with(&application(), Some(&course(1, status)), false), refusal);
    }
}

#[test]
fn the_same_order_again_is_the_same_order() {
    let again = application();
    let english =
        Application { applicant: Applicant { language: Language::En, ..applicant() }, ..application() };
    for application in [&again, &english] {
        // Even when the course has closed meanwhile, the breaker has opened, or the order has ended.
        let apply =
            Command::Apply(Apply { application, course: None, breaker_open: true, now: NOW, due_at: DUE_AT });
        check(&[taken()], &apply, Ok(vec![]));
        check(&[taken(), canceled(CancelReason::Customer)], &apply, Ok(vec![]));
    }
}

#[test]
fn the_same_number_with_other_content_is_refused() {
    let mut others = vec![without_card()];
    others.push(Application { card_last4: Some("9999".to_owned()), ..application() });
    for applicant in [
        Applicant { customer_id: None, ..applicant() },
        Applicant { edu_no: EduNo::parse(102).unwrap(), ..applicant() },
        Applicant { guest: Guests::ONE, ..applicant() },
    ] {
        others.push(Application { applicant, ..application() });
    }
    for application in &others {
        let apply = Command::Apply(Apply {
            application,
            course: None,
            breaker_open: false,
            now: NOW,
            due_at: DUE_AT,
        });
        check(&[taken()], &apply, Err(Refusal::ContentDiffers));
    }
}

#[test]
fn a_delay_is_told_when_it_is_news() {
    let delay = |payment| delay(payment, 0, 0);
    let told = Ok(vec![payment_delayed(DelayReason::Deadline)]);
    check(&[], &delay(None), Err(Refusal::UnknownOrder));
    check(&[taken()], &delay(None), told.clone());
    check(&[taken()], &delay(Some(PayStatus::PaymentDeclined)), told);
    check(&[taken()], &delay(Some(PayStatus::PaymentDelayed)), Ok(vec![]));
    check(&[taken()], &delay(Some(PayStatus::Paid)), Ok(vec![]));
    check(&[taken()], &delay(Some(PayStatus::PaymentCanceled)), Ok(vec![]));
    let ended = [taken(), canceled(CancelReason::Expired)];
    check(&ended, &delay(None), Err(Refusal::Ended(CancelReason::Expired)));
}

fn delay(payment: Option<PayStatus>, pay_version: u64, asked_at: u64) -> Command<'static> {
    Command::DelayPayment { reason: DelayReason::Deadline, payment, pay_version, asked_at }
}

#[test]
fn a_delay_says_what_pay_had_told_before_it() {
    let after_the_first_decline = delayed(&applicant(), DelayReason::Deadline, 1);
    check(&[taken()], &delay(Some(PayStatus::PaymentDeclined), 1, 1), Ok(vec![after_the_first_decline]));
}

#[test]
fn what_pay_has_told_since_it_was_asked_is_no_delay() {
    check(&[taken()], &delay(Some(PayStatus::PaymentDeclined), 2, 1), Ok(vec![]));
    check(&[taken()], &delay(Some(PayStatus::PaymentDeclined), 1, 0), Ok(vec![]));
}

#[test]
fn an_order_ends_once_whatever_the_reason() {
    for reason in [
        CancelReason::Customer,
        CancelReason::Expired,
        CancelReason::ReservationRejected,
        CancelReason::CourseCanceled,
    ] {
        check(&[], &cancel(reason), Err(Refusal::UnknownOrder));
        check(&[taken()], &cancel(reason), Ok(vec![canceled(reason)]));
        check(&[taken(), canceled(CancelReason::Customer)], &cancel(reason), Ok(vec![]));
    }
}

#[test]
fn a_customer_cannot_cancel_what_is_paid_once_the_course_is_over() {
    let canceled = || Ok(vec![canceled(CancelReason::Customer)]);
    let cancel =
        |course, payment| Command::Cancel { reason: CancelReason::Customer, course: Some(course), payment };
    for payment in [None, Some(PayStatus::PaymentDelayed), Some(PayStatus::PaymentDeclined)] {
        check(&[taken()], &cancel(CourseStatus::Finished, payment), canceled());
    }
    for course in [CourseStatus::Open, CourseStatus::Started, CourseStatus::CourseCanceled] {
        check(&[taken()], &cancel(course, Some(PayStatus::Paid)), canceled());
    }
    let over = cancel(CourseStatus::Finished, Some(PayStatus::Paid));
    check(&[taken()], &over, Err(Refusal::CourseFinished));
}

#[test]
fn only_what_is_not_paid_expires() {
    let expire = |payment| Command::Cancel { reason: CancelReason::Expired, course: None, payment };
    let expired = Ok(vec![canceled(CancelReason::Expired)]);
    check(&[taken()], &expire(None), expired.clone());
    check(&[taken()], &expire(Some(PayStatus::PaymentDelayed)), expired.clone());
    check(&[taken()], &expire(Some(PayStatus::PaymentDeclined)), expired);
    check(&[taken()], &expire(Some(PayStatus::Paid)), Err(Refusal::Paid));
}

#[test]
fn a_living_order_that_is_not_paid_may_be_paid_for() {
    let living = given(&[taken()]).unwrap();
    assert_eq!(pay_again(&living, None), Ok(PayAgain::Ask));
    assert_eq!(pay_again(&living, Some(PayStatus::PaymentDeclined)), Ok(PayAgain::Ask));
    assert_eq!(pay_again(&living, Some(PayStatus::Paid)), Ok(PayAgain::AlreadyPaid));
    let ended = given(&[taken(), canceled(CancelReason::Customer)]).unwrap();
    assert_eq!(pay_again(&ended, Some(PayStatus::Paid)), Err(Refusal::Ended(CancelReason::Customer)));
}

fn any_command() -> impl Strategy<Value = Command<'static>> {
    static APPLICATIONS: std::sync::LazyLock<[Application; 2]> =
        std::sync::LazyLock::new(|| [application(), without_card()]);
    static COURSES: std::sync::LazyLock<Vec<Course>> =
        std::sync::LazyLock::new(|| CourseStatus::ALL.iter().map(|status| course(7, *status)).collect());
    let reasons = [
        CancelReason::Customer,
        CancelReason::Expired,
        CancelReason::ReservationRejected,
        CancelReason::CourseCanceled,
    ];
    let payment = prop::option::of(prop::sample::select(PayStatus::ALL));
    let status = prop::option::of(prop::sample::select(CourseStatus::ALL));
    prop_oneof![
        (0..2_usize, prop::option::of(0..COURSES.len()), any::<bool>()).prop_map(
            |(with, course, breaker_open)| {
                let course = course.map(|at| &COURSES[at]);
                let application = &APPLICATIONS[with];
                Command::Apply(Apply { application, course, breaker_open, now: NOW, due_at: DUE_AT })
            }
        ),
        (payment.clone(), 0..3_u64, 0..3_u64)
            .prop_map(|(payment, known, asked)| delay(payment, known, asked)),
        (prop::sample::select(reasons.to_vec()), status, payment)
            .prop_map(|(reason, course, payment)| Command::Cancel { reason, course, payment }),
    ]
}

proptest! {
    /// However commands come: an order is taken once, ends at most once and stays ended, and asking again to take
    /// or to end it right away changes nothing.
    #[test]
    fn an_order_lives_once(commands in prop::collection::vec(any_command(), 0..12)) {
        let mut history: Vec<Event> = Vec::new();
        for command in &commands {
            let order = given(&history);
            let ended = order.as_ref().is_some_and(|order| order.canceled.is_some());
            let Ok(events) = decide(order.as_ref(), command) else { continue };
            prop_assert!(!ended || events.is_empty());
            history.extend(events);
            if !matches!(command, Command::DelayPayment { .. }) {
                prop_assert_eq!(decide(given(&history).as_ref(), command).unwrap_or_default(), vec![]);
            }
        }
        for name in ["Ordered", "OrderCanceled"] {
            prop_assert!(history.iter().filter(|event| event.name() == name).count() <= 1);
        }
        prop_assert!(history.first().is_none_or(|event| event.name() == "Ordered"));
    }
}
