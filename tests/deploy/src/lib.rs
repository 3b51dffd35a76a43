//! Holds the manifests under `deploy/kubernetes` against the application, without a cluster, and the workflows under
//! `deploy/github` against what they call.
//!
//! - [`kustomize`] renders an overlay, by the small part of kustomize that is used there;
//! - [`models`] knows every field of every kind that is used, and refuses others;
//! - [`application`] knows what `spin.toml` and the event log say;
//! - [`workloads`] sees SpinApps and Deployments as what they run;
//! - [`rules`] and [`network`] hold the one to the other, and say in words what is wrong;
//! - [`schemas`] adds the custom resources' own schemas, where a folder with them is named;
//! - [`workflows`] reads what GitHub would run, and says what is wrong with it.
//!
//! What it deliberately does not do: start anything, or speak to a cluster.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is not there is null")]

use std::path::PathBuf;

use serde_json::Value;

pub mod application;
pub mod kustomize;
pub mod models;
pub mod network;
pub mod operator;
pub mod rules;
pub mod schemas;
pub mod workflows;
pub mod workloads;

/// The overlays, each a system of its own.
pub const OVERLAYS: [&str; 4] = ["postgres", "shim", "plain", "sqlite"];

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
}

/// The folder of the manifests.
#[must_use]
pub fn kubernetes() -> PathBuf {
    root().join("deploy").join("kubernetes")
}

/// The folder of the workflows.
#[must_use]
pub fn github() -> PathBuf {
    root().join("deploy").join("github")
}

/// The kind of an object.
#[must_use]
pub fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The name of an object.
#[must_use]
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The objects of one kind.
pub fn of_kind<'a>(objects: &'a [Value], wanted: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| kind(object) == wanted)
}

/// The object of that kind and name.
#[must_use]
pub fn find<'a>(objects: &'a [Value], wanted: &'a str, named: &str) -> Option<&'a Value> {
    of_kind(objects, wanted).find(|object| name(object) == named)
}

/// What stands in a list; nothing where there is none.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The texts of a list.
pub fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).filter_map(Value::as_str)
}
