//! The application's manifest (`spin.toml`, version 2): what it may say here, and nothing else.
//!
//! Every key is either understood or refused by name: an application never runs with half of
//! what it asked for. This module only reads; whether the things named exist (files, stores,
//! values of variables) is checked where they are used.

mod component;
mod locked;
mod trigger;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::Deserialize;

pub(crate) use crate::variables::listed;
use crate::{
    document::{self, table},
    variables::{VariableDeclaration, name_problem},
};

pub use component::{ComponentManifest, Dependency, DependencySource, FileMount};
pub use trigger::{HttpTrigger, RedisTrigger, Route};

/// A manifest whose every key is understood.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The application's name.
    pub name: String,
    /// The application's version, if it says one.
    pub version: String,
    /// What the application is for, if it says so.
    pub description: String,
    /// The application variables by name, in the manifest's order.
    pub variables: IndexMap<String, VariableDeclaration>,
    /// What is called over HTTP.
    pub http_triggers: Vec<HttpTrigger>,
    /// What is called by a message on a Redis channel.
    pub redis_triggers: Vec<RedisTrigger>,
    /// The components by id, in the manifest's order.
    pub components: IndexMap<String, ComponentManifest>,
}

/// The manifest's outermost tables.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    spin_manifest_version: toml::Value,
    application: toml::Table,
    #[serde(default)]
    variables: IndexMap<String, toml::Table>,
    #[serde(default)]
    trigger: IndexMap<String, Vec<toml::Table>>,
    #[serde(default)]
    component: IndexMap<String, toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplicationTable {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default, rename = "authors")]
    _authors: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: Vec<toml::Value>,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
    #[serde(default)]
    trigger: IndexMap<String, toml::Table>,
}

impl Document {
    fn manifest(self) -> Result<Manifest> {
        ensure!(
            self.spin_manifest_version == toml::Value::Integer(2),
            "`spin_manifest_version` must be 2: no other version is supported"
        );
        let application: ApplicationTable = table("[application]", self.application)?;
        let mut manifest = Manifest {
            name: application.name,
            version: application.version,
            description: application.description,
            variables: variables(self.variables)?,
            http_triggers: Vec::new(),
            redis_triggers: Vec::new(),
            components: components(self.component)?,
        };
        trigger::read(&mut manifest, self.trigger, application.trigger)?;
        manifest.check_references()?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Reads the manifest at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest `{}`", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the manifest `{}`", path.display()))
    }

    /// Reads a manifest's text.
    pub fn parse(text: &str) -> Result<Self> {
        document::parse::<Document>(text)?.manifest()
    }

    /// Keeps only the triggers of the named components; all of them where none is named.
    pub fn select(&mut self, selected: &[String]) -> Result<()> {
        if selected.is_empty() {
            return Ok(());
        }
        for id in selected {
            ensure!(
                self.triggered_components().any(|component| component == id),
                "the component `{id}` was selected, but no trigger of the application names it; there are: {}",
                listed(self.triggered_components())
            );
        }
        self.http_triggers.retain(|trigger| selected.contains(&trigger.component));
        self.redis_triggers.retain(|trigger| selected.contains(&trigger.component));
        Ok(())
    }

    /// The ids of the components that a trigger names, each once, in the order of the triggers.
    pub fn triggered_components(&self) -> impl Iterator<Item = &str> {
        let http = self.http_triggers.iter().map(|trigger| trigger.component.as_str());
        let redis = self.redis_triggers.iter().map(|trigger| trigger.component.as_str());
        http.chain(redis).collect::<indexmap::IndexSet<_>>().into_iter()
    }

    fn check_references(&self) -> Result<()> {
        for component in self.triggered_components() {
            ensure!(
                self.components.contains_key(component),
                "a trigger names the component `{component}`, which has no [component.{component}]; there are: {}",
                listed(self.components.keys())
            );
        }
        for (id, component) in &self.components {
            for (import, dependency) in &component.dependencies {
                if let DependencySource::Component(source) = &dependency.source {
                    let component = self.components.get(source).with_context(|| {
                        format!("[component.{id}.dependencies] `{import}` names the component `{source}`, which does not exist")
                    })?;
                    // Composed, it has what it inherits, and nothing of its own.
                    ensure!(
                        component.grants().next().is_none(),
                        "[component.{id}.dependencies] `{import}` names the component `{source}`, whose own {} would have no effect",
                        listed(component.grants())
                    );
                }
            }
        }
        Ok(())
    }
}

fn variables(tables: IndexMap<String, toml::Table>) -> Result<IndexMap<String, VariableDeclaration>> {
    let mut variables = IndexMap::new();
    for (name, value) in tables {
        if let Some(problem) = name_problem(&name) {
            bail!("[variables] `{name}`: the name {problem}");
        }
        let declaration: VariableDeclaration = table(&format!("[variables] `{name}`"), value)?;
        match (&declaration.default, declaration.required) {
            (None, false) => bail!("[variables] `{name}`: needs `default = \"...\"` or `required = true`"),
            (Some(_), true) => {
                bail!("[variables] `{name}`: cannot have a `default` and be `required` at once")
            }
            _ => drop(variables.insert(name, declaration)),
        }
    }
    Ok(variables)
}

fn components(tables: IndexMap<String, toml::Table>) -> Result<IndexMap<String, ComponentManifest>> {
    let mut components = IndexMap::new();
    for (id, value) in tables {
        ensure!(is_kebab_case(&id), "[component.{id}]: the id must be in kebab-case, like `order-worker`");
        let component = ComponentManifest::read(&id, value)?;
        components.insert(id, component);
    }
    Ok(components)
}

fn is_kebab_case(id: &str) -> bool {
    id.split('-').all(|word| {
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && (word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()))
    })
}
