//! What the application is: `spin.toml`, the event log's topology, and what an operator is told to put into Secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context as _, Result};
use eventlog::{keys, topology};
use toml::{Table, Value};

use crate::{kubernetes, root};

/// The application, as far as it concerns whoever deploys it.
pub struct Application {
    /// Every component that something calls, by id.
    pub components: BTreeMap<String, Component>,
    /// Every variable, and whether it is secret.
    pub variables: BTreeMap<String, bool>,
    /// Every route, as a path prefix, with the component that answers it.
    pub routes: BTreeMap<String, String>,
    /// The keys of the Secret of variables, as its example has them.
    pub secret_keys: BTreeSet<String>,
    /// The labels that the example of the runtime configuration covers, by kind of store.
    pub configured: BTreeMap<&'static str, BTreeSet<String>>,
}

/// A component.
#[derive(Default)]
pub struct Component {
    /// The application's variables that it needs a value of.
    pub variables: BTreeSet<String>,
    /// The labels of its stores, by kind of store.
    pub labels: BTreeMap<&'static str, BTreeSet<String>>,
    /// The addresses it may reach; templates.
    pub allowed_hosts: Vec<String>,
}

/// The tables of the runtime configuration, and the keys of a component that name their labels.
const STORES: [(&str, &str); 2] =
    [("sqlite_database", "sqlite_databases"), ("key_value_store", "key_value_stores")];

impl Application {
    /// As the repository has it.
    pub fn load() -> Result<Self> {
        let spin: Table = toml::from_str(&fs::read_to_string(root().join("spin.toml"))?)?;
        let secrets = kubernetes().join("secrets");
        let env = fs::read_to_string(secrets.join("variables.env.example"))?;
        let config: Table =
            toml::from_str(&fs::read_to_string(secrets.join("runtime-config.toml.example"))?)?;
        let mut application = Self {
            components: BTreeMap::new(),
            variables: spin["variables"].as_table().into_iter().flatten().map(variable).collect(),
            routes: BTreeMap::new(),
            secret_keys: env.lines().filter(|line| !line.starts_with('#')).filter_map(key).collect(),
            configured: STORES.map(|(table, _)| (table, labels(&config, table))).into(),
        };
        application.read_triggers(&spin)?;
        Ok(application)
    }

    fn read_triggers(&mut self, spin: &Table) -> Result<()> {
        let address = spin["application"]["trigger"]["redis"]["address"].as_str().context("no address")?;
        for (kind, triggers) in spin["trigger"].as_table().context("no triggers")? {
            for trigger in triggers.as_array().into_iter().flatten() {
                let id = trigger["component"].as_str().context("no component")?;
                let known = self.components.entry(id.to_owned());
                let component = known.or_insert_with(|| component(&spin["component"][id]));
                if kind == "redis" {
                    component.variables.extend(templates(address));
                }
                if let Some(route) = trigger.get("route").and_then(Value::as_str) {
                    let prefix = route.trim_end_matches("/...");
                    let prefix = if prefix.is_empty() { "/" } else { prefix };
                    self.routes.insert(prefix.to_owned(), id.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Whether a component may reach what this variable names.
    #[must_use]
    pub fn reaches(&self, id: &str, variable: &str) -> bool {
        let hosts = self.components.get(id).map(|component| &component.allowed_hosts);
        hosts.into_iter().flatten().any(|host| templates(host).any(|name| name == variable))
    }

    /// The streams that a worker reads, and the group it reads them for.
    #[must_use]
    pub fn streams(worker: &str) -> Option<BTreeSet<(String, String)>> {
        let consumer = topology::Consumer::named(worker.strip_suffix("-worker")?)?;
        Some(consumer.sources().map(|source| (keys::stream(source), consumer.name.to_owned())).collect())
    }
}

fn variable((name, declaration): (&String, &Value)) -> (String, bool) {
    let secret = declaration.get("secret").and_then(Value::as_bool).unwrap_or_default();
    (name.clone(), secret)
}

fn key(line: &str) -> Option<String> {
    line.split_once('=').map(|(key, _)| key.to_owned())
}

fn labels(config: &Table, table: &str) -> BTreeSet<String> {
    config
        .get(table)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .map(|(label, _)| label.clone())
        .collect()
}

fn component(table: &Value) -> Component {
    let list = |key: &str| -> Vec<String> {
        let list = table.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let variables = table.get("variables").and_then(Value::as_table).into_iter().flatten();
    let values = variables.filter_map(|(_, value)| value.as_str());
    let allowed_hosts = list("allowed_outbound_hosts");
    Component {
        variables: values.chain(allowed_hosts.iter().map(String::as_str)).flat_map(templates).collect(),
        labels: STORES.map(|(table, key)| (table, list(key).into_iter().collect())).into(),
        allowed_hosts,
    }
}

/// The variables that a template names.
fn templates(text: &str) -> impl Iterator<Item = String> {
    text.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim().to_owned()))
}
