//! How a native program comes to a PostgreSQL: what its address asks for, TLS, and why it was not let in.
//!
//! The embedded host and the operators' commands share it, so that an address means the same to both. An address holds a
//! password, and a mistake in it can put any part of that anywhere. So no message here shows any part of it.

use std::error::Error as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long connecting may take before the server counts as away, where the address does not say.
pub const CONNECTING: Duration = Duration::from_secs(5);

/// After how much silence the other end is asked whether it is still there, how often, and how many times: as for
/// a Redis, a connection whose other end is gone without a word breaks half a minute later at most.
pub const SILENCE: Duration = Duration::from_secs(10);
const ASKED_AGAIN: Duration = Duration::from_secs(5);
const TIMES: u32 = 4;

/// The certificates of the machine, read once. Those that cannot be read are as good as not there.
static MACHINE: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// Reads an address: a URL (`postgres://…`) or a connection string (`host=… dbname=…`), as libpq has them. A server that
/// is away, or gone without a word, is noticed, unless the address says how.
///
/// None where it is no address, or asks for what there is not: `sslmode` is `disable`, `prefer` or `require`.
pub fn config(address: &str) -> Option<Config> {
    let mut config = address.parse::<Config>().ok()?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECTING);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE + ASKED_AGAIN * TIMES);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_idle(SILENCE).keepalives_interval(ASKED_AGAIN).keepalives_retries(TIMES);
    }
    Some(config)
}

/// The TLS that an address asks for; none where it wants none. The server must have a certificate of one of the machine's
/// authorities, or of `root`, one in PEM.
pub fn tls(config: &Config, root: Option<&str>) -> Result<Option<MakeRustlsConnect>, rustls::Error> {
    if config.get_ssl_mode() == SslMode::Disable {
        return Ok(None);
    }
    let mut roots = MACHINE.clone();
    roots.add_parsable_certificates(root.and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok()));
    // The cryptography is named, since there is no knowing what else is linked into the process.
    let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(MakeRustlsConnect::new(client)))
}

/// Why there is no connection. What a server says then names the user and the database, so it is told in our words.
pub fn why_not_connected(error: &Error) -> String {
    if let Some(said) = error.as_db_error() {
        let code = said.code().code();
        let why = match code.get(..2) {
            Some("28") => "it does not accept the user, the password, or where they come from",
            Some("3D") => "it has no such database",
            Some("53") => "it has no room for another connection",
            Some("57") => "it is starting, or stopping",
            _ => "it does not let this connection in",
        };
        return format!("the server refused: {why} (SQLSTATE {code})");
    }
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_gone_without_a_word_is_noticed_unless_the_address_says_how() {
        let told = config("host=h").unwrap();
        assert_eq!(told.get_connect_timeout(), Some(&CONNECTING));
        assert_eq!(told.get_keepalives_idle(), SILENCE);
        let told = config("host=h connect_timeout=9 keepalives_idle=77 keepalives_interval=7").unwrap();
        assert_eq!(told.get_connect_timeout(), Some(&Duration::from_secs(9)));
        assert_eq!(told.get_keepalives_idle(), Duration::from_secs(77));
    }

    #[test]
    fn tls_is_what_the_address_asks_for() {
        let wants =
            |mode: &str| tls(&config(&format!("postgres://h/d?sslmode={mode}")).unwrap(), None).unwrap();
        assert!(wants("disable").is_none());
        assert!(wants("prefer").is_some() && wants("require").is_some());
        assert!(config("postgres://h/d?sslmode=allow").is_none() && config("hunter2").is_none());
    }
}
