//! `build`: the components, small, for WebAssembly; the embedded host, fast, for this machine.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{setup, workspace};

/// By which cargo is told what to give the compiler for the components' target alone.
const FLAGS_VARIABLE: &str = "CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS";

/// The component that stands in for stores that are not there.
const STAND_IN: &str = "absent-stores";

/// Build the components and the embedded host.
///
/// The components go to target/wasm32-wasip2/component/, the host to target/release/sugang, and the components as Akamai
/// Functions can run them (deploy/functions) to target/functions/. Cargo
/// shows how far it is; the size of every component is printed at the end. The first time takes
/// minutes (the host contains a compiler), afterwards only what has changed is built.
#[derive(Args)]
pub struct Build {
    /// Build the components only
    #[arg(long, conflicts_with = "host_only")]
    components_only: bool,
    /// Build the embedded host only
    #[arg(long)]
    host_only: bool,
}

impl Build {
    /// Builds, and prints what came out.
    pub fn run(&self) -> Result<()> {
        if !self.host_only {
            components()?;
        }
        if !self.components_only {
            host()?;
        }
        if !self.components_only && !self.host_only {
            for_functions()?;
        }
        print_sizes()
    }
}

/// Builds everything an `up` needs. Costs a fraction of a second when nothing has changed.
pub fn everything() -> Result<()> {
    components()?;
    host()?;
    for_functions()
}

/// Puts what stands in for the stores that Akamai Functions has not into every component, for `deploy/functions/spin.toml`.
fn for_functions() -> Result<()> {
    let wasm: Vec<_> = workspace::components()?.iter().map(|name| workspace::component_wasm(name)).collect();
    let mut plug = Command::new(workspace::host_binary());
    plug.arg("plug").arg("--plug").arg(workspace::component_wasm(STAND_IN));
    plug.arg("--out").arg(workspace::functions_dir()).args(wasm);
    workspace::run(&mut plug)
}

/// Builds every component.
pub fn components() -> Result<()> {
    setup::ensure_target()?;
    let names = workspace::components()?;
    if names.is_empty() {
        bail!("there is no component crate in {}", workspace::root().join("components").display());
    }
    let mut cargo = workspace::cargo(["build", "--profile", workspace::COMPONENT_PROFILE]);
    cargo.args(["--target", workspace::COMPONENT_TARGET]);
    for name in &names {
        cargo.args(["-p", name]);
    }
    if let Some(folder) = workspace::cargo_home() {
        cargo.env(FLAGS_VARIABLE, without_path(&folder));
    }
    workspace::run(&mut cargo)
}

/// Where cargo keeps the sources of dependencies is in what panics say, and would make the same sources another image on
/// another machine. Our own are named relative to the workspace already.
fn without_path(cargo_home: &Path) -> String {
    format!("--remap-path-prefix={}=/cargo", cargo_home.display())
}

/// Builds every component with faults to be had (`crates/faults`), and writes the manifest of the application that
/// they make: for tests alone. A released component has none.
pub fn with_faults() -> Result<()> {
    setup::ensure_target()?;
    let mut cargo = workspace::cargo(["build", "--profile", workspace::FAULT_PROFILE]);
    cargo.args(["--target", workspace::COMPONENT_TARGET, "--features", "faults/on", "-p", "faults"]);
    for name in workspace::components()? {
        cargo.args(["-p", &name]);
    }
    workspace::run(&mut cargo)?;
    let manifest = fs::read_to_string(workspace::manifest()).context("cannot read spin.toml")?;
    let path = workspace::fault_manifest();
    fs::write(&path, with_fault_sources(&manifest))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The manifest with every source replaced; it lies in the target directory, and sources are relative to it.
fn with_fault_sources(manifest: &str) -> String {
    let folder = |profile| format!("{}/{profile}/", workspace::COMPONENT_TARGET);
    let released = format!("target/{}", folder(workspace::COMPONENT_PROFILE));
    manifest.replace(&released, &folder(workspace::FAULT_PROFILE))
}

/// Builds the embedded host.
///
/// Of the whole workspace and not of its package alone: which features its dependencies have is settled among all
/// that is selected, and so the tests, which select everything, need not compile them a second time.
pub fn host() -> Result<()> {
    workspace::run(&mut workspace::cargo(["build", "--release", "--workspace", "--bin", "sugang"]))
}

/// A table of what was built and how large it is.
fn print_sizes() -> Result<()> {
    let mut rows = Vec::new();
    for name in workspace::components()? {
        rows.push((name.clone(), workspace::component_wasm(&name)));
    }
    rows.push(("host".to_owned(), workspace::host_binary()));
    println!();
    for (name, path) in rows {
        let shown = path.strip_prefix(workspace::root()).unwrap_or(&path).display();
        if !path.exists() {
            println!("{name:<16} not built   {shown}");
            continue;
        }
        let bytes = fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?.len();
        println!("{name:<16} {:>9}   {shown}", human(bytes));
    }
    Ok(())
}

/// A size as people read it.
#[must_use]
pub fn human(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 1024.0 * 1024.0 {
        format!("{:.0} KiB", bytes / 1024.0)
    } else if bytes < 1024.0 * 1024.0 * 1024.0 {
        format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
    } else {
        format!("{:.1} GiB", bytes / 1024.0 / 1024.0 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fault_manifest_names_no_released_component() {
        let manifest = fs::read_to_string(workspace::manifest()).unwrap();
        let derived = with_fault_sources(&manifest);
        assert!(derived.contains(r#"source = "wasm32-wasip2/faults/order.wasm""#), "{derived}");
        assert!(derived.contains(r#"path = "wasm32-wasip2/faults/gateway_sandbox.wasm""#), "{derived}");
        assert!(!derived.contains("/component/"), "{derived}");
    }

    #[test]
    fn the_flags_are_those_of_the_components_target() {
        let target = workspace::COMPONENT_TARGET.to_uppercase().replace('-', "_");
        assert_eq!(FLAGS_VARIABLE, format!("CARGO_TARGET_{target}_RUSTFLAGS"));
        assert_eq!(without_path(Path::new("/home/a/.cargo")), "--remap-path-prefix=/home/a/.cargo=/cargo");
    }

    #[test]
    fn sizes_are_shown_as_people_read_them() {
        assert_eq!(human(2048), "2 KiB");
        assert_eq!(human(3 * 1024 * 1024 / 2), "1.5 MiB");
        assert_eq!(human(5 * 1024 * 1024 * 1024), "5.0 GiB");
    }
}
