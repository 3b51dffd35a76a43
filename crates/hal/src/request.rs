//! Reading a request.

use crate::header::{Headers, Named, language_weight, negotiate, split};
use crate::{Error, Fields, Kind, Method, Preconditions, Problem, Query, Response};
use kernel::Language;
use percent_encoding::percent_decode_str;

/// The largest body that is read, in bytes: 64 KiB, many times what any request of this API needs.
pub const MAX_BODY: usize = 64 * 1024;

/// What a body may be, by its type: JSON, as it is, as a merge patch (RFC 7396), or as it is answered. Other types that
/// are written as JSON mean something else: `application/json-patch+json` is a list of operations (RFC 6902).
const BODIES: [&str; 3] = ["application/json", "application/merge-patch+json", "application/hal+json"];

/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// A request, read whole.
#[derive(Debug)]
pub struct Request {
    /// The method; `HEAD` is read as `GET`, since the server leaves the body out by itself.
    pub method: Method,
    /// The path as it was sent.
    pub path: String,
    /// The query parameters, decoded.
    pub query: Query,
    /// Where the client reached us, for links: `http://127.0.0.1:8080`.
    pub base: String,
    /// The path's segments, where decoding makes a difference.
    decoded: Option<Vec<String>>,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A request with `headers` in their lines; 400 for a path that is not UTF-8.
    pub fn new(
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Result<Self, Problem> {
        let line = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
        let headers = Headers(headers.iter().map(line).collect());
        Ok(Self { body: body.into(), ..Self::without_body(method, path_and_query, headers)? })
    }

    pub(crate) fn without_body(
        method: Method,
        path_and_query: &str,
        headers: Headers,
    ) -> Result<Self, Problem> {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Ok(Self {
            method: if method == Method::HEAD { Method::GET } else { method },
            query: Query::parse(query),
            base: base(&headers),
            decoded: decoded(path).map_err(|problem| problem.instance(path))?,
            path: path.to_owned(),
            headers,
            body: Vec::new(),
        })
    }

    /// The path's segments, decoded, to match on: `/orders/1113/payment` is `["orders", "1113", "payment"]`. A slash
    /// at the end makes no difference.
    pub fn route(&self) -> Vec<&str> {
        match &self.decoded {
            Some(decoded) => decoded.iter().map(String::as_str).collect(),
            None => segments(&self.path).collect(),
        }
    }

    /// The body as the fields of a JSON object: 415 for what is no such object by its type or is encoded, 400 for what
    /// is none.
    pub fn fields(&self) -> Result<Fields, Problem> {
        let codings = self.headers.lines("content-encoding").map(|line| str::from_utf8(line).unwrap_or("?"));
        for coding in codings.flat_map(|line| split(line, b',')) {
            if !coding.is_empty() && !coding.eq_ignore_ascii_case("identity") {
                return Err(unsupported(
                    format!("The content coding is {coding:?}."),
                    "as it is, without a coding",
                )
                .header("accept-encoding", "identity"));
            }
        }
        // Whoever does not say what it is may mean JSON only.
        if self.headers.lines("content-type").next().is_some() {
            let kind = self.headers.only("content-type");
            if !kind.and_then(Named::parse).is_some_and(|kind| is_json(&kind)) {
                let kind = kind.unwrap_or("not one that can be read");
                let problem = unsupported(
                    format!("The content type is {kind:?}."),
                    "as JSON with `Content-Type: application/json`",
                );
                let taken = BODIES.join(", ");
                // RFC 5789, section 2.2.
                let patch = self.method == Method::PATCH;
                let problem = if patch { problem.header("accept-patch", &*taken) } else { problem };
                return Err(problem.header("accept", taken));
            }
        }
        Fields::parse(&self.body)
    }

    /// The first line of a header, if it is ASCII. What restrains a request has a method of its own.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.first(name)
    }

    /// The body as it came: for what is no JSON, such as a form.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// A header that says who asks: its one value, `None` where it is not there. More than one, or what is not ASCII, is
    /// `Some(None)`: it is not to be taken for absent.
    pub fn credential(&self, name: &str) -> Option<Option<&str>> {
        self.headers.lines(name).next().map(|_| self.headers.only(name))
    }

    /// The cookies, by name and value, as they came.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.headers.lines("cookie").filter_map(|line| str::from_utf8(line).ok());
        lines.flat_map(|line| line.split(';')).filter_map(|cookie| cookie.trim().split_once('='))
    }

    /// Whether a browser says that the request comes from a page of ours, and not from another site's (Fetch Metadata;
    /// RFC 6454). Nobody but a browser can be made to send another's cookies, and a browser says it.
    pub fn is_same_origin(&self) -> bool {
        if let Some(site) = self.credential("sec-fetch-site") {
            return site == Some("same-origin");
        }
        // The scheme may be another before a proxy that ends TLS.
        let authority =
            |url: &str| url.split_once("://").map(|(_, authority)| authority.to_ascii_lowercase());
        let origin = self.credential("origin").flatten().and_then(authority);
        origin.is_some_and(|origin| authority(&self.base).as_deref() == Some(&*origin))
    }

    /// What the client makes a condition of its request.
    pub fn preconditions(&self) -> Preconditions {
        Preconditions::read(&self.headers)
    }

    /// The language that the client prefers: English if that has a higher weight than Korean.
    pub fn language(&self) -> Language {
        let weight =
            |language: Language| language_weight(self.headers.members("accept-language"), language.as_str());
        if weight(Language::En) > weight(Language::Ko) { Language::En } else { Language::Ko }
    }

    /// Which representation to answer with, by `Accept`. Each offer is the media types that it goes by, with their
    /// parameters (`text/csv;charset=utf-8`). The first of those that weigh the same is taken, and the first of all
    /// where none is accepted.
    pub fn negotiate(&self, offers: &[&[&str]]) -> usize {
        negotiate(self.headers.members("accept"), offers)
    }

    /// The W3C trace that the request belongs to, if it says so once and in the right form.
    pub fn traceparent(&self) -> Option<String> {
        let value = self.headers.only("traceparent")?;
        let shape = [2, 32, 16, 2];
        let parts: Vec<_> = value.split('-').collect();
        let fits = parts.len() == shape.len()
            && parts.iter().zip(shape).all(|(part, length)| {
                part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            });
        fits.then(|| value.to_owned())
    }

    /// The id of the last event that a reader of server-sent events has got.
    pub fn last_event_id(&self) -> Option<&str> {
        self.headers.lines("last-event-id").next().and_then(|id| str::from_utf8(id).ok())
    }

    /// The `Idempotency-Key`: 1 to 255 visible ASCII characters, with or without the quotes of a structured
    /// field (draft-ietf-httpapi-idempotency-key-header).
    pub fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        if self.headers.lines("idempotency-key").next().is_none() {
            return Ok(None);
        }
        let key = self.headers.only("idempotency-key").unwrap_or_default();
        let key = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(key);
        if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"') {
            return Ok(Some(key.to_owned()));
        }
        Err(Problem::new(Kind::IDEMPOTENCY_KEY_MALFORMED)
            .detail(format!("It must be one value of 1 to {MAX_KEY} visible ASCII characters."))
            .next("Send one key, a UUID for example, and the same one when you repeat the request."))
    }

    /// What to answer to a method that the path does not take: 405 with `Allow`, or to `OPTIONS`, 204 with it and, where
    /// it takes `PATCH`, with `Accept-Patch` (RFC 5789, section 3.1). `HEAD` goes with `GET`, and `OPTIONS` with
    /// everything.
    pub fn other_method(&self, allowed: &[&str]) -> Result<Response, Error> {
        let patch = allowed.contains(&"PATCH");
        let mut methods = Vec::with_capacity(allowed.len() + 2);
        for method in allowed {
            methods.push(*method);
            if *method == "GET" {
                methods.push("HEAD");
            }
        }
        methods.push("OPTIONS");
        let allowed = methods.join(", ");
        if self.method == Method::OPTIONS {
            let response = Response::no_content().header("allow", &allowed);
            return Ok(if patch { response.header("accept-patch", &BODIES.join(", ")) } else { response });
        }
        Err(Problem::method_not_allowed(&self.method, &allowed).into())
    }

    /// What to answer to a path that is not there.
    pub fn nothing_here(&self) -> Result<Response, Error> {
        Err(Problem::not_found(format!("There is no `{}`.", self.path)).into())
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    trimmed.split('/').filter(move |_| !trimmed.is_empty())
}

/// The segments of a path that has something to decode.
fn decoded(path: &str) -> Result<Option<Vec<String>>, Problem> {
    if !path.contains('%') {
        return Ok(None);
    }
    let decode = |segment| percent_decode_str(segment).decode_utf8().map(|segment| segment.into_owned());
    segments(path).map(decode).collect::<Result<_, _>>().map(Some).map_err(|_| {
        Problem::new(Kind::MALFORMED_PATH)
            .detail("It is not UTF-8 once it is decoded.")
            .next("Percent-encode the path's UTF-8 bytes.")
    })
}

/// Spin says in `spin-full-url` where the client reached it.
fn base(headers: &Headers) -> String {
    let origin = |url: &str| {
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        Some(format!("{scheme}://{authority}"))
    };
    let told = headers.first("spin-full-url").and_then(origin);
    told.or_else(|| headers.first("host").map(|host| format!("http://{host}"))).unwrap_or_default()
}

/// Whether a media type is one of [`BODIES`]. JSON is always UTF-8 (RFC 8259 §8.1).
fn is_json(kind: &Named<'_>) -> bool {
    BODIES.iter().any(|body| kind.name.eq_ignore_ascii_case(body))
        && kind.parameter("charset").is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"))
}

fn unsupported(detail: String, instead: &str) -> Problem {
    Problem::new(Kind::UNSUPPORTED_MEDIA_TYPE).detail(detail).next(format!("Send the body {instead}."))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::StatusCode;

    pub(crate) fn request_of(method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Request {
        Request::new(method, path, headers, body).unwrap()
    }

    pub(crate) fn request(path_and_query: &str, headers: &[(&str, &str)]) -> Request {
        request_of(Method::GET, path_and_query, headers, "")
    }

    #[test]
    fn a_path_is_decoded_segment_by_segment() {
        for (path, route) in [
            ("/orders/?x", &["orders"][..]),
            ("/orders/a%2Fb", &["orders", "a/b"]),
            ("/%6F%72ders/%37", &["orders", "7"]),
            ("/orders/%zz", &["orders", "%zz"]),
            ("/orders//7", &["orders", "", "7"]),
            ("/", &[]),
            ("", &[]),
        ] {
            assert_eq!(request(path, &[]).route(), route, "{path}");
        }
        assert_eq!(
            Request::new(Method::GET, "/orders/%FF", &[], "").unwrap_err().status(),
            StatusCode::BAD_REQUEST
        );
    }

    #[test]
    fn links_begin_where_the_client_reached_us() {
        for (headers, base) in [
            (
                &[("spin-full-url", "http://127.0.0.1:8080/orders?x=1"), ("host", "a")][..],
                "http://127.0.0.1:8080",
            ),
            (&[("spin-full-url", "https://sugang.kr")], "https://sugang.kr"),
            (&[("host", "sugang.kr")], "http://sugang.kr"),
            (&[], ""),
        ] {
            assert_eq!(request("/", headers).base, base);
        }
    }

    #[test]
    fn only_json_as_it_is_is_a_body() {
        let status = |headers: &[(&str, &str)], body: &str| {
            request_of(Method::POST, "/", headers, body)
                .fields()
                .map_or_else(|problem| problem.status().as_u16(), |_| 200)
        };
        for body in ["{", "[]", ""] {
            assert_eq!(status(&[], body), 400, "{body}");
        }
        for kind in [
            "text/plain",
            "text/x+json",
            "application/jsonx",
            "application/json-patch+json",
            "application/ld+json",
            "application/json; charset=euc-kr",
            "application/x-www-form-urlencoded",
            "json",
            "한",
            "",
        ] {
            assert_eq!(status(&[("content-type", kind)], "{}"), 415, "{kind}");
        }
        for kind in [
            "application/json",
            "Application/JSON; Charset=\"UTF-8\"",
            "application/merge-patch+json;",
            "application/hal+json",
        ] {
            assert_eq!(status(&[("content-type", kind)], "{}"), 200, "{kind}");
        }
        assert_eq!(
            status(&[("content-type", "application/json"), ("content-type", "application/json")], "{}"),
            415
        );
        assert_eq!(status(&[("content-encoding", "gzip")], "{}"), 415);
        assert_eq!(status(&[("content-encoding", "identity"), ("content-encoding", "br")], "{}"), 415);
        assert_eq!(status(&[("content-encoding", "Identity")], "{}"), 200);
    }

    #[test]
    fn whoever_sends_an_encoded_body_is_told_that_none_is_taken() {
        let gzip = request_of(Method::POST, "/", &[("content-encoding", "gzip")], "{}").fields().unwrap_err();
        assert_eq!(Response::from(gzip).get("accept-encoding"), Some("identity"));
    }

    #[test]
    fn whoever_may_patch_is_told_with_what() {
        let taken = "application/json, application/merge-patch+json, application/hal+json";
        let refused = |method| {
            let headers = [("content-type", "application/json-patch+json")];
            Response::from(request_of(method, "/orders/1", &headers, "[]").fields().unwrap_err())
        };
        let patch = refused(Method::PATCH);
        assert_eq!((patch.status().as_u16(), patch.get("accept-patch")), (415, Some(taken)));
        let post = refused(Method::POST);
        assert_eq!((post.get("accept"), post.get("accept-patch")), (Some(taken), None));
        let options = |allowed: &[&str]| {
            let answer = request_of(Method::OPTIONS, "/orders/1", &[], "").other_method(allowed).unwrap();
            answer.get("accept-patch").map(str::to_owned)
        };
        assert_eq!(options(&["GET", "PATCH"]).as_deref(), Some(taken));
        assert_eq!(options(&["GET", "POST"]), None);
    }

    #[test]
    fn a_method_that_the_path_does_not_take_is_not_allowed_known_or_not() {
        for method in ["FOO", "PROPFIND", "get", "TRACE", "PUT", "CONNECT"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let asked = request_of(method.clone(), "/orders", &[], "").other_method(&["GET", "POST"]);
            let refused = Response::from(asked.unwrap_err().into_problem("/orders"));
            assert_eq!(
                (refused.status().as_u16(), refused.get("allow")),
                (405, Some("GET, HEAD, POST, OPTIONS")),
                "{method}"
            );
        }
    }

    #[test]
    fn the_language_follows_the_weights_of_accept_language() {
        for (lines, language) in [
            (&[][..], Language::Ko),
            (&[""], Language::Ko),
            (&["*"], Language::Ko),
            (&["en"], Language::En),
            (&["ko-KR,ko;q=0.9,en-US;q=0.8"], Language::Ko),
            (&["en-GB,en;q=0.9,ko;q=0.1"], Language::En),
            (&["fr;q=1, en;q=oops"], Language::Ko),
            (&["ko;q=0.5", "EN;Q=0.6"], Language::En),
            (&["ko;q=0, *;q=0.1"], Language::En),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("accept-language", *line)).collect();
            assert_eq!(request("/", &headers).language(), language, "{lines:?}");
        }
    }

    #[test]
    fn an_idempotency_key_is_one_value_of_visible_ascii() {
        let key = |headers: &[(&str, &str)]| request("/", headers).idempotency_key();
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&[("idempotency-key", "\"8e03\"")]).unwrap().as_deref(), Some("8e03"));
        assert_eq!(key(&[("idempotency-key", "8e03")]).unwrap().as_deref(), Some("8e03"));
        for bad in ["", "a b", "\"", "한", &"k".repeat(256)] {
            assert!(key(&[("idempotency-key", bad)]).is_err(), "{bad:?} was taken");
        }
        assert!(key(&[("idempotency-key", "a"), ("idempotency-key", "b")]).is_err());
    }

    #[test]
    fn a_traceparent_is_taken_only_once_and_in_its_own_form() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(request("/", &[("traceparent", good)]).traceparent().as_deref(), Some(good));
        assert_eq!(request("/", &[("traceparent", "00-x-y-01")]).traceparent(), None);
        assert_eq!(request("/", &[("traceparent", good), ("traceparent", good)]).traceparent(), None);
    }

    #[test]
    fn a_reader_of_events_says_which_it_got_last() {
        assert_eq!(request("/", &[("last-event-id", "가-7")]).last_event_id(), Some("가-7"));
        assert_eq!(request("/", &[]).last_event_id(), None);
    }

    #[test]
    fn what_says_who_asks_is_not_absent_where_it_cannot_be_read() {
        let read = |lines: &[&str]| {
            let headers: Vec<_> = lines.iter().map(|line| ("authorization", *line)).collect();
            request("/", &headers).credential("authorization").map(|value| value.map(str::to_owned))
        };
        assert_eq!(read(&[]), None);
        assert_eq!(read(&["Bearer x"]), Some(Some("Bearer x".to_owned())));
        assert_eq!(read(&["Bearer x", "Bearer x"]), Some(None));
        assert_eq!(read(&["Bearer 한"]), Some(None));
    }

    #[test]
    fn cookies_come_in_one_line_or_several() {
        let request = request("/", &[("cookie", "a=1; b=x=y"), ("cookie", "c=")]);
        assert_eq!(request.cookies().collect::<Vec<_>>(), [("a", "1"), ("b", "x=y"), ("c", "")]);
    }

    #[test]
    fn only_a_page_of_ours_is_of_the_same_origin() {
        let ours = ("spin-full-url", "http://sugang.kr/orders");
        for (headers, same) in [
            (&[ours][..], false),
            (&[ours, ("sec-fetch-site", "same-origin")], true),
            (&[ours, ("sec-fetch-site", "same-site"), ("origin", "http://sugang.kr")], false),
            (&[ours, ("sec-fetch-site", "none")], false),
            (&[ours, ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false),
            (&[ours, ("origin", "https://SUGANG.kr")], true),
            (&[ours, ("origin", "https://sugang.kr.evil.example")], false),
            (&[ours, ("origin", "null")], false),
            (&[("origin", "null")], false),
        ] {
            assert_eq!(request("/orders", headers).is_same_origin(), same, "{headers:?}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let ask = |method| request_of(method, "/orders", &[], "").other_method(&["GET", "POST"]);
        assert_eq!(ask(Method::OPTIONS).unwrap().get("allow"), Some("GET, HEAD, POST, OPTIONS"));
        let refused = Response::from(ask(Method::PUT).unwrap_err().into_problem("/orders"));
        assert_eq!(
            (refused.status(), refused.get("allow")),
            (StatusCode::METHOD_NOT_ALLOWED, Some("GET, HEAD, POST, OPTIONS"))
        );
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_could_be() {
        let other = request("/", &[("content-type", "text/plain")]).fields().unwrap_err();
        assert!(format!("{other:?}").contains("text/plain"), "{other:?}");
        let key = request("/", &[("idempotency-key", "a b")]).idempotency_key().unwrap_err();
        assert!(format!("{key:?}").contains("1 to 255"), "{key:?}");
    }
}
