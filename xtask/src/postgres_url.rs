//! The address of a PostgreSQL: one URL for people, and the variables by which the application has its stores there.
//!
//! Spin grants a component a host and a port, so these are given apart; the URL itself, with its password, is a secret of
//! each store.

use std::fmt;

use anyhow::{Context, Result, bail, ensure};
use url::Url;

/// The application's stores, by their labels. Each has a variable for its address.
pub const LABELS: [&str; 8] =
    ["order", "pay", "gateway", "reservation", "notification", "inbox", "information", "member"];

const SHAPE: &str = "it must look like postgres://user:password@127.0.0.1:5432/database";

const DEFAULT_PORT: u16 = 5432;

/// The name of the variable that has the address of the store under a label.
#[must_use]
pub fn variable(label: &str) -> String {
    format!("{label}_database_url")
}

/// An address in its parts. What is shown of it has no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl {
    /// All of it, for a client.
    url: String,
    /// Host and port.
    address: String,
    /// With the `/`; or empty.
    database: String,
}

impl PostgresUrl {
    /// Reads `postgres://[user[:password]@]host[:port][/database][?parameters]`. A refusal repeats nothing of the text,
    /// which may hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let url = Url::parse(text).context(SHAPE)?;
        ensure!(matches!(url.scheme(), "postgres" | "postgresql"), SHAPE);
        let host = url.host_str().filter(|host| !host.is_empty()).context("it names no host")?;
        ensure!(
            !host.contains(['%', ',']),
            "it must name one host, and no socket of the machine: that is what a component can be granted"
        );
        ensure!(
            url.fragment().is_none(),
            "it has a `#`: in a password that is written %23, and elsewhere it means nothing here"
        );
        for (name, value) in url.query_pairs() {
            match &*name {
                "host" | "hostaddr" | "port" => bail!("it names a host or a port after the `?`, too"),
                "sslmode" if !matches!(&*value, "disable" | "prefer" | "require") => {
                    bail!(
                        "its sslmode must be disable, prefer or require; the last one checks the certificate"
                    )
                }
                "sslrootcert" | "sslcert" | "sslkey" => bail!(
                    "it names a file with a certificate, which a component cannot read: the host trusts the \
                     authorities that this machine trusts"
                ),
                _ => {}
            }
        }
        let address = format!("{host}:{}", url.port().unwrap_or(DEFAULT_PORT));
        let database = url.path().trim_end_matches('/').to_owned();
        Ok(Self { address, database, url: text.to_owned() })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The application's variable that grants the host and the port.
    #[must_use]
    pub fn grant(&self) -> (&'static str, &str) {
        ("postgres_address", &self.address)
    }

    /// The application's secret variables, by name: every store is in this database, each in a schema of its own.
    pub fn secrets(&self) -> impl Iterator<Item = (String, &str)> {
        LABELS.into_iter().map(|label| (variable(label), self.url.as_str()))
    }

    /// All of it, for a client.
    #[must_use]
    pub fn with_credentials(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, database, .. } = self;
        write!(f, "postgres://{address}{database}")
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, address: &str, shown: &str) {
        let url = PostgresUrl::parse(text).unwrap();
        assert_eq!(url.grant(), ("postgres_address", address), "{text}");
        assert_eq!((format!("{url}"), format!("{url:?}")), (shown.to_owned(), shown.to_owned()), "{text}");
        assert_eq!(url.with_credentials(), text.trim());
    }

    #[test]
    fn a_component_is_granted_host_and_port_and_what_is_shown_has_no_credentials() {
        check("postgres://db", "db:5432", "postgres://db:5432");
        check(
            " postgresql://u:hunter2@db.example:5433/d\n",
            "db.example:5433",
            "postgres://db.example:5433/d",
        );
        check("postgres://u@[::1]/d?sslmode=require", "[::1]:5432", "postgres://[::1]:5432/d");
        check("postgres://u:p%40ss%2F@127.0.0.1:1/", "127.0.0.1:1", "postgres://127.0.0.1:1");
    }

    #[test]
    fn every_store_of_the_application_gets_the_address_as_a_secret() {
        let manifest = include_str!("../../spin.toml");
        let url = PostgresUrl::parse("postgres://u:p@db/d").unwrap();
        let secrets: Vec<_> = url.secrets().collect();
        assert_eq!(
            secrets.len(),
            manifest.matches("_database_url = { default = \"\", secret = true }").count()
        );
        for (name, value) in secrets {
            assert!(manifest.contains(&format!("\n{name} = {{ default = \"\", secret = true }}")), "{name}");
            assert_eq!(value, "postgres://u:p@db/d");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, reason) in [
            ("", "must look like"),
            ("hunter2", "must look like"),
            ("host=db password=hunter2", "must look like"),
            ("mysql://u:hunter2@db/d", "must look like"),
            ("postgres://u:hunter2/x@db", "must look like"),
            ("postgres:///hunter2", "names no host"),
            ("postgres://u:p@%2Fhunter2/d", "no socket"),
            ("postgres://u:hunter2@a,b/d", "one host"),
            ("postgres://u:hunter2@a:1,b:2/d", "must look like"),
            ("postgres://u:hunter2@db/d#x", "%23"),
            ("postgres://u:p@db/d?host=hunter2", "after the `?`"),
            ("postgres://u:p@db/d?sslmode=verify-full", "disable, prefer or require"),
            ("postgres://u:p@db/d?sslrootcert=hunter2", "trusts"),
            ("postgres://db:99999", "port"),
        ] {
            let refusal = format!("{:#}", PostgresUrl::parse(text).unwrap_err());
            assert!(refusal.contains(reason), "{text}: {refusal}");
            assert!(!refusal.contains("hunter2"), "{text}: {refusal}");
        }
    }
}
