//! The runtime configuration (`runtime-config.toml`): which store is behind which label, and
//! where variables get their values.
//!
//! The types of stores are read by the capability they belong to; here they stay tables.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// What the operator configured; empty where there is no file.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig {
    /// The directory that relative paths in the file start from: the file's own.
    pub directory: PathBuf,
    /// Where state is kept, if the file says so.
    pub state_dir: Option<PathBuf>,
    /// `[key_value_store.<label>]`, by label.
    pub key_value_stores: toml::Table,
    /// `[sqlite_database.<label>]`, by label.
    pub sqlite_databases: toml::Table,
    /// The values of `[[variables_provider]]`s of type `static`.
    pub variables: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    state_dir: Option<PathBuf>,
    #[serde(default)]
    key_value_store: toml::Table,
    #[serde(default)]
    sqlite_database: toml::Table,
    #[serde(default, alias = "config_provider")]
    variables_provider: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticProvider {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    values: BTreeMap<String, String>,
}

impl RuntimeConfig {
    /// Reads the file at `path`.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the runtime configuration `{}`", path.display()))?;
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Self::parse(&text, directory)
            .with_context(|| format!("in the runtime configuration `{}`", path.display()))
    }

    fn parse(text: &str, directory: PathBuf) -> Result<Self> {
        let document: Document = toml::from_str(text)?;
        let mut variables = BTreeMap::new();
        for provider in document.variables_provider {
            for (name, value) in static_values(provider).context("[[variables_provider]]")? {
                // The first provider that has a value wins, as in Spin.
                variables.entry(name).or_insert(value);
            }
        }
        Ok(Self {
            state_dir: document.state_dir.map(|state_dir| directory.join(state_dir)),
            directory,
            key_value_stores: document.key_value_store,
            sqlite_databases: document.sqlite_database,
            variables,
        })
    }
}

fn static_values(provider: toml::Table) -> Result<BTreeMap<String, String>> {
    match provider.get("type").and_then(toml::Value::as_str) {
        Some("static") => {}
        Some(kind) => bail!("the type `{kind}` is not supported; supported: `static`"),
        None => bail!("has no `type`; supported: `static`"),
    }
    let provider: StaticProvider = toml::Value::Table(provider).try_into()?;
    Ok(provider.values)
}
