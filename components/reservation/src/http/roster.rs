//! `/courses/{eduNo}/roster`: who takes part or waits, as JSON by page, or whole as CSV to open in a spreadsheet.
//!
//! The CSV begins with a byte order mark, since Excel on Korean Windows reads UTF-8 without one as CP949, and a
//! text that a spreadsheet would take for a formula has an apostrophe put before it (OWASP, CSV injection).

use super::{courses, reservations};
use crate::store::{ListedReservation, Part, ReservationFilter, Slice, list_reservations};
use ::store::Storage;
use anyhow::Context;
use hal::{Error, Request, Response, StatusCode};
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

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let course = courses::find(storage, edu_no).await?.course;
    let statuses = match request.query.parse_as("status")? {
        Some(status) => vec![status],
        None => ON_THE_ROSTER.to_vec(),
    };
    let filter = ReservationFilter { edu_no: Some(edu_no), statuses, ..ReservationFilter::default() };
    let response = if prefers_csv(request.header("accept").unwrap_or_default()) {
        let csv = whole_roster(storage, &filter, &course.terms.title).await?;
        Response::of(StatusCode::OK, "text/csv; charset=utf-8", csv)
            .header("content-disposition", &format!("attachment; filename=\"roster-{edu_no}.csv\""))
    } else {
        reservations::page(storage, request, &filter).await?
    };
    Ok(response.header("vary", "accept"))
}

async fn whole_roster(
    storage: &impl Storage,
    filter: &ReservationFilter,
    title: &str,
) -> Result<Vec<u8>, Error> {
    let mut csv = csv::Writer::from_writer("\u{feff}".as_bytes().to_vec());
    csv.write_record(HEADER).context("writing the roster's header")?;
    let title = spreadsheet_text(title);
    let mut last = 0;
    loop {
        let slice = Slice { part: Part::After(last), limit: CHUNK, descending: false };
        let listed = list_reservations(storage, filter, slice).await?;
        for row in &listed {
            csv.write_record(record(row, &title)).context("writing a row of the roster")?;
            last = row.reservation.applicant.order_id.get();
        }
        if (listed.len() as u64) < CHUNK {
            break;
        }
    }
    Ok(csv.into_inner().map_err(|e| e.into_error()).context("finishing the roster")?)
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

/// What begins like a formula is made a text.
fn spreadsheet_text(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

/// Whether `Accept` weighs CSV above JSON (RFC 9110 §12.5.1). JSON is what whoever does not say gets.
fn prefers_csv(accept: &str) -> bool {
    let weight = |kinds: &[&str]| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next()?.to_ascii_lowercase();
                let weight =
                    parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
                kinds.contains(&kind.as_str()).then_some(weight?)
            })
            .fold(0.0_f32, f32::max)
    };
    weight(&["text/csv", "text/*"]) > weight(&["application/hal+json", "application/json", "application/*"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_for_whoever_prefers_it() {
        for (accept, csv) in [
            ("", false),
            ("*/*", false),
            ("application/hal+json", false),
            ("text/csv", true),
            ("text/csv, */*", true),
            ("application/json, text/csv;q=0.5", false),
            ("application/json;q=0.5, text/csv;q=0.9", true),
            ("Text/CSV; charset=utf-8", true),
            ("text/csv;q=0", false),
        ] {
            assert_eq!(prefers_csv(accept), csv, "{accept:?}");
        }
    }

    #[test]
    fn no_text_is_a_formula() {
        assert_eq!(spreadsheet_text("=HYPERLINK(1)"), "'=HYPERLINK(1)");
        assert_eq!(spreadsheet_text("@sum"), "'@sum");
        assert_eq!(spreadsheet_text("러스트 = 재미"), "러스트 = 재미");
    }
}
