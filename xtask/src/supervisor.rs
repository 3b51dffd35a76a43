//! Hosts that are kept running: one that ends, or whose liveness fails, is started anew.
//!
//! What Kubernetes does with a liveness probe, small: every second each host is asked for `/livez`, and one that does not
//! answer three times in a row is ended and started again. A host that only just starts is given time first. One that
//! ends three times right after its start is given up, since nothing would come of trying on.

use std::net::SocketAddr;
use std::process::ExitStatus;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use servers::Process;

use crate::probe;

/// How often it is looked whether a host has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often hosts are asked for `/livez`, how long each may take, and how many failures in a row mean that it lives no
/// more.
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
const FAILURES: u32 = 3;

/// How long a host may take from its start to its first answer: it may have to compile the components.
const STARTING: Duration = Duration::from_secs(300);

/// A host that ends sooner than this after its start has ended at once, and how often that may be.
const AT_ONCE: Duration = Duration::from_secs(10);
const HASTY_ENDS: u32 = 3;

/// How long a host may take to end after a SIGTERM, its time to drain left out, before it is killed.
const ENDING: Duration = Duration::from_secs(35);

/// Starts one host. It is called for every start.
pub type Starter = Box<dyn FnMut() -> Result<Process> + Send>;

/// What has happened to a host, each in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Story {
    /// It runs again, and why it had to be started.
    StartedAnew(String),
    /// It does not run any more.
    GivenUp(String),
}

/// Hosts that are kept running for as long as this value lives.
pub struct Supervisor {
    hosts: Arc<Mutex<Vec<Host>>>,
    /// Whoever watches over them. Dropping the sender is what ends it.
    watch: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

struct Host {
    address: SocketAddr,
    starter: Starter,
    process: Process,
    started: Instant,
    /// Whether it has answered since its start.
    answered: bool,
    failures: u32,
    hasty_ends: u32,
    starts: u32,
    /// Left alone: it was given up, or is just being replaced.
    unwatched: bool,
}

impl Host {
    fn start(&mut self) -> Result<()> {
        self.process = (self.starter)()?;
        (self.started, self.answered, self.failures) = (Instant::now(), false, 0);
        self.starts += 1;
        Ok(())
    }

    /// Whether it has just failed its liveness for good.
    fn note(&mut self, answers: bool) -> bool {
        if answers {
            (self.answered, self.failures) = (true, 0);
            return false;
        }
        self.failures += 1;
        match self.answered {
            true => self.failures >= FAILURES,
            false => self.started.elapsed() > STARTING,
        }
    }
}

impl Supervisor {
    /// Starts the hosts, each with the address that it will serve at, and watches over them. `tell` hears of whatever
    /// has to be done.
    pub fn start(hosts: Vec<(SocketAddr, Starter)>, tell: impl Fn(Story) + Send + 'static) -> Result<Self> {
        let mut started = Vec::new();
        for (address, mut starter) in hosts {
            let process = starter()?;
            started.push(Host {
                address,
                starter,
                process,
                started: Instant::now(),
                answered: false,
                failures: 0,
                hasty_ends: 0,
                starts: 1,
                unwatched: false,
            });
        }
        let hosts = Arc::new(Mutex::new(started));
        let (end, ended) = mpsc::channel::<()>();
        let watched = hosts.clone();
        let thread = thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
            let mut probed = Instant::now();
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                revive(&watched, &tell);
                if probed.elapsed() >= PROBE_EVERY {
                    probe_all(&watched, &tell);
                    probed = Instant::now();
                }
            }
        })?;
        Ok(Self { hosts, watch: Mutex::new(Some((end, thread))) })
    }

    /// Where the hosts are, in their order.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        lock(&self.hosts).iter().map(|host| host.address).collect()
    }

    /// The process ids, in the order of the hosts.
    #[must_use]
    pub fn process_ids(&self) -> Vec<u32> {
        lock(&self.hosts).iter().map(|host| host.process.id()).collect()
    }

    /// How often a host (counted from 0) was started so far.
    #[must_use]
    pub fn starts(&self, host: usize) -> u32 {
        lock(&self.hosts).get(host).map_or(0, |host| host.starts)
    }

    /// Waits until every host says at `/readyz` that it is ready.
    pub fn wait_until_ready(&self, patience: Duration) -> Result<()> {
        (0..self.addresses().len()).try_for_each(|host| self.wait_for(host, patience))
    }

    fn wait_for(&self, host: usize, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let (address, given_up) =
                self.with(host, |host| Ok((host.address, host.unwatched && host.hasty_ends >= HASTY_ENDS)))?;
            if probe::status(address, "/readyz", Duration::from_secs(5)) == Some(200) {
                return Ok(());
            }
            if given_up || Instant::now() > deadline {
                bail!("host {} is not ready; its log says why", host + 1);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a host a signal.
    pub fn signal(&self, host: usize, signal: Signal) -> Result<()> {
        self.with(host, |host| host.process.signal(signal))
    }

    fn with<T>(&self, host: usize, act: impl FnOnce(&mut Host) -> Result<T>) -> Result<T> {
        act(lock(&self.hosts).get_mut(host).context("there is no such host")?)
    }

    /// Has a host end as it should (SIGTERM), and another take its place, which is ready when this returns. `drain` is
    /// how long it answers on. Gives back how the first one ended.
    pub fn replace(
        &self,
        host: usize,
        starter: Starter,
        drain: Duration,
        patience: Duration,
    ) -> Result<ExitStatus> {
        self.with(host, |host| {
            host.unwatched = true;
            host.process.signal(Signal::TERM)
        })?;
        let deadline = Instant::now() + drain + ENDING;
        let ended = loop {
            let ended = self.with(host, |host| match Instant::now() < deadline {
                true => host.process.exited(),
                false => host.process.kill().map(Some),
            })?;
            if let Some(ended) = ended {
                break ended;
            }
            thread::sleep(Duration::from_millis(10));
        };
        self.with(host, |host| {
            host.starter = starter;
            host.start()?;
            host.unwatched = false;
            Ok(())
        })?;
        self.wait_for(host, patience)?;
        Ok(ended)
    }

    /// Has all hosts end, at the same time: what is in flight first, and without a time to drain, since it is for whoever
    /// stops all of them to see that nobody comes any more.
    pub fn stop(&self) -> Result<()> {
        if let Some((end, thread)) = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(end);
            let _ = thread.join();
        }
        let mut hosts = lock(&self.hosts);
        hosts.iter_mut().try_for_each(|host| host.process.signal(Signal::INT))?;
        let deadline = Instant::now() + ENDING;
        for host in hosts.iter_mut() {
            while host.process.exited()?.is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            host.process.kill()?;
        }
        Ok(())
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // Nothing to do about a failure here, and nobody to tell.
        let _ = self.stop();
    }
}

/// What a thread that panicked has left is still a process to be ended.
fn lock(hosts: &Mutex<Vec<Host>>) -> MutexGuard<'_, Vec<Host>> {
    hosts.lock().unwrap_or_else(PoisonError::into_inner)
}

fn revive(hosts: &Mutex<Vec<Host>>, tell: &impl Fn(Story)) {
    for (index, host) in lock(hosts).iter_mut().enumerate().filter(|(_, host)| !host.unwatched) {
        let Ok(Some(status)) = host.process.exited() else { continue };
        host.hasty_ends = if host.started.elapsed() < AT_ONCE { host.hasty_ends + 1 } else { 0 };
        restart(index, host, &format!("has ended ({status})"), tell);
    }
}

/// Asks all hosts whether they live, and ends those that do not.
fn probe_all(hosts: &Mutex<Vec<Host>>, tell: &impl Fn(Story)) {
    let watched: Vec<_> = lock(hosts)
        .iter()
        .enumerate()
        .filter(|(_, host)| !host.unwatched)
        .map(|(index, host)| (index, host.process.id(), host.address))
        .collect();
    // All at once and without the lock: nobody is to wait for a host that stands still.
    let probes: Vec<_> = watched
        .into_iter()
        .map(|(index, id, address)| {
            let probe = thread::spawn(move || probe::status(address, "/livez", PROBE_PATIENCE) == Some(200));
            (index, id, probe)
        })
        .collect();
    for (index, id, probe) in probes {
        let answers = probe.join().unwrap_or_default();
        let mut hosts = lock(hosts);
        let Some(host) = hosts.get_mut(index).filter(|host| host.process.id() == id && !host.unwatched)
        else {
            continue;
        };
        if host.note(answers) && host.process.kill().is_ok() {
            restart(index, host, "did not answer /livez three times in a row", tell);
        }
    }
}

fn restart(index: usize, host: &mut Host, why: &str, tell: &impl Fn(Story)) {
    let number = index + 1;
    if host.hasty_ends >= HASTY_ENDS {
        host.unwatched = true;
        return tell(Story::GivenUp(format!("host {number} {why}, each time right after its start")));
    }
    match host.start() {
        Ok(()) => tell(Story::StartedAnew(format!("host {number} {why}; it is started anew"))),
        Err(error) => {
            host.unwatched = true;
            tell(Story::GivenUp(format!("host {number} {why}, and cannot be started: {error:#}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::channel;

    use super::*;
    use servers::free_port;

    fn shell(script: String) -> Starter {
        Box::new(move || Process::start("a host", Command::new("sh").args(["-c", &script])))
    }

    #[test]
    fn a_host_that_ends_is_started_anew_and_one_that_ends_at_once_is_given_up() {
        let (tell, told) = channel();
        let address = ([127, 0, 0, 1], free_port().unwrap()).into();
        let hosts = vec![(address, shell("exit 7".to_owned())), (address, shell("exec sleep 60".to_owned()))];
        let supervisor = Supervisor::start(hosts, move |story| drop(tell.send(story))).unwrap();
        let next = || told.recv_timeout(Duration::from_secs(20)).unwrap();
        for _ in 1..HASTY_ENDS {
            assert!(matches!(next(), Story::StartedAnew(why) if why.contains("host 1 has ended")));
        }
        assert!(matches!(next(), Story::GivenUp(why) if why.contains("host 1 has ended")));
        assert!(supervisor.wait_for(0, Duration::from_secs(60)).is_err());
        assert_eq!((supervisor.starts(0), supervisor.starts(1)), (HASTY_ENDS, 1));
        supervisor.signal(1, Signal::KILL).unwrap();
        assert!(matches!(next(), Story::StartedAnew(why) if why.contains("host 2 has ended")));
    }

    #[test]
    fn a_host_that_has_never_answered_is_given_time() {
        let mut host = Host {
            address: ([127, 0, 0, 1], 1).into(),
            starter: shell("exec sleep 60".to_owned()),
            process: shell("exec sleep 60".to_owned())().unwrap(),
            started: Instant::now(),
            answered: false,
            failures: 0,
            hasty_ends: 0,
            starts: 1,
            unwatched: false,
        };
        assert!((0..10).all(|_| !host.note(false)));
        assert!(!host.note(true));
        let failed: Vec<_> = (0..FAILURES).map(|_| host.note(false)).collect();
        assert_eq!(failed, [false, false, true]);
        assert!(!host.note(true) && !host.note(false), "counted anew after an answer");
    }
}
