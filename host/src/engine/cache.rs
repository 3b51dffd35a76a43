//! Compiled code on disk, so that only the first start has to compile.
//!
//! A file is named by the hash of the component and of everything about the engine that the
//! compiled code depends on. Files are only ever created whole (written beside, then renamed),
//! so a crash or a second host at work leaves nothing broken behind.
//!
//! `wasmtime::Cache` would unpack every component's code into memory of its own; here it is mapped from the
//! file, and only what runs takes memory.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use wasmtime::{Engine, component::Component};

use super::Code;

pub(super) fn load_or_compile(engine: &Engine, cache: Option<&Path>, code: &Code) -> Result<Component> {
    let Some(cache) = cache else { return Ok(Component::new(engine, &code.bytes)?) };
    let path = cache.join(file_name(engine, code));
    if let Some(component) = load(engine, &path) {
        return Ok(component);
    }
    let compiled = precompile(engine, &code.bytes)?;
    match write_whole(&path, &compiled).map(|()| load(engine, &path)) {
        Ok(Some(component)) => Ok(component),
        // A cache that cannot be written costs time at the next start, and nothing else.
        Ok(None) | Err(_) => {
            tracing::warn!("cannot keep compiled code in `{}`", cache.display());
            Ok(Component::new(engine, &code.bytes)?)
        }
    }
}

/// What the compiler needed, some 100 MB, is given back, which the allocator would keep.
fn precompile(engine: &Engine, bytes: &[u8]) -> Result<Vec<u8>> {
    let compiled = engine.precompile_component(bytes)?;
    give_back();
    Ok(compiled)
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no crate offers it otherwise")]
fn give_back() {
    // SAFETY: it takes nothing but a number, and touches only memory that nobody has.
    unsafe { libc::malloc_trim(0) };
}

#[cfg(not(target_env = "gnu"))]
const fn give_back() {}

fn file_name(engine: &Engine, code: &Code) -> String {
    let mut engine_hash = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut engine_hash);
    format!("{}-{:016x}.cwasm", code.id, engine_hash.finish())
}

#[expect(unsafe_code, reason = "the code is mapped from a file that only this user can write")]
fn load(engine: &Engine, path: &Path) -> Option<Component> {
    if !path.exists() {
        return None;
    }
    // SAFETY: the file was written by `write_whole`, in a directory that only this user can write:
    // see `make_private`. The engine checks that it was compiled by itself with the same settings.
    match unsafe { Component::deserialize_file(engine, path) } {
        Ok(component) => Some(component),
        Err(error) => {
            tracing::warn!("compiling again, since `{}` is not usable: {error:#}", path.display());
            None
        }
    }
}

/// Writes a file whole or not at all, whoever else writes the same.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension(format!("{}-{:x}", std::process::id(), rand::random::<u64>()));
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path).inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
    Ok(())
}

/// Makes a directory into which nobody else can put code that this host would then run, or closes the
/// one there is. One that others could write to until now is not trusted: what is in it may be theirs.
pub(crate) fn make_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).context("cannot be made")?;
    let found = fs::metadata(directory)?;
    ensure!(found.uid() == rustix::process::geteuid().as_raw(), "belongs to another user");
    ensure!(
        found.mode() & 0o022 == 0,
        "can be written by others, so its code is not trusted: empty it, and `chmod 700` it"
    );
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).context("cannot be closed")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn directory(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("cache");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        (parent, directory)
    }

    fn mode(directory: &Path) -> u32 {
        fs::metadata(directory).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_directory_is_made_for_its_user_alone_and_one_that_others_may_read_is_closed() {
        let (_parent, found) = directory(0o755);
        make_private(&found).unwrap();
        assert_eq!(mode(&found), 0o700);
        let made = found.join("a/b");
        make_private(&made).unwrap();
        assert_eq!((mode(&made), mode(&found.join("a"))), (0o700, 0o700));
    }

    #[test]
    fn code_in_a_directory_that_others_may_write_is_never_loaded() {
        let wasm = || Code::new(wat::parse_str("(component)").unwrap());
        for (mode, used) in [(0o770, false), (0o707, false), (0o1777, false), (0o700, true)] {
            let (_parent, cache) = directory(mode);
            let engine = crate::engine::Engine::new(&Default::default(), Some(cache.clone())).unwrap();
            let planted = cache.join(file_name(engine.wasmtime(), &wasm()));
            fs::write(&planted, "not code at all").unwrap();
            engine.compile(&wasm()).unwrap();
            // Whoever looks into the directory finds that the file is of no use, and makes a better one.
            assert_eq!(fs::read(&planted).unwrap() != b"not code at all", used, "{mode:o}");
        }
        let (_parent, cache) = directory(0o770);
        let refusal = format!("{:#}", make_private(&cache).unwrap_err());
        assert!(refusal.contains("can be written by others") && refusal.contains("chmod 700"), "{refusal}");
    }
}
