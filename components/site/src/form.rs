//! What a form sends.

use crate::client::Problem;
use crate::messages::Messages;
use hal::Request;

/// The fields of a form, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn of(request: &Request) -> Self {
        Self(form_urlencoded::parse(request.body()).into_owned().collect())
    }

    /// A field, without the space around it; empty if it is not there.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// A field that may be there several times.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(given, _)| given == name).map(|(_, value)| value.trim())
    }

    /// Whether a box is ticked.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }
}

/// What is wrong with the fields of a form, to be said beside each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wrong {
    pub(crate) fields: Vec<(String, &'static str)>,
    /// What is wrong with the whole.
    pub(crate) whole: Option<&'static str>,
}

impl Wrong {
    /// As the API refused it.
    pub(crate) fn of(problem: &Problem, t: Messages) -> Self {
        let fields: Vec<_> =
            problem.errors.iter().map(|error| (error.field.clone(), t.field(&error.field))).collect();
        Self { fields, whole: Some(t.problem(problem.slug())) }
    }

    pub(crate) fn add(&mut self, field: &str, t: Messages) {
        self.fields.push((field.to_owned(), t.field(field)));
        self.whole = Some(t.problem("invalid-fields"));
    }

    /// What is wrong with a field.
    pub(crate) fn with(&self, field: &str) -> Option<&'static str> {
        self.fields.iter().find(|(wrong, _)| wrong == field).map(|(_, says)| *says)
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.fields.is_empty() && self.whole.is_none()
    }
}

/// A key that nobody can guess, for a form that may be sent again.
pub(crate) fn key() -> String {
    let mut bytes = [0; 16];
    // Without it the form would be sent without a key, and taken twice when it is sent twice.
    if getrandom::fill(&mut bytes).is_err() {
        eprintln!("there were no random bytes for the key of a form");
        return String::new();
    }
    data_encoding::HEXLOWER.encode(&bytes)
}
