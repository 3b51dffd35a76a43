//! Reading a request.

use crate::{Error, Fields, Problem, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kernel::Language;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::str::FromStr;

/// The largest body that is read, in bytes: 64 KiB, many times what any request of this API needs.
pub const MAX_BODY: usize = 64 * 1024;

/// The longest `Idempotency-Key`.
const MAX_KEY: usize = 255;

/// A request, read whole.
#[derive(Debug)]
pub struct Request {
    /// The method; `HEAD` is read as `GET`, since the server leaves the body out by itself.
    pub method: Method,
    /// The path's segments, decoded: `/orders/1113/payment` is `["orders", "1113", "payment"]`. A slash at
    /// the end makes no difference.
    pub segments: Vec<String>,
    /// The path as it was sent.
    pub path: String,
    /// The query parameters, decoded.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`MAX_BODY`] bytes.
    pub body: Bytes,
    /// Where the client reached us, for links: `http://127.0.0.1:8080`.
    pub base: String,
}

impl Request {
    /// Reads a request: 413 for a body that is too large, 400 for a path that is not UTF-8.
    pub async fn read(incoming: spin_sdk::http::Request) -> Result<Self, Error> {
        let (parts, body) = incoming.into_parts();
        let declared = parts.headers.get(http::header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
        if declared.and_then(|v| v.parse::<u64>().ok()).is_some_and(|length| length > MAX_BODY as u64) {
            return Err(too_large().into());
        }
        let body = match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(too_large().into()),
            Err(error) => return Err(unreadable_body(&error.to_string()).into()),
        };
        let path = parts.uri.path().to_owned();
        Ok(Self {
            method: if parts.method == Method::HEAD { Method::GET } else { parts.method },
            segments: segments(&path)?,
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            base: base(&parts.headers),
            path,
            headers: parts.headers,
            body,
        })
    }

    /// The path's segments as `&str`, to match on.
    pub fn route(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The body as the fields of a JSON object: 415 for another media type, 400 for what is not an object.
    pub fn fields(&self) -> Result<Fields, Problem> {
        if let Some(kind) = self.header("content-type") {
            let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if essence != "application/json" && !essence.ends_with("+json") {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported-media-type",
                    "The body is not in a format that is read here",
                )
                .detail(format!("The content type is {essence:?}."))
                .next("Send JSON with `Content-Type: application/json`."));
            }
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(object)) => Ok(Fields::new(object)),
            Ok(_) => Err(malformed("The body is JSON, but not an object.")),
            Err(error) if self.body.is_empty() => Err(malformed(&format!("The body is empty: {error}."))),
            Err(error) => Err(malformed(&format!("The body is not JSON: {error}."))),
        }
    }

    /// One header, where its value is plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The language that the client prefers.
    pub fn language(&self) -> Language {
        self.header("accept-language").map_or(Language::default(), Language::from_accept)
    }

    /// The W3C trace that the request belongs to, if it says so in the right form.
    pub fn traceparent(&self) -> Option<String> {
        let value = self.header("traceparent")?;
        let shape = [2, 32, 16, 2];
        let parts: Vec<_> = value.split('-').collect();
        let fits = parts.len() == shape.len()
            && parts.iter().zip(shape).all(|(part, length)| {
                part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
            });
        fits.then(|| value.to_owned())
    }

    /// The `Idempotency-Key`: 1 to 255 visible ASCII characters, with or without the quotes of a structured
    /// field (draft-ietf-httpapi-idempotency-key-header).
    pub fn idempotency_key(&self) -> Result<Option<String>, Problem> {
        let mut values = self.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().unwrap_or_default().trim();
        let key = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(key);
        let fits =
            (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        if values.next().is_some() || !fits {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "idempotency-key-malformed",
                "The Idempotency-Key cannot be read",
            )
            .detail(format!("It must be one value of 1 to {MAX_KEY} visible ASCII characters."))
            .next("Send one key, a UUID for example, and the same one when you repeat the request."));
        }
        Ok(Some(key.to_owned()))
    }

    /// What to answer to a method that the path does not take: 405 with `Allow`, or to `OPTIONS`, 204 with it.
    pub fn other_method(&self, allowed: &[&str]) -> Result<Response, Error> {
        if self.method == Method::OPTIONS {
            return Ok(Response::no_content().header("allow", &allowed.join(", ")));
        }
        Err(Problem::method_not_allowed(&self.method, allowed).into())
    }

    /// What to answer to a path that is not there.
    pub fn nothing_here(&self) -> Result<Response, Error> {
        Err(Problem::not_found(format!("There is no `{}`.", self.path)).into())
    }
}

/// Query parameters, decoded, in their order.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query as it stands in a URI, without the question mark.
    pub fn parse(raw: &str) -> Self {
        Self(form_urlencoded::parse(raw.as_bytes()).into_owned().collect())
    }

    /// The last value of a parameter; an empty one is as good as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// What `T` makes of a parameter; 422 naming the parameter if it is not one.
    pub fn parse_as<T>(&self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: FromStr<Err = kernel::Invalid>,
    {
        self.get(name).map(str::parse).transpose().map_err(|refused: kernel::Invalid| {
            Problem::invalid_fields(&[kernel::Invalid { field: name, ..refused }])
        })
    }

    /// The same query with some parameters put in place of others, encoded, for links.
    pub(crate) fn replaced(&self, changes: &[(&str, Option<String>)]) -> String {
        let mut encoder = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !changes.iter().any(|(changed, _)| changed == name) {
                encoder.append_pair(name, value);
            }
        }
        for (name, value) in changes {
            if let Some(value) = value {
                encoder.append_pair(name, value);
            }
        }
        encoder.finish()
    }
}

fn segments(path: &str) -> Result<Vec<String>, Problem> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Ok(Vec::new());
    }
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().map(|s| s.into_owned());
    trimmed.split('/').map(decode).collect::<Result<_, _>>().map_err(|_| {
        Problem::new(StatusCode::BAD_REQUEST, "malformed-path", "The path cannot be read")
            .detail("It is not UTF-8 once it is decoded.")
            .next("Percent-encode the path's UTF-8 bytes.")
    })
}

/// Spin says in `spin-full-url` where the client reached it.
fn base(headers: &HeaderMap) -> String {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let uri = text("spin-full-url").and_then(|url| url.parse::<http::Uri>().ok());
    if let Some((scheme, authority)) = uri.as_ref().and_then(|u| Some((u.scheme_str()?, u.authority()?))) {
        return format!("{scheme}://{authority}");
    }
    text("host").map_or_else(String::new, |host| format!("http://{host}"))
}

fn malformed(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-json", "The body is not a JSON object")
        .detail(detail)
        .next("Send a JSON object; nothing was stored.")
}

fn unreadable_body(reason: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "unreadable-body", "The body did not arrive whole")
        .detail(format!("Reading it ended with: {reason}."))
        .next("Send the request again; nothing was stored.")
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large")
        .detail(format!("At most {MAX_BODY} bytes are read."))
        .next("Send only the fields that the API names; nothing was stored.")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn request(path_and_query: &str, headers: &[(&str, &str)], body: &str) -> Request {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        Request {
            method: Method::GET,
            segments: segments(path).unwrap(),
            path: path.to_owned(),
            query: Query::parse(query),
            base: base(&map),
            headers: map,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn a_path_is_decoded_segment_by_segment() {
        assert_eq!(request("/orders/", &[], "").route(), ["orders"]);
        assert_eq!(request("/orders/a%2Fb", &[], "").route(), ["orders", "a/b"]);
        assert_eq!(request("/", &[], "").route(), Vec::<&str>::new());
        assert!(segments("/orders/%FF").is_err());
    }

    #[test]
    fn links_begin_where_the_client_reached_us() {
        let told = request("/", &[("spin-full-url", "http://127.0.0.1:8080/orders?x=1"), ("host", "a")], "");
        assert_eq!(told.base, "http://127.0.0.1:8080");
        assert_eq!(request("/", &[("host", "sugang.kr")], "").base, "http://sugang.kr");
    }

    #[test]
    fn only_a_json_object_is_a_body() {
        let slug = |headers: &[(&str, &str)], body: &str| {
            let problem = request("/", headers, body).fields().unwrap_err();
            problem.status().as_u16()
        };
        assert_eq!(slug(&[], "{"), 400);
        assert_eq!(slug(&[], "[]"), 400);
        assert_eq!(slug(&[], ""), 400);
        assert_eq!(slug(&[("content-type", "text/plain")], "{}"), 415);
        assert!(request("/", &[("content-type", "application/json; charset=utf-8")], "{}").fields().is_ok());
    }

    #[test]
    fn an_idempotency_key_is_one_value_of_visible_ascii() {
        let key = |headers: &[(&str, &str)]| request("/", headers, "").idempotency_key();
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&[("idempotency-key", "\"8e03\"")]).unwrap().as_deref(), Some("8e03"));
        assert_eq!(key(&[("idempotency-key", "8e03")]).unwrap().as_deref(), Some("8e03"));
        for bad in ["", "a b", "\"", &"k".repeat(256)] {
            assert!(key(&[("idempotency-key", bad)]).is_err(), "{bad:?} was taken");
        }
        assert!(key(&[("idempotency-key", "a"), ("idempotency-key", "b")]).is_err());
    }

    #[test]
    fn a_traceparent_is_taken_only_in_its_own_form() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(request("/", &[("traceparent", good)], "").traceparent().as_deref(), Some(good));
        assert_eq!(request("/", &[("traceparent", "00-x-y-01")], "").traceparent(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_could_be() {
        let other = request("/", &[("content-type", "text/plain")], "{}").fields().unwrap_err();
        assert!(format!("{other:?}").contains("text/plain"), "{other:?}");
        let key = request("/", &[("idempotency-key", "a b")], "").idempotency_key().unwrap_err();
        assert!(format!("{key:?}").contains("1 to 255"), "{key:?}");
        let cut = unreadable_body("connection reset");
        assert!(format!("{cut:?}").contains("connection reset"), "{cut:?}");
    }
}
