//! `/courses/{eduNo}/roster`: who takes part or waits, as JSON by page, or whole as CSV to open in a spreadsheet.
//!
//! The CSV begins with a byte order mark, since Excel on Korean Windows reads UTF-8 without one as CP949.

use super::{courses, reservations};
use crate::store::{ListedReservation, ReservationFilter, list_reservations};
use ::store::{Page, Storage};
use access::Reach;
use anyhow::Context;
use hal::{Error, Request, Response, StatusCode};
use kernel::text::spreadsheet_safe;
use kernel::{EduNo, ReservationStatus};

/// Who has, or may still get, a seat.
const ON_THE_ROSTER: [ReservationStatus; 3] = [
    ReservationStatus::ReservationRequested,
    ReservationStatus::ReservationConfirmed,
    ReservationStatus::Waitlisted,
];

const HEADER: [&str; 8] =
    ["eduNo", "courseTitle", "orderId", "customerId", "guest", "status", "waitingPosition", "reservedAt"];

/// How many rows are read at once.
const CHUNK: u64 = 1000;

/// What a roster may be asked for as; JSON is what whoever does not say gets.
const OFFERS: [&[&str]; 2] =
    [&["application/hal+json", "application/json"], &["text/csv;charset=utf-8;header=present"]];

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let course = courses::find_managed(storage, reach, edu_no).await?;
    let statuses = match request.query.parse_as("status")? {
        Some(status) => vec![status],
        None => ON_THE_ROSTER.to_vec(),
    };
    let filter = ReservationFilter { edu_no: Some(edu_no), statuses, ..ReservationFilter::default() };
    let response = if request.negotiate(&OFFERS) == 0 {
        reservations::list_filtered(storage, request, reach, &filter).await?
    } else {
        let csv = whole_roster(storage, &filter, &course.terms.title).await?;
        Response::of(StatusCode::OK, "text/csv; charset=utf-8", csv)
            .header("content-disposition", &format!("attachment; filename=\"roster-{edu_no}.csv\""))
    };
    Ok(response.header("vary", "accept"))
}

async fn whole_roster(
    storage: &impl Storage,
    filter: &ReservationFilter,
    title: &str,
) -> Result<Vec<u8>, Error> {
    // What holds the mark of a comment is put in quotes. There are no comments here; but where the comma is the decimal
    // sign, spreadsheets divide at a semicolon that has none.
    let bom = "\u{feff}".as_bytes().to_vec();
    let mut csv = csv::WriterBuilder::new().comment(Some(b';')).from_writer(bom);
    csv.write_record(HEADER)?;
    let title = spreadsheet_safe(title);
    let mut after = 0;
    loop {
        let page = Page { limit: CHUNK, after: Some(after), ..Page::default() };
        let listed = list_reservations(storage, filter, &page).await?;
        for row in &listed {
            csv.write_record(record(row, &title))?;
            after = row.reservation.applicant.order_id.get();
        }
        if (listed.len() as u64) < CHUNK {
            break;
        }
    }
    csv.into_inner().map_err(|e| e.into_error()).context("finishing the roster").map_err(Error::failure)
}

fn record(listed: &ListedReservation, title: &str) -> [String; 8] {
    let applicant = &listed.reservation.applicant;
    [
        applicant.edu_no.to_string(),
        title.to_owned(),
        applicant.order_id.to_string(),
        applicant.customer_id.map(|id| id.to_string()).unwrap_or_default(),
        applicant.guest.to_string(),
        listed.reservation.status.to_string(),
        listed.waiting_position.map(|position| position.to_string()).unwrap_or_default(),
        listed.reserved_at.clone().unwrap_or_default(),
    ]
}
