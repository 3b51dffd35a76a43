//! What `pay` answers over HTTP.
//!
//! | path | methods |
//! |---|---|
//! | `/pays` | `GET` by page, with filters; `POST` pays |
//! | `/pays/{orderId}` | `GET` |
//! | `/pays/search/findByOrderId?orderId=` | `GET` |
//!
//! A payment is never changed or given back from here: a refund follows from what happens to the reservation.
//! A card number is only ever taken in.

#[cfg(test)]
mod tests;

use crate::cashier::{Cashier, Gateway, NotPaid};
use crate::domain::{Refusal, Terms};
use crate::store::{Filter, Listed, Pays, Slice};
use ::store::Storage;
use hal::{Direction, Error, Fields, Method, Paging, Problem, Request, Response, StatusCode, link};
use kernel::event::Applicant;
use kernel::{CardNumber, CustomerId, EduNo, Guests, Invalid, Language, OrderId, PayStatus, Won};
use serde_json::{Value, json};

/// A path of this context, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Pays,
    Pay(OrderId),
    FindByOrderId,
}

impl Route {
    /// None for what is not there; a number that no order can have is not there either.
    fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            ["pays"] => Some(Self::Pays),
            ["pays", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["pays", order_id] => order_id.parse().ok().map(Self::Pay),
            _ => None,
        }
    }
}

/// An answer, and whether something was committed for it that others are to hear of.
pub struct Answered {
    /// The answer.
    pub response: Response,
    /// Whether something was committed for it.
    pub committed: bool,
}

impl From<Response> for Answered {
    fn from(response: Response) -> Self {
        Self { response, committed: false }
    }
}

/// Answers one request.
pub(crate) async fn answer<G: Gateway, S: Storage>(
    cashier: &Cashier<G, Pays<S>>,
    request: &Request,
) -> Result<Answered, Error> {
    let pays = &cashier.payments;
    let Some(route) = Route::of(&request.route()) else { return Ok(request.nothing_here()?.into()) };
    match (route, &request.method) {
        (Route::Pays, &Method::GET) => Ok(list(pays, request).await?.into()),
        (Route::Pays, &Method::POST) => pay(cashier, request).await,
        (Route::Pays, _) => Ok(request.other_method(&["GET", "HEAD", "POST", "OPTIONS"])?.into()),
        (Route::Pay(order_id), &Method::GET) => Ok(show(pays, request, order_id).await?.into()),
        (Route::FindByOrderId, &Method::GET) => Ok(find_by_order_id(pays, request).await?.into()),
        (Route::Pay(_) | Route::FindByOrderId, _) => {
            Ok(request.other_method(&["GET", "HEAD", "OPTIONS"])?.into())
        }
    }
}

/// Pays, or finds it paid: the number of the order makes it safe to ask again.
async fn pay<G: Gateway, S: Storage>(
    cashier: &Cashier<G, Pays<S>>,
    request: &Request,
) -> Result<Answered, Error> {
    let (terms, card) = wanted(request.fields()?, request.language())?;
    let order_id = terms.applicant.order_id;
    let paid = cashier.pay(&terms, card.as_ref(), request.traceparent().as_deref()).await;
    let answer = paid.map_err(|not_paid| refused(order_id, not_paid))?;
    let new = answer.new;
    let Some(listed) = Listed::of(answer.record) else {
        return Err(anyhow::anyhow!("order {order_id} has no payment after it was paid").into());
    };
    let document = resource(request, &listed);
    let response =
        if new { Response::created(&document, &href(request, order_id)) } else { Response::ok(&document) };
    Ok(Answered { response: response.etag(&listed.version.to_string()), committed: new })
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

fn refused(order_id: OrderId, not_paid: NotPaid) -> Error {
    match not_paid {
        NotPaid::Refused(refusal @ Refusal::ContentDiffers) => {
            Problem::conflict("payment-content-differs", "This order's payment has other content")
                .detail(format!("{}.", sentence(&refusal)))
                .next(format!("Read `/pays/{order_id}`, and send its `eduNo` and `amount`."))
                .into()
        }
        NotPaid::Refused(refusal @ Refusal::Closed) => {
            Problem::conflict("payment-closed", "Nothing can be paid for this order any more")
                .detail(format!("{}.", sentence(&refusal)))
                .next("Apply again, under a new order number.")
                .with("presentStatus", json!(PayStatus::PaymentCanceled))
                .into()
        }
        // Others keep deciding about the same order.
        NotPaid::Refused(refusal @ (Refusal::PaidOtherwise | Refusal::Overtaken)) => {
            Error::Unavailable(refusal.into())
        }
        NotPaid::CardMissing => {
            let problem = "is required where there is something to pay";
            Problem::invalid_fields(&[Invalid::new("cardNo", problem)]).into()
        }
        NotPaid::GatewayUnavailable(reason) => {
            eprintln!("charging order {order_id}: the gateway: {reason}");
            Problem::new(StatusCode::BAD_GATEWAY, "gateway-unavailable", "The card company does not answer")
                .detail("Whether the card was charged is not known yet.")
                .next("Send the same request again in a moment: an order is never charged twice.")
                .header("retry-after", "1")
                .into()
        }
        NotPaid::Store(error) => error.into(),
    }
}

/// A refusal's words, beginning as a sentence does.
fn sentence(refusal: &Refusal) -> String {
    let words = refusal.to_string();
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

async fn list<S: Storage>(pays: &Pays<S>, request: &Request) -> Result<Response, Error> {
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        status: request.query.parse_as("status")?,
    };
    let paging = Paging::parse(&request.query, &["orderId"])?;
    let slice = Slice {
        after: paging.after,
        skip: paging.offset(),
        limit: paging.size,
        descending: paging.sort.is_some_and(|sort| sort.direction == Direction::Descending),
    };
    let listed = pays.list(filter, slice).await?;
    let total = match paging.after {
        None => Some(pays.total(filter).await?),
        Some(_) => None,
    };
    let last = listed.last().map(|last| last.payment.applicant.order_id.get());
    let items = listed.iter().map(|listed| resource(request, listed)).collect();
    Ok(paging.respond(request, "pays", items, total, last))
}

async fn find_by_order_id<S: Storage>(pays: &Pays<S>, request: &Request) -> Result<Response, Error> {
    let Some(order_id) = request.query.parse_as("orderId")? else {
        return Err(Invalid::new("orderId", "is required").into());
    };
    show(pays, request, order_id).await
}

async fn show<S: Storage>(pays: &Pays<S>, request: &Request, order_id: OrderId) -> Result<Response, Error> {
    let Some(listed) = pays.find(order_id).await? else {
        return Err(Problem::not_found(format!("Order {order_id} has no payment.")).into());
    };
    let etag = listed.version.to_string();
    if request.has_already(&etag) {
        return Ok(Response::not_modified(&etag));
    }
    Ok(Response::ok(&resource(request, &listed)).etag(&etag))
}

fn href(request: &Request, order_id: OrderId) -> String {
    format!("{}/pays/{order_id}", request.base)
}

fn resource(request: &Request, listed: &Listed) -> Value {
    let Listed { status, payment, version } = listed;
    let applicant = &payment.applicant;
    let href = link(href(request, applicant.order_id));
    json!({
        "orderId": applicant.order_id,
        "customerId": applicant.customer_id,
        "eduNo": applicant.edu_no,
        "guest": applicant.guest,
        "amount": payment.amount,
        "status": status,
        "cardLast4": payment.card_last4,
        "transactionId": payment.transaction_id,
        "paidAt": payment.paid_at,
        "refundedAt": payment.refunded_at,
        "version": version,
        "_links": { "self": href, "pay": href },
    })
}
