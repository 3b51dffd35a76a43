//! An application from its manifest to its end: everything is checked before anything runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use wasmtime::component::{Component, Linker};

use crate::{
    component::{Directory, Grants, LoadedComponent, Stores},
    composition::{self, LoadedDependency},
    engine::{Code, CodeId, Engine, Limits},
    http_trigger::{self, HttpTrigger, RequestLimits, Reuse, ServerLimits, routes::Routes},
    instance::{InstanceState, linker},
    key_value,
    logs::Output,
    manifest::{ComponentManifest, DependencySource, Manifest, Route, listed},
    metrics,
    outbound::{
        allowed_hosts::{AllowedHosts, chained_component},
        http::{Chain, OutboundHttp},
    },
    redis_trigger::{HandlerLimits, RedisTrigger},
    runtime_config::RuntimeConfig,
    sqlite::Databases,
    variables::{Sources, Variables},
};

/// Where Spin's state goes: beside the manifest.
const STATE_DIR: &str = ".spin";

/// The environment variable that names the directory of compiled code.
const CACHE_VARIABLE: &str = "SUGANG_CACHE_DIR";

/// An application that has yet to be started.
///
/// ```no_run
/// # async fn run() -> anyhow::Result<()> {
/// let running = sugang_host::Application::builder("spin.toml")
///     .listen("127.0.0.1:0".parse()?)
///     .variable("redis_url", "redis://127.0.0.1:6379")
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
    request_limits: RequestLimits,
    server_limits: ServerLimits,
    handler_limits: HandlerLimits,
    reuse: Reuse,
}

impl Application {
    /// The application of the manifest at `path`: a `spin.toml`, or the directory it is in.
    pub fn builder(path: impl Into<PathBuf>) -> Self {
        Self {
            manifest: path.into(),
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
            request_limits: RequestLimits::default(),
            server_limits: ServerLimits::default(),
            handler_limits: HandlerLimits::default(),
            reuse: Reuse::default(),
        }
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

    /// How many requests are let in, and how long their bodies may be.
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

    /// Checks everything, then serves. What the manifest asks for and this host lacks, or what is
    /// wrong, is refused here, by name.
    pub async fn start(self) -> Result<Running> {
        let checked = tokio::task::spawn_blocking(move || self.check()).await??;
        checked.serve().await
    }

    /// Everything that can be found wrong without serving. Compiles what is not in the cache.
    fn check(self) -> Result<Checked> {
        let path =
            if self.manifest.is_dir() { self.manifest.join("spin.toml") } else { self.manifest.clone() };
        let base = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut manifest = Manifest::load(&path)?;
        manifest.select(&self.components)?;
        check_chaining(&manifest)?;
        let routes = routes(&manifest)?;
        let config = match &self.runtime_config {
            Some(path) => RuntimeConfig::load(path)?,
            None => RuntimeConfig::default(),
        };
        let sources = Sources { given: self.variables.clone(), configured: config.variables.clone() };
        let variables = Variables::settle(&manifest.variables, &sources)?;
        let state_dir =
            self.state_dir.clone().or(config.state_dir.clone()).unwrap_or_else(|| base.join(STATE_DIR));
        // Spin's databases start in the working directory; a state directory of one's own moves
        // them too, so that two applications of one manifest do not share them.
        let databases_from = self.state_dir.clone().unwrap_or_default();
        let stores = Stores::new(&config, &state_dir, &databases_from)?;
        let loader = Loader {
            application: &self,
            manifest: &manifest,
            base: &base,
            variables: &variables,
            stores: &stores,
            http: Arc::<OutboundHttp>::default(),
        };
        let grants = loader.grants()?;
        let codes = loader.codes()?;
        let engine = Engine::new(
            &self.limits,
            self.cache_dir.clone().or_else(default_cache_dir).or(Some(state_dir.join("cache"))),
        )?;
        let http = loader.http.clone();
        let stop = CancellationToken::new();
        let components = link(&engine, codes, grants, &self.limits)?;
        let crowd = stores.databases.crowd().clone();
        let http_trigger =
            HttpTrigger::new(&manifest.name, &manifest.version, routes, self.request_limits, crowd);
        let (http_trigger, redis_trigger) =
            self.triggers(&manifest, http_trigger, &components, &variables, &stop)?;
        Ok(Checked { application: self, engine, http, http_trigger, redis_trigger, stop })
    }

    fn triggers(
        &self,
        manifest: &Manifest,
        mut http: HttpTrigger,
        components: &IndexMap<String, Arc<LoadedComponent>>,
        variables: &Variables,
        stop: &CancellationToken,
    ) -> Result<(HttpTrigger, RedisTrigger)> {
        for id in manifest.http_triggers.iter().map(|trigger| &trigger.component).collect::<BTreeSet<_>>() {
            http.add(loaded(components, id)?, self.reuse, stop)?;
        }
        let mut redis = RedisTrigger::default();
        for trigger in &manifest.redis_triggers {
            let place = || format!("[[trigger.redis]] of component `{}`", trigger.component);
            let address = variables.fill(&trigger.address).with_context(place)?;
            let channel = variables.fill(&trigger.channel).with_context(place)?;
            redis.add(&loaded(components, &trigger.component)?, &address, &channel, self.handler_limits)?;
        }
        Ok((http, redis))
    }
}

fn loaded(components: &IndexMap<String, Arc<LoadedComponent>>, id: &str) -> Result<Arc<LoadedComponent>> {
    components.get(id).cloned().with_context(|| format!("component `{id}` was not loaded"))
}

impl Stores {
    /// Relative paths of databases start at `databases_from`, those of key-value stores where the
    /// runtime configuration is, as in Spin.
    fn new(config: &RuntimeConfig, state_dir: &Path, databases_from: &Path) -> Result<Self> {
        let (databases, stores) = (&config.sqlite_databases, &config.key_value_stores);
        Ok(Self {
            databases: Arc::new(Databases::from_runtime_config(databases, Some(state_dir), databases_from)?),
            key_value: Arc::new(key_value::Stores::from_runtime_config(
                stores,
                Some(state_dir),
                &config.directory,
            )?),
            redis: Arc::default(),
        })
    }

    /// Makes sure that a component can have every store it asks for.
    fn require(&self, id: &str, component: &ComponentManifest) -> Result<()> {
        self.databases.require(id, component.sqlite_databases.iter().map(String::as_str))?;
        let labels = component.key_value_stores.iter().map(String::as_str);
        tokio::runtime::Handle::current().block_on(self.key_value.require(id, labels))
    }
}

/// Reads what the manifest's components consist of.
struct Loader<'a> {
    application: &'a Application,
    manifest: &'a Manifest,
    base: &'a Path,
    variables: &'a Variables,
    stores: &'a Stores,
    http: Arc<OutboundHttp>,
}

impl Loader<'_> {
    fn triggered(&self) -> impl Iterator<Item = (&str, &ComponentManifest)> {
        let triggered = self.manifest.triggered_components();
        triggered
            .filter_map(|id| self.manifest.components.get_key_value(id))
            .map(|(id, component)| (id.as_str(), component))
    }

    /// What each component is granted.
    fn grants(&self) -> Result<IndexMap<String, Grants>> {
        let place = |id: &str| format!("[component.{id}]");
        self.triggered()
            .map(|(id, component)| {
                Ok((id.to_owned(), self.grants_of(id, component).with_context(|| place(id))?))
            })
            .collect()
    }

    fn grants_of(&self, id: &str, component: &ComponentManifest) -> Result<Grants> {
        let components: Vec<String> = self.manifest.components.keys().cloned().collect();
        let allowed_hosts =
            AllowedHosts::parse(&component.allowed_outbound_hosts, self.variables, &components)?;
        self.stores.require(id, component)?;
        let own = component.environment.iter().map(|(name, value)| (name.clone(), value.clone()));
        Ok(Grants {
            environment: own.chain(self.application.environment.iter().cloned()).collect(),
            directories: component.files.iter().map(|mount| self.directory(mount)).collect::<Result<_>>()?,
            allowed_hosts: Arc::new(allowed_hosts),
            variables: self.variables.of_component(&component.variables)?,
            http: self.http.clone(),
            stores: self.stores.clone(),
            key_value_labels: Arc::new(component.key_value_stores.iter().cloned().collect()),
            database_labels: Arc::new(component.sqlite_databases.iter().cloned().collect()),
            output: Output::new(id, self.application.quiet),
        })
    }

    fn directory(&self, mount: &crate::manifest::FileMount) -> Result<Directory> {
        let host = self.base.join(&mount.source);
        ensure!(host.is_dir(), "files: `{}` is not a directory", host.display());
        ensure!(
            mount.destination.starts_with('/'),
            "files: the destination `{}` is not absolute",
            mount.destination
        );
        Ok(Directory { host, guest: mount.destination.clone() })
    }

    /// Each component's code, with its dependencies in it.
    fn codes(&self) -> Result<IndexMap<String, Code>> {
        let place = |id: &str| format!("[component.{id}]");
        self.triggered()
            .map(|(id, component)| Ok((id.to_owned(), self.code_of(component).with_context(|| place(id))?)))
            .collect()
    }

    fn code_of(&self, component: &ComponentManifest) -> Result<Code> {
        let bytes = composition::read_wasm(&self.base.join(&component.source))?;
        let mut dependencies = Vec::new();
        for (import, dependency) in &component.dependencies {
            let path = self.dependency_path(&dependency.source)?;
            let bytes = composition::read_wasm(&self.base.join(path))
                .with_context(|| format!("dependencies: `{import}`"))?;
            dependencies.push(LoadedDependency { import, dependency, bytes });
        }
        Ok(Code::new(composition::compose(bytes, dependencies)?))
    }

    fn dependency_path<'a>(&'a self, source: &'a DependencySource) -> Result<&'a Path> {
        match source {
            DependencySource::Path(path) => Ok(path),
            DependencySource::Component(id) => {
                let component =
                    self.manifest.components.get(id).with_context(|| format!("no component `{id}`"))?;
                Ok(&component.source)
            }
        }
    }
}

/// Compiles and links the components. Those with the same code share it.
fn link(
    engine: &Engine,
    codes: IndexMap<String, Code>,
    grants: IndexMap<String, Grants>,
    limits: &Limits,
) -> Result<IndexMap<String, Arc<LoadedComponent>>> {
    let linker = linker(engine.wasmtime())?;
    let mut compiled: HashMap<CodeId, Component> = HashMap::new();
    let mut components = IndexMap::new();
    for ((id, code), grants) in codes.into_iter().zip(grants.into_values()) {
        let component = match compiled.get(&code.id) {
            Some(component) => component.clone(),
            None => engine
                .compile(&code)
                .with_context(|| format!("component `{id}`: its code cannot be compiled"))?,
        };
        compiled.insert(code.id, component.clone());
        let pre = prepare(&linker, &component).with_context(|| format!("component `{id}`"))?;
        components.insert(
            id.clone(),
            Arc::new(LoadedComponent { id: id.into(), pre, grants, limits: limits.clone() }),
        );
    }
    Ok(components)
}

fn prepare(
    linker: &Linker<InstanceState>,
    component: &Component,
) -> Result<wasmtime::component::InstancePre<InstanceState>> {
    let mut linker = linker.clone();
    composition::link_denials(&mut linker, component)?;
    linker
        .instantiate_pre(component)
        .map_err(anyhow::Error::from)
        .context("it imports what this host does not provide")
}

/// The routes of the HTTP triggers. Private ones have none.
fn routes(manifest: &Manifest) -> Result<Routes> {
    let mut routes = Routes::default();
    for trigger in &manifest.http_triggers {
        if let Route::Path(path) = &trigger.route {
            routes.add(path, &trigger.component)?;
        }
    }
    Ok(routes)
}

/// Chained requests are answered in this process, so what they name must be here; and only an
/// HTTP component may send them. As in Spin, only entries without variables are looked into.
fn check_chaining(manifest: &Manifest) -> Result<()> {
    let served: BTreeSet<&str> =
        manifest.http_triggers.iter().map(|trigger| trigger.component.as_str()).collect();
    for id in manifest.triggered_components() {
        let Some(component) = manifest.components.get(id) else { continue };
        for entry in &component.allowed_outbound_hosts {
            let Some(target) = chained_component(entry) else { continue };
            if manifest.redis_triggers.iter().any(|trigger| trigger.component == id) {
                bail!(
                    "[component.{id}] allowed_outbound_hosts: `{entry}` can be reached only from HTTP components, but a Redis trigger names `{id}`"
                );
            }
            ensure!(
                target == "*" || served.contains(target.as_str()),
                "[component.{id}] allowed_outbound_hosts: `{entry}` names the component `{target}`, which is not among those started over HTTP: {}",
                listed(&served)
            );
        }
    }
    Ok(())
}

fn default_cache_dir() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable(CACHE_VARIABLE)
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("sugang")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/sugang")))
}

/// An application that is right, and can serve.
struct Checked {
    application: Application,
    engine: Engine,
    http: Arc<OutboundHttp>,
    http_trigger: HttpTrigger,
    redis_trigger: RedisTrigger,
    stop: CancellationToken,
}

impl Checked {
    async fn serve(self) -> Result<Running> {
        let listen = self.application.listen;
        let listener = bind(listen).await?;
        let address = listener.local_addr()?;
        let trigger = Arc::new(self.http_trigger);
        let chain: Arc<dyn Chain> = Arc::new(trigger.clone());
        self.http.set_application(Arc::downgrade(&chain), address);
        let (stop, mut tasks) = (self.stop, JoinSet::new());
        let routes =
            trigger.routes().iter().map(|route| (route.pattern.clone(), route.component.clone())).collect();
        let channels = self
            .redis_trigger
            .channels()
            .map(|(channel, components)| (channel, components.join(", ")))
            .collect();
        if let Some(listen) = self.application.metrics_listen {
            let listener = bind(listen).await?;
            tracing::info!("metrics at http://{}/", listener.local_addr()?);
            let serving = stop.clone().run_until_cancelled_owned(metrics::serve(listener));
            tasks.spawn(async { serving.await.unwrap_or_default() });
        }
        tasks.spawn(http_trigger::serve(trigger, listener, self.application.server_limits, stop.clone()));
        self.redis_trigger.start(&mut tasks, self.application.handler_limits, &stop);
        Ok(Running { address, routes, channels, stop, tasks, _engine: self.engine, _chain: chain })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// An application that serves, until it is shut down or dropped.
pub struct Running {
    address: SocketAddr,
    routes: Vec<(String, String)>,
    channels: Vec<(String, String)>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    _engine: Engine,
    _chain: Arc<dyn Chain>,
}

impl Running {
    /// The address it serves at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The routes, each with its component.
    pub fn routes(&self) -> &[(String, String)] {
        &self.routes
    }

    /// The Redis channels, each with its components.
    pub fn channels(&self) -> &[(String, String)] {
        &self.channels
    }

    /// Takes on nothing more, and finishes what is in flight.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
