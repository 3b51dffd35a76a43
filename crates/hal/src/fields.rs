//! Reading the fields of a JSON object, leniently in form and strictly in meaning.

use crate::{Kind, Problem};
use kernel::{Invalid, MAX_ID, decimal};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Number, Value};
use std::fmt;

/// The fields of a body. Unknown ones are ignored, `null` is as good as absent, numbers may arrive as strings
/// (httpie sends them so) or with a fraction of zero, and the seed's `EduNo` is `eduNo`.
///
/// What cannot be taken is remembered, so that [`Fields::finish`] can name everything at once.
///
/// ```
/// # use hal::Fields; use kernel::{EduNo, Guests};
/// let mut fields = Fields::parse(br#"{"EduNo":"101","guest":99}"#).unwrap();
/// let course = fields.required("eduNo", |n| EduNo::parse(n));
/// let guests = fields.number("guest", |n| Guests::parse(n));
/// assert_eq!(course.unwrap().get(), 101);
/// assert!(guests.is_none() && fields.finish().is_err());
/// ```
#[derive(Debug)]
pub struct Fields {
    given: Vec<(String, Value)>,
    refused: Vec<Invalid>,
}

impl Fields {
    /// The fields of a JSON object; 400 if it is none.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let detail = match serde_json::from_slice(body) {
            Ok(Object(given)) => return Ok(Self { given, refused: Vec::new() }),
            Err(error) if body.is_empty() => format!("The body is empty: {error}."),
            Err(error) if error.is_data() => "The body is JSON, but not an object.".to_owned(),
            Err(error) => format!("The body is not JSON: {error}."),
        };
        Err(Problem::new(Kind::MALFORMED_JSON).detail(detail).next("Send a JSON object; nothing was stored."))
    }

    /// A whole number that may be absent, as whatever `parse` makes of it.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(u64) -> Result<T, Invalid>,
    ) -> Option<T> {
        let number = match self.value(name) {
            Ok(None) => return None,
            Ok(Some(Value::Number(number))) => Ok(whole(number)),
            Ok(Some(Value::String(text))) => Ok(decimal(text)),
            Ok(Some(_)) => Ok(None),
            Err(refused) => Err(refused),
        };
        // Whatever is no such number gets the same sentence as a number out of range, which names the range.
        let parsed = number.and_then(|number| parse(number.unwrap_or(u64::MAX)));
        self.keep(name, parsed)
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
        let parsed = match self.value(name) {
            Ok(None) => return None,
            Ok(Some(Value::String(text))) => parse(text),
            Ok(Some(Value::Number(number))) => {
                parse(&whole(number).map_or_else(|| number.to_string(), |number| number.to_string()))
            }
            Ok(Some(_)) => Err(Invalid::new(name, "must be a text")),
            Err(refused) => Err(refused),
        };
        self.keep(name, parsed)
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
        self.values(name).next().is_some()
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

    fn value(&self, name: &'static str) -> Result<Option<&Value>, Invalid> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Invalid::new(name, "is given more than once"));
        }
        Ok(value)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Value> {
        let named = self.given.iter().filter(move |(given, _)| is_called(given, name));
        named.map(|(_, value)| value).filter(|value| !value.is_null())
    }
}

/// Whether a field that is given as `given` is `name`, which may begin with a capital.
fn is_called(given: &str, name: &str) -> bool {
    let (Some((first, rest)), Some((capital, others))) =
        (name.split_at_checked(1), given.split_at_checked(1))
    else {
        return given == name;
    };
    rest == others && (first == capital || first.to_ascii_uppercase() == capital)
}

/// A number that is whole, however it is written: `2`, `2.0`, `2e0`.
fn whole(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| (0.0..=MAX_ID as f64).contains(float))?;
        (float.fract() == 0.0).then_some(float as u64)
    })
}

/// A JSON object's members, in their order and with those that are there twice.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::{CardNumber, EduNo};

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_may_be_texts_of_digits_or_have_a_fraction_of_zero() {
        for json in [
            r#"{"eduNo":101}"#,
            r#"{"eduNo":"101"}"#,
            r#"{"EduNo":"101"}"#,
            r#"{"eduNo":101.0}"#,
            r#"{"eduNo":1.01e2}"#,
            r#"{"eduNo":null,"eduNo":101}"#,
        ] {
            assert_eq!(fields(json).required("eduNo", EduNo::parse).unwrap().get(), 101, "{json}");
        }
    }

    #[test]
    fn what_is_no_such_number_is_refused_with_the_range() {
        for json in [
            r#"{"eduNo":-1}"#,
            r#"{"eduNo":1.5}"#,
            r#"{"eduNo":0}"#,
            r#"{"eduNo":0.0}"#,
            r#"{"eduNo":9007199254740992}"#,
            r#"{"eduNo":9007199254740992.0}"#,
            r#"{"eduNo":1e300}"#,
            r#"{"eduNo":"1 "}"#,
            r#"{"eduNo":"+1"}"#,
            r#"{"eduNo":"1.0"}"#,
            r#"{"eduNo":""}"#,
            r#"{"eduNo":true}"#,
            r#"{"eduNo":[1]}"#,
        ] {
            let mut fields = fields(json);
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
    fn a_field_that_is_given_twice_is_refused() {
        for json in [r#"{"eduNo":1,"eduNo":1}"#, r#"{"eduNo":1,"EduNo":2}"#] {
            let mut fields = fields(json);
            assert!(fields.required("eduNo", EduNo::parse).is_none(), "{json} was taken");
            assert!(format!("{:?}", fields.finish().unwrap_err()).contains("more than once"), "{json}");
        }
        assert!(fields(r#"{"x":1,"x":2,"eduNo":1}"#).number("eduNo", EduNo::parse).is_some());
    }

    #[test]
    fn a_card_number_may_be_a_number_or_a_text() {
        for json in [r#"{"cardNo":1234}"#, r#"{"cardNo":1234.0}"#, r#"{"cardNo":"1234"}"#] {
            assert_eq!(fields(json).text("cardNo", CardNumber::parse).unwrap().digits(), "1234");
        }
    }

    #[test]
    fn what_is_no_object_is_said_to_be_what_it_is() {
        for (body, said) in [
            ("", "is empty"),
            ("{", "is not JSON"),
            ("{}x", "is not JSON"),
            ("[]", "not an object"),
            ("\u{feff}{}", "is not JSON"),
        ] {
            let problem = format!("{:?}", Fields::parse(body.as_bytes()).unwrap_err());
            assert!(problem.contains(said), "{body:?}: {problem}");
        }
    }
}
