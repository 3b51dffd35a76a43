//! What this context needs from outside besides its store and its log: `pay` over HTTP, the breaker before it, and time.

mod breaker_state;

use crate::settings::{Role, Settings};
use anyhow::{Context, anyhow};
use breaker::{Admission, Breaker, Outcome, Permit, Standing};
use breaker_state::BreakerState;
use bytes::Bytes;
use futures::future::{Either, select};
use http::StatusCode;
use http_body_util::BodyExt;
use kernel::Timestamp;
use spin_sdk::http::{FullBody, Request};
use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

/// What the service is given.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Ports {
    /// Asks the breaker whether `pay` may be asked.
    async fn admit(&self) -> Admission;

    /// Sends `body` to `pay`'s `POST /pays`, and gives back status and body of the answer; nothing if it took
    /// longer than `patience`, an error if there was none. In both cases `pay` may have done what was asked.
    async fn post_pay(
        &self,
        body: String,
        traceparent: Option<&str>,
        patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>>;

    /// Tells the breaker how a call went that it gave this permit for.
    async fn record(&self, permit: Permit, outcome: Outcome);

    /// Lets time pass.
    async fn wait(&self, time: Duration);

    /// How the breaker stands, for whoever looks on.
    async fn breaker_standing(&self) -> anyhow::Result<Standing>;
}

thread_local! {
    /// Of this instance: it holds the successes that other instances have not been told of.
    static BREAKER: OnceCell<Rc<Breaker>> = const { OnceCell::new() };
}

/// The ports as the component has them: HTTP through Spin, and the breaker in a store that all instances share.
pub(crate) struct Spin(pub(crate) Rc<Settings>);

impl Ports for Spin {
    /// One read of the store.
    async fn admit(&self) -> Admission {
        let asked =
            async { self.breaker().admit(&self.breaker_state().await?, Timestamp::now().millis()).await };
        asked.await.unwrap_or_else(|error: anyhow::Error| {
            // The breaker protects `pay`; it must not be what keeps orders from being paid.
            eprintln!("asking the breaker: {error:#}; pay is called all the same");
            Admission::Call(Permit::unasked())
        })
    }

    async fn post_pay(
        &self,
        body: String,
        traceparent: Option<&str>,
        patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
        let request = self.request(body, traceparent)?;
        let answered = pin!(async {
            let response = spin_sdk::http::send(request).await.map_err(|e| anyhow!("{e:?}"))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|e| anyhow!("{e:?}"))?.to_bytes();
            anyhow::Ok((status, body))
        });
        // WASI's own request options do not time out a chained call.
        match select(answered, pin!(spin_sdk::time::sleep(patience))).await {
            Either::Left((answered, _)) => answered.map(Some),
            Either::Right(_) => Ok(None),
        }
    }

    async fn record(&self, permit: Permit, outcome: Outcome) {
        let (breaker, settings) = (self.breaker(), Rc::clone(&self.0));
        let recording = async move {
            let recorded = async {
                let now = Timestamp::now().millis();
                breaker.record(&BreakerState::open(&settings).await?, permit, outcome, now).await
            };
            if let Err(error) = recorded.await {
                eprintln!("telling the breaker of a {outcome:?}: {error:#}");
            }
        };
        if is_told_at_once(self.0.role, outcome, permit.is_probe()) {
            recording.await;
        } else {
            spin_sdk::wasip3::spawn(recording);
        }
    }

    async fn wait(&self, time: Duration) {
        spin_sdk::time::sleep(time).await;
    }

    async fn breaker_standing(&self) -> anyhow::Result<Standing> {
        self.breaker().standing(&self.breaker_state().await?, Timestamp::now().millis()).await
    }
}

impl Spin {
    fn breaker(&self) -> Rc<Breaker> {
        BREAKER.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(Breaker::new("pay", self.0.breaker)))))
    }

    async fn breaker_state(&self) -> anyhow::Result<BreakerState> {
        BreakerState::open(&self.0).await
    }

    fn request(&self, body: String, traceparent: Option<&str>) -> anyhow::Result<Request<FullBody<Bytes>>> {
        let mut request = http::Request::post(format!("{}/pays", self.0.pay_url))
            .header("content-type", "application/json")
            .header("accept", "application/hal+json");
        if let Some(credential) = &self.0.service_credential {
            request = request.header("authorization", credential);
        }
        if let Some(traceparent) = traceparent {
            request = request.header("traceparent", traceparent);
        }
        // The payment is made by whoever asks for the order.
        if let Some(actor) = kernel::actor::current() {
            request = request.header(access::ON_BEHALF_OF, actor.to_string());
        }
        request.body(FullBody::new(body.into())).context("the request to pay")
    }
}

/// A success through the closed breaker costs nothing; the rest is told beside the answer, except by a worker, whose
/// instance ends with its message.
fn is_told_at_once(role: Role, outcome: Outcome, is_probe: bool) -> bool {
    let costs_nothing = outcome == Outcome::Success && !is_probe;
    costs_nothing || role == Role::Worker
}

#[cfg(test)]
mod tests {
    use super::is_told_at_once;
    use crate::settings::Role;
    use breaker::Outcome::{Failure, Success};

    #[test]
    fn an_answer_waits_for_what_costs_nothing_only_and_a_worker_for_everything() {
        assert!(is_told_at_once(Role::Http, Success, false));
        assert!(!is_told_at_once(Role::Http, Success, true));
        assert!(!is_told_at_once(Role::Http, Failure, false));
        assert!(!is_told_at_once(Role::Http, Failure, true));
        for (outcome, is_probe) in [(Success, false), (Success, true), (Failure, false), (Failure, true)] {
            assert!(is_told_at_once(Role::Worker, outcome, is_probe), "{outcome:?}, probe: {is_probe}");
        }
    }
}
