//! `/courses`: what can be applied for, and its management.

use super::{asked, problems, slice};
use crate::domain::{Capacity, Changes, Command, NewCourse, Title};
use crate::store::{
    CourseFilter, ListedCourse, carry_out, count_courses, find_course, list_courses, next_edu_no,
};
use ::store::Storage;
use hal::{Error, Fields, Paging, Request, Response, link};
use kernel::{Approval, CourseStatus, EduNo, Invalid, Timestamp, Won};
use serde_json::{Map, Value, json};

/// How often a number is chosen again because somebody else took it first.
const MAX_NUMBERS: usize = 10;

pub(super) async fn list(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let paging = Paging::parse(&request.query, &["eduNo"])?;
    let filter = CourseFilter { status: request.query.parse_as("status")? };
    let listed = list_courses(storage, filter, slice(&paging)).await?;
    let total = match paging.after {
        None => Some(count_courses(storage, filter).await?),
        Some(_) => None,
    };
    let last = listed.last().map(|last| last.course.terms.edu_no.get());
    let items = listed.iter().map(|listed| resource(request, listed)).collect();
    Ok(paging.respond(request, "courses", items, total, last))
}

pub(super) async fn show(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let listed = find(storage, edu_no).await?;
    if request.has_already(&etag(&listed)) {
        return Ok(Response::not_modified(&etag(&listed)));
    }
    Ok(Response::ok(&resource(request, &listed)).etag(&etag(&listed)))
}

/// 201 for a new course, 200 for one that was opened before with the same content.
pub(super) async fn create(storage: &impl Storage, request: &Request) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let edu_no = fields.number("eduNo", EduNo::parse);
    let course = new_course(&mut fields);
    fields.finish()?;
    let course = course.ok_or_else(|| anyhow::anyhow!("a course was neither read nor refused"))?;
    let (listed, new) = match edu_no {
        Some(edu_no) => open(storage, request, edu_no, course).await?,
        None => open_next(storage, request, course).await?,
    };
    let document = resource(request, &listed);
    let response = if new {
        Response::created(&document, &href(request, listed.course.terms.edu_no))
    } else {
        Response::ok(&document)
    };
    Ok(response.etag(&etag(&listed)))
}

async fn open(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
    course: NewCourse,
) -> Result<(ListedCourse, bool), Error> {
    let commands = asked(request, vec![Command::Open(edu_no, course)]);
    let decided = carry_out(storage, &commands, Timestamp::now()).await?;
    Ok((find(storage, edu_no).await?, !decided.is_empty()))
}

/// Opens a course under the next free number. Somebody may take it first, even with the same content; so only
/// a course that this request opened is an answer to it.
async fn open_next(
    storage: &impl Storage,
    request: &Request,
    course: NewCourse,
) -> Result<(ListedCourse, bool), Error> {
    for _ in 0..MAX_NUMBERS {
        let edu_no = EduNo::parse(next_edu_no(storage).await?)?;
        match open(storage, request, edu_no, course.clone()).await {
            Ok((listed, true)) => return Ok((listed, true)),
            Ok((_, false)) => {}
            Err(Error::Problem(problem)) if problem.status() == hal::StatusCode::CONFLICT => {}
            Err(error) => return Err(error),
        }
    }
    Err(anyhow::anyhow!("{MAX_NUMBERS} course numbers in a row were taken by others").into())
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
pub(super) async fn patch(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let mut fields = request.fields()?;
    let present = find(storage, edu_no).await?;
    request.check_if_match(&etag(&present))?;
    let changes = Changes {
        title: fields.text("title", Title::parse),
        capacity: fields.number("capacity", Capacity::parse),
        fee: fields.number("fee", Won::fee),
        starts_at: fields.text("startsAt", |raw| instant("startsAt", raw)),
        ends_at: fields.text("endsAt", |raw| instant("endsAt", raw)),
    };
    let status = fields.text("status", str::parse::<CourseStatus>);
    if fields.text("approval", str::parse::<Approval>).is_some_and(|a| a != present.course.terms.approval) {
        fields.refuse(Invalid::new("approval", "cannot be changed once the course is open"));
    }
    fields.finish()?;

    let mut commands = vec![];
    if request.header("if-match").is_some_and(|tag| tag.trim() != "*") {
        commands.push(Command::CourseAt(edu_no, present.course.version));
    }
    let only_moved = changes == Changes::default();
    if !only_moved {
        commands.push(Command::Change(edu_no, changes));
    }
    // A client that sends the whole course back, changed in one field, does not ask for a transition.
    commands.extend(
        status
            .filter(|status| only_moved || *status != present.course.terms.status)
            .map(|status| Command::Move(edu_no, status)),
    );
    carry_out(storage, &asked(request, commands), Timestamp::now()).await?;
    show_after_change(storage, request, edu_no).await
}

async fn show_after_change(
    storage: &impl Storage,
    request: &Request,
    edu_no: EduNo,
) -> Result<Response, Error> {
    let listed = find(storage, edu_no).await?;
    Ok(Response::ok(&resource(request, &listed)).etag(&etag(&listed)))
}

/// The course, or 404.
pub(super) async fn find(storage: &impl Storage, edu_no: EduNo) -> Result<ListedCourse, Error> {
    Ok(find_course(storage, edu_no).await?.ok_or_else(|| problems::no_course(edu_no))?)
}

fn instant(field: &'static str, raw: &str) -> Result<Timestamp, Invalid> {
    raw.parse::<Timestamp>().map_err(|problem| Invalid::new(field, problem.to_string()))
}

/// Every change of a course or its seats moves its `seats_version`.
fn etag(listed: &ListedCourse) -> String {
    listed.seats_version.to_string()
}

pub(super) fn href(request: &Request, edu_no: EduNo) -> String {
    format!("{}/courses/{edu_no}", request.base)
}

fn resource(request: &Request, ListedCourse { course, .. }: &ListedCourse) -> Value {
    let terms = &course.terms;
    let href = href(request, terms.edu_no);
    let mut links: Map<_, _> =
        moves(terms.status).iter().map(|rel| ((*rel).to_owned(), link(&href))).collect();
    links.insert("self".to_owned(), link(&href));
    links.insert("roster".to_owned(), link(format!("{href}/roster")));
    let reservations = format!("{}/reservations?eduNo={}", request.base, terms.edu_no);
    links.insert("reservations".to_owned(), link(reservations));
    json!({
        "eduNo": terms.edu_no,
        "title": terms.title,
        "capacity": terms.capacity,
        "taken": course.taken,
        "waiting": course.waiting,
        "fee": terms.fee,
        "approval": terms.approval,
        "startsAt": terms.starts_at,
        "endsAt": terms.ends_at,
        "status": terms.status,
        "_links": links,
    })
}

/// What can be done with a course now, as the names of its links. Each is a PATCH with another `status`.
const fn moves(status: CourseStatus) -> &'static [&'static str] {
    match status {
        CourseStatus::Open => &["start", "cancel"],
        CourseStatus::Started => &["finish", "cancel"],
        CourseStatus::Finished | CourseStatus::CourseCanceled => &[],
    }
}
