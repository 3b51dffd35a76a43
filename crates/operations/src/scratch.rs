//! What a command makes beside the place that it is for, and renames there once it is complete.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// What SQLite has beside a file.
pub(crate) const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];

/// A file or a folder beside another, gone with this unless it was renamed.
///
/// It is named after its process. So what one that was killed has left is known, and deleted by the next.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// `<target>.<kind>-<process>`, where there is nothing yet.
    pub(crate) fn beside(target: &Path, kind: &str) -> Result<Self> {
        let name = target.file_name().with_context(|| format!("{} has no name", target.display()))?;
        let prefix = format!("{}.{kind}-", name.to_string_lossy());
        sweep(&folder_of(target), &prefix);
        let scratch = Self(target.with_file_name(format!("{prefix}{}", std::process::id())));
        scratch.delete();
        Ok(scratch)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn delete(&self) {
        for suffix in SUFFIXES {
            delete(&with_suffix(&self.0, suffix));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.delete();
    }
}

/// Deletes what commands that were cut off have left.
fn sweep(folder: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let process = process.and_then(|rest| rest.split('-').next()?.parse().ok()).and_then(Pid::from_raw);
        if process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH)) {
            delete(&entry.path());
        }
    }
}

/// What cannot be deleted is in nobody's way.
fn delete(path: &Path) {
    let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
}

pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_has_left_goes_with_the_next_and_what_a_living_one_has_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let left = |rest: String| folder.path().join(format!("x.db.rebuild-{rest}"));
        let (dead, living) = (child.id(), std::os::unix::process::parent_id());
        fs::create_dir(left(dead.to_string())).unwrap();
        for file in [format!("{dead}-wal"), living.to_string(), "notes".to_owned()] {
            fs::write(left(file), "").unwrap();
        }
        let scratch = Scratch::beside(&folder.path().join("x.db"), "rebuild").unwrap();
        for suffix in SUFFIXES {
            fs::write(with_suffix(scratch.path(), suffix), "").unwrap();
        }
        drop(scratch);
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut kept = [left(living.to_string()), left("notes".to_owned())];
        kept.sort();
        assert_eq!(names, kept);
    }
}
