//! Given these events, when this is asked, then these events or that refusal.

use super::*;
use kernel::{CustomerId, Guests, Language, OrderId};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_millis(1_763_773_323_004);

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
    decide(&Order::Unknown, &Command::Apply { application, course, breaker_open, now: NOW })
}

pub(crate) fn ordered() -> Event {
    ordered_with(&application(), 100_000)
}

fn ordered_with(application: &Application, amount: u64) -> Event {
    Event::Ordered(Ordered {
        applicant: application.applicant.clone(),
        amount: Won::amount(amount).unwrap(),
        card_last4: application.card_last4.clone(),
        course_title: "러스트 입문".to_owned(),
        ordered_at: NOW,
    })
}

fn payment_delayed(reason: DelayReason) -> Event {
    delayed(&applicant(), reason)
}

fn canceled(reason: CancelReason) -> Event {
    Event::OrderCanceled(OrderCanceled { applicant: applicant(), reason })
}

fn cancel(reason: CancelReason) -> Command<'static> {
    Command::Cancel { reason, course: Some(CourseStatus::Open), payment: None }
}

fn given(events: &[Event]) -> Order {
    events.iter().fold(Order::Unknown, evolve)
}

#[track_caller]
fn check(given_events: &[Event], when: &Command<'_>, then: Result<Vec<Event>, Refusal>) {
    assert_eq!(decide(&given(given_events), when), then);
}

#[test]
fn an_order_costs_the_fee_for_every_guest() {
    let open = course(50_000, CourseStatus::Open);
    assert_eq!(apply_with(&application(), Some(&open), false), Ok(vec![ordered()]));
}

#[test]
fn an_order_is_taken_while_the_breaker_is_open_and_its_payment_delayed() {
    let open = course(50_000, CourseStatus::Open);
    let events = vec![ordered(), payment_delayed(DelayReason::BreakerOpen)];
    assert_eq!(apply_with(&application(), Some(&open), true), Ok(events));
}

#[test]
fn an_order_without_a_card_is_taken_and_its_payment_delayed() {
    let open = course(50_000, CourseStatus::Open);
    for breaker_open in [false, true] {
        let events = vec![ordered_with(&without_card(), 100_000), payment_delayed(DelayReason::CardMissing)];
        assert_eq!(apply_with(&without_card(), Some(&open), breaker_open), Ok(events));
    }
}

#[test]
fn what_costs_nothing_needs_no_card() {
    let free = course(0, CourseStatus::Open);
    assert_eq!(apply_with(&without_card(), Some(&free), false), Ok(vec![ordered_with(&without_card(), 0)]));
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
        let apply = Command::Apply { application, course: None, breaker_open: true, now: NOW };
        check(&[ordered()], &apply, Ok(vec![]));
        check(&[ordered(), canceled(CancelReason::Customer)], &apply, Ok(vec![]));
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
        let apply = Command::Apply { application, course: None, breaker_open: false, now: NOW };
        check(&[ordered()], &apply, Err(Refusal::ContentDiffers));
    }
}

#[test]
fn a_delay_is_told_when_it_is_news() {
    let delay = |payment| Command::DelayPayment { reason: DelayReason::Deadline, payment };
    let told = Ok(vec![payment_delayed(DelayReason::Deadline)]);
    check(&[], &delay(None), Err(Refusal::UnknownOrder));
    check(&[ordered()], &delay(None), told.clone());
    check(&[ordered()], &delay(Some(PayStatus::PaymentDeclined)), told);
    check(&[ordered()], &delay(Some(PayStatus::PaymentDelayed)), Ok(vec![]));
    check(&[ordered()], &delay(Some(PayStatus::Paid)), Ok(vec![]));
    check(&[ordered()], &delay(Some(PayStatus::PaymentCanceled)), Ok(vec![]));
    let ended = [ordered(), canceled(CancelReason::Expired)];
    check(&ended, &delay(None), Err(Refusal::Ended(CancelReason::Expired)));
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
        check(&[ordered()], &cancel(reason), Ok(vec![canceled(reason)]));
        check(&[ordered(), canceled(CancelReason::Customer)], &cancel(reason), Ok(vec![]));
    }
}

#[test]
fn a_customer_cannot_cancel_what_is_paid_once_the_course_is_over() {
    let canceled = || Ok(vec![canceled(CancelReason::Customer)]);
    let cancel =
        |course, payment| Command::Cancel { reason: CancelReason::Customer, course: Some(course), payment };
    for payment in [None, Some(PayStatus::PaymentDelayed), Some(PayStatus::PaymentDeclined)] {
        check(&[ordered()], &cancel(CourseStatus::Finished, payment), canceled());
    }
    for course in [CourseStatus::Open, CourseStatus::Started, CourseStatus::CourseCanceled] {
        check(&[ordered()], &cancel(course, Some(PayStatus::Paid)), canceled());
    }
    let over = cancel(CourseStatus::Finished, Some(PayStatus::Paid));
    check(&[ordered()], &over, Err(Refusal::CourseFinished));
}

#[test]
fn only_what_is_not_paid_expires() {
    let expire = |payment| Command::Cancel { reason: CancelReason::Expired, course: None, payment };
    let expired = Ok(vec![canceled(CancelReason::Expired)]);
    check(&[ordered()], &expire(None), expired.clone());
    check(&[ordered()], &expire(Some(PayStatus::PaymentDelayed)), expired.clone());
    check(&[ordered()], &expire(Some(PayStatus::PaymentDeclined)), expired);
    check(&[ordered()], &expire(Some(PayStatus::Paid)), Err(Refusal::Paid));
}

#[test]
fn a_living_order_that_is_not_paid_may_be_paid_for() {
    let living = given(&[ordered()]);
    assert_eq!(pay_again(&living, None), Ok(PayAgain::Ask));
    assert_eq!(pay_again(&living, Some(PayStatus::PaymentDeclined)), Ok(PayAgain::Ask));
    assert_eq!(pay_again(&living, Some(PayStatus::Paid)), Ok(PayAgain::AlreadyPaid));
    let ended = given(&[ordered(), canceled(CancelReason::Customer)]);
    assert_eq!(pay_again(&ended, Some(PayStatus::Paid)), Err(Refusal::Ended(CancelReason::Customer)));
    assert_eq!(pay_again(&Order::Unknown, None), Err(Refusal::UnknownOrder));
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
                Command::Apply { application: &APPLICATIONS[with], course, breaker_open, now: NOW }
            }
        ),
        payment.clone().prop_map(|payment| Command::DelayPayment { reason: DelayReason::Deadline, payment }),
        (prop::sample::select(reasons.to_vec()), status, payment)
            .prop_map(|(reason, course, payment)| Command::Cancel { reason, course, payment }),
    ]
}

proptest! {
    /// However commands come: an order is taken once, ends at most once and stays ended, and asking again to take
    /// or to end it right away changes nothing.
    #[test]
    fn an_order_lives_once(commands in prop::collection::vec(any_command(), 0..12)) {
        let mut order = Order::Unknown;
        let mut history: Vec<Event> = Vec::new();
        for command in &commands {
            let ended = matches!(order, Order::Canceled(..));
            let Ok(events) = decide(&order, command) else { continue };
            prop_assert!(!ended || events.is_empty());
            order = events.iter().fold(order, evolve);
            history.extend(events);
            if !matches!(command, Command::DelayPayment { .. }) {
                prop_assert_eq!(decide(&order, command).unwrap_or_default(), vec![]);
            }
        }
        prop_assert_eq!(&given(&history), &order);
        for name in ["Ordered", "OrderCanceled"] {
            prop_assert!(history.iter().filter(|event| event.name() == name).count() <= 1);
        }
        prop_assert!(history.first().is_none_or(|event| event.name() == "Ordered"));
    }
}
