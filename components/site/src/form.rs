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

    /// Whether a consent is missing that there has to be.
    pub(crate) fn lacks_consent(&self) -> bool {
        self.fields.iter().any(|(field, _)| field.split('.').next() == Some("consents"))
    }

    /// For each thing that is wrong with a field, the field's id in the page.
    pub(crate) fn links(&self) -> Vec<(&str, &'static str)> {
        let mut links: Vec<(&str, &'static str)> = Vec::new();
        for (field, says) in &self.fields {
            // The API names a field within another by both names, `consents.terms`.
            let id = field.rsplit('.').next().unwrap_or(field);
            if links.iter().all(|(_, said)| said != says) {
                links.push((id, says));
            }
        }
        links
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

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Language;

    #[test]
    fn what_is_wrong_is_said_once_with_where_to_mend_it() {
        let t = Messages(Language::Ko);
        let mut wrong = Wrong::default();
        for field in ["name", "consents.terms", "consents.privacy"] {
            wrong.add(field, t);
        }
        assert_eq!(wrong.links(), [("name", t.field_name()), ("terms", t.field_consent())]);
    }
}
