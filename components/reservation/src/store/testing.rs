//! A SQLite of the tests' own, with the features that the embedded host builds it with, behind the same trait as
//! the store: the statements that run in production run here.

use super::*;
use crate::domain::{Capacity, NewCourse, Title};
use futures::executor::block_on;
use kernel::{Approval, Language};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::cell::RefCell;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

/// A store in memory, and what another replica does between our reading and our writing.
pub(crate) struct Sqlite {
    connection: rusqlite::Connection,
    meanwhile: RefCell<Vec<Vec<Asked>>>,
    pub(super) pauses: RefCell<u64>,
}

impl Sqlite {
    pub(crate) fn new() -> Self {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        for statement in schema::SCHEMA.iter().chain(schema::SCHEMA) {
            connection.execute_batch(statement).unwrap();
        }
        Self { connection, meanwhile: RefCell::default(), pauses: RefCell::default() }
    }

    /// What another replica decides just before our next decision is written.
    pub(crate) fn overtake_with(&self, asked: Vec<Asked>) {
        self.meanwhile.borrow_mut().push(asked);
    }

    pub(crate) fn run(&self, sql: &str, params: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let params = rusqlite::params_from_iter(params.iter().map(Parameter));
        let rows = statement.query_map(params, |row| {
            (0..columns)
                .map(|i| row.get_ref(i).map(from_sqlite))
                .collect::<rusqlite::Result<Vec<_>>>()
                .map(Row::of)
        })?;
        rows.collect()
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.run(sql, &[]).unwrap()[0].int(0).unwrap()
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

struct Parameter<'a>(&'a Value);

impl rusqlite::ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Real(number) => ValueRef::Real(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Null => ValueRef::Null,
        }))
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    }
}

impl Storage for Sqlite {
    async fn query(&self, sql: &str, params: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        if sql.starts_with("INSERT INTO decisions") {
            // Taken away while the others write, so that nobody overtakes them in turn.
            let mut waiting = self.meanwhile.take();
            if let Some(others) = waiting.pop() {
                Box::pin(carry_out(self, &others, NOW)).await.unwrap();
            }
            self.meanwhile.replace(waiting);
        }
        // As Spin passes it on: SQLite's message as text.
        self.run(sql, &params).map_err(|e| spin_sdk::sqlite::Error::Io(e.to_string()).into())
    }

    async fn pause(&self, _attempt: u64) {
        *self.pauses.borrow_mut() += 1;
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
