//! A private Redis (or Valkey) server: the event log of one system, on a port of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use servers::{Process, free_port, is_free};

use crate::{setup, workspace};

/// How long a server may take from its start to its first answer; reading a large log takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a port that somebody else took between our choice and the server's start is replaced.
const ATTEMPTS: u32 = 10;

/// The server program on the `PATH`, by either name.
#[must_use]
pub fn program() -> Option<PathBuf> {
    workspace::find_program(&["redis-server", "valkey-server"])
}

/// A server that runs for as long as this value lives.
#[derive(Debug)]
pub struct RedisServer {
    process: Process,
    port: u16,
    folder: PathBuf,
    /// What clients have to know, if anything.
    password: Option<String>,
}

impl RedisServer {
    /// Starts a server that keeps its data, its log and its port number in `folder`, and waits until it answers.
    ///
    /// Started again on the same folder it has the same data and, where it is still free, the same port. The
    /// `lease`, if any, is held by the server too: whatever is locked by it stays locked until the server has ended.
    pub fn start(folder: &Path, lease: Option<&File>) -> Result<Self> {
        Self::start_in(folder, lease, &[])
    }

    /// The same, with a password; others on this machine can see it, so it is one for tests.
    pub fn start_with_password(folder: &Path, password: &str) -> Result<Self> {
        Self::start_as(folder, None, &[], Some(password))
    }

    /// The same, in an environment with this added.
    pub fn start_in(folder: &Path, lease: Option<&File>, environment: &[(&str, OsString)]) -> Result<Self> {
        Self::start_as(folder, lease, environment, None)
    }

    fn start_as(
        folder: &Path,
        lease: Option<&File>,
        environment: &[(&str, OsString)],
        password: Option<&str>,
    ) -> Result<Self> {
        let Some(program) = program() else { bail!("{}", setup::REDIS.how_to_get()) };
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let mut preferred =
            fs::read_to_string(port_file(folder)).ok().and_then(|text| text.trim().parse().ok());
        for _ in 0..ATTEMPTS {
            let port = match preferred.take().filter(|port| is_free(*port)) {
                Some(port) => port,
                None => free_port()?,
            };
            let mut command = command(&program, folder, port, lease)?;
            command.envs(environment.iter().map(|(name, value)| (name, value)));
            if let Some(password) = password {
                command.args(["--requirepass", password]);
            }
            let mut server = Self {
                process: Process::start("redis-server", &mut command)?,
                port,
                folder: folder.to_owned(),
                password: password.map(str::to_owned),
            };
            let client = redis::Client::open(server.url())?;
            let answers = server.process.wait_until(PATIENCE, |id| answers(&client, id));
            if answers.with_context(|| format!("on port {port}; see {}", server.log().display()))? {
                fs::write(port_file(folder), port.to_string())?;
                return Ok(server);
            }
        }
        bail!("redis-server ended {ATTEMPTS} times while starting; see {}", log_file(folder).display())
    }

    /// The address for clients, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let encoded = |password: &String| -> String {
            let bytes: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!(":{bytes}@")
        };
        format!("redis://{}127.0.0.1:{}", self.password.as_ref().map(encoded).unwrap_or_default(), self.port)
    }

    /// Where it writes what it has to say.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        log_file(&self.folder)
    }

    /// Its process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// The process, to signal it or to see it end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Whether the server behind `client` is the process `id`, and has read its data.
fn answers(client: &redis::Client, id: u32) -> bool {
    let Ok(mut connection) = client.get_connection_with_timeout(Duration::from_secs(1)) else { return false };
    let about: String = redis::cmd("INFO").arg("server").query(&mut connection).unwrap_or_default();
    // Another server may have taken the port first; ours is about to find that out and end.
    let is_ours = about.lines().any(|line| line.trim() == format!("process_id:{id}"));
    is_ours && redis::cmd("PING").exec(&mut connection).is_ok()
}

fn command(program: &Path, folder: &Path, port: u16, lease: Option<&File>) -> Result<Command> {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command.args([
        "--port",
        &port.to_string(),
        "--bind",
        "127.0.0.1",
        "--daemonize",
        "no",
        "--logfile",
        "redis.log",
    ]);
    // Every write is in the append-only file before it is answered, so the server itself may be killed at any time.
    // `everysec` leaves the fsync to once a second: only a crash of the whole machine can take the last second, and
    // an fsync per command would bound the flow by the disk. Snapshots (`save`) would add nothing to that.
    command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]);
    command.stdin(match lease {
        Some(lease) => Stdio::from(lease.try_clone()?),
        None => Stdio::null(),
    });
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn port_file(folder: &Path) -> PathBuf {
    folder.join("port")
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("redis.log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener};

    fn connection(server: &RedisServer) -> redis::Connection {
        redis::Client::open(server.url()).unwrap().get_connection().unwrap()
    }

    #[test]
    fn what_was_written_survives_a_kill_and_the_port_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = RedisServer::start(folder.path(), None).unwrap();
        redis::cmd("SET").arg("seat").arg("taken").exec(&mut connection(&server)).unwrap();
        let url = server.url();
        server.process().kill().unwrap();

        let server = RedisServer::start(folder.path(), None).unwrap();
        let seat: String = redis::cmd("GET").arg("seat").query(&mut connection(&server)).unwrap();
        assert_eq!((seat.as_str(), server.url()), ("taken", url));
    }

    #[test]
    fn a_port_taken_by_somebody_else_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        fs::write(folder.path().join("port"), port.to_string()).unwrap();
        let server = RedisServer::start(folder.path(), None).unwrap();
        assert!(!server.url().ends_with(&format!(":{port}")));
    }
}
