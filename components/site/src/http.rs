//! The three kinds of page there are, and what becomes of every other path.

use hal::{Error, Kind, Link, Links, Method, Request, Response, StatusCode, link};
use serde::Serialize;
use serde_json::json;

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
            ["problems", slug] => Kind::find(slug).map(Self::Problem),
            _ => None,
        }
    }
}

/// Answers a request.
pub(crate) fn answer(request: &Request) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    if request.method != Method::GET {
        return request.other_method(&["GET"]);
    }
    Ok(match route {
        Route::Root => root(&request.base),
        Route::OpenApi => Response::of(StatusCode::OK, "application/json", OPENAPI),
        Route::Problems => every_problem(&request.base),
        Route::Problem(kind) => Response::ok(&Document::of(kind, &request.base)),
    })
}

fn root(base: &str) -> Response {
    let at = |path: &str| format!("{base}{path}");
    let mut links = Links::new()
        .with("self", at("/"))
        .with("openapi", at("/openapi.json"))
        .with("problems", at("/problems"))
        .with("health", at("/.well-known/spin/health"));
    for (rel, template, title) in COLLECTIONS {
        let title = Some((*title).into());
        links = links.add(*rel, Link { templated: true, title, ..link(at(template)) });
    }
    for (rel, template) in SINGLES {
        links = links.templated(*rel, at(template));
    }
    Response::ok(&json!({ "name": "수강", "version": env!("CARGO_PKG_VERSION"), "_links": links }))
}

fn every_problem(base: &str) -> Response {
    let kinds: Vec<_> = Kind::ALL.iter().map(|kind| Document::of(kind, base)).collect();
    let links = Links::new().with("self", format!("{base}/problems"));
    Response::ok(&json!({ "_embedded": { "problems": kinds }, "_links": links }))
}

/// A kind of problem as a HAL document.
#[derive(Serialize)]
struct Document {
    #[serde(rename = "type")]
    path: String,
    title: &'static str,
    status: u16,
    meaning: &'static str,
    next: &'static str,
    #[serde(rename = "_links")]
    links: Links<'static>,
}

impl Document {
    fn of(kind: &Kind, base: &str) -> Self {
        let path = format!("/problems/{}", kind.slug);
        let links =
            Links::new().with("self", format!("{base}{path}")).with("problems", format!("{base}/problems"));
        let Kind { title, status, meaning, next, .. } = *kind;
        Self { path, title, status: status.as_u16(), meaning, next, links }
    }
}
