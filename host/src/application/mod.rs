//! An application from its manifest to its end: everything is checked before anything runs.

mod check;
mod load;
mod running;
mod source;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use anyhow::Result;

use crate::{
    engine::Limits,
    http_trigger::{Origin, RequestLimits, ServerLimits},
    platform::Platform,
    redis_trigger::HandlerLimits,
    reuse::Reuse,
};

pub use running::Running;

/// An application that has yet to be started.
///
/// ```no_run
/// # async fn run() -> anyhow::Result<()> {
/// let mut application = sugang_host::Application::new("spin.toml");
/// application.variables.insert("redis_address".to_owned(), "127.0.0.1:6379".to_owned());
/// let running = application.start().await?;
/// println!("http://{}", running.address());
/// running.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Application {
    /// The manifest: a `spin.toml`, or the directory it is in. Where there is no such file, an image in a registry:
    /// `ghcr.io/sugang/sugang:1.0.0`.
    pub manifest: PathBuf,
    /// Speaks to the image's registry without TLS.
    pub insecure: bool,
    /// The runtime configuration, if there is one.
    pub runtime_config: Option<PathBuf>,
    /// The address to serve at; port 0 for any free one.
    pub listen: SocketAddr,
    /// The address to answer the host's counters at, if anywhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where stores without a place of their own are kept; `.spin` beside the manifest where it is not said.
    pub state_dir: Option<PathBuf>,
    /// Where compiled code is kept; where it is not said, `$SUGANG_CACHE_DIR` or the user's cache directory.
    pub cache_dir: Option<PathBuf>,
    /// The values of application variables.
    pub variables: BTreeMap<String, String>,
    /// Environment variables that all components see.
    pub environment: Vec<(String, String)>,
    /// The components to start; all of them where none is named.
    pub components: Vec<String>,
    /// Throws away what components print.
    pub quiet: bool,
    /// The limits within which components run.
    pub limits: Limits,
    /// Where clients reach the application, and through which proxies.
    pub origin: Origin,
    /// How many requests are let in, and what their bodies may be.
    pub request_limits: RequestLimits,
    /// How long clients may take, and the host when it stops.
    pub server_limits: ServerLimits,
    /// How long a component may take for a Redis message, and how many may wait.
    pub handler_limits: HandlerLimits,
    /// When instances are used again.
    pub reuse: Reuse,
    /// What else must hold, where HTTP is served.
    pub precheck: Option<Precheck>,
    /// The platform that this stands for: what that lacks is refused, and there is no more of anything than it gives.
    pub platform: Option<Platform>,
}

/// What an application's own command asks of its settings before anything is served: of the variables that its components get, by
/// name, and of the address that HTTP is served at.
pub type Precheck = fn(variable: &dyn Fn(&str) -> Option<String>, listen: SocketAddr) -> Result<()>;

impl Application {
    /// The application of this manifest, served at `127.0.0.1:3000`, with everything else as it is by default.
    pub fn new(manifest: impl Into<PathBuf>) -> Self {
        Self {
            manifest: manifest.into(),
            insecure: false,
            runtime_config: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 3000)),
            metrics_listen: None,
            state_dir: None,
            cache_dir: None,
            variables: BTreeMap::new(),
            environment: Vec::new(),
            components: Vec::new(),
            quiet: false,
            limits: Limits::default(),
            origin: Origin::default(),
            request_limits: RequestLimits::default(),
            server_limits: ServerLimits::default(),
            handler_limits: HandlerLimits::default(),
            reuse: Reuse::default(),
            precheck: None,
            platform: None,
        }
    }

    /// Checks everything, then serves. What the manifest asks for and this host lacks, or what is
    /// wrong, is refused here, by name.
    pub async fn start(self) -> Result<Running> {
        let checked = tokio::task::spawn_blocking(move || check::check(self)).await??;
        checked.serve().await
    }
}
