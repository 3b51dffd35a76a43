//! What is around each context: calls to `pay`, the card company, the channel. Each does as the weather of its
//! work says.

use crate::paused::{Paused, Work};
use crate::step::{Call, Link};
use crate::world::Shared;
use bytes::Bytes;
use channel_inbox::Message;
use gateway_sandbox::{Charge, Outcome, Verdict};
use hal::{Method, Query, Request, StatusCode};
use http_body_util::BodyExt;
use kernel::{CardNumber, OrderId, Timestamp, Won};
use notification::{Attempt, Channel, Outgoing};
use order::{Surroundings, Way};
use pay::{Gateway, NoReceipt, Receipt, Unavailable};
use std::rc::Rc;
use std::time::Duration;

/// What `order` has around it.
pub struct Line {
    /// The world.
    pub shared: Rc<Shared>,
    /// How calls go.
    pub call: Call,
    /// How the card company is.
    pub gateway: Link,
}

impl Surroundings for Line {
    async fn way(&self) -> Way {
        if self.call == Call::Barred { Way::Barred(Duration::from_secs(5)) } else { Way::Free(None) }
    }

    async fn post_pay(
        &self,
        body: String,
        _traceparent: Option<&str>,
        _patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
        let call = || pay(Rc::clone(&self.shared), body.clone(), self.gateway);
        let later = || {
            let call = call();
            let name = format!("the call to pay {body}");
            self.shared.hanging.borrow_mut().push(Work::new(name, async { call.await.0.to_string() }));
        };
        match self.call {
            Call::Answered => Ok(Some(call().await)),
            Call::AnswerLost => {
                call().await;
                Ok(None)
            }
            Call::Lost | Call::Barred => anyhow::bail!("the connection was refused"),
            Call::Late => {
                later();
                Ok(None)
            }
            Call::Twice => {
                later();
                Ok(Some(call().await))
            }
        }
    }

    async fn tell(&self, _permit: breaker::Permit, _outcome: breaker::Outcome) {}

    async fn wait(&self, _time: Duration) {}

    fn committed(&self) {}
}

/// What `pay` answers to a request to pay.
async fn pay(shared: Rc<Shared>, body: String, link: Link) -> (StatusCode, Bytes) {
    let office = pay::Office {
        gateway: CardCompany { ledger: shared.stores.paused("gateway"), link },
        storage: shared.stores.paused("pay"),
    };
    let request = request(Method::POST, "/pays", &[], body);
    let answered = office.answer(&request).await.map(|answered| answered.response);
    shared.read(answered, &request.path, link).await
}

/// A request as it comes off the wire.
pub fn request(method: Method, path: &str, headers: &[(&'static str, String)], body: String) -> Request {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            map.append(*name, value);
        }
    }
    Request {
        method,
        segments: path.trim_matches('/').split('/').map(str::to_owned).collect(),
        path: path.to_owned(),
        query: Query::default(),
        headers: map,
        body: body.into(),
        base: "http://h".to_owned(),
    }
}

impl Shared {
    /// Status and body of an answer. That something broke is a violation, unless the card company was not well.
    pub async fn read(
        &self,
        answered: Result<hal::Response, hal::Error>,
        path: &str,
        gateway: Link,
    ) -> (StatusCode, Bytes) {
        if let Err(hal::Error::Failure(causes)) = &answered {
            self.violated(format!("{path} failed: {causes:#}"));
        }
        if let Err(hal::Error::Unavailable(causes)) = &answered {
            self.violated(format!("{path} was refused for no reason: {causes:#}"));
        }
        let response = answered.unwrap_or_else(|error| error.into_problem(path).into()).into_http();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if parts.status.is_server_error() && gateway == Link::Up && parts.status != StatusCode::BAD_GATEWAY {
            self.violated(format!("{path} answered {}: {}", parts.status, String::from_utf8_lossy(&body)));
        }
        (parts.status, body)
    }
}

/// The sandbox's card company.
pub struct CardCompany {
    /// Its books.
    pub ledger: Paused,
    /// How it is.
    pub link: Link,
}

impl Gateway for CardCompany {
    async fn charge(
        &self,
        key: String,
        order: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        let down = |reason: &str| Err(NoReceipt::Unavailable(reason.to_owned()));
        if self.link == Link::Down {
            return down("down");
        }
        let declined = match Verdict::on(card.digits()) {
            // What is lost here is the weather's to say, whatever the card.
            Verdict::Approved | Verdict::ApprovedUnheard | Verdict::ApprovedLate => None,
            Verdict::Declined(reason) => Some(reason),
            Verdict::Unavailable(reason) => return down(reason),
        };
        let charge =
            Charge { key: &key, order_id: order.get(), amount: amount.get(), card_number: card.digits() };
        let decided = gateway_sandbox::decide(&self.ledger, &charge, declined, Timestamp::now()).await;
        if self.link == Link::Mute {
            return down("mute");
        }
        match decided {
            Ok(Outcome::Approved { amount, card_last4 }) => Ok(Receipt {
                transaction_id: format!("sandbox-{key}"),
                amount: Won::amount(amount).map_err(|e| NoReceipt::Unavailable(e.to_string()))?,
                card_last4,
            }),
            Ok(Outcome::Declined { reason, card_last4 }) => Err(NoReceipt::Declined { reason, card_last4 }),
            Ok(Outcome::Closed) => Err(NoReceipt::Closed),
            Err(error) => Err(NoReceipt::Unavailable(error.to_string())),
        }
    }

    async fn cancel(&self, key: String) -> Result<Won, Unavailable> {
        if self.link == Link::Down {
            return Err(Unavailable("down".to_owned()));
        }
        let refunded = gateway_sandbox::cancel(&self.ledger, &key, Timestamp::now()).await;
        if self.link == Link::Mute {
            return Err(Unavailable("mute".to_owned()));
        }
        let refunded = refunded.map_err(|e| Unavailable(e.to_string()))?;
        Won::amount(refunded).map_err(|e| Unavailable(e.to_string()))
    }
}

/// The sandbox's channel.
pub struct Phones {
    /// The world.
    pub shared: Rc<Shared>,
    /// How it is.
    pub link: Link,
}

impl Channel for Phones {
    async fn send(&self, message: Outgoing) -> Attempt {
        if self.link == Link::Down {
            return Attempt::Busy("down".to_owned());
        }
        let Outgoing { id, to, language, body } = message;
        let message = Message { id, to, language, body };
        let put = channel_inbox::put(&self.shared.stores.paused("inbox"), &message, Timestamp::now()).await;
        match put {
            _ if self.link == Link::Mute => Attempt::Busy("mute".to_owned()),
            Ok(receipt) => {
                Attempt::Accepted { at: receipt.accepted_at.parse().unwrap_or_else(|_| Timestamp::now()) }
            }
            Err(error) => Attempt::Busy(error.to_string()),
        }
    }

    fn claim(&self) -> String {
        let claims = self.shared.claims.get() + 1;
        self.shared.claims.set(claims);
        format!("claim {claims}")
    }
}
