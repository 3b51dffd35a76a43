//! A PostgreSQL for the stores of one system: a database on the server that the tests of this process share, or a server of
//! its own, which can be brought to harm.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use servers::PostgresServer;
use store::native::{Address, Store};
use xtask::postgres_url::PostgresUrl;

/// What a server of one's own is set to: a disk that crashes with the machine is no concern of these tests.
const SETTINGS: [&str; 2] = ["fsync=off", "max_connections=800"];

/// A database that is there for as long as this value lives.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    server: Server,
}

#[derive(Debug)]
enum Server {
    /// With the name of the database.
    Shared(String),
    /// None while it is away.
    Own(Option<PostgresServer>, PathBuf),
}

impl Postgres {
    /// An empty database on the server that the tests of this process share.
    pub fn shared() -> Result<Self> {
        static DATABASES: AtomicUsize = AtomicUsize::new(0);
        let name = format!("system_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let server = PostgresServer::shared()?;
        connect(&server.url())?.run(&format!("CREATE DATABASE {name}"), &[])?;
        Ok(Self { url: server.database(&name), server: Server::Shared(name) })
    }

    /// A server of its own, which keeps everything in `folder`.
    pub fn own(folder: &Path) -> Result<Self> {
        let server = PostgresServer::start(folder, &SETTINGS)?;
        Ok(Self { url: server.url(), server: Server::Own(Some(server), folder.to_owned()) })
    }

    /// Its address, the same after a restart.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The variables of the application by which every store is in it, the secret ones included.
    pub fn variables(&self) -> Result<Vec<(String, String)>> {
        let url = PostgresUrl::parse(&self.url)?;
        let (name, address) = url.grant();
        let secrets = url.secrets().map(|(name, value)| (name, value.to_owned()));
        Ok(secrets.chain([(name.to_owned(), address.to_owned())]).collect())
    }

    /// A connection of ours to it, beside the system.
    pub fn connect(&self) -> Result<Store> {
        connect(&self.url)
    }

    /// The server of its own ends, as an operator would end it.
    pub fn stop(&mut self) -> Result<()> {
        self.own_server()?.take().context("it is away already")?.stop()
    }

    /// It is there again, on the same port and with what it had.
    pub fn start(&mut self) -> Result<()> {
        let url = self.url.clone();
        let Server::Own(server, folder) = &mut self.server else { return Ok(()) };
        let started = PostgresServer::start(folder, &SETTINGS)?;
        ensure!(started.url() == url, "its port was taken meanwhile");
        *server = Some(started);
        Ok(())
    }

    /// Every connection to it but this one is cut; gives back how many were.
    pub fn cut_connections(&self) -> Result<i64> {
        Ok(self.connect()?.number(CUT)?)
    }

    fn own_server(&mut self) -> Result<&mut Option<PostgresServer>> {
        match &mut self.server {
            Server::Own(server, _) => Ok(server),
            Server::Shared(_) => anyhow::bail!("the server is others' as well"),
        }
    }
}

const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Server::Shared(name) = &self.server {
            let dropped = PostgresServer::shared().and_then(|server| {
                Ok(connect(&server.url())?.run(&format!("DROP DATABASE {name} WITH (FORCE)"), &[])?)
            });
            // What is left goes with the server.
            drop(dropped);
        }
    }
}

/// Of no store: to look at the server, or to bring harm to it.
pub(crate) fn connect(url: &str) -> Result<Store> {
    Ok(Address::of("none", url).connect()?)
}
