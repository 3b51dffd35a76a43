//! Several hosts over one PostgreSQL and one Redis, behind a balancer: as `cargo xtask up --hosts` runs them.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use servers::{PostgresServer, Process};
use tempfile::TempDir;
use xtask::balancer::{Balancer, NOTICED_WITHIN};
use xtask::postgres_url::PostgresUrl;
use xtask::redis_server::RedisServer;
use xtask::redis_url::RedisUrl;
use xtask::supervisor::{Starter, Story, Supervisor};
use xtask::tick::{self, Tick};
use xtask::{shared, workspace};

use crate::api::Api;
use crate::host::set_variable;
use crate::members::OPEN;
use crate::orders;
use crate::quota::Quota;
use crate::stores::{self, State};

/// How long a host may take until it is ready: the first may have to compile the components and makes the stores.
const PATIENCE: Duration = Duration::from_secs(180);

/// How many connections PostgreSQL lets each host have: more than it has ever wanted, though a component may have 64 to each
/// of its stores.
const CONNECTIONS: usize = 500;

/// The table that has one more column in each store of the next release.
const NEXT_COLUMNS: &str =
    "order.orders,pay.pays,reservation.reservations,notification.messages,information.infomations";

/// So many stores have it.
pub const STORES_WITH_A_COLUMN_MORE: i64 = 5;

/// An order that only shows that a course is known to `order`; others are counted from 1.
const FIRST_ORDER: u64 = 1_000_000_000;

/// What a host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// What was built from the present files.
    Present,
    /// The same with faults to be had, and one more column in every store: what a later release would be.
    Next,
}

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Shape {
    hosts: usize,
    variables: Vec<(String, String)>,
    share: Option<f64>,
    settings: Vec<String>,
}

impl Shape {
    /// So many hosts, each with every component.
    #[must_use]
    pub fn of(hosts: usize) -> Self {
        Self {
            hosts,
            variables: Vec::new(),
            share: None,
            settings: vec![format!("max_connections={}", CONNECTIONS * hosts)],
        }
    }

    /// With a variable of the application set.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// Each host gets no more than this share of one processor.
    #[must_use]
    pub fn share(mut self, share: f64) -> Self {
        self.share = Some(share);
        self
    }

    /// PostgreSQL does not wait for the disk: for tests that do not look at times.
    #[must_use]
    pub fn forgetful(mut self) -> Self {
        self.settings.push("fsync=off".to_owned());
        self
    }
}

/// What every host of a cluster is started with.
#[derive(Clone)]
struct Common {
    folder: PathBuf,
    runtime_config: PathBuf,
    redis_url: RedisUrl,
    postgres_url: PostgresUrl,
    shape: Shape,
    quotas: Arc<Vec<Quota>>,
}

/// A cluster that serves for as long as this value lives. It derefs to the [`Api`] before which the balancer stands.
pub struct Cluster {
    // In this order they end: nobody is asked who is gone.
    balancer: Balancer,
    hosts: Supervisor,
    _tick: Tick,
    redis: RedisServer,
    postgres: PostgresServer,
    common: Common,
    state: State,
    stories: Arc<Mutex<Vec<Story>>>,
    api: Api,
    _folder: TempDir,
}

impl Cluster {
    /// Starts everything, and waits until every host is ready.
    pub fn start(shape: Shape) -> Result<Self> {
        // The user that PostgreSQL runs as has to get into it.
        let folder = tempfile::Builder::new().prefix("sugang-cluster-").tempdir()?;
        open_to_others(folder.path())?;
        let settings: Vec<_> = shape.settings.iter().map(String::as_str).collect();
        let postgres = PostgresServer::start(&folder.path().join("postgres"), &settings)?;
        let redis = RedisServer::start(&folder.path().join("redis"), None)?;
        let redis_url = RedisUrl::parse(&redis.url())?;
        let tick = Tick::start(&redis.url(), tick::PERIOD)?;
        let quotas = shape.share.map(|share| (0..shape.hosts).map(|_| Quota::of(share)).collect());
        let common = Common {
            folder: folder.path().to_owned(),
            runtime_config: shared::runtime_config(folder.path(), &redis_url)?,
            redis_url,
            postgres_url: PostgresUrl::parse(&postgres.url())?,
            quotas: Arc::new(quotas.transpose()?.unwrap_or_default()),
            shape,
        };
        let stories = Arc::<Mutex<Vec<Story>>>::default();
        let addresses: Result<Vec<_>> = (0..common.shape.hosts).map(|_| free_address()).collect();
        let hosts = common.supervise(&addresses?, &stories)?;
        let listen = free_address()?;
        let balancer = Balancer::start(&folder.path().join("balancer"), listen, &hosts.addresses(), None)?;
        let api = Api::new(listen);
        let state = State::new(folder.path().to_owned(), Some(postgres.url()));
        Ok(Self {
            balancer,
            hosts,
            _tick: tick,
            redis,
            postgres,
            common,
            state,
            stories,
            api,
            _folder: folder,
        })
    }

    /// Has the components of a release compiled, which is not to be done while somebody waits for a host.
    pub fn compile(release: Release) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let address = free_address()?;
        let log = folder.path().join("host.log");
        let mut command = command(release)?;
        command.arg("--listen").arg(address.to_string()).arg("--state-dir").arg(folder.path());
        command.arg("--runtime-config-file").arg(workspace::runtime_config());
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut host = Process::start("the host", &mut command)?;
        let (api, deadline) = (Api::new(address), Instant::now() + PATIENCE);
        while !api.is_up() {
            ensure!(
                host.exited()?.is_none() && Instant::now() < deadline,
                "the host did not start:\n{}",
                fs::read_to_string(&log)?
            );
            thread::sleep(Duration::from_millis(20));
        }
        host.kill().map(drop)
    }

    /// The hosts, each by itself.
    #[must_use]
    pub fn hosts(&self) -> Vec<Api> {
        self.hosts.addresses().into_iter().map(Api::new).collect()
    }

    /// The process ids of the hosts.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        self.hosts.process_ids()
    }

    /// The process ids of PostgreSQL (the first of its processes), Redis and the balancer.
    pub fn other_process_ids(&mut self) -> [u32; 3] {
        [self.postgres.process().id(), self.redis.process_id(), self.balancer.process().id()]
    }

    /// Where its state and its logs are.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where Redis is.
    #[must_use]
    pub fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// What has happened to hosts so far.
    #[must_use]
    pub fn stories(&self) -> Vec<Story> {
        self.stories.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a host (counted from 0) a signal.
    pub fn signal(&self, host: usize, signal: Signal) -> Result<()> {
        self.hosts.signal(host, signal)
    }

    /// How often a host was started.
    #[must_use]
    pub fn starts(&self, host: usize) -> u32 {
        self.hosts.starts(host)
    }

    /// Waits until every host is ready.
    pub fn wait_until_ready(&self, patience: Duration) -> Result<()> {
        self.hosts.wait_until_ready(patience)
    }

    /// Has a host leave and another of this release take its place, which is ready when this returns.
    pub fn replace(&self, host: usize, release: Release) -> Result<ExitStatus> {
        let address = *self.hosts.addresses().get(host).context("there is no such host")?;
        let starter = self.common.starter(host, address, release);
        self.hosts.replace(host, starter, NOTICED_WITHIN, PATIENCE).with_context(|| self.common.last_words())
    }

    /// Has all hosts end, does something, and starts them again.
    pub fn while_stopped(&mut self, act: impl FnOnce(&State) -> Result<()>) -> Result<()> {
        let addresses = self.hosts.addresses();
        self.hosts.stop()?;
        act(&self.state)?;
        self.hosts = self.common.supervise(&addresses, &self.stories)?;
        Ok(())
    }

    /// Opens a course, and waits until `order` knows it, which its first order shows.
    pub fn open_course_for_all(&self, edu_no: u64, capacity: u64) -> Result<()> {
        let answer = self.open_course(&orders::course(edu_no, capacity, "automatic"));
        ensure!(answer.status == 201, "opening course {edu_no}: {} {}", answer.status, answer.body);
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.apply(&orders::order(FIRST_ORDER + edu_no, edu_no));
            if answer.status == 201 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the first order for course {edu_no}: {} {}", answer.status, answer.body);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The number that a query gives, in the store under this label.
    pub fn count(&self, label: &str, sql: &str) -> Result<i64> {
        stores::value(&self.state, label, sql)
    }
}

impl Deref for Cluster {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Common {
    /// Starts the hosts, and waits until each is ready.
    fn supervise(&self, addresses: &[SocketAddr], stories: &Arc<Mutex<Vec<Story>>>) -> Result<Supervisor> {
        let starters = addresses
            .iter()
            .enumerate()
            .map(|(host, address)| (*address, self.starter(host, *address, Release::Present)));
        let told = stories.clone();
        let tell = move |story| told.lock().unwrap_or_else(PoisonError::into_inner).push(story);
        let hosts = Supervisor::start(starters.collect(), tell)?;
        hosts.wait_until_ready(PATIENCE).with_context(|| self.last_words())?;
        Ok(hosts)
    }

    fn starter(&self, host: usize, address: SocketAddr, release: Release) -> Starter {
        let common = self.clone();
        Box::new(move || {
            let process = Process::start("a host", &mut common.command(host, address, release)?)?;
            if let Some(quota) = common.quotas.get(host) {
                quota.limit(process.id())?;
            }
            Ok(process)
        })
    }

    fn command(&self, host: usize, address: SocketAddr, release: Release) -> Result<Command> {
        let log = File::options().create(true).append(true).open(self.log(host))?;
        let mut command = command(release)?;
        command.arg("--runtime-config-file").arg(&self.runtime_config);
        command.arg("--state-dir").arg(&self.folder).arg("--listen").arg(address.to_string());
        command.args(["--trusted-proxy", "127.0.0.1"]);
        command.args(["--drain-time", &format!("{}s", NOTICED_WITHIN.as_secs())]);
        let application_url = format!("http://{address}");
        let own = [self.postgres_url.grant(), ("application_url", application_url.as_str())];
        for (name, value) in self.redis_url.variables().into_iter().chain(own) {
            set_variable(&mut command, name, value);
        }
        for (name, value) in self.postgres_url.secrets() {
            set_variable(&mut command, &name, value);
        }
        for (name, value) in &self.shape.variables {
            set_variable(&mut command, name, value);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }

    fn log(&self, host: usize) -> PathBuf {
        self.folder.join(format!("host-{}.log", host + 1))
    }

    /// What the hosts said last.
    fn last_words(&self) -> String {
        let mut words = String::new();
        for host in 0..self.shape.hosts {
            let log = fs::read_to_string(self.log(host)).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(8).collect();
            words += &format!("host {}: {last:?}\n", host + 1);
        }
        words
    }
}

/// The host's command line as far as the release says it.
fn command(release: Release) -> Result<Command> {
    let binary = workspace::host_binary();
    ensure!(binary.exists(), "{} is not built: run `cargo xtask build`", binary.display());
    let mut command = Command::new(binary);
    command.current_dir(workspace::root()).env(workspace::CACHE_VARIABLE, workspace::code_cache());
    command.env("NO_COLOR", "1").env(OPEN.0, OPEN.1).args(["up", "--from"]);
    match release {
        Release::Present => command.arg(workspace::manifest()),
        Release::Next => {
            let manifest = workspace::fault_manifest();
            ensure!(manifest.exists(), "the components with faults are not built: run `cargo xtask test`");
            command.arg(manifest).args(["--env", &format!("SUGANG_NEXT_COLUMN={NEXT_COLUMNS}")])
        }
    };
    Ok(command)
}

fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, servers::free_port()?)))
}

fn open_to_others(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o711))?)
}
