//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §13).

use crate::{Problem, Request};
use http::StatusCode;

impl Request {
    /// 412 when the client's `If-Match` names another state than `etag`, the present one (without its quotes).
    pub fn check_if_match(&self, etag: &str) -> Result<(), Problem> {
        let Some(wanted) = self.header("if-match") else { return Ok(()) };
        // Strong comparison: a weak tag never matches.
        if tags(wanted).any(|tag| tag == "*" || tag == format!("\"{etag}\"")) {
            return Ok(());
        }
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", "It has changed meanwhile")
            .detail(format!("The present ETag is \"{etag}\", and If-Match asks for {wanted}."))
            .next("Read it again, decide again, and send the new ETag in If-Match."))
    }

    /// Whether the client has the present state already (`If-None-Match`).
    pub fn has_already(&self, etag: &str) -> bool {
        // Weak comparison: a proxy may have weakened the tag on the way.
        let matches =
            |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == format!("\"{etag}\"");
        self.header("if-none-match").is_some_and(|wanted| tags(wanted).any(matches))
    }
}

fn tags(header: &str) -> impl Iterator<Item = &str> {
    header.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use crate::request::tests::request;

    #[test]
    fn if_match_lets_only_the_present_state_be_changed() {
        let check = |value: &str| request("/", &[("if-match", value)], "").check_if_match("3");
        assert!(check("\"3\"").is_ok());
        assert!(check("\"2\", \"3\"").is_ok());
        assert!(check("*").is_ok());
        assert!(check("\"2\"").is_err());
        assert!(check("W/\"3\"").is_err());
        assert!(request("/", &[], "").check_if_match("3").is_ok());
    }

    #[test]
    fn if_none_match_spares_what_the_client_has() {
        assert!(request("/", &[("if-none-match", "W/\"3\"")], "").has_already("3"));
        assert!(!request("/", &[("if-none-match", "\"4\"")], "").has_already("3"));
        assert!(!request("/", &[], "").has_already("3"));
    }
}
