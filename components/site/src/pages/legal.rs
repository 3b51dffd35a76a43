//! What stands at the foot of every page, and the choice of the language. The texts are templates for the operator to fill in.

use crate::filters;
use crate::form::Form;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::visitor::{LANGUAGE, LONG};
use askama::Template;
use hal::Response;
use kernel::Language;

#[derive(Template)]
#[template(path = "legal.html")]
struct Legal<'a> {
    t: Messages,
    page: Page,
    title: &'a str,
    /// Headings, each with its paragraphs.
    sections: Vec<(&'a str, Vec<&'a str>)>,
}

fn show<'a>(visit: &Visit<'_>, title: &'a str, sections: Vec<(&'a str, &'a str)>) -> Response {
    let sections = sections.into_iter().map(|(heading, text)| (heading, text.lines().collect())).collect();
    page::ok(&Legal { t: visit.t(), page: visit.page("legal"), title, sections })
}

pub(super) fn terms(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let sections = vec![
        (t.terms_purpose(), t.terms_purpose_text()),
        (t.terms_contract(), t.terms_contract_text()),
        (t.terms_payment(), t.terms_payment_text()),
        (t.terms_waiting(), t.terms_waiting_text()),
        (t.terms_duties(), t.terms_duties_text()),
        (t.terms_law(), t.terms_law_text()),
    ];
    show(visit, t.terms(), sections)
}

pub(super) fn privacy(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let sections = vec![
        (t.privacy_what(), t.privacy_what_text()),
        (t.privacy_why(), t.privacy_why_text()),
        (t.privacy_how_long(), t.privacy_how_long_text()),
        (t.privacy_whom(), t.privacy_whom_text()),
        (t.privacy_rights(), t.privacy_rights_text()),
        (t.privacy_cookies(), t.privacy_cookies_text()),
    ];
    show(visit, t.privacy(), sections)
}

pub(super) fn refunds(visit: &Visit<'_>) -> Response {
    let t = visit.t();
    let sections = vec![
        (t.refunds_here(), t.refunds_here_text()),
        (t.refunds_course(), t.refunds_course_text()),
        (t.refunds_law(), t.refunds_law_text()),
    ];
    show(visit, t.refunds(), sections)
}

/// Keeps the language, and shows the page again that it was chosen on.
pub(super) fn choose_language(visit: &mut Visit<'_>, form: &Form) -> Response {
    if let Ok(language) = form.get("language").parse::<Language>() {
        visit.visitor.set(LANGUAGE, language.as_str(), LONG);
    }
    page::see(page::own_path(form.get("to")))
}
