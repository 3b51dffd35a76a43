//! The view over HTTP: read only, under the seed's spelling `/infomations` and under `/informations`.

use crate::live;
use crate::ports::Background;
use crate::store::{self, Filter, Found};
use ::store::{Page, Storage, StoreError};
use access::Reach;
use hal::{Error, Links, Method, Paging, Problem, Request, Response};
use kernel::OrderId;
use serde::Serialize;

/// What a collection can be sorted by.
const SORTABLE: &[&str] = &["orderId", "eduNo", "updatedAt"];

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
enum Route {
    All,
    One(OrderId),
    Events(OrderId),
    Searches,
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
pub(crate) async fn answer<S: Storage + Clone + 'static>(
    storage: &S,
    background: impl Background,
    request: &Request,
    reach: Reach,
) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET"]);
    }
    match route {
        Route::All => all(storage, request, &reach).await,
        Route::One(order_id) => one(storage, request, &reach, order_id).await,
        Route::Events(order_id) => live::follow(storage, background, request, reach, order_id).await,
        Route::Searches => Ok(Response::searches(request, "infomations")),
        Route::FindByOrderId => one(storage, request, &reach, request.query.required("orderId")?).await,
    }
}

async fn all(storage: &impl Storage, request: &Request, reach: &Reach) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, SORTABLE)?;
    let filter = Filter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        status: request.query.parse_as("status")?,
        owners: reach.owners(),
    };
    let page = Page { sort: paging.sort.map(|sort| store::column(sort.field)), ..paging.page() };
    let mut found = store::list(storage, filter, &page).await?;
    let managed = managed(reach);
    found.iter_mut().for_each(|found| veil(found, reach, &managed));
    let total = if paging.counts() { Some(store::total(storage, filter).await?) } else { None };
    let documents: Vec<_> = found.iter().map(|found| Document::of(found, &request.base)).collect();
    let last = found.last().map(|found| found.order_id.get());
    Ok(paging.respond(request, "infomations", &documents, total, last))
}

async fn one(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    order_id: OrderId,
) -> Result<Response, Error> {
    match find(storage, reach, order_id).await? {
        Some(found) => Ok(Response::ok(&Document::of(&found, &request.base))),
        None => Err(unknown(order_id).into()),
    }
}

/// An order, if it has been heard of and is in reach of whoever asks.
pub(crate) async fn find(
    storage: &impl Storage,
    reach: &Reach,
    order_id: OrderId,
) -> Result<Option<Found>, StoreError> {
    let in_reach = |found: &Found| {
        reach.includes(order_id, found.customer_id) || reach.includes_course(found.managers.iter().copied())
    };
    let mut found = store::find(storage, order_id).await?.filter(in_reach);
    if let Some(found) = &mut found {
        veil(found, reach, &managed(reach));
    }
    Ok(found)
}

/// What the same caller may decide about, as a manager or an operator.
fn managed(reach: &Reach) -> Reach {
    reach.by(&Method::PATCH, "/reservations/{orderId}")
}

/// Takes the name away, unless it is the caller's own or that of somebody who applied for a course that they manage. In an open
/// system nobody can tell who manages, and anybody may apply under any number: there a name is for the member alone.
fn veil(found: &mut Found, reach: &Reach, managed: &Reach) {
    let is_theirs = found.customer_id.is_some() && found.customer_id == reach.caller.customer_id();
    let is_managed = !reach.is_open() && managed.includes_course(found.managers.iter().copied());
    if !is_theirs && !is_managed {
        found.customer_name = None;
    }
}

/// Nothing has been heard of an order: it does not exist, or not yet here.
pub(crate) fn unknown(order_id: OrderId) -> Problem {
    Problem::not_found(format!("Nothing is known about order {order_id}."))
        .next("Check the number. An order that was taken just now appears within a second: try again.")
}

#[derive(Serialize)]
pub(crate) struct Document<'a> {
    #[serde(flatten)]
    found: &'a Found,
    #[serde(rename = "_links")]
    links: Links<'static>,
}

impl<'a> Document<'a> {
    pub(crate) fn of(found: &'a Found, base: &str) -> Self {
        let here = format!("{base}/infomations/{}", found.order_id);
        let events = format!("{here}/events");
        let links = Links::new().with("self", here.clone()).with("infomation", here).with("events", events);
        Self { found, links }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Told;
    use crate::ports::Spin;
    use crate::samples;
    use ::store::native::{Store, at_once};
    use access::{Caller, Identity, Role};
    use kernel::event::{Event, Member};
    use kernel::{CustomerId, PersonName, Timestamp};
    use serde_json::json;

    ::store::on_postgres!(
        both_spellings_lead_to_the_same_routes,
        an_order_is_shown_with_what_happened_and_with_the_tag_of_what_is_shown,
        a_list_shows_no_timelines_and_goes_on_by_key,
        what_is_not_there_or_not_readable_is_a_problem,
        where_nobody_is_asked_a_name_is_for_the_member_alone,
    );

    fn get(storage: &Store, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Request::new(Method::GET, path, headers, "").unwrap();
        let answered = hal::answer(&request, async |request: &Request| {
            answer(storage, Spin, request, Reach::open(Caller::default())).await
        });
        at_once(answered).unwrap()
    }

    /// Takes in the first so many events of order 1113.
    fn take(storage: &Store, events: usize) {
        let history = samples::history();
        let told = history[..events].iter().map(|(version, time, event)| {
            Told::of(samples::context(event), *version, Timestamp::from_millis(*time), event)
        });
        at_once(store::take_in(told).run(storage)).unwrap().unwrap();
    }

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

    #[test]
    fn an_order_is_shown_with_what_happened_and_with_the_tag_of_what_is_shown() {
        let storage = Store::new(&store::DATABASE);
        take(&storage, 2);
        let path = "/infomations/search/findByOrderId?orderId=1113";
        let shown = get(&storage, path, &[("host", "h")]);
        let here = "http://h/infomations/1113";
        let step = |event, status, time| json!({ "event": event, "status": status, "time": time });
        assert_eq!(
            shown.json(),
            json!({
                "orderId": 1113,
                "customerId": 1,
                "eduNo": 102,
                "guest": 2,
                "courseTitle": "자바 입문",
                "amount": 50_000,
                "orderStatus": "Ordered",
                "payStatus": "Payment Delayed",
                "reservationStatus": null,
                "courseStatus": null,
                "waitingPosition": null,
                "updatedAt": "1970-01-01T00:00:00.020Z",
                "timeline": [
                    step("Ordered", "Ordered", "1970-01-01T00:00:00.010Z"),
                    step("PaymentDelayed", "Payment Delayed", "1970-01-01T00:00:00.020Z"),
                ],
                "_links": {
                    "self": { "href": here },
                    "infomation": { "href": here },
                    "events": { "href": format!("{here}/events") },
                },
            })
        );
        let known = [("host", "h"), ("if-none-match", shown.get("etag").unwrap())];
        assert_eq!(get(&storage, "/infomations/1113", &known).status().as_u16(), 304);
        take(&storage, 3);
        assert_eq!(get(&storage, "/infomations/1113", &known).status().as_u16(), 200);
    }

    #[test]
    fn where_nobody_is_asked_a_name_is_for_the_member_alone() {
        let storage = Store::new(&store::DATABASE);
        take(&storage, 1);
        let number = |raw| CustomerId::parse(raw).unwrap();
        let named = Event::MemberRegistered(Member {
            customer_id: number(1),
            name: PersonName::parse("홍길동").ok(),
            phone: None,
            email: None,
            language: kernel::Language::Ko,
            messages: kernel::WantedMessages::All,
            roles: vec![],
            at: Timestamp::from_millis(0),
        });
        at_once(store::keep_people(&[(1, &named)]).run(&storage)).unwrap().unwrap();
        let seen = |identity| {
            let reach = Reach::open(Caller { identity, ..Caller::default() });
            let found = at_once(find(&storage, &reach, OrderId::parse(1113).unwrap())).unwrap();
            found.unwrap().unwrap().customer_name
        };
        let member = |customer| Identity::Member {
            customer_id: number(customer),
            roles: vec![Role::Customer, Role::Operator],
            session: "s".to_owned(),
        };
        assert_eq!(seen(member(1)).as_deref(), Some("홍길동"));
        assert_eq!(seen(member(2)), None);
        assert_eq!(seen(Identity::Stranger), None);
    }

    #[test]
    fn a_list_shows_no_timelines_and_goes_on_by_key() {
        let storage = Store::new(&store::DATABASE);
        take(&storage, 1);
        let listed = get(&storage, "/informations?sort=updatedAt,desc&status=Ordered", &[]).json();
        assert_eq!(listed["page"]["totalElements"], 1);
        let one = &listed["_embedded"]["infomations"][0];
        assert_eq!((&one["orderId"], one.get("timeline")), (&json!(1113), None));
        let by_key = get(&storage, "/infomations?after=0&size=1", &[]).json();
        assert!(by_key["_links"]["next"]["href"].as_str().unwrap().contains("after=1113"), "{by_key}");
    }

    #[test]
    fn what_is_not_there_or_not_readable_is_a_problem() {
        let storage = Store::new(&store::DATABASE);
        for (path, status) in [
            ("/infomations/1113", 404),
            ("/infomations/search/findByOrderId?orderId=1113", 404),
            ("/infomations/search/findByOrderId", 422),
            ("/infomations?status=", 422),
            ("/infomations?customerId=1&customerId=", 422),
            ("/infomations/search", 200),
        ] {
            assert_eq!(get(&storage, path, &[]).status().as_u16(), status, "{path}");
        }
    }
}
