//! Everything that can be found wrong with an application without serving it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;

use super::{
    Application, load,
    running::Checked,
    source::{self, Source},
};
use crate::{
    component::{LoadedComponent, Stores},
    engine::Engine,
    http_trigger::{HttpTrigger, routes::Routes},
    key_value,
    manifest::{Manifest, Route, listed},
    outbound::allowed_hosts::chained_component,
    redis_trigger::RedisTrigger,
    runtime_config::RuntimeConfig,
    sqlite::Databases,
    stopping::Stopping,
    variables::{Sources, Variables},
};

/// Where Spin's state goes: beside the manifest, or in the working directory where that is in an image.
const STATE_DIR: &str = ".spin";

/// The environment variable that names the directory of compiled code.
const CACHE_VARIABLE: &str = "SUGANG_CACHE_DIR";

/// Checks everything, and compiles what is not in the cache.
pub(super) fn check(application: Application) -> Result<Checked> {
    let application = restricted(application);
    let config = match &application.runtime_config {
        Some(path) => RuntimeConfig::load(path)?,
        None => RuntimeConfig::default(),
    };
    let state_dir = application.state_dir.clone().or_else(|| config.state_dir.clone());
    let state_dir = state_dir.unwrap_or_else(|| source::folder(&application.manifest).join(STATE_DIR));
    let cache = application.cache_dir.clone().or_else(default_cache_dir);
    let cache = cache.unwrap_or_else(|| state_dir.join("cache"));
    let (source, mut manifest) = Source::open(&application, &cache)?;
    manifest.select(&application.components)?;
    if let Some(platform) = application.platform {
        platform.check(&manifest, application.runtime_config.is_some())?;
    }
    check_chaining(&manifest)?;
    let routes = routes(&manifest)?;
    let sources = Sources { given: application.variables.clone(), providers: config.providers.clone() };
    let variables = Variables::settle(&manifest.variables, &sources)?;
    if let Some(precheck) = application.precheck
        && !manifest.http_triggers.is_empty()
    {
        precheck(&|name| given(&manifest, &variables, name), application.listen)?;
    }
    let stores = stores(&application, &config, &state_dir)?;
    let in_flight = stores.databases.in_flight().clone();
    let loader = load::Loader {
        environment: &application.environment,
        quiet: application.quiet,
        manifest: &manifest,
        source: &source,
        variables: &variables,
        stores,
        http: Arc::default(),
    };
    let grants = loader.grants()?;
    let codes = loader.codes()?;
    if let Some(platform) = application.platform {
        platform.check_size(&codes)?;
    }
    let engine = Engine::new(&application.limits, Some(cache))?;
    let http = loader.http.clone();
    let components = load::link(&engine, codes, grants, &application.limits)?;
    if let Some(platform) = application.platform {
        platform.check_imports(&components)?;
    }
    let stopping = Stopping::default();
    let http_trigger = http_trigger(&application, &manifest, routes, in_flight, &components, &stopping)?;
    let redis_trigger = redis_trigger(&application, &manifest, &variables, &components)?;
    Ok(Checked { application, engine, http, http_trigger, redis_trigger, stopping })
}

/// The same application, with no more than its platform gives.
fn restricted(application: Application) -> Application {
    let Some(platform) = application.platform else { return application };
    let limits = platform.lower(application.limits.clone());
    let request_limits = platform.lower_requests(application.request_limits);
    let reuse = platform.lower_reuse(application.reuse);
    Application { limits, request_limits, reuse, ..application }
}

/// What the first component that has a variable of this name gets for it.
fn given(manifest: &Manifest, variables: &Variables, name: &str) -> Option<String> {
    let templates =
        manifest.triggered_components().filter_map(|id| manifest.components.get(id)?.variables.get(name));
    templates.filter_map(|template| variables.fill(template).ok()).next()
}

/// Relative paths of databases start in the working directory, those of key-value stores where the
/// runtime configuration is, as in Spin. A state directory of one's own moves the databases too, so
/// that two applications of one manifest do not share them.
fn stores(application: &Application, config: &RuntimeConfig, state_dir: &Path) -> Result<Stores> {
    let databases_from = application.state_dir.clone().unwrap_or_default();
    let databases = Databases::from_runtime_config(&config.sqlite_databases, state_dir, &databases_from)?;
    let key_value =
        key_value::Stores::from_runtime_config(&config.key_value_stores, state_dir, &config.directory)?;
    Ok(Stores { databases: Arc::new(databases), key_value: Arc::new(key_value), redis: Arc::default() })
}

fn http_trigger(
    application: &Application,
    manifest: &Manifest,
    routes: Routes,
    in_flight: crate::in_flight::InFlight,
    components: &IndexMap<String, Arc<LoadedComponent>>,
    stopping: &Stopping,
) -> Result<HttpTrigger> {
    let (origin, limits) = (application.origin.clone(), application.request_limits);
    let (name, version) = (&manifest.name, &manifest.version);
    let mut trigger = HttpTrigger::new(name, version, routes, origin, limits, in_flight, stopping);
    for id in manifest.http_triggers.iter().map(|trigger| &trigger.component).collect::<BTreeSet<_>>() {
        trigger.add(loaded(components, id)?, application.reuse)?;
    }
    Ok(trigger)
}

fn redis_trigger(
    application: &Application,
    manifest: &Manifest,
    variables: &Variables,
    components: &IndexMap<String, Arc<LoadedComponent>>,
) -> Result<RedisTrigger> {
    let mut redis = RedisTrigger::new(&manifest.name, application.handler_limits, application.reuse);
    for trigger in &manifest.redis_triggers {
        let place = || format!("[[trigger.redis]] of component `{}`", trigger.component);
        let address = variables.fill(&trigger.address).with_context(place)?;
        let channel = variables.fill(&trigger.channel).with_context(place)?;
        redis.add(&loaded(components, &trigger.component)?, &address, &channel).with_context(place)?;
    }
    Ok(redis)
}

fn loaded(components: &IndexMap<String, Arc<LoadedComponent>>, id: &str) -> Result<Arc<LoadedComponent>> {
    components.get(id).cloned().with_context(|| format!("component `{id}` was not loaded"))
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
