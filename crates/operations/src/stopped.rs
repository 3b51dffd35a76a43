//! That a system does not run, for what can be done only then.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use rustix::process::{Flock, FlockOffsetType, FlockType, fcntl_getlk};

/// Keeps `cargo xtask up` from starting meanwhile, and notices if it runs.
pub(crate) fn claim(state: &Path) -> Result<File> {
    fs::create_dir_all(state).with_context(|| format!("cannot create {}", state.display()))?;
    let path = state.join("lock");
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let lock = lock.with_context(|| format!("cannot open {}", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("{} is in use by a system that runs. Stop it first (Ctrl-C where it runs)", state.display())
        }
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Whoever has a store open holds a lock on its file, of the kind that tells who holds it.
pub(crate) fn nobody_uses(file: &Path) -> Result<()> {
    // Where SQLite's shared locks are: <https://sqlite.org/src/file/src/os.h>.
    const SHARED_FIRST: u64 = 0x4000_0000 + 2;
    const SHARED_SIZE: u64 = 510;
    let opened = match rustix::fs::open(file, OFlags::RDWR, rustix::fs::Mode::empty()) {
        Ok(opened) => opened,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", file.display())),
    };
    let lock = Flock {
        start: SHARED_FIRST,
        length: SHARED_SIZE,
        pid: None,
        typ: FlockType::WriteLock,
        offset_type: FlockOffsetType::Set,
    };
    match fcntl_getlk(&opened, &lock).with_context(|| format!("cannot look who uses {}", file.display()))? {
        None => Ok(()),
        Some(Flock { pid, .. }) => {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            bail!("{} is open in another program{who}. Stop the system first", file.display())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_directory_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(claim(folder.path()).unwrap());
        let lock = File::create(folder.path().join("lock")).unwrap();
        lock.lock().unwrap();
        let refusal = claim(folder.path()).unwrap_err().to_string();
        assert!(refusal.contains("in use"), "{refusal}");
    }
}
