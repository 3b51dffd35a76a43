//! The form of a course: opening one, and changing what it is.

use super::course;
use crate::client::{Context, Trouble};
use crate::documents::Course;
use crate::filters;
use crate::form::{self, Form, Wrong};
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use askama::Template;
use hal::{Method, Response, StatusCode};
use kernel::EduNo;
use serde_json::{Value, json};

/// What is in the fields.
#[derive(Default)]
struct Fields {
    title: String,
    capacity: String,
    fee: String,
    starts: String,
    ends: String,
    is_manual: bool,
}

impl Fields {
    fn of(form: &Form) -> Self {
        Self {
            title: form.get("title").to_owned(),
            capacity: form.get("capacity").to_owned(),
            fee: form.get("fee").to_owned(),
            starts: form.get("startsAt").to_owned(),
            ends: form.get("endsAt").to_owned(),
            is_manual: form.get("approval") == "manual",
        }
    }

    fn document(&self) -> Value {
        json!({
            "title": self.title,
            "capacity": self.capacity,
            "fee": self.fee,
            "startsAt": format::from_local(&self.starts),
            "endsAt": format::from_local(&self.ends),
        })
    }
}

#[derive(Template)]
#[template(path = "manage_terms.html")]
struct Terms {
    t: Messages,
    page: Page,
    edu_no: Option<EduNo>,
    fields: Fields,
    key: String,
    wrong: Wrong,
}

pub(crate) fn new(visit: &Visit<'_>) -> Response {
    let page = visit.page("manage");
    if !page.may_manage {
        return page::trouble(visit, &page::forbidden());
    }
    let fields = Fields { capacity: "20".to_owned(), fee: "0".to_owned(), ..Fields::default() };
    page::ok(&Terms { t: visit.t(), page, edu_no: None, fields, key: form::key(), wrong: Wrong::default() })
}

pub(crate) async fn create(visit: &Visit<'_>, form: &Form) -> Response {
    let t = visit.t();
    let fields = Fields::of(form);
    let mut document = fields.document();
    if let Some(members) = document.as_object_mut() {
        members.insert("approval".to_owned(), json!(if fields.is_manual { "manual" } else { "automatic" }));
    }
    let key = form.get("key");
    let headers: &[_] = if key.is_empty() { &[] } else { &[("idempotency-key", key)] };
    let client = visit.client();
    match client.change_with(Context::Reservation, Method::POST, "/courses", &document, headers).await {
        Ok(created) => match serde_json::from_value::<Course>(created) {
            Ok(course) => page::see(&format!("/manage/{}", course.edu_no)),
            Err(_) => page::see("/manage"),
        },
        Err(Trouble::Problem(problem)) if ![401, 403].contains(&problem.status) => {
            let terms = Terms {
                t,
                page: visit.page("manage"),
                edu_no: None,
                fields,
                key: form::key(),
                wrong: Wrong::of(&problem, t),
            };
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &terms)
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

pub(crate) async fn edit(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let course = match course(visit, edu_no).await {
        Ok(course) => course,
        Err(instead) => return instead,
    };
    let fields = Fields {
        title: course.title.clone(),
        capacity: course.capacity.to_string(),
        fee: course.fee.to_string(),
        starts: format::local(course.starts_at),
        ends: format::local(course.ends_at),
        is_manual: course.is_manual(),
    };
    let (t, page) = (visit.t(), visit.page("manage"));
    page::ok(&Terms { t, page, edu_no: Some(edu_no), fields, key: String::new(), wrong: Wrong::default() })
}

pub(crate) async fn change(visit: &Visit<'_>, edu_no: EduNo, form: &Form) -> Response {
    let t = visit.t();
    let fields = Fields::of(form);
    let path = format!("/courses/{edu_no}");
    let client = visit.client();
    match client.change(Context::Reservation, Method::PATCH, &path, &fields.document()).await {
        Ok(_) => page::see(&format!("/manage/{edu_no}")),
        Err(Trouble::Problem(problem)) if ![401, 403, 404].contains(&problem.status) => {
            let terms = Terms {
                t,
                page: visit.page("manage"),
                edu_no: Some(edu_no),
                fields,
                key: String::new(),
                wrong: Wrong::of(&problem, t),
            };
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &terms)
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
