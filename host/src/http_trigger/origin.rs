//! Who asks, and for what: the client's address and the whole URI, as the client sees it.
//!
//! What a proxy says about a request (`X-Forwarded-For`, `-Proto`, `-Host`) counts only where the proxy is
//! one of those that are configured. From anybody else these headers are taken away.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use http::{
    HeaderMap, HeaderValue, StatusCode, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use ipnet::{IpNet, Ipv4Net};
use percent_encoding::percent_decode_str;

use super::server::Ends;

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

/// Reads a public base URL: `https://edu.example.com`. What is wrong is said without repeating it, for there may be a
/// password in it.
pub fn public_url(text: &str) -> Result<(Scheme, Authority)> {
    // The parser drops a fragment silently.
    ensure!(!text.contains('#'), "must end after the host, without a fragment (`#…`)");
    let parts = text.parse::<Uri>().context("is not a URL")?.into_parts();
    let scheme = parts.scheme.filter(|scheme| ["http", "https"].contains(&scheme.as_str()));
    let scheme = scheme.context("must begin with `http://` or `https://`")?;
    let authority = parts.authority.context("names no host")?;
    ensure!(!authority.as_str().contains('@'), "must name a host alone, without a user or a password (`…@`)");
    let authority =
        valid(authority.as_str().as_bytes()).context("names a host or a port that is not valid")?;
    ensure!(
        parts.path_and_query.is_none_or(|path| path == "/"),
        "must end after the host, without a path or a query: the application is served at the root"
    );
    Ok((scheme, authority))
}

/// Reads a proxy's address, or a network of them. IPv4 within IPv6 (`::ffff:10.0.0.1`) is IPv4, as it is in requests.
pub fn proxy(text: &str) -> Result<IpNet> {
    let network = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
    let network = network.context("is neither an address nor a network")?;
    let mapped = match network {
        IpNet::V6(network) => network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(96)),
        IpNet::V4(_) => None,
    };
    match mapped {
        Some((address, length)) => Ok(Ipv4Net::new(address, length)?.into()),
        None => Ok(network),
    }
}

impl Origin {
    /// The client's address and the URI it asked for. 400 where the request does not clearly say which; 421 where it is for
    /// an `https` URI and its connection is not secured (RFC 9110, section 7.4).
    pub(super) fn of(&self, request: &mut Parts, ends: Ends) -> Result<(SocketAddr, Uri), StatusCode> {
        let (mut scheme, mut authority) = target(request, ends.local).ok_or(StatusCode::BAD_REQUEST)?;
        let mut client = ends.peer;
        let is_proxy = self.is_proxy(ends.peer.ip());
        if is_proxy {
            let hop;
            (client, hop) = self.client(&request.headers, ends.peer);
            authority = told_at(hop, &request.headers, HOST)
                .and_then(|host| valid(host.as_bytes()))
                .unwrap_or(authority);
            scheme = match told_at(hop, &request.headers, PROTO) {
                Some(proto) if proto.eq_ignore_ascii_case("https") => Scheme::HTTPS,
                Some(proto) if proto.eq_ignore_ascii_case("http") => Scheme::HTTP,
                _ => scheme,
            };
        } else {
            for name in [FOR, PROTO, HOST, "forwarded"] {
                request.headers.remove(name);
            }
        }
        match &self.public {
            Some(public) => (scheme, authority) = public.clone(),
            None if !is_proxy && scheme == Scheme::HTTPS => return Err(StatusCode::MISDIRECTED_REQUEST),
            None => {}
        }
        let uri = whole(request, scheme, authority).ok_or(StatusCode::BAD_REQUEST)?;
        Ok((client, uri))
    }

    fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()))
    }

    /// Each proxy adds the address it was asked from at the end: the last one that is no proxy of
    /// ours is the client. What stands before it, the client may have made up. Beside the client, the place of its
    /// address, counted from the end.
    fn client(&self, headers: &HeaderMap, peer: SocketAddr) -> (SocketAddr, usize) {
        let mut client = (peer, 0);
        for (hop, address) in told(headers, FOR).enumerate() {
            let parsed = address.parse().map(|ip| SocketAddr::new(ip, 0));
            let Ok(address) = parsed.or_else(|_| address.parse::<SocketAddr>()) else { break };
            client = (address, hop);
            if !self.is_proxy(address.ip()) {
                break;
            }
        }
        client
    }
}

/// The values of a list header from its end: what the proxy nearest to us says comes first.
fn told<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().rev().map_while(|line| line.to_str().ok());
    lines.flat_map(|line| line.rsplit(',')).map(str::trim)
}

/// What the proxy says that the client asked. Where a proxy nearer to us has put its own word in the place of what was
/// there, there are fewer values, and the farthest counts.
fn told_at<'a>(hop: usize, headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    told(headers, name).take(hop + 1).last()
}

/// The whole URI of a request, which its `Host` then agrees with.
fn whole(request: &mut Parts, scheme: Scheme, authority: Authority) -> Option<Uri> {
    request.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str()).ok()?);
    let path = normalized(request.uri.path_and_query()?)?;
    Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().ok()
}

/// The scheme and the authority that a request is for (RFC 9112, sections 3.2 and 3.3). It has one valid `Host` line,
/// which only HTTP/1.0 may leave out: whoever does not say what it wants gets what is at the address that it came to. A
/// target that is a whole URI says it instead of that line.
fn target(request: &Parts, local: SocketAddr) -> Option<(Scheme, Authority)> {
    let mut lines = request.headers.get_all(header::HOST).iter();
    let line = lines.next().map(|line| valid(line.as_bytes()).ok_or(())).transpose().ok()?;
    if lines.next().is_some() || line.is_none() && request.version > Version::HTTP_10 {
        return None;
    }
    let Some(target) = request.uri.authority() else {
        let address = || valid(local.to_string().as_bytes());
        return Some((Scheme::HTTP, line.or_else(address)?));
    };
    let scheme = request.uri.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme))?;
    Some((scheme.clone(), valid(target.as_str().as_bytes())?))
}

/// A host, and perhaps a port: no user, no empty name, no port beyond 65535. What RFC 3986 has several spellings for
/// (section 6.2) is spelt in one: a port that is empty is none, and a letter that is encoded is the letter.
fn valid(text: &[u8]) -> Option<Authority> {
    let text = str::from_utf8(text).ok()?;
    let end = text.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = text.split_at(text.get(end..)?.find(':').map_or(text.len(), |colon| end + colon));
    let port = port.strip_prefix(':').unwrap_or_default();
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
        && (port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0));
    let host = percent_decode_str(host).decode_utf8().ok()?;
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            host.bytes().all(named) && host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        }
    };
    if !is_port || !is_host {
        return None;
    }
    let authority = if port.is_empty() { host.into_owned() } else { format!("{host}:{port}") };
    Authority::try_from(authority).ok()
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

    /// Who asks for what, at an application behind the proxies `10.0.0.0/8`; 400 where nothing is expected.
    fn check(public: Option<&str>, peer: &str, request: &str, expected: Option<(&str, &str)>) {
        check_or(400, public, peer, request, expected);
    }

    fn check_or(
        status: u16,
        public: Option<&str>,
        peer: &str,
        request: &str,
        expected: Option<(&str, &str)>,
    ) {
        let mut lines = request.lines();
        let (target, version) = match lines.next().unwrap().split_once(' ') {
            Some((target, _)) => (target, Version::HTTP_10),
            None => (request.lines().next().unwrap(), Version::HTTP_11),
        };
        let mut built = http::Request::get(target).version(version);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            built = built.header(name, value);
        }
        let origin = Origin {
            public: public.map(|url| public_url(url).unwrap()),
            proxies: vec![proxy("10.0.0.0/8").unwrap()],
        };
        let (mut parts, ()) = built.body(()).unwrap().into_parts();
        let peer_address = SocketAddr::new(peer.parse().unwrap(), 99);
        let ends = Ends { peer: peer_address, local: "127.0.0.1:3000".parse().unwrap() };
        let asked = origin.of(&mut parts, ends);
        if let Ok((_, uri)) = &asked {
            assert_eq!(parts.headers[header::HOST], uri.authority().unwrap().as_str());
        }
        let asked = asked.map(|(client, uri)| (client.ip().to_string(), uri.to_string()));
        let asked = asked.map_err(|status| status.as_u16());
        let expected = expected.map(|(client, uri)| (client.to_owned(), uri.to_owned())).ok_or(status);
        assert_eq!(asked, expected, "{request}");
        assert!(peer.contains("10.") || !parts.headers.contains_key(FOR));
    }

    #[test]
    fn a_request_says_once_and_clearly_which_host_it_is_for() {
        for (request, uri) in [
            ("/x\nhost: a.example", Some("http://a.example/x")),
            ("/x\nhost: a_b:80", Some("http://a_b:80/x")),
            ("/x\nhost: [::1]:3000", Some("http://[::1]:3000/x")),
            ("/x\nhost: a:", Some("http://a/x")),
            ("/x\nhost: [::1]:", Some("http://[::1]/x")),
            ("/x\nhost: a:0080", Some("http://a:0080/x")),
            ("/x\nhost: %61.Example", Some("http://a.Example/x")),
            ("http://a/x\nhost: a", Some("http://a/x")),
            ("http://a/x\nhost: b", Some("http://a/x")),
            ("http://a:1?y\nhost: b", Some("http://a:1/?y")),
            ("/x HTTP/1.0", Some("http://127.0.0.1:3000/x")),
            ("/x HTTP/1.0\nhost: a", Some("http://a/x")),
            ("http://a/x HTTP/1.0", Some("http://a/x")),
            ("http://a/x HTTP/1.0\nhost: b", Some("http://a/x")),
            ("/x", None),
            ("http://a/x", None),
            ("http://a/x\nhost: ", None),
            ("http://a/x\nhost: b\nhost: b", None),
            ("http://u@a/x\nhost: a", None),
            ("http://a:+80/x\nhost: a", None),
            ("ftp://a/x\nhost: a", None),
            ("a:80\nhost: a:80", None),
            ("/x HTTP/1.0\nhost: a\nhost: a", None),
            ("/x HTTP/1.0\nhost: a b", None),
            ("/x\nhost: a\nhost: a", None),
            ("/x\nhost: a\nhost: b", None),
            ("/x\nhost: ", None),
            ("/x\nhost: user@a", None),
            ("/x\nhost: a,b", None),
            ("/x\nhost: a/b", None),
            ("/x\nhost: a b", None),
            ("/x\nhost: a :80", None),
            ("/x\nhost: a: 80", None),
            ("/x\nhost: a:+80", None),
            ("/x\nhost: a:-1", None),
            ("/x\nhost: a:0", None),
            ("/x\nhost: a:80:80", None),
            ("/x\nhost: ::1", None),
            ("/x\nhost: :", None),
            ("/x\nhost: a:99999", None),
            ("/x\nhost: a:x", None),
            ("/x\nhost: :80", None),
            ("/x\nhost: [::1", None),
            ("/x\nhost: [::g]", None),
            ("/x\nhost: [::1]a", None),
            ("/x\nhost: a[::1]", None),
            ("/x\nhost: [::1]]", None),
            ("/x\nhost: []", None),
            ("/x\nhost: -a", None),
            ("/x\nhost: a%2fb", None),
            ("/x\nhost: a%3A80", None),
            ("/x\nhost: a%", None),
            ("/x\nhost: %5B::1%5D", None),
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
        check(None, "::ffff:10.0.0.1", request, Some(("1.2.3.4", "https://edu.example/x")));
        let public = Some("https://edu.example:8443");
        check(public, "9.0.0.1", "/x?y\nhost: inside", Some(("9.0.0.1", "https://edu.example:8443/x?y")));
    }

    #[test]
    fn a_secured_uri_is_asked_for_over_a_secured_connection_or_of_a_proxy() {
        let plain = "https://evil.example/x\nhost: a\nx-forwarded-proto: https";
        check_or(421, None, "9.0.0.1", plain, None);
        check(Some("https://edu.example"), "9.0.0.1", plain, Some(("9.0.0.1", "https://edu.example/x")));
        let unsaid = "https://edu.example/x\nhost: edu.example";
        check(None, "10.0.0.1", unsaid, Some(("10.0.0.1", "https://edu.example/x")));
        for (proto, scheme) in [("http", "http"), ("HTTP", "http"), ("https", "https"), ("ws", "https")] {
            let said = format!("{unsaid}\nx-forwarded-proto: {proto}");
            check(None, "10.0.0.1", &said, Some(("10.0.0.1", &format!("{scheme}://edu.example/x"))));
        }
    }

    #[test]
    fn what_counts_of_several_proxies_is_what_the_one_says_that_the_client_asked() {
        for (hops, uri) in [
            // Both proxies add their word.
            ("for: 1.2.3.4, 10.1.1.1\nproto: https, http\nhost: edu.example, inner", "https://edu.example/x"),
            (
                "for: 1.2.3.4\nfor: 10.1.1.1\nproto: https\nproto: http\nhost: edu.example\nhost: inner",
                "https://edu.example/x",
            ),
            // What the client has made up stands before it.
            (
                "for: 6.6.6.6, 1.2.3.4, 10.1.1.1\nproto: https, http, https\nhost: evil, edu.example, inner",
                "http://edu.example/x",
            ),
            // The nearer one leaves what it was told, or puts its own in its place.
            ("for: 1.2.3.4, 10.1.1.1\nproto: https\nhost: edu.example", "https://edu.example/x"),
            // One proxy alone, and a client that has made up the rest.
            ("for: 10.9.9.9, 1.2.3.4\nproto: https, http\nhost: evil, edu.example", "http://edu.example/x"),
        ] {
            let hops: String = hops.lines().map(|line| format!("\nx-forwarded-{line}")).collect();
            check(None, "10.0.0.1", &format!("/x\nhost: inside{hops}"), Some(("1.2.3.4", uri)));
        }
    }

    #[test]
    fn a_proxy_is_the_same_however_its_address_is_written() {
        for (text, network) in [
            ("127.0.0.1", "127.0.0.1/32"),
            ("::ffff:127.0.0.1", "127.0.0.1/32"),
            ("::ffff:7f00:1", "127.0.0.1/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:0.0.0.0/96", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:db8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(proxy(text).unwrap().to_string(), network, "{text}");
        }
        for wrong in ["", "proxy.example", "10.0.0.0/33", "10.0.0.1:80", "[::1]"] {
            assert!(proxy(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_public_address_is_an_origin_and_nothing_more() {
        for (text, origin) in [
            ("https://edu.example", "https://edu.example"),
            ("http://edu.example:8080/", "http://edu.example:8080"),
            ("https://edu.example:", "https://edu.example"),
        ] {
            let (scheme, authority) = public_url(text).unwrap();
            assert_eq!(format!("{scheme}://{authority}"), origin, "{text}");
        }
        for (wrong, why) in [
            ("", "not a URL"),
            ("edu.example", "begin with"),
            ("ftp://edu.example", "begin with"),
            ("https://edu.example/x", "without a path"),
            ("https://edu.example?y=s3cret", "without a path or a query"),
            ("https://edu.example#y", "without a fragment"),
            ("https://edu.example/#", "without a fragment"),
            ("https://u:s3cret@edu.example", "without a user or a password"),
            ("https://s3cret@edu.example/x", "without a user or a password"),
            ("https://edu.example:+80", "not valid"),
            ("https://edu.example:99999", "not valid"),
            ("https://u:s3cret @edu.example", "not a URL"),
        ] {
            let refusal = format!("{:#}", public_url(wrong).unwrap_err());
            assert!(refusal.contains(why) && !refusal.contains("s3cret"), "{wrong}: {refusal}");
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
