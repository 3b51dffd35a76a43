//! The line to `pay` as the component has it: HTTP through Spin, and the breaker in the key-value store.

use super::Way;
use super::shared::KeyValue;
use crate::OUTBOX;
use crate::office::Surroundings;
use crate::settings::{Role, Settings};
use anyhow::Context;
use breaker::{Admission, Breaker, Outcome, Permit};
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

thread_local! {
    /// Of this instance: it holds the successes that other instances have not been told of.
    static BREAKER: OnceCell<Rc<Breaker>> = const { OnceCell::new() };
}

/// What surrounds the component when Spin runs it.
pub(crate) struct Line(pub(crate) Rc<Settings>);

impl Surroundings for Line {
    /// One read of the key-value store.
    async fn way(&self) -> Way {
        match admit(&self.0).await {
            Ok(Admission::Call(permit)) => Way::Free(Some(permit)),
            Ok(Admission::Refused { retry_after }) => Way::Barred(retry_after),
            Err(error) => {
                // The breaker protects `pay`; it must not be what keeps orders from being paid.
                eprintln!("asking the breaker: {error:#}; pay is called all the same");
                Way::Free(None)
            }
        }
    }

    async fn post_pay(
        &self,
        body: String,
        traceparent: Option<&str>,
        patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
        let request = request(&self.0, body, traceparent)?;
        let answered = pin!(async {
            let response = spin_sdk::http::send(request).await.map_err(|e| anyhow::anyhow!("{e:?}"))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|e| anyhow::anyhow!("{e:?}"))?.to_bytes();
            anyhow::Ok((status, body))
        });
        match select(answered, pin!(spin_sdk::time::sleep(patience))).await {
            Either::Left((answered, _)) => answered.map(Some),
            Either::Right(_) => Ok(None),
        }
    }

    async fn tell(&self, permit: Permit, outcome: Outcome) {
        let settings = Rc::clone(&self.0);
        let telling = async move {
            let told = async {
                let shared = KeyValue::open().await?;
                breaker(&settings).record(&shared, permit, outcome, Timestamp::now().millis()).await
            };
            if let Err(error) = told.await {
                eprintln!("telling the breaker of a {outcome:?}: {error:#}");
            }
        };
        if is_told_at_once(self.0.role, outcome, permit.is_probe()) {
            telling.await;
        } else {
            spin_sdk::wasip3::spawn(telling);
        }
    }

    async fn wait(&self, time: Duration) {
        spin_sdk::time::sleep(time).await;
    }

    fn committed(&self) {
        OUTBOX.relay_soon(&self.0.redis_url);
    }
}

/// A success through the closed breaker costs nothing; the rest is told beside the answer, except by a worker, whose
/// instance ends with its message.
fn is_told_at_once(role: Role, outcome: Outcome, is_probe: bool) -> bool {
    let costs_nothing = outcome == Outcome::Success && !is_probe;
    costs_nothing || role == Role::Worker
}

async fn admit(settings: &Settings) -> anyhow::Result<Admission> {
    let shared = KeyValue::open().await?;
    breaker(settings).admit(&shared, Timestamp::now().millis()).await
}

fn breaker(settings: &Settings) -> Rc<Breaker> {
    BREAKER.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(Breaker::new("pay", settings.breaker)))))
}

fn request(
    settings: &Settings,
    body: String,
    traceparent: Option<&str>,
) -> anyhow::Result<Request<FullBody<Bytes>>> {
    let mut request = http::Request::post(format!("{}/pays", settings.pay_url))
        .header("content-type", "application/json")
        .header("accept", "application/hal+json");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    request.body(FullBody::new(body.into())).context("the request to pay")
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
