//! What `reservation` reacts to, and what it does as time goes by.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `Paid` | `pay` | a seat, or a place on the waiting list, or a refusal with its reason |
//! | `OrderCanceled` | `order` | the seat becomes free, and whoever waits moves up |
//! | `CourseStarted`, `CourseFinished`, `CourseCanceled` | itself | whoever is left over is released, in as many decisions as it takes |
//!
//! On a tick it also opens the demonstration courses, starts and finishes courses whose time has come, and
//! finishes what an earlier decision left for later.
//!
//! An order has one reservation, and what ended stays ended, so that it does not matter how often, in which order, or how
//! late the events come. That is why no version is kept of what was seen.

use crate::domain::{Changes, Command};
use crate::service::{Asked, NotDone, Service};
use crate::store;
use ::store::Storage;
use eventlog::{Envelope, Unhandled, Worker};
use journal::Tell;
use kernel::event::Event;
use kernel::{CourseStatus, EduNo, Timestamp};
use std::collections::BTreeSet;

impl<S: Storage, T: Tell> Worker for Service<S, T> {
    const NAME: &'static str = "reservation";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        Ok(self.react(events, Timestamp::now()).await?)
    }

    async fn tick(&self, caught_up: bool) -> anyhow::Result<()> {
        self.open_demo_courses().await?;
        let now = Timestamp::now();
        self.do_duties(now, caught_up).await?;
        let kept_from = now.plus_days(-i64::from(self.contract_records_days));
        Ok(journal::anonymise(&self.journal.storage, kept_from).await?)
    }
}

impl<S: Storage, T: Tell> Service<S, T> {
    /// Reacts to a batch as a whole.
    async fn react(&self, events: &[Envelope], now: Timestamp) -> Result<(), NotDone> {
        let asked: Vec<Asked> = events
            .iter()
            .filter_map(|envelope| {
                let command = reaction(&envelope.event)?;
                Some(Asked { command, traceparent: envelope.traceparent.clone() })
            })
            .collect();
        if !asked.is_empty() {
            self.carry_out(&asked, now).await?;
        }
        let ended: BTreeSet<EduNo> =
            events.iter().filter_map(|envelope| ended_course(&envelope.event)).collect();
        for edu_no in ended {
            self.settle(edu_no, now).await?;
        }
        Ok(())
    }

    /// Settles a course, in as many decisions as it takes.
    async fn settle(&self, edu_no: EduNo, now: Timestamp) -> Result<(), NotDone> {
        while !self.carry_out(&[Command::Settle(edu_no).into()], now).await?.is_empty() {}
        Ok(())
    }

    /// Starts, finishes and settles what is due. A course is started only once there is nothing left to hear of: who paid
    /// before the start is let in, however late this context hears of it.
    async fn do_duties(&self, now: Timestamp, caught_up: bool) -> Result<(), NotDone> {
        let due = store::duties(&self.journal.storage, now).await?;
        if caught_up {
            for edu_no in due.to_start {
                self.move_on(edu_no, CourseStatus::Started, now).await?;
            }
        }
        for edu_no in due.to_finish {
            self.move_on(edu_no, CourseStatus::Finished, now).await?;
        }
        for edu_no in due.to_settle {
            self.settle(edu_no, now).await?;
        }
        if due.to_forget {
            journal::keys::forget(&self.journal.storage, now).await?;
        }
        Ok(())
    }

    /// Another replica, or the manager, may have been faster: then there is nothing left to do.
    async fn move_on(&self, edu_no: EduNo, to: CourseStatus, now: Timestamp) -> Result<(), NotDone> {
        match self.carry_out(&[Command::Change(edu_no, Changes::to(to)).into()], now).await {
            Ok(_) | Err(NotDone::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What an order's event asks for.
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

impl From<NotDone> for Unhandled {
    fn from(not_done: NotDone) -> Self {
        match not_done {
            NotDone::Store(error) => error.into(),
            // No event is a command that is refused: what cannot be done is an event of its own.
            other => Self::Poison(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Reservation, applicant, moved, open, service};
    use futures::executor::block_on;
    use kernel::ReservationStatus;
    use kernel::event::{CancelReason, OrderCanceled, Paid};

    fn envelope(context: &str, event: Event) -> Envelope {
        let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
        Envelope { traceparent, ..Envelope::new(context, 1, NOW, event) }
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

    fn own(service: &Reservation) -> Vec<Envelope> {
        service.events().into_iter().map(|(_, event)| envelope("reservation", event)).collect()
    }

    fn react(service: &Reservation, events: &[Envelope]) {
        block_on(service.react(events, NOW)).unwrap();
    }

    fn tick(service: &Reservation, minutes: i64, caught_up: bool) {
        block_on(service.do_duties(NOW.plus_minutes(minutes), caught_up)).unwrap();
    }

    #[test]
    fn a_batch_of_events_is_one_decision() {
        let service = service();
        service.do_all(&[open(101, 2)]).unwrap();
        let batch = [paid(1), paid(2), paid(3), order_canceled(1), order_canceled(4), paid(4)];
        let statements = service.store().statements();
        react(&service, &batch);
        assert_eq!(service.store().statements() - statements, 2, "one to load, one to commit");
        assert_eq!(service.status(1), ReservationStatus::ReservationCanceled);
        assert_eq!(service.status(3), ReservationStatus::ReservationConfirmed);
        assert_eq!(service.status(4), ReservationStatus::ReservationCanceled);
    }

    #[test]
    fn events_heard_again_in_any_order_change_nothing() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        let mut batch = vec![paid(1), paid(2), order_canceled(1)];
        react(&service, &batch);
        let decided = service.events();
        batch.reverse();
        react(&service, &batch);
        react(&service, &own(&service));
        assert_eq!(service.events(), decided);
    }

    #[test]
    fn the_trace_of_a_payment_goes_on_with_its_reservation() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        react(&service, &[paid(1)]);
        assert_eq!(service.number("SELECT count(*) FROM events WHERE traceparent LIKE '00-4bf9%'"), 1);
    }

    #[test]
    fn a_canceled_course_releases_everyone_once_its_event_has_come_round() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        react(&service, &[paid(1), paid(2)]);
        service.do_all(&[moved(101, CourseStatus::CourseCanceled)]).unwrap();
        assert_eq!(service.status(1), ReservationStatus::ReservationConfirmed);
        react(&service, &own(&service));
        assert_eq!(service.status(1), ReservationStatus::ReservationCanceled);
        assert_eq!(service.status(2), ReservationStatus::ReservationCanceled);
    }

    #[test]
    fn a_course_starts_and_finishes_by_itself_and_leaves_nobody_waiting() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        react(&service, &[paid(1), paid(2)]);
        tick(&service, 59, true);
        assert_eq!(service.course_status(101), CourseStatus::Open);
        for _tick in 0..2 {
            tick(&service, 60, true);
        }
        assert_eq!(service.course_status(101), CourseStatus::Started);
        assert_eq!(service.status(2), ReservationStatus::ReservationRejected);
        tick(&service, 120, true);
        assert_eq!(service.course_status(101), CourseStatus::Finished);
        assert_eq!(service.status(1), ReservationStatus::ReservationConfirmed);
    }

    #[test]
    fn no_course_starts_while_there_are_payments_left_to_hear_of() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        tick(&service, 60, false);
        assert_eq!(service.course_status(101), CourseStatus::Open);
    }

    #[test]
    fn a_course_that_another_replica_has_just_started_is_no_failure() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        service.meanwhile(&[moved(101, CourseStatus::Started)]);
        tick(&service, 60, true);
        assert_eq!(service.course_status(101), CourseStatus::Started);
    }

    #[test]
    fn a_tick_with_nothing_to_do_is_one_statement() {
        let service = service();
        service.do_all(&[open(101, 1)]).unwrap();
        let statements = service.store().statements();
        tick(&service, 0, true);
        assert_eq!(service.store().statements() - statements, 1);
    }
}
