//! The one synchronous call of the system: asks `pay` to have an order paid, with a deadline and behind a breaker.
//!
//! What comes back is either settled or not known. `pay` is idempotent by the order's number, so what is not
//! known may be asked again and is never charged twice.

use crate::ports::Ports;
use crate::service::Service;
use crate::store::{Fact, Stored};
use ::store::Storage;
use anyhow::Context;
use breaker::{Outcome, Permit};
use http::StatusCode;
use journal::Tell;
use kernel::event::{Applicant, DelayReason};
use kernel::{CardNumber, OrderId, PayStatus, Won};
use serde::{Deserialize, Serialize};
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

/// What `pay` is asked.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    #[serde(flatten)]
    applicant: &'a Applicant,
    amount: Won,
    #[serde(skip_serializing_if = "Option::is_none")]
    card_no: Option<&'a str>,
}

/// The answer of `pay`, as much of it as is needed here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    status: PayStatus,
    version: u64,
    #[serde(default)]
    card_last4: Option<String>,
}

impl<P: Ports, S: Storage, T: Tell> Service<P, S, T> {
    /// Asks `pay` to have an order paid, and tells the breaker how that went. A call that takes longer than `patience`
    /// is given up; one that ran past the deadline counts as failed even if its answer was still waited for.
    pub(crate) async fn ask_pay(
        &self,
        permit: Permit,
        stored: &Stored,
        card: Option<&CardNumber>,
        patience: Duration,
        traceparent: Option<&str>,
    ) -> Answer {
        let begun = Instant::now();
        let called = call(&self.ports, stored, card, patience, traceparent).await;
        let answer = called.unwrap_or_else(|error| {
            eprintln!("asking pay: {error:#}");
            Answer::Open(DelayReason::Unavailable)
        });
        let failed = matches!(answer, Answer::Open(_)) || begun.elapsed() > self.settings.pay_deadline;
        self.ports.record(permit, if failed { Outcome::Failure } else { Outcome::Success }).await;
        answer
    }
}

async fn call(
    ports: &impl Ports,
    stored: &Stored,
    card: Option<&CardNumber>,
    patience: Duration,
    traceparent: Option<&str>,
) -> anyhow::Result<Answer> {
    let order_id = stored.order_id();
    let asked = Asked {
        applicant: &stored.order.application.applicant,
        amount: stored.order.amount,
        card_no: card.map(CardNumber::digits),
    };
    let asked = serde_json::to_string(&asked).context("what pay is asked")?;
    match ports.post_pay(asked, traceparent, patience).await? {
        Some((status, body)) => read(order_id, status, &body),
        None => Ok(Answer::Open(DelayReason::Deadline)),
    }
}

/// What an answer comes to. The error: it is none of `pay`.
fn read(order_id: OrderId, status: StatusCode, body: &[u8]) -> anyhow::Result<Answer> {
    if !status.is_success() {
        // Its problem document says why, and names no card.
        let reason = String::from_utf8_lossy(body.get(..400).unwrap_or(body)).into_owned();
        // Only these two are about the payment; a 404, say, is somebody else answering in the place of `pay`.
        if matches!(status, StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) {
            eprintln!("pay refused order {order_id}: {status}: {reason}");
            return Ok(Answer::Refused);
        }
        anyhow::bail!("pay answered {status}: {reason}");
    }
    let Told { status, version, card_last4 } =
        serde_json::from_slice(body).context("reading the answer of pay")?;
    if status == PayStatus::PaymentDelayed {
        return Ok(Answer::Open(DelayReason::Unavailable));
    }
    Ok(Answer::Settled(Fact { order_id, status, version, card_last4 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_answer_settles_something_only_if_it_says_what(
            status in 100_u16..600, body: Vec<u8>, version: u64, text: String,
            word in prop::sample::select(vec!["Paid", "Payment Declined", "Payment Delayed", "Paid "]),
        ) {
            let order_id = OrderId::parse(7).unwrap();
            let status = StatusCode::from_u16(status).unwrap();
            let settled = |body: &[u8]| match read(order_id, status, body) {
                Ok(Answer::Settled(fact)) => Some(fact),
                _ => None,
            };
            prop_assert_eq!(settled(&body), None);
            let says = |status: &str| serde_json::json!({ "status": status, "version": version }).to_string();
            prop_assert_eq!(settled(says(&text).as_bytes()), None);
            let fact = settled(says(word).as_bytes());
            let known = word.parse::<PayStatus>().ok().filter(|word| *word != PayStatus::PaymentDelayed);
            prop_assert_eq!(fact.map(|fact| fact.status), known.filter(|_| status.is_success()));
        }
    }
}
