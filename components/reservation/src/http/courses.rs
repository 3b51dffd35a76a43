//! `/courses`: what can be applied for, and its management.

use super::page;
use super::problems::{no_course, refuse};
use crate::domain::{Capacity, Changes, Course, NewCourse, Title};
use crate::service::{Opening, Service};
use crate::store::{count_courses, find_course, list_courses};
use ::store::Storage;
use hal::{Error, Fields, Links, Paging, Request, Response, etag_of};
use journal::Tell;
use kernel::event::Course as Terms;
use kernel::{Approval, CourseStatus, EduNo, Invalid, Timestamp, Won};
use serde::Serialize;

pub(super) async fn list(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, &["eduNo"])?;
    let status = request.query.parse_as("status")?;
    let listed = list_courses(storage, status, &page(&paging)).await?;
    let total = if paging.counts() { Some(count_courses(storage, status).await?) } else { None };
    let last = listed.last().map(|last| last.terms.edu_no.get());
    let documents: Vec<_> = listed.iter().map(|course| Document::of(course, request)).collect();
    Ok(paging.respond(request, "courses", &documents, total, last))
}

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    Ok(Response::ok(&Document::of(&find(storage, edu_no).await?, request)))
}

/// 201 for a new course, 200 for one that was opened before with the same content.
pub(super) async fn create<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
) -> Result<Response, Error> {
    request.preconditions().check_untagged()?;
    let key = request.idempotency_key()?;
    let mut fields = request.fields()?;
    let edu_no = fields.number("eduNo", EduNo::parse);
    let course = new_course(&mut fields);
    fields.finish()?;
    let neither = || Error::failure(anyhow::anyhow!("a course was neither read nor refused"));
    let course = course.ok_or_else(neither)?;
    let opening = Opening { edu_no, course, key, traceparent: request.traceparent() };
    let opened = service
        .open_course(&opening, Timestamp::now())
        .await
        .map_err(|not_done| refuse(request, not_done))?;
    let course = find(&service.journal.storage, opened.edu_no).await?;
    let document = Document::of(&course, request);
    let response = if opened.new {
        Response::created(&document, &href(request, opened.edu_no))
    } else {
        Response::ok(&document)
    };
    Ok(if opened.replayed { response.header("idempotency-replayed", "true") } else { response })
}

/// The course that a body asks for; none where something was refused.
fn new_course(fields: &mut Fields) -> Option<NewCourse> {
    let title = fields.required_text("title", Title::parse);
    let capacity = fields.required("capacity", Capacity::parse);
    let fee = fields.required("fee", Won::fee);
    let approval = fields.required_text("approval", str::parse::<Approval>);
    let starts_at = fields.required_text("startsAt", |raw| instant("startsAt", raw));
    let ends_at = fields.required_text("endsAt", |raw| instant("endsAt", raw));
    Some(NewCourse {
        title: title?,
        capacity: capacity?,
        fee: fee?,
        approval: approval?,
        starts_at: starts_at?,
        ends_at: ends_at?,
    })
}

/// Changes an open course, moves it on, or both at once.
pub(super) async fn patch<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let changes = Changes {
        title: fields.text("title", Title::parse),
        capacity: fields.number("capacity", Capacity::parse),
        fee: fields.number("fee", Won::fee),
        approval: fields.text("approval", str::parse::<Approval>),
        starts_at: fields.text("startsAt", |raw| instant("startsAt", raw)),
        ends_at: fields.text("endsAt", |raw| instant("endsAt", raw)),
        status: fields.text("status", str::parse::<CourseStatus>),
    };
    fields.finish()?;
    let preconditions = request.preconditions();
    let hold = |course: &Course| preconditions.hold(|| etag_of(&Document::of(course, request)));
    let condition = (!preconditions.is_unconditional()).then_some(hold);
    let changed = service.change_course(edu_no, changes, request.traceparent(), condition).await;
    changed.map_err(|not_done| refuse(request, not_done))?;
    show(&service.journal.storage, request, edu_no).await
}

/// The course, or 404.
pub(super) async fn find(storage: &impl Storage, edu_no: EduNo) -> Result<Course, Error> {
    Ok(find_course(storage, edu_no).await?.ok_or_else(|| no_course(edu_no))?)
}

fn instant(field: &'static str, raw: &str) -> Result<Timestamp, Invalid> {
    raw.parse::<Timestamp>().map_err(|problem| Invalid::new(field, problem.to_string()))
}

pub(super) fn href(request: &Request, edu_no: EduNo) -> String {
    format!("{}/courses/{edu_no}", request.base)
}

/// A course as it is shown. Whatever goes into it moves the version of the course's seats, by which a change that depends
/// on it is bound.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    terms: &'a Terms,
    taken: u32,
    waiting: u64,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

impl<'a> Document<'a> {
    fn of(course: &'a Course, request: &Request) -> Self {
        let terms = &course.terms;
        let href = href(request, terms.edu_no);
        // What can be done with a course now: each is a PATCH with another `status`.
        let (open, started) = (terms.status == CourseStatus::Open, terms.status == CourseStatus::Started);
        let links = Links::new()
            .when(open, "start", href.clone())
            .when(started, "finish", href.clone())
            .when(open || started, "cancel", href.clone())
            .with("roster", format!("{href}/roster"))
            .with("reservations", format!("{}/reservations?eduNo={}", request.base, terms.edu_no))
            .with("self", href);
        Self { terms, taken: course.taken, waiting: course.waiting, links }
    }
}
