//! The whole system as it would be deployed: a process per context, crews of further workers, Redis, the way to `pay`.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result};
use xtask::redis_url::RedisUrl;
use xtask::workspace;

use super::database::Database;
use super::log::Log;
use super::member::{Member, Start};
use super::proxy::Proxy;
use crate::api::Api;
use crate::ground::CONTEXTS;
use crate::stores::State;

/// How the components are spread over processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A process per context, and so many more with a worker of every context.
    Spread {
        /// How many: none, one or two.
        crews: usize,
    },
    /// Everything in one process, called `all`.
    Together,
}

/// Their names, where there are any.
const CREWS: [&str; 2] = ["crew-1", "crew-2"];

impl Shape {
    /// The processes, each with its components.
    fn members(self) -> Vec<(&'static str, Vec<String>)> {
        let worker = |context: &str| format!("{context}-worker");
        match self {
            Self::Together => vec![("all", Vec::new())],
            Self::Spread { crews } => {
                let roles = CONTEXTS.map(|context| (context, vec![context.to_owned(), worker(context)]));
                let crews = CREWS.into_iter().take(crews).map(|name| (name, CONTEXTS.map(worker).to_vec()));
                roles.into_iter().chain(crews).collect()
            }
        }
    }

    /// The process that has a context.
    #[must_use]
    pub fn home(self, context: &'static str) -> &'static str {
        if self == Self::Together { "all" } else { context }
    }
}

/// Ports below those that the kernel gives to outgoing connections: a process that is down keeps its own.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// How a system is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where everything is kept: stores, logs, the event log.
    pub folder: PathBuf,
    /// The application's manifest: the released components, or those with fault points.
    pub manifest: PathBuf,
    /// How the components are spread over processes.
    pub shape: Shape,
    /// The guards that are not in force, separated by commas.
    pub without: Option<String>,
    /// Variables of the application.
    pub variables: Vec<(String, String)>,
    /// Whether the stores are on PostgreSQL.
    pub postgres: bool,
}

impl Settings {
    /// In this folder, which is emptied first, with the components that have fault points.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            manifest: workspace::fault_manifest(),
            shape: Shape::Spread { crews: 2 },
            without: None,
            variables: Vec::new(),
            postgres: false,
        }
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
    database: Option<Mutex<Database>>,
    state: State,
    redis_url: String,
    settings: Settings,
    orders: Api,
    courses: Api,
    payments: Api,
    _ports: Ports,
}

impl System {
    /// Starts everything, and waits until it serves.
    pub fn start(settings: Settings) -> Result<Self> {
        if settings.folder.exists() {
            fs::remove_dir_all(&settings.folder).context("what an earlier run left cannot be deleted")?;
        }
        fs::create_dir_all(settings.folder.join("logs"))?;
        let mut ports = Ports::default();
        let log = Log::start(&settings.folder.join("redis"), ports.free()?)?;
        let redis_url = log.url().to_owned();
        let redis_variables = RedisUrl::parse(&redis_url)?;
        let pay_port = ports.free()?;
        let proxy = Proxy::start(ports.free()?, (Ipv4Addr::LOCALHOST, pay_port).into())?;

        let database = match settings.postgres {
            true => Some(Database::start(&settings.folder.join("postgres"), ports.free()?, ports.free()?)?),
            false => None,
        };
        let database_variables = database.as_ref().map(Database::variables).transpose()?.unwrap_or_default();
        let url = database.as_ref().map(|database| database.url().to_owned());
        let state = State::new(settings.folder.clone(), url);

        let mut members = Vec::new();
        let shape = settings.shape;
        for (name, components) in shape.members() {
            let port = if name == shape.home("pay") { pay_port } else { ports.free()? };
            let (pay_url, application_url) = (proxy.url(), format!("http://127.0.0.1:{port}"));
            let own = [("pay_url", pay_url.as_str()), ("application_url", application_url.as_str())];
            let own = redis_variables.variables().into_iter().chain(own);
            let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let variables = own.chain(database_variables.clone()).chain(settings.variables.clone()).collect();
            members.push((name, Mutex::new(Member::new(name, components, port, &settings, variables))));
        }
        let api = |context| {
            let home =
                members.iter().find(|(name, _)| *name == shape.home(context)).context("no such process")?;
            anyhow::Ok(Api::with_patience(lock(&home.1).address(), super::client::PATIENCE))
        };
        let (orders, courses, payments) = (api("order")?, api("reservation")?, api("pay")?);
        let (log, database) = (Mutex::new(log), database.map(Mutex::new));
        let system = Self {
            members,
            proxy,
            log,
            database,
            state,
            redis_url,
            settings,
            orders,
            courses,
            payments,
            _ports: ports,
        };
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

    /// The PostgreSQL of the stores, if they are on one, for as long as nobody else is to touch it.
    pub fn database(&self) -> Option<MutexGuard<'_, Database>> {
        self.database.as_ref().map(lock)
    }

    /// Where the stores are.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
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

    /// Where payments are taken, without the proxy in between.
    #[must_use]
    pub fn payments(&self) -> &Api {
        &self.payments
    }

    /// The process that has a context.
    #[must_use]
    pub fn home(&self, context: &'static str) -> &'static str {
        self.settings.shape.home(context)
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

/// What a thread that panicked has left is still a process to be ended.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ports of one's own, for as long as this value lives. A process that is down does not hold its port; another system that
/// is just being started must not take it. So of each port the UDP side is held, which nobody here has any use for.
#[derive(Debug, Default)]
struct Ports(Vec<UdpSocket>);

impl Ports {
    fn free(&mut self) -> Result<u16> {
        let mut any = fastrand::Rng::new();
        let is_free = |port: u16| {
            let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some((port, held))
        };
        let free = (0..1_000).find_map(|_| is_free(any.u16(PORTS)));
        let (port, held) = free.context("there is no free port")?;
        self.0.push(held);
        Ok(port)
    }
}
