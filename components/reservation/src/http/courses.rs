//! `/courses`: what can be applied for, and its management.

use super::problems::{no_course, refuse};
use crate::domain::{Capacity, Changes, Course, Managers, NewCourse, Title};
use crate::service::{Opening, Service};
use crate::store::{count_courses, find_course, list_courses};
use ::store::Storage;
use access::Reach;
use hal::{Error, Fields, Kind, Links, Method, Paging, Problem, Request, Response, etag_of};
use journal::Tell;
use kernel::{Approval, CourseStatus, CustomerId, EduNo, Invalid, Timestamp, Won};
use serde::Serialize;

pub(super) async fn list(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, &["eduNo"])?;
    let status = request.query.parse_as("status")?;
    let listed = list_courses(storage, status, &paging.page()).await?;
    let total = if paging.counts() { Some(count_courses(storage, status).await?) } else { None };
    let last = listed.last().map(|last| last.terms.edu_no.get());
    let manages = manages(reach);
    let documents: Vec<_> = listed.iter().map(|course| Document::of(course, request, &manages)).collect();
    Ok(paging.respond(request, "courses", &documents, total, last))
}

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    reach: &Reach,
    edu_no: EduNo,
) -> Result<Response, Error> {
    Ok(Response::ok(&Document::of(&find(storage, edu_no).await?, request, &manages(reach))))
}

/// 201 for a new course, 200 for one that was opened before with the same content.
pub(super) async fn create<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
    reach: &Reach,
) -> Result<Response, Error> {
    request.preconditions().check_untagged()?;
    let key = request.idempotency_key()?.map(|key| reach.own_key(&key));
    let mut fields = request.fields()?;
    let edu_no = fields.number("eduNo", EduNo::parse);
    // Whoever opens it, unless it is said.
    let managers = managers(&mut fields).unwrap_or_else(|| Managers::alone(reach.caller.customer_id()));
    let course = new_course(&mut fields, managers);
    fields.finish()?;
    let neither = || Error::failure(anyhow::anyhow!("a course was neither read nor refused"));
    let course = course.ok_or_else(neither)?;
    let opening = Opening { edu_no, course, key, traceparent: request.traceparent() };
    let opened = service
        .open_course(&opening, Timestamp::now())
        .await
        .map_err(|not_done| refuse(request, not_done))?;
    let course = find(&service.journal.storage, opened.edu_no).await?;
    let document = Document::of(&course, request, &manages(reach));
    let response = if opened.new {
        Response::created(&document, &href(request, opened.edu_no))
    } else {
        Response::ok(&document)
    };
    Ok(if opened.replayed { response.header("idempotency-replayed", "true") } else { response })
}

/// The course that a body asks for; none where something was refused.
fn new_course(fields: &mut Fields, managers: Managers) -> Option<NewCourse> {
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
        managers,
    })
}

/// Who is to manage a course, if the body says.
fn managers(fields: &mut Fields) -> Option<Managers> {
    let managers = fields.numbers("managers", CustomerId::parse)?;
    Managers::parse(managers).map_err(|invalid| fields.refuse(invalid)).ok()
}

/// Changes an open course, moves it on, or both at once.
pub(super) async fn patch<S: Storage, T: Tell>(
    service: &Service<S, T>,
    request: &Request,
    reach: &Reach,
    edu_no: EduNo,
) -> Result<Response, Error> {
    if !reach.is_everything() {
        find_managed(&service.journal.storage, reach, edu_no).await?;
    }
    let mut fields = request.fields()?;
    let changes = Changes {
        title: fields.text("title", Title::parse),
        capacity: fields.number("capacity", Capacity::parse),
        fee: fields.number("fee", Won::fee),
        approval: fields.text("approval", str::parse::<Approval>),
        starts_at: fields.text("startsAt", |raw| instant("startsAt", raw)),
        ends_at: fields.text("endsAt", |raw| instant("endsAt", raw)),
        status: fields.text("status", str::parse::<CourseStatus>),
        managers: managers(&mut fields),
    };
    fields.finish()?;
    let preconditions = request.preconditions();
    let manages = manages(reach);
    let hold = |course: &Course| preconditions.hold(|| etag_of(&Document::of(course, request, &manages)));
    let condition = (!preconditions.is_unconditional()).then_some(hold);
    let changed = service.change_course(edu_no, changes, request.traceparent(), condition).await;
    changed.map_err(|not_done| refuse(request, not_done))?;
    show(&service.journal.storage, request, reach, edu_no).await
}

pub(super) async fn find(storage: &impl Storage, edu_no: EduNo) -> Result<Course, Error> {
    Ok(find_course(storage, edu_no).await?.ok_or_else(|| no_course(edu_no))?)
}

/// The course, if it is one of whoever asks: a 403 where it is another's, since everybody may know that it is there.
pub(super) async fn find_managed(
    storage: &impl Storage,
    reach: &Reach,
    edu_no: EduNo,
) -> Result<Course, Error> {
    let course = find(storage, edu_no).await?;
    if reach.includes_course(managers_of(&course)) {
        return Ok(course);
    }
    Err(Problem::new(Kind::NOT_ALLOWED).detail("The course is managed by others.").into())
}

fn managers_of(course: &Course) -> impl Iterator<Item = CustomerId> {
    course.terms.managers.iter().map(|manager| manager.customer_id)
}

/// Whose courses whoever asks may change.
fn manages(reach: &Reach) -> Reach {
    reach.by(&Method::PATCH, "/courses/{eduNo}")
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
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    edu_no: EduNo,
    title: &'a str,
    capacity: u32,
    fee: Won,
    approval: Approval,
    starts_at: Timestamp,
    ends_at: Timestamp,
    status: CourseStatus,
    /// Shown to whoever manages it.
    #[serde(skip_serializing_if = "Option::is_none")]
    managers: Option<Vec<CustomerId>>,
    taken: u32,
    waiting: u64,
    #[serde(rename = "_links")]
    links: Links<'a>,
}

impl<'a> Document<'a> {
    fn of(course: &'a Course, request: &Request, manages: &Reach) -> Self {
        let terms = &course.terms;
        let manages = manages.includes_course(managers_of(course));
        let href = href(request, terms.edu_no);
        // What can be done with a course now: each is a PATCH with another `status`.
        let is = |status| manages && terms.status == status;
        let (open, started) = (is(CourseStatus::Open), is(CourseStatus::Started));
        let links = Links::new()
            .when(open, "start", href.clone())
            .when(started, "finish", href.clone())
            .when(open || started, "cancel", href.clone())
            .when(manages, "roster", format!("{href}/roster"))
            .when(manages, "reservations", format!("{}/reservations?eduNo={}", request.base, terms.edu_no))
            .with("self", href);
        Self {
            edu_no: terms.edu_no,
            title: &terms.title,
            capacity: terms.capacity,
            fee: terms.fee,
            approval: terms.approval,
            starts_at: terms.starts_at,
            ends_at: terms.ends_at,
            status: terms.status,
            managers: (manages && !terms.managers.is_empty()).then(|| managers_of(course).collect()),
            taken: course.taken,
            waiting: course.waiting,
            links,
        }
    }
}
