//! `[sqlite_database.<label>]` of the runtime configuration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, bail};

use crate::crowd::Crowd;

use super::database::Database;

/// The file of the label `default` where nothing else is configured, under the state directory.
const DEFAULT_FILE: &str = "sqlite_db.db";

/// The databases of an application, by label.
#[derive(Debug, Default)]
pub struct Databases {
    by_label: BTreeMap<String, Configured>,
    crowd: Crowd,
}

#[derive(Debug)]
struct Configured {
    path: Option<PathBuf>,
    allow_attach_file: bool,
    opened: OnceLock<Arc<Database>>,
}

impl Databases {
    /// Reads the table `sqlite_database`. Relative paths are meant from `base`; without a state
    /// directory the label `default` is in memory.
    ///
    /// Refused by name: a type other than `spin`, a key it does not have, a value of the wrong kind.
    pub fn from_runtime_config(tables: &toml::Table, state_dir: Option<&Path>, base: &Path) -> Result<Self> {
        let mut by_label = BTreeMap::new();
        for (label, table) in tables {
            let configured =
                Configured::read(table, base).with_context(|| format!("[sqlite_database.{label}]"))?;
            by_label.insert(label.clone(), configured);
        }
        by_label.entry("default".to_owned()).or_insert_with(|| Configured {
            path: state_dir.map(|state_dir| state_dir.join(DEFAULT_FILE)),
            allow_attach_file: false,
            opened: OnceLock::new(),
        });
        Ok(Self { by_label, crowd: Crowd::default() })
    }

    /// The requests by whose number writes gather: to be entered by whoever lets components answer.
    pub fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Makes sure that `component` can have every database it asks for, and opens them.
    pub fn require<'a>(&self, component: &str, labels: impl IntoIterator<Item = &'a str>) -> Result<()> {
        for label in labels {
            let Some(configured) = self.by_label.get(label) else {
                bail!(
                    "component {component} uses the SQLite database {label:?}, which is not configured: add \
                     [sqlite_database.{label}] with type = \"spin\" to the runtime configuration ({} so far)",
                    self.labels()
                );
            };
            self.open(label, configured).with_context(|| format!("[sqlite_database.{label}]"))?;
        }
        Ok(())
    }

    /// The database behind `label`, if it has been [required](Self::require).
    pub(super) fn get(&self, label: &str) -> Option<Arc<Database>> {
        self.by_label.get(label)?.opened.get().cloned()
    }

    fn open(&self, label: &str, configured: &Configured) -> Result<()> {
        if configured.opened.get().is_some() {
            return Ok(());
        }
        // Two labels of one file share its writer, if both may do the same with it.
        let same = |other: &&Configured| {
            other.path.is_some()
                && other.path == configured.path
                && other.allow_attach_file == configured.allow_attach_file
        };
        let database = match self.by_label.values().filter(same).find_map(|other| other.opened.get()) {
            Some(database) => database.clone(),
            None => configured.open(label, &self.crowd)?,
        };
        configured.opened.get_or_init(|| database);
        Ok(())
    }

    fn labels(&self) -> String {
        self.by_label.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl Configured {
    fn read(table: &toml::Value, base: &Path) -> Result<Self> {
        let table = table.as_table().context("must be a table")?;
        match table.get("type").and_then(toml::Value::as_str) {
            Some("spin") => {}
            Some(other) => bail!("type {other:?} is not supported; supported is \"spin\" (a SQLite file)"),
            None => bail!("needs a type; supported is \"spin\" (a SQLite file)"),
        }
        if let Some(key) =
            table.keys().find(|key| !matches!(key.as_str(), "type" | "path" | "allow_attach_file"))
        {
            bail!("unknown key {key:?}; known are type, path and allow_attach_file");
        }
        let path = match table.get("path") {
            Some(path) => Some(base.join(path.as_str().context("path must be a string")?)),
            None => None,
        };
        let allow_attach_file = match table.get("allow_attach_file") {
            Some(allow) => allow.as_bool().context("allow_attach_file must be true or false")?,
            None => false,
        };
        Ok(Self { path, allow_attach_file, opened: OnceLock::new() })
    }

    fn open(&self, label: &str, crowd: &Crowd) -> Result<Arc<Database>> {
        if let Some(directory) = self.path.as_deref().and_then(Path::parent) {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating {}", directory.display()))?;
        }
        let shown =
            self.path.as_deref().map_or_else(|| "in memory".to_owned(), |path| path.display().to_string());
        Database::open(label, self.path.as_deref(), self.allow_attach_file, crowd.clone())
            .with_context(|| format!("opening the database {shown}"))
    }
}
