//! What `reservation` reacts to, and what it does as time goes by.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `Paid` | `pay` | a seat, or a place in line, or a refusal with its reason |
//! | `OrderCanceled` | `order` | the seat becomes free, and whoever waits moves up |
//! | `CourseStarted`, `CourseFinished`, `CourseCanceled` | itself | whoever is left over is released, in chunks |
//!
//! On a tick it also opens the demonstration courses, starts and finishes courses whose time has come, and
//! finishes what an earlier decision left for later.

use crate::domain::Command;
use crate::store::{Asked, DATABASE, Undecided, carry_out, duties};
use crate::{OFFICE, OUTBOX, demo};
use ::store::Storage;
use eventlog::{Consumer, Drained, Envelope, Unhandled, Wake};
use kernel::event::Event;
use kernel::{CourseStatus, EduNo, Timestamp};
use std::collections::BTreeSet;

/// The contexts whose streams are read; `reservation` among them, since what follows from a course's end may be
/// more than one statement should hold.
const SOURCES: [&str; 3] = ["pay", "order", "reservation"];

/// Does everything that a message calls for.
pub(crate) async fn wake(message: &[u8]) -> anyhow::Result<()> {
    let wake = Wake::of(message);
    let redis_url = spin_sdk::variables::get("redis_url").await?;
    let reservation = Reservation { redis_url: &redis_url };
    let drained = eventlog::drain(&redis_url, "reservation", &SOURCES, wake, &reservation).await;
    if wake == Wake::Tick {
        // Time goes on while Redis is away; what comes of it stays in the outbox.
        let caught_up = drained.as_ref().is_ok_and(has_caught_up);
        if demo::wanted().await {
            demo::open_missing(&DATABASE, Timestamp::now()).await?;
        }
        OFFICE.tick(caught_up).await?;
        OUTBOX.tick(&redis_url).await?;
    }
    drained?;
    Ok(())
}

/// Whether there is nothing left to hear of. Only then is a course started: who paid before the start is let in,
/// however late this context hears of it.
const fn has_caught_up(drained: &Drained) -> bool {
    drained.to_the_end && drained.left == 0
}

struct Reservation<'a> {
    redis_url: &'a str,
}

impl Consumer for Reservation<'_> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        if OFFICE.react(events).await? {
            // Within the same wake-up, since an instance that handles a message may end with it.
            if let Err(error) = OUTBOX.relay(self.redis_url).await {
                eprintln!("reservation: relaying: {error}; the events stay in the outbox until the tick");
            }
        }
        Ok(())
    }
}

/// Reacts to a batch as a whole, and says whether anything came of it.
pub(crate) async fn react(
    storage: &impl Storage,
    events: &[Envelope],
    now: Timestamp,
) -> Result<bool, Undecided> {
    let asked: Vec<Asked> = events
        .iter()
        .filter_map(|envelope| {
            let command = reaction(&envelope.event)?;
            Some(Asked { command, traceparent: envelope.traceparent.clone() })
        })
        .collect();
    let mut changed = !carry_out(storage, &asked, now).await?.is_empty();
    let ended: BTreeSet<EduNo> = events.iter().filter_map(|envelope| ended_course(&envelope.event)).collect();
    for edu_no in ended {
        changed |= settle(storage, edu_no, now).await?;
    }
    Ok(changed)
}

/// What an order's event asks of the desk.
fn reaction(event: &Event) -> Option<Command> {
    match event {
        Event::Paid(paid) => Some(Command::Reserve(paid.applicant.clone())),
        Event::OrderCanceled(canceled) => Some(Command::Cancel(canceled.applicant.clone(), canceled.reason)),
        _ => None,
    }
}

/// The course that some may have to be released from.
const fn ended_course(event: &Event) -> Option<EduNo> {
    match event {
        Event::CourseStarted(course) | Event::CourseFinished(course) | Event::CourseCanceled(course) => {
            Some(course.edu_no)
        }
        _ => None,
    }
}

/// Settles a course, chunk by chunk, and says whether there was anything to do.
async fn settle(storage: &impl Storage, edu_no: EduNo, now: Timestamp) -> Result<bool, Undecided> {
    let mut changed = false;
    loop {
        let asked = [Asked { command: Command::Settle(edu_no), traceparent: None }];
        if carry_out(storage, &asked, now).await?.is_empty() {
            return Ok(changed);
        }
        changed = true;
    }
}

/// Starts, finishes and settles what is due.
pub(crate) async fn do_duties(
    storage: &impl Storage,
    now: Timestamp,
    caught_up: bool,
) -> Result<(), Undecided> {
    let due = duties(storage, now).await?;
    if caught_up {
        for edu_no in due.to_start {
            advance(storage, edu_no, CourseStatus::Started, now).await?;
        }
    }
    for edu_no in due.to_finish {
        advance(storage, edu_no, CourseStatus::Finished, now).await?;
    }
    for edu_no in due.to_settle {
        settle(storage, edu_no, now).await?;
    }
    Ok(())
}

/// Another replica, or the manager, may have been faster: then there is nothing left to do.
async fn advance(
    storage: &impl Storage,
    edu_no: EduNo,
    to: CourseStatus,
    now: Timestamp,
) -> Result<(), Undecided> {
    let asked = [Asked { command: Command::Move(edu_no, to), traceparent: None }];
    match carry_out(storage, &asked, now).await {
        Ok(_) | Err(Undecided::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl From<Undecided> for Unhandled {
    fn from(undecided: Undecided) -> Self {
        match undecided {
            Undecided::Store(error) => error.into(),
            // No event is a command that the desk refuses: what cannot be done is an event of its own.
            Undecided::Refused(refusal) => Self::Poison(refusal.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::find_course;
    use crate::store::testing::{NOW, Sqlite, applicant, asked, edu, open};
    use futures::executor::block_on;
    use kernel::ReservationStatus;
    use kernel::event::{CancelReason, OrderCanceled, Paid};

    fn envelope(context: &str, event: Event) -> Envelope {
        Envelope {
            id: format!("{}:1", event.subject()),
            source_context: context.to_owned(),
            version: 1,
            subject: event.subject(),
            time: NOW,
            traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            event,
        }
    }

    fn paid(order_id: u64) -> Envelope {
        let paid = Paid {
            applicant: applicant(order_id, 101, 1),
            amount: kernel::Won::ZERO,
            card_last4: None,
            transaction_id: None,
            paid_at: NOW,
        };
        envelope("pay", Event::Paid(paid))
    }

    fn order_canceled(order_id: u64) -> Envelope {
        let canceled =
            OrderCanceled { applicant: applicant(order_id, 101, 1), reason: CancelReason::Customer };
        envelope("order", Event::OrderCanceled(canceled))
    }

    fn own(store: &Sqlite) -> Vec<Envelope> {
        let rows = store.run("SELECT type, data FROM events ORDER BY seq", &[]).unwrap();
        rows.iter()
            .map(|row| {
                envelope("reservation", Event::parse(row.text(0).unwrap(), row.text(1).unwrap()).unwrap())
            })
            .collect()
    }

    fn status_of_course(store: &Sqlite) -> CourseStatus {
        block_on(find_course(store, edu(101))).unwrap().unwrap().course.terms.status
    }

    #[test]
    fn a_batch_of_events_is_one_decision() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 2)]).unwrap();
        let batch = [paid(1), paid(2), paid(3), order_canceled(1), order_canceled(4), paid(4)];
        assert!(block_on(react(&store, &batch, NOW)).unwrap());
        assert_eq!(store.status(1), ReservationStatus::ReservationCanceled);
        assert_eq!(store.status(3), ReservationStatus::ReservationConfirmed);
        assert_eq!(store.status(4), ReservationStatus::ReservationCanceled);
        assert_eq!(store.number("SELECT seats_version FROM courses"), 1);
    }

    #[test]
    fn events_heard_again_in_any_order_change_nothing() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        let mut batch = vec![paid(1), paid(2), order_canceled(1)];
        block_on(react(&store, &batch, NOW)).unwrap();
        batch.reverse();
        assert!(!block_on(react(&store, &batch, NOW)).unwrap());
        assert!(!block_on(react(&store, &own(&store), NOW)).unwrap());
    }

    #[test]
    fn the_trace_of_a_payment_goes_on_with_its_reservation() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        block_on(react(&store, &[paid(1)], NOW)).unwrap();
        assert_eq!(store.number("SELECT count(*) FROM events WHERE traceparent LIKE '00-4bf9%'"), 1);
    }

    #[test]
    fn a_canceled_course_releases_everyone_once_its_event_has_come_round() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        block_on(react(&store, &[paid(1), paid(2)], NOW)).unwrap();
        store.do_all(&[Command::Move(edu(101), CourseStatus::CourseCanceled)]).unwrap();
        assert_eq!(store.status(1), ReservationStatus::ReservationConfirmed);
        assert!(block_on(react(&store, &own(&store), NOW)).unwrap());
        assert_eq!(store.status(1), ReservationStatus::ReservationCanceled);
        assert_eq!(store.status(2), ReservationStatus::ReservationCanceled);
    }

    #[test]
    fn a_course_starts_and_finishes_by_itself_and_leaves_nobody_waiting() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        block_on(react(&store, &[paid(1), paid(2)], NOW)).unwrap();
        block_on(do_duties(&store, NOW.plus_minutes(59), true)).unwrap();
        assert_eq!(status_of_course(&store), CourseStatus::Open);
        for _tick in 0..2 {
            block_on(do_duties(&store, NOW.plus_minutes(60), true)).unwrap();
        }
        assert_eq!(status_of_course(&store), CourseStatus::Started);
        assert_eq!(store.status(2), ReservationStatus::ReservationRejected);
        block_on(do_duties(&store, NOW.plus_minutes(120), true)).unwrap();
        assert_eq!(status_of_course(&store), CourseStatus::Finished);
        assert_eq!(store.status(1), ReservationStatus::ReservationConfirmed);
    }

    #[test]
    fn no_course_starts_while_there_are_payments_left_to_hear_of() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        block_on(do_duties(&store, NOW.plus_minutes(60), false)).unwrap();
        assert_eq!(status_of_course(&store), CourseStatus::Open);
    }

    #[test]
    fn a_course_that_another_replica_has_just_started_is_no_failure() {
        let store = Sqlite::new();
        store.do_all(&[open(101, 1)]).unwrap();
        store.overtake_with(asked(&[Command::Move(edu(101), CourseStatus::Started)]));
        block_on(do_duties(&store, NOW.plus_minutes(60), true)).unwrap();
        assert_eq!(status_of_course(&store), CourseStatus::Started);
    }

    #[test]
    fn whoever_left_something_or_had_no_time_for_it_has_not_caught_up() {
        let drained = |to_the_end, left| Drained { to_the_end, left, ..Drained::default() };
        assert!(has_caught_up(&drained(true, 0)));
        assert!(!has_caught_up(&drained(true, 1)) && !has_caught_up(&drained(false, 0)));
    }
}
