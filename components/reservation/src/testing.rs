//! The service in a few words, on a store of the tests' own: for the tests.

use crate::domain::{Capacity, Changes, Command, Decided, Managers, NewCourse, Title};
use crate::service::{Asked, NotDone, Service};
use crate::store::{DATABASE, ListedReservation, find_course, find_reservation};
use ::store::native::{Store, at_once};
use futures::executor::block_on;
use journal::{Journal, Tell, history};
use kernel::event::{Applicant, Event};
use kernel::{
    Approval, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, ReservationStatus, Timestamp, Won,
};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

/// Nobody is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nobody;

impl Tell for Nobody {
    fn committed(&self) {}
}

pub(crate) type Reservation = Service<Store, Nobody>;

/// A service with an empty store.
pub(crate) fn service() -> Reservation {
    over(Store::new(&DATABASE))
}

/// A service with this store.
pub(crate) fn over(storage: Store) -> Reservation {
    Service { journal: Journal { storage, tell: Nobody }, demo_courses: false, contract_records_days: 1827 }
}

impl Reservation {
    pub(crate) fn store(&self) -> &Store {
        &self.journal.storage
    }

    /// What another replica does just before our next decision is committed.
    pub(crate) fn meanwhile(&self, commands: &[Command]) {
        let commands = commands.to_vec();
        self.store().meanwhile(move |store| {
            let other = over(store.clone());
            at_once(other.carry_out(&asked(&commands), NOW))
                .expect("no store keeps anybody waiting")
                .unwrap();
        });
    }

    pub(crate) fn do_all(&self, commands: &[Command]) -> Result<Vec<Decided>, NotDone> {
        block_on(self.carry_out(&asked(commands), NOW))
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.store().number(sql).unwrap()
    }

    pub(crate) fn seats(&self, edu_no: u64) -> (u32, u64) {
        let course = block_on(find_course(self.store(), edu(edu_no))).unwrap().unwrap();
        (course.taken, course.waiting)
    }

    pub(crate) fn course_status(&self, edu_no: u64) -> CourseStatus {
        block_on(find_course(self.store(), edu(edu_no))).unwrap().unwrap().terms.status
    }

    pub(crate) fn status(&self, order_id: u64) -> ReservationStatus {
        self.reservation(order_id).reservation.status
    }

    pub(crate) fn reservation(&self, order_id: u64) -> ListedReservation {
        block_on(find_reservation(self.store(), order(order_id))).unwrap().unwrap()
    }

    /// Everything that was ever decided, with its versions.
    pub(crate) fn events(&self) -> Vec<(u64, Event)> {
        let rows =
            self.store().run("SELECT version, type, data FROM projection ORDER BY position", &[]).unwrap();
        rows.iter().map(|row| (row.count("version").unwrap(), history(row).unwrap())).collect()
    }
}

fn asked(commands: &[Command]) -> Vec<Asked> {
    commands.iter().cloned().map(Asked::from).collect()
}

pub(crate) fn edu(number: u64) -> EduNo {
    EduNo::parse(number).unwrap()
}

pub(crate) fn order(number: u64) -> OrderId {
    OrderId::parse(number).unwrap()
}

pub(crate) fn applicant(order_id: u64, edu_no: u64, guests: u64) -> Applicant {
    Applicant {
        order_id: order(order_id),
        customer_id: Some(CustomerId::parse(7).unwrap()),
        edu_no: edu(edu_no),
        guest: Guests::parse(guests).unwrap(),
        language: Language::En,
    }
}

pub(crate) fn new_course(capacity: u64, approval: Approval) -> NewCourse {
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

pub(crate) fn open(edu_no: u64, capacity: u64) -> Command {
    Command::Open(edu(edu_no), new_course(capacity, Approval::Automatic))
}

pub(crate) fn moved(edu_no: u64, to: CourseStatus) -> Command {
    Command::Change(edu(edu_no), Changes::to(to))
}

pub(crate) fn confirm(order_id: u64) -> Command {
    Command::Judge(order(order_id), ReservationStatus::ReservationConfirmed)
}

pub(crate) fn reject(order_id: u64) -> Command {
    Command::Judge(order(order_id), ReservationStatus::ReservationRejected)
}
