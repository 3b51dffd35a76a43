//! `[[trigger.http]]` and `[[trigger.redis]]`.

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::Deserialize;

use super::{Manifest, listed};
use crate::document::table;

/// The trigger types this host has.
const SUPPORTED: [&str; 2] = ["http", "redis"];

/// One `[[trigger.http]]`.
#[derive(Clone, Debug)]
pub struct HttpTrigger {
    /// The component that answers.
    pub component: String,
    /// Which requests it answers.
    pub route: Route,
}

/// The requests a component answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Those whose path matches this pattern.
    Path(String),
    /// Only those of other components of the application.
    Private,
}

/// One `[[trigger.redis]]`. Address and channel are templates.
#[derive(Clone, Debug)]
pub struct RedisTrigger {
    /// The component that handles the messages.
    pub component: String,
    /// The Redis server.
    pub address: String,
    /// The channel subscribed to.
    pub channel: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTable {
    #[serde(default, rename = "id")]
    _id: String,
    component: toml::Value,
    route: toml::Value,
    #[serde(default)]
    executor: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisTable {
    #[serde(default, rename = "id")]
    _id: String,
    component: toml::Value,
    channel: String,
    #[serde(default)]
    address: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpSettings {
    #[serde(default)]
    base: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisSettings {
    #[serde(default)]
    address: Option<String>,
}

/// Reads the triggers, and the settings they share under `[application.trigger]`.
pub(super) fn read(
    manifest: &mut Manifest,
    triggers: IndexMap<String, Vec<toml::Table>>,
    mut settings: IndexMap<String, toml::Table>,
) -> Result<()> {
    let named = triggers.keys().map(|kind| (kind, format!("[[trigger.{kind}]]")));
    let set = settings.keys().map(|kind| (kind, format!("[application.trigger.{kind}]")));
    for (kind, place) in named.chain(set) {
        ensure!(
            SUPPORTED.contains(&kind.as_str()),
            "{place}: the trigger type `{kind}` is not supported; supported: {}",
            listed(SUPPORTED)
        );
    }
    let http: HttpSettings =
        table("[application.trigger.http]", settings.shift_remove("http").unwrap_or_default())?;
    if let Some(base) = http.base.filter(|base| base != "/") {
        bail!(
            "[application.trigger.http]: `base = \"{base}\"` is not supported; write it in front of each `route`"
        );
    }
    let redis: RedisSettings =
        table("[application.trigger.redis]", settings.shift_remove("redis").unwrap_or_default())?;
    for (kind, tables) in triggers {
        for trigger in tables {
            if kind == "http" {
                manifest.http_triggers.push(http_trigger(trigger)?);
            } else {
                manifest.redis_triggers.push(redis_trigger(trigger, redis.address.as_deref())?);
            }
        }
    }
    Ok(())
}

fn http_trigger(trigger: toml::Table) -> Result<HttpTrigger> {
    let place = place("http", &trigger);
    let HttpTable { component, route, executor, .. } = table(&place, trigger)?;
    let component = component_id(component).with_context(|| place.clone())?;
    check_executor(executor).with_context(|| place.clone())?;
    let route = read_route(route).context(place)?;
    Ok(HttpTrigger { component, route })
}

fn redis_trigger(trigger: toml::Table, default_address: Option<&str>) -> Result<RedisTrigger> {
    let place = place("redis", &trigger);
    let RedisTable { component, channel, address, .. } = table(&place, trigger)?;
    let component = component_id(component).with_context(|| place.clone())?;
    let address = address.or_else(|| default_address.map(str::to_owned)).with_context(|| {
        format!("{place}: has no `address`, and [application.trigger.redis] sets none for all")
    })?;
    Ok(RedisTrigger { component, address, channel })
}

/// `[[trigger.http]] of component `order``, for refusals.
fn place(kind: &str, trigger: &toml::Table) -> String {
    match trigger.get("component").and_then(toml::Value::as_str) {
        Some(component) => format!("[[trigger.{kind}]] of component `{component}`"),
        None => format!("[[trigger.{kind}]]"),
    }
}

fn component_id(component: toml::Value) -> Result<String> {
    match component {
        toml::Value::String(id) => Ok(id),
        _ => bail!(
            "`component` must name an entry of [component]: components written inside a trigger are not supported"
        ),
    }
}

fn check_executor(executor: Option<toml::Value>) -> Result<()> {
    let Some(executor) = executor else { return Ok(()) };
    let kind = executor.get("type").and_then(toml::Value::as_str);
    ensure!(
        matches!(kind, Some("http" | "spin")) && executor.as_table().is_some_and(|table| table.len() == 1),
        "the executor{} is not supported; supported: `{{ type = \"http\" }}`",
        kind.map_or_else(String::new, |kind| format!(" `{kind}`"))
    );
    Ok(())
}

fn read_route(route: toml::Value) -> Result<Route> {
    let private = toml::Table::from_iter([("private".to_owned(), toml::Value::Boolean(true))]);
    match route {
        toml::Value::String(path) => Ok(Route::Path(path)),
        toml::Value::Table(table) if table == private => Ok(Route::Private),
        _ => bail!("this `route` is not supported; supported: a path, or `{{ private = true }}`"),
    }
}
