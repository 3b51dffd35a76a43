//! `doctor`: what this machine needs for Sugang, what is missing, and how to get it.

use std::fmt;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::Args;

use crate::{build, setup, workspace};

/// The oldest compiler that builds Sugang; the workspace's `rust-version`.
const RUST: (u32, u32) = (1, 95);

/// What a build from nothing takes on the disk, with room for the tests.
const DISK_BYTES: u64 = 6 * 1024 * 1024 * 1024;

/// The port `up` listens on unless told otherwise.
const PORT: u16 = 8080;

/// Say what is needed, what is missing and how to get it.
///
/// Ends with 1 if something needed is missing. What is only recommended does not count.
#[derive(Args)]
pub struct Doctor {}

impl Doctor {
    /// Prints a line per finding.
    pub fn run(&self) -> Result<()> {
        let findings =
            [rust(), target(), redis(), postgres(), registry(), c_compiler(), port(), disk(), spin()];
        for finding in &findings {
            println!("{finding}");
        }
        let missing = findings.iter().filter(|finding| finding.state == State::Missing).count();
        match missing {
            0 => Ok(()),
            1 => bail!("one thing that is needed is missing"),
            many => bail!("{many} things that are needed are missing"),
        }
    }
}

/// What was found about one thing.
struct Finding {
    what: &'static str,
    state: State,
    /// What is there, or how to get it.
    detail: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    There,
    /// Needed, and not there.
    Missing,
    /// Works without, but not everything or not as well.
    Note,
}

impl Finding {
    fn there(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::There, detail: detail.into() }
    }

    fn missing(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::Missing, detail: detail.into() }
    }

    fn note(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, state: State::Note, detail: detail.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::There => "ok",
            State::Missing => "MISSING",
            State::Note => "note",
        };
        write!(f, "{state:<8} {:<20} {}", self.what, self.detail)
    }
}

/// The first line a program prints when asked for its version.
fn version(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(workspace::root())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or_default().to_owned())
}

fn rust() -> Finding {
    let (major, minor) = RUST;
    let how = format!("at least {major}.{minor} is needed: https://rustup.rs, or `rustup update`");
    match version("rustc", &["--version"]) {
        None => Finding::missing("Rust", how),
        Some(found) if parse_rust(&found).is_some_and(|it| it >= RUST) => Finding::there("Rust", found),
        Some(found) => Finding::missing("Rust", format!("{found}; {how}")),
    }
}

/// The first two numbers of a line such as `rustc 1.95.0 (59807616e 2026-04-14)`.
fn parse_rust(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn target() -> Finding {
    if setup::has_target() {
        return Finding::there("WebAssembly target", workspace::COMPONENT_TARGET);
    }
    if workspace::find_program(&["rustup"]).is_some() {
        return Finding::note(
            "WebAssembly target",
            "not there yet: `cargo xtask setup` adds it, and so does `up`",
        );
    }
    Finding::missing("WebAssembly target", setup::how_to_get_target())
}

/// Where it is, and of which version its `program` is.
fn with_version(found: &Path, program: &Path) -> String {
    let version = version(&program.to_string_lossy(), &["--version"]).unwrap_or_default();
    format!("{} ({version})", found.display())
}

fn redis() -> Finding {
    match setup::REDIS.found() {
        Some(server) => Finding::there("Redis or Valkey", with_version(&server, &server)),
        None => Finding::missing("Redis or Valkey", setup::REDIS.how_to_get()),
    }
}

/// Needed by the tests of what a component may ask a PostgreSQL, and by nothing that runs.
fn postgres() -> Finding {
    match setup::POSTGRES.found() {
        Some(programs) => {
            Finding::there("PostgreSQL (tests)", with_version(&programs, &programs.join("postgres")))
        }
        None => Finding::note("PostgreSQL (tests)", setup::POSTGRES.how_to_get()),
    }
}

fn registry() -> Finding {
    match setup::REGISTRY.found() {
        Some(program) => Finding::there("registry (tests)", program.display().to_string()),
        None => Finding::note("registry (tests)", setup::REGISTRY.how_to_get()),
    }
}

/// SQLite, which the host contains, is compiled from C.
fn c_compiler() -> Finding {
    match workspace::find_program(&["cc", "gcc", "clang"]) {
        Some(compiler) => Finding::there("C compiler", compiler.display().to_string()),
        None => Finding::missing(
            "C compiler",
            "SQLite is compiled from C: `apt-get install build-essential`, `dnf install gcc`, `xcode-select --install`, …",
        ),
    }
}

fn port() -> Finding {
    match TcpListener::bind(("127.0.0.1", PORT)) {
        Ok(_) => Finding::there("port", format!("127.0.0.1:{PORT} is free")),
        Err(_) => Finding::note(
            "port",
            format!("127.0.0.1:{PORT} is taken: `cargo xtask up --listen 127.0.0.1:PORT`"),
        ),
    }
}

fn disk() -> Finding {
    let Ok(about) = rustix::fs::statvfs(workspace::root()) else {
        return Finding::note("disk", "cannot tell how much is free");
    };
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let shown = format!("{} free", build::human(free));
    // What is built already need not be built again.
    if free >= DISK_BYTES || workspace::host_binary().exists() {
        Finding::there("disk", shown)
    } else {
        Finding::missing(
            "disk",
            format!("{shown}; a build from nothing takes up to {}", build::human(DISK_BYTES)),
        )
    }
}

/// Spin runs the same components, but nothing here needs it.
fn spin() -> Finding {
    match version("spin", &["--version"]) {
        Some(found) => Finding::there("Spin (optional)", found),
        None => Finding::note(
            "Spin (optional)",
            "only for `spin up`, at least 4.1: https://spinframework.dev/install",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_rust_is_read_and_compared_as_numbers() {
        assert_eq!(parse_rust("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert!(parse_rust("rustc 1.100.0-nightly").is_some_and(|it| it >= RUST));
        assert_eq!(parse_rust("nonsense"), None);
    }
}
