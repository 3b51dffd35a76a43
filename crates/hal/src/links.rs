//! HAL's links.

use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;

/// A HAL link object.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Link<'a> {
    /// Where it leads, or a URI template (RFC 6570).
    pub href: Cow<'a, str>,
    /// Whether it is a template.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub templated: bool,
    /// What it is for, as a person reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Cow<'a, str>>,
}

/// A link that leads to `href`.
pub fn link<'a>(href: impl Into<Cow<'a, str>>) -> Link<'a> {
    Link { href: href.into(), templated: false, title: None }
}

/// The `_links` of a document, in the order in which they are added.
///
/// ```
/// # use hal::Links;
/// let here = "http://h/orders/7".to_owned();
/// let links = Links::new().when(false, "cancel", &here).with("self", &here).templated("find", "http://h/{?orderId}");
/// let json = r#"{"self":{"href":"http://h/orders/7"},"find":{"href":"http://h/{?orderId}","templated":true}}"#;
/// assert_eq!(serde_json::to_string(&links).unwrap(), json);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links<'a>(Vec<(Cow<'a, str>, Link<'a>)>);

impl<'a> Links<'a> {
    /// No links yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// With a link.
    #[must_use]
    pub fn with(self, rel: impl Into<Cow<'a, str>>, href: impl Into<Cow<'a, str>>) -> Self {
        self.add(rel, link(href))
    }

    /// With a link to what may be done now, if it may.
    #[must_use]
    pub fn when(self, allowed: bool, rel: impl Into<Cow<'a, str>>, href: impl Into<Cow<'a, str>>) -> Self {
        if allowed { self.with(rel, href) } else { self }
    }

    /// With a link that is a template.
    #[must_use]
    pub fn templated(self, rel: impl Into<Cow<'a, str>>, href: impl Into<Cow<'a, str>>) -> Self {
        self.add(rel, Link { templated: true, ..link(href) })
    }

    /// With any link object.
    #[must_use]
    pub fn add(mut self, rel: impl Into<Cow<'a, str>>, link: Link<'a>) -> Self {
        self.0.push((rel.into(), link));
        self
    }
}

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (rel, link) in &self.0 {
            map.serialize_entry(rel, link)?;
        }
        map.end()
    }
}
