//! `[key_value_store.<label>]` of the runtime configuration.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

use super::{redis::Redis, sqlite::Sqlite, store::Store};

/// The file of the label `default` where nothing else is configured, under the state directory.
const DEFAULT_FILE: &str = "sqlite_key_value.db";

const SUPPORTED: &str = "\"spin\" (a SQLite file) and \"redis\"";

/// The stores of an application, by label.
#[derive(Default)]
pub struct Stores {
    by_label: BTreeMap<String, Configured>,
}

struct Configured {
    kind: Kind,
    opened: OnceLock<Store>,
}

enum Kind {
    File(PathBuf),
    Redis(Redis),
}

impl Stores {
    /// Reads the table `key_value_store`. Relative paths start at `base`.
    ///
    /// Refused by name: types other than `spin` and `redis`, a key they do not have, a value of the
    /// wrong kind, an address that is none.
    pub fn from_runtime_config(tables: &toml::Table, state_dir: &Path, base: &Path) -> Result<Self> {
        let mut by_label = BTreeMap::new();
        for (label, table) in tables {
            let kind = Kind::read(table, base).with_context(|| format!("[key_value_store.{label}]"))?;
            by_label.insert(label.clone(), Configured { kind, opened: OnceLock::new() });
        }
        by_label.entry("default".to_owned()).or_insert_with(|| Configured {
            kind: Kind::File(state_dir.join(DEFAULT_FILE)),
            opened: OnceLock::new(),
        });
        Ok(Self { by_label })
    }

    /// Makes sure that `component` can have every store it asks for, and opens them. A Redis is
    /// not asked yet: it may be away for a while, as at any later time.
    pub async fn require<'a>(
        &self,
        component: &str,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> Result<()> {
        for label in labels {
            let Some(configured) = self.by_label.get(label) else {
                bail!(
                    "component {component} uses the key-value store {label:?}, which is not configured: add \
                     [key_value_store.{label}] to the runtime configuration with a type, {SUPPORTED} ({} so far)",
                    self.by_label.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                );
            };
            if configured.opened.get().is_none() {
                let store = self.open(label, &configured.kind).await;
                let store = store.with_context(|| format!("[key_value_store.{label}]"))?;
                configured.opened.get_or_init(|| store);
            }
        }
        Ok(())
    }

    /// The store behind `label`, if it has been [required](Self::require).
    pub(super) fn get(&self, label: &str) -> Option<Store> {
        self.by_label.get(label)?.opened.get().cloned()
    }

    async fn open(&self, label: &str, kind: &Kind) -> Result<Store> {
        let path = match kind {
            Kind::Redis(redis) => return Ok(Store::Redis(redis.clone())),
            Kind::File(path) => path,
        };
        // Two labels of one file share its writer.
        if let Some(sqlite) = self.by_label.values().find_map(|other| other.opened_file(path)) {
            return Ok(Store::Sqlite(sqlite.relabelled(label)));
        }
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("creating {}", directory.display()))?;
        }
        let store = Sqlite::open(label, path).await;
        Ok(Store::Sqlite(store.with_context(|| format!("opening the key-value store {}", path.display()))?))
    }
}

impl Configured {
    fn opened_file(&self, path: &Path) -> Option<&Sqlite> {
        match (&self.kind, self.opened.get()) {
            (Kind::File(own), Some(Store::Sqlite(sqlite))) if own == path => Some(sqlite),
            _ => None,
        }
    }
}

impl Kind {
    fn read(table: &toml::Value, base: &Path) -> Result<Self> {
        let table = table.as_table().context("must be a table")?;
        let text = |key: &str| match table.get(key) {
            Some(value) => value.as_str().map(Some).with_context(|| format!("{key} must be a string")),
            None => Ok(None),
        };
        let (kind, known) = match text("type")? {
            Some("spin") => {
                let path = text("path")?.context("needs a path: a store in memory is not supported")?;
                (Self::File(base.join(path)), "path")
            }
            Some("redis") => {
                let url = text("url")?.context("needs a url, such as \"redis://127.0.0.1:6379\"")?;
                (Self::Redis(Redis::at(url).context("url is not the address of a Redis")?), "url")
            }
            Some(other) => bail!("type {other:?} is not supported; supported are {SUPPORTED}"),
            None => bail!("needs a type; supported are {SUPPORTED}"),
        };
        match table.keys().find(|key| !["type", known].contains(&key.as_str())) {
            Some(key) => bail!("unknown key {key:?}; known are type and {known}"),
            None => Ok(kind),
        }
    }
}
