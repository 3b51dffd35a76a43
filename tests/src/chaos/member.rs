//! One process of the system: some of the components, on a port of its own, with a log of its own.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use servers::Process;
use xtask::workspace;

use super::clock::Clock;
use super::system::Settings;
use crate::api::Api;
use crate::host::set_variable;
use crate::members::OPEN;

/// How long a process may take to serve; compiled code is cached, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a member is started this time.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The fault point at which it stands still for ever, such as `order.committed`.
    pub fault: Option<String>,
    /// By how many seconds its clock is wrong, which can change; otherwise it goes by the machine's.
    pub clock: Option<i64>,
    /// How long its gateway takes for a charge.
    pub gateway_delay: Duration,
}

/// A process of the system, running or not.
#[derive(Debug)]
pub struct Member {
    name: &'static str,
    /// By their ids in the manifest; none is every component.
    components: Vec<String>,
    address: SocketAddr,
    process: Option<Process>,
    log: PathBuf,
    clock: Clock,
    settings: Settings,
    variables: Vec<(String, String)>,
}

impl Member {
    /// A member that does not run yet.
    #[must_use]
    pub fn new(
        name: &'static str,
        components: Vec<String>,
        port: u16,
        settings: &Settings,
        variables: Vec<(String, String)>,
    ) -> Self {
        Self {
            name,
            components,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            process: None,
            log: settings.folder.join("logs").join(format!("{name}.log")),
            clock: Clock::new(settings.folder.join("logs").join(format!("{name}.clock"))),
            settings: settings.clone(),
            variables,
        }
    }

    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it serves HTTP, whenever it runs.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it and waits until it serves.
    pub fn start(&mut self, start: &Start) -> Result<()> {
        let mut command = self.command(start)?;
        self.process = Some(Process::start(self.name, &mut command)?);
        self.wait_until_it_serves()
    }

    /// Starts it as it should be.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.start(&Start::default())
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Starts it again if it has ended by itself; that it did is an error of its own.
    pub fn revive(&mut self) -> Result<Option<String>> {
        let ended = match &mut self.process {
            Some(process) => process.exited()?,
            None => None,
        };
        let Some(status) = ended else { return Ok(None) };
        let last = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<_> = last.lines().rev().take(5).collect();
        let story = format!("{} ended by itself ({status}): {last:?}", self.name);
        self.restart()?;
        Ok(Some(story))
    }

    /// Has it stand still, or go on.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.as_mut().with_context(|| format!("{} does not run", self.name))?.signal(signal)
    }

    /// The clock it goes by, if it was started with one.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Has no file of it grow beyond so many bytes, as on a disk that is full; none lifts the limit.
    pub fn limit_files(&mut self, bytes: Option<u64>) -> Result<()> {
        let process = self.process.as_ref().with_context(|| format!("{} does not run", self.name))?;
        let id = Pid::from_raw(i32::try_from(process.id())?).context("no such process")?;
        // The hard limit stays, so that the soft one can be lifted again.
        prlimit(Some(id), Resource::Fsize, Rlimit { current: bytes, maximum: None })
            .with_context(|| format!("cannot limit the files of {}", self.name))?;
        Ok(())
    }

    /// Waits until its log has this line since `from`; `false` when it does not come in time.
    pub fn waits_at(&self, point: &str, from: usize, patience: Duration) -> bool {
        let line = format!("fault point reached: {point}");
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.said(&line, from) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// How much it has said so far.
    #[must_use]
    pub fn log_length(&self) -> usize {
        fs::metadata(&self.log).map_or(0, |about| usize::try_from(about.len()).unwrap_or_default())
    }

    fn said(&self, line: &str, from: usize) -> bool {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).contains(line)
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        let api = Api::with_patience(self.address, Duration::from_secs(2));
        let deadline = Instant::now() + PATIENCE;
        while !api.is_up() {
            let ended = self.process.as_mut().map(Process::exited).transpose()?.flatten();
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(10).collect();
                bail!("{} does not start ({ended:?}): {last:?}", self.name);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Started through a shell that has the signal of a full disk ignored: a write then fails, as it should, instead
    /// of ending the process.
    fn command(&self, start: &Start) -> Result<Command> {
        let log = File::options().create(true).append(true).open(&self.log).context("no log")?;
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(workspace::host_binary());
        command.current_dir(workspace::root()).env(workspace::CACHE_VARIABLE, workspace::code_cache());
        command.env("NO_COLOR", "1").env(OPEN.0, OPEN.1).arg("up");
        command.arg("--from").arg(&self.settings.manifest);
        command.arg("--runtime-config-file").arg(workspace::runtime_config());
        command.arg("--state-dir").arg(&self.settings.folder);
        command.arg("--listen").arg(self.address.to_string());
        for component in &self.components {
            command.args(["--component-id", component]);
        }
        for (name, value) in &self.variables {
            set_variable(&mut command, name, value);
        }
        command.arg("--variable").arg(format!("gateway_delay_ms={}", start.gateway_delay.as_millis()));
        if let Some(point) = &start.fault {
            command.arg("--env").arg(format!("SUGANG_FAULT={point}"));
        }
        if let Some(guards) = &self.settings.without {
            command.arg("--env").arg(format!("SUGANG_WITHOUT={guards}"));
        }
        if let Some(wrong_by) = start.clock {
            self.clock.set(wrong_by)?;
            command.envs(self.clock.environment()?);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}
