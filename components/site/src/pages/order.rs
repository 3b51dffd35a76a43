//! The page of an application: where it stands, what comes next, and what may be done now.

use crate::client::{Asked, Context, Trouble, found};
use crate::documents::{Course, Happening, Infomation, Order, Reservation};
use crate::filters;
use crate::form::{Form, Wrong};
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::view::{self, Known, Look, Stage, Step};
use askama::Template;
use hal::{Method, Response, StatusCode};
use kernel::OrderId;
use serde_json::{Value, json};

/// A line of the history.
struct Line {
    says: &'static str,
    look: Look,
    when: String,
    stamp: String,
}

/// What moves by itself.
#[derive(Template)]
#[template(path = "status.html")]
struct Status {
    t: Messages,
    order_id: OrderId,
    word: &'static str,
    sentence: String,
    look: Look,
    steps: Vec<Step>,
    lines: Vec<Line>,
    may_pay: bool,
    may_cancel: bool,
    is_declined: bool,
    /// What is missing of the status because a context is away.
    is_delayed_view: bool,
    wrong: Wrong,
}

impl Status {
    fn of(visit: &Visit<'_>, order_id: OrderId, known: &Known, wrong: Wrong) -> Self {
        let t = visit.t();
        let stage = known.stage();
        let due = match &known.order {
            Some(order) => view::due(order.ordered_at, visit.settings.due_minutes, t.0),
            None => String::new(),
        };
        let timeline = known.infomation.as_ref().map_or(&[][..], |it| &it.timeline);
        let line = |happening: &Happening| {
            let (says, look) = view::happening(&happening.event, &happening.status, t);
            let when = format::moment(happening.time, t.0);
            Line { says, look, when, stamp: happening.time.to_string() }
        };
        let may = |what| known.order.as_ref().is_some_and(|order| order.may(what));
        Self {
            t,
            order_id,
            word: stage.word(t),
            sentence: stage.sentence(t, &due),
            look: stage.look(),
            steps: view::steps(known, t),
            lines: view::history(timeline).map(line).collect(),
            may_pay: may("payment"),
            may_cancel: may("cancel"),
            is_declined: stage == Stage::Declined,
            is_delayed_view: known.infomation.is_none(),
            wrong,
        }
    }
}

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    t: Messages,
    page: Page,
    order_id: OrderId,
    title: String,
    is_new: bool,
    status: String,
    is_over: bool,
    has_receipt: bool,
    facts: Vec<(&'static str, String)>,
    course: Option<Course>,
    is_guest: bool,
    key: Option<String>,
}

/// What all contexts know of an order; nothing where none knows it.
pub(super) async fn know(visit: &Visit<'_>, page: &mut Page, order_id: OrderId) -> Asked<Option<Known>> {
    let client = visit.client().about(order_id);
    let (order_path, seat_path) = (format!("/orders/{order_id}"), format!("/reservations/{order_id}"));
    let told_path = format!("/infomations/{order_id}");
    let (order, told, seat) = futures::join!(
        client.get::<Order>(Context::Order, &order_path),
        client.get::<Infomation>(Context::Information, &told_path),
        client.get::<Reservation>(Context::Reservation, &seat_path),
    );
    let (order, told) = (found(order), found(told));
    // What nobody shows to this visitor is not there for them.
    if let (Ok(None), Ok(None) | Err(_)) = (&order, &told) {
        return Ok(None);
    }
    if let (Err(trouble), Ok(None) | Err(_)) = (&order, &told) {
        return Err(trouble.clone());
    }
    let mut known = Known {
        order: page.expect(order).flatten(),
        infomation: page.expect(told).flatten(),
        reservation: page.expect(found(seat)).flatten(),
        course: None,
    };
    if let Some(edu_no) = known.edu_no() {
        let course = client.get::<Course>(Context::Reservation, &format!("/courses/{edu_no}")).await;
        known.course = page.expect(found(course)).flatten();
    }
    Ok(Some(known))
}

pub(super) async fn show(visit: &Visit<'_>, order_id: OrderId) -> Response {
    shown(visit, order_id, Wrong::default()).await
}

async fn shown(visit: &Visit<'_>, order_id: OrderId, wrong: Wrong) -> Response {
    let t = visit.t();
    let mut page = visit.page("mine");
    let known = match know(visit, &mut page, order_id).await {
        Ok(Some(known)) => known,
        Ok(None) => return page::not_found(visit),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let is_wrong = !wrong.is_nothing();
    let status = page::written(&Status::of(visit, order_id, &known, wrong));
    let template = OrderPage {
        t,
        order_id,
        title: known.title().to_owned(),
        is_new: visit.request.query.get("new").is_ok_and(|new| new.is_some()),
        status,
        is_over: known.is_over(),
        has_receipt: known.was_paid(),
        facts: facts(&known, t),
        is_guest: !visit.visitor.is_signed_in(),
        key: visit.visitor.order_key(order_id).map(str::to_owned),
        course: known.course,
        page,
    };
    let code = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    page::html(code, &template)
}

/// What was applied for.
fn facts(known: &Known, t: Messages) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(course) = &known.course {
        facts.push((t.fact_when(), format::period(course.starts_at, course.ends_at, t.0)));
    }
    facts.push((t.fact_people(), t.people(known.guest())));
    if let Some(amount) = known.amount() {
        facts.push((t.fact_amount(), view::fee(amount, t)));
    }
    if let Some(order) = &known.order {
        if let Some(last4) = &order.card_last4 {
            facts.push((t.fact_card(), t.card_ending(last4)));
        }
        facts.push((t.fact_ordered_at(), format::moment(order.ordered_at, t.0)));
    }
    facts
}

/// The part that moves by itself, to be put in the place of the one before.
pub(super) async fn status(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let mut page = visit.page("mine");
    match know(visit, &mut page, order_id).await {
        Ok(Some(known)) => page::ok(&Status::of(visit, order_id, &known, Wrong::default())),
        Ok(None) => page::not_found(visit),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

pub(super) async fn pay(visit: &Visit<'_>, order_id: OrderId, form: &Form) -> Response {
    let card = form.get("cardNo");
    let body = json!({ "cardNo": card });
    let path = format!("/orders/{order_id}/payment");
    let paid = visit.client().about(order_id).change(Context::Order, Method::POST, &path, &body).await;
    match paid {
        Ok(_) => page::see(&format!("/my/{order_id}")),
        Err(Trouble::Problem(problem)) if problem.status != 404 => {
            shown(visit, order_id, Wrong::of(&problem, visit.t())).await
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

#[derive(Template)]
#[template(path = "cancel.html")]
struct Cancel {
    t: Messages,
    page: Page,
    order_id: OrderId,
    title: String,
    consequences: Vec<String>,
    may_cancel: bool,
}

/// Says what canceling does before it is done.
pub(super) async fn ask_to_cancel(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let t = visit.t();
    let mut page = visit.page("mine");
    let known = match know(visit, &mut page, order_id).await {
        Ok(Some(known)) => known,
        Ok(None) => return page::not_found(visit),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let is_paid = known.pay_status() == Some(kernel::PayStatus::Paid);
    let mut consequences = match known.stage() {
        Stage::Waiting(_) => vec![t.cancel_place().to_owned()],
        Stage::Requested | Stage::Confirmed => vec![t.cancel_seat().to_owned()],
        _ => Vec::new(),
    };
    consequences.push(match known.amount() {
        Some(amount) if is_paid && amount > 0 => t.cancel_refund(format::won(amount, t.0)),
        _ => t.cancel_no_money().to_owned(),
    });
    consequences.push(t.cancel_for_good().to_owned());
    let may_cancel = known.order.as_ref().is_some_and(|order| order.may("cancel"));
    let title = known.title().to_owned();
    page::ok(&Cancel { t, page, order_id, title, consequences, may_cancel })
}

pub(super) async fn cancel(visit: &Visit<'_>, order_id: OrderId) -> Response {
    let path = format!("/orders/{order_id}");
    let client = visit.client().about(order_id);
    match client.change(Context::Order, Method::DELETE, &path, &Value::Null).await {
        Ok(_) => page::see(&format!("/my/{order_id}")),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
