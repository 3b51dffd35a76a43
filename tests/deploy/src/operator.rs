//! What the SpinKube operator makes of a SpinApp, as its `internal/controller` does: the container that it starts.

use serde_json::{Value, json};

use crate::{list, name, texts};

/// The port that the operator chooses for every application.
pub const PORT: u16 = 80;

/// The container of a SpinApp, by an executor that names an image of the host. Nothing where it names none.
#[must_use]
pub fn container(app: &Value, executor: &Value) -> Option<Value> {
    let spec = &app["spec"];
    let host = executor["spec"]["deploymentConfig"]["spinImage"].as_str()?;
    let mut arguments = vec![
        json!("up"),
        json!("--listen"),
        json!(format!("0.0.0.0:{PORT}")),
        json!("-f"),
        spec["image"].clone(),
        json!("--runtime-config-file"),
        json!("/runtime-config.toml"),
    ];
    let components: Vec<&str> = texts(&spec["components"]).collect();
    for id in &components {
        arguments.extend([json!("--component-id"), json!(id)]);
    }
    let mut environment: Vec<Value> = list(&spec["variables"]).map(variable).collect();
    environment.push(json!({ "name": "SPIN_HTTP_LISTEN_ADDR", "value": format!("0.0.0.0:{PORT}") }));
    if !components.is_empty() {
        environment.push(json!({ "name": "SPIN_COMPONENTS_TO_RETAIN", "value": components.join(",") }));
    }
    let collector = &executor["spec"]["deploymentConfig"]["otel"]["exporter_otlp_endpoint"];
    if collector.is_string() {
        environment.push(json!({ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": collector }));
    }
    let mut mounts = Vec::new();
    if spec["runtimeConfig"]["loadFromSecret"].is_string() {
        mounts.push(json!({
            "name": "spin-runtime-config", "mountPath": "/runtime-config.toml",
            "subPath": "runtime-config.toml", "readOnly": true,
        }));
    }
    mounts.extend(list(&spec["volumeMounts"]).cloned());
    Some(json!({
        "name": name(app),
        "image": host,
        "args": arguments,
        "env": environment,
        "ports": [{ "name": "http-app", "containerPort": PORT }],
        "livenessProbe": probe(&spec["checks"]["liveness"]),
        "readinessProbe": probe(&spec["checks"]["readiness"]),
        "resources": spec["resources"],
        "volumeMounts": mounts,
    }))
}

fn variable(variable: &Value) -> Value {
    let mut environment = variable.clone();
    let name = variable["name"].as_str().unwrap_or_default().to_ascii_uppercase();
    environment["name"] = format!("SPIN_VARIABLE_{name}").into();
    environment
}

fn probe(check: &Value) -> Value {
    let mut probe = check.clone();
    if probe["httpGet"].is_object() {
        probe["httpGet"]["port"] = PORT.into();
    }
    probe
}
