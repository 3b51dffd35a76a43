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
/// let running = sugang_host::Application::builder("spin.toml")
///     .listen("127.0.0.1:0".parse()?)
///     .variable("redis_address", "127.0.0.1:6379")
///     .component("order")
///     .start()
///     .await?;
/// println!("http://{}", running.address());
/// running.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Application {
    manifest: PathBuf,
    insecure: bool,
    runtime_config: Option<PathBuf>,
    listen: SocketAddr,
    metrics_listen: Option<SocketAddr>,
    state_dir: Option<PathBuf>,
    cache_dir: Option<PathBuf>,
    variables: BTreeMap<String, String>,
    environment: Vec<(String, String)>,
    components: Vec<String>,
    quiet: bool,
    limits: Limits,
    origin: Origin,
    request_limits: RequestLimits,
    server_limits: ServerLimits,
    handler_limits: HandlerLimits,
    reuse: Reuse,
    precheck: Option<Precheck>,
    platform: Option<Platform>,
}

/// What an application's own command asks of its settings before anything is served: of the variables that its components get, by
/// name, and of the address that HTTP is served at.
pub type Precheck = fn(variable: &dyn Fn(&str) -> Option<String>, listen: SocketAddr) -> Result<()>;

impl Application {
    /// The application of the manifest at `path`: a `spin.toml`, or the directory it is in. Where there is no such file,
    /// an image in a registry: `ghcr.io/sugang/sugang:1.0.0`.
    pub fn builder(path: impl Into<PathBuf>) -> Self {
        Self {
            manifest: path.into(),
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

    /// Speaks to the image's registry without TLS.
    pub fn insecure(mut self, insecure: bool) -> Self {
        self.insecure = insecure;
        self
    }

    /// The address to serve at; port 0 for any free one. `127.0.0.1:3000` by default.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// The address to answer the host's counters at; nowhere by default.
    pub fn metrics_listen(mut self, address: SocketAddr) -> Self {
        self.metrics_listen = Some(address);
        self
    }

    /// The runtime configuration. By default there is none.
    pub fn runtime_config(mut self, path: impl Into<PathBuf>) -> Self {
        self.runtime_config = Some(path.into());
        self
    }

    /// Where stores without a place of their own are kept; `.spin` beside the manifest by default.
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(path.into());
        self
    }

    /// Where compiled code is kept: by default `$SUGANG_CACHE_DIR`, or the user's cache directory.
    pub fn cache_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.cache_dir = Some(path.into());
        self
    }

    /// Gives an application variable its value.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// An environment variable that all components see.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts this component; called at least once, only those named are started.
    pub fn component(mut self, id: impl Into<String>) -> Self {
        self.components.push(id.into());
        self
    }

    /// Throws away what components print.
    pub fn quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// The limits within which components run.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Where clients reach the application, and through which proxies. By default there are none.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// How many requests are let in, and what their bodies may be.
    pub fn request_limits(mut self, limits: RequestLimits) -> Self {
        self.request_limits = limits;
        self
    }

    /// How long clients may take, and the host when it stops.
    pub fn server_limits(mut self, limits: ServerLimits) -> Self {
        self.server_limits = limits;
        self
    }

    /// How long a component may take for a Redis message, and how many may wait.
    pub fn handler_limits(mut self, limits: HandlerLimits) -> Self {
        self.handler_limits = limits;
        self
    }

    /// When instances are used again.
    pub fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Refuses what this platform lacks, and has no more than it gives.
    pub fn restrict(mut self, platform: Platform) -> Self {
        self.platform = Some(platform);
        self
    }

    /// What else must hold, where HTTP is served.
    pub fn precheck(mut self, precheck: Precheck) -> Self {
        self.precheck = Some(precheck);
        self
    }

    /// Checks everything, then serves. What the manifest asks for and this host lacks, or what is
    /// wrong, is refused here, by name.
    pub async fn start(self) -> Result<Running> {
        let checked = tokio::task::spawn_blocking(move || check::check(self)).await??;
        checked.serve().await
    }
}
