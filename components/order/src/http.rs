//! Orders over HTTP.
//!
//! A card number is only ever taken in: it goes to `pay` and, sealed, into the store, and into no answer.

mod problems;
mod representation;

use crate::cashier::{self, Answer, Way};
use crate::domain::{Application, Command, Order, PayAgain, Refusal, pay_again};
use crate::office::{Office, Surroundings};
use crate::settings::Settings;
use crate::store::{self, Filter, Placement, Placing, Stored, Undecided};
use ::store::Storage;
use hal::{Error, Method, Paging, Problem, Request, Response, StatusCode, link};
use kernel::event::{Applicant, CancelReason, DelayReason};
use kernel::{
    CardNumber, CustomerId, EduNo, Guests, Invalid, Language, OrderId, OrderStatus, PayStatus, Timestamp,
};
use problems::{key_reused, refuse};
use representation::representation;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How much longer than the deadline a payment is left to the request that began it, before the worker takes it
/// up; in milliseconds.
const GRACE: i64 = 1_000;

/// When to look again, in seconds, where nothing better is known: about when the worker tries next.
const LOOK_AGAIN: u64 = 2;

/// What a path asks for.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    Orders,
    Searches,
    FindByOrderId,
    Order(OrderId),
    Payment(OrderId),
    Nothing,
}

impl Route {
    fn of(path: &[&str]) -> Self {
        let number = |raw: &str, route: fn(OrderId) -> Self| raw.parse().map_or(Self::Nothing, route);
        match path {
            ["orders"] => Self::Orders,
            ["orders", "search"] => Self::Searches,
            ["orders", "search", "findByOrderId"] => Self::FindByOrderId,
            ["orders", id] => number(id, Self::Order),
            ["orders", id, "payment"] => number(id, Self::Payment),
            _ => Self::Nothing,
        }
    }
}

impl<S: Storage, O: Surroundings> Office<S, O> {
    /// Answers one request.
    pub async fn answer(&self, request: &Request) -> Result<Response, Error> {
        let route = Route::of(&request.route());
        match (&route, &request.method) {
            (Route::Orders, &Method::GET) => self.list(request).await,
            (Route::Orders, &Method::POST) => self.apply(request).await,
            (Route::Orders, _) => request.other_method(&["GET", "HEAD", "POST", "OPTIONS"]),
            (Route::Searches, &Method::GET) => Ok(searches(request)),
            (Route::FindByOrderId, &Method::GET) => self.find_by_order_id(request).await,
            (Route::Searches | Route::FindByOrderId, _) => request.other_method(&["GET", "HEAD", "OPTIONS"]),
            (Route::Order(id), &Method::GET) => self.show(request, *id).await,
            (Route::Order(id), &Method::PATCH) => self.patch(request, *id).await,
            (Route::Order(id), &Method::DELETE) => {
                self.cancel(request, *id).await?;
                Ok(Response::no_content())
            }
            (Route::Order(_), _) => request.other_method(&["GET", "HEAD", "PATCH", "DELETE", "OPTIONS"]),
            (Route::Payment(id), &Method::POST) => self.pay(request, *id).await,
            (Route::Payment(_), _) => request.other_method(&["POST", "OPTIONS"]),
            (Route::Nothing, _) => request.nothing_here(),
        }
    }
}

/// How often somebody who applies before any course is known looks again, and how long between: 2 s in all.
const FIRST_COURSES_LOOKS: u32 = 20;
const FIRST_COURSES_PAUSE: Duration = Duration::from_millis(100);

/// What a customer sends to apply.
struct Asked {
    order_id: Option<OrderId>,
    customer_id: Option<CustomerId>,
    edu_no: EduNo,
    guest: Guests,
    language: Language,
    card: Option<CardNumber>,
}

impl Asked {
    fn read(request: &Request) -> Result<Self, Problem> {
        let mut fields = request.fields()?;
        let order_id = fields.number("orderId", OrderId::parse);
        let customer_id = fields.number("customerId", CustomerId::parse);
        let edu_no = fields.required("eduNo", EduNo::parse);
        let guest = fields.number("guest", Guests::parse).unwrap_or_default();
        let language = fields.text("language", str::parse).unwrap_or_else(|| request.language());
        let card = fields.text("cardNo", CardNumber::parse);
        fields.finish()?;
        // Nothing was refused, so what is required is there.
        let edu_no =
            edu_no.ok_or_else(|| Problem::invalid_fields(&[Invalid::new("eduNo", "is required")]))?;
        Ok(Self { order_id, customer_id, edu_no, guest, language, card })
    }

    fn application(&self) -> Result<Application, Invalid> {
        let applicant = Applicant {
            // Where the client left the number to us it is chosen when the order is placed.
            order_id: self.order_id.map_or_else(|| OrderId::parse(1), Ok)?,
            customer_id: self.customer_id,
            edu_no: self.edu_no,
            guest: self.guest,
            language: self.language,
        };
        Ok(Application { applicant, card_last4: self.card.as_ref().map(|card| card.last4().to_owned()) })
    }
}

impl<S: Storage, O: Surroundings> Office<S, O> {
    async fn apply(&self, request: &Request) -> Result<Response, Error> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        let key = request.idempotency_key()?;
        let asked = Asked::read(request)?;
        let traceparent = request.traceparent();
        let placing = Placing {
            application: asked.application()?,
            number_is_free: asked.order_id.is_none(),
            card: asked.card.as_ref(),
            seal: &self.settings.seal,
            key: key.as_deref(),
            due_at: now.plus_minutes(self.settings.payment_due_minutes),
            retry_at: retry_at(&self.settings, now),
            traceparent: traceparent.as_deref(),
            now,
        };
        let mut way = None;
        let placement = store::place(&self.storage, &placing, async || {
            matches!(way.insert(self.around.way().await), Way::Barred(_))
        })
        .await;
        if let Err(Undecided::Refused(Refusal::UnknownCourse(_))) = placement
            && self.has_just_heard_of_courses().await?
        {
            return Box::pin(self.apply(request)).await;
        }
        match placement.map_err(|undecided| refuse(request, undecided))? {
            Placement::KeyReused => Err(key_reused().into()),
            Placement::Replayed(stored) => {
                Ok(created(request, &stored, LOOK_AGAIN).header("idempotency-replayed", "true"))
            }
            Placement::Same(stored) => Ok(with_retry_after(ok(request, &stored), &stored, LOOK_AGAIN)),
            Placement::Taken(stored) => {
                faults::point("order", "committed").await;
                self.around.committed();
                let (stored, seconds) =
                    self.have_paid(request, stored, way, asked.card.as_ref(), begun).await?;
                Ok(created(request, &stored, seconds))
            }
        }
    }

    /// Whether the first courses came in while the caller waited. At the very first start, `order` knows none until
    /// `reservation` has opened them: that is no reason to refuse somebody for good. Where it knows some already, one
    /// that is not among them is not waited for.
    async fn has_just_heard_of_courses(&self) -> Result<bool, Error> {
        if store::knows_courses(&self.storage).await? {
            return Ok(false);
        }
        for _ in 0..FIRST_COURSES_LOOKS {
            self.around.wait(FIRST_COURSES_PAUSE).await;
            if store::knows_courses(&self.storage).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One try to have an order paid, within the deadline that began with the request: asks `pay`, unless that is
    /// not to be, and writes down what it came to. With the order as it then is, and when to look again (in
    /// seconds) if it is not paid.
    async fn have_paid(
        &self,
        request: &Request,
        stored: Stored,
        way: Option<Way>,
        card: Option<&CardNumber>,
        begun: Instant,
    ) -> Result<(Stored, u64), Error> {
        let permit = match way {
            None => return Ok((stored, 1)),
            Some(Way::Barred(wait)) => {
                let stored = self.delay(request, stored, DelayReason::BreakerOpen).await?;
                return Ok((stored, wait.as_secs() + 1));
            }
            Some(Way::Free(permit)) => permit,
        };
        let traceparent = request.traceparent();
        // However long the store took, the whole answer is to leave by the deadline.
        let patience = self.settings.pay_deadline.saturating_sub(begun.elapsed());
        let patience = patience.max(Duration::from_millis(50));
        let asked = cashier::ask(self, permit, &stored, card, patience, traceparent.as_deref());
        let answer = asked.await;
        faults::point("order", "pay-answered").await;
        let stored = match answer {
            Answer::Settled(fact) => store::settle(&self.storage, &[fact]).await?.pop().unwrap_or(stored),
            Answer::Open(reason) => self.delay(request, stored, reason).await?,
            Answer::Refused => self.delay(request, stored, DelayReason::Unavailable).await?,
        };
        Ok((stored, LOOK_AGAIN))
    }

    /// Writes down that a payment is delayed, unless that is known or no longer so.
    async fn delay(&self, request: &Request, stored: Stored, reason: DelayReason) -> Result<Stored, Error> {
        let Some(order_id) = stored.order_id() else { return Ok(stored) };
        if stored.payment.status == Some(PayStatus::PaymentDelayed) {
            return Ok(stored);
        }
        let traceparent = request.traceparent();
        let delayed =
            store::change(&self.storage, order_id, traceparent.as_deref(), Timestamp::now(), |stored| {
                Ok(Command::DelayPayment { reason, payment: stored.payment.status })
            });
        match delayed.await {
            Ok(stored) => {
                self.around.committed();
                Ok(stored)
            }
            // It ended while `pay` was asked; whatever was charged is given back.
            Err(Undecided::Refused(_)) => self.found(request, order_id).await,
            Err(undecided) => Err(refuse(request, undecided)),
        }
    }

    async fn pay(&self, request: &Request, order_id: OrderId) -> Result<Response, Error> {
        let (begun, now) = (Instant::now(), Timestamp::now());
        let mut fields = request.fields()?;
        let card = fields.text("cardNo", CardNumber::parse);
        fields.finish()?;
        let stored = self.found(request, order_id).await?;
        request.check_if_match(&stored.etag())?;
        let payable = |stored: &Stored| {
            pay_again(&stored.order, stored.payment.status).map_err(|refusal| refuse(request, refusal.into()))
        };
        if payable(&stored)? == PayAgain::AlreadyPaid {
            return Ok(ok(request, &stored));
        }
        let free = stored.order.placed().is_some_and(|placed| placed.amount.is_zero());
        if card.is_none() && !free {
            return Err(Invalid::new("cardNo", "is required").into());
        }
        let sealed = card.as_ref().map(|card| self.settings.seal.seal(card, order_id)).transpose();
        let sealed = sealed.map_err(anyhow::Error::from)?;
        if !store::keep_for_retry(&self.storage, order_id, sealed, retry_at(&self.settings, now)).await? {
            // Paid or ended since it was read.
            let stored = self.found(request, order_id).await?;
            payable(&stored)?;
            return Ok(ok(request, &stored));
        }
        let way = Some(self.around.way().await);
        let (stored, seconds) = self.have_paid(request, stored, way, card.as_ref(), begun).await?;
        let status = if stored.payment.status == Some(PayStatus::PaymentDelayed) {
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        };
        let response = Response::hal(status, &representation(&stored, &request.base)).etag(&stored.etag());
        Ok(with_retry_after(response, &stored, seconds))
    }

    async fn patch(&self, request: &Request, order_id: OrderId) -> Result<Response, Error> {
        let mut fields = request.fields()?;
        let status = fields.required_text("status", str::parse::<OrderStatus>);
        fields.finish()?;
        let stored = match status {
            Some(OrderStatus::OrderCanceled) => self.cancel(request, order_id).await?,
            Some(OrderStatus::Ordered) | None => {
                let stored = self.found(request, order_id).await?;
                request.check_if_match(&stored.etag())?;
                if let Order::Canceled(_, reason) = stored.order {
                    return Err(refuse(request, Refusal::Ended(reason).into()));
                }
                stored
            }
        };
        Ok(ok(request, &stored))
    }

    async fn cancel(&self, request: &Request, order_id: OrderId) -> Result<Stored, Error> {
        let traceparent = request.traceparent();
        let canceled =
            store::change(&self.storage, order_id, traceparent.as_deref(), Timestamp::now(), |stored| {
                let etag = stored.etag();
                request.check_if_match(&etag).map_err(|_| Undecided::Changed(etag))?;
                let (course, payment) = (stored.course, stored.payment.status);
                Ok(Command::Cancel { reason: CancelReason::Customer, course, payment })
            });
        let stored = canceled.await.map_err(|undecided| refuse(request, undecided))?;
        self.around.committed();
        Ok(stored)
    }

    async fn show(&self, request: &Request, order_id: OrderId) -> Result<Response, Error> {
        let stored = self.found(request, order_id).await?;
        let etag = stored.etag();
        if request.has_already(&etag) {
            return Ok(Response::not_modified(&etag));
        }
        Ok(ok(request, &stored))
    }

    async fn find_by_order_id(&self, request: &Request) -> Result<Response, Error> {
        let order_id: Option<OrderId> = request.query.parse_as("orderId")?;
        let order_id = order_id.ok_or_else(|| Invalid::new("orderId", "is required"))?;
        self.show(request, order_id).await
    }

    async fn list(&self, request: &Request) -> Result<Response, Error> {
        let paging = Paging::parse(&request.query, &["orderId", "orderedAt"])?;
        let filter = Filter {
            customer_id: request.query.parse_as("customerId")?,
            edu_no: request.query.parse_as("eduNo")?,
            status: request.query.parse_as("status")?,
        };
        let orders = store::list(&self.storage, &filter, &paging).await?;
        let total =
            if paging.after.is_none() { Some(store::count(&self.storage, &filter).await?) } else { None };
        let last = orders.last().and_then(Stored::order_id).map(OrderId::get);
        let items: Vec<Value> = orders.iter().map(|stored| representation(stored, &request.base)).collect();
        Ok(paging.respond(request, "orders", items, total, last))
    }

    async fn found(&self, request: &Request, order_id: OrderId) -> Result<Stored, Error> {
        let stored = store::find(&self.storage, order_id).await?;
        stored.ok_or_else(|| refuse(request, Refusal::UnknownOrder.into()))
    }
}

fn searches(request: &Request) -> Response {
    let here = format!("{}/orders/search", request.base);
    Response::ok(&json!({ "_links": {
        "findByOrderId": { "href": format!("{here}/findByOrderId{{?orderId}}"), "templated": true },
        "self": link(here),
    } }))
}

fn ok(request: &Request, stored: &Stored) -> Response {
    Response::ok(&representation(stored, &request.base)).etag(&stored.etag())
}

fn created(request: &Request, stored: &Stored, seconds: u64) -> Response {
    let document = representation(stored, &request.base);
    let location = stored.order_id().map(|id| format!("{}/orders/{id}", request.base)).unwrap_or_default();
    with_retry_after(Response::created(&document, &location).etag(&stored.etag()), stored, seconds)
}

/// When a payment is delayed, when to look again.
fn with_retry_after(response: Response, stored: &Stored, seconds: u64) -> Response {
    if stored.payment.status == Some(PayStatus::PaymentDelayed) {
        response.header("retry-after", &seconds.to_string())
    } else {
        response
    }
}

fn retry_at(settings: &Settings, now: Timestamp) -> Timestamp {
    let deadline = i64::try_from(settings.pay_deadline.as_millis()).unwrap_or(i64::MAX / 2);
    now.plus_millis(deadline.saturating_add(GRACE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_asks_for_one_thing() {
        let id = OrderId::parse(1113).unwrap();
        for (path, route) in [
            (&["orders"][..], Route::Orders),
            (&["orders", "search"], Route::Searches),
            (&["orders", "search", "findByOrderId"], Route::FindByOrderId),
            (&["orders", "1113"], Route::Order(id)),
            (&["orders", "1113", "payment"], Route::Payment(id)),
            (&["orders", "0"], Route::Nothing),
            (&["orders", "x"], Route::Nothing),
            (&["orders", "9007199254740992"], Route::Nothing),
            (&["orders", "1113", "payment", "x"], Route::Nothing),
            (&["orders", "1113", "card"], Route::Nothing),
            (&[], Route::Nothing),
        ] {
            assert_eq!(Route::of(path), route, "{path:?}");
        }
    }
}
