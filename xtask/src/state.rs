//! The state directory: all that one running system keeps, and the claim that it is used by one alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Tells a directory of ours from one that only has the same name; nothing else is ever deleted.
const MARKER: &str = "sugang-state.txt";

const MARKER_TEXT: &str = "Everything that one Sugang system keeps: its SQLite stores, its Redis log, its other logs.\n\
    `cargo xtask up --fresh` empties this directory; deleting it by hand while the system is stopped is fine too.\n";

const LOCK: &str = "lock";

/// How long what a killed command left may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A state directory that this process alone may use.
///
/// The claim is a lock on a file in it, and it is handed on to every process started with a [`StateDir::lease`]:
/// were we killed, the directory would stay claimed until the last of those has ended, so two systems can
/// never write the same files.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    lock: File,
}

impl StateDir {
    /// Claims `path`, creating it if need be. With `fresh`, what it holds is deleted first.
    pub fn claim(path: &Path, fresh: bool) -> Result<Self> {
        let path = std::path::absolute(path).with_context(|| format!("{} is not a path", path.display()))?;
        if holds_something_else(&path)? {
            bail!(
                "{} is not empty and not a state directory of Sugang (it has no {MARKER}): choose another with --state-dir",
                path.display()
            );
        }
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let lock = lock(&path)?;
        if fresh {
            empty(&path)?;
        }
        fs::write(path.join(MARKER), MARKER_TEXT)
            .with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { path, lock })
    }

    /// Where it is, as an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What to give to a process, as its standard input, that must not outlive the claim unnoticed.
    #[must_use]
    pub fn lease(&self) -> &File {
        &self.lock
    }

    /// Writes down which processes use the directory, for whoever finds it claimed.
    pub fn note_processes(&mut self, processes: &[(&str, u32)]) -> Result<()> {
        let lines: String = processes.iter().map(|(name, id)| format!("{name} {id}\n")).collect();
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock
            .write_all(lines.as_bytes())
            .with_context(|| format!("cannot write to {}", self.path.display()))
    }
}

/// Writes a file that may hold a password, for its owner's eyes alone.
pub(crate) fn write_for_owner(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn holds_something_else(path: &Path) -> Result<bool> {
    if path.join(MARKER).exists() {
        return Ok(false);
    }
    match fs::read_dir(path) {
        Ok(entries) => {
            for entry in entries {
                // Left by a first start that was stopped before the marker was written.
                if entry?.file_name() != LOCK {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = path.join(LOCK);
    let mut lock = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&file)
        .with_context(|| format!("cannot open {}", file.display()))?;
    if try_lock(&lock, &file)? {
        return Ok(lock);
    }
    let mut noted = String::new();
    lock.read_to_string(&mut noted)?;
    let holders = Holders::parse(&noted, &file);
    if holders.stop_what_a_killed_command_left()? {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if try_lock(&lock, &file)? {
                return Ok(lock);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    bail!(
        "{} is in use by another system ({}). Stop that one first, with Ctrl-C where it runs, or choose another with \
         --state-dir and --listen",
        path.display(),
        holders.names()
    )
}

fn try_lock(lock: &File, file: &Path) -> Result<bool> {
    match lock.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", file.display()))
        }
    }
}

/// Who was noted to use the directory: the command first, then the parts it started.
struct Holders<'a> {
    noted: Vec<(&'a str, u32)>,
    lock: &'a Path,
}

impl<'a> Holders<'a> {
    fn parse(noted: &'a str, lock: &'a Path) -> Self {
        let noted = noted.lines().filter_map(|line| {
            let (name, id) = line.rsplit_once(' ')?;
            Some((name, id.parse().ok()?))
        });
        Self { noted: noted.collect(), lock }
    }

    /// Where the command itself is gone (it was killed), asks the parts it left behind to end. `false` when there
    /// is no such part.
    fn stop_what_a_killed_command_left(&self) -> Result<bool> {
        let Some(((_, command), parts)) = self.noted.split_first() else { return Ok(false) };
        if process(*command).is_some_and(|id| test_kill_process(id).is_ok()) {
            return Ok(false);
        }
        let mut any = false;
        for (name, part) in parts {
            if let Some(id) = process(*part).filter(|_| self.holds_a_lease(*part)) {
                println!("stopping {name} (process {part}), left by an `up` that was killed");
                kill_process(id, Signal::TERM).with_context(|| format!("cannot stop {name}"))?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Whether the process still is the one that was noted: ids are used again, our lock as standard input is not.
    fn holds_a_lease(&self, id: u32) -> bool {
        fs::read_link(format!("/proc/{id}/fd/0")).is_ok_and(|input| input == self.lock)
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.noted.iter().map(|(name, id)| format!("{name} {id}")).collect();
        names.join(", ")
    }
}

fn process(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

/// Deletes what the directory holds, except the lock that keeps others out meanwhile.
fn empty(path: &Path) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        let inside = entry.path();
        let deleted =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(&inside) } else { fs::remove_file(&inside) };
        deleted.with_context(|| format!("cannot delete {}", inside.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_directory_in_use_is_refused_naming_who_uses_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = StateDir::claim(folder.path(), false).unwrap();
        let ours = std::process::id();
        first.note_processes(&[("up", ours), ("redis-server", ours)]).unwrap();
        let refusal = StateDir::claim(folder.path(), false).unwrap_err().to_string();
        assert!(refusal.contains(&format!("up {ours}, redis-server {ours}")), "{refusal}");
    }

    #[test]
    fn a_directory_stays_claimed_while_a_process_with_a_lease_lives() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::claim(folder.path(), false).unwrap();
        let mut child = Command::new("sleep")
            .arg("30")
            .stdin(Stdio::from(state.lease().try_clone().unwrap()))
            .spawn()
            .unwrap();
        drop(state);
        StateDir::claim(folder.path(), false).unwrap_err();
        child.kill().unwrap();
        child.wait().unwrap();
        StateDir::claim(folder.path(), false).unwrap();
    }

    #[test]
    fn what_a_killed_command_left_is_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = StateDir::claim(folder.path(), false).unwrap();
        let lease = Stdio::from(state.lease().try_clone().unwrap());
        let mut left = Command::new("sleep").arg("30").stdin(lease).spawn().unwrap();
        let mut killed = Command::new("true").spawn().unwrap();
        killed.wait().unwrap();
        state.note_processes(&[("up", killed.id()), ("sleep", left.id())]).unwrap();
        drop(state);
        StateDir::claim(folder.path(), false).unwrap();
        assert!(!left.wait().unwrap().success());
    }

    #[test]
    fn a_directory_that_is_not_ours_is_never_emptied() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("thesis.txt"), "precious").unwrap();
        let refusal = StateDir::claim(folder.path(), true).unwrap_err().to_string();
        assert!(refusal.contains("not a state directory of Sugang"), "{refusal}");
        assert!(folder.path().join("thesis.txt").exists());
    }

    #[test]
    fn fresh_starts_over_and_otherwise_state_stays() {
        let folder = tempfile::tempdir().unwrap();
        let order = folder.path().join("order.db");
        drop(StateDir::claim(folder.path(), false).unwrap());
        fs::write(&order, "orders").unwrap();
        drop(StateDir::claim(folder.path(), false).unwrap());
        assert!(order.exists());
        drop(StateDir::claim(folder.path(), true).unwrap());
        assert!(!order.exists());
    }
}
