//! Signing in by a code or at an OpenID provider, registering, and signing out.

use crate::client::{Context, Problem, Trouble};
use crate::filters;
use crate::form::{Form, Wrong};
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::provider::{Attempt, WaysIn};
use crate::visitor::{LANGUAGE, LONG, Session};
use askama::Template;
use hal::{Method, Response, StatusCode};
use serde_json::{Value, json};

/// The number that a code was sent to, until it is used.
const PHONE: &str = "sugang-phone";
/// What the code counts with.
const CODE_TOKEN: &str = "sugang-code";
/// What lets the owner of a number register.
const REGISTRATION: &str = "sugang-registration";
/// What was made up for signing in at the provider, until the browser comes back.
const ATTEMPT: &str = "sugang-oidc";
/// How long that may take, in seconds.
const ATTEMPT_KEPT: i64 = 600;
/// How long they are kept, in seconds: longer than what they are for.
const KEPT: i64 = 900;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    t: Messages,
    page: Page,
    phone: String,
    wrong: Wrong,
    is_erased: bool,
    ways: WaysIn,
}

impl SignIn {
    fn of(visit: &Visit<'_>, phone: String, wrong: Wrong) -> Self {
        let (t, page, ways) = (visit.t(), visit.page("account"), visit.settings.ways_in.clone());
        Self { t, page, phone, wrong, is_erased: false, ways }
    }
}

#[derive(Template)]
#[template(path = "code.html")]
struct Code {
    t: Messages,
    page: Page,
    phone: String,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register {
    t: Messages,
    page: Page,
    name: String,
    email: String,
    wrong: Wrong,
}

pub(super) fn show(visit: &Visit<'_>) -> Response {
    if visit.visitor.is_signed_in() {
        return page::see("/account");
    }
    let is_erased = visit.request.query.get("erased").is_ok_and(|erased| erased.is_some());
    page::ok(&SignIn { is_erased, ..SignIn::of(visit, String::new(), Wrong::default()) })
}

/// What is said about a refusal; how long to wait where there were too many.
pub(super) fn wrong_of(problem: &Problem, t: Messages) -> Wrong {
    match problem.status {
        429 => Wrong { whole: Some(t.too_many_codes()), ..Wrong::default() },
        _ => Wrong::of(problem, t),
    }
}

/// Has a code sent to a number. Whether it is registered is told by nobody.
pub(super) async fn send_code(visit: &mut Visit<'_>, form: &Form) -> Response {
    let t = visit.t();
    let phone = form.get("phone").to_owned();
    match ask_for_code(visit, &phone).await {
        Ok(()) => page::see("/sign-in/code"),
        Err(Trouble::Problem(problem)) => {
            let wrong = wrong_of(&problem, t);
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &SignIn::of(visit, phone, wrong))
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

pub(super) async fn ask_for_code(visit: &mut Visit<'_>, phone: &str) -> Result<(), Trouble> {
    let body = json!({ "phone": phone, "language": visit.language().as_str() });
    let asked = visit.client().change(Context::Member, Method::POST, "/sign-in-codes", &body).await?;
    // What may be in a cookie; `member` reads the number as it is without the rest.
    let digits: String = phone.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    visit.visitor.set(PHONE, &digits, KEPT);
    let token = asked.get("codeToken").and_then(Value::as_str).unwrap_or_default();
    visit.visitor.set(CODE_TOKEN, token, KEPT);
    Ok(())
}

/// The number that a code was sent to.
pub(super) fn phone(visit: &Visit<'_>) -> Option<String> {
    cookie(visit, PHONE).map(|phone| format::phone(&phone))
}

pub(super) fn forget_phone(visit: &mut Visit<'_>) {
    visit.visitor.set(PHONE, "", 0);
    visit.visitor.set(CODE_TOKEN, "", 0);
}

/// What somebody typed, as `member` takes it.
pub(super) fn typed_code(visit: &Visit<'_>, form: &Form) -> Value {
    let code: String = form.get("code").chars().filter(char::is_ascii_digit).collect();
    json!({ "codeToken": cookie(visit, CODE_TOKEN).unwrap_or_default(), "code": code })
}

fn cookie(visit: &Visit<'_>, name: &str) -> Option<String> {
    let mut cookies = visit.request.cookies().filter(|(known, value)| *known == name && !value.is_empty());
    cookies.next().map(|(_, value)| value.to_owned())
}

pub(super) fn code(visit: &Visit<'_>) -> Response {
    let (t, page) = (visit.t(), visit.page("account"));
    match phone(visit) {
        Some(phone) => page::ok(&Code { t, page, phone, wrong: Wrong::default() }),
        None => page::see("/sign-in"),
    }
}

/// Signs in with the code, or goes on to register where it is right and the number is nobody's.
pub(super) async fn sign_in(visit: &mut Visit<'_>, form: &Form) -> Response {
    let t = visit.t();
    let Some(phone) = phone(visit) else { return page::see("/sign-in") };
    if form.has("again") {
        return match ask_for_code(visit, &phone).await {
            Ok(()) => page::see("/sign-in/code"),
            Err(Trouble::Problem(problem)) => wrong_code(visit, phone, wrong_of(&problem, t)),
            Err(trouble) => page::trouble(visit, &trouble),
        };
    }
    let body = typed_code(visit, form);
    let signed_in = visit.client().change(Context::Member, Method::POST, "/sessions", &body).await;
    match signed_in {
        Ok(answer) => let_in(visit, answer, "/my"),
        Err(Trouble::Problem(problem)) => match (&problem.registration_token, problem.slug()) {
            (Some(token), "registration-required") => {
                visit.visitor.set(REGISTRATION, token, KEPT);
                page::see("/register")
            }
            (_, "code-wrong" | "invalid-fields") => {
                let mut wrong = Wrong::default();
                wrong.add("code", t);
                wrong.whole = Some(t.problem("code-wrong"));
                wrong_code(visit, phone, wrong)
            }
            _ => wrong_code(visit, phone, wrong_of(&problem, t)),
        },
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

fn wrong_code(visit: &Visit<'_>, phone: String, wrong: Wrong) -> Response {
    let (t, page) = (visit.t(), visit.page("account"));
    page::html(StatusCode::UNPROCESSABLE_ENTITY, &Code { t, page, phone, wrong })
}

/// Keeps what `member` answered to whoever is let in.
fn let_in(visit: &mut Visit<'_>, answer: Value, to: &str) -> Response {
    let language = answer.pointer("/member/language").and_then(Value::as_str).map(str::to_owned);
    match serde_json::from_value::<Session>(answer) {
        Ok(session) => {
            visit.visitor.keep_session(&session);
            forget_phone(visit);
            visit.visitor.set(REGISTRATION, "", 0);
            if let Some(language) = language {
                visit.visitor.set(LANGUAGE, &language, LONG);
            }
            page::see(to)
        }
        Err(error) => {
            eprintln!("reading who was let in: {error}");
            page::trouble(visit, &Trouble::Away(Context::Member))
        }
    }
}

/// Sends the browser to the provider.
pub(super) async fn to_provider(visit: &mut Visit<'_>) -> Response {
    if visit.visitor.is_signed_in() {
        return page::see("/account");
    }
    if visit.settings.ways_in.provider.is_none() {
        return page::not_found(visit);
    }
    let Some(attempt) = Attempt::new() else { return provider_away(visit, "there were no random bytes") };
    match attempt.address(&visit.request.base).await {
        Ok(address) => {
            visit.visitor.set(ATTEMPT, &attempt.text(), ATTEMPT_KEPT);
            page::see(&address)
        }
        Err(error) => provider_away(visit, &format!("{error:#}")),
    }
}

/// Takes up what the provider sends the browser back with, once.
pub(super) async fn from_provider(visit: &mut Visit<'_>) -> Response {
    let t = visit.t();
    if visit.settings.ways_in.provider.is_none() {
        return page::not_found(visit);
    }
    let cookie = cookie(visit, ATTEMPT).unwrap_or_default();
    visit.visitor.set(ATTEMPT, "", 0);
    let given = |name| visit.request.query.get(name).ok().flatten().unwrap_or_default();
    let (state, code) = (given("state").to_owned(), given("code").to_owned());
    let Some(attempt) = Attempt::answered(&cookie, &state).filter(|_| !code.is_empty()) else {
        // Whoever says no at the provider comes back with an error in the place of a code.
        return not_let_in(visit, StatusCode::UNPROCESSABLE_ENTITY, t.problem_id_token());
    };
    let token = match attempt.exchange(&code, &visit.request.base).await {
        Ok(Some(token)) => token,
        Ok(None) => return not_let_in(visit, StatusCode::UNPROCESSABLE_ENTITY, t.problem_id_token()),
        Err(error) => return provider_away(visit, &format!("{error:#}")),
    };
    let body = json!({ "idToken": token, "nonce": attempt.nonce });
    match visit.client().change(Context::Member, Method::POST, "/sessions", &body).await {
        Ok(answer) => let_in(visit, answer, "/my"),
        Err(Trouble::Problem(problem)) => match (&problem.registration_token, problem.slug()) {
            (Some(token), "registration-required") => {
                visit.visitor.set(REGISTRATION, token, KEPT);
                page::see("/register")
            }
            _ => not_let_in(visit, StatusCode::UNPROCESSABLE_ENTITY, t.problem(problem.slug())),
        },
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

/// The page to sign in on, where there may be another way.
fn not_let_in(visit: &Visit<'_>, status: StatusCode, says: &'static str) -> Response {
    let wrong = Wrong { whole: Some(says), ..Wrong::default() };
    page::html(status, &SignIn::of(visit, String::new(), wrong))
}

fn provider_away(visit: &Visit<'_>, reason: &str) -> Response {
    eprintln!("asking the OpenID provider: {reason}");
    let says = visit.t().problem_provider_away();
    not_let_in(visit, StatusCode::SERVICE_UNAVAILABLE, says).header("retry-after", "5")
}

pub(super) fn register_form(visit: &Visit<'_>) -> Response {
    if cookie(visit, REGISTRATION).is_none() {
        return page::see("/sign-in");
    }
    let (t, page) = (visit.t(), visit.page("account"));
    page::ok(&Register { t, page, name: String::new(), email: String::new(), wrong: Wrong::default() })
}

pub(super) async fn register(visit: &mut Visit<'_>, form: &Form) -> Response {
    let t = visit.t();
    let Some(token) = cookie(visit, REGISTRATION) else { return page::see("/sign-in") };
    let body = json!({
        "registrationToken": token,
        "name": form.get("name"),
        "email": form.get("email"),
        "language": visit.language().as_str(),
        "consents": {
            "terms": form.has("terms"),
            "privacy": form.has("privacy"),
            "age14": form.has("age14"),
            "marketing": form.has("marketing"),
        },
    });
    let registered = visit.client().change(Context::Member, Method::POST, "/members", &body).await;
    match registered {
        Ok(answer) => let_in(visit, answer, "/my"),
        Err(Trouble::Problem(problem)) => {
            let (name, email) = (form.get("name").to_owned(), form.get("email").to_owned());
            let (page, wrong) = (visit.page("account"), Wrong::of(&problem, t));
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &Register { t, page, name, email, wrong })
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

/// Ends the session. The browser forgets it even while `member` is away.
pub(super) async fn sign_out(visit: &mut Visit<'_>) -> Response {
    if visit.visitor.is_signed_in() {
        let path = "/sessions/current";
        let ended = visit.client().change(Context::Member, Method::DELETE, path, &Value::Null).await;
        if let Err(trouble) = ended {
            eprintln!("ending a session: {trouble:?}");
        }
    }
    visit.visitor.drop_session();
    page::see("/")
}
