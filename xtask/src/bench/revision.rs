//! Another revision of this repository, in a folder of its own, to measure beside the present one.
//!
//! Its files come out of `git archive`, so that nothing is left in the repository's own records. The folder keeps its
//! own target directory: only the first build of a revision takes long.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// How many digits of the commit's name the folder is called by.
const DIGITS: usize = 12;

/// A revision and the folder it is in.
#[derive(Debug)]
pub struct Revision {
    name: String,
    commit: String,
    root: PathBuf,
}

impl Revision {
    /// The revision that git knows by `name`: a commit, a branch, a tag.
    pub fn find(name: &str) -> Result<Self> {
        let output = git(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{name}^{{commit}}"))
            .output()
            .context("cannot run git")?;
        if !output.status.success() {
            bail!("git knows no revision `{name}`");
        }
        let commit = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let digits = commit.get(..DIGITS).context("git gave no commit")?;
        let root = workspace::target_dir().join("revisions").join(digits);
        Ok(Self { name: name.to_owned(), commit, root })
    }

    /// What it was asked for by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The root of its files, whether or not they are there yet.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Writes its files where they are missing, and builds its components and its host, as it builds them itself.
    pub fn build(&self) -> Result<()> {
        if !self.root.exists() {
            self.extract()?;
        }
        println!("building {} in {}", self.name, self.root.display());
        workspace::run(&mut workspace::cargo_in(&self.root, ["xtask", "build"]))
    }

    fn extract(&self) -> Result<()> {
        // Only a folder that is whole gets the name that is looked for.
        let unfinished = self.root.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir_all(&unfinished).with_context(|| format!("cannot create {}", unfinished.display()))?;
        let mut archive = git(["archive", "--format=tar", &self.commit])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run git")?;
        let files = archive.stdout.take().context("git has no output")?;
        let unpacked =
            workspace::run(Command::new("tar").arg("-xf").arg("-").current_dir(&unfinished).stdin(files));
        if !archive.wait()?.success() {
            bail!("git archive {} failed", self.commit);
        }
        unpacked?;
        Ok(fs::rename(&unfinished, &self.root)?)
    }
}

fn git(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(workspace::root()).stderr(Stdio::inherit());
    command
}
