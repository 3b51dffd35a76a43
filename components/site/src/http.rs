//! The three kinds of page there are, and what becomes of every other path.

use crate::problems::{self, Kind};
use hal::{Error, Method, Request, Response, StatusCode, link};
use serde_json::{Value, json};

/// The whole API, written by hand and held against the components' source by the tests.
pub(crate) const OPENAPI: &str = include_str!("../openapi.json");

/// What can be leafed through, with the parameters that all of them take, and what it is for.
const COLLECTIONS: &[(&str, &str, &str)] = &[
    ("courses", "/courses{?page,size,sort,after,status}", "What can be applied for"),
    (
        "orders",
        "/orders{?page,size,sort,after,customerId,eduNo,status}",
        "Apply for a course, pay again, cancel",
    ),
    ("pays", "/pays{?page,size,sort,after,customerId,eduNo,status}", "What was charged and given back"),
    (
        "reservations",
        "/reservations{?page,size,sort,after,customerId,eduNo,status}",
        "Seats and the waiting list; the course manager confirms and rejects here",
    ),
    (
        "infomations",
        "/infomations{?page,size,sort,after,customerId,eduNo,status}",
        "Where every application stands, in one place",
    ),
    (
        "notifications",
        "/notifications{?page,size,sort,after,orderId,customerId,status}",
        "What customers were told, and whether it reached them",
    ),
];

/// One of them by its number.
const SINGLES: &[(&str, &str)] = &[
    ("course", "/courses/{eduNo}"),
    ("order", "/orders/{orderId}"),
    ("payment", "/orders/{orderId}/payment"),
    ("pay", "/pays/{orderId}"),
    ("reservation", "/reservations/{orderId}"),
    ("infomation", "/infomations/{orderId}"),
    ("events", "/infomations/{orderId}/events"),
    ("problem", "/problems/{slug}"),
];

/// What a path means.
#[derive(Debug, PartialEq)]
enum Route {
    /// `/`
    Root,
    /// `/openapi.json`
    OpenApi,
    /// `/problems`
    Problems,
    /// `/problems/{slug}`
    Problem(&'static Kind),
}

impl Route {
    fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            [] => Some(Self::Root),
            ["openapi.json"] => Some(Self::OpenApi),
            ["problems"] => Some(Self::Problems),
            ["problems", slug] => problems::find(slug).map(Self::Problem),
            _ => None,
        }
    }
}

/// Answers a request.
pub(crate) fn answer(request: &Request) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET", "HEAD", "OPTIONS"]);
    }
    Ok(match route {
        Route::Root => Response::ok(&root(&request.base)),
        Route::OpenApi => Response::of(StatusCode::OK, "application/json", OPENAPI),
        Route::Problems => Response::ok(&every_problem(&request.base)),
        Route::Problem(kind) => Response::ok(&problem(&request.base, kind)),
    })
}

fn root(base: &str) -> Value {
    let mut links = json!({
        "self": link(format!("{base}/")),
        "openapi": link(format!("{base}/openapi.json")),
        "problems": link(format!("{base}/problems")),
        "health": link(format!("{base}/.well-known/spin/health")),
    });
    if let Some(links) = links.as_object_mut() {
        for (rel, template, title) in COLLECTIONS {
            let href = format!("{base}{template}");
            links.insert((*rel).to_owned(), json!({ "href": href, "templated": true, "title": title }));
        }
        for (rel, template) in SINGLES {
            let href = format!("{base}{template}");
            links.insert((*rel).to_owned(), json!({ "href": href, "templated": true }));
        }
    }
    json!({ "name": "수강", "version": env!("CARGO_PKG_VERSION"), "_links": links })
}

fn every_problem(base: &str) -> Value {
    let kinds: Vec<_> = problems::KINDS.iter().map(|kind| problem(base, kind)).collect();
    json!({ "_embedded": { "problems": kinds }, "_links": { "self": link(format!("{base}/problems")) } })
}

fn problem(base: &str, kind: &Kind) -> Value {
    let path = format!("/problems/{}", kind.slug);
    json!({
        "type": path,
        "title": kind.title,
        "status": kind.status,
        "meaning": kind.meaning,
        "next": kind.next,
        "_links": { "self": link(format!("{base}{path}")), "problems": link(format!("{base}/problems")) },
    })
}
