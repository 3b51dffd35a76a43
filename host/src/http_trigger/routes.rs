//! Which component answers a path: Spin's rules.
//!
//! A pattern is made of segments. A plain one stands for itself, `:name` for any one segment,
//! and a last `...` for whatever is left, nothing included. A slash at the end of a path makes
//! no difference. Of several patterns that match, the more specific one wins, from left to
//! right: plain before `:name` before `...`.

use anyhow::{Result, bail, ensure};

/// Paths that the host answers itself.
pub const RESERVED_PREFIX: &str = "/.well-known/spin/";

/// Whether the host itself lives: Kubernetes' name for it.
pub const LIVENESS: &str = "/livez";

/// Whether it should get requests.
pub const READINESS: &str = "/readyz";

/// The routes of an application, each with the index of what it leads to.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// Most specific first.
    routes: Vec<Route>,
}

/// A route and the component it leads to.
#[derive(Clone, Debug)]
pub struct Route {
    /// The pattern as the manifest has it.
    pub pattern: String,
    /// The component that answers.
    pub component: String,
    segments: Vec<Segment>,
}

/// What one part of a pattern matches; in the order of what is tried first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Plain(String),
    Named(String),
    Rest,
}

/// A path that a route matched.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The component that answers.
    pub component: &'a str,
    /// The pattern as the manifest has it.
    pub pattern: &'a str,
    /// What `...` stands for, with its leading slash; empty without `...`.
    pub rest: &'a str,
    /// What each `:name` stands for.
    pub named: Vec<(&'a str, &'a str)>,
}

impl Routes {
    /// Adds a route. One that matches the very paths of another is refused.
    pub fn add(&mut self, pattern: &str, component: &str) -> Result<()> {
        let segments = parse(pattern)?;
        let clash = self.routes.iter().find(|route| same_paths(&route.segments, &segments));
        if let Some(clash) = clash {
            bail!(
                "the routes `{}` of component `{}` and `{pattern}` of component `{component}` clash: they match the same paths",
                clash.pattern,
                clash.component
            );
        }
        self.routes.push(Route { pattern: pattern.to_owned(), component: component.to_owned(), segments });
        self.routes.sort_by_cached_key(|route| specificity(&route.segments));
        Ok(())
    }

    /// The routes, the most specific first.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The most specific route that matches the path.
    pub fn find<'a>(&'a self, path: &'a str) -> Option<Match<'a>> {
        self.routes.iter().find_map(|route| route.matches(path))
    }
}

impl Route {
    /// The path of a route without names: what it matches, or what all that it matches is under.
    pub(super) fn collection(&self) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Plain(text) => path = format!("{path}/{text}"),
                Segment::Named(_) => return None,
                Segment::Rest => break,
            }
        }
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }

    fn matches<'a>(&'a self, path: &'a str) -> Option<Match<'a>> {
        let mut left = path;
        let mut named = Vec::new();
        for segment in &self.segments {
            if *segment == Segment::Rest {
                return Some(Match { component: &self.component, pattern: &self.pattern, rest: left, named });
            }
            let (part, after) = next_segment(left)?;
            match segment {
                Segment::Plain(text) if text == part => {}
                Segment::Named(name) if !part.is_empty() => named.push((name.as_str(), part)),
                _ => return None,
            }
            left = after;
        }
        matches!(left, "" | "/").then_some(Match {
            component: &self.component,
            pattern: &self.pattern,
            rest: "",
            named,
        })
    }
}

/// `/a/b` is `a` and then `/b`.
fn next_segment(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    Some(path.split_at(path.find('/').unwrap_or(path.len())))
}

fn parse(pattern: &str) -> Result<Vec<Segment>> {
    ensure!(
        !format!("{}/", pattern.trim_end_matches('/')).starts_with(RESERVED_PREFIX),
        "the route `{pattern}` is reserved: the host itself answers under `{RESERVED_PREFIX}`"
    );
    ensure!(
        ![LIVENESS, READINESS].contains(&pattern),
        "the route `{pattern}` is reserved: the host itself answers there"
    );
    let trimmed = pattern.strip_prefix('/').unwrap_or(pattern);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    if trimmed.is_empty() {
        return Ok(Vec::new());
    }
    let count = trimmed.split('/').count();
    let mut segments = Vec::with_capacity(count);
    for (index, text) in trimmed.split('/').enumerate() {
        segments.push(match (text, text.strip_prefix(':')) {
            ("..." | "*", _) if index + 1 == count => Segment::Rest,
            ("..." | "*", _) => bail!("the route `{pattern}`: `{text}` may stand only at the end"),
            (_, Some("")) => bail!("the route `{pattern}`: a `:` without a name"),
            (_, Some(name)) => Segment::Named(name.to_owned()),
            ("", None) => bail!("the route `{pattern}` has an empty segment"),
            (text, None) => Segment::Plain(text.to_owned()),
        });
    }
    Ok(segments)
}

/// Compares patterns so that the more specific one comes first. Where one is the beginning of
/// the other, the longer one is more specific, but `...` always comes last.
fn specificity(segments: &[Segment]) -> Vec<(u8, String)> {
    let mut key: Vec<(u8, String)> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Plain(text) => (0, text.clone()),
            Segment::Named(_) => (1, String::new()),
            Segment::Rest => (3, String::new()),
        })
        .collect();
    key.push((2, String::new()));
    key
}

fn same_paths(a: &[Segment], b: &[Segment]) -> bool {
    specificity(a) == specificity(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(patterns: &[&str]) -> Routes {
        let mut routes = Routes::default();
        for pattern in patterns {
            routes.add(pattern, pattern).unwrap();
        }
        routes
    }

    /// Which of the patterns answers the path, and what `...` stands for.
    fn check(patterns: &[&str], path: &str, expected: Option<(&str, &str)>) {
        let routes = routes(patterns);
        let found = routes.find(path).map(|found| (found.pattern, found.rest));
        assert_eq!(found, expected, "{path} among {patterns:?}");
    }

    #[test]
    fn an_exact_route_matches_its_path_only() {
        check(&["/orders"], "/orders", Some(("/orders", "")));
        check(&["/orders"], "/orders/", Some(("/orders", "")));
        check(&["/orders"], "/orders/1", None);
        check(&["/orders"], "/order", None);
        check(&["/"], "/", Some(("/", "")));
        check(&["/"], "/x", None);
    }

    #[test]
    fn a_wildcard_matches_everything_below_and_itself() {
        for (path, rest) in
            [("/orders", ""), ("/orders/", "/"), ("/orders/1", "/1"), ("/orders/1/x/", "/1/x/")]
        {
            check(&["/orders/..."], path, Some(("/orders/...", rest)));
        }
        check(&["/orders/..."], "/ordersx", None);
        check(&["/..."], "/", Some(("/...", "/")));
        check(&["/..."], "/a//b", Some(("/...", "/a//b")));
    }

    #[test]
    fn the_longest_and_most_specific_match_wins() {
        let patterns = ["/...", "/a/...", "/a/:b", "/a/c", "/:x/c", "/a/:b/...", "/a"];
        for (path, expected) in [
            ("/", "/..."),
            ("/zzz", "/..."),
            ("/a", "/a"),
            ("/a/c", "/a/c"),
            ("/a/d", "/a/:b"),
            ("/z/c", "/:x/c"),
            ("/a/d/e", "/a/:b/..."),
            ("/z/d", "/..."),
        ] {
            let routes = routes(&patterns);
            assert_eq!(routes.find(path).map(|found| found.pattern), Some(expected), "{path}");
        }
    }

    #[test]
    fn named_segments_are_captured() {
        let routes = routes(&["/orders/:orderId/payment", "/users/:id/..."]);
        assert_eq!(routes.find("/orders/7/payment").unwrap().named, [("orderId", "7")]);
        let found = routes.find("/users/kim/x").unwrap();
        assert_eq!((found.named, found.rest), (vec![("id", "kim")], "/x"));
        assert!(routes.find("/orders//payment").is_none());
    }

    #[test]
    fn routes_that_match_the_same_paths_clash() {
        for (first, second) in [("/a", "/a"), ("/a", "/a/"), ("/a/...", "/a/*"), ("/:a", "/:b"), ("/", "")] {
            let mut routes = routes(&[first]);
            let refusal = routes.add(second, "other").unwrap_err().to_string();
            assert!(refusal.contains("clash") && refusal.contains("`other`"), "{refusal}");
        }
    }

    #[test]
    fn a_route_that_makes_no_sense_is_refused() {
        for (pattern, reason) in [
            ("/a/.../b", "only at the end"),
            ("/:", "without a name"),
            ("/a//b", "empty segment"),
            ("/.well-known/spin/health", "reserved"),
            ("/.well-known/spin/...", "reserved"),
        ] {
            let refusal = Routes::default().add(pattern, "c").unwrap_err().to_string();
            assert!(refusal.contains(reason), "{pattern}: {refusal}");
        }
    }
}
