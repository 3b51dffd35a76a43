//! What `pay` reacts to.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `ReservationCanceled`, `ReservationRejected` | `reservation` | what was paid is given back; what was not can never be paid |
//!
//! Both are the end of an order, so that it does not matter how often, in which order, or how late they come:
//! an order that is closed is left as it is. That is why no version is kept of what was seen.

use crate::cashier::{Cashier, Gateway, NotClosed, Payments, Wish};
use crate::{OUTBOX, office};
use eventlog::{Consumer, Envelope, Unhandled, Wake};
use kernel::event::Event;
use std::collections::BTreeMap;

/// Does everything that a message calls for.
pub(crate) async fn wake(message: &[u8]) -> anyhow::Result<()> {
    let wake = Wake::of(message);
    let redis_url = spin_sdk::variables::get("redis_url").await?;
    let drained = eventlog::drain(&redis_url, "pay", &["reservation"], wake, &office()).await;
    // Within the same wake-up, since an instance that handles a message may end with it.
    match wake {
        Wake::Tick => OUTBOX.tick(&redis_url).await?,
        Wake::Event if drained.as_ref().is_ok_and(|drained| drained.handled > 0) => {
            OUTBOX.relay(&redis_url).await?;
        }
        Wake::Event => {}
    }
    drained?;
    Ok(())
}

impl<G: Gateway, P: Payments> Consumer for Cashier<G, P> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let wishes = wishes(events);
        if wishes.is_empty() {
            return Ok(());
        }
        self.close(&wishes).await.map_err(|not_closed| match not_closed {
            NotClosed::GatewayUnavailable(_) => Unhandled::Later(not_closed.to_string()),
            NotClosed::Store(error) => error.into(),
        })
    }
}

/// The orders that these events end, each once.
fn wishes(events: &[Envelope]) -> Vec<Wish> {
    let mut wishes = BTreeMap::new();
    for Envelope { event, traceparent, .. } in events {
        let applicant = match event {
            Event::ReservationCanceled(canceled) => &canceled.applicant,
            Event::ReservationRejected(rejected) => &rejected.applicant,
            _ => continue,
        };
        wishes
            .entry(applicant.order_id)
            .or_insert_with(|| Wish { applicant: applicant.clone(), traceparent: traceparent.clone() });
    }
    wishes.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cashier::tests::{Fate, World, cashier, run};
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
        Envelope {
            id: format!("{}:1", event.subject()),
            source_context: "reservation".to_owned(),
            version: 1,
            subject: event.subject(),
            time: Timestamp::from_millis(0),
            traceparent: None,
            event,
        }
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
            run(cashier(&world).handle(&told)).unwrap();
        }
        assert_eq!(*world.events.borrow(), ["PaymentCanceled", "PaymentCanceled"]);
    }

    #[test]
    fn what_is_no_end_is_nothing_to_pay() {
        let world = World::default();
        let confirmed = Event::ReservationConfirmed(ReservationConfirmed { applicant: applicant(1) });
        run(cashier(&world).handle(&[envelope(confirmed)])).unwrap();
        assert!(world.events.borrow().is_empty());
    }

    #[test]
    fn a_gateway_that_does_not_answer_leaves_the_event_for_later() {
        let world = World::default();
        world.fates.borrow_mut().push_back(Fate::AnswerLost);
        let left = run(cashier(&world).handle(&[canceled(1)]));
        assert!(matches!(left, Err(Unhandled::Later(_))));
        run(cashier(&world).handle(&[canceled(1)])).unwrap();
        assert_eq!(*world.events.borrow(), ["PaymentCanceled"]);
    }
}
