//! The headers of requests: those that are about the connection, and those by which Spin tells a component about its
//! request.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};

use super::routes::Match;

const PATH_MATCH_PREFIX: &str = "spin-path-match-";

/// Replaces whatever the client sent under these names by what is true.
pub(super) fn set_spin_headers(headers: &mut HeaderMap, uri: &Uri, matched: &Match<'_>, client: SocketAddr) {
    remove_named_segments(headers);
    let route = matched.pattern;
    let prefix = route.strip_suffix("/...").unwrap_or(route);
    set(headers, HeaderName::from_static("spin-path-info"), matched.rest);
    set(headers, HeaderName::from_static("spin-full-url"), &uri.to_string());
    set(headers, HeaderName::from_static("spin-matched-route"), route);
    set(headers, HeaderName::from_static("spin-base-path"), "/");
    set(headers, HeaderName::from_static("spin-raw-component-route"), route);
    set(headers, HeaderName::from_static("spin-component-route"), prefix);
    set(headers, HeaderName::from_static("spin-client-addr"), &client.to_string());
    for (name, value) in &matched.named {
        let name = format!("{PATH_MATCH_PREFIX}{}", name.to_ascii_lowercase().replace('_', "-"));
        if let Ok(name) = HeaderName::try_from(name) {
            set(headers, name, value);
        }
    }
}

/// Refuses a body that is transferred in other ways than in chunks: 501 for a coding that is not known here, 400 for
/// chunks that are not the one last coding (RFC 9112, sections 6.1 and 7). The connection has taken the chunks apart.
pub(super) fn check_transfer_coding(headers: &HeaderMap) -> Result<(), StatusCode> {
    let lines = headers.get_all(header::TRANSFER_ENCODING);
    let mut codings = Vec::new();
    for line in lines {
        let line = line.to_str().map_err(|_| StatusCode::BAD_REQUEST)?;
        codings.extend(line.split(',').map(str::trim).filter(|coding| !coding.is_empty()));
    }
    let is_chunked = |coding: &&str| coding.eq_ignore_ascii_case("chunked");
    match codings.split_last() {
        None => Ok(()),
        Some((last, others)) if is_chunked(last) && !others.iter().any(is_chunked) => match others {
            [] => Ok(()),
            _ => Err(StatusCode::NOT_IMPLEMENTED),
        },
        Some(_) => Err(StatusCode::BAD_REQUEST),
    }
}

/// Only meaningful to the connection it came on.
pub(super) fn remove_connection_headers(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
}

fn remove_named_segments(headers: &mut HeaderMap) {
    let forged: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(PATH_MATCH_PREFIX)).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_bytes(value.as_bytes()) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers_of(uri: &str, matched: &Match<'_>, sent: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        set_spin_headers(&mut headers, &uri.parse().unwrap(), matched, "127.0.0.1:8777".parse().unwrap());
        headers
    }

    #[test]
    fn a_body_comes_in_chunks_or_not_at_all() {
        for (lines, refused) in [
            (&[][..], None),
            (&["chunked"], None),
            (&["Chunked"], None),
            (&[", chunked,"], None),
            (&["gzip, chunked"], Some(501)),
            (&["gzip", "chunked"], Some(501)),
            (&["identity, chunked"], Some(501)),
            (&["x;y=\"z\", chunked"], Some(501)),
            (&["chunked, chunked"], Some(400)),
            (&["chunked", "chunked"], Some(400)),
            (&["chunked, gzip, chunked"], Some(400)),
            (&["chunked, gzip"], Some(400)),
            (&["chunked", "identity"], Some(400)),
            (&["gzip"], Some(400)),
            (&["identity"], Some(400)),
            (&["chunked;x=y"], Some(400)),
            (&["xchunked"], Some(400)),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(line));
            }
            let checked = check_transfer_coding(&headers).err().map(|status| status.as_u16());
            assert_eq!(checked, refused, "{lines:?}");
        }
    }

    #[test]
    fn a_component_is_told_what_its_route_matched() {
        let matched = Match {
            component: "c",
            pattern: "/foo/:userid/...",
            rest: "/bar",
            named: vec![("userid", "42")],
        };
        let headers = headers_of("http://example.com/foo/42/bar?a=b", &matched, &[]);
        for (name, value) in [
            ("spin-path-info", "/bar"),
            ("spin-full-url", "http://example.com/foo/42/bar?a=b"),
            ("spin-matched-route", "/foo/:userid/..."),
            ("spin-base-path", "/"),
            ("spin-raw-component-route", "/foo/:userid/..."),
            ("spin-component-route", "/foo/:userid"),
            ("spin-client-addr", "127.0.0.1:8777"),
            ("spin-path-match-userid", "42"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
    }

    #[test]
    fn a_client_cannot_forge_what_a_component_is_told() {
        let matched = Match { component: "c", pattern: "/", rest: "", named: Vec::new() };
        let forged =
            [("spin-client-addr", "6.6.6.6:1"), ("spin-path-match-userid", "root"), ("accept", "*/*")];
        let headers = headers_of("http://example.com/", &matched, &forged);
        assert_eq!(headers["spin-client-addr"], "127.0.0.1:8777");
        assert!(!headers.contains_key("spin-path-match-userid"));
        assert_eq!(headers["accept"], "*/*");
    }
}
