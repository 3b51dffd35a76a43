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
use crate::variables::{ENVIRONMENT_PREFIX, Provider};

/// Where the SpinKube operator mounts the configuration, if there is one. It names this file on every command line, and
/// where a Secret is missing Kubernetes makes an empty folder of it.
const MOUNTED: &str = "/runtime-config.toml";

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
    /// The `[[variables_provider]]`s, in their order.
    pub providers: Vec<Provider>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvironmentProvider {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(default)]
    prefix: Option<String>,
}

impl RuntimeConfig {
    /// Reads the file at `path`. Only the one that an operator would mount may be absent: whoever names another means it.
    pub fn load(path: &Path) -> Result<Self> {
        if path == Path::new(MOUNTED) && !path.is_file() {
            tracing::warn!("there is no `{MOUNTED}`: every store is where it is by default");
            return Ok(Self::default());
        }
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
        let providers = document.variables_provider.into_iter().map(provider).collect::<Result<_>>()?;
        Ok(Self {
            state_dir: document.state_dir,
            directory,
            key_value_stores: document.key_value_store,
            sqlite_databases: document.sqlite_database,
            providers,
        })
    }
}

fn provider(provider: toml::Table) -> Result<Provider> {
    const PLACE: &str = "[[variables_provider]]";
    match provider.get("type").and_then(toml::Value::as_str) {
        Some("static") => {
            let provider: StaticProvider = document::table(PLACE, provider)?;
            Ok(Provider::Static(provider.values))
        }
        Some("env") => {
            let provider: EnvironmentProvider = document::table(PLACE, provider)?;
            let prefix = provider.prefix.unwrap_or_else(|| ENVIRONMENT_PREFIX.to_owned());
            Ok(Provider::Environment { prefix })
        }
        Some(kind) => bail!("{PLACE}: the type `{kind}` is not supported; supported: `static`, `env`"),
        None => bail!("{PLACE}: has no `type`; supported: `static`, `env`"),
    }
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
    fn what_the_spinkube_operator_writes_is_understood() {
        let written = "[[config_provider]]\ntype = 'env'\nprefix = 'SPIN_VARIABLE_'\n\n\
            [sqlite_database.order]\ntype = 'spin'\npath = '/data/order.db'";
        let config = RuntimeConfig::parse(written, PathBuf::new()).unwrap();
        assert!(
            matches!(&config.providers[..], [Provider::Environment { prefix }] if prefix == "SPIN_VARIABLE_")
        );
        assert!(config.sqlite_databases.contains_key("order"));
        let dotenv = "[[config_provider]]\ntype = 'env'\ndotenv_path = '.env'";
        assert!(RuntimeConfig::parse(dotenv, PathBuf::new()).is_err());
    }

    #[test]
    fn a_file_that_is_named_must_be_there_but_for_the_one_that_an_operator_mounts() {
        assert!(RuntimeConfig::load(Path::new("/no/such/runtime-config.toml")).is_err());
        if !Path::new(MOUNTED).exists() {
            assert!(RuntimeConfig::load(Path::new(MOUNTED)).unwrap().sqlite_databases.is_empty());
        }
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
