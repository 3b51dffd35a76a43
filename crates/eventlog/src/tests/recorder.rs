//! A consumer that does what it is told and keeps what it saw.

use crate::consume::Unhandled;
use crate::envelope::Envelope;
use std::cell::RefCell;
use tokio::sync::Notify;

/// What a consumer does with events.
pub(crate) enum Then {
    Handled,
    Later,
    Poison,
    /// It never comes back, as one that traps does not.
    Traps,
}

pub(crate) struct Recorder<F> {
    seen: RefCell<Vec<Vec<String>>>,
    /// Told when it does not come back.
    pub(crate) trapped: Notify,
    then: F,
}

impl<F: Fn(&[String]) -> Then> Recorder<F> {
    pub(crate) fn new(then: F) -> Self {
        Self { seen: RefCell::default(), trapped: Notify::new(), then }
    }

    /// The events that were handed over, batch by batch.
    pub(crate) fn batches(&self) -> Vec<Vec<String>> {
        self.seen.take()
    }

    /// The same, one by one.
    pub(crate) fn events(&self) -> Vec<String> {
        self.seen.take().concat()
    }

    pub(crate) async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        self.seen.borrow_mut().push(ids.clone());
        match (self.then)(&ids) {
            Then::Handled => Ok(()),
            Then::Later => Err(Unhandled::Later("something is missing".to_owned())),
            Then::Poison => Err(Unhandled::Poison("it makes no sense".to_owned())),
            Then::Traps => {
                self.trapped.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// A consumer that everything is fine for.
pub(crate) fn content() -> Recorder<impl Fn(&[String]) -> Then> {
    Recorder::new(|_| Then::Handled)
}

/// A consumer that does something else with a batch that has this event in it.
pub(crate) fn but_for(event: &'static str, then: fn() -> Then) -> Recorder<impl Fn(&[String]) -> Then> {
    Recorder::new(move |ids| if ids.iter().any(|id| id == event) { then() } else { Then::Handled })
}
