//! What every page has around it, and how a page is answered.

use crate::client::{Client, Context, Problem, Trouble};
use crate::filters;
use crate::messages::Messages;
use crate::provider::WaysIn;
use crate::visitor::Visitor;
use askama::Template;
use hal::{Request, Response, StatusCode};
use kernel::Language;
use std::rc::Rc;

/// Nothing but what is our own is loaded, and nothing in a page is run or styled from within it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the footer says about who runs the site: variables of the application.
const IMPRINT: [&str; 7] = [
    "business_name",
    "business_representative",
    "business_registration",
    "business_mail_order",
    "business_address",
    "business_contact",
    "business_hosting",
];

/// What the operator set.
pub(crate) struct Settings {
    /// Whether everybody may do everything (the variable `access`).
    pub(crate) is_open: bool,
    /// How long an order that is not paid is kept, in minutes.
    pub(crate) due_minutes: i64,
    /// What lets somebody in.
    pub(crate) ways_in: WaysIn,
    imprint: Vec<Rc<str>>,
}

impl Settings {
    pub(crate) async fn read() -> anyhow::Result<Self> {
        let access = settings::text("access").await?;
        let mut imprint = Vec::with_capacity(IMPRINT.len());
        for name in IMPRINT {
            imprint.push(settings::text(name).await?);
        }
        let due_minutes = settings::parse("payment_due_minutes").await?;
        let ways_in = WaysIn::read().await?;
        Ok(Self { is_open: &*access == "open", due_minutes, ways_in, imprint })
    }
}

/// One request for a page: who asks, and what the operator set.
pub(crate) struct Visit<'a> {
    pub(crate) request: &'a Request,
    pub(crate) visitor: Visitor,
    pub(crate) settings: Settings,
}

impl Visit<'_> {
    pub(crate) const fn language(&self) -> Language {
        self.visitor.language
    }

    pub(crate) const fn t(&self) -> Messages {
        Messages(self.visitor.language)
    }

    pub(crate) const fn client(&self) -> Client<'_> {
        Client::of(&self.visitor)
    }

    /// What is around a page of this part of the site.
    pub(crate) fn page(&self, part: &'static str) -> Page {
        let t = self.t();
        let names = [
            t.business_name(),
            t.business_representative(),
            t.business_registration(),
            t.business_mail_order(),
            t.business_address(),
            t.business_contact(),
            t.business_hosting(),
        ];
        let imprint = names.into_iter().zip(&self.settings.imprint);
        let may = |role| self.settings.is_open || self.visitor.has_role(role);
        Page {
            language: self.language(),
            here: self.here(),
            part,
            is_signed_in: self.visitor.is_signed_in(),
            may_manage: may("manager") || may("operator"),
            may_operate: may("operator"),
            away: Vec::new(),
            imprint: imprint
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name, value.to_string()))
                .collect(),
        }
    }

    /// The path of this page, to come back to: after a form, of the page that the form was on.
    fn here(&self) -> String {
        if self.request.method != hal::Method::GET {
            return path_of(self.request.header("referer").unwrap_or_default()).to_owned();
        }
        let query = self.request.query.encoded();
        if query.is_empty() { self.request.path.clone() } else { format!("{}?{query}", self.request.path) }
    }
}

/// The path of an address.
fn path_of(address: &str) -> &str {
    let after_host =
        address.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    own_path(after_host.unwrap_or_default())
}

/// A path of this site; somebody may have made a form that leads to another.
pub(crate) fn own_path(path: &str) -> &str {
    let is_ours =
        path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '\n', '\r', '\t']);
    if is_ours { path } else { "/" }
}

/// What is around every page.
pub(crate) struct Page {
    pub(crate) language: Language,
    pub(crate) here: String,
    pub(crate) part: &'static str,
    pub(crate) is_signed_in: bool,
    pub(crate) may_manage: bool,
    pub(crate) may_operate: bool,
    /// What cannot be shown now, in words.
    pub(crate) away: Vec<String>,
    pub(crate) imprint: Vec<(&'static str, String)>,
}

impl Page {
    pub(crate) fn language(&self) -> &'static str {
        self.language.as_str()
    }

    pub(crate) fn is_at(&self, part: &str) -> bool {
        self.part == part
    }

    /// What stands before the page itself. Each is written by one template, and not by the template of every page.
    pub(crate) fn top(&self) -> String {
        written(&Top { t: Messages(self.language), page: self })
    }

    /// What it is without.
    pub(crate) fn without(&self) -> String {
        written(&Without { page: self })
    }

    /// What stands behind it.
    pub(crate) fn foot(&self) -> String {
        written(&Foot { t: Messages(self.language), page: self })
    }

    /// What was asked for, if it was answered. Otherwise the page says what it is without.
    pub(crate) fn expect<T>(&mut self, asked: Result<T, Trouble>) -> Option<T> {
        match asked {
            Ok(there) => Some(there),
            Err(Trouble::Away(context)) => {
                let says = Messages(self.language).away(context);
                if !self.away.iter().any(|said| said == says) {
                    self.away.push(says.to_owned());
                }
                None
            }
            Err(Trouble::Problem(_)) => None,
        }
    }
}

#[derive(Template)]
#[template(path = "top.html")]
struct Top<'a> {
    t: Messages,
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "without.html")]
struct Without<'a> {
    page: &'a Page,
}

#[derive(Template)]
#[template(path = "foot.html")]
struct Foot<'a> {
    t: Messages,
    page: &'a Page,
}

/// A part of a page.
pub(crate) fn written(part: &impl Template) -> String {
    part.render().unwrap_or_else(|error| {
        eprintln!("a part of a page cannot be written: {error}");
        String::new()
    })
}

impl Messages {
    /// What a page is without while a context is away.
    pub(crate) const fn away(self, context: Context) -> &'static str {
        match context {
            Context::Order => self.away_order(),
            Context::Pay => self.away_pay(),
            Context::Reservation => self.away_reservation(),
            Context::Member => self.away_member(),
            Context::Notification => self.away_notification(),
            Context::Information => self.away_information(),
        }
    }
}

/// A page, with what protects its reader.
pub(crate) fn html(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(body) => Response::of(status, "text/html; charset=utf-8", body)
            .header("content-security-policy", POLICY)
            .header("cache-control", "no-store")
            .header("referrer-policy", "same-origin")
            .header("x-content-type-options", "nosniff")
            .header("vary", "accept, accept-language, cookie"),
        Err(error) => {
            eprintln!("a page cannot be written: {error}");
            Response::of(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", "")
        }
    }
}

pub(crate) fn ok(template: &impl Template) -> Response {
    html(StatusCode::OK, template)
}

/// After a form: the page to look at now.
pub(crate) fn see(path: &str) -> Response {
    Response::of(StatusCode::SEE_OTHER, "text/plain", "")
        .header("location", path)
        .header("cache-control", "no-store")
}

/// A page that says one thing, and where to go from there.
#[derive(Template)]
#[template(path = "plain.html")]
pub(crate) struct Plain<'a> {
    pub(crate) t: Messages,
    pub(crate) page: Page,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) icon_name: &'a str,
    pub(crate) links: Vec<(&'a str, &'a str)>,
}

/// There is no such page, or nothing with that number, or not for this visitor.
pub(crate) fn not_found(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    html(
        StatusCode::NOT_FOUND,
        &Plain {
            t,
            page: visit.page(""),
            title: t.not_found_title(),
            text: t.not_found_text(),
            icon_name: "search",
            links: vec![("/", t.menu_courses()), ("/my", t.menu_mine())],
        },
    )
}

/// What is said to whoever lacks the role for a page.
pub(crate) fn forbidden() -> Trouble {
    Trouble::Problem(Box::new(Problem { status: 403, ..Problem::default() }))
}

/// A page that cannot be made because of what it asks for.
pub(crate) fn trouble(visit: &Visit<'_>, trouble: &Trouble) -> Response {
    let t = visit.t();
    let here = visit.here();
    let (status, title, text, icon_name, links) = match trouble {
        Trouble::Away(context) => (
            StatusCode::SERVICE_UNAVAILABLE,
            t.away_title(),
            t.away(*context),
            "away",
            vec![(here.as_str(), t.try_again()), ("/", t.menu_courses())],
        ),
        Trouble::Problem(problem) => match problem.status {
            401 | 403 if !visit.visitor.is_signed_in() => (
                StatusCode::UNAUTHORIZED,
                t.sign_in_needed_title(),
                t.sign_in_needed_text(),
                "user",
                vec![("/sign-in", t.menu_sign_in()), ("/my", t.find_title())],
            ),
            401 | 403 => (
                StatusCode::FORBIDDEN,
                t.forbidden_title(),
                t.forbidden_text(),
                "warning",
                vec![("/", t.menu_courses())],
            ),
            404 => return not_found(visit),
            _ => (
                StatusCode::CONFLICT,
                t.refused_title(),
                t.problem(problem.slug()),
                "warning",
                vec![(here.as_str(), t.look_again()), ("/", t.menu_courses())],
            ),
        },
    };
    let response = html(status, &Plain { t, page: visit.page(""), title, text, icon_name, links });
    if status == StatusCode::SERVICE_UNAVAILABLE { response.header("retry-after", "5") } else { response }
}

/// A form that another site had the browser send.
pub(crate) fn cross_site(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let page = visit.page("");
    let (title, text) = (t.cross_site_title(), t.cross_site_text());
    let links = vec![("/", t.menu_courses())];
    html(StatusCode::FORBIDDEN, &Plain { t, page, title, text, icon_name: "warning", links })
}

impl Messages {
    /// What a refusal of the API means for whoever fills in a form.
    pub(crate) fn problem(self, slug: &str) -> &'static str {
        match slug {
            "course-not-open" => self.problem_course_not_open(),
            "unknown-course" => self.problem_unknown_course(),
            "payment-closed" => self.problem_payment_closed(),
            "transition-not-allowed" => self.problem_transition(),
            "capacity-below-taken" => self.problem_capacity(),
            "precondition-failed" => self.problem_changed_meanwhile(),
            "idempotency-key-reused" => self.problem_sent_twice(),
            "gateway-unavailable" => self.problem_card_company(),
            "code-wrong" => self.problem_code_wrong(),
            "registration-ended" => self.problem_registration_ended(),
            "phone-taken" => self.problem_phone_taken(),
            "not-set-up" => self.problem_not_set_up(),
            "id-token-invalid" => self.problem_id_token(),
            "provider-unavailable" => self.problem_provider_away(),
            "too-many-requests" => self.problem_too_often(),
            "session-ended" => self.problem_session_ended(),
            "invalid-fields" => self.problem_fields(),
            _ => self.problem_other(),
        }
    }

    /// What is wrong with a field of a form.
    pub(crate) fn field(self, field: &str) -> &'static str {
        match field {
            "cardNo" => self.field_card(),
            "guest" => self.field_guest(),
            "title" => self.field_title(),
            "capacity" => self.field_capacity(),
            "fee" => self.field_fee(),
            "startsAt" => self.field_starts(),
            "endsAt" => self.field_ends(),
            "phone" => self.field_phone(),
            "code" => self.field_code(),
            "name" => self.field_name(),
            "email" => self.field_email(),
            "agree" | "terms" | "privacy" | "age14" | "consents" | "consents.terms" | "consents.privacy"
            | "consents.age14" => self.field_consent(),
            _ => self.field_other(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{own_path, path_of};

    #[test]
    fn no_form_leads_to_another_site() {
        for (path, leads) in [
            ("/my/7?new", "/my/7?new"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(path), leads);
        }
    }
    #[test]
    fn after_a_form_its_page_is_the_one_to_come_back_to() {
        for (address, path) in [
            ("http://127.0.0.1:8080/my/7/cancel", "/my/7/cancel"),
            ("https://sugang.kr/apply/101/form?x=1", "/apply/101/form?x=1"),
            ("https://sugang.kr", "/"),
            ("https://sugang.kr//evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(path_of(address), path);
        }
    }
}
