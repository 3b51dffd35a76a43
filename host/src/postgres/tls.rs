//! TLS to a server: with the certificates of the machine, and one more where a component brings it.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio_postgres::{CancelToken, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{Error, refused};

/// The longest certificate text, since the host keeps it.
const BYTES: usize = 64 << 10;

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
        let tls = postgres_connect::tls(config, root).map_err(|error| refused(error.to_string()))?;
        Ok(tls.map_or(Self::Off, Self::On))
    }

    /// Asks the server to end what it does for a connection.
    pub(super) async fn cancel(&self, token: CancelToken) -> Result<(), tokio_postgres::Error> {
        match self {
            Self::Off => token.cancel_query(NoTls).await,
            Self::On(tls) => token.cancel_query(tls.clone()).await,
        }
    }
}
