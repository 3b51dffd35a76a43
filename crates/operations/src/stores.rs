//! Where the stores are, by the host's own rules.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rusqlite::{Connection, OpenFlags};

/// The labels of the application's stores, those that tell of effects before those that tell of causes: who
/// reads them in this order finds the cause of every effect.
pub const LABELS: [&str; 7] =
    ["information", "inbox", "notification", "order", "reservation", "pay", "gateway"];

/// How long a store that is locked is waited for. A writer of the system holds one for milliseconds.
const BUSY: Duration = Duration::from_secs(10);

/// The SQLite files of one system.
#[derive(Clone, Debug)]
pub struct Stores {
    files: BTreeMap<&'static str, PathBuf>,
}

impl Stores {
    /// Reads which file is behind which label from the runtime configuration at `runtime_config`. Relative
    /// paths in it start at `base`, as under `sugang up --state-dir`.
    ///
    /// Refused where a label of the application is not configured, or is no SQLite file. Whether the files
    /// are there is not looked at.
    pub fn new(runtime_config: &Path, base: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(runtime_config)
            .with_context(|| format!("cannot read the runtime configuration {}", runtime_config.display()))?;
        Self::parse(&text, base)
            .with_context(|| format!("in the runtime configuration {}", runtime_config.display()))
    }

    fn parse(text: &str, base: &Path) -> Result<Self> {
        let document: toml::Table = toml::from_str(text)?;
        let mut files = BTreeMap::new();
        for label in LABELS {
            let table = document
                .get("sqlite_database")
                .and_then(|databases| databases.get(label))
                .with_context(|| format!("there is no [sqlite_database.{label}]"))?;
            if table.get("type").and_then(toml::Value::as_str) != Some("spin") {
                bail!(
                    "[sqlite_database.{label}] is not of the type \"spin\" (a SQLite file), and only those can be read"
                );
            }
            let path = table.get("path").and_then(toml::Value::as_str);
            let path = path.with_context(|| format!("[sqlite_database.{label}] has no `path`"))?;
            files.insert(label, base.join(path));
        }
        Ok(Self { files })
    }

    /// The file behind a label; nothing for a label that is not the application's.
    pub fn path(&self, label: &str) -> Option<&Path> {
        self.files.get(label).map(PathBuf::as_path)
    }

    /// Opens the file behind a label, which must be there. Nothing is written through it unless the caller
    /// does; but a reader of a write-ahead log takes part in its locks, so it is not opened read-only.
    pub(crate) fn open(&self, label: &str) -> Result<Connection> {
        let file = self.path(label).with_context(|| format!("there is no store called `{label}`"))?;
        let missing = || {
            format!(
                "cannot open the store `{label}`, {}. Is this the state directory (--state-dir), and has the system \
                 been started there?",
                file.display()
            )
        };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(file, flags).with_context(missing)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("../../../runtime-config.toml");

    #[test]
    fn the_files_are_where_the_host_puts_them() {
        let stores = Stores::parse(CONFIG, Path::new("/state")).unwrap();
        assert_eq!(stores.path("order"), Some(Path::new("/state/.spin/order.db")));
        assert_eq!(stores.path("default"), None);
        let absolute = CONFIG.replace(".spin/pay.db", "/elsewhere/pay.db");
        let stores = Stores::parse(&absolute, Path::new("/state")).unwrap();
        assert_eq!(stores.path("pay"), Some(Path::new("/elsewhere/pay.db")));
    }

    #[test]
    fn a_store_that_cannot_be_read_is_refused_by_its_label() {
        let refusal = |config: &str| Stores::parse(config, Path::new("")).unwrap_err().to_string();
        assert!(refusal("").contains("[sqlite_database.information]"));
        let elsewhere = CONFIG.replacen("type = \"spin\"", "type = \"libsql\"", 1);
        assert!(refusal(&elsewhere).contains("[sqlite_database.order] is not of the type"));
    }

    #[test]
    fn a_store_that_is_not_there_is_said_to_be_missing_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::parse(CONFIG, folder.path()).unwrap();
        let refusal = format!("{:#}", stores.open("order").unwrap_err());
        assert!(refusal.contains("order.db") && refusal.contains("--state-dir"), "{refusal}");
        assert!(!folder.path().join(".spin").exists());
    }
}
