//! Which addresses a component may reach: `allowed_outbound_hosts`, with Spin's rules.
//!
//! An entry is `scheme://host[:port]`. The scheme may be `*`; the host a name, an address, a
//! network in CIDR notation, `*`, `*.domain` or `self`; the port a number, a range `a..b` or `*`,
//! and without one the scheme's own.

use std::{net::IpAddr, ops::Range};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ipnet::IpNet;
use url::{Host, Url};

use crate::variables::{Template, Variables};

/// The domain of the application's own components: `http://<component>.spin.internal`.
pub const CHAINING_DOMAIN: &str = "spin.internal";

/// The host name, in place of none, by which a component asks its own application.
pub const SELF_HOST: &str = "self.alt";

/// Why an entry with an `@` is refused.
const NO_CREDENTIALS: &str =
    "user, password and path cannot be granted: give them in a variable of their own";

/// The outbound addresses one component was granted.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts {
    entries: Vec<AllowedHost>,
}

impl AllowedHosts {
    /// Parses a component's `allowed_outbound_hosts`. A template that comes out empty (or as a
    /// bare `http://`) grants nothing, so that a variable can switch an address off.
    pub fn parse(entries: &[String], variables: &Variables, components: &[String]) -> Result<Self> {
        let mut parsed = Vec::new();
        for entry in entries {
            // The refusal shows the entry as written, since what a variable made of it may be secret, and without a
            // password that somebody wrote there.
            let context = || format!("allowed_outbound_hosts: `{}`", without_credentials(entry));
            let literal = Template::parse(entry).with_context(context)?.is_literal();
            let filled = variables.fill(entry).with_context(context)?;
            if !literal && matches!(filled.as_str(), "" | "http://" | "https://") {
                continue;
            }
            let host = match AllowedHost::parse(&filled) {
                Err(_) if !literal => Err(anyhow!(
                    "with its variables filled in, it is not `<scheme>://<host>[:<port>]` ({NO_CREDENTIALS})"
                )),
                host => host,
            };
            parsed.extend(host.with_context(context)?.for_components(components));
        }
        Ok(Self { entries: parsed })
    }

    /// Whether `url` may be reached; `default_scheme` is used where `url` names none.
    pub fn allows(&self, url: &str, default_scheme: &str) -> bool {
        match Target::parse(url, default_scheme) {
            Some(target) => self.entries.iter().any(|entry| entry.allows(&target)),
            None => false,
        }
    }

    /// Whether `host`, a name or an IP address, may be reached at `port` by a scheme whose addresses are no URLs.
    pub fn allows_host(&self, scheme: &str, host: &str, port: u16) -> bool {
        let host = match host.parse() {
            Ok(IpAddr::V4(address)) => Host::Ipv4(address),
            Ok(IpAddr::V6(address)) => Host::Ipv6(address),
            Err(_) => match Host::parse(host) {
                Ok(host) => host,
                Err(_) => return false,
            },
        };
        let target = Target { scheme: scheme.to_owned(), host, port: Some(port) };
        self.entries.iter().any(|entry| entry.allows(&target))
    }

    /// Whether the component may send requests to its own application.
    pub fn allows_self(&self) -> bool {
        self.entries.iter().any(|entry| {
            ["http", "https"].iter().any(|scheme| entry.scheme.allows(scheme))
                && matches!(entry.host, HostRule::Any | HostRule::Itself)
        })
    }
}

/// The component that a literal entry chains to: `Some("pay")` for `http://pay.spin.internal`,
/// `Some("*")` for every component. Entries with variables are not looked into, as in Spin.
pub fn chained_component(entry: &str) -> Option<String> {
    match AllowedHost::parse(entry).ok()?.host {
        HostRule::Exactly(Host::Domain(domain)) => chaining_target(&domain).map(str::to_owned),
        HostRule::SubdomainOf(suffix) if suffix.strip_prefix('.') == Some(CHAINING_DOMAIN) => {
            Some("*".to_owned())
        }
        _ => None,
    }
}

/// The component named by the host of a service-chaining request.
pub fn chaining_target(host: &str) -> Option<&str> {
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    match host.split_once('.') {
        Some((component, CHAINING_DOMAIN)) => Some(component),
        _ => None,
    }
}

/// One entry of `allowed_outbound_hosts`.
#[derive(Clone, Debug)]
struct AllowedHost {
    scheme: SchemeRule,
    host: HostRule,
    port: PortRule,
}

#[derive(Clone, Debug)]
enum SchemeRule {
    Any,
    Exactly(String),
}

#[derive(Clone, Debug)]
enum HostRule {
    Any,
    Itself,
    /// The suffix, with its leading dot.
    SubdomainOf(String),
    Exactly(Host),
    Network(IpNet),
}

#[derive(Clone, Debug)]
enum PortRule {
    Any,
    Within(Range<u32>),
}

impl AllowedHost {
    fn parse(entry: &str) -> Result<Self> {
        let Some((scheme, rest)) = entry.trim().split_once("://") else {
            bail!("has no scheme: write `<scheme>://<host>[:<port>]`, where `*` stands for any of the three");
        };
        // What else is wrong with it is not looked into: that would be said with a part of it.
        ensure!(!rest.contains('@'), "{NO_CREDENTIALS}");
        let (host, port) = split_port(rest)?;
        Ok(Self {
            scheme: SchemeRule::parse(scheme)?,
            host: HostRule::parse(host)?,
            port: PortRule::parse(port, scheme)?,
        })
    }

    /// `*.spin.internal` stands for the application's own components and nothing else.
    fn for_components(self, components: &[String]) -> Vec<Self> {
        match &self.host {
            HostRule::SubdomainOf(suffix) if suffix.strip_prefix('.') == Some(CHAINING_DOMAIN) => components
                .iter()
                .map(|component| Self {
                    host: HostRule::Exactly(Host::Domain(format!("{component}.{CHAINING_DOMAIN}"))),
                    ..self.clone()
                })
                .collect(),
            _ => vec![self],
        }
    }

    fn allows(&self, target: &Target) -> bool {
        self.scheme.allows(&target.scheme) && self.host.allows(&target.host) && self.port.allows(target.port)
    }
}

/// An entry as it may be shown.
fn without_credentials(entry: &str) -> String {
    match (entry.split_once("://"), entry.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => entry.to_owned(),
    }
}

/// Splits `host:port`, where the host may itself be a bracketed IPv6 address or a CIDR network.
fn split_port(rest: &str) -> Result<(&str, &str)> {
    let Some((host, tail)) = rest.rsplit_once(':') else { return Ok((rest, "")) };
    if rest.ends_with(']') || rest.parse::<IpNet>().is_ok() {
        return Ok((rest, ""));
    }
    match tail.split_once('/') {
        Some((_, path)) if !path.is_empty() => bail!("has a path, which cannot be granted separately"),
        Some((port, _)) => Ok((host, port)),
        None => Ok((host, tail)),
    }
}

impl SchemeRule {
    fn parse(scheme: &str) -> Result<Self> {
        if scheme == "*" {
            return Ok(Self::Any);
        }
        ensure!(
            !scheme.is_empty() && scheme.chars().all(char::is_alphabetic),
            "the scheme `{scheme}` is neither `*` nor made of letters"
        );
        Ok(Self::Exactly(scheme.to_owned()))
    }

    fn allows(&self, scheme: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(allowed) => allowed == scheme,
        }
    }
}

impl HostRule {
    fn parse(host: &str) -> Result<Self> {
        let host = host.trim();
        match host {
            "*" => return Ok(Self::Any),
            "self" | SELF_HOST => return Ok(Self::Itself),
            _ => {}
        }
        if let Ok(network) = host.parse() {
            return Ok(Self::Network(network));
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        ensure!(!host.contains('/'), "has a path, which cannot be granted separately");
        ensure!(!host.starts_with('{'), "lists of hosts are not supported: write one entry each");
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(!domain.contains('*'), "`*` may stand only for the whole host or its first part");
            return match Host::parse(domain).with_context(|| format!("the host `{host}` is not valid"))? {
                Host::Domain(domain) => Ok(Self::SubdomainOf(format!(".{domain}"))),
                _ => bail!("`*.` must be followed by a domain name"),
            };
        }
        ensure!(!host.contains('*'), "`*` may stand only for the whole host or its first part");
        let host = Host::parse(host).with_context(|| format!("the host `{host}` is not valid"))?;
        Ok(Self::Exactly(host))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Exactly(allowed), host) => allowed == host,
            (Self::SubdomainOf(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (Self::Network(network), Host::Ipv4(address)) => network.contains(&IpAddr::V4(*address)),
            (Self::Network(network), Host::Ipv6(address)) => network.contains(&IpAddr::V6(*address)),
            (Self::SubdomainOf(_) | Self::Network(_) | Self::Itself, _) => false,
        }
    }
}

impl PortRule {
    fn parse(port: &str, scheme: &str) -> Result<Self> {
        if port.is_empty() {
            let port = well_known_port(scheme)
                .with_context(|| format!("names no port, and `{scheme}` has no port of its own"))?;
            return Ok(Self::only(port));
        }
        if port == "*" {
            return Ok(Self::Any);
        }
        let number = |text: &str| {
            text.parse::<u16>()
                .with_context(|| format!("the port `{port}` is not a number, a range `a..b` or `*`"))
        };
        match port.split_once("..") {
            Some((first, end)) => Ok(Self::Within(number(first)?.into()..number(end)?.into())),
            None => Ok(Self::only(number(port)?)),
        }
    }

    fn only(port: u16) -> Self {
        Self::Within(u32::from(port)..u32::from(port) + 1)
    }

    fn allows(&self, port: Option<u16>) -> bool {
        match (self, port) {
            (Self::Any, _) => true,
            (Self::Within(range), Some(port)) => range.contains(&u32::from(port)),
            (Self::Within(_), None) => false,
        }
    }
}

/// What a component wants to reach.
struct Target {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Target {
    fn parse(url: &str, default_scheme: &str) -> Option<Self> {
        // The same parser that the clients use: what is checked is what is connected to.
        let parsed = match Url::parse(url) {
            Ok(parsed) if parsed.has_host() => parsed,
            _ => Url::parse(&format!("{default_scheme}://{url}")).ok()?,
        };
        let scheme = parsed.scheme().to_owned();
        let host = Host::parse(parsed.host_str()?).ok()?;
        let port = parsed.port().or_else(|| well_known_port(&scheme));
        Some(Self { scheme, host, port })
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "redis" => Some(6379),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "mqtt" => Some(1883),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(entries: &[&str]) -> Result<AllowedHosts> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let components = ["order".to_owned(), "pay".to_owned()];
        AllowedHosts::parse(&entries, &Variables::default(), &components)
    }

    fn check(entry: &str, allowed: &[&str], denied: &[&str]) {
        let hosts = granted(&[entry]).unwrap();
        for url in allowed {
            assert!(hosts.allows(url, "http"), "{entry} should allow {url}");
        }
        for url in denied {
            assert!(!hosts.allows(url, "http"), "{entry} should deny {url}");
        }
    }

    #[test]
    fn nothing_is_allowed_without_an_entry() {
        assert!(!granted(&[]).unwrap().allows("http://example.com", "http"));
    }

    #[test]
    fn an_entry_allows_its_scheme_host_and_port_only() {
        check(
            "http://example.com",
            &["http://example.com", "http://example.com/path?q", "http://example.com:80", "example.com"],
            &["https://example.com", "http://example.com:81", "http://other.com", "http://a.example.com"],
        );
        check(
            "redis://127.0.0.1:6379",
            &["redis://127.0.0.1", "redis://127.0.0.1:6379/3"],
            &["redis://127.0.0.1:6380"],
        );
        check("http://[::1]:3000", &["http://[::1]:3000"], &["http://[::2]:3000", "http://[::1]"]);
    }

    #[test]
    fn wildcards_stand_for_any_scheme_host_or_port() {
        check("*://*:*", &["http://a", "redis://b:1", "https://[::1]:9"], &[]);
        check("http://*", &["http://a", "http://10.0.0.1"], &["http://a:81", "https://a"]);
        check(
            "https://*.example.com",
            &["https://a.example.com", "https://a.b.example.com"],
            &["https://example.com"],
        );
        check("http://localhost:*", &["http://localhost:1", "http://localhost"], &["http://127.0.0.1:1"]);
    }

    #[test]
    fn ranges_of_ports_and_networks_of_addresses_are_understood() {
        check(
            "http://localhost:3000..3010",
            &["http://localhost:3000", "http://localhost:3009"],
            &["http://localhost:3010"],
        );
        check("http://10.0.0.0/8:80", &["http://10.1.2.3"], &["http://11.1.2.3", "http://ten.example"]);
    }

    #[test]
    fn a_password_does_not_confuse_the_check() {
        check(
            "redis://db.example:6379",
            &["redis://user:p@ss@db.example"],
            &[
                "redis://db.example:6379@evil.example",
                "redis://evil.example#@db.example",
                "redis://evil.example?@db.example",
            ],
        );
    }

    #[test]
    fn the_application_itself_is_reached_only_where_it_is_granted() {
        assert!(granted(&["http://self"]).unwrap().allows_self());
        assert!(granted(&["*://*:*"]).unwrap().allows_self());
        assert!(!granted(&["http://example.com"]).unwrap().allows_self());
        assert!(!granted(&["http://self"]).unwrap().allows("http://self", "http"));
    }

    #[test]
    fn chaining_wildcards_stand_for_the_components_of_the_application() {
        check(
            "http://*.spin.internal",
            &["http://order.spin.internal", "http://pay.spin.internal/pays"],
            &["http://other.spin.internal", "https://pay.spin.internal"],
        );
        assert_eq!(chained_component("http://pay.spin.internal").as_deref(), Some("pay"));
        assert_eq!(chained_component("http://*.spin.internal").as_deref(), Some("*"));
        assert_eq!(chained_component("http://example.com"), None);
        assert_eq!(chaining_target("pay.spin.internal:80"), Some("pay"));
    }

    #[test]
    fn an_entry_that_cannot_be_understood_is_refused_with_the_reason() {
        for (entry, reason) in [
            ("example.com", "has no scheme"),
            ("*", "has no scheme"),
            ("", "has no scheme"),
            ("http://example.com/path", "has a path"),
            ("http://example.com:80/path", "has a path"),
            ("http://example.com:eighty", "not a number"),
            ("http://*.*.com", "`*` may stand only"),
            ("http://ex*mple.com", "`*` may stand only"),
            ("ftp://example.com", "names no port"),
            ("ht+tp://example.com", "the scheme `ht+tp`"),
            ("http://{a,b}", "lists of hosts"),
            ("http://{{ unknown }}", "not declared under [variables]"),
        ] {
            let refusal = format!("{:#}", granted(&[entry]).unwrap_err());
            assert!(
                refusal.contains(reason) && refusal.contains(&format!("`{entry}`")),
                "{entry}: {refusal}"
            );
        }
    }

    #[test]
    fn a_variable_can_switch_an_address_off() {
        let declared = toml::from_str("host = { default = '' }").unwrap();
        let variables = Variables::settle(&declared, &crate::variables::Sources::default()).unwrap();
        for entry in ["{{ host }}", "http://{{ host }}", "https://{{ host }}"] {
            let hosts = AllowedHosts::parse(&[entry.to_owned()], &variables, &[]).unwrap();
            assert!(!hosts.allows("http://example.com", "http") && !hosts.allows_self(), "{entry}");
        }
    }

    #[test]
    fn no_refusal_shows_what_a_variable_made_of_an_entry() {
        for value in [
            "redis://:hunter2@h:6379",
            "redis://h:6379/hunter2",
            "redis://hunter2 x",
            "hunter2",
            "redis://h:hunter2",
        ] {
            let declared = toml::from_str(&format!("url = {{ default = '{value}' }}")).unwrap();
            let variables = Variables::settle(&declared, &crate::variables::Sources::default()).unwrap();
            for entry in ["{{ url }}", "{{url}}:1", "redis://{{ url }}"] {
                let refused = AllowedHosts::parse(&[entry.to_owned()], &variables, &[]);
                let Err(refusal) = refused else { continue };
                let refusal = format!("{refusal:#}");
                assert!(!refusal.contains("hunter2") && refusal.contains(&format!("`{entry}`")), "{refusal}");
            }
        }
    }

    #[test]
    fn no_refusal_shows_a_password_that_is_written_in_an_entry() {
        for entry in [
            "redis://:hunter2@h:6379",
            "redis://user:hunter2@h",
            "redis://hunter2@h:6379",
            "redis://:hunter2://@h",
            "redis://:hunter2@{{ unknown }}",
            "redis://:hunter2@{{ unknown",
            ":hunter2@h",
        ] {
            let refusal = format!("{:#}", granted(&[entry]).unwrap_err());
            assert!(refusal.contains("@") && !refusal.contains("hunter2"), "{entry}: {refusal}");
        }
    }

    #[test]
    fn a_redis_with_a_password_and_a_number_is_granted_by_its_address() {
        for scheme in ["redis", "rediss"] {
            let hosts = granted(&[&format!("{scheme}://db.example:6380")]).unwrap();
            assert!(hosts.allows(&format!("{scheme}://user:p%40ss@db.example:6380/3"), "redis"));
            assert!(!hosts.allows(&format!("{scheme}://user:p%40ss@db.example:6381/3"), "redis"));
        }
    }

    #[test]
    fn addresses_of_six_are_understood_without_a_port_and_in_networks() {
        check("http://[::1]", &["http://[::1]"], &["http://[::1]:81"]);
        check("http://fd00::/8", &["http://[fd12::1]"], &["http://[fe80::1]", "http://10.0.0.1"]);
    }
}
