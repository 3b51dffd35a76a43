//! The view over HTTP: read only, under the seed's spelling `/infomations` and under `/informations`.

use crate::live;
use crate::store::{self, Filter, Found, Past, SORTABLE};
use hal::{Error, Method, Paging, Problem, Request, Response, link};
use kernel::{Invalid, OrderId};
use serde_json::{Value, json};

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    /// `/infomations`
    All,
    /// `/infomations/{orderId}`
    One(OrderId),
    /// `/infomations/{orderId}/events`
    Events(OrderId),
    /// `/infomations/search`
    Searches,
    /// `/infomations/search/findByOrderId`
    FindByOrderId,
}

impl Route {
    fn of(segments: &[&str]) -> Option<Self> {
        let ["infomations" | "informations", rest @ ..] = segments else { return None };
        match rest {
            [] => Some(Self::All),
            ["search"] => Some(Self::Searches),
            ["search", "findByOrderId"] => Some(Self::FindByOrderId),
            [id] => id.parse().ok().map(Self::One),
            [id, "events"] => id.parse().ok().map(Self::Events),
            _ => None,
        }
    }
}

/// Answers a request.
pub(crate) async fn answer(request: Request) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET", "HEAD", "OPTIONS"]);
    }
    match route {
        Route::All => all(&request).await,
        Route::One(order_id) => one(&request, order_id).await,
        Route::Events(order_id) => live::follow(&request, order_id).await,
        Route::Searches => Ok(searches(&request)),
        Route::FindByOrderId => match request.query.parse_as::<OrderId>("orderId")? {
            Some(order_id) => one(&request, order_id).await,
            None => Err(Invalid::new("orderId", "is required").into()),
        },
    }
}

async fn all(request: &Request) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, SORTABLE)?;
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        status: request.query.parse_as("status")?,
    };
    let found = store::page(&store::DATABASE, &filter, &paging).await?;
    let total = match paging.after {
        Some(_) => None,
        None => Some(store::count(&store::DATABASE, &filter).await?),
    };
    let last_key = found.last().map(|found| found.order_id);
    let items = found.iter().map(|found| document(&request.base, found)).collect();
    Ok(paging.respond(request, "infomations", items, total, last_key))
}

async fn one(request: &Request, order_id: OrderId) -> Result<Response, Error> {
    let found = store::find(&store::DATABASE, order_id).await?.ok_or_else(|| unknown(order_id))?;
    if request.has_already(&found.etag) {
        return Ok(Response::not_modified(&found.etag));
    }
    let timeline = store::timeline(&store::DATABASE, order_id).await?;
    Ok(Response::ok(&with_timeline(&request.base, &found, &timeline)).etag(&found.etag))
}

fn searches(request: &Request) -> Response {
    let here = format!("{}/infomations/search", request.base);
    let find = json!({ "href": format!("{here}/findByOrderId{{?orderId}}"), "templated": true });
    Response::ok(&json!({ "_links": { "findByOrderId": find, "self": link(here) } }))
}

/// Nothing has been heard of an order: it does not exist, or not yet here.
pub(crate) fn unknown(order_id: OrderId) -> Problem {
    Problem::not_found(format!("Nothing is known about order {order_id}."))
        .next("Check the number. An order that was taken just now appears within a second: try again.")
}

/// One order as a HAL document.
fn document(base: &str, found: &Found) -> Value {
    let here = format!("{base}/infomations/{}", found.order_id);
    json!({
        "orderId": found.order_id,
        "customerId": found.customer_id,
        "eduNo": found.edu_no,
        "courseTitle": found.course_title,
        "guest": found.guest,
        "amount": found.amount,
        "orderStatus": found.statuses.order,
        "payStatus": found.statuses.pay,
        "reservationStatus": found.statuses.reservation,
        "courseStatus": found.statuses.course,
        "waitingPosition": found.waiting_position,
        "updatedAt": found.updated_at,
        "_links": { "self": link(&here), "infomation": link(&here), "events": link(format!("{here}/events")) },
    })
}

/// One order as a HAL document, with what happened to it.
pub(crate) fn with_timeline(base: &str, found: &Found, timeline: &[Past]) -> Value {
    let steps: Vec<_> = timeline
        .iter()
        .map(|past| json!({ "event": past.event, "status": past.status, "time": past.time }))
        .collect();
    let mut document = document(base, found);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("timeline".to_owned(), Value::Array(steps));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_lead_to_the_same_routes() {
        let order_id = OrderId::parse(1113).unwrap();
        for root in ["infomations", "informations"] {
            assert_eq!(Route::of(&[root]), Some(Route::All));
            assert_eq!(Route::of(&[root, "1113"]), Some(Route::One(order_id)));
            assert_eq!(Route::of(&[root, "1113", "events"]), Some(Route::Events(order_id)));
            assert_eq!(Route::of(&[root, "search"]), Some(Route::Searches));
            assert_eq!(Route::of(&[root, "search", "findByOrderId"]), Some(Route::FindByOrderId));
        }
        for nowhere in
            [&["infomations", "abc"][..], &["infomations", "0"], &["infomations", "1", "x"], &["orders"]]
        {
            assert_eq!(Route::of(nowhere), None, "{nowhere:?}");
        }
    }
}
