//! What `pay` answers over HTTP.
//!
//! | path | methods |
//! |---|---|
//! | `/pays` | `GET` by page, with filters; `POST` pays |
//! | `/pays/{orderId}` | `GET` |
//! | `/pays/search`, `/pays/search/findByOrderId?orderId=` | `GET` |
//!
//! A payment is never changed or given back from here: a refund follows from what happens to the reservation. A card number
//! is only ever taken in.

use crate::domain::{Refusal, Terms};
use crate::ports::Gateway;
use crate::service::{NotDone, Service};
use crate::store::{self, Filter, Stored};
use ::store::Storage;
use access::Reach;
use hal::{Error, Fields, Kind, Links, Method, Paging, Problem, Request, Response};
use journal::Tell;
use kernel::event::Applicant;
use kernel::{CardNumber, CustomerId, EduNo, Guests, Invalid, Language, OrderId, PayStatus, Timestamp, Won};
use serde::Serialize;

/// A path of this context, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Pays,
    Pay(OrderId),
    Searches,
    FindByOrderId,
}

impl Route {
    /// None for what is not there; a number that no order can have is not there either.
    fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            ["pays"] => Some(Self::Pays),
            ["pays", "search"] => Some(Self::Searches),
            ["pays", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["pays", order_id] => order_id.parse().ok().map(Self::Pay),
            _ => None,
        }
    }
}

/// Answers one request.
pub async fn answer<G: Gateway, S: Storage, T: Tell>(
    service: &Service<G, S, T>,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let storage = &service.journal.storage;
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    match (route, &request.method) {
        (Route::Pays, &Method::GET) => list(storage, request, reach).await,
        (Route::Pays, &Method::POST) => pay(service, request).await,
        (Route::Pay(order_id), &Method::GET) => show(storage, request, reach, order_id).await,
        (Route::Searches, &Method::GET) => Ok(Response::searches(request, "pays")),
        (Route::FindByOrderId, &Method::GET) => {
            show(storage, request, reach, request.query.required("orderId")?).await
        }
        (Route::Pays, _) => request.other_method(&["GET", "POST"]),
        (Route::Pay(_) | Route::Searches | Route::FindByOrderId, _) => request.other_method(&["GET"]),
    }
}

/// Pays, or finds it paid: the number of the order makes it safe to ask again.
async fn pay<G: Gateway, S: Storage, T: Tell>(
    service: &Service<G, S, T>,
    request: &Request,
) -> Result<Response, Error> {
    request.preconditions().check_untagged()?;
    if request.idempotency_key()?.is_some() {
        let known_by = "A payment is known by its `orderId`: an order is never charged twice.";
        return Err(Problem::key_not_taken(known_by).into());
    }
    let (terms, card) = wanted(request.fields()?, request.language())?;
    let order_id = terms.applicant.order_id;
    let paid = service.pay(&terms, card.as_ref(), request.traceparent().as_deref()).await;
    let answer = paid.map_err(|not_done| refuse(order_id, not_done))?;
    let nothing = || anyhow::anyhow!("order {order_id} has no payment after it was paid");
    let stored = Stored::of(&answer.record).ok_or_else(nothing).map_err(Error::failure)?;
    let document = Document::of(&stored, &request.base);
    Ok(match answer.new {
        true => Response::created(&document, &href(&request.base, order_id)),
        false => Response::ok(&document),
    })
}

/// What the body asks to be paid, and with which card.
fn wanted(mut fields: Fields, language: Language) -> Result<(Terms, Option<CardNumber>), Problem> {
    let order_id = fields.required("orderId", OrderId::parse);
    let customer_id = fields.number("customerId", CustomerId::parse);
    let edu_no = fields.required("eduNo", EduNo::parse);
    let guest = fields.number("guest", Guests::parse).unwrap_or_default();
    let amount = fields.required("amount", Won::amount);
    let card = fields.text("cardNo", CardNumber::parse);
    let language = fields.text("language", str::parse).unwrap_or(language);
    fields.finish()?;
    match (order_id, edu_no, amount) {
        (Some(order_id), Some(edu_no), Some(amount)) => {
            let applicant = Applicant { order_id, customer_id, edu_no, guest, language };
            Ok((Terms { applicant, amount }, card))
        }
        // What is required and not there was named above.
        _ => Err(Problem::invalid_fields(&[])),
    }
}

fn refuse(order_id: OrderId, not_done: NotDone) -> Error {
    match not_done {
        NotDone::Refused(Refusal::CardMissing) => {
            Invalid::new("cardNo", "is required where there is something to pay").into()
        }
        NotDone::Refused(Refusal::ContentDiffers) => Problem::new(Kind::PAYMENT_CONTENT_DIFFERS)
            .detail("The payment of this order is for another course or another amount.")
            .next(format!("Read `/pays/{order_id}`, and send its `eduNo` and `amount`."))
            .into(),
        NotDone::Refused(Refusal::Closed) => Problem::new(Kind::PAYMENT_CLOSED)
            .detail("The order is closed, and nothing can be paid for it any more.")
            .next("Apply again, under a new order number.")
            .with("presentStatus", PayStatus::PaymentCanceled)
            .into(),
        // Others keep deciding about the same order.
        NotDone::Refused(refusal @ (Refusal::PaidOtherwise | Refusal::Overtaken)) => {
            Error::Unavailable(refusal.into())
        }
        NotDone::Gateway(unavailable) => {
            eprintln!("charging order {order_id}: the gateway: {unavailable}");
            Problem::new(Kind::GATEWAY_UNAVAILABLE)
                .detail("Whether the card was charged is not known yet.")
                .next("Send the same request again in a moment: an order is never charged twice.")
                .header("retry-after", "1")
                .into()
        }
        NotDone::Store(error) => error.into(),
    }
}

async fn list(storage: &impl Storage, request: &Request, reach: &Reach) -> Result<Response, Error> {
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        status: request.query.parse_as("status")?,
        owners: reach.owners(),
    };
    let paging = Paging::parse(&request.query, &["orderId"])?;
    let listed = store::list(storage, filter, &paging.page()).await?;
    let total = if paging.counts() { Some(store::total(storage, filter).await?) } else { None };
    let documents: Vec<_> = listed.iter().map(|stored| Document::of(stored, &request.base)).collect();
    let last = listed.last().map(|stored| stored.payment.applicant.order_id.get());
    Ok(paging.respond(request, "pays", &documents, total, last))
}

async fn show(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    order_id: OrderId,
) -> Result<Response, Error> {
    let found = store::find(storage, order_id).await?;
    let in_reach = |stored: &Stored| reach.includes(order_id, stored.payment.applicant.customer_id);
    let Some(stored) = found.filter(in_reach) else {
        return Err(Problem::not_found(format!("Order {order_id} has no payment.")).into());
    };
    Ok(Response::ok(&Document::of(&stored, &request.base)))
}

fn href(base: &str, order_id: OrderId) -> String {
    format!("{base}/pays/{order_id}")
}

/// A payment as it is answered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    edu_no: EduNo,
    guest: Guests,
    amount: Won,
    status: PayStatus,
    card_last4: Option<&'a str>,
    transaction_id: Option<&'a str>,
    paid_at: Option<Timestamp>,
    refunded_at: Option<Timestamp>,
    version: u64,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

impl<'a> Document<'a> {
    fn of(stored: &'a Stored, base: &str) -> Self {
        let Stored { status, payment, version } = stored;
        let applicant = &payment.applicant;
        let here = href(base, applicant.order_id);
        Self {
            order_id: applicant.order_id,
            customer_id: applicant.customer_id,
            edu_no: applicant.edu_no,
            guest: applicant.guest,
            amount: payment.amount,
            status: *status,
            card_last4: payment.card_last4.as_deref(),
            transaction_id: payment.transaction_id.as_deref(),
            paid_at: payment.paid_at,
            refunded_at: payment.refunded_at,
            version: *version,
            links: Links::new().with("self", here.clone()).with("pay", here),
        }
    }
}

#[cfg(test)]
mod tests;
