//! The contract and the service as a stranger sees them: Schemathesis makes up requests from the document, and holds
//! every answer against it. As everybody whom the document knows.

use std::path::PathBuf;
use std::process::{Command, Output};

use ::access::Role;
use anyhow::{Context, Result, ensure};
use sugang_tests::members::member;
use sugang_tests::{Options, Sugang};
use xtask::workspace;

/// The release that is installed, so that no other one brings new opinions.
const RELEASE: &str = "4.32.5";

#[test]
fn a_stranger_finds_no_difference_between_the_contract_and_the_service() {
    find_no_difference(&Sugang::start(), None);
}

#[test]
fn nobody_who_signs_in_finds_a_difference_between_the_contract_and_the_service() {
    for roles in [&[Role::Customer][..], &[Role::Customer, Role::Manager], &[Role::Operator]] {
        find_no_difference(&Sugang::with(Options::new().members()), Some(&member(7, roles)));
    }
    find_no_difference(&Sugang::with(Options::new().members()), None);
}

fn find_no_difference(sugang: &Sugang, authorization: Option<&str>) {
    let program = match installed() {
        Ok(program) => program,
        // A machine without Python, or without a way to its packages, has the other tests of the contract.
        Err(why) => return eprintln!("not checked: Schemathesis cannot be installed: {why:#}"),
    };
    let mut command = Command::new(program);
    command.arg("--config-file").arg(workspace::root().join("tests/schemathesis.toml"));
    // One seed, so that a run says the same again: what others would find is found by running it with others.
    // One worker: with more, Python's parser trips over the depth of another's recursion now and then.
    command.args(["run", "--no-color", "--seed", "1", "--max-examples", "10", "--workers", "1"]);
    // Each stream of a made up order is waited for: that takes five seconds, and has tests of its own.
    command.args(["--exclude-path-regex", "/events$"]);
    if let Some(authorization) = authorization {
        command.args(["--header", &format!("authorization: {authorization}")]);
    }
    command.arg(sugang.url("/openapi.json")).current_dir(sugang.state());
    let run = command.output().expect("Schemathesis to run");
    assert!(run.status.success(), "{}", text(&run));
}

/// Schemathesis in a Python environment of its own, made where it is not there yet.
fn installed() -> Result<PathBuf> {
    let environment = workspace::target_dir().join(format!("schemathesis-{RELEASE}"));
    let program = environment.join("bin/schemathesis");
    // One that was made elsewhere and moved here does not run: its programs name their interpreter by its path.
    let runs = Command::new(&program).arg("--version").output().is_ok_and(|run| run.status.success());
    if !runs {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        let mut install = Command::new(environment.join("bin/pip"));
        run(install.args(["install", "--quiet", &format!("schemathesis=={RELEASE}")]))?;
    }
    Ok(program)
}

fn run(command: &mut Command) -> Result<()> {
    let run = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(run.status.success(), "{command:?}: {}", text(&run));
    Ok(())
}

fn text(run: &Output) -> String {
    [&run.stdout, &run.stderr].map(|part| String::from_utf8_lossy(part)).concat()
}
