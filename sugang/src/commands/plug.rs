//! `sugang plug`.

use std::fs;

use anyhow::{Context, Result};
use sugang_host::composition::{plugged, read_wasm};

use crate::cli::Plug;

/// Writes each component with the plug in it.
pub(crate) fn plug(asked: &Plug) -> Result<()> {
    let plug = read_wasm(&asked.plug)?;
    fs::create_dir_all(&asked.out).with_context(|| format!("cannot make `{}`", asked.out.display()))?;
    for path in &asked.components {
        let made =
            plugged(read_wasm(path)?, plug.clone()).with_context(|| format!("`{}`", path.display()))?;
        let name = path.file_name().with_context(|| format!("`{}` is not a file", path.display()))?;
        let out = asked.out.join(name);
        fs::write(&out, made).with_context(|| format!("cannot write `{}`", out.display()))?;
    }
    Ok(())
}
