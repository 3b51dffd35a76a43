//! The journal over a small context: people take seats in courses, and leave the number of a card.

mod conflicts;
mod decisions;
mod locks;
mod outbox;
mod retention;

use crate::{Decision, Journal, Tell, expectation, history, programs, tables};
use kernel::event::{Applicant, Event, ReservationConfirmed, ReservationRejected};
use kernel::{EduNo, Guests, Language, OrderId, Timestamp};
use std::cell::Cell;
use std::rc::Rc;
use store::native::{Store, at_once};
use store::{Database, Schema, Statement, StoreError};

const COURSES: &str = "CREATE TABLE courses (edu_no INTEGER PRIMARY KEY, capacity INTEGER NOT NULL)";

/// A list: who has a seat.
const SEATS: &str = "CREATE TABLE seats (
    edu_no INTEGER PRIMARY KEY,
    taken INTEGER NOT NULL,
    version INTEGER NOT NULL,
    last TEXT NOT NULL,
    CONSTRAINT enough_seats CHECK (taken <= 2)
)";

/// What is in no event.
const CARDS: &str =
    "CREATE TABLE cards (order_id INTEGER PRIMARY KEY, card TEXT NOT NULL CHECK (card <> ''))";

const SEAT_TAKEN: &str = "CREATE TRIGGER project_confirmed INSTEAD OF INSERT ON projection
    WHEN NEW.type = 'ReservationConfirmed' BEGIN
    INSERT INTO seats (edu_no, taken, version, last)
        VALUES (CAST(NEW.data ->> 'eduNo' AS BIGINT), 1, NEW.position, NEW.subject || ' at ' || NEW.time)
        ON CONFLICT (edu_no) DO UPDATE SET taken = seats.taken + 1, version = excluded.version, last = excluded.last
        WHERE seats.version < excluded.version;
END";

const CARD_LEFT: &str = "CREATE TRIGGER card_left INSTEAD OF INSERT ON decisions WHEN NEW.kind = 'card' BEGIN
    INSERT INTO cards (order_id, card) VALUES (CAST(NEW.subject AS BIGINT), NEW.data ->> 'card');
END";

static SCHEMA: Schema = Schema {
    version: 1,
    oldest_code: 1,
    tables: &[tables::EVENTS, tables::LOG, tables::LOG_BEGINS, COURSES, SEATS, CARDS],
    steps: &[],
    programs: &[
        programs::DECISIONS,
        programs::APPEND_EVENT,
        programs::PROJECTION,
        expectation!(
            "seats",
            "SELECT version FROM seats WHERE edu_no = CAST(NEW.subject AS BIGINT)",
            "FOR UPDATE"
        ),
        SEAT_TAKEN,
        CARD_LEFT,
    ],
};
static DATABASE: Database = Database::new("test", &SCHEMA);

/// Counts how often it was told.
#[derive(Clone, Default)]
struct Told(Rc<Cell<usize>>);

impl Tell for Told {
    fn committed(&self) {
        self.0.set(self.0.get() + 1);
    }
}

fn journal() -> Journal<Store, Told> {
    Journal { storage: Store::new(&DATABASE), tell: Told::default() }
}

impl Journal<Store, Told> {
    /// Carries out what is decided without loading anything.
    fn commit(&self, decide: impl Fn(&mut Decision)) -> Result<(), StoreError> {
        let carried_out = self.carry_out(async |_| {
            let mut decision = Decision::new();
            decide(&mut decision);
            Ok::<_, StoreError>((decision, ()))
        });
        at_once(carried_out).unwrap()
    }

    fn told(&self) -> usize {
        self.tell.0.get()
    }

    fn count(&self, table: &str) -> i64 {
        self.storage.number(&format!("SELECT count(*) FROM {table}")).unwrap()
    }
}

fn applicant(order: u64, course: u64) -> Applicant {
    Applicant {
        order_id: OrderId::parse(order).unwrap(),
        customer_id: None,
        edu_no: EduNo::parse(course).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    }
}

fn confirmed(order: u64, course: u64) -> Event {
    Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant(order, course) })
}

fn rejected(order: u64, reason: &str) -> Event {
    Event::ReservationRejected(ReservationRejected {
        applicant: applicant(order, 101),
        reason: reason.to_owned(),
    })
}

const fn now() -> Timestamp {
    Timestamp::from_millis(0)
}

#[test]
fn the_store_is_the_same_on_both_databases() {
    store::native::assert_same_on_both(&DATABASE);
}
