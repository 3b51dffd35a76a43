//! What serves requests: one host, or several behind a balancer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use anyhow::{Result, bail};
use servers::Process;

use super::hosts::Hosts;
use super::{Happening, PATIENCE};
use crate::state::StateDir;

/// What serves requests.
pub(super) enum Serving {
    One {
        host: Process,
        /// What copies the host's output; they end after it.
        outputs: Vec<JoinHandle<()>>,
    },
    Several(Hosts),
}

impl Serving {
    pub(super) fn one(mut command: Command, state: &StateDir, happens: Sender<Happening>) -> Result<Self> {
        command.stdin(Stdio::from(state.lease().try_clone()?)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut host = Process::start("the host", &mut command)?;
        let log = state.path().join("logs").join("host.log");
        let outputs = copy_output(&mut host, &log, "", move |line| {
            if line.starts_with("Serving ") {
                let _ = happens.send(Happening::Serving);
            }
        })?;
        Ok(Self::One { host, outputs })
    }

    /// Fails if it has ended and is not started anew.
    pub(super) fn check(&mut self) -> Result<()> {
        match self {
            Self::One { host, .. } => match host.exited()? {
                Some(status) => bail!("the host has ended ({status}); stopped everything else"),
                None => Ok(()),
            },
            Self::Several(hosts) => hosts.check(),
        }
    }

    /// Its processes, by name.
    pub(super) fn processes(&mut self) -> Vec<(&'static str, u32)> {
        match self {
            Self::One { host, .. } => vec![("host", host.id())],
            Self::Several(hosts) => hosts.processes(),
        }
    }

    /// The requests in flight are answered first.
    pub(super) fn stop(&mut self) -> Result<()> {
        match self {
            Self::One { host, outputs } => {
                host.stop(PATIENCE)?;
                for output in outputs.drain(..) {
                    // Its last words, such as why it would not start, are worth waiting for.
                    let _ = output.join();
                }
                Ok(())
            }
            Self::Several(hosts) => hosts.stop(),
        }
    }
}

/// Copies what a host prints to the terminal, with something before each line, and to its log. `on_line` sees its standard
/// output. What copies ends after the host.
pub(super) fn copy_output(
    host: &mut Process,
    log: &Path,
    prefix: &str,
    on_line: impl Fn(&str) + Send + 'static,
) -> Result<Vec<JoinHandle<()>>> {
    let log = File::options().create(true).append(true).open(log)?;
    let prefix = || prefix.to_owned();
    let mut outputs = Vec::new();
    if let Some(output) = host.take_stdout() {
        outputs.push(copy_lines(output, std::io::stdout(), log.try_clone()?, prefix(), on_line)?);
    }
    if let Some(errors) = host.take_stderr() {
        outputs.push(copy_lines(errors, std::io::stderr(), log, prefix(), |_| ())?);
    }
    Ok(outputs)
}

fn copy_lines(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    mut log: File,
    prefix: String,
    on_line: impl Fn(&str) + Send + 'static,
) -> Result<JoinHandle<()>> {
    let copy = move || {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { return };
            // A terminal that is gone or a disk that is full must not stop the system.
            let _ = writeln!(to, "{prefix}{line}");
            let _ = writeln!(log, "{line}");
            on_line(&line);
        }
    };
    Ok(thread::Builder::new().name("output".to_owned()).spawn(copy)?)
}
