//! What the tests drive pages with: the distribution's Chromium, its driver, and axe-core, which judges how accessible a page
//! is. And the command that has those tests take pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{build, setup, workspace};

/// The version of axe-core that pages are held against.
const AXE: &str = "4.14.1";

/// Tells the browser tests where to write a picture of every page and state that they look at.
pub const SCREENSHOTS_VARIABLE: &str = "SUGANG_SCREENSHOTS";

/// The browser.
#[must_use]
pub fn program() -> Option<PathBuf> {
    workspace::find_program(&["chromium", "chromium-browser", "google-chrome"])
}

/// What drives it.
#[must_use]
pub fn driver() -> Option<PathBuf> {
    workspace::find_program(&["chromedriver"])
}

/// axe-core as one script; fetched once from the npm registry, into the target directory.
pub fn axe() -> Result<PathBuf> {
    let folder = workspace::target_dir().join(format!("axe-core-{AXE}"));
    let script = folder.join("package/axe.min.js");
    if script.exists() {
        return Ok(script);
    }
    // Several test programs may want it at once: each fetches into a folder of its own, and the first to be done wins.
    let fetched = workspace::target_dir().join(format!("axe-core-{AXE}-{}", std::process::id()));
    fs::create_dir_all(&fetched).with_context(|| format!("cannot create {}", fetched.display()))?;
    fetch(&fetched)?;
    if fs::rename(&fetched, &folder).is_err() {
        fs::remove_dir_all(&fetched).with_context(|| format!("cannot remove {}", fetched.display()))?;
    }
    if !script.exists() {
        bail!("{} is not in what npm packed", script.display());
    }
    Ok(script)
}

fn fetch(folder: &Path) -> Result<()> {
    if workspace::find_program(&["npm"]).is_none() {
        bail!("there is no npm, which fetches axe-core for the browser tests: install Node.js");
    }
    let package = format!("axe-core@{AXE}");
    let mut npm = Command::new("npm");
    npm.args(["pack", "--silent", &package, "--pack-destination"]).arg(folder).current_dir(folder);
    workspace::run(&mut npm).context("fetching axe-core")?;
    let archive = folder.join(format!("axe-core-{AXE}.tgz"));
    workspace::run(Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(folder))
}

/// Write a picture of every page and state that the browser tests look at, in both languages, light and dark, for
/// telephones and wide screens.
#[derive(Args)]
pub struct Screenshots {
    /// Where they go
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Screenshots {
    /// Builds, runs the browser tests and has them write.
    pub fn run(&self) -> Result<()> {
        for needed in [setup::REDIS, setup::CHROMIUM, setup::CHROMEDRIVER, setup::KOREAN_FONT] {
            needed.ensure()?;
        }
        build::components()?;
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let folder = self.folder.canonicalize()?;
        let mut cargo = workspace::cargo(["test", "--release", "-p", "sugang-tests", "--test", "browser"]);
        workspace::run(cargo.env(SCREENSHOTS_VARIABLE, &folder))?;
        println!("the pictures are in {}", folder.display());
        Ok(())
    }
}
