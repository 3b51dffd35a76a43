//! Putting a backup in the place of a system's stores.
//!
//! Everything is looked at before anything is touched, and what was there is moved aside, never deleted. Every
//! event is sent again in a new generation, since the event log of the time after the backup must not be gone on with:
//! it is made again, and consumers change nothing that they have done by the time of the backup.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use eventlog::topology;
use kernel::Timestamp;
use store::native::Sqlite;

use crate::backup::{FORMAT, MANIFEST, Manifest, sha256, sync};
use crate::event_log::{Redis, connect, is_away, last_id};
use crate::opened::Opened;
use crate::replay::again;
use crate::scratch::{SUFFIXES, Scratch, folder_of, with_suffix};
use crate::stopped::{claim, nobody_uses};
use crate::stores::{Place, Stores, known};
use crate::trail::note_in;

/// The outside world: what it did after the backup was done, whatever is put back here.
const OUTSIDE: [&str; 2] = ["gateway", "inbox"];

/// In the state directory for as long as some stores are those of the backup, and others are not; says which backup.
const UNFINISHED: &str = "restore-unfinished";

/// How to restore.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// Move aside what is there, instead of refusing.
    pub force: bool,
    /// Leave the sandboxes' books (card company, inbox) as they are, as the world outside would be.
    pub keep_outside: bool,
    /// Leave the stores on PostgreSQL to `pg_restore`, instead of refusing.
    pub sqlite_only: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Restored {
    /// What the backup says of itself.
    pub manifest: Manifest,
    /// How many events will be sent again.
    pub events: u64,
    /// The folders in which what was there is now: one in each folder that it was in.
    pub moved_to: BTreeSet<PathBuf>,
}

/// Puts the backup in the folder `source` in the place of `stores`, whose system must not run. `state` is the
/// state directory, whose own Redis (if it has one) goes aside with the stores. The event log's `redis` must be empty of
/// events, where it is to be looked at.
pub fn restore(
    source: &Path,
    stores: &Stores,
    state: &Path,
    redis: Option<&Redis>,
    options: RestoreOptions,
) -> Result<Restored> {
    stores.ensure_files(options.sqlite_only)?;
    let manifest = verified(source, stores)?;
    let labels = stores.files().filter(|label| !(options.keep_outside && OUTSIDE.contains(label)));
    let targets: Vec<(&'static str, PathBuf)> =
        labels.filter_map(|label| Some((label, resolved(stores.path(label)?)))).collect();
    let _claim = claim(state)?;
    for (label, target) in &targets {
        nobody_uses(target).with_context(|| format!("the store `{label}`"))?;
    }
    if let Some(redis) = redis {
        log_is_empty(redis)?;
    }
    let in_the_way = in_the_way(&targets, state);
    if !in_the_way.is_empty() && !options.force {
        let names: Vec<_> = in_the_way.iter().map(|path| path.display().to_string()).collect();
        bail!(
            "there is something already: {}. Restore into another --state-dir, or move it aside with --force",
            names.join(", ")
        );
    }

    let prepared = Prepared::copy(source, &manifest, &targets)?;
    let (events, moved_to) = swap(source, state, &in_the_way, prepared)?;
    Ok(Restored { manifest, events, moved_to })
}

/// Moves aside what is in the way and puts the copies in its place. Should that be cut off, it is told of by
/// [`ensure_restored`].
fn swap(
    source: &Path,
    state: &Path,
    in_the_way: &[PathBuf],
    prepared: Prepared,
) -> Result<(u64, BTreeSet<PathBuf>)> {
    let unfinished = state.join(UNFINISHED);
    fs::write(&unfinished, source.to_string_lossy().as_bytes())
        .with_context(|| format!("cannot write {}", unfinished.display()))?;
    sync(&unfinished)?;
    let moved_to = move_aside(in_the_way)?;
    let events = prepared.put_in_place()?;
    fs::remove_file(&unfinished).with_context(|| format!("cannot delete {}", unfinished.display()))?;
    Ok((events, moved_to))
}

/// Refuses a state directory in which a restore was cut off: some stores are those of the backup there, others are
/// not there at all, and a system that started would make these anew.
pub fn ensure_restored(state: &Path) -> Result<()> {
    let Ok(source) = fs::read_to_string(state.join(UNFINISHED)) else { return Ok(()) };
    bail!(
        "a restore of {source} to {state} was cut off, and not all stores are there. Do it again: sugang restore {source} \
         --state-dir {state} --force. (What was there before is in a folder before-restore-… beside each store.)",
        state = state.display()
    )
}

/// The manifest of a backup whose every file is as it was written.
fn verified(source: &Path, stores: &Stores) -> Result<Manifest> {
    let path = source.join(MANIFEST);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("{} is no backup: cannot read {}", source.display(), path.display()))?;
    let manifest: Manifest = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a manifest that this version knows", path.display()))?;
    if manifest.format != FORMAT {
        bail!(
            "the backup was taken by version {}, in a format that this one does not know: restore it with that version",
            manifest.version
        );
    }
    for label in stores.files() {
        let copied =
            manifest.stores.get(label).with_context(|| format!("the backup has no store `{label}`"))?;
        let file = source.join(&copied.file);
        if sha256(&file)? != copied.sha256 {
            bail!("{} is not what was backed up (its SHA-256 differs): take another backup", file.display());
        }
    }
    Ok(manifest)
}

/// Events of the time after the backup would be taken for those of the time to come, and where they have been handled and
/// trimmed, the streams go on at their ids.
fn log_is_empty(redis: &Redis) -> Result<()> {
    let mut redis = match connect(&redis.url) {
        Ok(connection) => connection,
        // It does not run while the system does not, and what it keeps goes aside with the stores.
        Err(error) if redis.private && is_away(&error) => return Ok(()),
        Err(error) => {
            return Err(error.context(
                "it cannot be seen whether the event log is empty, as it has to be. Start its Redis; or --without-redis \
                 restores without looking, and then it is for you to delete all keys that begin with `sugang:`",
            ));
        }
    };
    for context in topology::sources() {
        if last_id(&mut redis, context)?.is_some_and(|last| last.position > 0) {
            bail!(
                "the event log's Redis has had events of `{context}`, some of a time after the backup perhaps. Delete its \
                 keys that begin with `sugang:` (for a Redis that holds nothing else: redis-cli FLUSHALL); it is made again"
            );
        }
    }
    Ok(())
}

/// The files that a restore would replace, and the data of the state directory's own Redis.
fn in_the_way(targets: &[(&'static str, PathBuf)], state: &Path) -> Vec<PathBuf> {
    let files = targets.iter().flat_map(|(_, target)| SUFFIXES.map(|suffix| with_suffix(target, suffix)));
    let redis = state.join("redis").join("appendonlydir");
    // A Redis that has just been made has its files, and nothing in them.
    let log = log_has_data(&redis).then_some(redis);
    files.chain(log).filter(|path| path.exists()).collect()
}

fn log_has_data(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let has_commands = |entry: fs::DirEntry| {
        let name = entry.file_name();
        name.to_string_lossy().ends_with(".incr.aof") && entry.metadata().is_ok_and(|meta| meta.len() > 0)
    };
    entries.flatten().any(has_commands)
}

/// The file itself, where a link leads to one: there SQLite has it, and what is beside it.
fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Moves each into a new folder beside it, so that nothing is moved to another disk, or over another of the same name.
fn move_aside(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let now = Timestamp::now().to_string().replace(':', "-");
    let mut folders = BTreeSet::new();
    for path in paths {
        let folder = folder_of(path).join(format!("before-restore-{now}"));
        let name = path.file_name().with_context(|| format!("{} has no name", path.display()))?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::rename(path, folder.join(name)).with_context(|| {
            format!("cannot move {} to {}; what was moved so far is there", path.display(), folder.display())
        })?;
        folders.insert(folder);
    }
    Ok(folders)
}

/// Copies beside the places where they belong, ready to be renamed.
#[derive(Default)]
struct Prepared(Vec<Copy>);

struct Copy {
    scratch: Scratch,
    target: PathBuf,
    /// How many events it will have sent again.
    events: u64,
}

impl Prepared {
    fn copy(source: &Path, manifest: &Manifest, targets: &[(&'static str, PathBuf)]) -> Result<Self> {
        let mut prepared = Self::default();
        for (label, target) in targets {
            let Some(copied) = manifest.stores.get(*label) else { continue };
            let copy = Copy::new(&source.join(&copied.file), label, target, &manifest.taken_at);
            prepared.0.push(copy.with_context(|| format!("preparing the store `{label}` of the backup"))?);
        }
        Ok(prepared)
    }

    fn put_in_place(self) -> Result<u64> {
        let mut events = 0;
        for copy in &self.0 {
            fs::rename(copy.scratch.path(), &copy.target).with_context(|| {
                format!("cannot put {} in its place; restore once more with --force", copy.target.display())
            })?;
            sync(&copy.target)?;
            events += copy.events;
        }
        Ok(events)
    }
}

impl Copy {
    fn new(source: &Path, label: &'static str, target: &Path, taken_at: &str) -> Result<Self> {
        let folder = folder_of(target);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let scratch = Scratch::beside(target, "restoring")?;
        let path = scratch.path();
        fs::copy(source, path).with_context(|| format!("cannot copy it to {}", path.display()))?;
        // A backup may be kept so that nobody changes it by mistake; a store is written to.
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let events = make_ready(path, label, taken_at)?;
        sync(path)?;
        Ok(Self { events, target: target.to_owned(), scratch })
    }
}

/// Brings it to this release, and has every event sent again and every message in nobody's hands. Says how many events
/// there are.
fn make_ready(file: &Path, label: &'static str, taken_at: &str) -> Result<u64> {
    let place = Place::File(file.to_owned());
    drop(place.look(label)?);
    Sqlite::file(file, known(label)?.0)?;
    let store = place.look(label)?.0;
    // A copy is made whole or not at all, and synchronised when it is.
    let mode = store.texts("PRAGMA journal_mode=WAL")?;
    if mode != ["wal"] {
        bail!("it cannot be given a write-ahead log (its journal is {mode:?})");
    }
    let events = again(&store, None)?;
    if label == "notification" {
        // Whoever was about to send these is no more; otherwise they would be waited for until their time is up.
        store.execute("UPDATE messages SET due_at = 0 WHERE status = 'Pending'")?;
    }
    if label == "member" {
        // In the trail that is put back: the one that it takes the place of goes aside with its store.
        note_in(&store, "StoresRestored", &format!("backup/{taken_at}"))?;
    }
    if let Opened::Sqlite(store) = store {
        store.close().map_err(|(_, error)| error)?;
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
