//! `[sqlite_database.<label>]` of the runtime configuration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use anyhow::{Context, Result, bail};

use crate::in_flight::InFlight;

use super::database::Database;

/// The file of the label `default` where nothing else is configured, under the state directory.
const DEFAULT_FILE: &str = "sqlite_db.db";

/// The databases of an application, by label.
#[derive(Debug, Default)]
pub struct Databases {
    by_label: BTreeMap<String, Configured>,
    in_flight: InFlight,
}

#[derive(Debug)]
struct Configured {
    path: PathBuf,
    opened: OnceLock<Arc<Database>>,
}

impl Databases {
    /// Reads the table `sqlite_database`. Relative paths start at `base`.
    ///
    /// Refused by name: a type other than `spin`, a key it does not have, a value of the wrong kind.
    pub fn from_runtime_config(tables: &toml::Table, state_dir: &Path, base: &Path) -> Result<Self> {
        let mut by_label = BTreeMap::new();
        for (label, table) in tables {
            let configured =
                Configured::read(table, base).with_context(|| format!("[sqlite_database.{label}]"))?;
            by_label.insert(label.clone(), configured);
        }
        by_label
            .entry("default".to_owned())
            .or_insert_with(|| Configured { path: state_dir.join(DEFAULT_FILE), opened: OnceLock::new() });
        Ok(Self { by_label, in_flight: InFlight::default() })
    }

    /// The requests in flight, by whose number writes gather. Whoever calls components counts them there.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
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

    /// The file behind `label`, if one is configured. Whether it is there is not looked at.
    pub fn path(&self, label: &str) -> Option<&Path> {
        self.by_label.get(label).map(|configured| configured.path.as_path())
    }

    /// The database behind `label`, if it has been [required](Self::require).
    pub(super) fn get(&self, label: &str) -> Option<Arc<Database>> {
        self.by_label.get(label)?.opened.get().cloned()
    }

    fn open(&self, label: &str, configured: &Configured) -> Result<()> {
        if configured.opened.get().is_some() {
            return Ok(());
        }
        // Two labels of one file share its writer.
        let same = |other: &&Configured| other.path == configured.path;
        let database = match self.by_label.values().filter(same).find_map(|other| other.opened.get()) {
            Some(database) => database.clone(),
            None => configured.open(label, &self.in_flight)?,
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
        if let Some(key) = table.keys().find(|key| !matches!(key.as_str(), "type" | "path")) {
            bail!("unknown key {key:?}; known are type and path");
        }
        let path = table.get("path").context("needs a path: a database in memory is not supported")?;
        let path = base.join(path.as_str().context("path must be a string")?);
        Ok(Self { path, opened: OnceLock::new() })
    }

    fn open(&self, label: &str, in_flight: &InFlight) -> Result<Arc<Database>> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating {}", directory.display()))?;
        }
        Database::open(label, &self.path, in_flight.clone())
            .with_context(|| format!("opening the database {}", self.path.display()))
    }
}
