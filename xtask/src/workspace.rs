//! Where things are in this repository, and how cargo is called.
//!
//! Everything is built into the repository's own `target/`, whatever `CARGO_TARGET_DIR` says,
//! because `spin.toml` names the components by their path in it.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The target the components are compiled for.
pub const COMPONENT_TARGET: &str = "wasm32-wasip2";

/// The cargo profile of the components: small before fast, since every replica loads them.
pub const COMPONENT_PROFILE: &str = "component";

/// The cargo profile of the components with faults to be had.
pub const FAULT_PROFILE: &str = "faults";

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    // Cargo sets the variable for whatever it runs; the compiled-in path serves the program run by hand.
    let member = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    member.ancestors().find(|folder| folder.join("Cargo.lock").exists()).unwrap_or(&member).to_owned()
}

/// The one target directory everything is built into.
#[must_use]
pub fn target_dir() -> PathBuf {
    root().join("target")
}

/// The embedded host's binary, whether or not it has been built.
#[must_use]
pub fn host_binary() -> PathBuf {
    target_dir().join("release").join(format!("sugang{}", env::consts::EXE_SUFFIX))
}

/// Tells the host where to keep the machine code it makes of the components.
pub const CACHE_VARIABLE: &str = "SUGANG_CACHE_DIR";

/// Where that is: with everything else that is built, unless told otherwise.
#[must_use]
pub fn code_cache() -> PathBuf {
    env::var_os(CACHE_VARIABLE).map_or_else(|| target_dir().join("sugang-cache"), PathBuf::from)
}

/// The application's manifest.
#[must_use]
pub fn manifest() -> PathBuf {
    root().join("spin.toml")
}

/// The manifest of the application with faults to be had, once [`build::with_faults`](crate::build::with_faults) has
/// been called.
#[must_use]
pub fn fault_manifest() -> PathBuf {
    target_dir().join("spin-faults.toml")
}

/// The manifest of the application for Akamai Functions.
#[must_use]
pub fn functions_manifest() -> PathBuf {
    root().join("deploy").join("functions").join("spin.toml")
}

/// Where the components are as Akamai Functions can run them.
#[must_use]
pub fn functions_dir() -> PathBuf {
    target_dir().join("functions")
}

/// Which stores stand behind the labels that the manifest names.
#[must_use]
pub fn runtime_config() -> PathBuf {
    root().join("runtime-config.toml")
}

/// Where cargo keeps what it has fetched.
#[must_use]
pub fn cargo_home() -> Option<PathBuf> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("CARGO_HOME").or_else(|| variable("HOME").map(|home| home.join(".cargo")))
}

/// A call of the cargo that is running us, in the root of the repository.
#[must_use]
pub fn cargo(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = cargo_in(&root(), arguments);
    command.arg("--target-dir").arg(target_dir());
    command
}

/// A call of the same cargo in another folder, which decides for itself where it builds into.
#[must_use]
pub fn cargo_in(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(folder).env_remove("CARGO_TARGET_DIR");
    // What `cargo run` sets for us is about this package, and would only have build scripts that look at it run again
    // (that of `ring`, and so the host, whenever somebody had called cargo without us).
    let about_us = |name: &OsString| {
        name.to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| about_us(name)) {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end and says which one it was if it failed.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", display(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", display(command));
    }
    Ok(())
}

/// Builds a program of the end-to-end tests' crate, as the host is built (see [`build::host`](crate::build::host)), and runs
/// it. It reads our own command line behind the first `words`, by the same structures that have read it here.
pub fn run_test_program(name: &str, words: usize) -> Result<()> {
    run(&mut cargo(["build", "--release", "--workspace", "--bin", name]))?;
    run(Command::new(host_binary().with_file_name(name)).args(env::args_os().skip(1 + words)))
}

/// The command as one would type it.
#[must_use]
pub fn display(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    let mut arguments = command.get_args().map(OsStr::to_string_lossy);
    while let Some(argument) = arguments.next() {
        // Always the same, and only in the way of reading the rest.
        if argument == "--target-dir" {
            arguments.next();
        } else {
            words.push(argument.into_owned());
        }
    }
    words.join(" ")
}

/// The names of the component crates: one per folder of `components/`, sorted.
pub fn components() -> Result<Vec<String>> {
    let folder = root().join("components");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join("Cargo.toml").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Where cargo leaves a component's `.wasm`.
#[must_use]
pub fn component_wasm(name: &str) -> PathBuf {
    target_dir()
        .join(COMPONENT_TARGET)
        .join(COMPONENT_PROFILE)
        .join(format!("{}.wasm", name.replace('-', "_")))
}

/// The first of the named programs that is on the `PATH`.
#[must_use]
pub fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    names
        .iter()
        .flat_map(|name| env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_one_would_type_it() {
        let command = cargo(["build", "--release"]);
        assert!(display(&command).ends_with("cargo build --release"), "{}", display(&command));
    }

    #[test]
    fn a_component_is_found_where_cargo_leaves_it() {
        assert!(component_wasm("gateway-sandbox").ends_with("wasm32-wasip2/component/gateway_sandbox.wasm"));
    }
}
