//! Where the system is that an operator means: its stores, and its Redis.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use operations::Stores;

/// Where the stores are. The defaults are those of `cargo xtask up`.
#[derive(Args, Debug)]
pub(crate) struct StoresPlace {
    /// Which file is behind which store
    #[arg(long, value_name = "FILE", default_value = "runtime-config.toml")]
    pub(crate) runtime_config_file: PathBuf,

    /// Where the stores are kept: what `up` was given as --state-dir, or its working directory if nothing
    #[arg(long, value_name = "DIR", default_value = ".sugang")]
    pub(crate) state_dir: PathBuf,
}

impl StoresPlace {
    /// The stores, all of them there.
    pub(crate) fn stores(&self) -> Result<Stores> {
        operations::ensure_restored(&self.state_dir)?;
        self.stores_to_be()
    }

    /// Where they belong.
    pub(crate) fn stores_to_be(&self) -> Result<Stores> {
        Stores::new(&self.runtime_config_file, &self.state_dir)
    }
}

/// Where the event log is.
#[derive(Args, Debug)]
pub(crate) struct RedisPlace {
    /// The event log's Redis: redis://[[user]:password@]host[:port][/database], or rediss://… for TLS. A password is
    /// better given in $REDIS_URL, since others on this machine see a command line
    /// [default: $REDIS_URL, or the one that `cargo xtask up` noted in the state directory]
    #[arg(long, value_name = "URL", global = true)]
    redis: Option<String>,
}

impl RedisPlace {
    /// Its address, if it can be found.
    pub(crate) fn find(&self, state_dir: &Path) -> Option<String> {
        let given = self.redis.clone().or_else(|| std::env::var("REDIS_URL").ok());
        given.or_else(|| noted(&state_dir.join("redis-url"))).or_else(|| {
            let port: u16 = noted(&state_dir.join("redis").join("port"))?.parse().ok()?;
            Some(format!("redis://127.0.0.1:{port}"))
        })
    }

    /// Its address, which is needed.
    pub(crate) fn required(&self, state_dir: &Path) -> Result<String> {
        self.find(state_dir).with_context(|| {
            format!(
                "it is not known where the event log's Redis is: give its address with --redis (there is none in $REDIS_URL, \
                 and `cargo xtask up` noted none in {})",
                state_dir.display()
            )
        })
    }
}

fn noted(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
