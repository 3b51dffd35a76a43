//! Several hosts behind a balancer, for `up --hosts`.
//!
//! A host that ends or stands still is started anew, and the others go on meanwhile: to see that is what several are tried
//! out for. Whatever else ends, ends all, as with a single host.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Result, bail};
use servers::Process;

use super::Happening;
use super::serving::copy_output;
use crate::balancer::{Balancer, NOTICED_WITHIN};
use crate::state::StateDir;
use crate::supervisor::{Starter, Story, Supervisor};

/// How long the hosts may take until all are ready: the first may have to compile the components.
const STARTING: Duration = Duration::from_secs(300);

/// The hosts and, once they are ready, the balancer before them.
pub(super) struct Hosts {
    balancer: Option<Balancer>,
    supervisor: Arc<Supervisor>,
    /// What copies the hosts' output; they end after them.
    outputs: Outputs,
    listen: SocketAddr,
    folder: PathBuf,
}

type Outputs = Arc<Mutex<Vec<JoinHandle<()>>>>;

impl Hosts {
    /// Starts so many hosts, each by the command line that `command` makes for its address; the main loop hears when all
    /// are ready, and of what happens to them.
    pub(super) fn start(
        count: u16,
        listen: SocketAddr,
        state: &StateDir,
        command: impl Fn(SocketAddr) -> Result<Command>,
        happens: Sender<Happening>,
    ) -> Result<Self> {
        let outputs = Outputs::default();
        let hosts: Result<Vec<_>> = (1..=count)
            .map(|number| {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, servers::free_port()?));
                let mut command = command(address)?;
                command.stdin(Stdio::from(state.lease().try_clone()?));
                let log = state.path().join("logs").join(format!("host-{number}.log"));
                Ok((address, starter(number, log, command, outputs.clone())))
            })
            .collect();
        let tell = happens.clone();
        let supervisor = Supervisor::start(hosts?, move |story| {
            let _ = tell.send(match story {
                Story::StartedAnew(why) => Happening::HostStartedAnew(why),
                Story::GivenUp(why) => Happening::PartEnded(why),
            });
        })?;
        let supervisor = Arc::new(supervisor);
        let waiting = supervisor.clone();
        thread::Builder::new().name("readiness".to_owned()).spawn(move || {
            let _ = happens.send(match waiting.wait_until_ready(STARTING) {
                Ok(()) => Happening::Serving,
                Err(error) => Happening::PartEnded(format!("{error:#}")),
            });
        })?;
        Ok(Self { balancer: None, supervisor, outputs, listen, folder: state.path().join("balancer") })
    }

    /// Starts the balancer, now that the hosts are ready. Says where they are, for the banner.
    pub(super) fn open(&mut self, lease: &File) -> Result<String> {
        let addresses = self.supervisor.addresses();
        self.balancer = Some(Balancer::start(&self.folder, self.listen, &addresses, Some(lease))?);
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        Ok(format!("\nHosts: {}. One that ends is started anew.", addresses.join(", ")))
    }

    /// Every process, by name.
    pub(super) fn processes(&mut self) -> Vec<(&'static str, u32)> {
        let hosts = self.supervisor.process_ids().into_iter().map(|id| ("host", id));
        let balancer = self.balancer.as_mut().map(|balancer| ("haproxy", balancer.process().id()));
        hosts.chain(balancer).collect()
    }

    /// Fails if the balancer has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        if let Some(balancer) = &mut self.balancer
            && let Some(status) = balancer.process().exited()?
        {
            bail!("haproxy has ended ({status}; see {}); stopped everything else", balancer.log().display());
        }
        Ok(())
    }

    /// Nobody comes any more once the balancer takes no connections; then all hosts end at the same time, what is in flight
    /// first.
    pub(super) fn stop(&mut self) -> Result<()> {
        self.balancer.as_mut().map_or(Ok(()), Balancer::leave)?;
        self.supervisor.stop()?;
        self.balancer.as_mut().map_or(Ok(()), Balancer::stop)?;
        for output in self.outputs.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Last words, such as why a host would not start, are worth waiting for.
            let _ = output.join();
        }
        Ok(())
    }
}

/// The flags of a host that is one of several, unless they were `given`.
pub(super) fn set_flags(command: &mut Command, given: &[String]) {
    command.args(["--trusted-proxy", "127.0.0.1"]);
    // A host that is told to stop has to be left alone by then.
    if !given.iter().any(|flag| flag.starts_with("--drain-time")) {
        command.args(["--drain-time", &format!("{}s", NOTICED_WITHIN.as_secs())]);
    }
}

fn starter(number: u16, log: PathBuf, mut command: Command, outputs: Outputs) -> Starter {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Box::new(move || {
        let mut host = Process::start("a host", &mut command)?;
        let mut outputs = outputs.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those that were there before it.
        outputs.retain(|output| !output.is_finished());
        outputs.extend(copy_output(&mut host, &log, &format!("host {number} | "), |_| ())?);
        Ok(host)
    })
}
