//! The desk in a few words, on a store in memory: for the tests.

use super::*;
use crate::domain::{Capacity, NewCourse, Title};
use futures::executor::block_on;
use kernel::{Approval, Language};
use store::native;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

/// A store in memory.
#[derive(Clone)]
pub(crate) struct Sqlite(native::Sqlite);

impl Sqlite {
    pub(crate) fn new() -> Self {
        Self(native::Sqlite::in_memory(&DATABASE).unwrap())
    }

    /// What another replica decides just before our next decision is written.
    pub(crate) fn overtake_with(&self, asked: Vec<Asked>) {
        self.0.meanwhile(move |store| {
            let decided = native::at_once(carry_out(store, &asked, NOW));
            decided.expect("SQLite keeps nobody waiting").unwrap();
        });
    }

    pub(crate) fn run(&self, sql: &str, params: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.0.run(sql, params)
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.0.number(sql).unwrap()
    }

    pub(crate) fn pauses(&self) -> u64 {
        self.0.pauses()
    }

    pub(crate) fn do_all(&self, commands: &[Command]) -> Result<Vec<Decided>, Undecided> {
        block_on(carry_out(self, &asked(commands), NOW))
    }

    pub(crate) fn seats(&self, edu_no: u64) -> (u32, u64) {
        let course = block_on(find_course(self, edu(edu_no))).unwrap().unwrap().course;
        (course.taken, course.waiting)
    }

    pub(crate) fn status(&self, order_id: u64) -> ReservationStatus {
        self.reservation(order_id).reservation.status
    }

    pub(crate) fn reservation(&self, order_id: u64) -> ListedReservation {
        block_on(find_reservation(self, order(order_id))).unwrap().unwrap()
    }
}

impl Storage for Sqlite {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        self.0.query(sql, params).await
    }

    async fn pause(&self, attempt: u64) {
        self.0.pause(attempt).await;
    }
}

pub(crate) fn asked(commands: &[Command]) -> Vec<Asked> {
    commands.iter().map(|command| Asked { command: command.clone(), traceparent: None }).collect()
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

pub(crate) fn open(edu_no: u64, capacity: u64) -> Command {
    Command::Open(
        edu(edu_no),
        NewCourse {
            title: Title::parse("러스트 입문").unwrap(),
            capacity: Capacity::parse(capacity).unwrap(),
            fee: Won::fee(50_000).unwrap(),
            approval: Approval::Automatic,
            starts_at: NOW.plus_minutes(60),
            ends_at: NOW.plus_minutes(120),
        },
    )
}
