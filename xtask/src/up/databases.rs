//! Where the stores of the system are: SQLite files in the state directory, or PostgreSQL, each by its own variable.

use std::env;
use std::fs;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use servers::PostgresServer;

use crate::postgres_url::{LABELS, PostgresUrl, variable};
use crate::state::write_for_owner;

/// A component has up to 64 connections for each of its stores, and there are fourteen such pairs in a host. Of several
/// hosts not all have as many at once.
const CONNECTIONS: u32 = 1_000;
const CONNECTIONS_OF_EACH: u32 = 500;

/// How long another PostgreSQL may take to be reached.
const REACHED_WITHIN: Duration = Duration::from_secs(5);

/// The prefix of the environment variables that set application variables.
const PREFIX: &str = "SPIN_VARIABLE_";

pub(super) enum Wanted {
    /// None: SQLite files, but where a variable says otherwise.
    Nothing,
    /// A private one.
    Private,
    /// One that is there.
    There(PostgresUrl),
}

/// Refuses what several hosts cannot share: a store that is not on PostgreSQL.
pub(super) fn ensure_shared(wanted: &Wanted, set: &[(String, String)]) -> Result<()> {
    let all = !matches!(wanted, Wanted::Nothing);
    let is_given = |label: &&str| given(label, set).map_or(all, |address| !address.trim().is_empty());
    let files: Vec<_> = LABELS.into_iter().filter(|label| !is_given(label)).collect();
    if files.is_empty() {
        return Ok(());
    }
    bail!(
        "several hosts share their stores, which takes PostgreSQL for every one: give --postgres or --database-url too. \
         Without them these are files: {}",
        files.join(", ")
    )
}

/// The stores, and the private PostgreSQL that they are on, if any.
pub(super) struct Databases {
    server: Option<PostgresServer>,
    url: Option<PostgresUrl>,
    /// The address of each store that is on PostgreSQL.
    addresses: Vec<(&'static str, String)>,
    state: PathBuf,
}

impl Databases {
    /// Starts the private server, if that is wanted, or looks whether the other one is there. `set` are the variables on
    /// our command line: what they say of a store goes before what is wanted for all, and so does the environment.
    pub(super) fn start(wanted: Wanted, hosts: u16, set: &[(String, String)], state: &Path) -> Result<Self> {
        let (server, url) = match wanted {
            Wanted::Nothing => (None, None),
            Wanted::Private => {
                let connections = CONNECTIONS.max(CONNECTIONS_OF_EACH * u32::from(hosts));
                let settings = format!("max_connections={connections}");
                let server = PostgresServer::start(&state.join("postgres"), &[&settings])?;
                let url = PostgresUrl::parse(&server.url())?;
                (Some(server), Some(url))
            }
            Wanted::There(url) => {
                reach(&url)?;
                (None, Some(url))
            }
        };
        let all = url.as_ref().map_or("", PostgresUrl::with_credentials);
        let address = |label: &'static str| {
            let address = given(label, set).unwrap_or_else(|| all.to_owned());
            (!address.trim().is_empty()).then_some((label, address))
        };
        let addresses: Vec<_> = LABELS.into_iter().filter_map(address).collect();
        let databases = Self { server, url, addresses, state: state.to_owned() };
        databases.note()?;
        Ok(databases)
    }

    /// Tells the host. A command line is there for everybody on this machine to see; the environment is not.
    pub(super) fn tell(&self, host: &mut Command) {
        let Some(url) = &self.url else { return };
        let not_set = |name: &str| env::var_os(secret(name)).is_none();
        for (name, value) in url.secrets().filter(|(name, _)| not_set(name)) {
            host.env(secret(&name), value);
        }
        let (name, address) = url.grant();
        if not_set(name) {
            host.env(secret(name), address);
        }
    }

    /// Where they are, without a password.
    pub(super) fn places(&self) -> Vec<(&'static str, String)> {
        let mut places = Vec::new();
        if self.addresses.len() < LABELS.len() {
            places.push(("stores", format!("{}/.spin/*.db", self.state.display())));
        }
        let labels: Vec<_> = self.addresses.iter().map(|(label, _)| *label).collect();
        let whose = if labels.len() == LABELS.len() { "every store".to_owned() } else { labels.join(", ") };
        if let (Some(url), false) = (&self.url, labels.is_empty()) {
            let log = self.server.as_ref().map(|server| format!("; log {}", server.log().display()));
            let log = log.unwrap_or_default();
            places.push(("postgres", format!("{url}   ({whose}, in a schema of its name{log})")));
        }
        places
    }

    /// The private server's process id, if there is one.
    pub(super) fn process_id(&mut self) -> Option<u32> {
        self.server.as_mut().map(|server| server.process().id())
    }

    /// Fails if the private server has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(server) = &mut self.server
            && let Some(status) = server.process().exited()?
        {
            bail!("postgres has ended ({status}; see {}); stopped everything else", server.log().display());
        }
        Ok(())
    }

    /// Ends the private server.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.server.as_mut().map_or(Ok(()), PostgresServer::stop)
    }

    /// Writes down which stores are on PostgreSQL and where, for the commands that an operator runs beside the system. Refused
    /// where a store would change its place unnoticed: all that it keeps would seem to be gone.
    fn note(&self) -> Result<()> {
        let path = self.state.join("database-urls");
        let noted = fs::read_to_string(&path).unwrap_or_default();
        for label in noted.lines().filter_map(|line| line.split(' ').next()) {
            if !self.addresses.iter().any(|(known, _)| *known == label) {
                bail!(
                    "the store `{label}` of this state directory is on PostgreSQL: give --postgres, or the --database-url of \
                     before. Or start over with --fresh, or with another --state-dir"
                );
            }
        }
        if self.addresses.is_empty() {
            return Ok(());
        }
        let lines: String = self.addresses.iter().map(|(label, url)| format!("{label} {url}\n")).collect();
        write_for_owner(&path, &lines)
    }
}

/// What is said of one store: on our command line, else in the environment.
fn given(label: &str, set: &[(String, String)]) -> Option<String> {
    let name = variable(label);
    let given = set.iter().rev().find(|(set, _)| *set == name).map(|(_, value)| value.clone());
    given.or_else(|| env::var(secret(&name)).ok())
}

fn secret(name: &str) -> String {
    format!("{PREFIX}{}", name.to_ascii_uppercase())
}

/// Says at once, and not with every request, that nothing is there.
fn reach(url: &PostgresUrl) -> Result<()> {
    let nobody = || format!("there is no PostgreSQL to be reached at {}", url.address());
    let addresses = url.address().to_socket_addrs().with_context(nobody)?;
    let mut last = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, REACHED_WITHIN) {
            Ok(_) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| anyhow::anyhow!("it has no address"), anyhow::Error::from)).with_context(nobody)
}
