//! A share of a processor that a process gets no more than, as a container does: a control group of the kernel's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// Within so much time a process gets its share, in microseconds; the kernel's own choice.
const PERIOD: u32 = 100_000;

/// Where the groups are: version 2, or the processor's own hierarchy of version 1.
const VERSION_2: &str = "/sys/fs/cgroup";
const VERSION_1: &str = "/sys/fs/cgroup/cpu";

/// A control group, which is there for as long as this value lives.
#[derive(Debug)]
pub struct Quota(PathBuf);

impl Quota {
    /// A group that gets this share of one processor: 0.25 is a quarter. Only root may make one.
    pub fn of(share: f64) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("sugang-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // A whole number of microseconds, and far from its limits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is small")]
        let quota = (f64::from(PERIOD) * share) as u32;
        let version_2 = Path::new(VERSION_2);
        let (folder, file, text) = match version_2.join("cgroup.controllers").exists() {
            true => {
                // Whoever is the root of all groups has to hand the processor on first.
                let _ = fs::write(version_2.join("cgroup.subtree_control"), "+cpu");
                (version_2.join(name), "cpu.max", format!("{quota} {PERIOD}"))
            }
            false => (Path::new(VERSION_1).join(name), "cpu.cfs_quota_us", quota.to_string()),
        };
        let why = "a share of a processor takes control groups, which take root (and, in a container, that it may make them)";
        fs::create_dir(&folder).with_context(|| format!("{}: {why}", folder.display()))?;
        let group = Self(folder);
        fs::write(group.0.join(file), text).with_context(|| format!("{}: {why}", group.0.display()))?;
        Ok(group)
    }

    /// Limits a process, with all of its threads.
    pub fn limit(&self, process: u32) -> Result<()> {
        let members = self.0.join("cgroup.procs");
        fs::write(&members, process.to_string())
            .with_context(|| format!("cannot write {}", members.display()))
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A process that has just ended is in its group for a moment more.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}
