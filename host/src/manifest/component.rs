//! `[component.<id>]`: its code, and what it is granted.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use indexmap::IndexMap;
use serde::Deserialize;

use crate::document::table;

/// One component: where its code is, and what it may use.
#[derive(Clone, Debug)]
pub struct ComponentManifest {
    /// The `.wasm` file, relative to the manifest.
    pub source: PathBuf,
    /// What the component is for, if it says so.
    pub description: String,
    /// The component's variables; the values are templates.
    pub variables: IndexMap<String, String>,
    /// The environment variables it sees.
    pub environment: IndexMap<String, String>,
    /// The directories it may read.
    pub files: Vec<FileMount>,
    /// The addresses it may reach; templates.
    pub allowed_outbound_hosts: Vec<String>,
    /// The labels of the key-value stores it may open.
    pub key_value_stores: Vec<String>,
    /// The labels of the SQLite databases it may open.
    pub sqlite_databases: Vec<String>,
    /// What is composed into it, by the import (or package) it satisfies.
    pub dependencies: IndexMap<String, Dependency>,
}

/// A host directory that a component may read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMount {
    /// The directory, relative to the manifest.
    pub source: PathBuf,
    /// Where the component sees it.
    pub destination: String,
}

/// One entry of `[component.<id>.dependencies]`.
#[derive(Clone, Debug)]
pub struct Dependency {
    /// Where its code is.
    pub source: DependencySource,
    /// The export that satisfies the import, where it is not the import's own name.
    pub export: Option<String>,
}

/// Where the code of a dependency is.
#[derive(Clone, Debug)]
pub enum DependencySource {
    /// A `.wasm` file, relative to the manifest.
    Path(PathBuf),
    /// The code of another component of the application.
    Component(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ComponentTable {
    source: toml::Value,
    #[serde(default)]
    description: String,
    #[serde(default)]
    variables: IndexMap<String, String>,
    #[serde(default)]
    environment: IndexMap<String, String>,
    #[serde(default)]
    files: Vec<toml::Value>,
    #[serde(default)]
    exclude_files: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    sqlite_databases: Vec<String>,
    #[serde(default)]
    ai_models: Vec<String>,
    #[serde(default, rename = "targets")]
    _targets: Vec<toml::Value>,
    #[serde(default, rename = "build")]
    _build: Option<BuildTable>,
    #[serde(default, rename = "tool")]
    _tool: toml::Table,
    #[serde(default)]
    dependencies_inherit_configuration: Option<bool>,
    #[serde(default)]
    dependencies: IndexMap<String, toml::Value>,
}

/// Read by whoever builds the component; here only its shape is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BuildTable {
    #[serde(rename = "command")]
    _command: toml::Value,
    #[serde(default, rename = "workdir")]
    _workdir: String,
    #[serde(default, rename = "watch")]
    _watch: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DependencyTable {
    #[serde(default)]
    path: Option<PathBuf>,
    #[serde(default)]
    component: Option<String>,
    #[serde(default)]
    export: Option<String>,
    #[serde(default)]
    inherit_configuration: Option<toml::Value>,
}

impl ComponentManifest {
    pub(super) fn read(id: &str, value: toml::Table) -> Result<Self> {
        let place = format!("[component.{id}]");
        let component: ComponentTable = table(&place, value)?;
        Self::check(component).context(place)
    }

    /// The keys by which the component is granted anything.
    pub fn grants(&self) -> impl Iterator<Item = &'static str> {
        let granted = [
            ("variables", !self.variables.is_empty()),
            ("environment", !self.environment.is_empty()),
            ("files", !self.files.is_empty()),
            ("allowed_outbound_hosts", !self.allowed_outbound_hosts.is_empty()),
            ("key_value_stores", !self.key_value_stores.is_empty()),
            ("sqlite_databases", !self.sqlite_databases.is_empty()),
            ("dependencies", !self.dependencies.is_empty()),
        ];
        granted.into_iter().filter_map(|(key, is_granted)| is_granted.then_some(key))
    }

    fn check(component: ComponentTable) -> Result<Self> {
        ensure!(
            component.ai_models.is_empty(),
            "`ai_models` is not supported: this host runs no language models"
        );
        ensure!(
            component.exclude_files.is_empty(),
            "`exclude_files` is not supported: mount a directory that holds only what the component may read"
        );
        for name in component.variables.keys() {
            if let Some(problem) = crate::variables::name_problem(name) {
                bail!("variables: the name `{name}` {problem}");
            }
        }
        check_labels("key_value_stores", &component.key_value_stores)?;
        check_labels("sqlite_databases", &component.sqlite_databases)?;
        Ok(Self {
            source: source(component.source)?,
            description: component.description,
            variables: component.variables,
            environment: component.environment,
            files: component.files.into_iter().map(file_mount).collect::<Result<_>>()?,
            allowed_outbound_hosts: component.allowed_outbound_hosts,
            key_value_stores: component.key_value_stores,
            sqlite_databases: component.sqlite_databases,
            dependencies: dependencies(component.dependencies, component.dependencies_inherit_configuration)?,
        })
    }
}

fn source(source: toml::Value) -> Result<PathBuf> {
    match source {
        toml::Value::String(path) => Ok(path.into()),
        _ => bail!("`source` is no text; supported: the path of a .wasm file"),
    }
}

fn file_mount(mount: toml::Value) -> Result<FileMount> {
    match mount {
        toml::Value::Table(mount) => table("files", mount),
        _ => bail!(
            "files: patterns are not supported; supported: `{{ source = \"<directory>\", destination = \"/<path>\" }}`"
        ),
    }
}

fn check_labels(key: &str, labels: &[String]) -> Result<()> {
    for label in labels {
        let valid = label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        ensure!(valid, "{key}: the label `{label}` must be in kebab-case or snake_case");
    }
    Ok(())
}

fn dependencies(
    tables: IndexMap<String, toml::Value>,
    all_inherit: Option<bool>,
) -> Result<IndexMap<String, Dependency>> {
    let mut dependencies = IndexMap::new();
    for (import, value) in tables {
        let dependency =
            dependency(&import, value, all_inherit).with_context(|| format!("dependencies: `{import}`"))?;
        dependencies.insert(import, dependency);
    }
    Ok(dependencies)
}

fn dependency(import: &str, value: toml::Value, all_inherit: Option<bool>) -> Result<Dependency> {
    let toml::Value::Table(value) = value else {
        bail!(
            "a dependency from a registry is not supported; supported: `{{ path = \"...\" }}` and `{{ component = \"...\" }}`"
        );
    };
    for key in ["version", "registry", "package", "url", "digest"] {
        ensure!(
            !value.contains_key(key),
            "`{key}`: a dependency from a registry or a URL is not supported; supported: `{{ path = \"...\" }}` and `{{ component = \"...\" }}`"
        );
    }
    let dependency: DependencyTable = table("the dependency", value)?;
    let source = match (dependency.path, dependency.component) {
        (Some(path), None) => DependencySource::Path(path),
        (None, Some(component)) => DependencySource::Component(component),
        _ => bail!("needs exactly one of `path` and `component`"),
    };
    ensure!(
        dependency.export.is_none() || import.contains('/') || !import.contains(':'),
        "`export` cannot be given where a whole package is satisfied"
    );
    ensure!(
        all_inherit.is_none() || dependency.inherit_configuration.is_none(),
        "`inherit_configuration` cannot be combined with the component's `dependencies_inherit_configuration`"
    );
    let inherits = dependency.inherit_configuration.or(all_inherit.map(toml::Value::Boolean));
    ensure!(
        inherits == Some(toml::Value::Boolean(true)),
        "only `inherit_configuration = true` is supported: here a dependency has all that its component is granted"
    );
    Ok(Dependency { source, export: dependency.export })
}
