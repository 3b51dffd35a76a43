//! Where the stores are, and whether each is what it should be.
//!
//! Every command opens them here, so what is no store, somebody else's, or of another release is refused here, in words.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use store::Database;

use crate::opened::Opened;

/// The labels of the application's stores, those that tell of effects before those that tell of causes: who
/// reads them in this order finds the cause of every effect.
pub const LABELS: [&str; 8] =
    ["information", "inbox", "notification", "order", "reservation", "pay", "gateway", "member"];

/// How long a store that is locked is waited for. A writer of the system holds one for milliseconds.
const BUSY: Duration = Duration::from_secs(10);

/// What the code of this release makes of the store under a label, and a table that only that store has, and has had in
/// every release.
pub(crate) fn known(label: &str) -> Result<(&'static Database, &'static str)> {
    Ok(match label {
        "order" => (&order::DATABASE, "orders"),
        "pay" => (&pay::DATABASE, "pays"),
        "gateway" => (&gateway_sandbox::DATABASE, "charges"),
        "reservation" => (&reservation::DATABASE, "reservations"),
        "notification" => (&notification::DATABASE, "messages"),
        "inbox" => (&channel_inbox::DATABASE, "inbox"),
        "information" => (&information::DATABASE, "infomations"),
        "member" => (&member::DATABASE, "members"),
        _ => bail!("there is no store called `{label}`; there are {}", LABELS.join(", ")),
    })
}

/// Where one store is.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// The SQLite file at this path.
    File(PathBuf),
    /// The database at this address; there the store is the schema of its label.
    Postgres(String),
}

/// Without an address, which has a password in it.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Postgres(_) => f.debug_tuple("Postgres").finish_non_exhaustive(),
        }
    }
}

/// The stores of one system, each on SQLite or on PostgreSQL.
#[derive(Clone, Debug)]
pub struct Stores {
    places: BTreeMap<&'static str, Place>,
}

impl Stores {
    /// The system whose store under each label is where `place` says.
    ///
    /// Refused where two stores have one file. Whether the stores are there is not looked at.
    pub fn new(mut place: impl FnMut(&'static str) -> Result<Place>) -> Result<Self> {
        let mut places: BTreeMap<&'static str, Place> = BTreeMap::new();
        for label in LABELS {
            let place = place(label)?;
            if let (Place::File(file), Some((other, _))) =
                (&place, places.iter().find(|(_, other)| **other == place))
            {
                bail!(
                    "the stores `{label}` and `{other}` have one file, {}: each has its own",
                    file.display()
                );
            }
            places.insert(label, place);
        }
        Ok(Self { places })
    }

    /// The file behind a label; nothing for one that is on PostgreSQL, or not the application's.
    pub fn path(&self, label: &str) -> Option<&Path> {
        match self.places.get(label)? {
            Place::File(file) => Some(file),
            Place::Postgres(_) => None,
        }
    }

    /// The labels that are on SQLite; the order is that of [`LABELS`].
    pub(crate) fn files(&self) -> impl Iterator<Item = &'static str> {
        LABELS.into_iter().filter(|label| self.path(label).is_some())
    }

    /// Refuses where a store is on PostgreSQL, unless those are left to `pg_dump`.
    pub(crate) fn ensure_files(&self, sqlite_only: bool) -> Result<()> {
        let mut elsewhere: Vec<_> = LABELS.into_iter().filter(|label| self.path(label).is_none()).collect();
        if elsewhere.is_empty() || sqlite_only {
            return Ok(());
        }
        elsewhere.sort_unstable();
        let schemas: Vec<_> = elsewhere.iter().map(|label| format!("--schema={label}")).collect();
        bail!(
            "on PostgreSQL are {}, and this is for SQLite files. Stores in one database are copied as they are at one moment by \
             `pg_dump --format=custom {} --file=FILE ADDRESS`: docs/operations.md says how to put that back. --sqlite-only \
             does the others alone",
            elsewhere.join(", "),
            schemas.join(" ")
        )
    }

    /// Opens the store behind a label, which must be of this release. (Or of a later one that says that this one may use it;
    /// or without tables yet, because nobody has asked anything of it.)
    ///
    /// Nothing is written through it unless the caller does; but a reader of a write-ahead log takes part in its locks, so
    /// a file is not opened read-only.
    pub(crate) fn open(&self, label: &'static str) -> Result<Opened> {
        let (store, age) = self.look(label)?;
        if age == Age::Earlier {
            bail!(
                "{} is of an earlier release. Start the system once, which brings it to this one, or use the `sugang` of \
                 that release",
                self.place(label)?.named(label)
            );
        }
        Ok(store)
    }

    /// Opens the file behind a label, which may be of an earlier release, too.
    pub(crate) fn open_file(&self, label: &'static str) -> Result<Connection> {
        match self.look(label)? {
            (Opened::Sqlite(store), _) => Ok(store),
            (Opened::Postgres(_), _) => bail!("the store `{label}` is on PostgreSQL"),
        }
    }

    fn look(&self, label: &'static str) -> Result<(Opened, Age)> {
        self.place(label)?.look(label)
    }

    pub(crate) fn place(&self, label: &str) -> Result<&Place> {
        self.places.get(label).with_context(|| format!("there is no store called `{label}`"))
    }
}

/// The release of a store, seen from this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Age {
    /// It has no tables yet.
    Unborn,
    Earlier,
    Present,
    /// One that this release may use all the same.
    Later,
}

impl Place {
    /// A store for people. An address is not shown, since it has a password in it.
    pub(crate) fn named(&self, label: &str) -> String {
        match self {
            Self::File(file) => format!("the store `{label}` ({})", file.display()),
            Self::Postgres(_) => {
                format!("the store `{label}` on PostgreSQL (of the address `{label}_database_url`)")
            }
        }
    }

    /// Opens it as the store under `label`, unless it is not that, or this release may not use it.
    pub(crate) fn look(&self, label: &'static str) -> Result<(Opened, Age)> {
        let store = match self {
            Self::File(file) => Opened::Sqlite(open_file(file, label)?),
            Self::Postgres(url) => {
                let client = store::native::connect(url, label);
                Opened::Postgres(RefCell::new(client.with_context(|| self.named(label))?))
            }
        };
        match (age(&store, label), self) {
            (Ok(age), _) => Ok((store, age)),
            (Err(error), Self::File(file)) if error.is::<rusqlite::Error>() => {
                Err(explained(error, label, file))
            }
            (Err(refusal), _) => Err(refusal.context(self.named(label))),
        }
    }
}

fn open_file(file: &Path, label: &str) -> Result<Connection> {
    let is_there = file.metadata().with_context(|| {
        format!(
            "cannot open the store `{label}`, {}. Is this the state directory (--state-dir), and has the system been \
             started there?",
            file.display()
        )
    })?;
    if !is_there.is_file() {
        bail!("the store `{label}` should be a file, and {} is none", file.display());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(file, flags).and_then(|store| {
        store.busy_timeout(BUSY)?;
        Ok(store)
    });
    opened.map_err(|error| in_words(error, label, file))
}

/// Whose the tables are, and of which release.
fn age(store: &Opened, label: &str) -> Result<Age> {
    let (database, own_table) = known(label)?;
    let user_version = match store {
        Opened::Sqlite(_) => store.number("PRAGMA user_version")?.unwrap_or(0),
        Opened::Postgres(_) => 0,
    };
    let tables = store.tables()?;
    let has = |table: &str| tables.iter().any(|name| name == table);
    if user_version == 0 && tables.is_empty() {
        return Ok(Age::Unborn);
    }
    if !has(own_table) {
        bail!(
            "it has no table `{own_table}`: it is another program's, or another store's. Look at the path of \
             [sqlite_database.{label}] in the runtime configuration, or at the variable `{label}_database_url`"
        );
    }
    // The first release noted its version in one place alone.
    let newest = if has("versions") { store.number("SELECT max(version) FROM versions")? } else { None };
    let found = newest.unwrap_or(0).max(user_version);
    let known = i64::from(database.schema().version);
    if found > known {
        let sql = format!("SELECT max(oldest_code) FROM versions WHERE version = {found}");
        let oldest_code = if newest.is_some() { store.number(&sql)? } else { None };
        if oldest_code.is_none_or(|oldest| oldest > known) {
            bail!(
                "it is of version {found}, and this program knows up to version {known}: use the `sugang` that was \
                 installed with the newer release"
            );
        }
    }
    Ok(match found.cmp(&known) {
        Ordering::Less => Age::Earlier,
        Ordering::Equal => Age::Present,
        Ordering::Greater => Age::Later,
    })
}

/// The same of an error that may be something else.
pub(crate) fn explained(error: anyhow::Error, label: &str, file: &Path) -> anyhow::Error {
    error.downcast().map_or_else(|error| error, |error| in_words(error, label, file))
}

/// What SQLite refuses, and what can be done about it.
pub(crate) fn in_words(error: rusqlite::Error, label: &str, file: &Path) -> anyhow::Error {
    let shown = file.display();
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => {
            format!(
                "{shown} is no SQLite database, or its beginning is damaged: if it was one, restore a backup"
            )
        }
        Some(ErrorCode::DatabaseCorrupt) => format!("{shown} is damaged: restore a backup"),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            let seconds = BUSY.as_secs();
            format!("another program has kept {shown} locked for {seconds} s: find it, or try again")
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => format!(
            "{shown} cannot be used by this user: SQLite has to read and write it, and to make files beside it (-wal, -shm). Run \
             this as the user whose system it is, or on a copy"
        ),
        // Where the disk is full SQLite says either.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            format!("the disk of {shown} is full, or fails")
        }
        _ => shown.to_string(),
    };
    anyhow!(error).context(format!("the store `{label}`: {advice}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::stores_in;

    /// What is said of a store `order` that is changed like this.
    #[track_caller]
    fn refused(change: impl FnOnce(&Path), words: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        let file = stores.path("order").unwrap();
        change(file);
        let refusal = format!("{:#}", stores.open("order").err().unwrap());
        for word in ["`order`", file.to_str().unwrap()].iter().chain(words) {
            assert!(refusal.contains(word), "it does not say `{word}`: {refusal}");
        }
    }

    fn ran(sql: &'static str) -> impl FnOnce(&Path) {
        move |file| Connection::open(file).unwrap().execute_batch(sql).unwrap()
    }

    fn replaced(bytes: &'static [u8]) -> impl FnOnce(&Path) {
        move |file| fs::write(file, bytes).unwrap()
    }

    #[test]
    fn a_store_of_a_later_release_is_refused_wherever_it_says_so() {
        let known = order::DATABASE.schema().version;
        let words = ["version 99", &format!("up to version {known}"), "newer release"];
        refused(ran("PRAGMA user_version=99"), &words);
        refused(ran("INSERT INTO versions VALUES (99, 99)"), &words);
        refused(ran("PRAGMA user_version=99; INSERT INTO versions VALUES (99, 99)"), &words);
        refused(ran("PRAGMA user_version=99; DROP TABLE versions"), &words);
    }

    #[test]
    fn a_store_of_a_later_release_that_this_one_may_use_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        ran("PRAGMA user_version=99; INSERT INTO versions VALUES (99, 1)")(stores.path("order").unwrap());
        stores.open("order").unwrap();
    }

    #[test]
    fn a_store_of_an_earlier_release_is_looked_at_only_as_it_is() {
        refused(
            ran("PRAGMA user_version=1; DROP TABLE versions"),
            &["an earlier release", "Start the system once"],
        );
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        ran("PRAGMA user_version=1; DELETE FROM versions")(stores.path("order").unwrap());
        stores.open_file("order").unwrap();
    }

    #[test]
    fn what_is_no_store_of_this_label_is_refused() {
        refused(
            replaced(b"once upon a time there was a text that is longer than a header"),
            &["no SQLite database"],
        );
        refused(replaced(&[0; 8192]), &["no SQLite database"]);
        refused(|file| fs::remove_file(file).unwrap(), &["--state-dir"]);
        refused(
            |file| {
                fs::remove_file(file).unwrap();
                fs::create_dir(file).unwrap();
            },
            &["should be a file"],
        );
        refused(
            |file| {
                fs::remove_file(file).unwrap();
                std::os::unix::fs::symlink("nowhere", file).unwrap();
            },
            &["--state-dir"],
        );
        let elsewhere = ["no table `orders`", "[sqlite_database.order]"];
        refused(
            |file| {
                fs::copy(file.with_file_name("pay.db"), file).unwrap();
            },
            &elsewhere,
        );
        let others = "CREATE TABLE moz_places (id); PRAGMA user_version=77";
        refused(
            |file| {
                fs::remove_file(file).unwrap();
                ran(others)(file);
            },
            &elsewhere,
        );
    }

    #[test]
    fn a_store_without_tables_is_one_that_nobody_has_asked_yet() {
        let folder = tempfile::tempdir().unwrap();
        let stores = stores_in(folder.path());
        replaced(b"")(stores.path("order").unwrap());
        stores.open("order").unwrap();
    }

    #[test]
    fn a_store_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new(|label| Ok(Place::File(folder.path().join(".spin").join(label)))).unwrap();
        assert!(stores.open("order").is_err());
        assert!(!folder.path().join(".spin").exists());
    }

    #[test]
    fn two_stores_never_have_one_file() {
        let refusal = Stores::new(|_| Ok(Place::File("one.db".into()))).err().unwrap().to_string();
        assert!(refusal.contains("`inbox` and `information`") && refusal.contains("one.db"), "{refusal}");
    }

    #[test]
    fn what_sqlite_cannot_do_is_told_with_what_can_be_done() {
        let told = |code: i32| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            in_words(error, "order", Path::new("/s/order.db")).to_string()
        };
        for (code, words) in [
            (rusqlite::ffi::SQLITE_BUSY, "locked for 10 s"),
            (rusqlite::ffi::SQLITE_CANTOPEN, "to make files beside it"),
            (rusqlite::ffi::SQLITE_READONLY_DIRECTORY, "to make files beside it"),
            (rusqlite::ffi::SQLITE_CORRUPT, "is damaged"),
            (rusqlite::ffi::SQLITE_FULL, "is full"),
            (rusqlite::ffi::SQLITE_IOERR_WRITE, "is full, or fails"),
        ] {
            let told = told(code);
            assert!(
                told.contains("`order`") && told.contains("/s/order.db") && told.contains(words),
                "{told}"
            );
        }
    }
}
