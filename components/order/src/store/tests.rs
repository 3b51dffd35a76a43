//! The statements themselves, on a SQLite of our own.

use super::decision::NewOrder;
use super::placing::desk;
use super::retries::back_off;
use super::*;
use crate::domain::{decide, evolve};
use crate::events::Policies;
use crate::sealing::Seal;
use ::store::Value;
use ::store::native::{self, at_once};
use eventlog::{Consumer, Envelope};
use hal::{Direction, Paging, Sort};
use kernel::event::{Course as Terms, DelayReason, Event, Paid, ReservationRejected};
use kernel::{Approval, CardNumber, Language};
use proptest::prelude::*;
use std::cell::Cell;

const NOW: Timestamp = Timestamp::from_millis(1_763_773_323_004);

/// Runs a future that never waits.
#[track_caller]
fn block_on<T>(future: impl Future<Output = T>) -> T {
    at_once(future).expect("SQLite keeps nobody waiting")
}

/// A database in memory with this context's schema, and what cards are sealed with.
struct Sqlite {
    native: native::Sqlite,
    seal: Seal,
    /// How often the breaker was asked.
    asked: Cell<u32>,
}

fn order(number: u64) -> OrderId {
    OrderId::parse(number).unwrap()
}

fn edu(number: u64) -> EduNo {
    EduNo::parse(number).unwrap()
}

fn card(digits: &str) -> CardNumber {
    CardNumber::parse(digits).unwrap()
}

fn applicant(order_id: u64, edu_no: u64) -> Applicant {
    Applicant {
        order_id: order(order_id),
        customer_id: CustomerId::parse(order_id % 3 + 1).ok(),
        edu_no: edu(edu_no),
        guest: Guests::parse(2).unwrap(),
        language: Language::Ko,
    }
}

fn terms(edu_no: u64, fee: u64, status: CourseStatus) -> Terms {
    Terms {
        edu_no: edu(edu_no),
        title: "러스트 입문".to_owned(),
        capacity: 10,
        fee: Won::fee(fee).unwrap(),
        approval: Approval::Automatic,
        starts_at: NOW.plus_minutes(60),
        ends_at: NOW.plus_minutes(120),
        status,
    }
}

/// An application as a client would send it.
struct Wish<'a> {
    order_id: Option<u64>,
    edu_no: u64,
    card: Option<&'a str>,
    key: Option<&'a str>,
    breaker_open: bool,
}

fn wish(order_id: u64) -> Wish<'static> {
    Wish {
        order_id: Some(order_id),
        edu_no: 101,
        card: Some("4111111111111234"),
        key: None,
        breaker_open: false,
    }
}

impl Sqlite {
    /// With the schema, and the courses 101 (50,000 won) and 104 (free).
    fn new() -> Self {
        let sqlite = Self::over(native::Sqlite::in_memory(&DATABASE).unwrap());
        sqlite.learn(&[(terms(101, 50_000, CourseStatus::Open), 1), (terms(104, 0, CourseStatus::Open), 1)]);
        sqlite
    }

    fn over(native: native::Sqlite) -> Self {
        Self { native, seal: Seal::new(&"0f".repeat(32)).unwrap(), asked: Cell::new(0) }
    }

    /// Has another do something before the next decision is committed.
    fn meanwhile(&self, act: impl FnOnce(&Self) + 'static) {
        self.native.meanwhile(|native| act(&Self::over(native.clone())));
    }

    fn learn(&self, courses: &[(Terms, u64)]) {
        let courses: Vec<_> = courses.iter().map(|(terms, version)| (terms, *version)).collect();
        block_on(learn_courses(&self.native, &courses)).unwrap();
    }

    fn try_place(&self, wish: &Wish<'_>) -> Result<Placement, Undecided> {
        let card = wish.card.map(card);
        let placing = Placing {
            application: Application {
                applicant: applicant(wish.order_id.unwrap_or(1), wish.edu_no),
                card_last4: card.as_ref().map(|card| card.last4().to_owned()),
            },
            number_is_free: wish.order_id.is_none(),
            card: card.as_ref(),
            seal: &self.seal,
            key: wish.key,
            due_at: NOW.plus_minutes(30),
            retry_at: NOW.plus_seconds(2),
            traceparent: None,
            now: NOW,
        };
        let breaker_is_open = async || {
            self.asked.set(self.asked.get() + 1);
            wish.breaker_open
        };
        block_on(place(&self.native, &placing, breaker_is_open))
    }

    #[track_caller]
    fn place(&self, wish: &Wish<'_>) -> Stored {
        match self.try_place(wish).unwrap() {
            Placement::Taken(stored) => stored,
            other => panic!("{other:?}"),
        }
    }

    fn stored(&self, order_id: u64) -> Stored {
        block_on(find(&self.native, order(order_id))).unwrap().unwrap()
    }

    fn pay_status(&self, order_id: u64) -> Option<PayStatus> {
        self.stored(order_id).payment.status
    }

    fn number(&self, sql: &str) -> i64 {
        self.native.number(sql).unwrap()
    }

    fn cancel(&self, order_id: u64) -> Result<Stored, Undecided> {
        block_on(change(&self.native, order(order_id), None, NOW, |stored| {
            let (course, payment) = (stored.course, stored.payment.status);
            Ok(Command::Cancel { reason: CancelReason::Customer, course, payment })
        }))
    }

    fn delay(&self, order_id: u64) -> Result<Stored, Undecided> {
        block_on(change(&self.native, order(order_id), None, NOW, |stored| {
            Ok(Command::DelayPayment { reason: DelayReason::Deadline, payment: stored.payment.status })
        }))
    }

    fn settle(&self, order_id: u64, status: PayStatus, version: u64) -> Option<Stored> {
        block_on(settle(&self.native, &[fact(order_id, status, version)])).unwrap().pop()
    }

    fn replicate(&self, facts: &[Fact]) {
        block_on(replicate(&self.native, facts)).unwrap();
    }

    fn handle(&self, events: &[Envelope]) {
        block_on(Policies { storage: &self.native }.handle(events)).unwrap();
    }

    fn claim(&self, now: Timestamp) -> Vec<Retry> {
        block_on(claim_retries(&self.native, 16, now, now.plus_seconds(5))).unwrap()
    }

    /// The orders as their events say, against the rows that the same statements wrote.
    fn check_projection(&self) {
        let mut folded: BTreeMap<String, (Order, u64)> = BTreeMap::new();
        for row in
            self.native.run("SELECT subject, version, type, data FROM events ORDER BY seq", &[]).unwrap()
        {
            let (subject, version) = (row.text(0).unwrap().to_owned(), row.count(1).unwrap());
            let event = Event::parse(row.text(2).unwrap(), row.text(3).unwrap()).unwrap();
            let (order, _) = folded.remove(&subject).unwrap_or_default();
            folded.insert(subject, (evolve(order, &event), version));
        }
        for (subject, (order, version)) in &folded {
            let stored = self.stored(subject.parse().unwrap());
            assert_eq!((&stored.order, stored.version), (order, *version), "order {subject}");
        }
        assert_eq!(self.number("SELECT count(*) FROM orders"), folded.len() as i64);
        let filters = [
            Filter::default(),
            Filter { status: Some(OrderStatus::Ordered), ..Filter::default() },
            Filter { status: Some(OrderStatus::OrderCanceled), edu_no: Some(edu(101)), ..Filter::default() },
        ];
        for filter in filters {
            let paging = Paging { page: 0, size: 1000, sort: None, after: None };
            let listed = block_on(list(&self.native, &filter, &paging)).unwrap().len() as u64;
            assert_eq!(block_on(count(&self.native, &filter)).unwrap(), listed, "{filter:?}");
        }
    }
}

fn fact(order_id: u64, status: PayStatus, version: u64) -> Fact {
    Fact { order_id: order(order_id), status, version, card_last4: None }
}

fn envelope(context: &str, version: u64, event: Event) -> Envelope {
    let subject = event.subject();
    Envelope {
        id: format!("{subject}:{version}"),
        source_context: context.to_owned(),
        version,
        subject,
        time: NOW,
        traceparent: None,
        event,
    }
}

fn paid(order_id: u64, version: u64) -> Envelope {
    let event = Paid {
        applicant: applicant(order_id, 101),
        amount: Won::amount(100_000).unwrap(),
        card_last4: Some("1234".to_owned()),
        transaction_id: None,
        paid_at: NOW,
    };
    envelope("pay", version, Event::Paid(event))
}

#[test]
fn an_order_is_taken_with_one_read_and_one_statement() {
    let store = Sqlite::new();
    let before = store.native.statements();
    let taken = store.place(&wish(1113));
    assert_eq!(store.native.statements() - before, 2);
    assert_eq!(taken, store.stored(1113));
    assert_eq!(taken.order.placed().unwrap().amount.get(), 100_000);
    assert_eq!((taken.version, taken.payment.status, taken.course), (1, None, Some(CourseStatus::Open)));
    assert_eq!(store.number("SELECT count(*) FROM events WHERE type = 'Ordered' AND sent = 0"), 1);
    assert_eq!(store.number("SELECT count(*) FROM retries"), 1);
    store.check_projection();
}

#[test]
fn with_the_breaker_open_the_order_and_its_delay_are_one_statement() {
    let store = Sqlite::new();
    let before = store.native.statements();
    let taken = store.place(&Wish { breaker_open: true, ..wish(1) });
    assert_eq!(store.native.statements() - before, 2);
    assert_eq!((taken.version, taken.payment.status), (2, Some(PayStatus::PaymentDelayed)));
    assert_eq!(taken, store.stored(1));
    assert_eq!(store.number("SELECT count(*) FROM retries"), 1);
    store.check_projection();
}

#[test]
fn the_breaker_is_asked_once_and_only_where_pay_would_be() {
    let store = Sqlite::new();
    store.meanwhile(|store| store.learn(&[(terms(101, 70_000, CourseStatus::Open), 2)]));
    store.place(&wish(1));
    assert_eq!(store.asked.get(), 1);
    store.place(&Wish { card: None, ..wish(2) });
    drop(store.try_place(&wish(1)));
    assert_eq!(store.asked.get(), 1);
}

#[test]
fn an_order_without_a_card_waits_for_its_customer_and_not_for_the_worker() {
    let store = Sqlite::new();
    let taken = store.place(&Wish { card: None, ..wish(1) });
    assert_eq!(taken.payment.status, Some(PayStatus::PaymentDelayed));
    assert_eq!(store.number("SELECT count(*) FROM retries"), 0);
    // What costs nothing needs no card, and is retried without one.
    let free = store.place(&Wish { card: None, edu_no: 104, ..wish(2) });
    assert_eq!(free.payment.status, None);
    let retries = store.claim(NOW.plus_seconds(2));
    assert!(matches!(&retries[..], [retry] if retry.sealed.is_none() && retry.stored == free));
}

#[test]
fn the_same_order_again_is_found_and_other_content_refused() {
    let store = Sqlite::new();
    let taken = store.place(&wish(1));
    assert!(matches!(store.try_place(&wish(1)), Ok(Placement::Same(same)) if same == taken));
    let other = store.try_place(&Wish { edu_no: 104, ..wish(1) });
    assert!(matches!(other, Err(Undecided::Refused(Refusal::ContentDiffers))));
    assert_eq!(store.number("SELECT count(*) FROM events"), 1);
}

#[test]
fn what_is_refused_is_not_stored() {
    let store = Sqlite::new();
    let unknown = store.try_place(&Wish { edu_no: 999, key: Some("k"), ..wish(1) });
    assert!(matches!(unknown, Err(Undecided::Refused(Refusal::UnknownCourse(_)))));
    for table in ["events", "orders", "retries", "idempotency_keys", "tallies"] {
        assert_eq!(store.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
}

#[test]
fn a_key_stands_for_one_order_with_one_content() {
    let store = Sqlite::new();
    let keyed = Wish { order_id: None, key: Some("8e03"), ..wish(1) };
    let taken = store.place(&keyed);
    assert!(matches!(store.try_place(&keyed), Ok(Placement::Replayed(same)) if same == taken));
    let other = Wish { edu_no: 104, ..keyed };
    assert!(matches!(store.try_place(&other), Ok(Placement::KeyReused)));
    assert_eq!(store.number("SELECT count(*) FROM orders"), 1);
    store.place(&Wish { key: Some("n"), ..wish(5) });
    assert!(matches!(store.try_place(&Wish { key: Some("n"), ..wish(6) }), Ok(Placement::KeyReused)));
    store.number("DELETE FROM idempotency_keys WHERE key = 'n' RETURNING 0");
    block_on(forget_keys(&store.native, NOW)).unwrap();
    assert_eq!(store.number("SELECT count(*) FROM idempotency_keys"), 1);
    block_on(forget_keys(&store.native, NOW.plus_millis(1))).unwrap();
    assert_eq!(store.number("SELECT count(*) FROM idempotency_keys"), 0);
}

#[test]
fn orders_without_a_number_get_one_each() {
    let store = Sqlite::new();
    let anonymous = Wish { order_id: None, ..wish(1) };
    let mut numbers: Vec<_> = (0..400).map(|_| store.place(&anonymous).order_id().unwrap()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len(), 400, "two customers got one order");
    assert!(numbers.iter().all(|number| number.get() > 1 << 40));
}

#[test]
fn two_who_apply_under_one_number_at_once_make_one_order() {
    let store = Sqlite::new();
    store.meanwhile(|store| drop(store.place(&wish(1))));
    assert!(matches!(store.try_place(&wish(1)), Ok(Placement::Same(_))));
    assert_eq!(store.number("SELECT count(*) FROM events"), 1);
    // The same with one key, where neither has a number.
    let keyed = || Wish { order_id: None, key: Some("k"), ..wish(1) };
    store.meanwhile(move |store| drop(store.place(&keyed())));
    assert!(matches!(store.try_place(&keyed()), Ok(Placement::Replayed(_))));
    assert_eq!(store.number("SELECT count(*) FROM orders"), 2);
}

#[test]
fn an_order_is_never_taken_at_terms_that_have_changed_meanwhile() {
    let store = Sqlite::new();
    store.meanwhile(|store| {
        store.learn(&[(terms(101, 70_000, CourseStatus::Open), 2)]);
    });
    assert_eq!(store.place(&wish(1)).order.placed().unwrap().amount.get(), 140_000);
    store.meanwhile(|store| {
        store.learn(&[(terms(101, 70_000, CourseStatus::CourseCanceled), 3)]);
    });
    let late = store.try_place(&wish(2));
    assert!(matches!(late, Err(Undecided::Refused(Refusal::CourseNotOpen(..)))), "{late:?}");
}

#[test]
fn a_cancellation_that_met_another_is_decided_again() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.meanwhile(|store| drop(store.cancel(1).unwrap()));
    let canceled = store.cancel(1).unwrap();
    assert_eq!((canceled.version, canceled.order.status()), (2, Some(OrderStatus::OrderCanceled)));
    assert_eq!(store.number("SELECT count(*) FROM events"), 2);
    store.check_projection();
}

#[test]
fn a_sealed_card_is_kept_until_paid_declined_canceled_or_expired() {
    for status in [PayStatus::Paid, PayStatus::PaymentDeclined, PayStatus::PaymentCanceled] {
        let store = Sqlite::new();
        store.place(&wish(1));
        let settled = store.settle(1, status, 1).unwrap();
        assert_eq!((settled.payment.status, store.pay_status(1)), (Some(status), Some(status)));
        assert_eq!(store.number("SELECT count(*) FROM retries"), 0, "{status}");
    }
    let store = Sqlite::new();
    store.place(&wish(1));
    store.cancel(1).unwrap();
    assert_eq!(store.number("SELECT count(*) FROM retries"), 0);
    store.place(&wish(2));
    assert_eq!(block_on(expire(&store.native, NOW.plus_minutes(30))).unwrap(), 1);
    assert_eq!(store.number("SELECT count(*) FROM retries"), 0);
}

#[test]
fn no_card_number_is_anywhere_in_the_store() {
    let store = Sqlite::new();
    store.place(&Wish { key: Some("k"), ..wish(1) });
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => format!("{other:?}"),
    };
    let dump: String = ["events", "orders", "retries", "idempotency_keys"]
        .iter()
        .flat_map(|table| store.native.run(&format!("SELECT * FROM {table}"), &[]).unwrap())
        .flat_map(|row| row.values().iter().map(text).collect::<Vec<_>>())
        .collect();
    assert!(dump.contains("1234") && !dump.contains("4111"), "{dump}");
}

#[test]
fn what_pay_answered_is_not_undone_by_what_comes_late() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.settle(1, PayStatus::Paid, 2);
    // An older event, the delay that this context told meanwhile, and the same event again.
    store.replicate(&[fact(1, PayStatus::PaymentDeclined, 1)]);
    assert_eq!(store.delay(1).unwrap().payment.status, Some(PayStatus::Paid));
    store.replicate(&[fact(1, PayStatus::Paid, 2), fact(1, PayStatus::PaymentCanceled, 3)]);
    assert_eq!(store.pay_status(1), Some(PayStatus::PaymentCanceled));
    assert_eq!(store.settle(1, PayStatus::Paid, 2), None);
}

#[test]
fn a_delay_decided_before_pay_was_heard_does_not_hide_what_it_said() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.meanwhile(|store| drop(store.settle(1, PayStatus::Paid, 1)));
    store.delay(1).unwrap();
    assert_eq!(store.pay_status(1), Some(PayStatus::Paid));
}

#[test]
fn a_delay_decided_before_a_decline_was_heard_does_not_hide_it() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.meanwhile(|store| drop(store.settle(1, PayStatus::PaymentDeclined, 1)));
    store.delay(1).unwrap();
    assert_eq!(store.pay_status(1), Some(PayStatus::PaymentDeclined));
}

#[test]
fn a_delay_and_the_decline_after_it_have_different_etags() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.settle(1, PayStatus::PaymentDeclined, 1);
    let delayed = store.delay(1).unwrap().etag();
    store.settle(1, PayStatus::PaymentDeclined, 1);
    assert_ne!(store.stored(1).etag(), delayed);
}

#[test]
fn the_card_is_the_one_that_pay_told_of_last() {
    let store = Sqlite::new();
    store.place(&wish(1));
    let declined = fact(1, PayStatus::PaymentDeclined, 1);
    store.replicate(&[Fact { card_last4: Some("0002".to_owned()), ..declined }]);
    store.replicate(&[fact(1, PayStatus::PaymentCanceled, 2)]);
    assert_eq!(store.stored(1).payment.card_last4.as_deref(), Some("0002"));
}

/// Whatever is tried, another is faster each time: it writes down a delay and a payment that was declined.
fn always_overtaken(store: &Sqlite) {
    for _ in 0..MAX_ATTEMPTS {
        store.meanwhile(|store| {
            let version = store.stored(1).payment.version;
            store.settle(1, PayStatus::PaymentDeclined, version + 1);
            store.delay(1).unwrap();
            store.settle(1, PayStatus::PaymentDeclined, version + 2);
        });
    }
}

#[test]
fn whoever_is_always_too_late_gives_up_with_the_conflict() {
    let store = Sqlite::new();
    store.place(&wish(1));
    always_overtaken(&store);
    assert!(matches!(store.delay(1), Err(Undecided::Store(StoreError::Unique { .. }))));
    assert_eq!(store.native.pauses(), MAX_ATTEMPTS - 1);
}

#[test]
fn expiry_that_is_always_too_late_gives_up_too() {
    let store = Sqlite::new();
    store.place(&wish(1));
    always_overtaken(&store);
    let expired = block_on(expire(&store.native, NOW.plus_minutes(30)));
    assert!(expired.as_ref().is_err_and(StoreError::is_conflict), "{expired:?}");
    assert_eq!(store.native.pauses(), MAX_ATTEMPTS - 1);
}

#[test]
fn another_card_is_tried_from_the_beginning() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.claim(NOW.plus_seconds(2));
    let sealed = store.seal.seal(&card("5555555555554444"), order(1)).unwrap();
    assert!(block_on(keep_for_retry(&store.native, order(1), Some(sealed.clone()), NOW)).unwrap());
    let retry = store.claim(NOW).pop().unwrap();
    assert_eq!((retry.attempts, retry.sealed), (0, Some(sealed)));
}

#[test]
fn another_card_may_be_tried_after_a_refusal() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.settle(1, PayStatus::PaymentDeclined, 1);
    let sealed = store.seal.seal(&card("5555"), order(1)).unwrap();
    assert!(block_on(keep_for_retry(&store.native, order(1), Some(sealed.clone()), NOW)).unwrap());
    assert_eq!(store.delay(1).unwrap().payment.status, Some(PayStatus::PaymentDelayed));
    assert_eq!(store.pay_status(1), Some(PayStatus::PaymentDelayed));
    // The first refusal, told late, does not end the second try; and pay may answer it in the same version.
    store.replicate(&[fact(1, PayStatus::PaymentDeclined, 1)]);
    assert_eq!(store.claim(NOW).pop().unwrap().sealed, Some(sealed));
    store.settle(1, PayStatus::PaymentDeclined, 1);
    assert_eq!(store.pay_status(1), Some(PayStatus::PaymentDeclined));
    assert!(store.claim(NOW.plus_minutes(1)).is_empty());
    // Nothing is kept for what is paid or has ended.
    store.settle(1, PayStatus::Paid, 2);
    assert!(!block_on(keep_for_retry(&store.native, order(1), None, NOW)).unwrap());
    store.place(&wish(2));
    store.cancel(2).unwrap();
    assert!(!block_on(keep_for_retry(&store.native, order(2), None, NOW)).unwrap());
}

#[test]
fn a_payment_that_a_clock_which_was_ahead_has_put_off_is_due_at_once() {
    let store = Sqlite::new();
    // Due two seconds from now, which is as far as a try is put off, half a minute, and farther than that.
    store.place(&wish(1));
    assert!(!block_on(any_retry_due(&store.native, NOW.plus_seconds(-28))).unwrap());
    assert!(block_on(any_retry_due(&store.native, NOW.plus_seconds(-28).plus_millis(-1))).unwrap());
    let really = NOW.plus_minutes(-10);
    assert!(block_on(any_retry_due(&store.native, really)).unwrap());
    assert_eq!(store.claim(really).len(), 1);
    assert!(store.claim(really).is_empty(), "by the true clock it is claimed now");
}

#[test]
fn a_payment_is_claimed_by_one_worker_at_a_time() {
    let store = Sqlite::new();
    (1..=20).for_each(|n| drop(store.place(&wish(n))));
    assert!(!block_on(any_retry_due(&store.native, NOW.plus_millis(1999))).unwrap());
    let due = NOW.plus_seconds(2);
    assert!(block_on(any_retry_due(&store.native, due)).unwrap());
    let (first, second, third) = (store.claim(due), store.claim(due), store.claim(due));
    assert_eq!((first.len(), second.len(), third.len()), (16, 4, 0));
    let retry = &first[0];
    let order_id = retry.stored.order_id().unwrap();
    assert_eq!(
        store.seal.open(retry.sealed.as_deref().unwrap(), order_id).unwrap(),
        card("4111111111111234")
    );
    // Who crashed with its claim loses it.
    assert_eq!(store.claim(due.plus_seconds(5)).len(), 16);
}

#[test]
fn what_did_not_settle_waits_longer_each_time() {
    let waits: Vec<_> = (0..8).map(back_off).collect();
    assert_eq!(waits, [1000, 2000, 4000, 8000, 15_000, 15_000, 15_000, 15_000]);
    let store = Sqlite::new();
    store.place(&wish(1));
    let mut now = NOW.plus_seconds(2);
    for wait in waits {
        let attempts = store.claim(now).pop().unwrap().attempts;
        block_on(postpone(&store.native, &[(order(1), attempts)], now)).unwrap();
        assert!(store.claim(now.plus_millis(wait - 1)).is_empty());
        now = now.plus_millis(wait);
    }
}

#[test]
fn what_is_not_paid_in_time_expires_and_what_is_paid_does_not() {
    let store = Sqlite::new();
    (1..=3).for_each(|n| drop(store.place(&wish(n))));
    store.settle(1, PayStatus::Paid, 1);
    store.settle(2, PayStatus::PaymentDeclined, 1);
    assert_eq!(block_on(expire(&store.native, NOW.plus_minutes(30).plus_millis(-1))).unwrap(), 0);
    // Paid at the very last moment, between reading and committing: the whole is decided again.
    let last_moment = |store: &Sqlite| drop(store.settle(3, PayStatus::Paid, 1));
    store.meanwhile(last_moment);
    block_on(expire(&store.native, NOW.plus_minutes(30))).unwrap();
    assert!(matches!(store.stored(1).order, Order::Living(_)));
    assert!(matches!(store.stored(2).order, Order::Canceled(_, CancelReason::Expired)));
    assert!(matches!(store.stored(3).order, Order::Living(_)));
    assert_eq!(block_on(expire(&store.native, NOW.plus_minutes(99))).unwrap(), 0);
    store.check_projection();
}

#[test]
fn a_canceled_course_ends_all_of_its_orders() {
    let store = Sqlite::new();
    (1..=450).for_each(|n| drop(store.place(&wish(n))));
    (501..=510).for_each(|n| drop(store.place(&Wish { edu_no: 104, ..wish(n) })));
    store.cancel(7).unwrap();
    let canceled = terms(101, 50_000, CourseStatus::CourseCanceled);
    let event = envelope("reservation", 2, Event::CourseCanceled(canceled));
    store.handle(std::slice::from_ref(&event));
    store.handle(&[event]);
    assert_eq!(store.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 10);
    assert_eq!(store.number("SELECT count(*) FROM events WHERE type = 'OrderCanceled'"), 450);
    assert!(matches!(store.stored(7).order, Order::Canceled(_, CancelReason::Customer)));
    assert!(matches!(store.stored(1).order, Order::Canceled(_, CancelReason::CourseCanceled)));
    store.check_projection();
}

#[test]
fn however_many_orders_a_course_has_they_all_end() {
    let store = Sqlite::new();
    (1..=1_400).for_each(|n| drop(store.place(&wish(n))));
    let canceled = Event::CourseCanceled(terms(101, 50_000, CourseStatus::CourseCanceled));
    store.handle(&[envelope("reservation", 2, canceled)]);
    assert_eq!(store.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 0);
}

#[test]
fn a_rejected_reservation_ends_its_order() {
    let store = Sqlite::new();
    (1..=2).for_each(|n| drop(store.place(&wish(n))));
    let rejected = |n| {
        let event = ReservationRejected { applicant: applicant(n, 101), reason: "full".to_owned() };
        envelope("reservation", 1, Event::ReservationRejected(event))
    };
    // Among them one that this context does not know, and one twice.
    store.handle(&[rejected(1), rejected(99), rejected(1), paid(2, 1)]);
    assert!(matches!(store.stored(1).order, Order::Canceled(_, CancelReason::ReservationRejected)));
    assert!(matches!(store.stored(2).order, Order::Living(_)));
    assert_eq!(store.pay_status(2), Some(PayStatus::Paid));
}

#[test]
fn a_course_is_known_as_its_latest_event_says() {
    let store = Sqlite::new();
    let new = envelope("reservation", 5, Event::CourseStarted(terms(101, 1, CourseStatus::Started)));
    let old = envelope("reservation", 4, Event::CourseChanged(terms(101, 2, CourseStatus::Open)));
    store.handle(&[new.clone(), old.clone()]);
    store.handle(&[old]);
    store.handle(&[new]);
    assert_eq!(store.number("SELECT fee FROM courses WHERE edu_no = 101"), 1);
}

#[test]
fn orders_are_listed_by_page_by_key_and_by_filter() {
    let store = Sqlite::new();
    (1..=9).for_each(|n| drop(store.place(&Wish { edu_no: if n > 6 { 104 } else { 101 }, ..wish(n) })));
    store.cancel(2).unwrap();
    let numbers = |filter: Filter, paging: Paging| -> Vec<u64> {
        let listed = block_on(list(&store.native, &filter, &paging)).unwrap();
        listed.iter().map(|stored| stored.order_id().unwrap().get()).collect()
    };
    let by = |page, size, sort, after| Paging { page, size, sort, after };
    let latest = Sort { field: "orderedAt", direction: Direction::Descending };
    let all = Filter::default();
    assert_eq!(numbers(all, by(1, 4, None, None)), [5, 6, 7, 8]);
    let early = "UPDATE orders SET ordered_at = '2020-01-01T00:00:00.000Z' WHERE order_id = 9 RETURNING 0";
    store.number(early);
    assert_eq!(numbers(all, by(0, 3, Some(latest), None)), [8, 7, 6]);
    assert_eq!(numbers(all, by(0, 3, None, Some(7))), [8, 9]);
    assert_eq!(numbers(Filter { edu_no: Some(edu(104)), ..all }, by(0, 9, None, None)), [7, 8, 9]);
    let canceled = Filter { status: Some(OrderStatus::OrderCanceled), ..all };
    assert_eq!(numbers(canceled, by(0, 9, None, None)), [2]);
    let customer = Filter { customer_id: CustomerId::parse(1).ok(), ..all };
    assert_eq!(numbers(customer, by(0, 9, None, None)), [3, 6, 9]);
    assert_eq!(numbers(Filter { edu_no: Some(edu(104)), ..customer }, by(0, 9, None, None)), [9]);
    assert_eq!(numbers(customer, by(0, 9, None, Some(3))), [6, 9]);
    assert_eq!(block_on(count(&store.native, &customer)).unwrap(), 3);
    assert_eq!(block_on(count(&store.native, &all)).unwrap(), 9);
}

#[test]
fn no_list_and_no_duty_reads_the_whole_table() {
    let store = Sqlite::new();
    let plan = |sql: &str| {
        let params: Vec<_> = sql.matches('?').map(|_| int(1)).collect();
        store.native.plan(sql, &params).unwrap()
    };
    for sql in [
        "SELECT * FROM orders WHERE orders.customer_id = ? ORDER BY orders.order_id LIMIT ?",
        "SELECT * FROM orders WHERE orders.edu_no = ? ORDER BY orders.order_id LIMIT ?",
        "SELECT * FROM orders WHERE orders.status = ? ORDER BY orders.order_id LIMIT ?",
        "SELECT order_id FROM orders WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        "SELECT 1 FROM retries WHERE next_at <= ? LIMIT 1",
        "SELECT key FROM idempotency_keys WHERE made_at < ? ORDER BY made_at LIMIT 1000",
    ] {
        let plan = plan(sql);
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
    // Sorted without a condition it goes through an index, and ends at the limit.
    let plan = plan("SELECT * FROM orders ORDER BY orders.ordered_at DESC, orders.order_id DESC LIMIT ?");
    assert!(plan.contains("USING INDEX orders_by_time") && !plan.contains("TEMP B-TREE"), "{plan}");
}

#[derive(Clone, Debug)]
enum Act {
    Place { order: u64, breaker_open: bool },
    Cancel(u64),
    Delay(u64),
    Pay(u64, PayStatus, u64),
    Hear(u64, u64),
    Expire(i64),
}

fn act() -> impl Strategy<Value = Act> {
    let order = 1..5_u64;
    prop_oneof![
        (order.clone(), any::<bool>()).prop_map(|(order, breaker_open)| Act::Place { order, breaker_open }),
        order.clone().prop_map(Act::Cancel),
        order.clone().prop_map(Act::Delay),
        (order.clone(), prop::sample::select(PayStatus::ALL), 1..5_u64)
            .prop_filter("pay never says this", |(_, status, _)| *status != PayStatus::PaymentDelayed)
            .prop_map(|(order, status, version)| Act::Pay(order, status, version)),
        (order, 1..5_u64).prop_map(|(order, version)| Act::Hear(order, version)),
        (0..60_i64).prop_map(Act::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens, and whatever another does in between: the rows are the fold of the events, a card is
    /// kept only for what may still be paid, and what pay said last is what is shown.
    #[test]
    fn the_tables_always_say_what_the_events_say(
        acts in prop::collection::vec((act(), prop::option::of(act())), 1..25),
    ) {
        fn perform(store: &Sqlite, act: &Act) {
            match act {
                Act::Place { order, breaker_open } => {
                    let _ = store.try_place(&Wish { breaker_open: *breaker_open, ..wish(*order) });
                }
                Act::Cancel(order) => drop(store.cancel(*order)),
                Act::Delay(order) => drop(store.delay(*order)),
                Act::Pay(order, status, version) => drop(store.settle(*order, *status, *version)),
                Act::Hear(order, version) => store.handle(&[paid(*order, *version)]),
                Act::Expire(minutes) => drop(block_on(expire(&store.native, NOW.plus_minutes(*minutes)))),
            }
        }
        let store = Sqlite::new();
        for (act, other) in acts {
            if let Some(other) = other {
                store.meanwhile(move |store| perform(store, &other));
            }
            perform(&store, &act);
            store.native.nothing_meanwhile();
        }
        store.check_projection();
        prop_assert_eq!(store.number(
            "SELECT count(*) FROM retries JOIN orders USING (order_id)
             WHERE status <> 'Ordered' OR pay_status IN ('Paid', 'Payment Declined', 'Payment Canceled')"
        ), 0);
    }
}

/// The harm that the version of the course's copy is there against.
#[test]
fn without_the_course_version_an_order_would_be_taken_at_an_old_fee() {
    let store = Sqlite::new();
    let application = Application { applicant: applicant(1, 101), card_last4: None };
    let stale = block_on(desk(&store.native, &application.applicant, None)).unwrap().course.unwrap().0;
    store.learn(&[(terms(101, 70_000, CourseStatus::Open), 2)]);
    let apply =
        Command::Apply { application: &application, course: Some(&stale), breaker_open: false, now: NOW };
    let events = decide(&Order::Unknown, &apply).unwrap();
    let before = Stored::unknown(None);
    let with = |course_version| NewOrder { course_version, due_at: NOW, retry: None, key: None };
    let entry = |placing| Entry { before: &before, event: &events[0], traceparent: None, now: NOW, placing };
    let refused = block_on(commit(&store.native, &[entry(Some(with(1)))])).unwrap_err();
    assert_eq!(refused, StoreError::Raised("the course has changed".to_owned()));
    block_on(commit(&store.native, &[entry(None)])).unwrap();
    assert_eq!(store.stored(1).order.placed().unwrap().amount.get(), 100_000);
}

#[test]
fn only_what_was_tried_is_put_off_and_each_by_its_own_time() {
    let store = Sqlite::new();
    (1..=3).for_each(|n| drop(store.place(&wish(n))));
    block_on(postpone(&store.native, &[(order(1), 0), (order(2), 3)], NOW.plus_seconds(2))).unwrap();
    let next =
        |n: u64| store.number(&format!("SELECT next_at FROM retries WHERE order_id = {n}")) - NOW.millis();
    assert_eq!([next(1), next(2), next(3)], [3_000, 10_000, 2_000]);
}

#[test]
fn every_change_gives_an_order_another_etag() {
    let store = Sqlite::new();
    let placed = store.place(&wish(1)).etag();
    let paid = store.settle(1, PayStatus::Paid, 1).unwrap().etag();
    let canceled = store.cancel(1).unwrap().etag();
    assert!(placed != paid && paid != canceled, "{placed} {paid} {canceled}");
}

#[test]
fn while_the_orders_of_a_canceled_course_are_ended_nobody_applies_for_it() {
    let store = Sqlite::new();
    store.place(&wish(1));
    store.meanwhile(|store| {
        let late = store.try_place(&wish(2));
        assert!(matches!(late, Err(Undecided::Refused(Refusal::CourseNotOpen(..)))), "{late:?}");
    });
    let canceled = Event::CourseCanceled(terms(101, 50_000, CourseStatus::CourseCanceled));
    store.handle(&[envelope("reservation", 2, canceled)]);
    assert_eq!(store.number("SELECT count(*) FROM orders WHERE status = 'Ordered'"), 0);
}

#[test]
fn the_end_of_an_order_belongs_to_the_trace_of_what_ended_it() {
    let store = Sqlite::new();
    (1..=2).for_each(|n| drop(store.place(&wish(n))));
    let rejected = ReservationRejected { applicant: applicant(1, 101), reason: "full".to_owned() };
    let canceled = terms(101, 50_000, CourseStatus::CourseCanceled);
    let traced = |trace: &str, envelope| Envelope { traceparent: Some(trace.to_owned()), ..envelope };
    store.handle(&[
        traced("a", envelope("reservation", 1, Event::ReservationRejected(rejected))),
        traced("b", envelope("reservation", 2, Event::CourseCanceled(canceled))),
    ]);
    let right = "SELECT count(*) FROM events WHERE type = 'OrderCanceled'
        AND traceparent = CASE subject WHEN '1' THEN 'a' ELSE 'b' END";
    assert_eq!(store.number(right), 2);
}
