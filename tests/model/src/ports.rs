//! What each context needs from outside: `pay`, the card company, the channel. Each does as the conditions of its
//! work say. And the contexts with these ports.

use crate::paused::{Paused, Work};
use crate::step::{Call, Conditions, Link};
use crate::world::Shared;
use breaker::{Admission, Permit};
use bytes::Bytes;
use channel_inbox::{Message, SendError};
use gateway_sandbox::{Charge, Outcome, Verdict};
use hal::{Method, StatusCode};
use journal::{Journal, Tell};
use kernel::{CardNumber, OrderId, Timestamp, Unavailable, Won};
use notification::{Attempt, Channel, Outgoing};
use pay::{Gateway, NoReceipt, Receipt};
use std::rc::Rc;
use std::time::Duration;

/// Nobody needs to be told of commits: the scheduler looks for events by itself.
pub struct Nobody;

impl Tell for Nobody {
    fn committed(&self) {}
}

impl Shared {
    /// `order` under these conditions.
    pub fn order(self: &Rc<Self>, conditions: Conditions) -> order::Service<ToPay, Paused, Nobody> {
        order::Service {
            ports: ToPay { shared: Rc::clone(self), conditions },
            journal: self.journal("order"),
            settings: Rc::clone(&self.settings),
        }
    }

    /// `pay`, with the card company being so.
    pub fn pay(&self, link: Link) -> pay::Service<CardCompany, Paused, Nobody> {
        let ledger = self.stores.paused("gateway");
        pay::Service {
            gateway: CardCompany { ledger, link },
            journal: self.journal("pay"),
            contract_records_days: 1827,
        }
    }

    /// `reservation`.
    pub fn reservation(&self) -> reservation::Service<Paused, Nobody> {
        reservation::Service {
            journal: self.journal("reservation"),
            demo_courses: false,
            contract_records_days: 1827,
        }
    }

    /// `notification`, with the channel being so.
    pub fn notification(&self, link: Link) -> notification::Service<Phones, Paused> {
        let channel = Phones { inbox: self.stores.paused("inbox"), link };
        notification::Service {
            channel,
            storage: self.stores.paused("notification"),
            message_records_days: 1096,
        }
    }

    /// `information`.
    pub fn information(&self) -> information::View<Paused> {
        information::View { storage: self.stores.paused("information"), contract_records_days: 1827 }
    }

    fn journal(&self, label: &'static str) -> Journal<Paused, Nobody> {
        Journal { storage: self.stores.paused(label), tell: Nobody }
    }
}

/// What `order` has: a breaker, and `pay` behind it.
pub struct ToPay {
    shared: Rc<Shared>,
    conditions: Conditions,
}

impl order::Ports for ToPay {
    async fn admit(&self) -> Admission {
        match self.conditions.call {
            Call::BreakerOpen => Admission::Refused { retry_after: Duration::from_secs(5) },
            _ => Admission::Call(Permit::unasked()),
        }
    }

    async fn post_pay(
        &self,
        body: String,
        _traceparent: Option<&str>,
        _patience: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
        let call = || post_pays(Rc::clone(&self.shared), body.clone(), self.conditions.gateway);
        let later = || {
            let call = call();
            let name = format!("the call to pay {body}");
            self.shared.hanging.borrow_mut().push(Work::new(name, async { call.await.0.to_string() }));
        };
        match self.conditions.call {
            Call::Answered => Ok(Some(call().await)),
            Call::AnswerLost => {
                call().await;
                Ok(None)
            }
            Call::Lost | Call::BreakerOpen => anyhow::bail!("the connection was refused"),
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

    async fn record(&self, _permit: Permit, _outcome: breaker::Outcome) {}

    async fn wait(&self, _time: Duration) {}

    async fn breaker_standing(&self) -> anyhow::Result<breaker::Standing> {
        anyhow::bail!("nobody looks on here")
    }
}

/// What `pay` answers to a request to pay.
async fn post_pays(shared: Rc<Shared>, body: String, link: Link) -> (StatusCode, Bytes) {
    let pay = shared.pay(link);
    let answer = async |request: &hal::Request| {
        pay::answer(&pay, request, &access::Reach::open(access::Caller::default())).await
    };
    shared.ask(Method::POST, "/pays", &[], body, link, answer).await
}

/// The sandbox's card company.
pub struct CardCompany {
    ledger: Paused,
    link: Link,
}

impl Gateway for CardCompany {
    async fn charge(
        &self,
        key: String,
        order: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        let down = |reason: &str| Err(NoReceipt::Unavailable(Unavailable(reason.to_owned())));
        if self.link == Link::Down {
            return down("down");
        }
        let declined = match Verdict::on(card.digits()) {
            // What is lost here is for the conditions to say, whatever the card.
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
                amount: won(amount).map_err(NoReceipt::Unavailable)?,
                card_last4,
            }),
            Ok(Outcome::Declined { reason, card_last4 }) => Err(NoReceipt::Declined { reason, card_last4 }),
            Ok(Outcome::Closed) => Err(NoReceipt::Closed),
            Err(error) => down(&error.to_string()),
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
        won(refunded.map_err(|error| Unavailable(error.to_string()))?)
    }
}

fn won(amount: u64) -> Result<Won, Unavailable> {
    Won::amount(amount).map_err(|refused| Unavailable(refused.to_string()))
}

/// The sandbox's channel.
pub struct Phones {
    inbox: Paused,
    link: Link,
}

impl Channel for Phones {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        let busy = |reason: &str| vec![Attempt::Busy(reason.to_owned()); messages.len()];
        if self.link == Link::Down {
            return busy("down");
        }
        let sent: Vec<_> = messages.iter().map(message).collect();
        let taken = channel_inbox::take(&self.inbox, &sent, Timestamp::now()).await;
        if self.link == Link::Mute {
            return busy("mute");
        }
        taken
            .into_iter()
            .map(|answer| match answer {
                Ok(receipt) => {
                    Attempt::Accepted { at: receipt.accepted_at.parse().unwrap_or_else(|_| Timestamp::now()) }
                }
                Err(SendError::Retryable(problem)) => Attempt::Busy(problem),
                Err(SendError::Permanent(problem)) => Attempt::Refused(problem),
            })
            .collect()
    }

    async fn forget(&self, phone: &str) -> Result<(), String> {
        if self.link == Link::Down {
            return Err("down".to_owned());
        }
        channel_inbox::forget(&self.inbox, phone).await
    }
}

fn message(outgoing: &Outgoing) -> Message {
    let Outgoing { id, to, phone, language, template, variables, body } = outgoing.clone();
    Message { id, to, phone, language, template, variables, body }
}
