//! A program we started: signalled and stopped by its own process id, never by name.

use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A program that runs for as long as this value lives.
///
/// Dropping it ends the program, politely first, so that nothing is left behind when a command
/// fails half-way.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command`; `name` is what messages call it.
    ///
    /// It gets a process group of its own: a Ctrl-C in the terminal reaches us alone, and we stop
    /// the parts in their order.
    pub fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("cannot start {name} ({program})"))?;
        Ok(Self { name, child })
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard input, where that was asked to be a pipe. Only the first call gets it.
    pub fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// What it writes to its standard output, where that was asked to be a pipe. Only the first call gets it.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// The same for its standard error.
    #[must_use]
    pub fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// How it ended, or `None` while it runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))
    }

    /// Waits until `is_ready` says so of its process id; `false` if it ended instead.
    pub fn wait_until(&mut self, patience: Duration, is_ready: impl Fn(u32) -> bool) -> Result<bool> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if self.exited()?.is_some() {
                return Ok(false);
            }
            if is_ready(self.id()) {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("{} is not ready after {} s", self.name, patience.as_secs())
    }

    /// Sends it a signal. A program that has ended meanwhile is not an error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        // Not yet waited for, so the id is still its own.
        if self.exited()?.is_some() {
            return Ok(());
        }
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("no such process id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Asks it to end, waits for at most `patience`, then insists.
    pub fn stop(&mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.exited()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // A stopped (SIGSTOP) program, too, is ended by this.
        self.signal(Signal::KILL)?;
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to do about a failure here, and nobody to tell.
        let _ = self.stop(Duration::from_secs(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ignores_the_request_to_end_is_ended_all_the_same() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; while :; do sleep 0.05; done"]);
        let mut process = Process::start("a stubborn program", &mut command).unwrap();
        let status = process.stop(Duration::from_millis(100)).unwrap();
        assert!(!status.success());
    }

    #[test]
    fn signalling_a_program_that_has_ended_is_no_error() {
        let mut process = Process::start("true", &mut Command::new("true")).unwrap();
        while process.exited().unwrap().is_none() {
            thread::yield_now();
        }
        process.signal(Signal::TERM).unwrap();
    }
}
