//! Reading the fields of a JSON object, leniently in form and strictly in meaning.

use crate::Problem;
use kernel::Invalid;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The fields of a body. Unknown ones are ignored, `null` is as good as absent, numbers may arrive as strings
/// (httpie sends them so), and the seed's `EduNo` is `eduNo`.
///
/// What cannot be taken is remembered, so that [`Fields::finish`] can name everything at once.
///
/// ```
/// # use hal::Fields; use kernel::{EduNo, Guests};
/// # let object = serde_json::from_str(r#"{"EduNo":"101","guest":99}"#).unwrap();
/// let mut fields = Fields::new(object);
/// let course = fields.required("eduNo", |n| EduNo::parse(n));
/// let guests = fields.number("guest", |n| Guests::parse(n));
/// assert_eq!(course.unwrap().get(), 101);
/// assert!(guests.is_none() && fields.finish().is_err());
/// ```
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    refused: Vec<Invalid>,
}

impl Fields {
    /// The fields of `object`.
    pub const fn new(object: Map<String, Value>) -> Self {
        Self { object, refused: Vec::new() }
    }

    /// A whole number that may be absent, as whatever `parse` makes of it.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(u64) -> Result<T, Invalid>,
    ) -> Option<T> {
        let number = match self.value(name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        // Whatever is no such number gets the same sentence as a number out of range, which names the range.
        self.keep(name, parse(number.unwrap_or(u64::MAX)))
    }

    /// A whole number that must be there.
    pub fn required<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(u64) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.require(name).then(|| self.number(name, parse)).flatten()
    }

    /// A text that may be absent, as whatever `parse` makes of it; a number is read as its digits.
    pub fn text<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let text = match self.value(name)? {
            Value::String(text) => Cow::Owned(text.clone()),
            Value::Number(number) => Cow::Owned(number.to_string()),
            _ => {
                self.refuse(Invalid::new(name, "must be a text"));
                return None;
            }
        };
        self.keep(name, parse(&text))
    }

    /// A text that must be there.
    pub fn required_text<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.require(name).then(|| self.text(name, parse)).flatten()
    }

    /// Whether the field is there at all.
    pub fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Remembers a refusal that the caller found.
    pub fn refuse(&mut self, refused: Invalid) {
        self.refused.push(refused);
    }

    /// 422 naming everything that could not be taken, if there is anything.
    pub fn finish(self) -> Result<(), Problem> {
        if self.refused.is_empty() { Ok(()) } else { Err(Problem::invalid_fields(&self.refused)) }
    }

    fn require(&mut self, name: &'static str) -> bool {
        let there = self.has(name);
        if !there {
            self.refuse(Invalid::new(name, "is required"));
        }
        there
    }

    fn keep<T>(&mut self, name: &'static str, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|refused| self.refuse(Invalid { field: name, ..refused })).ok()
    }

    fn value(&self, name: &str) -> Option<&Value> {
        let found = self.object.get(name).or_else(|| {
            let mut letters = name.chars();
            let capital = letters.next()?.to_ascii_uppercase();
            self.object.get(&format!("{capital}{}", letters.as_str()))
        });
        found.filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{CardNumber, EduNo};

    fn fields(json: &str) -> Fields {
        Fields::new(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn numbers_may_be_texts_of_digits() {
        for json in [r#"{"eduNo":101}"#, r#"{"eduNo":"101"}"#, r#"{"EduNo":"101"}"#] {
            assert_eq!(fields(json).required("eduNo", EduNo::parse).unwrap().get(), 101, "{json}");
        }
    }

    #[test]
    fn what_is_no_such_number_is_refused_with_the_range() {
        for json in [
            r#"{"eduNo":-1}"#,
            r#"{"eduNo":1.5}"#,
            r#"{"eduNo":0}"#,
            r#"{"eduNo":9007199254740992}"#,
            r#"{"eduNo":1e400}"#,
            r#"{"eduNo":"1 "}"#,
            r#"{"eduNo":""}"#,
            r#"{"eduNo":true}"#,
            r#"{"eduNo":[1]}"#,
        ] {
            let Ok(object) = serde_json::from_str(json) else { continue };
            let mut fields = Fields::new(object);
            assert!(fields.required("eduNo", EduNo::parse).is_none(), "{json} was taken");
            let problem = format!("{:?}", fields.finish().unwrap_err());
            assert!(problem.contains("9007199254740991"), "{json}: {problem}");
        }
    }

    #[test]
    fn a_null_is_as_good_as_absent() {
        let mut fields = fields(r#"{"eduNo":null}"#);
        assert!(fields.number("eduNo", EduNo::parse).is_none());
        assert!(fields.required("eduNo", EduNo::parse).is_none());
        assert!(format!("{:?}", fields.finish().unwrap_err()).contains("is required"));
    }

    #[test]
    fn a_card_number_may_be_a_number_or_a_text() {
        for json in [r#"{"cardNo":1234}"#, r#"{"cardNo":"1234"}"#] {
            assert_eq!(fields(json).text("cardNo", CardNumber::parse).unwrap().digits(), "1234");
        }
    }
}
