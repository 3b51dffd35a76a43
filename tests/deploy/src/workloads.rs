//! What runs the application: SpinApps, and Deployments that do the same by themselves, seen alike.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{application::Application, find, list, name, of_kind, texts};

/// A SpinApp, or a Deployment of the host.
pub struct Workload<'a> {
    /// Its name, and that of its Service and Deployment.
    pub name: &'a str,
    /// The components it runs.
    pub components: Vec<String>,
    /// Where the variables it sets have their values from, by name.
    pub variables: BTreeMap<String, Source<'a>>,
    /// The Secret that the runtime configuration is in.
    pub runtime_config: Option<&'a str>,
    /// How many there are, where it says so itself.
    pub replicas: Option<u64>,
    /// Whether somebody else is to say so.
    pub autoscaled: bool,
    /// What it asks for, and what it may have at the most.
    pub resources: &'a Value,
    /// The paths of its probes: liveness, readiness.
    pub probes: [Option<&'a str>; 2],
    /// What its pods are selected by.
    pub labels: &'a Value,
}

/// Where a variable has its value from.
#[derive(Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// It stands in the manifest.
    Literal,
    /// A key of a ConfigMap.
    ConfigMap(&'a str, &'a str),
    /// A key of a Secret.
    Secret(&'a str, &'a str),
}

/// All of them.
#[must_use]
pub fn workloads<'a>(objects: &'a [Value], application: &Application) -> Vec<Workload<'a>> {
    let apps = of_kind(objects, "SpinApp").map(|object| spin_app(object, application));
    apps.chain(of_kind(objects, "Deployment").filter_map(deployment)).collect()
}

fn spin_app<'a>(object: &'a Value, application: &Application) -> Workload<'a> {
    let spec = &object["spec"];
    let components: Vec<String> = match &spec["components"] {
        Value::Null => application.components.keys().cloned().collect(),
        named => texts(named).map(str::to_owned).collect(),
    };
    let probe = |which: &str| spec["checks"][which]["httpGet"]["path"].as_str();
    Workload {
        name: name(object),
        components,
        variables: list(&spec["variables"]).map(|it| (text(&it["name"]).to_owned(), source(it))).collect(),
        runtime_config: spec["runtimeConfig"]["loadFromSecret"].as_str(),
        replicas: spec["replicas"].as_u64(),
        autoscaled: spec["enableAutoscaling"] == true,
        resources: &spec["resources"],
        probes: [probe("liveness"), probe("readiness")],
        labels: &spec["podLabels"],
    }
}

fn deployment(object: &Value) -> Option<Workload<'_>> {
    let template = &object["spec"]["template"];
    let container = &template["spec"]["containers"][0];
    let arguments: Vec<&str> = texts(&container["args"]).collect();
    if arguments.first() != Some(&"up") {
        return None;
    }
    let pairs = arguments.iter().zip(arguments.iter().skip(1));
    let components = pairs.filter(|(flag, _)| **flag == "--component-id").map(|(_, id)| (*id).to_owned());
    let variable = |it: &'_ Value| {
        let name = text(&it["name"]).strip_prefix("SPIN_VARIABLE_")?.to_ascii_lowercase();
        Some(name)
    };
    let config = list(&template["spec"]["volumes"]).find(|volume| volume["name"] == "spin-runtime-config");
    let replicas = object["spec"]["replicas"].as_u64();
    Some(Workload {
        name: name(object),
        components: components.collect(),
        variables: list(&container["env"]).filter_map(|it| Some((variable(it)?, source(it)))).collect(),
        runtime_config: config.and_then(|volume| volume["secret"]["secretName"].as_str()),
        replicas,
        autoscaled: replicas.is_none(),
        resources: &container["resources"],
        probes: ["livenessProbe", "readinessProbe"].map(|it| container[it]["httpGet"]["path"].as_str()),
        labels: &template["metadata"]["labels"],
    })
}

/// Where a variable, of a SpinApp or of an environment, has its value from.
fn source(variable: &Value) -> Source<'_> {
    let from = &variable["valueFrom"];
    let key = |it: &'static str| (text(&from[it]["name"]), text(&from[it]["key"]));
    if from["secretKeyRef"].is_object() {
        let (name, key) = key("secretKeyRef");
        Source::Secret(name, key)
    } else if from["configMapKeyRef"].is_object() {
        let (name, key) = key("configMapKeyRef");
        Source::ConfigMap(name, key)
    } else {
        Source::Literal
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Whether a ConfigMap has that key.
#[must_use]
pub fn has_key(objects: &[Value], config_map: &str, key: &str) -> bool {
    find(objects, "ConfigMap", config_map).is_some_and(|object| object["data"][key].is_string())
}
