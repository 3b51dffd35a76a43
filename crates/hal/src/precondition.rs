//! Entity tags and preconditions (RFC 9110 §8.8.3 and §13): one evaluation for all methods and resources.
//!
//! A tag is the hash of what is answered, so it cannot stay while the answer changes, whatever goes into that.
//! A precondition that cannot be read counts as one that does not hold: a header that restrains is never skipped.

use crate::header::Headers;
use crate::{Kind, Method, Problem, Request, Response, StatusCode};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

/// The tag, without its quotes, of a document as it is answered: what [`Response::ok`] gives it.
pub fn etag_of(document: &impl Serialize) -> String {
    // What cannot be written has no tag, and so is no state that a client could have seen.
    serde_json::to_vec(document).map(|bytes| tag(&bytes)).unwrap_or_default()
}

/// The tag of a representation's bytes.
pub(crate) fn tag(representation: &[u8]) -> String {
    format!("{:016x}", xxh3_64(representation))
}

/// What a client makes a condition of its request, to be evaluated when the state is known: for a change, inside
/// of what loads and decides; reads are taken care of by [`answer`](crate::answer).
///
/// They count only where the answer would be 2xx without them (§13.2.1), so what is not there is 404 first. Dates
/// (`If-Modified-Since` and its like) are ignored, as §13.1.3 demands where there are no modification dates.
///
/// ```
/// # use hal::{Method, Request, etag_of};
/// let document = serde_json::json!({ "status": "Ordered" });
/// let tag = format!("\"{}\"", etag_of(&document));
/// let request = Request::new(Method::DELETE, "/orders/7", &[("if-match", &tag)], "").unwrap();
/// assert!(request.preconditions().hold(|| etag_of(&document)));
/// assert!(!request.preconditions().hold(|| etag_of(&serde_json::json!({ "status": "Order Canceled" }))));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<Condition>,
    if_none_match: Option<Condition>,
}

/// What one of the two headers says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    /// `*`: whatever the state, as long as there is one.
    Any,
    /// One of these.
    Tags(Vec<Tag>),
    /// It is there, and cannot be read.
    Unreadable,
}

/// An entity tag that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    /// What stands between the quotes: any bytes but controls and quotes.
    opaque: Vec<u8>,
}

/// What became of the conditions.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Hold,
    /// `If-Match` names other states.
    OtherState,
    /// `If-None-Match` names this state: whoever reads has it already.
    Known,
    /// `If-None-Match` cannot be read: a reader may not have it, and a change may not be meant.
    Unreadable,
}

impl Preconditions {
    pub(crate) fn read(headers: &Headers) -> Self {
        let condition = |name| Condition::read(headers.lines(name));
        Self { if_match: condition("if-match"), if_none_match: condition("if-none-match") }
    }

    /// Whether there are none. If there are some, a decision must be bound to every version that goes into the
    /// document whose tag was compared, so that the comparison still holds when it is written.
    pub const fn is_unconditional(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Whether a change may be made to the state that has the tag `etag`, without its quotes. The tag is asked for
    /// only if something is to be compared with it.
    pub fn hold(&self, etag: impl FnOnce() -> String) -> bool {
        self.evaluate(|| Some(etag())) == Outcome::Hold
    }

    /// [`Self::hold`] as a result: 412 where they do not.
    pub fn check(&self, etag: impl FnOnce() -> String) -> Result<(), Problem> {
        if self.hold(etag) { Ok(()) } else { Err(self.failed()) }
    }

    /// [`Self::check`] for a change of what is there and has no tag, such as a collection that is added to.
    pub fn check_untagged(&self) -> Result<(), Problem> {
        if self.evaluate(|| None) == Outcome::Hold {
            return Ok(());
        }
        Err(self.failed().next("Send the request without it: what is added to here has no ETag."))
    }

    /// 412: the state is not one for which the request was meant.
    pub fn failed(&self) -> Problem {
        let headers = match (&self.if_match, &self.if_none_match) {
            (Some(_), Some(_)) => "If-Match and If-None-Match allow",
            (None, Some(_)) => "If-None-Match allows",
            _ => "If-Match allows",
        };
        Problem::new(Kind::PRECONDITION_FAILED)
            .detail(format!("Its present state is not one that {headers}."))
            .next("Read it again, decide again, and send its new ETag in If-Match.")
    }

    /// What a reader gets who would have got `response`: 304 if it has that already, 412 if it asked for another.
    pub(crate) fn conclude(&self, request: &Request, response: Response) -> Response {
        if self.is_unconditional() || request.method != Method::GET || response.status() != StatusCode::OK {
            return response;
        }
        match self.evaluate(|| response.tag().map(str::to_owned)) {
            Outcome::Hold | Outcome::Unreadable => response,
            Outcome::Known => response.into_not_modified(),
            Outcome::OtherState => self.failed().instance(&request.path).into(),
        }
    }

    /// In the order of §13.2.2, for something that is there. Its tag, if it has one, is asked for only if something
    /// is to be compared with it.
    fn evaluate(&self, etag: impl FnOnce() -> Option<String>) -> Outcome {
        let compares = |condition: &Option<Condition>| matches!(condition, Some(Condition::Tags(_)));
        let etag = if compares(&self.if_match) || compares(&self.if_none_match) { etag() } else { None };
        let etag = etag.as_deref().map(str::as_bytes).filter(|etag| !etag.is_empty());
        if self.if_match.as_ref().is_some_and(|condition| !condition.names(etag, |tag| !tag.weak)) {
            return Outcome::OtherState;
        }
        match &self.if_none_match {
            Some(Condition::Unreadable) => Outcome::Unreadable,
            // A weak tag counts here: a proxy may have weakened it.
            Some(condition) if condition.names(etag, |_| true) => Outcome::Known,
            _ => Outcome::Hold,
        }
    }
}

impl Condition {
    fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let lines: Vec<_> = lines.collect();
        match &*lines {
            [] => None,
            [b"*"] => Some(Self::Any),
            lines => {
                let tags: Option<Vec<_>> = lines.iter().map(|line| Tag::list(line)).collect();
                let tags = tags.map(|tags| tags.concat()).filter(|tags| !tags.is_empty());
                Some(tags.map_or(Self::Unreadable, Self::Tags))
            }
        }
    }

    /// Whether the state that has this tag is one of those named, by tags that count.
    fn names(&self, etag: Option<&[u8]>, counts: fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|tag| counts(tag) && Some(&*tag.opaque) == etag),
            Self::Unreadable => false,
        }
    }
}

impl Tag {
    /// A list of tags; none if any of it is something else. A comma may stand inside of a tag, so the line cannot
    /// simply be cut at commas.
    fn list(line: &[u8]) -> Option<Vec<Self>> {
        let mut tags = Vec::new();
        let mut rest = line;
        loop {
            rest = rest.trim_ascii_start();
            if let Some(more) = rest.strip_prefix(b",") {
                rest = more;
                continue;
            }
            if rest.is_empty() {
                return Some(tags);
            }
            let (weak, opening) = rest.strip_prefix(b"W/").map_or((false, rest), |strong| (true, strong));
            let inner = opening.strip_prefix(b"\"")?;
            let end = inner.iter().position(|byte| *byte == b'"')?;
            let (opaque, closing) = inner.split_at_checked(end)?;
            if opaque.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) {
                return None;
            }
            tags.push(Self { weak, opaque: opaque.to_vec() });
            rest = closing.strip_prefix(b"\"")?.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::request::tests::request_of;

    const DOCUMENT: &str = "present";

    fn present() -> String {
        etag_of(&DOCUMENT)
    }

    /// Headers in which `T` is the present tag.
    fn preconditions(lines: &[(&str, &[u8])]) -> Preconditions {
        let tagged = |value: &[u8]| {
            value
                .iter()
                .flat_map(|b| match b {
                    b'T' => present().into_bytes(),
                    other => vec![*other],
                })
                .collect()
        };
        Preconditions::read(&Headers(
            lines.iter().map(|(name, value)| ((*name).to_owned(), tagged(value))).collect(),
        ))
    }

    fn if_match(lines: &[&[u8]]) -> bool {
        let lines: Vec<_> = lines.iter().map(|line| ("If-Match", *line)).collect();
        preconditions(&lines).hold(present)
    }

    #[test]
    fn if_match_lets_only_the_present_state_be_changed() {
        for holds in [&b"\"T\""[..], b"\"x\" , \"T\"", b"*", b"\"a,b\",\"T\"", b",,\"T\",", b"\"a\\\",\"T\""]
        {
            assert!(if_match(&[holds]), "{:?} was refused", String::from_utf8_lossy(holds));
        }
        for not in [&b"\"x\""[..], b"W/\"T\"", b"\"x,\"", b"\"xT\"", b"\"a,T\""] {
            assert!(!if_match(&[not]), "{:?} was taken", String::from_utf8_lossy(not));
        }
        assert!(Preconditions::default().hold(|| unreachable!("nothing is to be compared")));
    }

    #[test]
    fn a_list_of_tags_goes_on_over_several_lines() {
        assert!(if_match(&[b"\"x\"", b"\"T\""]));
        let none_match = preconditions(&[("if-none-match", b"\"x\""), ("IF-NONE-MATCH", b"W/\"T\"")]);
        assert!(!none_match.hold(present));
    }

    #[test]
    fn what_cannot_be_read_holds_for_no_change() {
        let korean = "\"한\"".as_bytes();
        for garbage in [
            korean,
            b"T",
            b"\"T",
            b"T\"",
            b"\"T\" x",
            b"\"T\"\"T\"",
            b"w/\"T\"",
            b"\"T\", *",
            b"* *",
            b"",
            b",",
            b"\"T\", \"a b\"",
        ] {
            assert!(!if_match(&[garbage]), "{:?} was taken", String::from_utf8_lossy(garbage));
            if garbage != korean {
                let none_match = preconditions(&[("if-none-match", garbage)]);
                assert!(!none_match.hold(present), "{:?} was taken", String::from_utf8_lossy(garbage));
            }
        }
        assert!(!if_match(&[b"*", b"*"]));
    }

    #[test]
    fn a_change_is_not_made_to_what_if_none_match_names() {
        for not in [&b"*"[..], b"\"T\"", b"W/\"T\""] {
            assert!(!preconditions(&[("if-none-match", not)]).hold(present));
        }
        assert!(preconditions(&[("if-none-match", b"\"x\"")]).hold(present));
        assert!(!preconditions(&[("if-match", b"\"T\""), ("if-none-match", b"\"T\"")]).hold(present));
    }

    #[test]
    fn what_has_no_tag_is_still_there() {
        let untagged = |name, value: &[u8]| preconditions(&[(name, value)]).check_untagged().is_ok();
        assert!(untagged("if-match", b"*"));
        assert!(!untagged("if-match", b"\"T\""));
        assert!(!untagged("if-none-match", b"*"));
        assert!(untagged("if-none-match", b"\"T\""));
    }

    #[test]
    fn a_reader_gets_what_it_does_not_have() {
        let tag = |text: &str| text.replace('T', &present());
        for (name, value, status) in [
            ("if-none-match", "\"T\"", 304),
            ("if-none-match", "W/\"T\"", 304),
            ("if-none-match", "*", 304),
            ("if-none-match", "\"x\"", 200),
            ("if-none-match", "T", 200),
            ("if-match", "\"T\"", 200),
            ("if-match", "*", 200),
            ("if-match", "\"x\"", 412),
            ("if-match", "T", 412),
        ] {
            let request = request_of(Method::GET, "/orders", &[(name, &tag(value))], "");
            let answered = async |_: &Request| Ok(Response::ok(&DOCUMENT).header("vary", "accept"));
            let response = futures::executor::block_on(crate::answer(&request, answered));
            assert_eq!(response.status().as_u16(), status, "{name}: {value}");
            if status != 412 {
                assert_eq!(response.get("etag"), Some(&*format!("\"{}\"", present())));
                assert_eq!(response.get("vary"), Some("accept"));
                assert_eq!(response.bytes().is_empty(), status == 304);
            }
        }
    }

    #[test]
    fn what_is_not_answered_with_a_state_keeps_its_status() {
        let request = request_of(Method::GET, "/orders/1", &[("if-none-match", "*")], "");
        let nothing = async |request: &Request| -> Result<Response, Error> { request.nothing_here() };
        assert_eq!(
            futures::executor::block_on(crate::answer(&request, nothing)).status(),
            StatusCode::NOT_FOUND
        );
    }

    #[test]
    fn a_tag_changes_with_whatever_is_answered() {
        assert_eq!(etag_of(&[1, 2]), etag_of(&vec![1, 2]));
        assert_ne!(etag_of(&[1, 2]), etag_of(&[2, 1]));
        assert_eq!(Response::ok(&DOCUMENT).tag(), Some(&*present()));
    }
}
