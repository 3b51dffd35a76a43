//! What a member sees and changes of themselves: profile, consents, sessions, data, leaving.

use crate::client::{Context, Trouble, found};
use crate::documents::{List, Member, SessionOf};
use crate::filters;
use crate::form::{Form, Wrong};
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::pages::sign_in;
use crate::visitor::{LANGUAGE, LONG};
use askama::Template;
use hal::{Method, Response, StatusCode};
use kernel::Timestamp;
use serde_json::{Map, Value, json};

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    t: Messages,
    page: Page,
    member: Member,
    phone: String,
    since: String,
    roles: Vec<&'static str>,
    marketing: bool,
    is_saved: bool,
    wrong: Wrong,
}

/// A page for members only.
fn needs_member(visit: &Visit<'_>) -> Option<Response> {
    (!visit.visitor.is_signed_in()).then(|| page::see("/sign-in"))
}

pub(super) async fn show(visit: &Visit<'_>) -> Response {
    shown(visit, Wrong::default()).await
}

async fn shown(visit: &Visit<'_>, wrong: Wrong) -> Response {
    if let Some(instead) = needs_member(visit) {
        return instead;
    }
    let t = visit.t();
    let member: Member = match visit.client().get(Context::Member, "/members/me").await {
        Ok(member) => member,
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let code = if wrong.is_nothing() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let role = |role: &String| match role.as_str() {
        "manager" => Some(t.role_manager()),
        "operator" => Some(t.role_operator()),
        _ => None,
    };
    let account = Account {
        t,
        page: visit.page("account"),
        phone: member.phone.as_deref().map(format::phone).unwrap_or_default(),
        since: member.registered_at.map_or_else(String::new, |at| format::date(at, t.0)),
        roles: member.roles.iter().filter_map(role).collect(),
        marketing: member.consents.iter().any(|consent| consent.name == "marketing" && consent.given),
        is_saved: visit.request.query.get("saved").is_ok_and(|saved| saved.is_some()),
        wrong,
        member,
    };
    page::html(code, &account)
}

pub(super) async fn change(visit: &mut Visit<'_>, form: &Form) -> Response {
    let language = form.get("language").to_owned();
    let body = json!({
        "name": form.get("name"),
        "email": form.get("email"),
        "language": language,
        "messages": if form.has("progress") { "all" } else { "needed" },
        "consents": { "marketing": form.has("marketing") },
    });
    match visit.client().change(Context::Member, Method::PATCH, "/members/me", &body).await {
        Ok(_) => {
            visit.visitor.set(LANGUAGE, &language, LONG);
            page::see("/account?saved")
        }
        Err(Trouble::Problem(problem)) if problem.status == 422 => {
            shown(visit, Wrong::of(&problem, visit.t())).await
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

struct Row {
    id: String,
    is_current: bool,
    began: String,
    used: String,
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Sessions {
    t: Messages,
    page: Page,
    rows: Vec<Row>,
}

pub(super) async fn sessions(visit: &Visit<'_>) -> Response {
    if let Some(instead) = needs_member(visit) {
        return instead;
    }
    let t = visit.t();
    let listed = visit.client().get::<List<SessionOf>>(Context::Member, "/sessions").await;
    let sessions = match listed {
        Ok(list) => list.items(),
        Err(trouble) => return page::trouble(visit, &trouble),
    };
    let row = |session: SessionOf| Row {
        id: session.session_id,
        is_current: session.current,
        began: t.session_began(format::moment(session.created_at, t.0)),
        used: t.session_used(format::moment(session.last_used_at, t.0)),
    };
    page::ok(&Sessions { t, page: visit.page("account"), rows: sessions.into_iter().map(row).collect() })
}

/// Ends one session, or all of them.
pub(super) async fn end_sessions(visit: &mut Visit<'_>, form: &Form) -> Response {
    let session = form.get("session").to_owned();
    let is_everywhere = form.has("everywhere");
    // It becomes a part of a path.
    let is_id = !session.is_empty()
        && session.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let path = match (is_everywhere, is_id) {
        (true, _) => "/sessions".to_owned(),
        (false, true) => format!("/sessions/{session}"),
        (false, false) => return page::not_found(visit),
    };
    let ended = visit.client().change(Context::Member, Method::DELETE, &path, &Value::Null).await;
    match found(ended) {
        Ok(_) if is_everywhere => {
            visit.visitor.drop_session();
            page::see("/sign-in")
        }
        Ok(_) => page::see("/account/sessions"),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

#[derive(Template)]
#[template(path = "phone.html")]
struct PhonePage {
    t: Messages,
    page: Page,
    /// Where a code was sent to.
    sent_to: Option<String>,
    wrong: Wrong,
}

pub(super) fn phone(visit: &Visit<'_>) -> Response {
    if let Some(instead) = needs_member(visit) {
        return instead;
    }
    let is_sent = visit.request.query.get("sent").is_ok_and(|sent| sent.is_some());
    let sent_to = sign_in::phone(visit).filter(|_| is_sent);
    page::ok(&PhonePage { t: visit.t(), page: visit.page("account"), sent_to, wrong: Wrong::default() })
}

/// Has a code sent to another number, or with the code makes it the member's.
pub(super) async fn change_phone(visit: &mut Visit<'_>, form: &Form) -> Response {
    let sent_to = sign_in::phone(visit).filter(|_| form.has("code"));
    let done = match &sent_to {
        Some(_) => {
            let body = sign_in::typed_code(visit, form);
            let client = visit.client();
            client.change(Context::Member, Method::POST, "/members/me/phone", &body).await.map(|_| ())
        }
        None => sign_in::ask_for_code(visit, form.get("phone")).await,
    };
    match done {
        Ok(()) if sent_to.is_some() => {
            sign_in::forget_phone(visit);
            page::see("/account?saved")
        }
        Ok(()) => page::see("/account/phone?sent"),
        Err(Trouble::Problem(problem))
            if ![401, 403].contains(&problem.status) || problem.slug() == "code-wrong" =>
        {
            let (t, page) = (visit.t(), visit.page("account"));
            let wrong = sign_in::wrong_of(&problem, t);
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &PhonePage { t, page, sent_to, wrong })
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

/// Everything that is kept about the member, as one JSON file put together from the contexts; it says which of them could not
/// be asked.
pub(super) async fn data(visit: &Visit<'_>) -> Response {
    if let Some(instead) = needs_member(visit) {
        return instead;
    }
    let client = visit.client();
    let me = visit.visitor.customer_id().unwrap_or_default();
    let path = |collection: &str| format!("/{collection}?customerId={me}&size=1000");
    let (orders, pays, seats) = (path("orders"), path("pays"), path("reservations"));
    let (views, messages) = (path("infomations"), path("notifications"));
    let (member, orders, pays, seats, views, messages) = futures::join!(
        client.get::<Value>(Context::Member, "/members/me/data"),
        client.get::<List<Value>>(Context::Order, &orders),
        client.get::<List<Value>>(Context::Pay, &pays),
        client.get::<List<Value>>(Context::Reservation, &seats),
        client.get::<List<Value>>(Context::Information, &views),
        client.get::<List<Value>>(Context::Notification, &messages),
    );
    let mut file = Map::new();
    let mut missing = Vec::new();
    let mut put = |name: &str, part: Option<Value>| match part {
        Some(part) => _ = file.insert(name.to_owned(), part),
        None => missing.push(name.to_owned()),
    };
    put("member", member.ok());
    for (name, list) in [
        ("orders", orders),
        ("pays", pays),
        ("reservations", seats),
        ("infomations", views),
        ("notifications", messages),
    ] {
        put(name, list.ok().map(|list| Value::Array(list.items().into_iter().map(without_links).collect())));
    }
    file.insert("notAvailableNow".to_owned(), json!(missing));
    file.insert("writtenAt".to_owned(), json!(Timestamp::now()));
    let text = serde_json::to_vec_pretty(&Value::Object(file)).unwrap_or_default();
    Response::of(StatusCode::OK, "application/json", text)
        .header("content-disposition", "attachment; filename=\"sugang-my-data.json\"")
        .header("cache-control", "no-store")
}

fn without_links(mut document: Value) -> Value {
    if let Some(members) = document.as_object_mut() {
        members.remove("_links");
    }
    document
}

#[derive(Template)]
#[template(path = "erase.html")]
struct Erase {
    t: Messages,
    page: Page,
    wrong: Wrong,
}

pub(super) fn ask_to_erase(visit: &Visit<'_>) -> Response {
    if let Some(instead) = needs_member(visit) {
        return instead;
    }
    page::ok(&Erase { t: visit.t(), page: visit.page("account"), wrong: Wrong::default() })
}

pub(super) async fn erase(visit: &mut Visit<'_>, form: &Form) -> Response {
    if !form.has("sure") {
        let t = visit.t();
        let mut wrong = Wrong::default();
        wrong.add("consents", t);
        return page::html(
            StatusCode::UNPROCESSABLE_ENTITY,
            &Erase { t, page: visit.page("account"), wrong },
        );
    }
    match visit.client().change(Context::Member, Method::DELETE, "/members/me", &Value::Null).await {
        Ok(_) => {
            visit.visitor.drop_session();
            page::see("/sign-in?erased")
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
