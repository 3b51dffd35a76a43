//! What `reservation` answers over HTTP.
//!
//! | path | methods | room |
//! |---|---|---|
//! | `/courses` | `GET`, `POST` | [`courses`] |
//! | `/courses/{eduNo}` | `GET`, `PATCH` | [`courses`] |
//! | `/courses/{eduNo}/roster` | `GET` (JSON or CSV) | [`roster`] |
//! | `/reservations` | `GET` | [`reservations`] |
//! | `/reservations/{orderId}` | `GET`, `PATCH` | [`reservations`] |
//! | `/reservations/search/findByOrderId?orderId=` | `GET` | [`reservations`] |
//!
//! Nothing here makes a reservation: that takes a paid order, and so comes as an event.

mod courses;
mod problems;
mod reservations;
mod roster;
#[cfg(test)]
mod tests;

use crate::domain::Command;
use crate::store::{Asked, Part, Slice};
use ::store::Storage;
use hal::{Direction, Error, Method, Paging, Request, Response};
use kernel::{EduNo, OrderId};

/// A path of this context, parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Courses,
    Course(EduNo),
    Roster(EduNo),
    Reservations,
    Reservation(OrderId),
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
            ["reservations", "search", "findByOrderId"] => Some(Self::FindByOrderId),
            ["reservations", order_id] => order_id.parse().ok().map(Self::Reservation),
            _ => None,
        }
    }
}

/// Answers one request.
pub(crate) async fn answer(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let Some(route) = Route::of(&request.route()) else { return request.nothing_here() };
    match (route, &request.method) {
        (Route::Courses, &Method::GET) => courses::list(storage, request).await,
        (Route::Courses, &Method::POST) => courses::create(storage, request).await,
        (Route::Courses, _) => request.other_method(&["GET", "HEAD", "POST", "OPTIONS"]),
        (Route::Course(edu_no), &Method::GET) => courses::show(storage, request, edu_no).await,
        (Route::Course(edu_no), &Method::PATCH) => courses::patch(storage, request, edu_no).await,
        (Route::Roster(edu_no), &Method::GET) => roster::show(storage, request, edu_no).await,
        (Route::Reservations, &Method::GET) => reservations::list(storage, request).await,
        (Route::Reservation(order_id), &Method::GET) => reservations::show(storage, request, order_id).await,
        (Route::Reservation(order_id), &Method::PATCH) => {
            reservations::patch(storage, request, order_id).await
        }
        (Route::FindByOrderId, &Method::GET) => reservations::find_by_order_id(storage, request).await,
        (Route::Course(_) | Route::Reservation(_), _) => {
            request.other_method(&["GET", "HEAD", "PATCH", "OPTIONS"])
        }
        (Route::Roster(_) | Route::Reservations | Route::FindByOrderId, _) => {
            request.other_method(&["GET", "HEAD", "OPTIONS"])
        }
    }
}

/// The commands as asked by this request.
fn asked(request: &Request, commands: Vec<Command>) -> Vec<Asked> {
    let traceparent = request.traceparent();
    commands.into_iter().map(|command| Asked { command, traceparent: traceparent.clone() }).collect()
}

/// The slice of a list that a page is; lists here have one order, that of their numbers.
fn slice(paging: &Paging) -> Slice {
    Slice {
        part: paging.after.map_or(Part::Skip(paging.offset()), Part::After),
        limit: paging.size,
        descending: paging.sort.is_some_and(|sort| sort.direction == Direction::Descending),
    }
}
