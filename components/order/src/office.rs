//! The context with the neighbours that it is given: Spin's in the component, a model's own in a native process.

use crate::cashier::Way;
use crate::settings::Settings;
use breaker::{Outcome, Permit};
use bytes::Bytes;
use http::StatusCode;
use std::rc::Rc;
use std::time::Duration;

/// What answers requests and does what time demands. What it reacts to is in [`Policies`](crate::Policies).
pub struct Office<S, O> {
    /// The store of this context.
    pub storage: S,
    /// Everything else.
    pub around: O,
    /// What the operator set.
    pub settings: Rc<Settings>,
}

/// What is around this context besides its store.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Surroundings {
    /// Asks the breaker whether `pay` may be asked.
    async fn way(&self) -> Way;

    /// Sends `body` to `pay`'s `POST /pays`, and gives back status and body of the answer; nothing if it took
    /// longer than `patience`, an error if there was none. In both cases `pay` may have done what was asked.
    async fn post_pay(
        &self,
        body: String,
        traceparent: Option<&str>,
        patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>>;

    /// Tells the breaker how a call went that it gave this permit for.
    async fn tell(&self, permit: Permit, outcome: Outcome);

    /// Lets time pass.
    async fn wait(&self, time: Duration);

    /// Something was committed that others are to hear of soon.
    fn committed(&self);
}
