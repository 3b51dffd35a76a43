//! An embedded host with some or all of the components.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use servers::Process;
use sugang_host::{Application, engine::Limits, platform::Platform};
use tokio::runtime::Runtime;
use xtask::redis_url::RedisUrl;
use xtask::workspace;

use crate::api::Api;
use crate::ground::{CONTEXTS, Ground};
use crate::members;
use crate::wait::PATIENCE;

/// How a host is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    variables: BTreeMap<String, String>,
    components: Vec<String>,
    port: Option<u16>,
    process: bool,
    drain_time: Option<String>,
    image: Option<String>,
    environment: Vec<(String, String)>,
    functions: bool,
}

impl Options {
    /// Every component, in this process, on a free port.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only these contexts, each with its worker.
    #[must_use]
    pub fn only(contexts: &[&str]) -> Self {
        let components =
            contexts.iter().flat_map(|context| [(*context).to_owned(), format!("{context}-worker")]);
        Self { components: components.collect(), ..Self::default() }
    }

    /// The whole application but for these contexts.
    #[must_use]
    pub fn without(contexts: &[&str]) -> Self {
        let others: Vec<&str> = CONTEXTS.into_iter().filter(|context| !contexts.contains(context)).collect();
        let mut options = Self::only(&others);
        options.components.push("site".to_owned());
        options
    }

    /// Only these components, by their ids in `spin.toml`.
    #[must_use]
    pub fn components(components: &[&str]) -> Self {
        Self { components: components.iter().map(|id| (*id).to_owned()).collect(), ..Self::default() }
    }

    /// With a variable of the application set.
    #[must_use]
    pub fn variable(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// Where everybody is asked who they are, with keys that the tests know.
    #[must_use]
    pub fn members(self) -> Self {
        let keyed = |options: Self, (name, key): (&str, &String)| options.variable(name, key);
        members::keys().iter().map(|(name, key)| (*name, key)).fold(self.variable("access", "members"), keyed)
    }

    /// As on Akamai Functions: its own manifest, and nothing that the platform lacks.
    #[must_use]
    pub fn functions() -> Self {
        let options = Self { functions: true, ..Self::default() };
        options.variable("wake_keys", members::WAKE_KEYS.join(",")).variable("card_key", "0f".repeat(32))
    }

    /// Whether the demonstration courses are opened and told to `order` in this host.
    pub(crate) fn opens_courses(&self) -> bool {
        // There a first request does.
        if self.functions {
            return false;
        }
        let has =
            |id: &str| self.components.is_empty() || self.components.iter().any(|component| component == id);
        let wanted = self.variables.get("demo_courses").is_none_or(|wanted| wanted != "false");
        wanted && has("reservation-worker") && has("order-worker")
    }

    /// On this port, so that others know where it will be.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// As a process that goes on answering for so long after a SIGTERM.
    #[must_use]
    pub fn drain_time(mut self, time: &str) -> Self {
        self.drain_time = Some(time.to_owned());
        self.process()
    }

    /// As a process that runs an image in a registry, which has no TLS.
    #[must_use]
    pub fn image(mut self, reference: &str) -> Self {
        self.image = Some(reference.to_owned());
        self.process()
    }

    /// As a process with this in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self.process()
    }

    /// As a process of its own, which can be killed or stand still without harm to the test.
    #[must_use]
    pub fn process(mut self) -> Self {
        self.process = true;
        self
    }
}

/// A host that serves for as long as this value lives. It derefs to the [`Api`] it serves.
pub struct Host {
    api: Api,
    running: Running,
}

/// How it runs.
enum Running {
    /// In this process. Taken out when it is shut down.
    Here(Option<sugang_host::Running>),
    Process(Process),
}

/// What the hosts in this process run on.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

impl Host {
    #[track_caller]
    pub(crate) fn start(ground: &Ground, options: Options) -> Self {
        match Self::try_start(ground, options) {
            Ok(host) => host,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Starts, and waits until it serves.
    pub fn try_start(ground: &Ground, mut options: Options) -> Result<Self> {
        let port = match options.port {
            Some(port) => port,
            None => servers::free_port()?,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let redis = RedisUrl::parse(ground.redis_url())?;
        let application_url = format!("http://{address}");
        // Unless a test is about members, everybody may do everything.
        let application = (!options.functions).then_some(("application_url", application_url.as_str()));
        let defaults = redis.variables().into_iter().chain(application).chain([("access", "open")]);
        let mut defaults: Vec<_> =
            defaults.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        if let Some(postgres) = ground.postgres() {
            defaults.extend(postgres.variables()?);
            // The first statements of all make the tables, which may take longer than an order waits for its payment.
            defaults.push(("pay_deadline_ms".to_owned(), "5000".to_owned()));
        }
        for (name, value) in defaults {
            options.variables.entry(name).or_insert(value);
        }
        if !options.process {
            return Self::start_here(ground, &options, address);
        }
        let mut process = spawn(ground, &options, address)?;
        let api = Api::new(address).held_to_contract();
        let deadline = Instant::now() + PATIENCE;
        while !api.is_up() {
            if process.exited()?.is_some() || Instant::now() > deadline {
                bail!("the host did not start:\n{}", std::fs::read_to_string(log(ground, address))?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { api, running: Running::Process(process) })
    }

    fn start_here(ground: &Ground, options: &Options, address: SocketAddr) -> Result<Self> {
        // Many of these share one process, and each stack costs two of the mappings that Linux allows it.
        let limits = Limits { max_instances: 128, ..Limits::default() };
        let (manifest, runtime_config, platform) = match options.functions {
            true => (workspace::functions_manifest(), None, Some(Platform::Functions)),
            false => (workspace::manifest(), Some(workspace::runtime_config()), None),
        };
        let application = Application {
            limits,
            runtime_config,
            platform,
            state_dir: Some(ground.state().to_path_buf()),
            cache_dir: Some(workspace::code_cache()),
            listen: address,
            quiet: env::var_os("SUGANG_TEST_LOG").is_none(),
            components: options.components.clone(),
            variables: options.variables.clone(),
            ..Application::new(manifest)
        };
        let running = RUNTIME.block_on(application.start())?;
        Ok(Self {
            api: Api::new(running.address()).held_to_contract(),
            running: Running::Here(Some(running)),
        })
    }

    /// A signal for the process it is.
    #[track_caller]
    pub fn signal(&mut self, signal: Signal) {
        self.process().signal(signal).expect("to signal the host");
    }

    /// How the process has ended, if it has.
    #[track_caller]
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process().exited().expect("to look at the host")
    }

    /// The id of the process it is.
    #[track_caller]
    #[must_use]
    pub fn process_id(&self) -> u32 {
        match &self.running {
            Running::Process(process) => process.id(),
            Running::Here(_) => panic!("this host runs in the test itself: start it as a process()"),
        }
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self, ground: &Ground) -> String {
        std::fs::read_to_string(log(ground, self.api.address())).unwrap_or_default()
    }

    /// Ends it at once, as a crash would.
    #[track_caller]
    pub fn kill(mut self) {
        self.process().kill().expect("the host to end");
    }

    #[track_caller]
    fn process(&mut self) -> &mut Process {
        match &mut self.running {
            Running::Process(process) => process,
            Running::Here(_) => panic!("this host runs in the test itself: start it as a process()"),
        }
    }

    /// Ends it as an operator would: what is in flight is answered first.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Running::Here(running) = &mut self.running
            && let Some(running) = running.take()
        {
            RUNTIME.block_on(running.shutdown());
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("address", &self.api.address()).finish_non_exhaustive()
    }
}

impl Deref for Host {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

fn log(ground: &Ground, address: SocketAddr) -> std::path::PathBuf {
    ground.state().join(format!("host-{}.log", address.port()))
}

/// A command line is there for everybody on this machine to see; the environment is not.
pub(crate) fn set_variable(host: &mut Command, name: &str, value: &str) {
    if name.ends_with("_database_url") {
        host.env(format!("SPIN_VARIABLE_{}", name.to_ascii_uppercase()), value);
    } else {
        host.arg("--variable").arg(format!("{name}={value}"));
    }
}

fn spawn(ground: &Ground, options: &Options, address: SocketAddr) -> Result<Process> {
    let binary = workspace::host_binary();
    if !binary.exists() {
        bail!("{} is not built: run `cargo xtask build`", binary.display());
    }
    let log = File::options().create(true).append(true).open(log(ground, address)).context("no log")?;
    let mut command = Command::new(binary);
    command.current_dir(workspace::root()).env(workspace::CACHE_VARIABLE, workspace::code_cache()).arg("up");
    match &options.image {
        Some(reference) => command.args(["--from", reference, "--insecure"]),
        None => command.arg("--from").arg(workspace::manifest()),
    };
    command.arg("--runtime-config-file").arg(workspace::runtime_config());
    command.arg("--state-dir").arg(ground.state());
    command.arg("--listen").arg(address.to_string());
    for component in &options.components {
        command.args(["--component-id", component]);
    }
    command.envs(options.environment.iter().map(|(name, value)| (name, value)));
    if let Some(time) = &options.drain_time {
        command.args(["--drain-time", time]);
    }
    for (name, value) in &options.variables {
        set_variable(&mut command, name, value);
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Process::start("the host", &mut command)
}
