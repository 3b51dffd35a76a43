//! The way to `pay`: one call with a deadline, behind a breaker.
//!
//! What comes back is either settled or not known. `pay` is idempotent by the order's number, so what is not
//! known may be asked again and is never charged twice.

mod shared;

use crate::domain::{Order, Placed};
use crate::settings::{Role, Settings};
use crate::store::{Fact, Stored};
use anyhow::Context;
use breaker::{Admission, Breaker, Outcome, Permit};
use futures::future::{Either, select};
use http::StatusCode;
use http_body_util::BodyExt;
use kernel::event::DelayReason;
use kernel::{CardNumber, PayStatus, Timestamp};
use serde::Deserialize;
use serde_json::json;
use shared::KeyValue;
use spin_sdk::http::{FullBody, Request};
use std::cell::OnceCell;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

thread_local! {
    /// Of this instance: it holds the successes that other instances have not been told of.
    static BREAKER: OnceCell<Rc<Breaker>> = const { OnceCell::new() };
}

/// What asking `pay` came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Paid, declined or canceled.
    Settled(Fact),
    /// Not known yet.
    Open(DelayReason),
    /// It was asked in vain: `pay` answered that it will not (its order number is closed, say). What has become of
    /// the payment comes as an event.
    Refused,
}

/// Whether `pay` may be asked.
pub(crate) enum Way {
    /// It may. What the breaker wants to be told afterwards is in here; nothing if it could not be asked.
    Free(Option<Permit>),
    /// It may not for about this long.
    Barred(Duration),
}

/// The answer of `pay`, as much of it as is needed here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pay {
    status: PayStatus,
    version: u64,
    #[serde(default)]
    card_last4: Option<String>,
}

/// Asks the breaker: one read of the key-value store.
pub(crate) async fn way(settings: &Settings) -> Way {
    match admit(settings).await {
        Ok(Admission::Call(permit)) => Way::Free(Some(permit)),
        Ok(Admission::Refused { retry_after }) => Way::Barred(retry_after),
        Err(error) => {
            // The breaker protects `pay`; it must not be what keeps orders from being paid.
            eprintln!("asking the breaker: {error:#}; pay is called all the same");
            Way::Free(None)
        }
    }
}

async fn admit(settings: &Settings) -> anyhow::Result<Admission> {
    let shared = KeyValue::open().await?;
    breaker(settings).admit(&shared, Timestamp::now().millis()).await
}

fn breaker(settings: &Settings) -> Rc<Breaker> {
    BREAKER.with(|cell| Rc::clone(cell.get_or_init(|| Rc::new(Breaker::new("pay", settings.breaker)))))
}

/// Asks `pay` to have an order paid, and tells the breaker how that went. A call that takes longer than `patience`
/// is given up; one that ran past the deadline counts as failed even if its answer was still waited for.
pub(crate) async fn ask(
    settings: &Rc<Settings>,
    permit: Option<Permit>,
    stored: &Stored,
    card: Option<&CardNumber>,
    patience: Duration,
    traceparent: Option<&str>,
) -> Answer {
    let begun = Instant::now();
    let called = call(settings, stored, card, patience, traceparent).await;
    let answer = called.unwrap_or_else(|error| {
        eprintln!("asking pay: {error:#}");
        Answer::Open(DelayReason::Unavailable)
    });
    let failed = matches!(answer, Answer::Open(_)) || begun.elapsed() > settings.pay_deadline;
    if let Some(permit) = permit {
        tell(settings, permit, if failed { Outcome::Failure } else { Outcome::Success }).await;
    }
    answer
}

/// A success through the closed breaker costs nothing; the rest is told after the answer has left, except by a
/// worker, whose instance ends with its message.
async fn tell(settings: &Rc<Settings>, permit: Permit, outcome: Outcome) {
    let settings_role = settings.role;
    let settings = Rc::clone(settings);
    let telling = async move {
        let told = async {
            let shared = KeyValue::open().await?;
            breaker(&settings).record(&shared, permit, outcome, Timestamp::now().millis()).await
        };
        if let Err(error) = told.await {
            eprintln!("telling the breaker of a {outcome:?}: {error:#}");
        }
    };
    let costs_nothing = outcome == Outcome::Success && !permit.is_probe();
    if costs_nothing || settings_role == Role::Worker {
        telling.await;
    } else {
        spin_sdk::wasip3::spawn(telling);
    }
}

async fn call(
    settings: &Settings,
    stored: &Stored,
    card: Option<&CardNumber>,
    patience: Duration,
    traceparent: Option<&str>,
) -> anyhow::Result<Answer> {
    let Order::Living(placed) = &stored.order else { anyhow::bail!("only a living order can be paid") };
    let request = request(settings, placed, card, traceparent)?;
    let answered = pin!(async {
        let response = spin_sdk::http::send(request).await.map_err(|e| anyhow::anyhow!("{e:?}"))?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| anyhow::anyhow!("{e:?}"))?.to_bytes();
        anyhow::Ok((status, body))
    });
    let (status, body) = match select(answered, pin!(spin_sdk::time::sleep(patience))).await {
        Either::Left((answered, _)) => answered?,
        Either::Right(_) => return Ok(Answer::Open(DelayReason::Deadline)),
    };
    if !status.is_success() {
        // Its problem document says why, and names no card.
        let reason = String::from_utf8_lossy(body.get(..400).unwrap_or(&body)).into_owned();
        // Only these two are about the payment; a 404, say, is somebody else answering in the place of `pay`.
        if matches!(status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) {
            eprintln!("pay refused order {}: {status}: {reason}", placed.application.applicant.order_id);
            return Ok(Answer::Refused);
        }
        anyhow::bail!("pay answered {status}: {reason}");
    }
    let pay: Pay = serde_json::from_slice(&body).context("reading the answer of pay")?;
    if pay.status == PayStatus::PaymentDelayed {
        return Ok(Answer::Open(DelayReason::Unavailable));
    }
    let order_id = placed.application.applicant.order_id;
    let Pay { status, version, card_last4 } = pay;
    Ok(Answer::Settled(Fact { order_id, status, version, card_last4 }))
}

fn request(
    settings: &Settings,
    placed: &Placed,
    card: Option<&CardNumber>,
    traceparent: Option<&str>,
) -> anyhow::Result<Request<FullBody<bytes::Bytes>>> {
    let mut body = serde_json::to_value(&placed.application.applicant).context("the applicant")?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("amount".to_owned(), json!(placed.amount));
        if let Some(card) = card {
            fields.insert("cardNo".to_owned(), json!(card.digits()));
        }
    }
    let mut request = http::Request::post(format!("{}/pays", settings.pay_url))
        .header("content-type", "application/json")
        .header("accept", "application/hal+json");
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    request.body(FullBody::new(body.to_string().into())).context("the request to pay")
}
