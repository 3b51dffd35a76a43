//! What `order` answers over HTTP.
//!
//! | path | methods |
//! |---|---|
//! | `/orders` | `GET` by page, with filters; `POST` applies |
//! | `/orders/{orderId}` | `GET`; `PATCH` and `DELETE` cancel |
//! | `/orders/{orderId}/payment` | `POST` pays, again or at last |
//! | `/orders/search`, `/orders/search/findByOrderId?orderId=` | `GET` |
//! | `/circuit-breakers/pay` | `GET` how the breaker before `pay` stands |
//!
//! A card number is only ever taken in: it goes to `pay` and, sealed, into the store, and into no answer.

mod applicants;
mod circuit_breaker;
mod document;
mod problems;
#[cfg(test)]
mod tests;

use crate::domain::Refusal;
use crate::ports::Ports;
use crate::service::{Applied, LOOK_AGAIN, Service};
use crate::store::{self, Filter, Stored};
use ::store::{Page, Storage};
use access::Reach;
use document::{Document, href};
use hal::{Error, Method, Paging, Preconditions, Problem, Request, Response, StatusCode};
use journal::Tell;
use kernel::{CardNumber, OrderId, OrderStatus, PayStatus};
use problems::refuse;

/// A path of this context, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Orders,
    Order(OrderId),
    Payment(OrderId),
    Searches,
    FindByOrderId,
    Breaker,
}

impl Route {
    /// None for what is not there; a number that no order can have is not there either.
    fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            ["orders"] => Some(Self::Orders),
            ["orders", "search"] => Some(Self::Searches),
            ["orders", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["orders", order_id] => order_id.parse().ok().map(Self::Order),
            ["orders", order_id, "payment"] => order_id.parse().ok().map(Self::Payment),
            ["circuit-breakers", "pay"] => Some(Self::Breaker),
            _ => None,
        }
    }
}

/// Answers one request.
pub async fn answer<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    if let Route::Order(order_id) | Route::Payment(order_id) = route {
        check_in_reach(service, reach, order_id).await?;
    }
    match (route, &request.method) {
        (Route::Orders, &Method::GET) => list(&service.journal.storage, request, reach).await,
        (Route::Orders, &Method::POST) => apply(service, request, reach).await,
        (Route::Order(order_id), &Method::GET) => show(service, request, order_id).await,
        (Route::Order(order_id), &Method::PATCH) => patch(service, request, order_id).await,
        (Route::Order(order_id), &Method::DELETE) => {
            cancel(service, request, order_id).await.map(|_| Response::no_content())
        }
        (Route::Payment(order_id), &Method::POST) => pay(service, request, order_id, reach).await,
        (Route::Searches, &Method::GET) => Ok(Response::searches(request, "orders")),
        (Route::FindByOrderId, &Method::GET) => {
            let order_id = request.query.required("orderId")?;
            check_in_reach(service, reach, order_id).await?;
            show(service, request, order_id).await
        }
        (Route::Breaker, &Method::GET) => circuit_breaker::show(service, request).await,
        (Route::Orders, _) => request.other_method(&["GET", "POST"]),
        (Route::Order(_), _) => request.other_method(&["GET", "PATCH", "DELETE"]),
        (Route::Payment(_), _) => request.other_method(&["POST"]),
        (Route::Searches | Route::FindByOrderId | Route::Breaker, _) => request.other_method(&["GET"]),
    }
}

/// An order that is out of reach is as one that is not there. Whose an order is never changes.
async fn check_in_reach<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    reach: &Reach,
    order_id: OrderId,
) -> Result<(), Error> {
    if reach.includes(order_id, None) {
        return Ok(());
    }
    let found = store::find(&service.journal.storage, order_id).await?;
    let customer = found.and_then(|stored| stored.order.application.applicant.customer_id);
    if reach.includes(order_id, customer) {
        return Ok(());
    }
    Err(refuse(&Preconditions::default(), Refusal::UnknownOrder.into()))
}

async fn apply<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    request.preconditions().check_untagged()?;
    let applying = applicants::applying(request, reach, &service.settings)?;
    let keys = applicants::order_keys(&applying, reach).await?;
    let applied = service.apply(&applying, request.traceparent().as_deref()).await;
    let applied = applied.map_err(|not_done| refuse(&Preconditions::default(), not_done))?;
    let key = keys.map(|keys| keys.key_of(applied.stored().order_id()));
    let response = match applied {
        Applied::Taken(stored, seconds) => created(request, &stored, seconds),
        Applied::Same(stored) => shown(request, StatusCode::OK, &stored, LOOK_AGAIN),
        Applied::Replayed { stored, was_taken } => {
            let answer = if was_taken {
                created(request, &stored, LOOK_AGAIN)
            } else {
                shown(request, StatusCode::OK, &stored, LOOK_AGAIN)
            };
            answer.header("idempotency-replayed", "true")
        }
    };
    Ok(match key {
        Some(key) => response.with_member("orderKey", &key),
        None => response,
    })
}

/// Pays for an order, again or at last.
async fn pay<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    order_id: OrderId,
    reach: &Reach,
) -> Result<Response, Error> {
    if request.idempotency_key()?.is_some() {
        let known_by = "A payment is known by its order's number: an order is never charged twice.";
        return Err(Problem::key_not_taken(known_by).into());
    }
    let mut fields = request.fields()?;
    let card = fields.text("cardNo", CardNumber::parse);
    fields.finish()?;
    let preconditions = request.preconditions();
    let holds = |stored: &Stored| hold(&preconditions, request, stored);
    let client = applicants::client(request, reach, &service.settings);
    let paid =
        service.pay(order_id, card.as_ref(), client.as_ref(), holds, request.traceparent().as_deref()).await;
    let (stored, seconds) = paid.map_err(|not_done| refuse(&preconditions, not_done))?;
    let status = if is_delayed(&stored) { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(shown(request, status, &stored, seconds))
}

async fn patch<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    order_id: OrderId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let status = fields.required_text("status", str::parse::<OrderStatus>);
    fields.finish()?;
    let stored = match status {
        Some(OrderStatus::OrderCanceled) => cancel(service, request, order_id).await?,
        Some(OrderStatus::Ordered) | None => still_ordered(service, request, order_id).await?,
    };
    Ok(Response::ok(&Document::of(&stored, &request.base)))
}

/// What is ordered is so already, and what has ended does not come back.
async fn still_ordered<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    order_id: OrderId,
) -> Result<Stored, Error> {
    let preconditions = request.preconditions();
    let refuse = |not_done| refuse(&preconditions, not_done);
    let stored = service.find(order_id).await.map_err(refuse)?;
    if !hold(&preconditions, request, &stored) {
        return Err(preconditions.failed().into());
    }
    match stored.order.canceled {
        None => Ok(stored),
        Some(reason) => Err(refuse(Refusal::Ended(reason).into())),
    }
}

async fn cancel<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    order_id: OrderId,
) -> Result<Stored, Error> {
    let preconditions = request.preconditions();
    let holds = |stored: &Stored| hold(&preconditions, request, stored);
    let canceled = service.cancel(order_id, holds, request.traceparent().as_deref()).await;
    canceled.map_err(|not_done| refuse(&preconditions, not_done))
}

/// Whether an order is as the client wants it to be for a change.
fn hold(preconditions: &Preconditions, request: &Request, stored: &Stored) -> bool {
    preconditions.hold(|| hal::etag_of(&Document::of(stored, &request.base)))
}

async fn show<P: Ports, S: Storage, T: Tell>(
    service: &Service<P, S, T>,
    request: &Request,
    order_id: OrderId,
) -> Result<Response, Error> {
    let found = service.find(order_id).await;
    let stored = found.map_err(|not_done| refuse(&Preconditions::default(), not_done))?;
    Ok(Response::ok(&Document::of(&stored, &request.base)))
}

async fn list(storage: &impl Storage, request: &Request, reach: &Reach) -> Result<Response, Error> {
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        status: request.query.parse_as("status")?,
        owners: reach.owners(),
    };
    let paging = Paging::parse(&request.query, &["orderId", "orderedAt"])?;
    let sort = paging.sort.filter(|sort| sort.field == "orderedAt").map(|_| store::ORDERED_AT);
    let page = Page { sort, ..paging.page() };
    let listed = store::list(storage, filter, &page).await?;
    let total = if paging.counts() { Some(store::count(storage, filter).await?) } else { None };
    let documents: Vec<_> = listed.iter().map(|stored| Document::of(stored, &request.base)).collect();
    let last = listed.last().map(|stored| stored.order_id().get());
    Ok(paging.respond(request, "orders", &documents, total, last))
}

fn is_delayed(stored: &Stored) -> bool {
    stored.payment.status == Some(PayStatus::PaymentDelayed)
}

fn created(request: &Request, stored: &Stored, seconds: u64) -> Response {
    let here = href(&request.base, stored.order_id());
    with_retry_after(Response::created(&Document::of(stored, &request.base), &here), stored, seconds)
}

fn shown(request: &Request, status: StatusCode, stored: &Stored, seconds: u64) -> Response {
    with_retry_after(Response::hal(status, &Document::of(stored, &request.base)), stored, seconds)
}

/// When a payment is delayed, in how many seconds to look again.
fn with_retry_after(response: Response, stored: &Stored, seconds: u64) -> Response {
    if is_delayed(stored) { response.header("retry-after", &seconds.to_string()) } else { response }
}
