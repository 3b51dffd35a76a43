//! `sugang audit`.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::output::print;

pub(crate) fn verify_trail(files: &[PathBuf]) -> Result<()> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        anyhow::Ok((path.display().to_string(), text))
    };
    let files: Vec<_> = files.iter().map(read).collect::<Result<_>>()?;
    let end = operations::verify_trail(&files)?;
    print(&format!("All is well up to entry {}, whose hash is {}\n", end.position, end.hash))
}
