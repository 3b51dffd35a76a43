//! TLS to a server: with the certificates of the machine, and one more where a component brings it.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_postgres::{CancelToken, Config, NoTls, config::SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Error, refused};

/// The longest certificate text, since the host keeps it.
const BYTES: usize = 64 << 10;

/// The certificates of the machine, read once. Those that cannot be read are as good as not there.
static MACHINE: LazyLock<RootCertStore> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
});

/// Whom a component trusts besides the machine's authorities: a certificate in PEM.
pub(super) fn check_root(certificate: &str) -> Result<(), Error> {
    let invalid = || Error::Other("invalid root certificate: one in PEM is wanted".to_owned());
    if certificate.len() > BYTES {
        return Err(invalid());
    }
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| invalid())?;
    RootCertStore::empty().add(certificate).map_err(|_| invalid())
}

/// How connections to one server are protected.
#[derive(Clone)]
pub(super) enum Tls {
    Off,
    On(MakeRustlsConnect),
}

impl Tls {
    /// What an address asks for; `root` has been [checked](check_root).
    pub(super) fn new(config: &Config, root: Option<&str>) -> Result<Self, Error> {
        if config.get_ssl_mode() == SslMode::Disable {
            return Ok(Self::Off);
        }
        let mut roots = MACHINE.clone();
        roots.add_parsable_certificates(
            root.and_then(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).ok()),
        );
        // The cryptography is named, since there is no knowing what else is linked into the process.
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self::On(MakeRustlsConnect::new(client)))
    }

    /// Asks the server to end what it does for a connection.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        match self {
            Self::Off => token.cancel_query(NoTls).await,
            Self::On(tls) => token.cancel_query(tls.clone()).await,
        }
    }
}
