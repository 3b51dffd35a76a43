//! A small system with nothing wrong about it, for tests to break in one place.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "all of it is tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use kernel::event::{
    Applicant, CancelReason, Course, DelayReason, Event, OrderCanceled, Ordered, Paid, PaymentCanceled,
    PaymentDelayed, ReservationCanceled, Reserved,
};
use kernel::{
    Approval, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, ReservationStatus, Timestamp, Won,
};

use crate::facts::{
    Balance, Facts, History, InformationStore, Ledger, MemberStore, Message, NotificationStore, OrderStore,
    PayStore, Recent, ReservationStore, Seats, Told,
};
use crate::invariants::{broken, derived};
use store::native::{Address, Engine, Store};

const FEE: i64 = 10_000;

/// Two courses (101, and 103 with two seats) and five orders: 1 is confirmed, 2 was canceled, 3 holds both
/// seats of 103, 4 waits for one, 5 is not paid.
pub(crate) fn healthy() -> Facts {
    let mut histories = Histories::default();
    histories.course(course(101, 100, CourseStatus::Open));
    histories.course(course(103, 2, CourseStatus::Open));
    for (order, edu_no, guests, status) in [
        (1, 101, 1, ReservationStatus::ReservationConfirmed),
        (2, 101, 1, ReservationStatus::ReservationConfirmed),
        (3, 103, 2, ReservationStatus::ReservationConfirmed),
        (4, 103, 1, ReservationStatus::Waitlisted),
    ] {
        histories.pay_and_order(order, edu_no, guests);
        histories.reserve(order, reserved(order, edu_no, guests, status));
    }
    histories.leave(2, canceled(2, 101, 1));
    histories.order(5, ordered(5, 101, 1));
    let delayed =
        PaymentDelayed { applicant: applicant(5, 101, 1), reason: DelayReason::Deadline, pay_version: 0 };
    histories.order(5, Event::PaymentDelayed(delayed));
    histories.facts()
}

/// That just these rules are broken, and that the first thing said is about `subject`.
#[track_caller]
pub(crate) fn only(facts: &Facts, invariants: &[&str], subject: &str) {
    let told = broken(facts);
    let names: BTreeSet<_> = told.iter().map(|violation| violation.invariant).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), invariants, "{told:#?}");
    if let Some(first) = told.first() {
        assert!(first.subject.contains(subject), "{first} is not about {subject}");
        assert!(first.message.len() > 40, "too short to help: {first}");
    }
}

#[test]
fn of_a_healthy_system_nothing_is_said() {
    only(&healthy(), &[], "");
}

impl Facts {
    /// The same system with another history, and everything else in step with that.
    pub(crate) fn with_history(self, change: impl FnOnce(&mut Histories)) -> Self {
        let all = self.histories().map(|(_, history)| history);
        let position =
            all.iter().flat_map(|history| history.all()).map(|told| told.inserted).max().unwrap_or(0);
        let mut histories = Histories {
            order: self.order.history,
            pay: self.pay.history,
            reservation: self.reservation.history,
            member: self.member.history,
            gateway: self.gateway,
            position,
        };
        change(&mut histories);
        histories.facts()
    }

    /// The same system, changed a moment ago in what concerns one order.
    pub(crate) fn busy(mut self, change: impl FnOnce(&mut Self), order: u64) -> Self
    where
        Self: Sized,
    {
        self.recent.grace = Duration::from_secs(60);
        self.recent.orders.insert(order);
        change(&mut self);
        self
    }
}

#[derive(Default)]
pub(crate) struct Histories {
    pub(crate) order: History,
    pub(crate) pay: History,
    pub(crate) reservation: History,
    pub(crate) member: History,
    pub(crate) gateway: Ledger,
    position: u64,
}

impl Histories {
    fn next(&mut self, before: usize, event: Event) -> Told {
        self.position += 1;
        let time = Timestamp::from_millis(self.position.cast_signed());
        Told {
            position: Some(self.position),
            inserted: self.position,
            version: before as u64 + 1,
            time,
            event,
            is_audited: false,
        }
    }

    pub(crate) fn course(&mut self, terms: Course) {
        let edu_no = terms.edu_no.get();
        let before = self.reservation.courses.get(&edu_no).map_or(0, Vec::len);
        let event = match (before, terms.status) {
            (0, _) => Event::CourseOpened(terms),
            (_, CourseStatus::Started) => Event::CourseStarted(terms),
            _ => Event::CourseChanged(terms),
        };
        let told = self.next(before, event);
        self.reservation.courses.entry(edu_no).or_default().push(told);
    }

    pub(crate) fn member(&mut self, member: u64, event: Event) {
        let told = self.next(self.member.members.get(&member).map_or(0, Vec::len), event);
        self.member.members.entry(member).or_default().push(told);
    }

    pub(crate) fn start_course(&mut self, edu_no: u64) {
        let terms = self.reservation.courses[&edu_no][0].event.course().unwrap().clone();
        self.course(Course { status: CourseStatus::Started, ..terms });
    }

    pub(crate) fn order(&mut self, order: u64, event: Event) {
        let told = self.next(self.order.of(order).len(), event);
        self.order.orders.entry(order).or_default().push(told);
    }

    pub(crate) fn reserve(&mut self, order: u64, event: Event) {
        let told = self.next(self.reservation.of(order).len(), event);
        self.reservation.orders.entry(order).or_default().push(told);
    }

    pub(crate) fn pay(&mut self, order: u64, event: Event) {
        let told = self.next(self.pay.of(order).len(), event);
        self.pay.orders.entry(order).or_default().push(told);
    }

    pub(crate) fn pay_and_order(&mut self, order: u64, edu_no: u64, guests: u64) {
        self.order(order, ordered(order, edu_no, guests));
        self.pay_past_order(order, edu_no, guests);
    }

    pub(crate) fn pay_past_order(&mut self, order: u64, edu_no: u64, guests: u64) {
        let amount = amount(guests);
        let paid = Paid {
            applicant: applicant(order, edu_no, guests),
            amount,
            card_last4: Some("1234".to_owned()),
            transaction_id: Some(format!("sandbox-{order}-1")),
            paid_at: Timestamp::from_millis(1),
        };
        self.pay(order, Event::Paid(paid));
        let charged = amount.as_i64();
        let balance = Balance { charged, outstanding: vec![format!("{order}-1")], ..Balance::default() };
        self.gateway.insert(order, balance);
    }

    /// The whole end of an order that was paid, its reservation ending as `ending` says.
    pub(crate) fn leave(&mut self, order: u64, ending: Event) {
        let applicant = ending.applicant().unwrap().clone();
        let guests = applicant.guest.get();
        self.order(order, order_canceled(order, applicant.edu_no.get(), guests));
        self.reserve(order, ending);
        let refunded_at = Timestamp::from_millis(2);
        self.pay(
            order,
            Event::PaymentCanceled(PaymentCanceled { applicant, amount: amount(guests), refunded_at }),
        );
        let balance = self.gateway.get_mut(&order).unwrap();
        balance.refunded = balance.charged;
        balance.outstanding.clear();
    }

    /// Everything else as it follows from the histories.
    fn facts(self) -> Facts {
        let mut facts = Facts {
            order: OrderStore { history: self.order, ..OrderStore::default() },
            pay: PayStore { history: self.pay, ..PayStore::default() },
            gateway: self.gateway,
            reservation: ReservationStore { history: self.reservation, ..ReservationStore::default() },
            notification: NotificationStore::default(),
            inbox: [].into(),
            information: InformationStore::default(),
            member: MemberStore { history: self.member, ..MemberStore::default() },
            log: None,
            recent: Recent::new(Timestamp::from_millis(1_000_000_000), Duration::ZERO),
        };
        derived::tables(&mut facts);
        let seats = facts.reservation.courses.iter().map(|(edu_no, row)| {
            let of_course =
                facts.reservation.reservations.values().filter(|held| held.edu_no == *edu_no as i64);
            let mut seats = Seats { capacity: row.capacity, ..Seats::default() };
            for held in of_course {
                match held.status.as_str() {
                    "Waitlisted" => seats.waiting += 1,
                    "Reservation Confirmed" | "Reservation Requested" => seats.taken += held.guest,
                    _ => {}
                }
            }
            (*edu_no, seats)
        });
        facts.reservation.seats = seats.collect();
        let mut messages = Vec::new();
        for (context, history) in facts.histories() {
            for (order, told) in &history.orders {
                messages.extend(told.iter().map(|told| Message {
                    id: format!("{context}:{order}:{}", told.version),
                    order: *order,
                    customer: told.event.applicant().and_then(|one| one.customer_id).map(CustomerId::get),
                    status: "Sent".to_owned(),
                    changed_at: told.time,
                    is_emptied: false,
                }));
            }
        }
        facts.inbox = messages.iter().map(|message| (message.id.clone(), 1)).collect();
        facts.notification.tallies = [("Sent".to_owned(), messages.len() as i64)].into();
        facts.notification.messages = messages;
        facts
    }
}

pub(crate) fn applicant(order: u64, edu_no: u64, guests: u64) -> Applicant {
    Applicant {
        order_id: OrderId::parse(order).unwrap(),
        customer_id: Some(CustomerId::parse(7).unwrap()),
        edu_no: EduNo::parse(edu_no).unwrap(),
        guest: Guests::parse(guests).unwrap(),
        language: Language::Ko,
    }
}

fn amount(guests: u64) -> Won {
    Won::amount(FEE as u64 * guests).unwrap()
}

fn course(edu_no: u64, capacity: u32, status: CourseStatus) -> Course {
    Course {
        edu_no: EduNo::parse(edu_no).unwrap(),
        title: format!("Course {edu_no}"),
        capacity,
        fee: Won::fee(FEE as u64).unwrap(),
        approval: Approval::Automatic,
        starts_at: Timestamp::from_millis(0),
        ends_at: Timestamp::from_millis(1),
        status,
        managers: vec![],
    }
}

pub(crate) fn ordered(order: u64, edu_no: u64, guests: u64) -> Event {
    Event::Ordered(Ordered {
        applicant: applicant(order, edu_no, guests),
        amount: amount(guests),
        card_last4: Some("1234".to_owned()),
        course_title: format!("Course {edu_no}"),
        ordered_at: Timestamp::from_millis(0),
        due_at: None,
    })
}

pub(crate) fn order_canceled(order: u64, edu_no: u64, guests: u64) -> Event {
    let applicant = applicant(order, edu_no, guests);
    Event::OrderCanceled(OrderCanceled { applicant, reason: CancelReason::Customer })
}

pub(crate) fn reserved(order: u64, edu_no: u64, guests: u64, status: ReservationStatus) -> Event {
    let waiting_position = (status == ReservationStatus::Waitlisted).then_some(1);
    let applicant = applicant(order, edu_no, guests);
    Event::Reserved(Reserved { applicant, status, waiting_position, reserved_at: Timestamp::from_millis(0) })
}

pub(crate) fn canceled(order: u64, edu_no: u64, guests: u64) -> Event {
    let applicant = applicant(order, edu_no, guests);
    Event::ReservationCanceled(ReservationCanceled { applicant, reason: CancelReason::Customer })
}

/// The stores of a system that has just been made, in `folder`.
pub(crate) fn stores_in(folder: &std::path::Path) -> crate::Stores {
    use crate::stores::{Place, known};
    if Engine::current() == Engine::Postgres {
        let url = database();
        for label in crate::LABELS {
            let (database, _) = known(label).unwrap();
            let client = store::native::connect(&url, label).unwrap();
            Store::over_postgres(client, Address::of(label, &url)).migrate(database).unwrap();
        }
        return crate::Stores::new(|_| Ok(Place::Postgres(url.clone()))).unwrap();
    }
    std::fs::create_dir_all(folder.join(".spin")).unwrap();
    let stores =
        crate::Stores::new(|label| Ok(Place::File(folder.join(".spin").join(format!("{label}.db")))))
            .unwrap();
    for label in crate::LABELS {
        Store::file(stores.path(label).unwrap(), known(label).unwrap().0).unwrap();
    }
    stores
}

/// The address of a database of a test's own, in which nothing is. It goes with the server of the tests.
pub(crate) fn database() -> String {
    let address = Engine::Postgres.run(|| {
        let (database, _) = crate::stores::known("inbox").unwrap();
        let store = Store::new(database);
        store.run("DROP SCHEMA inbox CASCADE", &[]).unwrap();
        store.address(database).unwrap()
    });
    let url = address.url().to_owned();
    std::mem::forget(address);
    url
}

/// Fills a page in the middle of a store with one byte, as a failing disk would.
pub(crate) fn damage(stores: &crate::Stores, label: &'static str, byte: u8) {
    const PAGE: usize = 4096;
    let rows = "CREATE TABLE ballast (text);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
            INSERT INTO ballast SELECT hex(randomblob(50)) FROM n";
    stores.open(label).unwrap().run(rows).unwrap();
    let path = stores.path(label).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let last_page = bytes.len() - PAGE;
    bytes[last_page..].fill(byte);
    std::fs::write(path, bytes).unwrap();
}
