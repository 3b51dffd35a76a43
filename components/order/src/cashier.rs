//! The way to `pay`: one call with a deadline, behind a breaker.
//!
//! What comes back is either settled or not known. `pay` is idempotent by the order's number, so what is not
//! known may be asked again and is never charged twice.

mod line;
mod shared;

pub(crate) use line::Line;

use crate::domain::{Order, Placed};
use crate::office::{Office, Surroundings};
use crate::store::{Fact, Stored};
use ::store::Storage;
use anyhow::Context;
use breaker::{Outcome, Permit};
use http::StatusCode;
use kernel::event::DelayReason;
use kernel::{CardNumber, PayStatus};
use serde::Deserialize;
use serde_json::json;
use std::time::{Duration, Instant};

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
#[derive(Debug)]
pub enum Way {
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

/// Asks `pay` to have an order paid, and tells the breaker how that went. A call that takes longer than `patience`
/// is given up; one that ran past the deadline counts as failed even if its answer was still waited for.
pub(crate) async fn ask(
    office: &Office<impl Storage, impl Surroundings>,
    permit: Option<Permit>,
    stored: &Stored,
    card: Option<&CardNumber>,
    patience: Duration,
    traceparent: Option<&str>,
) -> Answer {
    let begun = Instant::now();
    let called = call(&office.around, stored, card, patience, traceparent).await;
    let answer = called.unwrap_or_else(|error| {
        eprintln!("asking pay: {error:#}");
        Answer::Open(DelayReason::Unavailable)
    });
    let failed = matches!(answer, Answer::Open(_)) || begun.elapsed() > office.settings.pay_deadline;
    if let Some(permit) = permit {
        office.around.tell(permit, if failed { Outcome::Failure } else { Outcome::Success }).await;
    }
    answer
}

async fn call(
    around: &impl Surroundings,
    stored: &Stored,
    card: Option<&CardNumber>,
    patience: Duration,
    traceparent: Option<&str>,
) -> anyhow::Result<Answer> {
    let Order::Living(placed) = &stored.order else { anyhow::bail!("only a living order can be paid") };
    let body = body(placed, card)?;
    let Some((status, body)) = around.post_pay(body, traceparent, patience).await? else {
        return Ok(Answer::Open(DelayReason::Deadline));
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

/// What `pay` is asked: the applicant, the amount, and the card if there is one.
fn body(placed: &Placed, card: Option<&CardNumber>) -> anyhow::Result<String> {
    let mut body = serde_json::to_value(&placed.application.applicant).context("the applicant")?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("amount".to_owned(), json!(placed.amount));
        if let Some(card) = card {
            fields.insert("cardNo".to_owned(), json!(card.digits()));
        }
    }
    Ok(body.to_string())
}
