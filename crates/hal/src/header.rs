//! Headers: their lines, and the lists, parameters and weights in them (RFC 9110 §5).

use std::borrow::Cow;

/// The headers of a request, as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(crate) Vec<(String, Vec<u8>)>);

impl Headers {
    /// Every line of a header.
    pub(crate) fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let named = self.0.iter().filter(move |(line, _)| line.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.trim_ascii())
    }

    /// The first line of a header, if it is ASCII.
    pub(crate) fn first<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.lines(name).next().and_then(ascii)
    }

    /// The value of a header that has one line only, if it is ASCII.
    pub(crate) fn only<'a>(&'a self, name: &str) -> Option<&'a str> {
        let mut lines = self.lines(name);
        let line = lines.next()?;
        if lines.next().is_some() { None } else { ascii(line) }
    }

    /// The members of a list, over all of its lines (§5.3). A line that is not ASCII has none: so this is for
    /// preferences, and not for what restrains.
    pub(crate) fn members<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(name)
            .filter_map(ascii)
            .flat_map(|line| split(line, b','))
            .filter(|member| !member.is_empty())
    }
}

fn ascii(line: &[u8]) -> Option<&str> {
    line.is_ascii().then(|| str::from_utf8(line).ok()).flatten()
}

/// What stands between separators, trimmed; a separator in a quoted string is none (§5.6.4).
pub(crate) fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    let parts = text.split(move |c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && c == char::from(separator),
        }
        false
    });
    parts.map(|part| part.trim_matches([' ', '\t']))
}

/// How exactly a range names what it names whole, with no star in it.
const WHOLE_NAME: usize = 200;

/// A name with parameters: a media type or a range of them, a language, a coding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// As it stands there; compared without regard to case.
    pub(crate) name: &'a str,
    /// Its parameters, but `q` and what stands behind that.
    parameters: Vec<(&'a str, Cow<'a, str>)>,
    /// Its weight in thousandths.
    weight: u16,
}

impl<'a> Named<'a> {
    /// Reads `name;parameter=value;q=0.5`; none if it is not of that form.
    pub(crate) fn parse(member: &'a str) -> Option<Self> {
        let mut parts = split(member, b';');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let mut named = Self { name, parameters: Vec::new(), weight: 1000 };
        for part in parts.filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=')?;
            if key.eq_ignore_ascii_case("q") {
                named.weight = weight(value)?;
                break;
            }
            named.parameters.push((key, unquoted(value)?));
        }
        Some(named)
    }

    /// The value of a parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// How exactly this range names `offer`, if it does: the higher, the more exactly; from [`WHOLE_NAME`] on, by its
    /// whole name.
    fn covers(&self, offer: &Named<'_>) -> Option<usize> {
        let kind = |name: &'a str| name.split_once('/');
        let whole = if self.name.eq_ignore_ascii_case(offer.name) {
            2
        } else if self.name == "*/*" {
            0
        } else {
            let ((wanted, "*"), (offered, _)) = (kind(self.name)?, offer.name.split_once('/')?) else {
                return None;
            };
            wanted.eq_ignore_ascii_case(offered).then_some(1)?
        };
        let all = self.parameters.iter().all(|(key, value)| {
            offer.parameter(key).is_some_and(|offered| offered.eq_ignore_ascii_case(value))
        });
        all.then_some(whole * (WHOLE_NAME / 2) + self.parameters.len())
    }
}

/// A weight in thousandths (§12.4.2): `1`, `0.25`, `0.250`.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("1", 0) => Some(1000),
        ("0", thousandths) => Some(thousandths),
        _ => None,
    }
}

/// A token, or what a quoted string says.
fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix('"') else { return Some(Cow::Borrowed(value)) };
    let inner = inner.strip_suffix('"')?;
    let mut escaped = false;
    let unescaped = inner.chars().filter(|c| {
        escaped = *c == '\\' && !escaped;
        !escaped
    });
    Some(Cow::Owned(unescaped.collect()))
}

/// Which of the offers `Accept` weighs highest: the first of those that weigh the same, and the first of all
/// where none is accepted (§12.5.1 leaves that to the server). The most specific range decides about an offer.
///
/// An offer is one representation: first the media type that it is sent as, then others that it may be asked for by.
/// Those count where they are named: a range like `*/*` is about what is sent.
pub(crate) fn negotiate<'a>(ranges: impl Iterator<Item = &'a str>, offers: &[&[&str]]) -> usize {
    let ranges: Vec<_> = ranges.filter_map(Named::parse).collect();
    let weight_of = |offer: &str, least: usize| {
        let offer = Named::parse(offer)?;
        let covering = ranges.iter().filter_map(|range| Some((range.covers(&offer)?, range.weight)));
        covering.filter(|(exactly, _)| *exactly >= least).max().map(|(_, weight)| weight)
    };
    let mut best = (0, 0);
    for (index, names) in offers.iter().enumerate() {
        let leasts = std::iter::once(0).chain(std::iter::repeat(WHOLE_NAME));
        let weight = names.iter().zip(leasts).filter_map(|(name, least)| weight_of(name, least)).max();
        if weight.unwrap_or(0) > best.0 {
            best = (weight.unwrap_or(0), index);
        }
    }
    best.1
}

/// How much `Accept-Language` weighs a language that is offered by its primary tag, in thousandths. `en-GB` is
/// answered with `en` where there is nothing closer (RFC 4647 §3.4), and `*` is about whatever is not named.
pub(crate) fn language_weight<'a>(ranges: impl Iterator<Item = &'a str>, offer: &str) -> u16 {
    let (mut named, mut any) = (None, 0);
    for range in ranges.filter_map(Named::parse) {
        let primary = range.name.split('-').next().unwrap_or_default();
        if primary.eq_ignore_ascii_case(offer) {
            named = named.max(Some(range.weight));
        } else if primary == "*" {
            any = range.weight.max(any);
        }
    }
    named.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_over_all_of_its_lines() {
        let line = |value: &str| ("accept".to_owned(), value.as_bytes().to_vec());
        let headers = Headers(vec![line("a, b"), line(""), line("한"), line(" ,c;x=\"1,2\",")]);
        assert_eq!(headers.members("Accept").collect::<Vec<_>>(), ["a", "b", "c;x=\"1,2\""]);
    }

    #[test]
    fn a_weight_has_at_most_three_decimals_and_is_at_most_one() {
        for (text, thousandths) in
            [("1", 1000), ("1.000", 1000), ("0", 0), ("0.5", 500), ("0.25", 250), ("0.", 0)]
        {
            assert_eq!(weight(text), Some(thousandths), "{text}");
        }
        for garbage in ["", "2", "1.1", "-1", ".5", "0.1234", "oops", "1e0", "NaN", "0.+1"] {
            assert_eq!(weight(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn quotes_keep_separators_and_escapes_together() {
        let named = Named::parse(r#"text/csv; Header="a;\"b"; Q=0.5; x=1"#).unwrap();
        assert_eq!((named.parameter("header"), named.weight), (Some("a;\"b"), 500));
        assert_eq!(named.parameter("x"), None, "what stands behind q is no parameter of the media type");
    }

    #[test]
    fn csv_is_for_whoever_prefers_it() {
        let offers: &[&[&str]] =
            &[&["application/hal+json", "application/json"], &["text/csv;charset=utf-8;header=present"]];
        for (accept, csv) in [
            ("", false),
            ("*/*", false),
            ("application/hal+json", false),
            ("text/csv", true),
            ("text/csv, */*;q=0.9", true),
            ("application/json, text/csv;q=0.5", false),
            ("application/json;q=0.5, text/csv;q=0.9", true),
            ("Text/CSV; charset=utf-8", true),
            ("text/csv;CharSet=\"UTF-8\"", true),
            ("text/csv;charset=euc-kr", false),
            ("text/csv;q=0", false),
            ("text/*;q=0.9, text/csv;q=0", false),
            ("text/csv;q=0, text/*;q=0.9", false),
            ("text/*;q=0.1, text/csv;Q=0.9, */*;q=0.5", true),
            ("text/csv;charset=utf-8;q=0.1, text/csv, application/json;q=0.5", false),
            ("*/*;q=0.9, application/*;q=0.1", true),
            ("application/json;q=oops, text/csv;q=0.1", true),
            ("text/csv;q=2", false),
            // Whoever excludes the one and takes anything else gets the other; what is sent as HAL is no plain JSON.
            ("application/hal+json;q=0, */*", true),
            ("application/hal+json;q=0, */*;q=0.1", true),
            ("*/*, application/hal+json;q=0", true),
            ("application/hal+json;q=0.1, */*;q=0.5", true),
            ("application/hal+json;q=0, application/json", false),
            ("application/hal+json;q=0, application/*", false),
            ("application/json;q=0, */*", false),
            ("application/*;q=0, */*;q=0.1", true),
            ("text/csv;q=0, */*", false),
            ("text/csv;q=0, application/hal+json;q=0", false),
        ] {
            let members = split(accept, b',').filter(|member| !member.is_empty());
            assert_eq!(negotiate(members, offers) == 1, csv, "{accept:?}");
        }
    }

    #[test]
    fn a_language_is_weighed_by_what_names_it_and_else_by_the_star() {
        for (ranges, ko, en) in [
            ("", 0, 0),
            ("*", 1000, 1000),
            ("ko;q=0, *", 0, 1000),
            ("en-GB, en;q=0.9, KO;Q=0.1", 100, 1000),
            ("fr;q=1, en;q=oops", 0, 0),
        ] {
            let weight = |offer| language_weight(split(ranges, b','), offer);
            assert_eq!((weight("ko"), weight("en")), (ko, en), "{ranges:?}");
        }
    }
}
