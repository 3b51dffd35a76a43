//! `/reservations`: where each paid order stands, and the course manager's decision.

use super::courses;
use super::problems::{no_reservation, refuse};
use crate::service::Service;
use crate::store::{
    ListedReservation, ReservationFilter, count_reservations, find_reservation, list_reservations,
};
use ::store::Storage;
use access::Reach;
use hal::{Error, Links, Method, Paging, Request, Response, etag_of};
use journal::Tell;
use kernel::{CustomerId, EduNo, Guests, OrderId, ReservationStatus};
use serde::Serialize;

pub(super) async fn list(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let filter = ReservationFilter {
        customer_id: request.query.parse_as("customerId")?,
        edu_no: request.query.parse_as("eduNo")?,
        statuses: request.query.parse_as("status")?.into_iter().collect(),
        owners: reach.owners().cloned(),
    };
    list_filtered(storage, request, reach, &filter).await
}

/// One page of the reservations that `filter` lets through.
pub(super) async fn list_filtered(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    filter: &ReservationFilter,
) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, &["orderId"])?;
    let listed = list_reservations(storage, filter, &paging.page()).await?;
    let total = if paging.counts() { Some(count_reservations(storage, filter).await?) } else { None };
    let last = listed.last().map(|last| last.reservation.applicant.order_id.get());
    let decides = decides(reach);
    let documents: Vec<_> = listed.iter().map(|listed| Document::of(listed, request, &decides)).collect();
    Ok(paging.respond(request, "reservations", &documents, total, last))
}

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    order_id: OrderId,
) -> Result<Response, Error> {
    let listed = find(storage, reach, order_id).await?;
    Ok(Response::ok(&Document::of(&listed, request, &decides(reach))))
}

/// The reservation of an order, or 404: also where it is out of reach.
async fn find(storage: &impl Storage, reach: &Reach, order_id: OrderId) -> Result<ListedReservation, Error> {
    let found = find_reservation(storage, order_id).await?;
    let in_reach = |listed: &ListedReservation| {
        let managers = listed.managers.iter().copied();
        reach.includes(order_id, listed.reservation.applicant.customer_id) || reach.includes_course(managers)
    };
    Ok(found.filter(in_reach).ok_or_else(|| no_reservation(order_id))?)
}

/// Confirms or rejects: the two statuses that a manager can give.
pub(super) async fn patch<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
    reach: &Reach,
    order_id: OrderId,
) -> Result<Response, Error> {
    if !reach.is_everything() {
        find(&service.journal.storage, reach, order_id).await?;
    }
    let mut fields = request.fields()?;
    let status = fields.required_text("status", str::parse::<ReservationStatus>);
    fields.finish()?;
    let decides = decides(reach);
    let preconditions = request.preconditions();
    let hold =
        |listed: &ListedReservation| preconditions.hold(|| etag_of(&Document::of(listed, request, &decides)));
    let condition = (!preconditions.is_unconditional()).then_some(hold);
    if let Some(to) = status {
        let judged = service.judge_reservation(order_id, to, request.traceparent(), condition).await;
        judged.map_err(|not_done| refuse(request, not_done))?;
    }
    show(&service.journal.storage, request, reach, order_id).await
}

/// Whose reservations whoever asks may confirm and reject.
fn decides(reach: &Reach) -> Reach {
    reach.by(&Method::PATCH, "/reservations/{orderId}")
}

/// A reservation as it is shown. Its waiting position moves without an event of its own, but never without its course's
/// seats.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    order_id: OrderId,
    customer_id: Option<CustomerId>,
    edu_no: EduNo,
    guest: Guests,
    status: ReservationStatus,
    waiting_position: Option<u64>,
    reserved_at: Option<&'a str>,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

impl<'a> Document<'a> {
    fn of(listed: &'a ListedReservation, request: &Request, decides: &Reach) -> Self {
        let applicant = &listed.reservation.applicant;
        let status = listed.reservation.status;
        let href = format!("{}/reservations/{}", request.base, applicant.order_id);
        // What the course manager can do with it now.
        let decides = decides.includes_course(listed.managers.iter().copied());
        let requested = decides && status == ReservationStatus::ReservationRequested;
        let waits = decides && status == ReservationStatus::Waitlisted;
        let links = Links::new()
            .when(requested, "confirm", href.clone())
            .when(requested || waits, "reject", href.clone())
            .with("course", courses::href(request, applicant.edu_no))
            .with("self", href);
        Self {
            order_id: applicant.order_id,
            customer_id: applicant.customer_id,
            edu_no: applicant.edu_no,
            guest: applicant.guest,
            status,
            waiting_position: listed.waiting_position,
            reserved_at: listed.reserved_at.as_deref(),
            links,
        }
    }
}
