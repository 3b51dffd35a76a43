//! A clock that one program goes by, and that can be set wrong while it runs.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// By how many seconds a program's clock is wrong stands in a file that libfaketime reads.
#[derive(Clone, Debug)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// What is wrong with it stands in this file, which is made when it is first set.
    #[must_use]
    pub fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// Sets it wrong by so many seconds. A program that runs by it notices within a second.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // In one step: an empty file would be no clock at all.
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}s")).context("no clock")?;
        Ok(fs::rename(new, &self.file)?)
    }

    /// In the environment of a program, it makes the program go by this clock.
    pub fn environment(&self) -> Result<Vec<(&'static str, OsString)>> {
        let mut libraries =
            xtask::setup::FAKETIME.found().context("libfaketime is not installed")?.into_os_string();
        // An allocator that asks for the time before libfaketime is ready, such as Redis's, stops it for ever: libc's own
        // comes first.
        libraries.push(":libc.so.6");
        Ok(vec![
            ("LD_PRELOAD", libraries),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            // What waits for a time to pass keeps to the true one; and a kill must leave nothing behind.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("FAKETIME_DISABLE_SHM", "1".into()),
        ])
    }
}
