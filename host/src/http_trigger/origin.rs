//! Who asks, and for what: the client's address and the whole URI, as the client sees it.
//!
//! What a proxy says about a request (`X-Forwarded-For`, `-Proto`, `-Host`) counts only where the proxy is
//! one of those that are configured. From anybody else these headers are taken away.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use http::{
    HeaderMap, HeaderValue, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use ipnet::IpNet;
use percent_encoding::percent_decode_str;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

/// Where clients reach the application, and through whom.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The scheme and authority that clients know, whatever a request says.
    pub public: Option<(Scheme, Authority)>,
    /// The proxies whose word on a request counts.
    pub proxies: Vec<IpNet>,
}

/// Reads a public base URL: `https://edu.example.com`.
pub fn public_url(text: &str) -> Result<(Scheme, Authority)> {
    let parts = text.parse::<Uri>().context("is not a URL")?.into_parts();
    let scheme = parts.scheme.filter(|scheme| ["http", "https"].contains(&scheme.as_str()));
    let scheme = scheme.context("must begin with `http://` or `https://`")?;
    let named = parts.authority.and_then(|authority| valid(authority.as_str().as_bytes()));
    let authority = named.context("names no host, or one that is not valid")?;
    ensure!(
        parts.path_and_query.is_none_or(|path| path == "/"),
        "must end after the host: the application is served at the root"
    );
    Ok((scheme, authority))
}

impl Origin {
    /// The client's address and the URI it asked for; none where the request does not clearly say which.
    pub(super) fn of(&self, request: &mut Parts, peer: SocketAddr) -> Option<(SocketAddr, Uri)> {
        let mut authority = authority(request)?;
        let (mut scheme, mut client) = (Scheme::HTTP, peer);
        if self.is_proxy(peer.ip()) {
            client = self.client(&request.headers).unwrap_or(peer);
            authority =
                last(&request.headers, HOST).and_then(|host| valid(host.as_bytes())).unwrap_or(authority);
            if last(&request.headers, PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case("https")) {
                scheme = Scheme::HTTPS;
            }
        } else {
            for name in [FOR, PROTO, HOST, "forwarded"] {
                request.headers.remove(name);
            }
        }
        if let Some(public) = &self.public {
            (scheme, authority) = public.clone();
        }
        request.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).ok()?);
        let path = normalized(request.uri.path_and_query()?)?;
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()?;
        Some((client, uri))
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()))
    }

    /// Each proxy adds the address it was asked from at the end: the last one that is no proxy of
    /// ours is the client. What stands before it, the client may have made up.
    fn client(&self, headers: &HeaderMap) -> Option<SocketAddr> {
        let told = headers.get_all(FOR).iter().rev().filter_map(|line| line.to_str().ok());
        let addresses = told.flat_map(|line| line.rsplit(',')).map(|address| {
            let address = address.trim();
            address.parse().map(|ip| SocketAddr::new(ip, 0)).or_else(|_| address.parse::<SocketAddr>())
        });
        let mut client = None;
        for address in addresses {
            let Ok(address) = address else { break };
            client = Some(address);
            if !self.is_proxy(address.ip()) {
                break;
            }
        }
        client
    }
}

/// The last value of a list header: what the proxy nearest to us says.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).iter().next_back()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

/// The authority that a request is for: RFC 9112, section 3.2 has exactly one valid `Host` line.
fn authority(request: &Parts) -> Option<Authority> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| valid(host.as_bytes()).ok_or(())).transpose().ok()?;
    if hosts.next().is_some() {
        return None;
    }
    let target = request.uri.authority().map(|target| valid(target.as_str().as_bytes()).ok_or(()));
    match (host, target.transpose().ok()?) {
        (Some(host), Some(target)) if host != target => None,
        (host, target) => host.or(target),
    }
}

/// A host, and perhaps a port: no user, no empty name, no port beyond 65535.
fn valid(text: &[u8]) -> Option<Authority> {
    let authority = Authority::try_from(text).ok()?;
    let host = authority.host();
    let port = authority.as_str().strip_prefix(host)?;
    let valid_port = port.is_empty() || port.strip_prefix(':')?.parse::<u16>().is_ok_and(|port| port > 0);
    let valid_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            host.bytes().all(named) && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        }
    };
    (valid_port && valid_host).then_some(authority)
}

/// Characters that need no encoding are written plainly, so that `/%6F%72ders` is the route `/orders`
/// (RFC 3986, section 6.2.2.2). All others stay as they are: an encoded slash is no slash.
fn normalized(path: &PathAndQuery) -> Option<PathAndQuery> {
    if !path.path().contains('%') {
        return Some(path.clone());
    }
    let mut text = String::with_capacity(path.as_str().len());
    let mut rest = path.path();
    while let Some((plain, encoded)) = rest.split_once('%') {
        text.push_str(plain);
        let digits = encoded.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            text.push('%');
            rest = encoded;
            continue;
        };
        match percent_decode_str(&format!("%{digits}")).next() {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => text.push(byte.into()),
            _ => text.extend(["%", digits]),
        }
        rest = encoded.get(2..).unwrap_or_default();
    }
    text.push_str(rest);
    if let Some(query) = path.query() {
        text.extend(["?", query]);
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asks for what, at an application behind the proxies `10.0.0.0/8`.
    fn check(public: Option<&str>, peer: &str, request: &str, expected: Option<(&str, &str)>) {
        let mut lines = request.lines();
        let mut built = http::Request::get(lines.next().unwrap());
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            built = built.header(name, value);
        }
        let origin = Origin {
            public: public.map(|url| public_url(url).unwrap()),
            proxies: vec!["10.0.0.0/8".parse().unwrap()],
        };
        let (mut parts, ()) = built.body(()).unwrap().into_parts();
        let asked = origin.of(&mut parts, format!("{peer}:99").parse().unwrap());
        if let Some((_, uri)) = &asked {
            assert_eq!(parts.headers[header::HOST], uri.authority().unwrap().as_str());
        }
        let asked = asked.map(|(client, uri)| (client.ip().to_string(), uri.to_string()));
        let expected = expected.map(|(client, uri)| (client.to_owned(), uri.to_owned()));
        assert_eq!(asked, expected, "{request}");
        assert!(peer.starts_with("10.") || !parts.headers.contains_key(FOR));
    }

    #[test]
    fn a_request_says_once_and_clearly_which_host_it_is_for() {
        for (request, uri) in [
            ("/x\nhost: a.example", Some("http://a.example/x")),
            ("/x\nhost: a_b:80", Some("http://a_b:80/x")),
            ("/x\nhost: [::1]:3000", Some("http://[::1]:3000/x")),
            ("http://a/x\nhost: a", Some("http://a/x")),
            ("http://a/x", Some("http://a/x")),
            ("/x", None),
            ("/x\nhost: a\nhost: a", None),
            ("/x\nhost: a\nhost: b", None),
            ("http://a/x\nhost: b", None),
            ("/x\nhost: ", None),
            ("/x\nhost: user@a", None),
            ("/x\nhost: a,b", None),
            ("/x\nhost: a/b", None),
            ("/x\nhost: a:", None),
            ("/x\nhost: a:99999", None),
            ("/x\nhost: a:x", None),
            ("/x\nhost: :80", None),
            ("/x\nhost: [::1", None),
            ("/x\nhost: [::g]", None),
            ("/x\nhost: -a", None),
            ("/x\nhost: %61", None),
        ] {
            check(None, "1.2.3.4", request, uri.map(|uri| ("1.2.3.4", uri)));
        }
    }

    #[test]
    fn what_a_proxy_says_counts_only_where_the_proxy_is_configured() {
        let request = "/x\nhost: inside\nx-forwarded-for: 6.6.6.6, 1.2.3.4, 10.1.1.1
x-forwarded-proto: https\nx-forwarded-host: edu.example";
        check(None, "10.0.0.1", request, Some(("1.2.3.4", "https://edu.example/x")));
        check(None, "9.0.0.1", request, Some(("9.0.0.1", "http://inside/x")));
        check(None, "10.0.0.1", "/x\nhost: inside", Some(("10.0.0.1", "http://inside/x")));
        let spoiled = "/x\nhost: inside\nx-forwarded-for: 6.6.6.6, nobody, 10.1.1.1\nx-forwarded-host: a b";
        check(None, "10.0.0.1", spoiled, Some(("10.1.1.1", "http://inside/x")));
        let public = Some("https://edu.example:8443");
        check(public, "9.0.0.1", "/x?y\nhost: inside", Some(("9.0.0.1", "https://edu.example:8443/x?y")));
    }

    #[test]
    fn a_public_address_is_an_origin_and_nothing_more() {
        for wrong in
            ["edu.example", "ftp://edu.example", "https://edu.example/x", "https://u@edu.example", ""]
        {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_needs_no_encoding_is_the_same_with_it() {
        for (path, expected) in [
            ("/%6F%72ders/7?a=%6F", "/orders/7?a=%6F"),
            ("/a%2Fb/%ED%95%9C", "/a%2Fb/%ED%95%9C"),
            ("/100%/%zz/%4", "/100%/%zz/%4"),
            ("/%7e%2D", "/~-"),
        ] {
            assert_eq!(normalized(&path.parse().unwrap()).unwrap().as_str(), expected);
        }
    }
}
