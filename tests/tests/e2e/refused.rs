//! What an operator's commands refuse, before they change anything.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use sugang_tests::{Ground, Options, stores};
use xtask::workspace;

use crate::operations::{operate, run};

/// The stores of a system that has run and does not any more, and a backup of them.
fn stopped(folder: &Path) -> (Ground, String) {
    let ground = Ground::new();
    drop(ground.host(Options::new()));
    let backup = folder.join("backup").to_str().unwrap().to_owned();
    operate(ground.state(), &["backup", &backup]).says(0, &[]);
    (ground, backup)
}

#[test]
fn a_store_from_the_future_is_neither_read_nor_written_by_any_command() {
    let folder = tempfile::tempdir().unwrap();
    let (ground, backup) = stopped(folder.path());
    let state = ground.state();
    stores::tamper(state, "order", "PRAGMA user_version=99");
    let before = fs::read(stores::file(state, "order").unwrap()).unwrap();
    let words = ["`order`", "order.db", "version 99", "newer release"];
    let another = folder.path().join("another");
    operate(state, &["check"]).says(2, &words);
    operate(state, &["replay"]).says(1, &words);
    operate(state, &["rebuild", "order"]).says(1, &words);
    operate(state, &["rebuild", "information"]).says(1, &words);
    operate(state, &["backup", another.to_str().unwrap()]).says(1, &words);
    assert!(!another.exists());
    assert_eq!(fs::read(stores::file(state, "order").unwrap()).unwrap(), before);

    // And a backup of such a store is not put anywhere.
    let in_backup = Path::new(&backup).join("order.db");
    fs::copy(stores::file(state, "order").unwrap(), &in_backup).unwrap();
    let manifest = Path::new(&backup).join("manifest.json");
    let checksum = |file: &Path| {
        let output = Command::new("sha256sum").arg(file).output().unwrap().stdout;
        String::from_utf8(output).unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let mut told: serde_json::Value = serde_json::from_str(&fs::read_to_string(&manifest).unwrap()).unwrap();
    told["stores"]["order"]["sha256"] = checksum(&in_backup).into();
    fs::write(&manifest, told.to_string()).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    operate(&elsewhere, &["restore", &backup]).says(1, &["`order`", "version 99", "newer release"]);
    assert!(stores::file(&elsewhere, "order").is_none());
}

#[test]
fn no_command_shows_a_line_of_a_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.toml");
    fs::write(&file, "[[variables_provider]]\ntype = \"static\"\nvalues = { card_key = \"hunter2 }\n")
        .unwrap();
    let file = file.to_str().unwrap();
    for arguments in [
        &["check", "--runtime-config-file", file][..],
        &["replay", "--runtime-config-file", file],
        &["rebuild", "order", "--runtime-config-file", file],
        &["rebuild", "information", "--runtime-config-file", file],
        &["backup", "nowhere", "--runtime-config-file", file],
        &["restore", folder.path().to_str().unwrap(), "--runtime-config-file", file],
        &["up", "--runtime-config-file", file],
        &["up", "-f", file],
    ] {
        let code = if arguments[0] == "check" { 2 } else { 1 };
        let done = operate(folder.path(), arguments).says(code, &["broken.toml", "line 3, column "]);
        assert!(
            !done.text.contains("hunter2") && !done.text.contains("card_key"),
            "{arguments:?}: {}",
            done.text
        );
    }
}

#[test]
fn a_restore_does_not_go_without_a_redis_that_it_was_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let (_ground, backup) = stopped(folder.path());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redis = format!("redis://:hunter2@{nobody}");
    let elsewhere = folder.path().join("elsewhere");
    let done = operate(&elsewhere, &["restore", &backup, "--redis", &redis])
        .says(1, &["cannot reach the event log's Redis", "--without-redis"]);
    assert!(!done.text.contains("hunter2"), "{}", done.text);
    assert!(stores::file(&elsewhere, "order").is_none());
    operate(&elsewhere, &["restore", &backup, "--redis", &redis, "--without-redis"])
        .says(0, &["No Redis was looked at"]);
}

#[test]
fn a_reader_that_goes_away_ends_no_command_and_an_empty_redis_url_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let (ground, _) = stopped(folder.path());
    let state = ground.state().to_str().unwrap();
    let checked = |arguments: &[&str]| {
        let mut command = Command::new(workspace::host_binary());
        command.current_dir(workspace::root()).env("REDIS_URL", "").args(arguments);
        command.args(["--state-dir", state]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        drop(running.stdout.take());
        let done = running.wait_with_output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for arguments in
        [&["check", "--json"][..], &["check"], &["replay"], &["rebuild", "pay"], &["events", "list"]]
    {
        assert_eq!(checked(arguments), (Some(0), String::new()), "{arguments:?}");
    }
}

#[test]
fn what_is_no_store_of_its_label_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (ground, _) = stopped(folder.path());
    let state = ground.state();
    let pay = stores::file(state, "pay").unwrap();
    let another = folder.path().join("another");
    let backup = || operate(state, &["backup", another.to_str().unwrap()]);

    let mut bytes = fs::read(&pay).unwrap();
    let page = bytes.len() - 4096;
    bytes[page..].fill(0);
    fs::write(&pay, &bytes).unwrap();
    operate(state, &["check"]).says(1, &["store pay", "damaged", "[store-is-sound]"]);
    backup().says(1, &["`pay`", "damaged"]);

    fs::write(&pay, "not a database, although it is as long as the header of one, or longer").unwrap();
    let done = backup().says(1, &["`pay`", "no SQLite database"]);
    assert!(!done.text.contains("locked"), "{}", done.text);

    fs::copy(stores::file(state, "reservation").unwrap(), &pay).unwrap();
    operate(state, &["check"]).says(2, &["`pay`", "no table `pays`", "[sqlite_database.pay]"]);
    assert!(!another.exists());
    run(&["check", "--runtime-config-file", "/dev/null"]).says(2, &["[sqlite_database.information]"]);
}
