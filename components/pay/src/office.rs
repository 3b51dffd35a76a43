//! The context with the neighbours that it is given: Spin's in the component, a model's own in a native process.

use crate::cashier::{Cashier, Gateway};
use crate::http::{self, Answered};
use crate::store::Pays;
use ::store::Storage;
use eventlog::{Consumer, Envelope, Unhandled};
use hal::{Error, Request};
use kernel::Timestamp;

/// What answers requests, and reacts to events.
pub struct Office<G, S> {
    /// The way to the card company.
    pub gateway: G,
    /// The store of this context.
    pub storage: S,
}

impl<G: Gateway, S: Storage> Office<G, S> {
    /// Answers one request.
    pub async fn answer(&self, request: &Request) -> Result<Answered, Error> {
        http::answer(&self.cashier(), request).await
    }

    const fn cashier(&self) -> Cashier<&G, Pays<&S>> {
        Cashier { gateway: &self.gateway, payments: Pays(&self.storage), clock: Timestamp::now }
    }
}

impl<G: Gateway, S: Storage> Consumer for Office<G, S> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        self.cashier().handle(events).await
    }
}
