//! Which address a request comes from.

use crate::Request;
use crate::header::split;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// How much of an IPv6 address is one customer's as a rule: who has one address has all 2^64 of its network.
const NETWORK: u32 = 64;

impl Request {
    /// The client's address, to count by: of IPv6 the network alone. None where nobody says it.
    ///
    /// A proxy adds whom it was asked by at the end of `Forwarded` (RFC 7239) or `X-Forwarded-For`. What stands before the
    /// entries of our own `proxies` (how many there are) anybody may have written, so it is never looked at.
    pub fn client_address(&self, proxies: usize) -> Option<String> {
        let peer = self.headers.only("spin-client-addr").and_then(address);
        let Some(before) = proxies.checked_sub(1) else { return peer };
        let mut hops: Vec<_> = self.headers.members("forwarded").map(forwarded_for).collect();
        if hops.is_empty() {
            hops = self.headers.members("x-forwarded-for").map(address).collect();
        }
        // Where an entry cannot be read, whoever asked the nearest of us that says anything is better than nothing.
        hops.into_iter().rev().nth(before).flatten().or(peer)
    }
}

/// What an element of `Forwarded` says it is `for`.
fn forwarded_for(element: &str) -> Option<String> {
    let value = split(element, b';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    address(value.trim_matches('"'))
}

/// An address, with or without a port.
fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let alone = || text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    let ip = text.parse::<SocketAddr>().map(|address| address.ip()).ok().or_else(alone)?;
    Some(match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => {
            let network = u128::from(ip) & (u128::MAX << NETWORK);
            format!("{}/{NETWORK}", Ipv6Addr::from(network))
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::request::tests::request;

    #[track_caller]
    fn check(proxies: usize, headers: &[(&str, &str)], expected: Option<&str>) {
        assert_eq!(request("/", headers).client_address(proxies).as_deref(), expected, "{headers:?}");
    }

    #[test]
    fn without_a_proxy_it_is_whoever_is_connected() {
        let peer = ("spin-client-addr", "192.0.2.7:50100");
        check(0, &[peer], Some("192.0.2.7"));
        check(0, &[peer, ("x-forwarded-for", "10.0.0.1"), ("forwarded", "for=10.0.0.2")], Some("192.0.2.7"));
        check(0, &[], None);
        check(0, &[("spin-client-addr", "nonsense")], None);
    }

    #[test]
    fn behind_proxies_it_is_whom_the_first_of_them_was_asked_by() {
        let peer = ("spin-client-addr", "10.0.0.9:1");
        check(1, &[peer, ("x-forwarded-for", "6.6.6.6, 192.0.2.7")], Some("192.0.2.7"));
        check(2, &[peer, ("x-forwarded-for", "6.6.6.6, 192.0.2.7, 10.0.0.8")], Some("192.0.2.7"));
        check(
            1,
            &[peer, ("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "192.0.2.7")],
            Some("192.0.2.7"),
        );
        check(1, &[peer, ("forwarded", "for=6.6.6.6;proto=http, For=\"192.0.2.7:99\"")], Some("192.0.2.7"));
        // Too few, or not readable: nobody can widen their limits by that.
        check(2, &[peer, ("x-forwarded-for", "192.0.2.7")], Some("10.0.0.9"));
        check(1, &[peer, ("forwarded", "for=_hidden")], Some("10.0.0.9"));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_an_ipv4_address_in_it_is_that() {
        check(0, &[("spin-client-addr", "[2001:db8:1:2:3:4:5:6]:443")], Some("2001:db8:1:2::/64"));
        check(0, &[("spin-client-addr", "2001:db8:1:2::9")], Some("2001:db8:1:2::/64"));
        check(0, &[("spin-client-addr", "[::ffff:192.0.2.7]:1")], Some("192.0.2.7"));
    }
}
