//! The context with the store that it is given: Spin's in the component, a model's own in a native process.

use crate::{events, http};
use ::store::Storage;
use eventlog::{Envelope, Unhandled};
use hal::{Error, Request, Response};
use kernel::Timestamp;

/// What answers requests, reacts to events, and does what time demands.
pub struct Office<S> {
    /// The store of this context.
    pub storage: S,
}

impl<S: Storage> Office<S> {
    /// Answers one request.
    pub async fn answer(&self, request: &Request) -> Result<Response, Error> {
        http::answer(&self.storage, request).await
    }

    /// Reacts to a batch of events, and says whether anything came of it.
    pub async fn react(&self, events: &[Envelope]) -> Result<bool, Unhandled> {
        Ok(events::react(&self.storage, events, Timestamp::now()).await?)
    }

    /// Starts, finishes and settles the courses for which it is time; none is started before everything that was
    /// told has been heard (`caught_up`).
    pub async fn tick(&self, caught_up: bool) -> anyhow::Result<()> {
        Ok(events::do_duties(&self.storage, Timestamp::now(), caught_up).await?)
    }
}
