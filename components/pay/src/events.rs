//! What `pay` reacts to.
//!
//! | event | from | reaction |
//! |---|---|---|
//! | `ReservationCanceled`, `ReservationRejected` | `reservation` | what was paid is given back; what was not can never be paid |
//!
//! Both are the end of an order, so that it does not matter how often, in which order, or how late they come:
//! an order that is closed is left as it is. That is why no version is kept of what was seen.

use crate::cashier::{Cashier, Gateway, NotClosed, Payments, Wish};
use crate::{OUTBOX, cashier};
use eventlog::{Consumer, Envelope, Unhandled, Wake};
use kernel::event::Event;
use std::collections::BTreeMap;

/// Does everything that a message calls for.
pub(crate) async fn wake(message: &[u8]) -> anyhow::Result<()> {
    let wake = Wake::of(message);
    let redis_url = spin_sdk::variables::get("redis_url").await?;
    let drained = eventlog::drain(&redis_url, "pay", &["reservation"], wake, &cashier()).await;
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
