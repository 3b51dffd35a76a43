//! The whole system as it would be deployed: a process per context, crews of further workers, Redis, the way to `pay`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use xtask::workspace;

use super::log::Log;
use super::member::{Member, Start};
use super::proxy::Proxy;
use crate::api::Api;
use crate::ground::CONTEXTS;

/// The workers of every context, once more, in one process each.
const CREWS: [(&str, &[&str]); 2] = [
    (
        "crew-1",
        &["order-worker", "pay-worker", "reservation-worker", "notification-worker", "information-worker"],
    ),
    (
        "crew-2",
        &["order-worker", "pay-worker", "reservation-worker", "notification-worker", "information-worker"],
    ),
];

/// Ports below those that the kernel gives to outgoing connections: a process that is down keeps its own.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// How a system is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept: stores, logs, the event log.
    pub folder: PathBuf,
    /// The application's manifest: the released components, or those with fault points.
    pub manifest: PathBuf,
    /// How many further processes there are with a worker of every context: none, one or two.
    pub crews: usize,
    /// The guards that are not in force, separated by commas.
    pub without: Option<String>,
    /// Variables of the application.
    pub variables: Vec<(String, String)>,
}

impl Settings {
    /// In this folder, which is emptied first, with the components that have fault points.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, manifest: workspace::fault_manifest(), crews: 2, without: None, variables: Vec::new() }
    }

    /// With a variable of the application set.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }
}

/// A system that runs for as long as this value lives.
#[derive(Debug)]
pub struct System {
    // In this order they end.
    members: Vec<(&'static str, Mutex<Member>)>,
    proxy: Proxy,
    log: Mutex<Log>,
    redis_url: String,
    settings: Settings,
    orders: Api,
    courses: Api,
}

impl System {
    /// Starts everything, and waits until it serves.
    pub fn start(settings: Settings) -> Result<Self> {
        if settings.folder.exists() {
            fs::remove_dir_all(&settings.folder).context("what an earlier run left cannot be deleted")?;
        }
        fs::create_dir_all(settings.folder.join("logs"))?;
        let log = Log::start(&settings.folder.join("redis"), free_port()?)?;
        let redis_url = log.url().to_owned();
        let pay_port = free_port()?;
        let proxy = Proxy::start(free_port()?, (Ipv4Addr::LOCALHOST, pay_port).into())?;

        let mut members = Vec::new();
        let roles = CONTEXTS.iter().map(|context| (*context, contexts_components(context)));
        let crews = CREWS.iter().take(settings.crews).map(|(name, components)| (*name, components.to_vec()));
        for (name, components) in roles.chain(crews) {
            let port = if name == "pay" { pay_port } else { free_port()? };
            let own = [
                ("redis_url", redis_url.clone()),
                ("pay_url", proxy.url()),
                ("application_url", format!("http://127.0.0.1:{port}")),
            ];
            let own = own.map(|(name, value)| (name.to_owned(), value));
            let variables = own.into_iter().chain(settings.variables.clone()).collect();
            members.push((name, Mutex::new(Member::new(name, &components, port, &settings, variables))));
        }
        let address = |name: &str| {
            members.iter().find(|(known, _)| *known == name).map(|(_, member)| lock(member).address())
        };
        let orders = Api::with_patience(address("order").context("no order")?, super::client::PATIENCE);
        let courses =
            Api::with_patience(address("reservation").context("no reservation")?, super::client::PATIENCE);
        let system = Self { members, proxy, log: Mutex::new(log), redis_url, settings, orders, courses };
        system.start_members()?;
        Ok(system)
    }

    fn start_members(&self) -> Result<()> {
        thread::scope(|scope| {
            let starting: Vec<_> = self
                .members
                .iter()
                .map(|(_, member)| scope.spawn(|| lock(member).start(&Start::default())))
                .collect();
            starting.into_iter().try_for_each(|start| start.join().unwrap_or_else(|_| Ok(())))
        })
    }

    /// Where everything is kept.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.settings.folder
    }

    /// The names of the processes.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.members.iter().map(|(name, _)| *name)
    }

    /// A process, for as long as nobody else is to touch it.
    pub fn member(&self, name: &str) -> Result<MutexGuard<'_, Member>> {
        let member = self.members.iter().find(|(known, _)| *known == name);
        Ok(lock(&member.with_context(|| format!("there is no {name}"))?.1))
    }

    /// Redis and the tick, for as long as nobody else is to touch them.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Where Redis is.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// The way to `pay`.
    #[must_use]
    pub fn proxy(&self) -> &Proxy {
        &self.proxy
    }

    /// Where orders are taken.
    #[must_use]
    pub fn orders(&self) -> &Api {
        &self.orders
    }

    /// Where courses and reservations are managed.
    #[must_use]
    pub fn courses(&self) -> &Api {
        &self.courses
    }

    /// Has every process run that ended by itself, and says which did.
    pub fn revive(&self) -> Result<Vec<String>> {
        let mut stories = Vec::new();
        for (_, member) in &self.members {
            stories.extend(lock(member).revive()?);
        }
        Ok(stories)
    }
}

fn contexts_components(context: &'static str) -> Vec<&'static str> {
    match context {
        "order" => vec!["order", "order-worker"],
        "pay" => vec!["pay", "pay-worker"],
        "reservation" => vec!["reservation", "reservation-worker"],
        "notification" => vec!["notification", "notification-worker"],
        _ => vec!["information", "information-worker"],
    }
}

/// What a thread that panicked has left is still a process to be ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody listens on, and that no outgoing connection is given meanwhile.
fn free_port() -> Result<u16> {
    let mut any = fastrand::Rng::new();
    (0..1_000)
        .map(|_| any.u16(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("there is no free port")
}
