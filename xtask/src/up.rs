//! `up`: the whole system on this machine, from one command, until Ctrl-C.

mod databases;
mod hosts;
mod serving;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use self::databases::{Databases, Wanted};
use self::hosts::Hosts;
use self::serving::Serving;
use crate::postgres_url::PostgresUrl;
use crate::redis_server::RedisServer;
use crate::redis_url::{CREDENTIALS, RedisUrl};
use crate::state::{StateDir, write_for_owner};
use crate::tick::{self, Tick};
use crate::{build, setup, shared, workspace};

/// How long the host may take to answer what is in flight before it is ended.
const PATIENCE: Duration = Duration::from_secs(35);

/// Build what has changed, and run the whole system until Ctrl-C.
///
/// Starts a private redis-server (the event log; REDIS_URL names another instead), the embedded host with every
/// component, and the tick; prints where everything is. The stores are SQLite files, or with --postgres in a private
/// PostgreSQL (DATABASE_URL names another instead). When any part dies, all stop, but for one of
/// several hosts (--hosts), which is started anew. What it keeps is in the state
/// directory and is there again at the next start. Several systems may run side by side, each with a --state-dir
/// and a --listen of its own.
#[derive(Args)]
pub struct Up {
    /// Where to serve HTTP; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Where the stores, the Redis log and the other logs are kept
    #[arg(long, value_name = "DIR", default_value = ".sugang")]
    state_dir: PathBuf,

    /// Start over: delete what the state directory holds
    #[arg(long)]
    fresh: bool,

    /// Run this component only, by its id in spin.toml; may be given several times
    #[arg(short, long = "component", visible_alias = "component-id", value_name = "COMPONENT")]
    component: Vec<String>,

    /// Set a variable of the application; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_variable)]
    variable: Vec<(String, String)>,

    /// Use another Redis than a private one: redis://[[user]:password@]host[:port][/database], or rediss://… for TLS.
    /// A password is better given in the environment, which others on this machine do not see
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,

    /// Have the stores on PostgreSQL: a private one, unless --database-url or DATABASE_URL names another
    #[arg(long)]
    postgres: bool,

    /// Have the stores in this database, each in a schema of its own: postgres://[user[:password]@]host[:port]/database. A
    /// password is better given in the environment, which others on this machine do not see. A single store is placed by
    /// its variable: `--variable notification_database_url=` has it in a SQLite file
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Run so many hosts, each with every component, behind a balancer at --listen. More than one takes every store on
    /// PostgreSQL. A host that ends or no longer answers at /livez is started anew, while the others go on
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    hosts: u16,

    /// Run what was built last, without looking for changes
    #[arg(long)]
    no_build: bool,

    /// Flags for the host itself, as `sugang up --help` lists them
    #[arg(last = true, value_name = "HOST FLAGS")]
    host_flags: Vec<String>,
}

/// An address that was given: the environment may have it, and leave it empty.
fn given(address: &Option<String>) -> Option<&str> {
    address.as_deref().filter(|address| !address.trim().is_empty())
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("must be KEY=VALUE".to_owned()),
    }
}

impl Up {
    /// Runs until Ctrl-C, or until a part dies, which is an error.
    pub fn run(&self) -> Result<()> {
        // What can be refused is refused before minutes go into building.
        let redis_url = given(&self.redis_url).map(RedisUrl::parse).transpose();
        let redis_url = redis_url.context("--redis-url (or REDIS_URL) is not the address of a Redis")?;
        let wanted = match given(&self.database_url) {
            Some(url) => Wanted::There(
                PostgresUrl::parse(url)
                    .context("--database-url (or DATABASE_URL) is not the address of a PostgreSQL")?,
            ),
            None if self.postgres => Wanted::Private,
            None => Wanted::Nothing,
        };
        let listen = reserve(self.listen)?;
        let mut state = StateDir::claim(&self.state_dir, self.fresh)?;
        if redis_url.is_none() {
            setup::REDIS.ensure()?;
        }
        if matches!(wanted, Wanted::Private) {
            setup::POSTGRES.ensure()?;
        }
        if self.hosts > 1 {
            databases::ensure_shared(&wanted, &self.variable)?;
            setup::HAPROXY.ensure()?;
        }
        if !self.no_build {
            build::everything()?;
        }

        let started = Instant::now();
        let (happens, happenings) = mpsc::channel();
        watch_signals(happens.clone())?;
        let mut system = System::start(self, listen, redis_url, wanted, &mut state, happens)?;
        let outcome = system.run(&happenings, started, &mut state);
        system.stop()?;
        outcome
    }

    /// Every variable on the host's command line: our defaults, and over them what was asked for.
    fn variables(&self, listen: SocketAddr, redis_url: &RedisUrl) -> BTreeMap<String, String> {
        let redis = redis_url.variables().into_iter().filter(|(name, _)| *name != CREDENTIALS);
        let mut variables: BTreeMap<_, _> =
            redis.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        variables.insert("application_url".to_owned(), format!("http://{}", reachable(listen)));
        // As in the original, whose commands are to work as they are printed.
        variables.insert("access".to_owned(), "open".to_owned());
        variables.extend(self.variable.iter().cloned());
        variables
    }
}

/// Makes sure that `address` can be listened on, and turns port 0 into the number of a free one.
fn reserve(address: SocketAddr) -> Result<SocketAddr> {
    match TcpListener::bind(address) {
        Ok(listener) => Ok(listener.local_addr()?),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => bail!(
            "{address} is in use by another program. Choose another with `--listen {}:{}`, or stop that one \
             (`ss -ltnp 'sport = :{}'` names it)",
            address.ip(),
            address.port().saturating_add(1),
            address.port()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot listen on {address}")),
    }
}

/// The address under which this machine itself reaches what listens on `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What the main loop waits for.
enum Happening {
    Stop,
    /// One of the processes we started may have ended.
    ChildEnded,
    /// The host accepts requests, or every one of several is ready.
    Serving,
    /// One of several hosts has been started anew, and why.
    HostStartedAnew(String),
    /// Something that cannot be done without has ended for good, and why.
    PartEnded(String),
}

fn watch_signals(happens: Sender<Happening>) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCHLD]).context("cannot watch for Ctrl-C")?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let happening = if signal == SIGCHLD { Happening::ChildEnded } else { Happening::Stop };
            if happens.send(happening).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// Everything that runs. The order of the fields is the order in which they are dropped, should starting fail half-way.
struct System {
    serving: Serving,
    _tick: Tick,
    redis: Option<RedisServer>,
    databases: Databases,
    banner: String,
}

impl System {
    fn start(
        options: &Up,
        listen: SocketAddr,
        redis_url: Option<RedisUrl>,
        wanted: Wanted,
        state: &mut StateDir,
        happens: Sender<Happening>,
    ) -> Result<Self> {
        let databases = Databases::start(wanted, options.hosts, &options.variable, state.path())?;
        let (redis, redis_url) = match redis_url {
            Some(url) => (None, url),
            None => {
                let server = RedisServer::start(&state.path().join("redis"), Some(state.lease()))?;
                let url = RedisUrl::parse(&server.url())?;
                (Some(server), url)
            }
        };
        note_redis(state.path(), &redis_url)?;
        let tick = Tick::start(&redis_url.with_credentials(), tick::PERIOD)?;
        let logs = state.path().join("logs");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;

        let serving = if options.hosts == 1 {
            let config = workspace::runtime_config();
            let mut command = host_command(options, listen, &config, state, &redis_url)?;
            databases.tell(&mut command);
            Serving::one(command, state, happens)?
        } else {
            let config = shared::runtime_config(state.path(), &redis_url)?;
            let command = |address| {
                let mut command = host_command(options, address, &config, state, &redis_url)?;
                databases.tell(&mut command);
                hosts::set_flags(&mut command, &options.host_flags);
                Ok(command)
            };
            Serving::Several(Hosts::start(options.hosts, listen, state, command, happens)?)
        };

        let banner = banner(reachable(listen), state.path(), &redis_url, redis.as_ref(), databases.places());
        let mut system = Self { serving, _tick: tick, redis, databases, banner };
        system.note_processes(state)?;
        Ok(system)
    }

    /// Writes down which processes use the state directory.
    fn note_processes(&mut self, state: &mut StateDir) -> Result<()> {
        let mut processes = vec![("up", std::process::id())];
        processes.extend(self.serving.processes());
        if let Some(server) = &mut self.redis {
            processes.push(("redis-server", server.process().id()));
        }
        processes.extend(self.databases.process_id().map(|id| ("postgres", id)));
        state.note_processes(&processes)
    }

    /// Returns when asked to stop; fails when a part dies.
    fn run(
        &mut self,
        happenings: &Receiver<Happening>,
        started: Instant,
        state: &mut StateDir,
    ) -> Result<()> {
        for happening in happenings {
            match happening {
                Happening::Stop => return Ok(()),
                Happening::ChildEnded => self.check()?,
                Happening::Serving => {
                    if let Serving::Several(hosts) = &mut self.serving {
                        self.banner.push_str(&hosts.open(state.lease())?);
                        self.note_processes(state)?;
                    }
                    println!("\nSugang is up ({:.1} s)\n\n{}", started.elapsed().as_secs_f32(), self.banner);
                }
                Happening::HostStartedAnew(why) => {
                    println!("{why}");
                    self.note_processes(state)?;
                }
                Happening::PartEnded(why) => bail!("{why}; stopped everything else"),
            }
        }
        bail!("the thread that watches for signals has ended")
    }

    /// Fails if a part has ended.
    fn check(&mut self) -> Result<()> {
        self.serving.check()?;
        if let Some(server) = &mut self.redis
            && let Some(status) = server.process().exited()?
        {
            bail!(
                "redis-server has ended ({status}; see {}); stopped everything else",
                server.log().display()
            );
        }
        self.databases.check()
    }

    /// Stops the host first, so that the requests in flight can still use Redis and the stores.
    fn stop(&mut self) -> Result<()> {
        println!("\nstopping");
        self.serving.stop()?;
        if let Some(server) = &mut self.redis {
            server.process().stop(PATIENCE)?;
        }
        self.databases.stop()
    }
}

/// The command line of the embedded host: the flags of `spin up`, under the same names.
fn host_command(
    options: &Up,
    listen: SocketAddr,
    runtime_config: &Path,
    state: &StateDir,
    redis_url: &RedisUrl,
) -> Result<Command> {
    let binary = workspace::host_binary();
    if !binary.exists() {
        bail!("{} is not built: run `cargo xtask build`, or leave out --no-build", binary.display());
    }
    let mut command = Command::new(&binary);
    command.current_dir(workspace::root()).env(workspace::CACHE_VARIABLE, workspace::code_cache());
    // What it prints goes to a file as well as to the terminal.
    command.env("NO_COLOR", "1");
    command.arg("up").arg("--from").arg(workspace::manifest());
    command.arg("--runtime-config-file").arg(runtime_config);
    command.arg("--listen").arg(listen.to_string());
    command.arg("--state-dir").arg(state.path());
    for component in &options.component {
        command.args(["--component-id", component]);
    }
    for (key, value) in options.variables(listen, redis_url) {
        command.arg("--variable").arg(format!("{key}={value}"));
    }
    // A command line is there for everybody on this machine to see; the environment is not.
    let secret = format!("SPIN_VARIABLE_{}", CREDENTIALS.to_ascii_uppercase());
    command.env(secret, redis_url.credentials());
    command.envs(keys(&binary, state)?);
    command.args(&options.host_flags);
    Ok(command)
}

/// The keys of this system, as the environment of a host has them: made once, and kept for their owner's eyes alone.
fn keys(binary: &Path, state: &StateDir) -> Result<Vec<(String, String)>> {
    let path = state.path().join("keys.env");
    if !path.exists() {
        let made = Command::new(binary).arg("keys").output().context("cannot make keys")?;
        if !made.status.success() {
            bail!("`sugang keys` failed: {}", String::from_utf8_lossy(&made.stderr));
        }
        write_for_owner(&path, &String::from_utf8(made.stdout)?)?;
    }
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let set_outside = |name: &str| std::env::var_os(name).is_some();
    let keys = text.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| !set_outside(name));
    Ok(keys.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Writes down where the event log is, for the commands that an operator runs beside the system. The address may
/// carry a password, so that the file is for its owner's eyes alone.
fn note_redis(state: &Path, redis_url: &RedisUrl) -> Result<()> {
    write_for_owner(&state.join("redis-url"), &format!("{}\n", redis_url.with_credentials()))
}

/// Where everything is.
fn banner(
    address: SocketAddr,
    state: &Path,
    redis_url: &RedisUrl,
    redis: Option<&RedisServer>,
    stores: Vec<(&'static str, String)>,
) -> String {
    let site = format!("http://{address}");
    let state = state.display();
    let redis = match redis {
        Some(server) => format!("{redis_url}   (log {})", server.log().display()),
        None => redis_url.to_string(),
    };
    let mut rows = vec![
        ("site", format!("{site}/")),
        ("API", format!("{site}/orders  /pays  /reservations  /courses  /infomations  /notifications")),
        ("contract", format!("{site}/openapi.json")),
        ("health", format!("{site}/.well-known/spin/health")),
    ];
    rows.extend(stores);
    rows.extend([("redis", redis), ("logs", format!("{state}/logs"))]);
    let mut text: String = rows.iter().map(|(name, place)| format!("  {name:<9} {place}\n")).collect();
    text.push_str("\nCtrl-C stops it; what it keeps is there again at the next start (--fresh starts over).");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_refused_and_another_proposed() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refusal = reserve(address).unwrap_err().to_string();
        assert!(refusal.contains("is in use") && refusal.contains("--listen 127.0.0.1:"), "{refusal}");
    }

    #[test]
    fn port_zero_becomes_a_port_that_can_be_told_to_others() {
        assert_ne!(reserve("127.0.0.1:0".parse().unwrap()).unwrap().port(), 0);
    }

    #[test]
    fn a_system_listening_everywhere_reaches_itself_on_the_loopback() {
        assert_eq!(reachable("0.0.0.0:8080".parse().unwrap()).to_string(), "127.0.0.1:8080");
        assert_eq!(reachable("[::]:8080".parse().unwrap()).to_string(), "[::1]:8080");
    }

    #[test]
    fn a_variable_is_a_key_and_a_value_which_may_hold_anything() {
        assert_eq!(parse_variable("pay_url=http://x/?a=b"), Ok(("pay_url".into(), "http://x/?a=b".into())));
        assert!(parse_variable("=x").is_err() && parse_variable("x").is_err());
    }
}
