//! The address of a Redis: one URL for people, four variables for the application.
//!
//! Spin grants a component a scheme, a host and a port, and refuses an entry that has more. So what else an address
//! has is given apart, and the password is in a variable that is secret.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use redis::IntoConnectionInfo as _;
use url::Url;

/// The variable that is secret.
pub const CREDENTIALS: &str = "redis_credentials";

const SHAPE: &str = "it must look like redis://127.0.0.1:6379 or, with all its parts, rediss://user:password@127.0.0.1:6379/3";

const DEFAULT_PORT: u16 = 6379;

/// An address in its parts. What is shown of it has no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    scheme: String,
    /// Percent-encoded, and with the `@`; or empty.
    credentials: String,
    /// Host and port.
    address: String,
    /// With the `/`; or empty.
    database: String,
}

impl RedisUrl {
    /// Reads `redis://[[user]:password@]host[:port][/database]`; with `rediss` it is spoken to in TLS. A refusal repeats
    /// nothing of the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text).context(SHAPE)?;
        ensure!(matches!(url.scheme(), "redis" | "rediss"), SHAPE);
        let host = url.host_str().filter(|host| !host.is_empty()).context("it names no host")?;
        let credentials = match (url.username(), url.password().unwrap_or_default()) {
            ("", "") => String::new(),
            // Redis would not be told the user either.
            (_, "") => bail!("it has a user and no password; a password alone is written `:password@`"),
            (user, password) => format!("{user}:{password}@"),
        };
        ensure!(
            url.query().is_none() && url.fragment().is_none(),
            "it has a `?` or a `#`: in a password these are written %3F and %23, and elsewhere they mean nothing here"
        );
        let database = match url.path().trim_matches('/') {
            "" => String::new(),
            number => {
                let number = number.parse::<u32>();
                format!("/{}", number.context("what follows the `/` must be the number of a database")?)
            }
        };
        let address = format!("{host}:{}", url.port().unwrap_or(DEFAULT_PORT));
        let parts = Self { scheme: url.scheme().to_owned(), credentials, address, database };
        // What only a client knows to refuse is refused now as well.
        parts.with_credentials().into_connection_info()?;
        Ok(parts)
    }

    /// The application's variables, by name.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, &str); 4] {
        [
            ("redis_scheme", &self.scheme),
            ("redis_address", &self.address),
            (CREDENTIALS, &self.credentials),
            ("redis_database", &self.database),
        ]
    }

    /// `user:password@`, percent-encoded, or nothing.
    #[must_use]
    pub fn credentials(&self) -> &str {
        &self.credentials
    }

    /// All of it, for a client.
    #[must_use]
    pub fn with_credentials(&self) -> String {
        let Self { scheme, credentials, address, database } = self;
        format!("{scheme}://{credentials}{address}{database}")
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, address, database, .. } = self;
        write!(f, "{scheme}://{address}{database}")
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scheme, address, credentials and database; or the refusal.
    fn parts(text: &str) -> Result<[String; 4], String> {
        let url = RedisUrl::parse(text).map_err(|refusal| format!("{refusal:#}"))?;
        Ok(url.variables().map(|(_, value)| value.to_owned()))
    }

    #[track_caller]
    fn check(text: &str, expected: [&str; 4]) {
        assert_eq!(parts(text), Ok(expected.map(str::to_owned)), "{text}");
        let again = RedisUrl::parse(text).unwrap().with_credentials();
        assert_eq!(parts(&again), parts(text), "{text} put together again");
    }

    #[test]
    fn an_address_has_four_parts_of_which_most_may_be_missing() {
        check("redis://127.0.0.1:6379", ["redis", "127.0.0.1:6379", "", ""]);
        check("redis://redis", ["redis", "redis:6379", "", ""]);
        check("redis://redis:", ["redis", "redis:6379", "", ""]);
        check("redis://redis/", ["redis", "redis:6379", "", ""]);
        check("redis://redis/3", ["redis", "redis:6379", "", "/3"]);
        check("redis://redis:1/03/", ["redis", "redis:1", "", "/3"]);
        check("REDISS://db.example:6380/0", ["rediss", "db.example:6380", "", "/0"]);
        check("redis://:@redis", ["redis", "redis:6379", "", ""]);
        check("redis://:pw@redis", ["redis", "redis:6379", ":pw@", ""]);
        check("rediss://u:pw@db.example/3", ["rediss", "db.example:6379", "u:pw@", "/3"]);
    }

    #[test]
    fn an_address_of_six_keeps_its_brackets() {
        check("redis://[::1]", ["redis", "[::1]:6379", "", ""]);
        check("rediss://u:pw@[2001:db8::1]:6380/3", ["rediss", "[2001:db8::1]:6380", "u:pw@", "/3"]);
    }

    #[test]
    fn credentials_stay_percent_encoded_and_odd_characters_become_so() {
        check("redis://u%40x:p%2F%3A%23%3F%25@h", ["redis", "h:6379", "u%40x:p%2F%3A%23%3F%25@", ""]);
        check("redis://:p@ss:w|rd@h", ["redis", "h:6379", ":p%40ss%3Aw%7Crd@", ""]);
        check("redis://:{{ pw }}@h", ["redis", "h:6379", ":%7B%7B%20pw%20%7D%7D@", ""]);
        check("redis://:50%off@h", ["redis", "h:6379", ":50%off@", ""]);
        check("redis://:비밀@h", ["redis", "h:6379", ":%EB%B9%84%EB%B0%80@", ""]);
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, reason) in [
            ("", "must look like"),
            ("hunter2", "must look like"),
            ("127.0.0.1:6379", "must look like"),
            ("hunter2:6379", "must look like"),
            ("http://:hunter2@h", "must look like"),
            ("unix:///hunter2", "must look like"),
            ("redis://", "names no host"),
            ("redis:///3", "names no host"),
            ("redis:hunter2", "names no host"),
            ("redis://:hunter2@", "must look like"),
            ("redis://hunter2@h", "no password"),
            ("redis://hunter2:@h", "no password"),
            ("redis://:hunter2/x@h", "must look like"),
            ("redis://:6379?hunter2", "must look like"),
            ("redis://h/hunter2", "number of a database"),
            ("redis://h/-1", "number of a database"),
            ("redis://h/1/2", "number of a database"),
            ("redis://h?protocol=hunter2", "%3F"),
            ("rediss://h#insecure", "%23"),
            ("redis://:hunter2%FF@h", "UTF-8"),
            ("redis://0.0.0.0", "wildcard"),
            ("redis://h:99999", "port"),
        ] {
            let refusal = parts(text).unwrap_err();
            assert!(refusal.contains(reason), "{text}: {refusal}");
            assert!(!refusal.contains("hunter2"), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_shown_has_no_credentials() {
        let url = RedisUrl::parse("rediss://user:hunter2@db.example/3").unwrap();
        assert_eq!(format!("{url} {url:?}"), "rediss://db.example:6379/3 rediss://db.example:6379/3");
        assert_eq!(url.with_credentials(), "rediss://user:hunter2@db.example:6379/3");
    }
}
