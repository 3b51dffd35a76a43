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
    /// A yes or no, an object, or a list of others, as it is written.
    Other(String),
}

impl Given {
    /// The whole number that it is. What is none becomes one that is too large, and so gets the sentence that names the
    /// range.
    fn number(&self) -> u64 {
        let number = match self {
            Self::Number(number) => whole(number),
            Self::Text(text) => decimal(text),
            Self::List(_) | Self::Other(_) => None,
        };
        number.unwrap_or(u64::MAX)
    }
}

/// What a text may be given as.
const TEXT: &str =
    "must be a text, or a whole number from 0 to 18446744073709551615, which is read as its digits";

impl Fields {
    /// The fields of a JSON object; 400 if it is none.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let detail = match given(body) {
            Ok(given) => return Ok(Self { given, refused: Vec::new() }),
            Err(error) if body.is_empty() => format!("The body is empty: {error}."),
            Err(error) if error.is_data() => "The body is JSON, but not an object.".to_owned(),
            Err(error) => match beyond(&error) {
                Some(what) => format!("The body holds what cannot be taken: {what}."),
                None => format!("The body is not JSON: {error}."),
            },
        };
        Err(Problem::new(Kind::MALFORMED_JSON).detail(detail).next("Send a JSON object; nothing was stored."))
    }

    /// A whole number that may be absent, as whatever `parse` makes of it.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(u64) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.read(name, |given| parse(given.number()))
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
        self.read(name, |given| match given {
            Given::List(list) => list.iter().map(|given| parse(given.number())).collect(),
            _ => Err(Invalid::new(name, "must be a list of whole numbers")),
        })
    }

    /// A text that may be absent, as whatever `parse` makes of it; a whole number is read as its digits.
    pub fn text<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.read(name, |given| match given {
            Given::Text(text) => parse(text),
            Given::Number(number) => match whole(number) {
                Some(number) => parse(&number.to_string()),
                None => Err(Invalid::new(name, TEXT)),
            },
            Given::List(_) | Given::Other(_) => Err(Invalid::new(name, TEXT)),
        })
    }

    /// A text that must be there.
    pub fn required_text<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        self.require(name).then(|| self.text(name, parse)).flatten()
    }

    /// A yes or no that may be absent.
    pub fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.read(name, |given| {
            let flag = match given {
                Given::Other(raw) => serde_json::from_str(raw).ok(),
                Given::Text(text) => text.parse().ok(),
                Given::Number(_) | Given::List(_) => None,
            };
            flag.ok_or_else(|| Invalid::new(name, "must be `true` or `false`"))
        })
    }

    /// A list of texts that may be absent, each as whatever `parse` makes of it.
    pub fn texts<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Option<Vec<T>> {
        let text = |given: &Given| match given {
            Given::Text(text) => parse(text),
            _ => Err(Invalid::new(name, "must be a list of texts")),
        };
        self.read(name, |given| match given {
            Given::List(list) => list.iter().map(text).collect(),
            _ => Err(Invalid::new(name, "must be a list of texts")),
        })
    }

    /// The fields of an object that may be absent. What of them cannot be taken is theirs to say.
    pub fn object(&mut self, name: &'static str) -> Option<Self> {
        self.read(name, |given| match given {
            Given::Other(raw) => {
                Self::parse(raw.as_bytes()).map_err(|_| Invalid::new(name, "must be an object"))
            }
            _ => Err(Invalid::new(name, "must be an object")),
        })
    }

    /// Takes over what an object among the fields could not take.
    pub fn refused_in(&mut self, object: Self) {
        self.refused.extend(object.refused);
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

    /// What `read` makes of a field, if it is there. A refusal is remembered.
    fn read<T>(&mut self, name: &'static str, read: impl FnOnce(&Given) -> Result<T, Invalid>) -> Option<T> {
        let mut values = self.values(name);
        let first = values.next()?;
        let read = match values.next() {
            None => read(first),
            Some(_) => Err(Invalid::new(name, "is given more than once")),
        };
        drop(values);
        read.map_err(|refused| self.refuse(Invalid { field: name, ..refused })).ok()
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

/// What a body holds that is JSON by its grammar and cannot be taken all the same (RFC 8259, sections 8.2 and 9). The
/// reader tells it from what is no JSON by its words alone.
fn beyond(error: &serde_json::Error) -> Option<&'static str> {
    let said = error.to_string();
    let is = |words: &str| said.starts_with(words);
    if is("lone leading surrogate") || is("unexpected end of hex escape") {
        Some("half of a surrogate pair (`\\ud800` to `\\udfff`), which is no character")
    } else if is("recursion limit exceeded") {
        Some("lists or objects within each other, more than a hundred levels deep")
    } else if is("number out of range") {
        Some("a number too large to be read")
    } else {
        None
    }
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
            _ => Given::Other(raw.get().to_owned()),
        },
    }))
}

/// What is in a list. A list in a list is none of ours.
fn member(raw: &RawValue) -> serde_json::Result<Given> {
    if raw.get().starts_with('[') {
        return serde_json::from_str::<Value>(raw.get()).map(|_| Given::Other(raw.get().to_owned()));
    }
    Ok(value(raw)?.unwrap_or_else(|| Given::Other(raw.get().to_owned())))
}

/// A JSON object's members, in their order and with those that are there twice, each as it is written.
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
mod tests;
