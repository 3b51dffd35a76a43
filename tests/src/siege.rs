//! Siege, the load tester that the seed used: run as the seed ran it, and read.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

/// The settings of siege 4 that its users' own files might change: a connection per request, no pause in between.
const SETTINGS: &str = "verbose = true
quiet = false
color = off
json_output = false
show-logfile = false
logging = false
protocol = HTTP/1.1
connection = close
timeout = 30
failures = 1024
delay = 0.0
";

/// A siege that is under way.
#[derive(Debug)]
pub struct Siege(Child);

/// What siege printed: every answer it saw, and its summary.
#[derive(Debug)]
pub struct Besieged {
    /// What was answered.
    pub answers: Answers,
    summary: String,
}

impl Siege {
    /// So many users send `body` to `url` again and again, each waiting for an answer before the next, for so many
    /// seconds. Its settings are kept in `folder`.
    pub fn lay(folder: &Path, url: &str, body: &str, users: usize, seconds: u64) -> Result<Self> {
        let settings = folder.join("siege.conf");
        fs::write(&settings, SETTINGS)?;
        let child = Command::new("siege")
            .arg("-R")
            .arg(&settings)
            .args([format!("-c{users}"), format!("-t{seconds}S")])
            .args(["-v", "--content-type", "application/json"])
            .arg(format!("{url} POST {body}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        child.map(Self).context("cannot run siege")
    }

    /// Waits until it is over. A long siege has to be waited for by a thread of its own: it stands still while nobody
    /// reads what it prints.
    pub fn end(self) -> Result<Besieged> {
        let output = self.0.wait_with_output().context("siege")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Besieged::read(&text(&output.stdout), text(&output.stderr))
    }
}

impl Besieged {
    /// Reads its lines, and keeps its summary.
    pub fn read(lines: &str, summary: String) -> Result<Self> {
        Ok(Self { answers: Answers::read(lines)?, summary })
    }

    /// A figure of the summary, such as `Availability`; `-` where there is none.
    #[must_use]
    pub fn figure(&self, name: &str) -> &str {
        let line = self.summary.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or("-", str::trim)
    }
}

/// Every answer that siege saw.
#[derive(Debug, Default, PartialEq)]
pub struct Answers {
    /// Those of the statuses 200 to 299.
    pub accepted: u64,
    /// Those from 500 on.
    pub server_errors: u64,
    /// All others.
    pub others: u64,
    /// How long each took, shortest first.
    pub times: Vec<Duration>,
}

impl Answers {
    /// Reads lines such as `HTTP/1.1 201     0.43 secs:     412 bytes ==> POST http://…`.
    pub fn read(lines: &str) -> Result<Self> {
        let mut answers = Self::default();
        for line in lines.lines().filter(|line| line.starts_with("HTTP/")) {
            let mut words = line.split_whitespace().skip(1);
            let status: u16 =
                words.next().and_then(|word| word.parse().ok()).with_context(|| line.to_owned())?;
            let seconds: f64 =
                words.next().and_then(|word| word.parse().ok()).with_context(|| line.to_owned())?;
            match status {
                200..=299 => answers.accepted += 1,
                500..=599 => answers.server_errors += 1,
                _ => answers.others += 1,
            }
            answers.times.push(Duration::from_secs_f64(seconds));
        }
        answers.times.sort_unstable();
        Ok(answers)
    }

    /// The time that so many per cent of the answers kept to, as exact as siege tells it: 10 ms.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((self.times.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_lines_of_siege_are_counted_and_everything_else_is_passed_over() {
        let answers = Answers::read(
            "** SIEGE 4.0.7\nHTTP/1.1 201     0.44 secs:     412 bytes ==> POST http://127.0.0.1:1/orders\n\
             HTTP/1.1 500    30.60 secs:     271 bytes ==> POST http://127.0.0.1:1/orders\n",
        )
        .unwrap();
        assert_eq!((answers.accepted, answers.server_errors, answers.others), (1, 1, 0));
        assert_eq!(answers.percentile(50), Duration::from_secs_f64(30.6));
    }

    #[test]
    fn a_figure_is_what_stands_behind_its_name() {
        let summary = "Transactions:\t\t         110 hits\nAvailability:\t\t       86.61 %\n".to_owned();
        let besieged = Besieged::read("", summary).unwrap();
        assert_eq!((besieged.figure("Availability"), besieged.figure("Concurrency")), ("86.61 %", "-"));
    }
}
