//! What a restore does and refuses.

use super::*;
use rusqlite::Connection;

use crate::backup;
use crate::stores::LABELS;
use crate::testing::stores_in;

const INSERT: &str = "INSERT INTO events (subject, version, type, data, time) VALUES ('1', 1, '', '', '')";

fn backed_up(folder: &Path) -> (Stores, PathBuf) {
    let stores = stores_in(folder);
    stores.open("order").unwrap().run(INSERT).unwrap();
    let target = folder.join("backup");
    backup(&stores, &target, false).unwrap();
    (stores, target)
}

fn force() -> RestoreOptions {
    RestoreOptions { force: true, ..RestoreOptions::default() }
}

#[test]
fn what_is_restored_is_sent_again_and_what_was_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    stores.open("order").unwrap().run("DELETE FROM events").unwrap();
    let refusal = restore(&source, &stores, folder.path(), None, RestoreOptions::default()).unwrap_err();
    assert!(refusal.to_string().contains("order.db") && refusal.to_string().contains("--force"), "{refusal}");
    let restored = restore(&source, &stores, folder.path(), None, force()).unwrap();
    assert_eq!(restored.events, 1);
    let kept = "SELECT (SELECT count(*) FROM events) || ' in generation ' || generation FROM log";
    let kept = |store: Connection| store.query_row(kept, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(kept(stores.open_file("order").unwrap()), "1 in generation 2");
    let aside = restored.moved_to.first().unwrap();
    assert_eq!(kept(Connection::open(aside.join("order.db")).unwrap()), "0 in generation 1");
    let noted = "SELECT actor || ' ' || action || ' ' || object FROM audit";
    assert_eq!(
        stores.open("member").unwrap().texts(noted).unwrap(),
        [format!("command StoresRestored backup/{}", restored.manifest.taken_at)]
    );
    let names = fs::read_dir(folder.path().join(".spin")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!names.map(|name| name.into_string().unwrap()).any(|name| name.contains("restoring")));
}

#[test]
fn into_a_place_where_nothing_is_nothing_has_to_be_forced() {
    let folder = tempfile::tempdir().unwrap();
    let (_, source) = backed_up(folder.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let state = elsewhere.path().join("not").join("there").join("yet");
    let stores = Stores::new(|label| Ok(Place::File(state.join(label)))).unwrap();
    let restored = restore(&source, &stores, &state, None, RestoreOptions::default()).unwrap();
    assert!(restored.moved_to.is_empty());
    assert!(stores.open("order").is_ok());
}

#[test]
fn a_backup_that_was_changed_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let mut bytes = fs::read(source.join("pay.db")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(source.join("pay.db"), bytes).unwrap();
    let refusal = restore(&source, &stores, folder.path(), None, force()).unwrap_err().to_string();
    assert!(refusal.contains("pay.db") && refusal.contains("SHA-256"), "{refusal}");
    fs::remove_file(source.join(MANIFEST)).unwrap();
    assert!(
        restore(&source, &stores, folder.path(), None, force())
            .unwrap_err()
            .to_string()
            .contains("no backup")
    );
    let count = "SELECT count(*) FROM log WHERE generation = 1";
    assert_eq!(stores.open("order").unwrap().count(count).unwrap(), 1);
}

#[test]
fn a_restore_that_is_cut_off_is_told_of_until_it_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let (stores, source) = backed_up(state);
    let order = stores.path("order").unwrap().to_owned();
    let copy = |target: &Path| {
        let scratch = Scratch::beside(target, "restoring").unwrap();
        Copy { scratch, target: target.to_owned(), events: 1 }
    };
    let cut_off = Prepared(vec![copy(&order), copy(&state.join("pay.db"))]);
    fs::write(cut_off.0[0].scratch.path(), "").unwrap();
    let failure = swap(&source, state, std::slice::from_ref(&order), cut_off).unwrap_err();
    assert!(failure.to_string().contains("pay.db"), "{failure}");
    assert_eq!(fs::read(order).unwrap(), b"", "one store is in place");

    let refusal = ensure_restored(state).unwrap_err().to_string();
    let again = format!("sugang restore {} --state-dir {} --force", source.display(), state.display());
    assert!(refusal.contains(&again), "{refusal}");
    restore(&source, &stores, state, None, force()).unwrap();
    ensure_restored(state).unwrap();
    let count = "SELECT count(*) FROM events";
    assert_eq!(stores.open("order").unwrap().count(count).unwrap(), 1);
}

#[test]
fn the_world_outside_can_be_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    for label in ["gateway", "inbox"] {
        stores.open(label).unwrap().run("CREATE TABLE since (what)").unwrap();
    }
    stores.open("order").unwrap().run("DELETE FROM events").unwrap();
    let restore = |keep_outside| {
        let options = RestoreOptions { force: true, keep_outside, ..RestoreOptions::default() };
        restore(&source, &stores, folder.path(), None, options).unwrap();
        ["gateway", "inbox"]
            .map(|label| stores.open(label).unwrap().run("INSERT INTO since VALUES (1)").is_ok())
    };
    assert_eq!(restore(true), [true; 2], "kept");
    let count = "SELECT count(*) FROM events";
    let events = stores.open("order").unwrap().count(count).unwrap();
    assert_eq!(events, 1, "what is not outside is restored");
    assert_eq!(restore(false), [false; 2], "as they were");
}

#[test]
fn the_log_and_what_a_crash_left_go_aside_with_the_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let wal = with_suffix(stores.path("order").unwrap(), "-wal");
    let shm = with_suffix(stores.path("order").unwrap(), "-shm");
    let log = folder.path().join("redis").join("appendonlydir");
    fs::create_dir_all(&log).unwrap();
    let part = log.join("appendonly.aof.1.incr.aof");
    for file in [&wal, &shm, &part] {
        fs::write(file, "later").unwrap();
    }
    let aside = restore(&source, &stores, folder.path(), None, force()).unwrap().moved_to;
    assert!(!wal.exists() && !shm.exists() && !log.exists());
    for name in ["order.db-wal", "order.db-shm", "appendonlydir/appendonly.aof.1.incr.aof"] {
        assert!(aside.iter().any(|folder| folder.join(name).exists()), "{name}");
    }
}

#[test]
fn a_message_that_was_about_to_be_sent_is_in_nobodys_hands_again() {
    let folder = tempfile::tempdir().unwrap();
    let stores = stores_in(folder.path());
    let rows = "DROP TABLE messages; CREATE TABLE messages (status, due_at);
        INSERT INTO messages VALUES ('Pending', 9), ('Sent', 9), ('Pending', 9)";
    stores.open("notification").unwrap().run(rows).unwrap();
    let source = folder.path().join("backup");
    backup(&stores, &source, false).unwrap();
    restore(&source, &stores, folder.path(), None, force()).unwrap();
    let sql = "SELECT group_concat(status || due_at) FROM messages";
    let found = stores.open("notification").unwrap().texts(sql).unwrap();
    assert_eq!(found, ["Pending0,Sent9,Pending0"]);
}

#[test]
fn a_redis_that_cannot_be_asked_is_no_empty_one_unless_it_goes_aside_with_the_stores() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let restore = |private| {
        let redis = Redis { url: format!("redis://:hunter2@{nobody}"), private };
        restore(&source, &stores, folder.path(), Some(&redis), force())
    };
    let refusal = format!("{:#}", restore(false).unwrap_err());
    assert!(refusal.contains("--without-redis") && refusal.contains("cannot reach"), "{refusal}");
    assert!(!refusal.contains("hunter2"), "{refusal}");
    restore(true).unwrap();
}

#[test]
fn a_backup_of_a_later_release_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    tamper(&source, "pay", "PRAGMA user_version=99");
    let refusal = format!("{:#}", restore(&source, &stores, folder.path(), None, force()).unwrap_err());
    assert!(refusal.contains("`pay`") && refusal.contains("of version 99"), "{refusal}");
    ensure_restored(folder.path()).unwrap();
    assert!(stores.open("pay").is_ok());
}

#[test]
fn a_backup_of_an_earlier_release_is_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let earlier = "ALTER TABLE messages DROP COLUMN template; ALTER TABLE messages DROP COLUMN variables;
        DROP INDEX messages_kept; DROP TABLE recipients; DROP TABLE gone; PRAGMA user_version=2; DELETE FROM versions";
    tamper(&source, "notification", earlier);
    restore(&source, &stores, folder.path(), None, force()).unwrap();
    stores.open("notification").unwrap();
}

/// Changes a store of a backup, and what its manifest says of that.
fn tamper(source: &Path, label: &str, sql: &str) {
    let file = source.join(format!("{label}.db"));
    let before = sha256(&file).unwrap();
    Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    let manifest = source.join(MANIFEST);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(manifest, text.replace(&before, &sha256(&file).unwrap())).unwrap();
}

#[test]
fn where_a_store_is_a_link_its_file_is_replaced_and_stores_of_one_name_go_aside_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let disk = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let place = |label: &str| state.join(label).join("data.db");
    let linked = Stores::new(|label| Ok(Place::File(place(label)))).unwrap();
    for label in LABELS {
        fs::create_dir_all(state.join(label)).unwrap();
        fs::copy(stores.path(label).unwrap(), place(label)).unwrap();
    }
    let real = disk.path().join("order.db");
    fs::rename(place("order"), &real).unwrap();
    std::os::unix::fs::symlink(&real, place("order")).unwrap();
    let aside = restore(&source, &linked, &state, None, force()).unwrap().moved_to;
    assert_eq!(aside.len(), LABELS.len());
    assert!(place("order").is_symlink() && aside.iter().any(|folder| folder.starts_with(disk.path())));
    let events = "SELECT count(*) FROM events";
    let events = linked.open("order").unwrap().count(events).unwrap();
    assert_eq!(events, 1);
}

#[test]
fn a_backup_of_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (stores, source) = backed_up(folder.path());
    let path = source.join(MANIFEST);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let refusal = restore(&source, &stores, folder.path(), None, force()).unwrap_err().to_string();
    assert!(refusal.contains("in a format"), "{refusal}");
}
