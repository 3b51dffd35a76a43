//! The messages over HTTP: read only, so that everybody can see what was told to whom and whether it arrived.

use crate::store::{self, Filter, Found};
use hal::{Error, Method, Paging, Problem, Request, Response, link};
use kernel::OrderId;
use serde_json::{Value, json};

/// What a collection can be sorted by. Messages are numbered as they are written.
const SORTABLE: &[&str] = &["createdAt"];

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    /// `/notifications`
    All,
    /// `/notifications/{id}`
    One(&'a str),
    /// `/notifications/search`
    Searches,
    /// `/notifications/search/findByOrderId`
    FindByOrderId,
}

impl<'a> Route<'a> {
    fn of(segments: &[&'a str]) -> Option<Self> {
        match segments {
            ["notifications"] => Some(Self::All),
            ["notifications", "search"] => Some(Self::Searches),
            ["notifications", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["notifications", id] => Some(Self::One(id)),
            _ => None,
        }
    }
}

/// Answers a request.
pub(crate) async fn answer(request: Request) -> Result<Response, Error> {
    let segments = request.route();
    let Some(route) = Route::of(&segments) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET", "HEAD", "OPTIONS"]);
    }
    match route {
        Route::All => all(&request).await,
        Route::One(id) => one(&request, id).await,
        Route::Searches => Ok(searches(&request)),
        Route::FindByOrderId => match request.query.parse_as::<OrderId>("orderId")? {
            Some(_) => all(&request).await,
            None => Err(kernel::Invalid::new("orderId", "is required").into()),
        },
    }
}

async fn all(request: &Request) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, SORTABLE)?;
    let filter = Filter {
        order_id: request.query.parse_as("orderId")?,
        customer_id: request.query.parse_as("customerId")?,
        status: request.query.parse_as("status")?,
    };
    let found = store::page(&store::DATABASE, &filter, &paging).await?;
    let total = match paging.after {
        Some(_) => None,
        None => Some(store::count(&store::DATABASE, &filter).await?),
    };
    let last_key = found.last().map(|found| found.seq);
    let items = found.iter().map(|found| document(&request.base, found)).collect();
    Ok(paging.respond(request, "notifications", items, total, last_key))
}

async fn one(request: &Request, id: &str) -> Result<Response, Error> {
    let Some(found) = store::find(&store::DATABASE, id).await? else {
        return Err(Problem::not_found(format!("There is no message {id:?}.")).into());
    };
    // A message never changes, but its delivery does.
    let etag = format!("{}-{}", found.status, found.attempts);
    if request.has_already(&etag) {
        return Ok(Response::not_modified(&etag));
    }
    Ok(Response::ok(&document(&request.base, &found)).etag(&etag))
}

fn searches(request: &Request) -> Response {
    let here = format!("{}/notifications/search", request.base);
    let find = json!({ "href": format!("{here}/findByOrderId{{?orderId}}"), "templated": true });
    Response::ok(&json!({ "_links": { "findByOrderId": find, "self": link(here) } }))
}

/// One message as a HAL document.
fn document(base: &str, found: &Found) -> Value {
    let here = format!("{base}/notifications/{}", found.id);
    json!({
        "id": found.id,
        "orderId": found.order_id,
        "customerId": found.customer_id,
        "event": found.event,
        "language": found.language,
        "body": found.body,
        "status": found.status,
        "attempts": found.attempts,
        "createdAt": found.created_at,
        "sentAt": found.sent_at,
        "_links": { "self": link(&here), "notification": link(&here) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_all_messages_one_or_those_of_an_order() {
        assert_eq!(Route::of(&["notifications"]), Some(Route::All));
        assert_eq!(Route::of(&["notifications", "pay:1113:2"]), Some(Route::One("pay:1113:2")));
        assert_eq!(Route::of(&["notifications", "search"]), Some(Route::Searches));
        assert_eq!(Route::of(&["notifications", "search", "findByOrderId"]), Some(Route::FindByOrderId));
        assert_eq!(Route::of(&["notifications", "pay:1113:2", "body"]), None);
    }
}
