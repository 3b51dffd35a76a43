//! The locked application: the manifest with every name settled, as Spin writes it into an image.
//!
//! What Spin would leave out is left out, and what it sorts is sorted, so that both make the same of a manifest.

use std::collections::{BTreeMap, HashSet};

use anyhow::Result;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::outbound::allowed_hosts::chained_component;

/// Says that the application has components which call each other.
const CHAINING: &str = "local_service_chaining";

/// Says that what components require of their host has to be looked at.
const COMPONENT_REQUIREMENTS: &str = "component_host_requirements";

/// A locked application. Fields that are not here mean nothing to a host, or are named in `must_understand`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockedApplication {
    /// 1 where something must be understood, else 0.
    pub spin_lock_version: u64,
    /// What a host must look at, or refuse the application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub must_understand: Vec<String>,
    /// Name, version, description, and what the triggers of a type share.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// What the host must be able to do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_requirements: BTreeMap<String, Value>,
    /// The application's variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, LockedVariable>,
    /// What calls the components.
    pub triggers: Vec<LockedTrigger>,
    /// The components.
    pub components: Vec<LockedComponent>,
}

/// A variable; without a default it must be given a value.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LockedVariable {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its value where nothing else gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether its value must not be shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// What calls a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockedTrigger {
    /// Unlike that of any other.
    pub id: String,
    /// `http`, `redis`.
    pub trigger_type: String,
    /// The component, and when it is called.
    pub trigger_config: BTreeMap<String, Value>,
    /// What is put in front of the component.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub trigger_dependencies: Map<String, Value>,
}

/// A component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockedComponent {
    /// Its id in the manifest.
    pub id: String,
    /// What it is granted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Value>,
    /// Its code.
    pub source: LockedSource,
    /// The environment variables it sees.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Files it may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Value>,
    /// Its variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// What is to be composed into it, where that was not done when the image was made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, LockedDependency>,
    /// What the host must be able to do for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_requirements: BTreeMap<String, Value>,
}

/// Code, by its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockedSource {
    /// `application/wasm`.
    pub content_type: String,
    /// The digest of the layer it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What is to be composed into a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LockedDependency {
    /// Its code.
    pub source: LockedSource,
    /// The export to use.
    #[serde(default)]
    pub export: Option<String>,
    /// Which grants it has: `"All"`, or a list.
    #[serde(default)]
    pub inherit: Value,
}

/// The manifest as it is written. That nothing else is in it was checked before.
#[derive(Deserialize)]
struct Document {
    application: Application,
    #[serde(default)]
    variables: BTreeMap<String, LockedVariable>,
    #[serde(default)]
    trigger: IndexMap<String, Vec<BTreeMap<String, Value>>>,
    #[serde(default)]
    component: IndexMap<String, Component>,
}

#[derive(Deserialize)]
struct Application {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    authors: Vec<String>,
    #[serde(default)]
    trigger: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(default)]
    description: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    build: Option<BTreeMap<String, Value>>,
}

impl LockedApplication {
    /// The application of a manifest's text, with the digest of each component's code as `code` gives it.
    pub fn lock(text: &str, mut code: impl FnMut(&str) -> Result<String>) -> Result<Self> {
        let document: Document = toml::from_str(text)?;
        let mut components = Vec::new();
        for (id, component) in document.component {
            let digest = code(&id)?;
            components.push(lock_component(id, component, digest));
        }
        let must_understand: Vec<String> = components
            .iter()
            .any(|component| !component.host_requirements.is_empty())
            .then(|| COMPONENT_REQUIREMENTS.to_owned())
            .into_iter()
            .collect();
        Ok(Self {
            spin_lock_version: u64::from(!must_understand.is_empty()),
            must_understand,
            metadata: metadata(document.application, document.trigger.keys()),
            host_requirements: BTreeMap::new(),
            variables: document.variables,
            triggers: triggers(document.trigger),
            components,
        })
    }
}

fn metadata<'a>(
    application: Application,
    mut types: impl ExactSizeIterator<Item = &'a String>,
) -> BTreeMap<String, Value> {
    let mut metadata = BTreeMap::new();
    // An application with triggers of one type has their settings under an old name too.
    if types.len() == 1
        && let Some(kind) = types.next()
    {
        let mut settings = application.trigger.get(kind).cloned().unwrap_or_default();
        settings.insert("type".to_owned(), json!(kind));
        metadata.insert("trigger".to_owned(), json!(settings));
    }
    metadata.insert("triggers".to_owned(), json!(application.trigger));
    set_text(&mut metadata, "name", application.name);
    set_text(&mut metadata, "version", application.version);
    set_text(&mut metadata, "description", application.description);
    set_list(&mut metadata, "authors", application.authors);
    metadata
}

fn lock_component(id: String, component: Component, digest: String) -> LockedComponent {
    let mut metadata = BTreeMap::new();
    let chains = component.allowed_outbound_hosts.iter().any(|host| chained_component(host).is_some());
    set_text(&mut metadata, "description", component.description);
    set_list(&mut metadata, "allowed_outbound_hosts", component.allowed_outbound_hosts);
    set_list(&mut metadata, "key_value_stores", component.key_value_stores);
    set_list(&mut metadata, "databases", component.sqlite_databases);
    if let Some(build) = component.build {
        metadata.insert("build".to_owned(), json!(build));
    }
    LockedComponent {
        id,
        metadata,
        source: LockedSource { content_type: super::layout::PLAIN_WASM.to_owned(), digest: Some(digest) },
        env: component.environment,
        files: Vec::new(),
        config: component.variables,
        dependencies: BTreeMap::new(),
        host_requirements: chains.then(|| (CHAINING.to_owned(), json!("required"))).into_iter().collect(),
    }
}

fn set_text(metadata: &mut BTreeMap<String, Value>, key: &str, text: String) {
    if !text.is_empty() {
        metadata.insert(key.to_owned(), json!(text));
    }
}

fn set_list(metadata: &mut BTreeMap<String, Value>, key: &str, list: Vec<String>) {
    if !list.is_empty() {
        metadata.insert(key.to_owned(), json!(list));
    }
}

/// Every trigger with an id: its own, or one after its component, or a number, as Spin gives them.
fn triggers(by_type: IndexMap<String, Vec<BTreeMap<String, Value>>>) -> Vec<LockedTrigger> {
    let own = |trigger: &BTreeMap<String, Value>| trigger.get("id")?.as_str().map(str::to_owned);
    let mut taken: HashSet<String> = by_type.values().flatten().filter_map(own).collect();
    let mut triggers = Vec::new();
    for (kind, configs) in by_type {
        for mut config in configs {
            let natural = config.get("component").and_then(Value::as_str);
            let natural = natural.map(|component| format!("{component}-{kind}-trigger"));
            let numbered = (1..).map(|number| format!("{kind}-trigger{number}"));
            let free = || natural.into_iter().chain(numbered).find(|id| !taken.contains(id));
            let Some(id) = own(&config).filter(|id| !id.is_empty()).or_else(free) else { continue };
            taken.insert(id.clone());
            config.remove("id");
            triggers.push(LockedTrigger {
                id,
                trigger_type: kind.clone(),
                trigger_config: config,
                trigger_dependencies: Map::new(),
            });
        }
    }
    triggers
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "shop"
        version = "1.2.3"
        [application.trigger.redis]
        address = "redis://{{ where }}"
        [variables]
        where = { default = "here" }
        key = { required = true, secret = true }
        [[trigger.http]]
        route = "/"
        component = "shop"
        [[trigger.http]]
        id = "http-trigger1"
        route = "/a"
        component = "shop"
        [[trigger.http]]
        route = "/b"
        component = "shop"
        [[trigger.redis]]
        channel = "c"
        component = "worker"
        [component.shop]
        source = "shop.wasm"
        allowed_outbound_hosts = ["http://stock.spin.internal"]
        sqlite_databases = ["shop"]
        variables = { key = "{{ key }}" }
        [component.shop.build]
        command = "make"
        [component.worker]
        source = "shop.wasm""#;

    fn locked() -> Value {
        let locked = LockedApplication::lock(MANIFEST, |id| Ok(format!("sha256:{id}"))).unwrap();
        serde_json::to_value(&locked).unwrap()
    }

    /// Written down from what `spin registry push` of Spin 4.1 makes of such a manifest.
    #[test]
    fn a_manifest_is_locked_as_spin_locks_it() {
        let expected = json!({
            "spin_lock_version": 1,
            "must_understand": ["component_host_requirements"],
            "metadata": {
                "name": "shop", "version": "1.2.3",
                "triggers": { "redis": { "address": "redis://{{ where }}" } },
            },
            "variables": { "key": { "secret": true }, "where": { "default": "here" } },
            "triggers": [
                { "id": "shop-http-trigger", "trigger_type": "http",
                  "trigger_config": { "component": "shop", "route": "/" } },
                { "id": "http-trigger1", "trigger_type": "http",
                  "trigger_config": { "component": "shop", "route": "/a" } },
                { "id": "http-trigger2", "trigger_type": "http",
                  "trigger_config": { "component": "shop", "route": "/b" } },
                { "id": "worker-redis-trigger", "trigger_type": "redis",
                  "trigger_config": { "component": "worker", "channel": "c" } },
            ],
            "components": [
                { "id": "shop",
                  "metadata": {
                      "allowed_outbound_hosts": ["http://stock.spin.internal"],
                      "databases": ["shop"], "build": { "command": "make" },
                  },
                  "source": { "content_type": "application/wasm", "digest": "sha256:shop" },
                  "config": { "key": "{{ key }}" },
                  "host_requirements": { "local_service_chaining": "required" } },
                { "id": "worker",
                  "source": { "content_type": "application/wasm", "digest": "sha256:worker" } },
            ],
        });
        assert_eq!(locked(), expected);
    }

    #[test]
    fn components_are_in_the_order_of_the_manifest() {
        let text =
            "application = { name = 'a' }\n[component.order]\n[component.information]\n[component.pay]";
        let locked = LockedApplication::lock(text, |_| Ok(String::new())).unwrap();
        let ids: Vec<_> = locked.components.iter().map(|component| component.id.as_str()).collect();
        assert_eq!(ids, ["order", "information", "pay"]);
    }

    #[test]
    fn an_application_with_triggers_of_one_type_says_so_twice() {
        let text = "application = { name = 'a', trigger = { http = { base = '/' } } }\n\
            [[trigger.http]]\nroute = '/'\ncomponent = 'a'";
        let locked = LockedApplication::lock(text, |_| Ok(String::new())).unwrap();
        assert_eq!(locked.metadata["trigger"], json!({ "type": "http", "base": "/" }));
        assert_eq!(locked.spin_lock_version, 0);
    }
}
