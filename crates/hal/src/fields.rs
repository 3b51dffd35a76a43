//! Reading the fields of a JSON object, leniently in form and strictly in meaning.

use crate::{Kind, Problem};
use kernel::{Invalid, decimal};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// The fields of a body. Unknown ones are ignored, `null` is as good as absent, numbers may arrive as strings
/// (httpie sends them so) or with a fraction of zero, and the seed's `EduNo` is `eduNo`.
///
/// A number is read by its digits. A binary fraction in between would make another of what it has no room for.
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
    given: Vec<(String, Given)>,
    refused: Vec<Invalid>,
}

/// What a field is given as, `null` left out.
#[derive(Debug)]
enum Given {
    /// A number, as it is written.
    Number(String),
    Text(String),
    /// A list of numbers and texts.
    List(Vec<Given>),
    /// Something that no field is.
    Other,
}

impl Fields {
    /// The fields of a JSON object; 400 if it is none.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let detail = match given(body) {
            Ok(given) => return Ok(Self { given, refused: Vec::new() }),
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
            Ok(Some(Given::Number(number))) => Ok(whole(number)),
            Ok(Some(Given::Text(text))) => Ok(decimal(text)),
            Ok(Some(Given::List(_) | Given::Other)) => Ok(None),
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

    /// A list of whole numbers that may be absent, each as whatever `parse` makes of it.
    pub fn numbers<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(u64) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        let parsed = match self.value(name) {
            Ok(None) => return None,
            Ok(Some(Given::List(list))) => {
                let number = |given: &Given| match given {
                    Given::Number(number) => whole(number),
                    Given::Text(text) => decimal(text),
                    Given::List(_) | Given::Other => None,
                };
                list.iter().map(|given| parse(number(given).unwrap_or(u64::MAX))).collect()
            }
            Ok(Some(_)) => Err(Invalid::new(name, "must be a list of whole numbers")),
            Err(refused) => Err(refused),
        };
        self.keep(name, parsed)
    }

    /// A text that may be absent, as whatever `parse` makes of it; a whole number is read as its digits.
    pub fn text<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        let parsed = match self.value(name) {
            Ok(None) => return None,
            Ok(Some(Given::Text(text))) => parse(text),
            Ok(Some(Given::Number(number))) => match whole(number) {
                Some(number) => parse(&number.to_string()),
                None => Err(Invalid::new(name, "must be a text")),
            },
            Ok(Some(Given::List(_) | Given::Other)) => Err(Invalid::new(name, "must be a text")),
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

    fn value(&self, name: &'static str) -> Result<Option<&Given>, Invalid> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() {
            return Err(Invalid::new(name, "is given more than once"));
        }
        Ok(value)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &Given> {
        self.given.iter().filter(move |(given, _)| is_called(given, name)).map(|(_, value)| value)
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

/// The integer that a JSON number (RFC 8259 §6) is, however it is written: `2`, `2.0`, `2e0`, `20e-1`. None for what is
/// not exactly one, or is below 0 or above 2^64-1.
fn whole(number: &str) -> Option<u64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (sign, magnitude) = match mantissa.strip_prefix('-') {
        Some(magnitude) => (-1, magnitude),
        None => (1, mantissa),
    };
    let (integer, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    let digits = format!("{integer}{fraction}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    // An exponent that is no `i64` is so far away that its sign alone decides nothing any more.
    let exponent: i64 = exponent.parse().ok()?;
    let dropped = digits.len().checked_sub(significant.len())?;
    let zeros =
        exponent.checked_add(dropped.try_into().ok()?)?.checked_sub(fraction.len().try_into().ok()?)?;
    let (zeros, base) = (u32::try_from(zeros).ok()?, 10_u64);
    let value =
        significant.trim_start_matches('0').parse::<u64>().ok()?.checked_mul(base.checked_pow(zeros)?)?;
    (sign > 0).then_some(value)
}

/// The members of a JSON object. Whatever is among them is read too, so that all of the body is JSON.
fn given(body: &[u8]) -> serde_json::Result<Vec<(String, Given)>> {
    let Object(members) = serde_json::from_slice(body)?;
    let mut given = Vec::with_capacity(members.len());
    for (name, raw) in members {
        if let Some(value) = value(raw)? {
            given.push((name, value));
        }
    }
    Ok(given)
}

/// What a field is given as; none for `null`.
fn value(raw: &RawValue) -> serde_json::Result<Option<Given>> {
    Ok(Some(match raw.get().as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => Given::Number(raw.get().to_owned()),
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            Given::List(list.into_iter().map(member).collect::<serde_json::Result<_>>()?)
        }
        _ => match serde_json::from_str(raw.get())? {
            Value::Null => return Ok(None),
            Value::String(text) => Given::Text(text),
            _ => Given::Other,
        },
    }))
}

/// A JSON object's members, in their order and with those that are there twice, each as it is written.
/// What is in a list. A list in a list is none of ours.
fn member(raw: &RawValue) -> serde_json::Result<Given> {
    if raw.get().starts_with('[') {
        return serde_json::from_str::<Value>(raw.get()).map(|_| Given::Other);
    }
    Ok(value(raw)?.unwrap_or(Given::Other))
}

struct Object<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
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
    use kernel::{CardNumber, EduNo, MAX_ID};

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
    fn a_list_of_numbers_is_read_like_each_of_them() {
        let read = |json: &str| {
            let mut fields = fields(json);
            let numbers = fields.numbers("managers", EduNo::parse);
            (
                numbers.map(|numbers| numbers.iter().map(|one| one.get()).collect::<Vec<_>>()),
                fields.finish().is_ok(),
            )
        };
        assert_eq!(read(r#"{"managers":[1,"2",3.0]}"#), (Some(vec![1, 2, 3]), true));
        assert_eq!(read(r#"{"managers":[]}"#), (Some(vec![]), true));
        assert_eq!(read("{}"), (None, true));
        for json in
            [r#"{"managers":[0]}"#, r#"{"managers":[[1]]}"#, r#"{"managers":[null]}"#, r#"{"managers":7}"#]
        {
            assert_eq!(read(json), (None, false), "{json}");
        }
        let deep = format!(r#"{{"managers":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert!(Fields::parse(deep.as_bytes()).is_err());
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
            r#"{"eduNo":9007199254740990.9999}"#,
            r#"{"eduNo":9007199254740991.0000000000000000001}"#,
            r#"{"eduNo":2.0000000000000000001}"#,
            r#"{"eduNo":0.99999999999999999999}"#,
            r#"{"eduNo":15e-1}"#,
            r#"{"eduNo":-1.0}"#,
            r#"{"eduNo":18446744073709551617}"#,
            r#"{"eduNo":1e300}"#,
            r#"{"eduNo":1e400}"#,
            r#"{"eduNo":1e-400}"#,
            r#"{"eduNo":1e99999999999999999999}"#,
            r#"{"eduNo":0e99999999999999999999}"#,
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
    fn a_number_is_read_by_its_digits() {
        for (written, number) in [
            ("9007199254740991", Some(MAX_ID)),
            ("9007199254740991.0", Some(MAX_ID)),
            ("9007199254740991.000e+0", Some(MAX_ID)),
            ("9.007199254740991E15", Some(MAX_ID)),
            ("9007199254740991000e-3", Some(MAX_ID)),
            ("1000000000000001.0", Some(1_000_000_000_000_001)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("2e0", Some(2)),
            ("2e1", Some(20)),
            ("20e-1", Some(2)),
            ("2000000000000000000000000000000e-30", Some(2)),
            ("0.002e3", Some(2)),
            ("0.002e2", None),
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0e-7", Some(0)),
            ("0.000", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("-2", None),
            ("1e19", Some(10_000_000_000_000_000_000)),
            ("1e20", None),
            ("1e-99999999999999999999", None),
        ] {
            assert_eq!(whole(written), number, "{written}");
        }
        let zeros = "0".repeat(50_000);
        assert_eq!(whole(&format!("2{zeros}e-50000")), Some(2));
        assert_eq!(whole(&format!("0.{zeros}2e50001")), Some(2));
        assert_eq!(whole(&format!("2.{zeros}1")), None);
    }

    #[test]
    fn what_is_in_a_field_that_nobody_asks_for_is_json_too() {
        let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Fields::parse(nested(100).as_bytes()).is_ok());
        for wrong in [nested(10_000), r#"{"x":"\ud800"}"#.to_owned(), r#"{"x":01}"#.to_owned()] {
            let problem = format!("{:?}", Fields::parse(wrong.as_bytes()).unwrap_err());
            assert!(problem.contains("is not JSON"), "{problem}");
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
        for json in [r#"{"cardNo":4129835309145622.0}"#, r#"{"cardNo":4.129835309145622E15}"#] {
            let mut fields = fields(json);
            assert_eq!(fields.text("cardNo", CardNumber::parse).unwrap().digits(), "4129835309145622");
        }
        for json in [r#"{"cardNo":4129835309145622.1}"#, r#"{"cardNo":-4129835309145622}"#] {
            let mut fields = fields(json);
            assert!(fields.text("cardNo", CardNumber::parse).is_none(), "{json}");
            assert!(format!("{:?}", fields.finish().unwrap_err()).contains("cardNo"), "{json}");
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
