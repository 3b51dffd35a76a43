//! Compiled code on disk, so that only the first start has to compile.
//!
//! A file is named by the hash of the component and of everything about the engine that the
//! compiled code depends on. Files are only ever created whole (written beside, then renamed),
//! so a crash or a second host at work leaves nothing broken behind.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use wasmtime::{Engine, component::Component};

use super::Code;

pub(super) fn load_or_compile(engine: &Engine, cache: Option<&Path>, code: &Code) -> Result<Component> {
    let Some(cache) = cache else { return Ok(Component::new(engine, &code.bytes)?) };
    let path = cache.join(file_name(engine, code));
    if let Some(component) = load(engine, &path) {
        return Ok(component);
    }
    let compiled = engine.precompile_component(&code.bytes)?;
    match store(&path, &compiled).map(|()| load(engine, &path)) {
        Ok(Some(component)) => Ok(component),
        // A cache that cannot be written costs time at the next start, and nothing else.
        Ok(None) | Err(_) => {
            tracing::warn!("cannot keep compiled code in `{}`", cache.display());
            Ok(Component::new(engine, &code.bytes)?)
        }
    }
}

fn file_name(engine: &Engine, code: &Code) -> String {
    let mut engine_hash = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut engine_hash);
    let code_hash: String = code.id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{code_hash}-{:016x}.cwasm", engine_hash.finish())
}

#[expect(unsafe_code, reason = "the code is mapped from the file, which only this host writes")]
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file was written by `store`, whole, in a directory only this user can write.
    // The engine checks that it was compiled by itself with the same settings.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!("compiling again, since `{}` is not usable: {error:#}", path.display());
            None
        }
    }
}

fn store(path: &Path, compiled: &[u8]) -> Result<()> {
    let directory = path.parent().context("the cache file has no directory")?;
    create_private(directory)?;
    let unfinished: PathBuf =
        path.with_extension(format!("{}-{:x}", std::process::id(), rand::random::<u64>()));
    fs::write(&unfinished, compiled)?;
    fs::rename(&unfinished, path).inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
    Ok(())
}

/// Nobody else may put code there that this host would then run.
fn create_private(directory: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    Ok(builder.create(directory)?)
}
