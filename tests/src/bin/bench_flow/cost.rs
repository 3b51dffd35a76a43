//! What the processes of a system have done and used, read from outside at any moment.

use std::fs;
use std::ops::Sub;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::system::System;

/// What is counted, and how it is called. The first three are milliseconds of a processor.
pub(crate) const COSTS: [&str; 9] = [
    "processor, host (ms)",
    "processor, Redis (ms)",
    "processor, PostgreSQL (ms)",
    "SQL statements",
    "commits",
    "Redis commands, sent for components",
    "Redis commands, run by the server",
    "wake-ups",
    "instances made",
];

/// The host's own counters, in the order of [`COSTS`]; none for what is read elsewhere.
const COUNTERS: [Option<&str>; COSTS.len()] = [
    None,
    None,
    None,
    Some("sugang_sql_statements_total"),
    Some("sugang_sql_commits_total"),
    Some("sugang_redis_commands_total"),
    None,
    Some("sugang_redis_messages_total"),
    Some("sugang_instances_total"),
];

/// A number for each of [`COSTS`]; none where it cannot be known, as with a host that does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost(pub(crate) [Option<f64>; COSTS.len()]);

impl Cost {
    /// Each of the numbers, multiplied.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self(self.0.map(|cost| cost.map(|cost| cost * factor)))
    }

    /// The time on a processor, of all processes together, in milliseconds.
    pub(crate) fn processor(&self) -> Option<f64> {
        let [host, redis, postgres, ..] = self.0;
        Some(host? + redis? + postgres.unwrap_or_default())
    }
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, less: Self) -> Self {
        let mut pairs = self.0.into_iter().zip(less.0);
        Self(std::array::from_fn(|_| pairs.next().and_then(|(cost, less)| Some(cost? - less?))))
    }
}

/// Reads the costs of one system.
pub(crate) struct Meter<'a> {
    system: &'a System,
    // Always the same one, since to open one costs commands too.
    redis: redis::Connection,
}

/// All that a system had cost at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    at: Instant,
    total: Cost,
}

impl<'a> Meter<'a> {
    pub(crate) fn new(system: &'a System) -> Result<Self> {
        let redis = redis::Client::open(system.redis_url())?.get_connection()?;
        Ok(Self { system, redis })
    }

    pub(crate) fn read(&mut self) -> Result<Reading> {
        let [host, redis] = self.system.processes().map(processor_time);
        let counters = self.counters()?;
        let counter =
            |name: &str| counters.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        let mut costs = COUNTERS.map(|name| name.and_then(counter));
        let postgres = self.system.postgres().and_then(family_time);
        let [first, second, third, _, _, _, server, ..] = &mut costs;
        (*first, *second, *third, *server) = (host, redis, postgres, Some(self.server_commands()?));
        Ok(Reading { at: Instant::now(), total: Cost(costs) })
    }

    /// What the system has cost since an earlier reading, and how long ago that was.
    pub(crate) fn since(&mut self, earlier: Reading) -> Result<(Cost, Duration)> {
        let now = self.read()?;
        Ok((now.total - earlier.total, now.at - earlier.at))
    }

    /// The text of the host's counters; empty if it has none.
    fn counters(&self) -> Result<String> {
        let Some(metrics) = self.system.metrics() else { return Ok(String::new()) };
        Ok(metrics.attempt(metrics.request("GET", "/"), None).context("the host does not count")?.body)
    }

    /// How many commands the server has run, whoever sent them, those in scripts too; but for our own.
    fn server_commands(&mut self) -> Result<f64> {
        let about: String = redis::cmd("INFO").arg("stats").arg("commandstats").query(&mut self.redis)?;
        let value = |line: &str| {
            line.split([':', ',']).nth(1)?.trim_start_matches("calls=").trim().parse::<f64>().ok()
        };
        let of = |name: &str| about.lines().find(|line| line.starts_with(name)).and_then(value);
        let all =
            of("total_commands_processed:").context("the server does not say how many commands it ran")?;
        Ok(all - of("cmdstat_info:").unwrap_or_default())
    }
}

/// How long a process has been on a processor, all its threads together, in milliseconds.
#[cfg(target_os = "linux")]
fn processor_time(process: u32) -> Option<f64> {
    use nix::{time::ClockId, unistd::Pid};
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(process).ok()?)).ok()?;
    Some(Duration::from(clock.now().ok()?).as_secs_f64() * 1_000.0)
}

#[cfg(not(target_os = "linux"))]
fn processor_time(_: u32) -> Option<f64> {
    None
}

/// How long a process and its children have been on a processor, those that have ended too, in milliseconds. It is read from
/// what the kernel writes, which counts in hundredths of a second.
fn family_time(process: u32) -> Option<f64> {
    let mut hundredths = 0;
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name, which may hold anything, is in parentheses.
        let Some((id, rest)) =
            text.split_once(" (").zip(text.rsplit_once(") ")).map(|((id, _), (_, rest))| (id, rest))
        else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number =
            |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
        let is_itself = id.parse() == Ok(process);
        if is_itself || number(1) == u64::from(process) {
            hundredths += number(11) + number(12);
        }
        if is_itself {
            hundredths += number(13) + number(14);
        }
    }
    Some(hundredths as f64 * 10.0)
}

/// How much memory the host and redis-server take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) host: Resident,
    pub(crate) redis: Resident,
}

/// The resident memory of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    pub(crate) all: u64,
    /// Its part of what it shares with other processes; none where the system does not tell.
    pub(crate) proportional: Option<u64>,
}

impl Memory {
    /// Reads it; none where there is no `/proc`.
    pub(crate) fn of(system: &System) -> Option<Self> {
        let [host, redis] = system.processes().map(Resident::of);
        Some(Self { host: host?, redis: redis? })
    }

    /// The resident memory of both.
    pub(crate) fn all(&self) -> u64 {
        self.host.all + self.redis.all
    }
}

impl Resident {
    fn of(process: u32) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let all = kilobytes(&read("status"), "VmRSS:")?;
        Some(Self { all, proportional: kilobytes(&read("smaps_rollup"), "Pss:") })
    }
}

/// The value of a line like `VmRSS:   1804 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = "55821d0c1000-7ffca320a000 ---p 00000000\nRss:                1804 kB\nPss:  441 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(kilobytes(text, "Rss:"), Some(1804 * 1024));
        assert_eq!(kilobytes(text, "Pss:"), Some(441 * 1024));
        assert_eq!(kilobytes(text, "Swap:"), None);
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_the_difference() {
        let of = |first, second| {
            let mut costs = [None; COSTS.len()];
            costs[..2].copy_from_slice(&[first, second]);
            Cost(costs)
        };
        assert_eq!(of(Some(3.0), Some(3.0)) - of(Some(1.0), None), of(Some(2.0), None));
    }
}
