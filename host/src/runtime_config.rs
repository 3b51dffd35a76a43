//! The runtime configuration (`runtime-config.toml`): which store is behind which label, and
//! where variables get their values.
//!
//! The types of stores are read by the capability they belong to; here they stay tables.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::document;

/// What the operator configured; empty where there is no file.
#[derive(Clone, Debug, Default)]
pub struct RuntimeConfig {
    /// The file's own directory, from which key-value stores start.
    pub directory: PathBuf,
    /// Where state is kept, if the file says so; as in Spin, from the working directory.
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
        let document: Document = document::parse(text)?;
        ensure!(
            document.state_dir.as_ref().is_none_or(|path| !path.as_os_str().is_empty()),
            "`state_dir` is empty: stores in memory are not supported"
        );
        let mut variables = BTreeMap::new();
        for provider in document.variables_provider {
            for (name, value) in static_values(provider)? {
                // The first provider that has a value wins, as in Spin.
                variables.entry(name).or_insert(value);
            }
        }
        Ok(Self {
            state_dir: document.state_dir,
            directory,
            key_value_stores: document.key_value_store,
            sqlite_databases: document.sqlite_database,
            variables,
        })
    }
}

fn static_values(provider: toml::Table) -> Result<BTreeMap<String, String>> {
    const PLACE: &str = "[[variables_provider]]";
    match provider.get("type").and_then(toml::Value::as_str) {
        Some("static") => {}
        Some(kind) => bail!("{PLACE}: the type `{kind}` is not supported; supported: `static`"),
        None => bail!("{PLACE}: has no `type`; supported: `static`"),
    }
    Ok(document::table::<StaticProvider>(PLACE, provider)?.values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_starts_in_the_working_directory_and_key_value_stores_beside_the_file() {
        let config = RuntimeConfig::parse("state_dir = 'state'", PathBuf::from("/etc/app")).unwrap();
        assert_eq!(config.state_dir.as_deref(), Some(Path::new("state")));
        assert_eq!(config.directory, Path::new("/etc/app"));
        assert!(RuntimeConfig::parse("state_dir = ''", PathBuf::new()).is_err());
    }

    #[test]
    fn no_value_is_part_of_a_refusal() {
        for text in [
            "[[variables_provider]]\ntype = 'static'\nvalues = { pw = 'hunter2 }",
            "[[variables_provider]]\ntype = 'static'\nvalues = { pw = 42424242 }",
            "[[variables_provider]]\ntype = 'static'\nvalues = ['hunter2']",
            "[[variables_provider]]\ntype = 'static'\nvalues = 'hunter2'",
            "[[variables_provider]]\ntype = 'static'\nhunter = 'hunter2'",
            "key_value_store = 'hunter2'",
            "pw = 'hunter2'",
        ] {
            let refusal = format!("{:#}", RuntimeConfig::parse(text, PathBuf::new()).unwrap_err());
            assert!(!refusal.contains("hunter2") && !refusal.contains("42424242"), "{refusal}");
        }
    }
}
