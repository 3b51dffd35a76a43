//! The messages over HTTP: read only, so that everybody can see what was told to whom and whether it arrived.

use crate::store::{self, Filter, Found};
use ::store::{Page, Storage};
use access::Reach;
use hal::{Error, Links, Method, Paging, Problem, Request, Response};
use kernel::OrderId;
use serde::Serialize;

/// What a collection can be sorted by. Messages are numbered as they are written.
const SORTABLE: &[&str] = &["createdAt"];

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Route<'a> {
    All,
    One(&'a str),
    Searches,
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

pub(crate) async fn answer(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let segments = request.route();
    let Some(route) = Route::of(&segments) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET"]);
    }
    match route {
        Route::All => all(storage, request, reach).await,
        Route::One(id) => one(storage, request, reach, id).await,
        Route::Searches => Ok(Response::searches(request, "notifications")),
        Route::FindByOrderId => {
            request.query.required::<OrderId>("orderId")?;
            all(storage, request, reach).await
        }
    }
}

async fn all(storage: &impl Storage, request: &Request, reach: &Reach) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, SORTABLE)?;
    let filter = Filter {
        order_id: request.query.parse_as("orderId")?,
        customer_id: request.query.parse_as("customerId")?,
        status: request.query.parse_as("status")?,
        owners: reach.owners(),
    };
    // The newest first, unless asked otherwise.
    let page = Page { descending: paging.sort.is_none_or(|sort| sort.descending), ..paging.page() };
    let found = store::list(storage, filter, &page).await?;
    let total = if paging.counts() { Some(store::total(storage, filter).await?) } else { None };
    let documents: Vec<_> = found.iter().map(|found| Document::of(found, &request.base)).collect();
    Ok(paging.respond(request, "notifications", &documents, total, found.last().map(|found| found.seq)))
}

async fn one(storage: &impl Storage, request: &Request, reach: &Reach, id: &str) -> Result<Response, Error> {
    let in_reach = |found: &Found| reach.includes(found.order_id, found.customer_id);
    match store::find(storage, id).await?.filter(in_reach) {
        Some(found) => Ok(Response::ok(&Document::of(&found, &request.base))),
        None => Err(Problem::not_found(format!("There is no message {id:?}.")).into()),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    found: &'a Found,
    #[serde(rename = "_links")]
    links: Links<'static>,
}

impl<'a> Document<'a> {
    fn of(found: &'a Found, base: &str) -> Self {
        let here = format!("{base}/notifications/{}", found.id);
        Self { found, links: Links::new().with("self", here.clone()).with("notification", here) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use ::store::native::{Store, at_once};
    use access::Caller;
    use kernel::{Language, Timestamp};
    use serde_json::json;

    ::store::on_postgres!(
        a_path_names_all_messages_one_or_those_of_an_order,
        a_message_is_shown_with_its_delivery_and_the_tag_of_what_is_shown,
        the_messages_of_an_order_are_listed_and_a_page_by_number_is_counted,
        what_is_not_there_or_not_readable_is_a_problem,
    );

    fn get(storage: &Store, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::new(Method::GET, path, headers, "").unwrap();
        at_once(hal::answer(&request, async |request: &Request| {
            answer(storage, request, &Reach::open(Caller::default())).await
        }))
        .unwrap()
    }

    /// A store with one message, about the payment of order 1113.
    fn with_a_message() -> Store {
        let storage = Store::new(&store::DATABASE);
        let event = samples::paid(Language::Ko);
        let message = crate::domain::Message::about("pay", 2, &event, Some("자바 입문")).unwrap();
        let now = Timestamp::from_millis(0);
        at_once(store::add(&[message], now, now).run(&storage)).unwrap().unwrap();
        storage
    }

    #[test]
    fn a_path_names_all_messages_one_or_those_of_an_order() {
        assert_eq!(Route::of(&["notifications"]), Some(Route::All));
        assert_eq!(Route::of(&["notifications", "pay:1113:2"]), Some(Route::One("pay:1113:2")));
        assert_eq!(Route::of(&["notifications", "search"]), Some(Route::Searches));
        assert_eq!(Route::of(&["notifications", "search", "findByOrderId"]), Some(Route::FindByOrderId));
        assert_eq!(Route::of(&["notifications", "pay:1113:2", "body"]), None);
    }

    #[test]
    fn a_message_is_shown_with_its_delivery_and_the_tag_of_what_is_shown() {
        let storage = with_a_message();
        let shown = get(&storage, "/notifications/pay:1113:2", &[("host", "h")]);
        let mut document = shown.json();
        assert!(document["body"].take().as_str().unwrap().contains("자바 입문"));
        let here = json!({ "href": "http://h/notifications/pay:1113:2" });
        assert_eq!(
            document,
            json!({
                "id": "pay:1113:2",
                "orderId": 1113,
                "customerId": 1,
                "event": "Paid",
                "language": "ko",
                "body": null,
                "status": "Pending",
                "attempts": 1,
                "createdAt": "1970-01-01T00:00:00.000Z",
                "sentAt": null,
                "_links": { "self": here, "notification": here },
            })
        );
        let known = [("host", "h"), ("if-none-match", shown.get("etag").unwrap())];
        assert_eq!(get(&storage, "/notifications/pay:1113:2", &known).status().as_u16(), 304);
        storage.run("UPDATE messages SET attempts = 2", &[]).unwrap();
        assert_eq!(get(&storage, "/notifications/pay:1113:2", &known).status().as_u16(), 200);
    }

    #[test]
    fn the_messages_of_an_order_are_listed_and_a_page_by_number_is_counted() {
        let storage = with_a_message();
        let found = get(&storage, "/notifications/search/findByOrderId?orderId=1113", &[]).json();
        assert_eq!(found["_embedded"]["notifications"][0]["id"], "pay:1113:2");
        assert_eq!(found["page"]["totalElements"], 1);
        let by_key = get(&storage, "/notifications?after=0&size=1", &[]).json();
        assert!(by_key["_links"]["next"]["href"].as_str().unwrap().contains("after=1"), "{by_key}");
        assert_eq!(by_key["page"], json!({ "size": 1 }));
    }

    #[test]
    fn what_is_not_there_or_not_readable_is_a_problem() {
        let storage = with_a_message();
        for (path, status) in [
            ("/notifications/pay:1:1", 404),
            ("/notifications/a/b", 404),
            ("/notifications/search/findByOrderId", 422),
            ("/notifications?status=", 422),
            ("/notifications?customerId=1&customerId=", 422),
            ("/notifications/search", 200),
        ] {
            assert_eq!(get(&storage, path, &[]).status().as_u16(), status, "{path}");
        }
    }
}
