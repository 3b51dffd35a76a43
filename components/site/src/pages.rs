//! The pages, and who makes which.
//!
//! | path | for whom | module |
//! |---|---|---|
//! | `/`, `/apply/{eduNo}`, `/apply/{eduNo}/form` | everybody: the catalogue, a course, applying | [`catalogue`], [`apply`] |
//! | `/my`, `/my/find`, `/my/{orderId}` and what is under it | applicants: where they stand, paying, canceling, papers | [`mine`], [`order`], [`papers`] |
//! | `/sign-in`, `/sign-in/code`, `/register`, `/sign-out` | everybody | [`sign_in`] |
//! | `/sign-in/oidc`, `/sign-in/oidc/callback` | everybody, where there is an OpenID provider | [`sign_in`] |
//! | `/account` and what is under it | members | [`account`] |
//! | `/operate`, `/operate/dead-letters` | operators | [`operate`] |
//! | `/manage` and what is under it | course managers | [`manage`] |
//! | `/language`, `/terms`, `/privacy`, `/refunds` | everybody | [`legal`] |
//!
//! Each form is sent by `POST` to the page that it is on or leads to, and answered 303 with the page to look at then, or
//! with the form again and what is wrong with it. None needs a script.

mod account;
mod apply;
mod catalogue;
mod legal;
mod manage;
mod mine;
mod operate;
mod order;
mod papers;
mod sign_in;

use crate::client;
use crate::form::Form;
use crate::page::{self, Settings, Visit};
use crate::visitor::Visitor;
use hal::{Error, Method, Request, Response};
use kernel::{EduNo, OrderId};
use manage::Move;

/// A path that a page is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Catalogue,
    Course(EduNo),
    Apply(EduNo),
    Mine,
    Find,
    Order(OrderId),
    Status(OrderId),
    Pay(OrderId),
    Cancel(OrderId),
    Messages(OrderId),
    Receipt(OrderId),
    Calendar(OrderId),
    Manage,
    NewCourse,
    ManageCourse(EduNo),
    ManageLive(EduNo),
    EditCourse(EduNo),
    Decide(EduNo),
    Roster(EduNo),
    RosterCsv(EduNo),
    MoveCourse(EduNo, Move),
    SignIn,
    Code,
    Provider,
    Callback,
    Register,
    SignOut,
    Account,
    Sessions,
    Phone,
    Data,
    Erase,
    Operate,
    OperateLive,
    DeadLetters,
    Language,
    Terms,
    Privacy,
    Refunds,
    Nowhere,
}

impl Route {
    /// None for what is no page. `/` is one for browsers only.
    pub(crate) fn of(segments: &[&str], is_browser: bool) -> Option<Self> {
        let order = |number: &str| number.parse::<OrderId>().ok();
        Some(match segments {
            [] if is_browser => Self::Catalogue,
            ["apply", number] => Self::Course(number.parse().ok()?),
            ["apply", number, "form"] => Self::Apply(number.parse().ok()?),
            ["my"] => Self::Mine,
            ["my", "find"] => Self::Find,
            ["my", number] => Self::Order(order(number)?),
            ["my", number, "status"] => Self::Status(order(number)?),
            ["my", number, "pay"] => Self::Pay(order(number)?),
            ["my", number, "cancel"] => Self::Cancel(order(number)?),
            ["my", number, "messages"] => Self::Messages(order(number)?),
            ["my", number, "receipt"] => Self::Receipt(order(number)?),
            ["my", number, "calendar.ics"] => Self::Calendar(order(number)?),
            ["manage"] => Self::Manage,
            ["manage", "new"] => Self::NewCourse,
            ["manage", number] => Self::ManageCourse(number.parse().ok()?),
            ["manage", number, under] => {
                let course = number.parse().ok()?;
                match *under {
                    "live" => Self::ManageLive(course),
                    "edit" => Self::EditCourse(course),
                    "decide" => Self::Decide(course),
                    "roster" => Self::Roster(course),
                    "roster.csv" => Self::RosterCsv(course),
                    name => Self::MoveCourse(course, Move::of(name)?),
                }
            }
            ["sign-in"] => Self::SignIn,
            ["sign-in", "code"] => Self::Code,
            ["sign-in", "oidc"] => Self::Provider,
            ["sign-in", "oidc", "callback"] => Self::Callback,
            ["register"] => Self::Register,
            ["sign-out"] => Self::SignOut,
            ["account"] => Self::Account,
            ["account", "sessions"] => Self::Sessions,
            ["account", "phone"] => Self::Phone,
            ["account", "data.json"] => Self::Data,
            ["account", "erase"] => Self::Erase,
            ["operate"] => Self::Operate,
            ["operate", "live"] => Self::OperateLive,
            ["operate", "dead-letters"] => Self::DeadLetters,
            ["language"] => Self::Language,
            ["terms"] => Self::Terms,
            ["privacy"] => Self::Privacy,
            ["refunds"] => Self::Refunds,
            _ => return None,
        })
    }
}

/// Answers a request for a page.
pub(crate) async fn answer(request: &Request, route: Route) -> Result<Response, Error> {
    let mut visitor = Visitor::of(request);
    client::refresh(&mut visitor).await;
    let settings = Settings::read().await.map_err(Error::failure)?;
    let mut visit = Visit { request, visitor, settings };
    let response = match request.method {
        // What leads to a provider and back sets cookies, and is led to by another site.
        Method::GET if route == Route::Provider => Some(sign_in::to_provider(&mut visit).await),
        Method::GET if route == Route::Callback => Some(sign_in::from_provider(&mut visit).await),
        Method::GET => get(&visit, route).await,
        Method::POST if !request.is_same_origin() => Some(page::cross_site(&visit)),
        Method::POST => post(&mut visit, route, &Form::of(request)).await,
        _ => None,
    };
    match response {
        Some(response) => Ok(visit.visitor.with_cookies(response)),
        None => request.other_method(&["GET", "POST"]),
    }
}

async fn get(visit: &Visit<'_>, route: Route) -> Option<Response> {
    Some(match route {
        Route::Catalogue => catalogue::show(visit).await,
        Route::Course(course) => catalogue::course(visit, course).await,
        Route::Apply(course) => apply::show(visit, course).await,
        Route::Mine => mine::show(visit).await,
        Route::Order(order) | Route::Pay(order) => order::show(visit, order).await,
        Route::Status(order) => order::status(visit, order).await,
        Route::Cancel(order) => order::ask_to_cancel(visit, order).await,
        Route::Messages(order) => papers::messages(visit, order).await,
        Route::Receipt(order) => papers::receipt(visit, order).await,
        Route::Calendar(order) => papers::calendar(visit, order).await,
        Route::Manage => manage::list(visit).await,
        Route::NewCourse => manage::new(visit),
        Route::ManageCourse(course) => manage::show(visit, course).await,
        Route::ManageLive(course) => manage::live(visit, course).await,
        Route::EditCourse(course) => manage::edit(visit, course).await,
        Route::Roster(course) => manage::roster(visit, course).await,
        Route::RosterCsv(course) => manage::roster_csv(visit, course).await,
        Route::MoveCourse(course, on) => manage::ask(visit, course, on).await,
        Route::SignIn => sign_in::show(visit),
        Route::Code => sign_in::code(visit),
        Route::Register => sign_in::register_form(visit),
        Route::Account => account::show(visit).await,
        Route::Sessions => account::sessions(visit).await,
        Route::Phone => account::phone(visit),
        Route::Data => account::data(visit).await,
        Route::Erase => account::ask_to_erase(visit),
        Route::Operate => operate::show(visit).await,
        Route::OperateLive => operate::live(visit).await,
        Route::DeadLetters => operate::dead_letters(visit).await,
        Route::Terms => legal::terms(visit),
        Route::Privacy => legal::privacy(visit),
        Route::Refunds => legal::refunds(visit),
        Route::Nowhere => page::not_found(visit),
        Route::Find
        | Route::Language
        | Route::Decide(_)
        | Route::SignOut
        | Route::Provider
        | Route::Callback => {
            return None;
        }
    })
}

async fn post(visit: &mut Visit<'_>, route: Route, form: &Form) -> Option<Response> {
    Some(match route {
        Route::Apply(course) => apply::send(visit, course, form).await,
        Route::Find => mine::find(visit, form).await,
        Route::Pay(order) => order::pay(visit, order, form).await,
        Route::Cancel(order) => order::cancel(visit, order).await,
        Route::NewCourse => manage::create(visit, form).await,
        Route::EditCourse(course) => manage::change(visit, course, form).await,
        Route::Decide(course) => manage::decide(visit, course, form).await,
        Route::MoveCourse(course, on) => manage::carry_out(visit, course, on).await,
        Route::SignIn => sign_in::send_code(visit, form).await,
        Route::Code => sign_in::sign_in(visit, form).await,
        Route::Register => sign_in::register(visit, form).await,
        Route::SignOut => sign_in::sign_out(visit).await,
        Route::Account => account::change(visit, form).await,
        Route::Sessions => account::end_sessions(visit, form).await,
        Route::Phone => account::change_phone(visit, form).await,
        Route::Erase => account::erase(visit, form).await,
        Route::DeadLetters => operate::carry_out(visit, form).await,
        Route::Language => legal::choose_language(visit, form),
        _ => return None,
    })
}
