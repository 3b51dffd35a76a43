//! `test`: everything a change must pass, counted up in one last line.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::{browser, build, setup, workspace};

/// Run what a change must pass: formatting, lints, the components' build, every test.
///
/// Installs what is missing first, as `setup` does. Every test run starts servers of its own on free ports and
/// keeps its state in temporary directories, so several runs may go on at once. The last line counts what passed
/// and failed, as in `sugang: 312 passed, 0 failed`; a step that fails as a whole counts as one failure.
#[derive(Args)]
pub struct Test {
    /// Run the tests whose name contains one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,

    /// Do only this part; may be given several times
    #[arg(long, value_enum, value_name = "PART")]
    only: Vec<Part>,
}

/// A part of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `rustfmt --check` and clippy with warnings denied
    Lint,
    /// The components, which the tests run, and the host
    Build,
    /// Every test
    Tests,
    /// Of the tests, those inside the crates
    Unit,
    /// Of the tests, the end-to-end ones: the whole system, over HTTP, with a real Redis
    E2e,
    /// Of the tests, those of the pages: the whole system, in a real browser
    Browser,
}

/// What is done where nothing is chosen. All tests are one call of cargo, so that no dependency is compiled twice
/// with other features.
const ALL: [Part; 3] = [Part::Lint, Part::Build, Part::Tests];

/// What tests need of the distribution.
const NEEDED: [(&str, setup::Needed); 7] = [
    ("setup", setup::REDIS),
    ("setup of PostgreSQL", setup::POSTGRES),
    ("setup of haproxy", setup::HAPROXY),
    ("setup of siege", setup::SIEGE),
    ("setup of a registry", setup::REGISTRY),
    ("setup of a browser", setup::CHROMIUM),
    ("setup of a browser's driver", setup::CHROMEDRIVER),
];

/// In the names of the end-to-end tests that hold an answer to a time: they run by themselves, one after another.
const TIMED: &str = "timed::";

/// What cargo calls the end-to-end tests.
const E2E: [&str; 2] = ["--test", "e2e"];

/// What cargo calls the programs that have timed tests.
const WITH_TIMED: [&str; 4] = ["--test", "e2e", "--test", "browser"];

impl Test {
    /// Runs the parts asked for and prints the count; success only if nothing failed.
    pub fn run(&self) -> ExitCode {
        let mut count = Count::default();
        for part in self.parts() {
            self.run_part(part, &mut count);
        }
        println!("\n{count}");
        if count.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn parts(&self) -> Vec<Part> {
        match (self.only.as_slice(), self.filters.is_empty()) {
            ([], true) => ALL.to_vec(),
            // Whoever asks for one test wants no lints; but the components have to be there.
            ([], false) => vec![Part::Build, Part::Tests],
            (only, _) => only.to_vec(),
        }
    }

    fn run_part(&self, part: Part, count: &mut Count) {
        match part {
            Part::Lint => {
                count.step("formatting", workspace::run(&mut formatting()));
                count.step("lints", workspace::run(&mut lints()));
            }
            Part::Build => {
                for (name, needed) in NEEDED {
                    count.step(name, needed.ensure().map(drop));
                }
                count.step("setup of axe-core", browser::axe().map(drop));
                count.step("build", build::everything());
                count.step("build with faults", build::with_faults());
            }
            Part::Tests => self.tests_and_timed("tests", &[], count),
            Part::Unit => self.tests("unit tests", &["--lib", "--bins"], &[], count),
            Part::E2e => self.tests_and_timed("end-to-end tests", &E2E, count),
            Part::Browser => self.tests("browser tests", &["--test", "browser"], &[], count),
        }
    }

    fn tests_and_timed(&self, name: &str, targets: &[&str], count: &mut Count) {
        if self.filters.is_empty() {
            self.tests(name, targets, &["--skip", TIMED], count);
            self.tests("timed tests", &WITH_TIMED, &[TIMED, "--test-threads=1"], count);
        } else {
            self.tests(name, targets, &[], count);
        }
    }

    fn tests(&self, name: &str, targets: &[&str], options: &[&str], count: &mut Count) {
        let mut command = workspace::cargo(["test", "--release", "--no-fail-fast", "--workspace"]);
        command.args(targets).arg("--").args(options).args(&self.filters);
        println!("\n$ {}", workspace::display(&command));
        let failed_before = count.failed;
        let outcome = stream(&mut command, |line| count.add(line));
        // A test program that does not compile, or crashes, prints no result of its own.
        if outcome.is_ok() || count.failed == failed_before {
            count.step(name, outcome);
        }
    }
}

/// Runs a command, shows what it prints and hands on every line.
fn stream(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            on_line(&line);
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} failed ({status})", workspace::display(command));
    }
    Ok(())
}

fn formatting() -> Command {
    // `cargo fmt` takes no --target-dir.
    let mut command = Command::new("cargo");
    command.args(["fmt", "--all", "--check"]).current_dir(workspace::root());
    command
}

fn lints() -> Command {
    let mut command = workspace::cargo(["clippy", "--release", "--workspace", "--all-targets"]);
    command.args(["--", "-D", "warnings"]);
    command
}

/// How many tests passed and failed so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

impl Count {
    /// Notes the outcome of a step that is no test itself.
    fn step(&mut self, name: &str, outcome: Result<()>) {
        if let Err(error) = outcome {
            eprintln!("error: {name}: {error:#}");
            self.failed += 1;
        }
    }

    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 0 ignored; …`; any other line adds nothing.
    fn add(&mut self, line: &str) {
        let Some(results) = line.strip_prefix("test result: ") else { return };
        let numbers = results.split([';', '.']).filter_map(|part| part.trim().split_once(' '));
        for (number, what) in numbers {
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                _ => (),
            }
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sugang: {} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_every_test_program_are_added_up() {
        let mut count = Count::default();
        count.add("running 2 tests");
        count.add(
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
        );
        count.add("test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s");
        assert_eq!(count, Count { passed: 15, failed: 2 });
        assert_eq!(count.to_string(), "sugang: 15 passed, 2 failed");
    }

    #[test]
    fn a_step_that_fails_as_a_whole_is_one_failure() {
        let mut count = Count::default();
        count.step("lints", Err(anyhow::anyhow!("a warning")));
        count.step("formatting", Ok(()));
        assert_eq!(count, Count { passed: 0, failed: 1 });
    }

    #[test]
    fn a_filter_leaves_out_the_lints() {
        let test = Test { filters: vec!["cancel".to_owned()], only: vec![] };
        assert_eq!(test.parts(), [Part::Build, Part::Tests]);
    }
}
