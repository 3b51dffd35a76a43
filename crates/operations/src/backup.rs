//! A copy of a running system's stores, as they all were at one and the same moment.
//!
//! For that moment nobody writes: the write locks of all stores are held, which takes as long as the longest
//! transaction under way, and each store's state is fixed by beginning to read it. Then the locks are let go,
//! and copying takes as long as it takes. What is copied is thus a state that the system was really in: as if all of it had been
//! killed at that moment, and its disk kept. Whatever was answered before the copy began is in it; and what was
//! under way is taken up again, as after any crash, once it runs on the copy.
//!
//! The event log is not copied: it is made again from the stores. Nor is what may be lost (the breaker's
//! state), nor the key that cards are sealed with (`card_key`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kernel::Timestamp;
use rusqlite::Connection;
use rusqlite::backup;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::scratch::{Scratch, folder_of};
use crate::soundness::problem;
use crate::stores::{Stores, explained, in_words};

/// The name of the manifest: a folder without it is no backup.
pub(crate) const MANIFEST: &str = "manifest.json";

/// What a backup looks like; a later version that looks otherwise counts on.
pub(crate) const FORMAT: u32 = 1;

/// How many pages are copied at once.
const PAGES: i32 = 4_096;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// Of the program that took it.
    pub version: String,
    /// The moment whose state it is.
    pub taken_at: String,
    /// For how long nobody could write, in milliseconds.
    pub held_millis: u64,
    /// By label.
    pub stores: BTreeMap<String, Copied>,
}

/// One store of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Copied {
    /// The file, beside the manifest.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
    /// The version of its tables.
    pub user_version: i64,
    /// How many rows each of its tables has.
    pub rows: BTreeMap<String, u64>,
}

/// Copies the stores into the folder `target`, which must not exist yet. It appears when it is complete.
///
/// Refused where a store is on PostgreSQL, unless with `sqlite_only` the others are meant.
pub fn backup(stores: &Stores, target: &Path, sqlite_only: bool) -> Result<Manifest> {
    stores.ensure_files(sqlite_only)?;
    if fs::symlink_metadata(target).is_ok() {
        bail!(
            "{} exists already; a backup is never written over anything: name a new folder",
            target.display()
        );
    }
    let partial = partial(target)?;
    let Moment { snapshots, taken_at, held } = at_one_moment(stores)?;
    let mut copied = BTreeMap::new();
    for (label, snapshot) in &snapshots {
        let file = format!("{label}.db");
        let path = partial.path().join(&file);
        let one = copy(snapshot, &path, file)
            .map_err(|error| explained(error, label, &path))
            .with_context(|| format!("copying the store `{label}`"))?;
        copied.insert((*label).to_owned(), one);
    }
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: taken_at.to_string(),
        held_millis: u64::try_from(held.as_millis()).unwrap_or(u64::MAX),
        stores: copied,
    };
    let written = partial.path().join(MANIFEST);
    fs::write(&written, serde_json::to_string_pretty(&manifest)?)
        .with_context(|| format!("cannot write {}", written.display()))?;
    sync(&written)?;
    sync(partial.path())?;
    fs::rename(partial.path(), target).with_context(|| format!("cannot make {}", target.display()))?;
    sync(&folder_of(target))?;
    Ok(manifest)
}

/// The folder in which the backup is made.
fn partial(target: &Path) -> Result<Scratch> {
    let beside = folder_of(target);
    fs::create_dir_all(&beside).with_context(|| format!("cannot create {}", beside.display()))?;
    let folder = Scratch::beside(target, "partial")?;
    let path = folder.path();
    fs::create_dir(path).with_context(|| format!("cannot create {}", path.display()))?;
    // It holds who applied for what; the system's own files are their owner's to protect, a copy of them is ours.
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(folder)
}

/// Writes through to the disk what a file or a folder holds.
pub(crate) fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("cannot write {} through to the disk", path.display()))
}

/// All stores as they were at one moment.
struct Moment {
    /// By label, a connection that reads that state.
    snapshots: Vec<(&'static str, Connection)>,
    taken_at: Timestamp,
    /// For how long nobody could write.
    held: Duration,
}

fn at_one_moment(stores: &Stores) -> Result<Moment> {
    let told = |error, label| in_words(error, label, stores.path(label).unwrap_or(Path::new("")));
    let mut opened = Vec::new();
    for label in stores.files() {
        opened.push((label, stores.open_file(label)?, stores.open_file(label)?));
    }
    let begun = std::time::Instant::now();
    let mut snapshots = Vec::new();
    let mut locks = Vec::new();
    // Always in the same order, and nobody in the system holds one store while waiting for another.
    for (label, lock, snapshot) in opened {
        lock.execute_batch("BEGIN IMMEDIATE").map_err(|error| told(error, label))?;
        locks.push(lock);
        snapshots.push((label, snapshot));
    }
    let taken_at = Timestamp::now();
    for (label, snapshot) in &snapshots {
        let read = || -> rusqlite::Result<()> {
            snapshot.execute_batch("BEGIN")?;
            snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        };
        read().map_err(|error| told(error, label))?;
    }
    for lock in locks {
        lock.execute_batch("ROLLBACK")?;
    }
    Ok(Moment { snapshots, taken_at, held: begun.elapsed() })
}

fn copy(snapshot: &Connection, path: &Path, file: String) -> Result<Copied> {
    let mut target = Connection::open(path)?;
    backup::Backup::new(snapshot, &mut target)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    let (user_version, rows) = look(&target)?;
    // With its last connection a store's write-ahead log is gone, and the file is the whole of it.
    target.close().map_err(|(_, error)| error)?;
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    sync(path)?;
    Ok(Copied { file, bytes: fs::metadata(path)?.len(), sha256: sha256(path)?, user_version, rows })
}

/// Makes sure that a store is whole, and counts.
fn look(store: &Connection) -> Result<(i64, BTreeMap<String, u64>)> {
    if let Some(problem) = problem(store)? {
        bail!("it is damaged: {problem}");
    }
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut statement = store.prepare(names)?;
    let names = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut rows = BTreeMap::new();
    for name in names {
        let count: i64 =
            store.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0))?;
        rows.insert(name, count.cast_unsigned());
    }
    Ok((store.query_row("PRAGMA user_version", [], |row| row.get(0))?, rows))
}

pub(crate) fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).with_context(|| format!("cannot read {}", path.display()))?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        digest.update(part);
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::LABELS;
    use crate::testing::{damage, stores_in};

    #[test]
    fn a_backup_is_never_written_over_anything_and_leaves_nothing_when_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let target = folder.path().join("backups").join("one");
        let manifest = backup(&stores, &target, false).unwrap();
        assert_eq!(manifest.stores.len(), LABELS.len());
        assert_eq!(manifest.stores["order"].rows["events"], 0);
        assert!(backup(&stores, &target, false).unwrap_err().to_string().contains("exists already"));
        fs::remove_file(stores.path("pay").unwrap()).unwrap();
        assert!(backup(&stores, &folder.path().join("backups").join("two"), false).is_err());
        let left: Vec<_> =
            fs::read_dir(folder.path().join("backups")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["one"]);
    }

    #[test]
    fn all_stores_are_copied_as_they_were_at_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let writers: Vec<_> = ["order", "pay"].map(|label| stores.open_file(label).unwrap()).into();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let insert = "INSERT INTO events (subject, version, type, data, time) VALUES (?, 1, '', '', '')";
        std::thread::scope(|scope| {
            // First the cause, then the effect: at every moment `order` has as many as `pay`, or one more.
            let [order, pay] = <[Connection; 2]>::try_from(writers).unwrap();
            let stop = &stop;
            scope.spawn(move || {
                for subject in 1.. {
                    order.execute(insert, [subject]).unwrap();
                    pay.execute(insert, [subject]).unwrap();
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                }
            });
            let mut before = 0;
            for round in 0..20 {
                let manifest = backup(&stores, &folder.path().join(format!("backup-{round}")), false);
                let events = |label: &str| manifest.as_ref().unwrap().stores[label].rows["events"];
                assert!([0, 1].contains(&(events("order") - events("pay"))), "{manifest:?}");
                assert!(events("order") >= before);
                before = events("order");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(before > 0, "nothing was written meanwhile");
        });
    }

    #[test]
    fn a_damaged_store_is_not_taken_for_a_backup() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        damage(&stores, "pay", 0);
        let target = folder.path().join("backup");
        let refusal = format!("{:#}", backup(&stores, &target, false).unwrap_err());
        assert!(refusal.contains("`pay`") && refusal.contains("damaged"), "{refusal}");
        assert!(!target.exists());
    }

    #[test]
    fn what_is_no_store_is_not_said_to_be_locked() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        fs::write(stores.path("pay").unwrap(), "no database, but as long as a header would be or longer")
            .unwrap();
        let refusal = format!("{:#}", backup(&stores, &folder.path().join("backup"), false).unwrap_err());
        assert!(refusal.contains("no SQLite database") && !refusal.contains("locked"), "{refusal}");
    }

    #[test]
    fn a_store_of_an_earlier_release_is_copied_and_one_of_a_later_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let at_version = |version: i64| {
            let sql = format!("DELETE FROM versions; PRAGMA user_version={version}");
            Connection::open(stores.path("pay").unwrap()).unwrap().execute_batch(&sql).unwrap();
            backup(&stores, &folder.path().join(version.to_string()), false)
        };
        assert_eq!(at_version(1).unwrap().stores["pay"].user_version, 1);
        assert!(format!("{:#}", at_version(99).unwrap_err()).contains("of version 99"));
    }

    #[cfg(unix)]
    #[test]
    fn a_backup_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("backup");
        backup(&stores_in(folder.path()), &target, false).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&target), mode(&target.join("order.db"))), (0o700, 0o600));
    }
}
