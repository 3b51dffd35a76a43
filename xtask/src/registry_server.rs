//! A private container registry, on a port of its own: for tests.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{setup, workspace};
use servers::Process;

/// How long it may take from its start until it accepts connections.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a port that somebody else took meanwhile is replaced.
const ATTEMPTS: u32 = 10;

/// A name and a password for [`RegistryServer::start_with_password`]: `sugang`, `secret`.
pub const USER: (&str, &str) = ("sugang", "secret");

/// The same as the registry wants it: bcrypt, as `htpasswd -B` makes it.
const HTPASSWD: &str = "sugang:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// The program of the distribution project, by the names that distributions give it.
#[must_use]
pub fn program() -> Option<PathBuf> {
    workspace::find_program(&["docker-registry", "registry"])
}

/// A registry that runs for as long as this value lives, without TLS.
#[derive(Debug)]
pub struct RegistryServer {
    _process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

impl RegistryServer {
    /// Starts one that keeps everything in `folder`, and waits until it answers.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, "")
    }

    /// The same, which lets in [`USER`] alone.
    pub fn start_with_password(folder: &Path) -> Result<Self> {
        let file = folder.join("htpasswd");
        fs::write(&file, HTPASSWD)?;
        Self::start_with(
            folder,
            &format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", file.display()),
        )
    }

    fn start_with(folder: &Path, more: &str) -> Result<Self> {
        let Some(program) = program() else { bail!("{}", setup::REGISTRY.how_to_get()) };
        for _ in 0..ATTEMPTS {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, servers::free_port()?));
            let config = folder.join("registry.yml");
            let blobs = folder.join("registry");
            let text = format!(
                "version: 0.1\nlog: {{ level: warn }}\nhttp: {{ addr: '{address}' }}\n\
                 storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\n{more}",
                blobs.display()
            );
            fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
            let log = File::create(folder.join("registry.log"))?;
            let mut command = Command::new(&program);
            command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let mut process = Process::start("the registry", &mut command)?;
            let accepts = |_| TcpStream::connect(address).is_ok();
            // One whose port is taken ends.
            if process.wait_until(PATIENCE, accepts).with_context(|| address.to_string())? {
                return Ok(Self { _process: process, address, folder: folder.to_owned() });
            }
        }
        bail!(
            "the registry ended {ATTEMPTS} times while starting; see {}",
            folder.join("registry.log").display()
        )
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file in which it keeps the blob of that digest (`sha256:…`).
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let digits = digest.trim_start_matches("sha256:");
        let start = digits.get(..2).unwrap_or_default();
        self.folder.join("registry/docker/registry/v2/blobs/sha256").join(start).join(digits).join("data")
    }
}
