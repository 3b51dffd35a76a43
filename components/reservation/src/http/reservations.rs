//! `/reservations`: where each paid order stands, and the course manager's decision.

use super::{asked, courses, problems, slice};
use crate::domain::{Command, Refusal};
use crate::store::{
    ListedReservation, ReservationFilter, Undecided, carry_out, count_reservations, find_reservation,
    list_reservations,
};
use ::store::Storage;
use hal::{Error, Paging, Problem, Request, Response, link};
use kernel::{Invalid, OrderId, ReservationStatus, Timestamp};
use serde_json::{Map, Value, json};

pub(super) async fn list(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let filter = ReservationFilter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        statuses: request.query.parse_as("status")?.into_iter().collect(),
    };
    page(storage, request, &filter).await
}

/// One page of the reservations that `filter` lets through.
pub(super) async fn page(
    storage: &impl Storage,
    request: &Request,
    filter: &ReservationFilter,
) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, &["orderId"])?;
    let listed = list_reservations(storage, filter, slice(&paging)).await?;
    let total = match paging.after {
        None => Some(count_reservations(storage, filter).await?),
        Some(_) => None,
    };
    let last = listed.last().map(|last| last.reservation.applicant.order_id.get());
    let items = listed.iter().map(|listed| resource(request, listed)).collect();
    Ok(paging.respond(request, "reservations", items, total, last))
}

pub(super) async fn find_by_order_id(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let Some(order_id) = request.query.parse_as("orderId")? else {
        return Err(Problem::invalid_fields(&[Invalid::new("orderId", "is required")]).into());
    };
    show(storage, request, order_id).await
}

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    order_id: OrderId,
) -> Result<Response, Error> {
    let listed = find(storage, order_id).await?;
    if request.has_already(&etag(&listed)) {
        return Ok(Response::not_modified(&etag(&listed)));
    }
    Ok(Response::ok(&resource(request, &listed)).etag(&etag(&listed)))
}

/// Confirms or rejects: the two statuses that a manager can give.
pub(super) async fn patch(
    storage: &impl Storage,
    request: &Request,
    order_id: OrderId,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let status = fields.required_text("status", str::parse::<ReservationStatus>);
    fields.finish()?;
    let present = find(storage, order_id).await?;
    request.check_if_match(&etag(&present))?;

    let mut commands = vec![];
    if request.header("if-match").is_some_and(|tag| tag.trim() != "*") {
        commands.push(Command::ReservationAt(order_id, present.reservation.version));
    }
    match status {
        Some(ReservationStatus::ReservationConfirmed) => commands.push(Command::Confirm(order_id)),
        Some(ReservationStatus::ReservationRejected) => commands.push(Command::Reject(order_id)),
        Some(asked) => {
            let present = present.reservation.status;
            return Err(Undecided::from(Refusal::ReservationTransition { present, asked }).into());
        }
        None => {}
    }
    carry_out(storage, &asked(request, commands), Timestamp::now()).await?;
    let listed = find(storage, order_id).await?;
    Ok(Response::ok(&resource(request, &listed)).etag(&etag(&listed)))
}

async fn find(storage: &impl Storage, order_id: OrderId) -> Result<ListedReservation, Error> {
    Ok(find_reservation(storage, order_id).await?.ok_or_else(|| problems::no_reservation(order_id))?)
}

/// The place in line is part of what is shown, and moves without an event of this reservation.
fn etag(listed: &ListedReservation) -> String {
    let version = listed.reservation.version;
    listed.waiting_position.map_or_else(|| version.to_string(), |position| format!("{version}.{position}"))
}

fn resource(request: &Request, listed: &ListedReservation) -> Value {
    let applicant = &listed.reservation.applicant;
    let href = format!("{}/reservations/{}", request.base, applicant.order_id);
    let decisions = decisions(listed.reservation.status);
    let mut links: Map<_, _> = decisions.iter().map(|rel| ((*rel).to_owned(), link(&href))).collect();
    links.insert("self".to_owned(), link(&href));
    links.insert("course".to_owned(), link(courses::href(request, applicant.edu_no)));
    json!({
        "orderId": applicant.order_id,
        "customerId": applicant.customer_id,
        "eduNo": applicant.edu_no,
        "guest": applicant.guest,
        "status": listed.reservation.status,
        "waitingPosition": listed.waiting_position,
        "reservedAt": listed.reserved_at,
        "_links": links,
    })
}

/// What the course manager can do with a reservation now.
const fn decisions(status: ReservationStatus) -> &'static [&'static str] {
    match status {
        ReservationStatus::ReservationRequested => &["confirm", "reject"],
        ReservationStatus::Waitlisted => &["reject"],
        ReservationStatus::ReservationConfirmed
        | ReservationStatus::ReservationRejected
        | ReservationStatus::ReservationCanceled => &[],
    }
}
