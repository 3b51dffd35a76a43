//! One whole system, driven and looked at from outside only: it may be of any revision.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use access::Role;
use anyhow::{Context, Result, bail};
use servers::{PostgresServer, Process};
use sugang_tests::members::{self, OPEN};
use sugang_tests::stores::State;
use sugang_tests::{Api, Engine, PATIENCE};
use tempfile::TempDir;
use xtask::postgres_url::PostgresUrl;
use xtask::redis_server::RedisServer;
use xtask::redis_url::RedisUrl;
use xtask::tick::{self, Tick};
use xtask::workspace;

use crate::pairs::Candidate;

/// The number of whoever opens the courses and counts, where everybody is asked who they are.
const OPERATOR: u64 = 1;

/// The flag by which a host answers its counters; older ones have none.
const METRICS_FLAG: &str = "--metrics-listen";

/// A host, its Redis and its state directory; all of it ends with this value.
pub(crate) struct System {
    // In this order they end: the host may still need its Redis, and both the folder.
    host: Process,
    redis: RedisServer,
    _postgres: Option<PostgresServer>,
    postgres_id: Option<u32>,
    state: State,
    _folder: TempDir,
    api: Api,
    metrics: Option<Api>,
}

impl System {
    /// Starts what was built under `root`, and waits until it serves. Nothing ticks yet.
    ///
    /// It is started twice: the first time a host may have to compile the components, which leaves it with memory that
    /// others never take.
    pub(crate) fn start_compiled(candidate: &Candidate) -> Result<Self> {
        drop(Self::start(candidate)?);
        Self::start(candidate)
    }

    fn start(candidate: &Candidate) -> Result<Self> {
        let Candidate { root, engine, signed_in, .. } = candidate;
        let folder = tempfile::Builder::new().prefix("sugang-bench-").tempdir()?;
        let mut postgres = match engine {
            Engine::Sqlite => None,
            Engine::Postgres => {
                let kept = folder.path().join("postgres");
                Some(PostgresServer::start(&kept, &["max_connections=1000"])?)
            }
        };
        let mut redis = RedisServer::start(&folder.path().join("redis"), None)?;
        let binary = binary(root);
        let metrics = match has_metrics(&binary)? {
            true => Some(free_address()?),
            false => None,
        };
        let address = free_address()?;
        let mut command = Command::new(&binary);
        command.current_dir(root).env(workspace::CACHE_VARIABLE, root.join("target/sugang-cache"));
        if *signed_in {
            for (name, value) in members::keys() {
                command.env(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value);
            }
        } else {
            command.env(OPEN.0, OPEN.1);
        }
        command.arg("up").arg("--from").arg(root.join("spin.toml"));
        command.arg("--runtime-config-file").arg(root.join("runtime-config.toml"));
        command.arg("--state-dir").arg(folder.path());
        command.args(["--listen", &address.to_string()]);
        for variable in redis_variables(root, &redis.url())? {
            command.args(["--variable", &variable]);
        }
        command.args(["--variable", &format!("application_url=http://{address}")]);
        let url = postgres.as_ref().map(PostgresServer::url);
        if let Some(url) = &url {
            let url = PostgresUrl::parse(url)?;
            for (name, value) in url.secrets() {
                command.env(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value);
            }
            let (name, address) = url.grant();
            command.args(["--variable", &format!("{name}={address}")]);
        }
        if let Some(metrics) = metrics {
            command.args([METRICS_FLAG, &metrics.to_string()]);
        }
        let log = folder.path().join("host.log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut host = Process::start("the host", &mut command)?;
        let api = Api::new(address);
        // Who looks at everything.
        let api = if *signed_in { api.as_caller(&members::member(OPERATOR, &[Role::Operator])) } else { api };
        let deadline = Instant::now() + PATIENCE;
        while !api.is_up() {
            if host.exited()?.is_some() || redis.process().exited()?.is_some() || Instant::now() > deadline {
                bail!("the host did not start:\n{}", fs::read_to_string(&log)?);
            }
            thread::sleep(Duration::from_millis(5));
        }
        let state = State::new(folder.path().to_owned(), url);
        let postgres_id = postgres.as_mut().map(|server| server.process().id());
        Ok(Self {
            host,
            redis,
            _postgres: postgres,
            postgres_id,
            state,
            _folder: folder,
            api,
            metrics: metrics.map(Api::new),
        })
    }

    /// Ticks for as long as the value lives, as often as `cargo xtask up` does.
    pub(crate) fn tick(&self) -> Result<Tick> {
        Tick::start(&self.redis.url(), tick::PERIOD)
    }

    /// A client of it.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// A client of its counters, if it has any.
    pub(crate) fn metrics(&self) -> Option<&Api> {
        self.metrics.as_ref()
    }

    /// The address of its Redis.
    pub(crate) fn redis_url(&self) -> String {
        self.redis.url()
    }

    /// Where its stores are.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The process id of its PostgreSQL, if its stores are on one.
    pub(crate) fn postgres(&self) -> Option<u32> {
        self.postgres_id
    }

    /// The process ids of the host and of redis-server.
    pub(crate) fn processes(&self) -> [u32; 2] {
        [self.host.id(), self.redis.process_id()]
    }
}

/// The host that was built under `root`.
fn binary(root: &Path) -> PathBuf {
    let built = workspace::host_binary();
    let relative = built.strip_prefix(workspace::root()).unwrap_or(&built);
    root.join(relative)
}

/// How the application that lies under `root` is told where its Redis is; older ones take the whole address in one.
fn redis_variables(root: &Path, redis_url: &str) -> Result<Vec<String>> {
    let manifest = fs::read_to_string(root.join("spin.toml"))?;
    if manifest.lines().any(|line| line.starts_with("redis_address ")) {
        let redis_url = RedisUrl::parse(redis_url)?;
        return Ok(redis_url.variables().map(|(name, value)| format!("{name}={value}")).into());
    }
    Ok(vec![format!("redis_url={redis_url}")])
}

fn has_metrics(binary: &Path) -> Result<bool> {
    let help = Command::new(binary)
        .args(["up", "--help"])
        .output()
        .with_context(|| format!("cannot run {}: is it built?", binary.display()))?;
    Ok(String::from_utf8_lossy(&help.stdout).contains(METRICS_FLAG))
}

fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, servers::free_port()?)))
}
