//! The service between a gateway and a store that fail at every step.
//!
//! Several requests for one order go on at once, cut into single steps by a scheduler that proptest drives: it says whose
//! turn it is, which answers are lost on their way (with the deed done, or not), and who crashes where. After every single
//! step the ledger must be right.

use super::*;
use crate::store::DATABASE;
use ::store::native::{Store, at_once};
use ::store::{Row, Statement};
use kernel::{EduNo, Guests, Language};
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

::store::on_postgres!(
    asking_again_finds_the_payment_and_charges_nothing,
    an_answer_lost_on_the_way_is_found_again_under_the_same_key,
    a_declined_order_is_tried_again_whenever_the_customer_asks,
    a_lost_decline_of_one_card_does_not_refuse_another,
    a_lost_decline_of_the_same_card_is_not_tried_again_by_itself,
    nothing_to_pay_needs_neither_card_nor_gateway,
    something_to_pay_needs_a_card,
    a_closed_order_is_never_charged,
    a_charge_whose_amount_is_not_what_is_asked_for_now_is_written_down_and_said,
    many_orders_are_closed_by_one_statement_and_one_conflict_does_not_hold_up_the_rest,
    a_gateway_that_fails_for_one_order_does_not_keep_the_others_open,
    whoever_finds_that_another_was_faster_looks_again,
    of_two_who_pay_at_once_one_pays_and_the_other_finds_it_paid,
    a_charge_that_another_payment_made_needless_is_given_back,
    an_order_that_could_not_be_closed_after_a_conflict_is_not_taken_to_be_closed,
    what_the_gateway_did_is_not_asked_for_again_because_somebody_else_decided,
    others_are_told_of_what_was_committed_and_of_nothing_else,
    while_an_order_is_being_closed_it_cannot_be_paid,
    without_one_charge_per_key_an_order_would_be_charged_twice,
    of_two_who_close_at_once_one_closes_and_the_other_finds_it_closed,
);

const AMOUNT: u64 = 100;
const GOOD_CARD: &str = "4111111111111111";
const BAD_CARD: &str = "4000000000000002";

/// What happens to one call on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Fine,
    /// Done, but the answer is lost.
    AnswerLost,
    /// Never arrived.
    CallLost,
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    Approved { amount: u64, card_last4: String, refunded: bool },
    Declined { card_last4: String },
    Closed,
}

/// The card company's ledger and the store, both in memory, and the fates of the calls to come.
pub(crate) struct World {
    store: Store,
    ledger: RefCell<BTreeMap<String, Entry>>,
    pub(crate) fates: RefCell<VecDeque<Fate>>,
    /// So many commits to come find that somebody else was faster.
    conflicts: Cell<usize>,
    /// Switches off what makes asking twice harmless, to show that the tests would notice.
    every_key_is_new: Cell<bool>,
    /// The keys that were asked to be canceled, in their order.
    canceled: RefCell<Vec<String>>,
    told: Cell<usize>,
}

thread_local! {
    /// Made once for each test, and emptied for each world: making one is what costs most.
    static STORE: Store = Store::new(&DATABASE);
}

impl Default for World {
    fn default() -> Self {
        let store = STORE.with(Store::clone);
        for table in ["events", "pays"] {
            store.run(&format!("DELETE FROM {table}"), &[]).unwrap();
        }
        Self {
            store,
            ledger: RefCell::default(),
            fates: RefCell::default(),
            conflicts: Cell::default(),
            every_key_is_new: Cell::default(),
            canceled: RefCell::default(),
            told: Cell::default(),
        }
    }
}

impl World {
    fn fate(&self) -> Fate {
        self.fates.borrow_mut().pop_front().unwrap_or(Fate::Fine)
    }

    fn charged(&self) -> u64 {
        let ledger = self.ledger.borrow();
        let outstanding = |entry: &Entry| match entry {
            Entry::Approved { amount, refunded: false, .. } => *amount,
            _ => 0,
        };
        ledger.values().map(outstanding).sum()
    }

    fn record(&self, order: OrderId) -> Record {
        at_once(store::load(&self.store, order)).unwrap().unwrap()
    }

    /// The names of the events, in the order in which they were committed.
    pub(crate) fn events(&self) -> Vec<String> {
        let rows = self.store.run("SELECT type FROM projection ORDER BY position", &[]).unwrap();
        rows.iter().map(|row| row.text("type").unwrap().to_owned()).collect()
    }

    fn charge_now(&self, key: &str, amount: Won, card: &CardNumber) -> Result<Receipt, NoReceipt> {
        let mut ledger = self.ledger.borrow_mut();
        let key = match self.every_key_is_new.get() {
            true => format!("{key}#{}", ledger.len()),
            false => key.to_owned(),
        };
        let card_last4 = card.last4().to_owned();
        let decided = ledger.entry(key.clone()).or_insert_with(|| match card.digits() {
            BAD_CARD => Entry::Declined { card_last4 },
            _ => Entry::Approved { amount: amount.get(), card_last4, refunded: false },
        });
        match decided.clone() {
            Entry::Approved { amount, card_last4, refunded: false } => {
                Ok(Receipt { transaction_id: key, amount: Won::amount(amount).unwrap(), card_last4 })
            }
            Entry::Declined { card_last4 } => {
                Err(NoReceipt::Declined { reason: "no".to_owned(), card_last4 })
            }
            Entry::Approved { .. } | Entry::Closed => Err(NoReceipt::Closed),
        }
    }

    fn cancel_now(&self, key: &str) -> Won {
        self.canceled.borrow_mut().push(key.to_owned());
        match self.ledger.borrow_mut().entry(key.to_owned()).or_insert(Entry::Closed) {
            Entry::Approved { amount, refunded, .. } => {
                *refunded = true;
                Won::amount(*amount).unwrap()
            }
            _ => Won::ZERO,
        }
    }

    fn commit_now(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        if let Some(left) = self.conflicts.get().checked_sub(1) {
            self.conflicts.set(left);
            return Err(StoreError::Unique { constraint: "events.subject, events.version".to_owned() });
        }
        self.store.run(statement.sql(), statement.params())
    }
}

/// Lets the others have their turn.
async fn step() {
    let mut done = false;
    poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut done, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Runs one call with its fate.
async fn call<T>(world: &World, deed: impl FnOnce() -> T, lost: T) -> T {
    step().await;
    let answer = match world.fate() {
        Fate::CallLost => lost,
        Fate::AnswerLost => {
            deed();
            lost
        }
        Fate::Fine => deed(),
    };
    step().await;
    answer
}

impl Gateway for &World {
    async fn charge(
        &self,
        key: String,
        _: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        let lost = Err(NoReceipt::Unavailable(Unavailable("lost".to_owned())));
        call(self, || self.charge_now(&key, amount, card), lost).await
    }

    async fn cancel(&self, key: String) -> Result<Won, Unavailable> {
        call(self, || Ok(self.cancel_now(&key)), Err(Unavailable("lost".to_owned()))).await
    }
}

impl Storage for &World {
    async fn query(&self, statement: &Statement) -> Result<Vec<Row>, StoreError> {
        if statement.sql().starts_with("INSERT INTO decisions") {
            return call(self, || self.commit_now(statement), Err(StoreError::unavailable("lost"))).await;
        }
        step().await;
        self.store.run(statement.sql(), statement.params())
    }

    async fn pause(&self, _: u64) {}
}

impl Tell for &World {
    fn committed(&self) {
        self.told.set(self.told.get() + 1);
    }
}

pub(crate) fn service(world: &World) -> Service<&World, &World, &World> {
    Service { gateway: world, journal: Journal { storage: world, tell: world }, contract_records_days: 1827 }
}

fn order(id: u64) -> OrderId {
    OrderId::parse(id).unwrap()
}

fn terms(amount: u64) -> Terms {
    let applicant = Applicant {
        order_id: order(1113),
        customer_id: None,
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    };
    Terms { applicant, amount: Won::amount(amount).unwrap() }
}

fn closing() -> Closing {
    Closing { applicant: terms(AMOUNT).applicant, traceparent: None }
}

fn card(digits: &str) -> CardNumber {
    CardNumber::parse(digits).unwrap()
}

/// Runs a future that waits for nothing but its turn.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn pay(world: &World, amount: u64, digits: &str) -> Result<Answer, NotDone> {
    run(service(world).pay(&terms(amount), Some(&card(digits)), None))
}

fn status(world: &World) -> Option<PayStatus> {
    world.record(order(1113)).payment().map(|(status, _)| status)
}

#[test]
fn asking_again_finds_the_payment_and_charges_nothing() {
    let world = World::default();
    assert!(pay(&world, AMOUNT, GOOD_CARD).unwrap().new);
    assert!(!pay(&world, AMOUNT, GOOD_CARD).unwrap().new);
    assert_eq!(world.charged(), AMOUNT);
    assert_eq!(world.events(), ["Paid"]);
}

#[test]
fn an_answer_lost_on_the_way_is_found_again_under_the_same_key() {
    let world = World::default();
    world.fates.borrow_mut().push_back(Fate::AnswerLost);
    assert!(matches!(pay(&world, AMOUNT, GOOD_CARD), Err(NotDone::Gateway(_))));
    assert_eq!(status(&world), None);
    pay(&world, AMOUNT, GOOD_CARD).unwrap();
    assert_eq!((world.charged(), status(&world)), (AMOUNT, Some(PayStatus::Paid)));
}

#[test]
fn a_declined_order_is_tried_again_whenever_the_customer_asks() {
    let world = World::default();
    assert!(pay(&world, AMOUNT, BAD_CARD).unwrap().new);
    assert_eq!(status(&world), Some(PayStatus::PaymentDeclined));
    assert!(pay(&world, AMOUNT, BAD_CARD).unwrap().new);
    pay(&world, AMOUNT, GOOD_CARD).unwrap();
    assert_eq!(world.events(), ["PaymentDeclined", "PaymentDeclined", "Paid"]);
    assert_eq!(world.charged(), AMOUNT);
}

#[test]
fn a_lost_decline_of_one_card_does_not_refuse_another() {
    let world = World::default();
    world.fates.borrow_mut().push_back(Fate::AnswerLost);
    assert!(pay(&world, AMOUNT, BAD_CARD).is_err());
    pay(&world, AMOUNT, GOOD_CARD).unwrap();
    assert_eq!(world.events(), ["PaymentDeclined", "Paid"]);
    assert_eq!(world.charged(), AMOUNT);
}

#[test]
fn a_lost_decline_of_the_same_card_is_not_tried_again_by_itself() {
    let world = World::default();
    world.fates.borrow_mut().push_back(Fate::AnswerLost);
    assert!(pay(&world, AMOUNT, BAD_CARD).is_err());
    pay(&world, AMOUNT, BAD_CARD).unwrap();
    assert_eq!(world.events(), ["PaymentDeclined"]);
}

#[test]
fn nothing_to_pay_needs_neither_card_nor_gateway() {
    let world = World::default();
    run(service(&world).pay(&terms(0), None, None)).unwrap();
    assert_eq!(status(&world), Some(PayStatus::Paid));
    assert!(world.ledger.borrow().is_empty());
    run(service(&world).close(&[closing()])).unwrap();
    assert_eq!(status(&world), Some(PayStatus::PaymentCanceled));
}

#[test]
fn something_to_pay_needs_a_card() {
    let world = World::default();
    let answer = run(service(&world).pay(&terms(AMOUNT), None, None));
    assert!(matches!(answer, Err(NotDone::Refused(Refusal::CardMissing))));
    assert!(world.ledger.borrow().is_empty());
}

#[test]
fn a_closed_order_is_never_charged() {
    let world = World::default();
    run(service(&world).close(&[closing()])).unwrap();
    assert!(matches!(pay(&world, AMOUNT, GOOD_CARD), Err(NotDone::Refused(Refusal::Closed))));
    assert_eq!(world.charged(), 0);
}

#[test]
fn a_charge_whose_amount_is_not_what_is_asked_for_now_is_written_down_and_said() {
    let world = World::default();
    world.fates.borrow_mut().push_back(Fate::AnswerLost);
    assert!(pay(&world, AMOUNT, GOOD_CARD).is_err());
    assert!(matches!(pay(&world, AMOUNT + 1, GOOD_CARD), Err(NotDone::Refused(Refusal::ContentDiffers))));
    assert_eq!(world.charged(), AMOUNT);
    let record = world.record(order(1113));
    assert_eq!(record.payment().unwrap().1.amount.get(), AMOUNT);
}

#[test]
fn many_orders_are_closed_by_one_statement_and_one_conflict_does_not_hold_up_the_rest() {
    let world = World::default();
    let closings: Vec<_> = (1..=50)
        .map(|id| Closing {
            applicant: Applicant { order_id: order(id), ..terms(AMOUNT).applicant },
            traceparent: None,
        })
        .collect();
    let service = service(&world);
    let mut closing = std::pin::pin!(service.close(&closings));
    // All are loaded; before they are committed, somebody pays one of them.
    assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let paid = Terms { applicant: closings[7].applicant.clone(), amount: Won::ZERO };
    run(service.pay(&paid, None, None)).unwrap();
    run(closing).unwrap();
    for closing in &closings {
        let record = world.record(closing.applicant.order_id);
        assert_eq!(record.payment().unwrap().0, PayStatus::PaymentCanceled);
    }
    assert_eq!(world.record(order(8)).version, 2);
    let asked: std::collections::BTreeSet<_> = world.canceled.borrow().iter().cloned().collect();
    assert_eq!((asked.len(), world.canceled.borrow().len()), (50, 50), "each was asked for once");
}

#[test]
fn a_gateway_that_fails_for_one_order_does_not_keep_the_others_open() {
    let world = World::default();
    let other = Closing {
        applicant: Applicant { order_id: order(1114), ..terms(AMOUNT).applicant },
        traceparent: None,
    };
    world.fates.borrow_mut().push_back(Fate::CallLost);
    let closed = run(service(&world).close(&[closing(), other]));
    assert!(matches!(closed, Err(NotDone::Gateway(_))));
    assert_eq!(status(&world), None);
    assert_eq!(world.record(order(1114)).payment().unwrap().0, PayStatus::PaymentCanceled);
}

#[test]
fn whoever_finds_that_another_was_faster_looks_again() {
    let world = World::default();
    world.conflicts.set(3);
    assert!(pay(&world, AMOUNT, GOOD_CARD).unwrap().new);
    world.conflicts.set(3);
    run(service(&world).close(&[closing()])).unwrap();
    assert_eq!((world.charged(), status(&world)), (0, Some(PayStatus::PaymentCanceled)));
    assert_eq!(world.events(), ["Paid", "PaymentCanceled"]);
}

#[test]
fn of_two_who_pay_at_once_one_pays_and_the_other_finds_it_paid() {
    let world = World::default();
    let (service, terms, card) = (service(&world), terms(AMOUNT), card(GOOD_CARD));
    let mut first = std::pin::pin!(service.pay(&terms, Some(&card), None));
    while world.ledger.borrow().is_empty() {
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert!(pay(&world, AMOUNT, GOOD_CARD).unwrap().new);
    assert!(!run(first).unwrap().new);
    assert_eq!((world.charged(), world.events().len()), (AMOUNT, 1));
}

#[test]
fn a_charge_that_another_payment_made_needless_is_given_back() {
    let world = World::default();
    let (service, dear, card) = (service(&world), terms(AMOUNT), card(GOOD_CARD));
    let mut charging = std::pin::pin!(service.pay(&dear, Some(&card), None));
    while world.ledger.borrow().is_empty() {
        assert!(charging.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    run(service.pay(&terms(0), None, None)).unwrap();
    // The commit, and then two cancellations that do not get through.
    world.fates.borrow_mut().extend([Fate::Fine, Fate::CallLost, Fate::CallLost]);
    assert!(matches!(run(charging), Err(NotDone::Refused(Refusal::ContentDiffers))));
    assert!(world.fates.borrow().is_empty());
    assert_eq!(world.charged(), 0);
}

#[test]
fn an_order_that_could_not_be_closed_after_a_conflict_is_not_taken_to_be_closed() {
    let world = World::default();
    let (service, terms, card) = (service(&world), terms(AMOUNT), card(BAD_CARD));
    let mut declined = std::pin::pin!(service.pay(&terms, Some(&card), None));
    while world.ledger.borrow().is_empty() {
        assert!(declined.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let applicant = Applicant { order_id: order(2), ..terms.applicant.clone() };
    let closings = [closing(), Closing { applicant, traceparent: None }];
    let mut closing = std::pin::pin!(service.close(&closings));
    while world.canceled.borrow().len() < 2 {
        assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    run(declined).unwrap();
    // The commit that meets the decline; then the next attempt's cancellation.
    world.fates.borrow_mut().extend([Fate::Fine, Fate::CallLost]);
    assert!(matches!(run(closing), Err(NotDone::Gateway(_))));
    assert_eq!(status(&world), Some(PayStatus::PaymentDeclined));
    assert_eq!(world.record(order(2)).payment().unwrap().0, PayStatus::PaymentCanceled);
    run(service.close(&closings)).unwrap();
    assert_eq!(status(&world), Some(PayStatus::PaymentCanceled));
    assert_eq!(*world.canceled.borrow(), ["2-1", "1113-1", "1113-2"]);
}

#[test]
fn what_the_gateway_did_is_not_asked_for_again_because_somebody_else_decided() {
    let world = World::default();
    world.every_key_is_new.set(true);
    world.conflicts.set(3);
    pay(&world, AMOUNT, GOOD_CARD).unwrap();
    assert_eq!(world.ledger.borrow().len(), 1);
    world.conflicts.set(3);
    run(service(&world).close(&[closing()])).unwrap();
    assert_eq!(*world.canceled.borrow(), ["1113-1"]);
}

#[test]
fn others_are_told_of_what_was_committed_and_of_nothing_else() {
    let world = World::default();
    for _again in 0..2 {
        pay(&world, AMOUNT, GOOD_CARD).unwrap();
        assert_eq!(world.told.get(), 1);
    }
    for _again in 0..2 {
        run(service(&world).close(&[closing()])).unwrap();
        assert_eq!(world.told.get(), 2);
    }
}

#[test]
fn while_an_order_is_being_closed_it_cannot_be_paid() {
    let world = World::default();
    world.cancel_now("1113-1");
    assert!(matches!(pay(&world, AMOUNT, GOOD_CARD), Err(NotDone::Refused(Refusal::Closed))));
    assert_eq!(status(&world), None);
}

/// One of those who want something of the order at the same time.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Pay(&'static str),
    Close,
}

/// What the scheduler does next.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// Gives one of them a turn.
    Turn(prop::sample::Index),
    /// One of them crashes.
    Crash(prop::sample::Index),
}

fn wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        4 => Just(Wanted::Pay(GOOD_CARD)),
        2 => Just(Wanted::Pay(BAD_CARD)),
        2 => Just(Wanted::Close),
    ]
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        20 => any::<prop::sample::Index>().prop_map(Move::Turn),
        1 => any::<prop::sample::Index>().prop_map(Move::Crash),
    ]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![6 => Just(Fate::Fine), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::CallLost)]
}

/// Lets them all go on at once, as `moves` say. Returns the worst that was outstanding at any moment.
fn play(world: &World, wanted: &[Wanted], moves: &[Move]) -> u64 {
    let service = service(world);
    let terms = terms(AMOUNT);
    let (service, terms, closings) = (&service, &terms, &[closing()]);
    let mut under_way: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for wanted in wanted {
        let wanted = *wanted;
        under_way.push(Box::pin(async move {
            match wanted {
                Wanted::Pay(digits) => drop(service.pay(terms, Some(&card(digits)), None).await),
                Wanted::Close => drop(service.close(closings).await),
            }
        }));
    }
    let mut worst = 0;
    for next in moves {
        if under_way.is_empty() {
            break;
        }
        let (who, crashes) = match next {
            Move::Turn(index) => (index.index(under_way.len()), false),
            Move::Crash(index) => (index.index(under_way.len()), true),
        };
        let turn = under_way[who].as_mut();
        if crashes || turn.poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(under_way.swap_remove(who));
        }
        worst = worst.max(world.charged());
    }
    worst
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_order_is_never_charged_twice_and_ends_paid_or_refunded(
        wanted in prop::collection::vec(wanted(), 1..6),
        moves in prop::collection::vec(moves(), 0..150),
        fates in prop::collection::vec(fate(), 0..60),
    ) {
        let world = World::default();
        world.fates.borrow_mut().extend(fates);
        let worst = play(&world, &wanted, &moves);
        prop_assert!(worst <= AMOUNT, "{worst} won were charged at once");

        // Nothing fails any more, and what was left half done is delivered again.
        world.fates.borrow_mut().clear();
        if wanted.iter().any(|wanted| matches!(wanted, Wanted::Close)) {
            run(service(&world).close(&[closing()])).unwrap();
            prop_assert_eq!(status(&world), Some(PayStatus::PaymentCanceled));
            prop_assert_eq!(world.charged(), 0);
            let late = pay(&world, AMOUNT, GOOD_CARD);
            prop_assert!(matches!(late, Err(NotDone::Refused(Refusal::Closed))));
            prop_assert_eq!(world.charged(), 0);
        } else {
            pay(&world, AMOUNT, GOOD_CARD).unwrap();
            prop_assert_eq!(status(&world), Some(PayStatus::Paid));
            prop_assert_eq!(world.charged(), AMOUNT);
        }
        let paid = world.events().iter().filter(|event| *event == "Paid").count();
        prop_assert!(paid <= 1, "paid {paid} times");
    }
}

#[test]
fn without_one_charge_per_key_an_order_would_be_charged_twice() {
    let world = World::default();
    world.every_key_is_new.set(true);
    world.fates.borrow_mut().push_back(Fate::AnswerLost);
    assert!(pay(&world, AMOUNT, GOOD_CARD).is_err());
    pay(&world, AMOUNT, GOOD_CARD).unwrap();
    assert_eq!(world.charged(), 2 * AMOUNT);
}

#[test]
fn of_two_who_close_at_once_one_closes_and_the_other_finds_it_closed() {
    let world = World::default();
    let (service, closings) = (service(&world), [closing()]);
    let mut first = std::pin::pin!(service.close(&closings));
    while world.ledger.borrow().is_empty() {
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    run(service.close(&closings)).unwrap();
    // The commit that meets the other's; whatever was committed after it would be lost.
    world.fates.borrow_mut().extend([Fate::Fine, Fate::CallLost]);
    run(first).unwrap();
    assert_eq!(world.events(), ["PaymentCanceled"]);
}
