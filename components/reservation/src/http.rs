//! What `reservation` answers over HTTP.
//!
//! | path | methods | module |
//! |---|---|---|
//! | `/courses` | `GET` by page, with a filter; `POST` opens one | [`courses`] |
//! | `/courses/{eduNo}` | `GET`, `PATCH` | [`courses`] |
//! | `/courses/{eduNo}/roster` | `GET` (JSON or CSV) | [`roster`] |
//! | `/reservations` | `GET` by page, with filters | [`reservations`] |
//! | `/reservations/{orderId}` | `GET`, `PATCH` | [`reservations`] |
//! | `/reservations/search`, `/reservations/search/findByOrderId?orderId=` | `GET` | [`reservations`] |
//!
//! Nothing here makes a reservation: that takes a paid order, and so comes as an event.

mod courses;
mod problems;
mod reservations;
mod roster;
#[cfg(test)]
mod tests;

use crate::service::Service;
use ::store::Storage;
use access::Reach;
use hal::{Error, Method, Request, Response};
use journal::Tell;
use kernel::{EduNo, OrderId};

/// A path of this context, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Courses,
    Course(EduNo),
    Roster(EduNo),
    Reservations,
    Reservation(OrderId),
    Searches,
    FindByOrderId,
}

impl Route {
    /// None for what is not there; a number that no course or order can have is not there either.
    fn of(segments: &[&str]) -> Option<Self> {
        match segments {
            ["courses"] => Some(Self::Courses),
            ["courses", edu_no] => edu_no.parse().ok().map(Self::Course),
            ["courses", edu_no, "roster"] => edu_no.parse().ok().map(Self::Roster),
            ["reservations"] => Some(Self::Reservations),
            ["reservations", "search"] => Some(Self::Searches),
            ["reservations", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["reservations", order_id] => order_id.parse().ok().map(Self::Reservation),
            _ => None,
        }
    }
}

/// Answers one request.
pub async fn answer<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let storage = &service.journal.storage;
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    match (route, &request.method) {
        (Route::Courses, &Method::GET) => courses::list(storage, request, reach).await,
        (Route::Courses, &Method::POST) => courses::create(service, request, reach).await,
        (Route::Course(edu_no), &Method::GET) => courses::show(storage, request, reach, edu_no).await,
        (Route::Course(edu_no), &Method::PATCH) => courses::patch(service, request, reach, edu_no).await,
        (Route::Roster(edu_no), &Method::GET) => roster::show(storage, request, reach, edu_no).await,
        (Route::Reservations, &Method::GET) => reservations::list(storage, request, reach).await,
        (Route::Reservation(order_id), &Method::GET) => {
            reservations::show(storage, request, reach, order_id).await
        }
        (Route::Reservation(order_id), &Method::PATCH) => {
            reservations::patch(service, request, reach, order_id).await
        }
        (Route::Searches, &Method::GET) => Ok(Response::searches(request, "reservations")),
        (Route::FindByOrderId, &Method::GET) => {
            reservations::show(storage, request, reach, request.query.required("orderId")?).await
        }
        (Route::Courses, _) => request.other_method(&["GET", "POST"]),
        (Route::Course(_) | Route::Reservation(_), _) => request.other_method(&["GET", "PATCH"]),
        (Route::Roster(_) | Route::Reservations | Route::Searches | Route::FindByOrderId, _) => {
            request.other_method(&["GET"])
        }
    }
}
