//! What `pay` reacts to.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `ReservationCanceled`, `ReservationRejected` | `reservation` | what was paid is given back; what was not can never be paid |
//!
//! Both are the end of an order, so that it does not matter how often, in which order, or how late they come: an order
//! that is closed is left as it is. That is why no version is kept of what was seen. Time demands nothing of it.

use crate::ports::Gateway;
use crate::service::{Closing, NotDone, Service};
use eventlog::{Envelope, Unhandled, Worker};
use journal::Tell;
use kernel::Timestamp;
use kernel::event::Event;
use std::collections::BTreeMap;
use store::Storage;

impl<G: Gateway, S: Storage, T: Tell> Worker for Service<G, S, T> {
    const NAME: &'static str = "pay";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        self.close(&closings(events)).await.map_err(|not_done| match not_done {
            NotDone::Store(error) => error.into(),
            passing => Unhandled::Later(passing.to_string()),
        })
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        let kept_from = Timestamp::now().plus_days(-i64::from(self.contract_records_days));
        Ok(journal::anonymise(&self.journal.storage, kept_from).await?)
    }
}

/// The orders that these events end, each once.
fn closings(events: &[Envelope]) -> Vec<Closing> {
    let mut closings = BTreeMap::new();
    for Envelope { event, traceparent, .. } in events {
        let applicant = match event {
            Event::ReservationCanceled(canceled) => &canceled.applicant,
            Event::ReservationRejected(rejected) => &rejected.applicant,
            _ => continue,
        };
        closings
            .entry(applicant.order_id)
            .or_insert_with(|| Closing { applicant: applicant.clone(), traceparent: traceparent.clone() });
    }
    closings.into_values().collect()
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::{Fate, World, run, service};
    use kernel::event::{
        Applicant, CancelReason, ReservationCanceled, ReservationConfirmed, ReservationRejected,
    };
    use kernel::{EduNo, Guests, Language, OrderId, Timestamp};

    fn applicant(order_id: u64) -> Applicant {
        Applicant {
            order_id: OrderId::parse(order_id).unwrap(),
            customer_id: None,
            edu_no: EduNo::parse(101).unwrap(),
            guest: Guests::ONE,
            language: Language::Ko,
        }
    }

    fn envelope(event: Event) -> Envelope {
        Envelope::new("reservation", 1, Timestamp::from_millis(0), event)
    }

    fn canceled(order_id: u64) -> Envelope {
        let reason = CancelReason::Customer;
        envelope(Event::ReservationCanceled(ReservationCanceled { applicant: applicant(order_id), reason }))
    }

    fn rejected(order_id: u64) -> Envelope {
        let reason = "full".to_owned();
        envelope(Event::ReservationRejected(ReservationRejected { applicant: applicant(order_id), reason }))
    }

    #[test]
    fn the_end_of_a_reservation_closes_the_order_once_however_often_it_is_told() {
        let world = World::default();
        let told = [canceled(1), canceled(1), rejected(2), rejected(1)];
        for _twice in 0..2 {
            run(service(&world).handle(&told)).unwrap();
        }
        assert_eq!(world.events(), ["PaymentCanceled", "PaymentCanceled"]);
    }

    #[test]
    fn what_is_no_end_is_nothing_to_pay() {
        let world = World::default();
        let confirmed = Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant(1) });
        run(service(&world).handle(&[envelope(confirmed)])).unwrap();
        assert!(world.events().is_empty());
    }

    #[test]
    fn a_gateway_that_does_not_answer_leaves_the_event_for_later() {
        let world = World::default();
        world.fates.borrow_mut().push_back(Fate::AnswerLost);
        let left = run(service(&world).handle(&[canceled(1)]));
        assert!(matches!(left, Err(Unhandled::Later(_))));
        run(service(&world).handle(&[canceled(1)])).unwrap();
        assert_eq!(world.events(), ["PaymentCanceled"]);
    }
}
