//! `up`: the whole system on this machine, from one command, until Ctrl-C.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::redis_url::{CREDENTIALS, RedisUrl};
use crate::state::StateDir;
use crate::tick::{self, Tick};
use crate::{build, setup, workspace};

/// How long the host may take to answer what is in flight before it is ended.
const PATIENCE: Duration = Duration::from_secs(35);

/// Build what has changed, and run the whole system until Ctrl-C.
///
/// Starts a private redis-server (the event log; REDIS_URL names another instead), the embedded host with every
/// component, and the tick; prints where everything is. When any part dies, all stop. What it keeps is in the state
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

    /// Run what was built last, without looking for changes
    #[arg(long)]
    no_build: bool,

    /// Flags for the host itself, as `sugang up --help` lists them
    #[arg(last = true, value_name = "HOST FLAGS")]
    host_flags: Vec<String>,
}

/// Reads `key=value`.
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
        // A variable of the environment that is empty is as good as none.
        let named = self.redis_url.as_deref().filter(|url| !url.is_empty());
        let redis_url = named.map(RedisUrl::parse).transpose();
        let redis_url = redis_url.context("--redis-url (or REDIS_URL) is not the address of a Redis")?;
        let listen = reserve(self.listen)?;
        let mut state = StateDir::claim(&self.state_dir, self.fresh)?;
        if redis_url.is_none() {
            setup::ensure_redis()?;
        }
        if !self.no_build {
            build::everything()?;
        }

        let started = Instant::now();
        let (happens, happenings) = mpsc::channel();
        watch_signals(happens.clone())?;
        let mut system = System::start(self, listen, redis_url, &mut state, happens)?;
        let outcome = system.run(&happenings, started);
        system.stop()?;
        outcome
    }

    /// Every variable on the host's command line: our defaults, and over them what was asked for.
    fn variables(&self, listen: SocketAddr, redis_url: &RedisUrl) -> BTreeMap<String, String> {
        let redis = redis_url.variables().into_iter().filter(|(name, _)| *name != CREDENTIALS);
        let mut variables: BTreeMap<_, _> =
            redis.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        variables.insert("application_url".to_owned(), format!("http://{}", reachable(listen)));
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
    /// Somebody wants us to stop.
    Stop,
    /// One of the processes we started may have ended.
    ChildEnded,
    /// The host accepts requests.
    Serving,
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
    host: Process,
    /// What copies the host's output; they end after it.
    outputs: Vec<JoinHandle<()>>,
    _tick: Tick,
    redis: Option<RedisServer>,
    banner: String,
}

impl System {
    fn start(
        options: &Up,
        listen: SocketAddr,
        redis_url: Option<RedisUrl>,
        state: &mut StateDir,
        happens: Sender<Happening>,
    ) -> Result<Self> {
        let (mut redis, redis_url) = match redis_url {
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

        let mut command = host_command(options, listen, state, &redis_url)?;
        command.stdin(Stdio::from(state.lease().try_clone()?)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut host = Process::start("the host", &mut command)?;
        let log = OpenOptions::new().create(true).append(true).open(logs.join("host.log"))?;
        let mut outputs = Vec::new();
        if let Some(output) = host.take_stdout() {
            let on_line = move |line: &str| {
                if line.starts_with("Serving ") {
                    let _ = happens.send(Happening::Serving);
                }
            };
            outputs.push(copy_lines(output, std::io::stdout(), log.try_clone()?, on_line)?);
        }
        if let Some(errors) = host.take_stderr() {
            outputs.push(copy_lines(errors, std::io::stderr(), log, |_| ())?);
        }

        let mut processes = vec![("up", std::process::id()), ("host", host.id())];
        if let Some(server) = &mut redis {
            processes.push(("redis-server", server.process().id()));
        }
        state.note_processes(&processes)?;
        let banner = banner(reachable(listen), state.path(), &redis_url, redis.as_ref());
        Ok(Self { host, outputs, _tick: tick, redis, banner })
    }

    /// Returns when asked to stop; fails when a part dies.
    fn run(&mut self, happenings: &Receiver<Happening>, started: Instant) -> Result<()> {
        for happening in happenings {
            match happening {
                Happening::Stop => return Ok(()),
                Happening::ChildEnded => self.check()?,
                Happening::Serving => {
                    println!("\nSugang is up ({:.1} s)\n\n{}", started.elapsed().as_secs_f32(), self.banner)
                }
            }
        }
        bail!("the thread that watches for signals has ended")
    }

    /// Fails if a part has ended.
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.host.exited()? {
            bail!("the host has ended ({status}); stopped everything else");
        }
        if let Some(server) = &mut self.redis
            && let Some(status) = server.process().exited()?
        {
            bail!(
                "redis-server has ended ({status}; see {}); stopped everything else",
                server.log().display()
            );
        }
        Ok(())
    }

    /// Stops the host first, so that the requests in flight can still use Redis.
    fn stop(&mut self) -> Result<()> {
        println!("\nstopping");
        self.host.stop(PATIENCE)?;
        for output in self.outputs.drain(..) {
            // Its last words, such as why it would not start, are worth waiting for.
            let _ = output.join();
        }
        if let Some(server) = &mut self.redis {
            server.process().stop(PATIENCE)?;
        }
        Ok(())
    }
}

/// Copies what a part prints to the terminal and to its log, line by line.
fn copy_lines(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    mut log: File,
    on_line: impl Fn(&str) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let copy = move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            // A terminal that is gone or a disk that is full must not stop the system.
            let _ = writeln!(to, "{line}");
            let _ = writeln!(log, "{line}");
            on_line(&line);
        }
    };
    Ok(thread::Builder::new().name("output".to_owned()).spawn(copy)?)
}

/// The command line of the embedded host: the flags of `spin up`, under the same names.
fn host_command(options: &Up, listen: SocketAddr, state: &StateDir, redis_url: &RedisUrl) -> Result<Command> {
    let binary = workspace::host_binary();
    if !binary.exists() {
        bail!("{} is not built: run `cargo xtask build`, or leave out --no-build", binary.display());
    }
    let mut command = Command::new(binary);
    command.current_dir(workspace::root()).env(workspace::CACHE_VARIABLE, workspace::code_cache());
    // What it prints goes to a file as well as to the terminal.
    command.env("NO_COLOR", "1");
    command.arg("up").arg("--from").arg(workspace::manifest());
    command.arg("--runtime-config-file").arg(workspace::runtime_config());
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
    command.args(&options.host_flags);
    Ok(command)
}

/// Writes down where the event log is, for the commands that an operator runs beside the system. The address may
/// carry a password, so that the file is for its owner's eyes alone.
fn note_redis(state: &Path, redis_url: &RedisUrl) -> Result<()> {
    let path = state.join("redis-url");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&path).and_then(|mut file| writeln!(file, "{}", redis_url.with_credentials()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// Where everything is.
fn banner(address: SocketAddr, state: &Path, redis_url: &RedisUrl, redis: Option<&RedisServer>) -> String {
    let site = format!("http://{address}");
    let state = state.display();
    let redis = match redis {
        Some(server) => format!("{redis_url}   (log {})", server.log().display()),
        None => redis_url.to_string(),
    };
    let rows = [
        ("site", format!("{site}/")),
        ("API", format!("{site}/orders  /pays  /reservations  /courses  /infomations  /notifications")),
        ("contract", format!("{site}/openapi.json")),
        ("health", format!("{site}/.well-known/spin/health")),
        ("stores", format!("{state}/.spin/*.db")),
        ("redis", redis),
        ("logs", format!("{state}/logs")),
    ];
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
