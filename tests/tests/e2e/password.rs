//! A Redis with a password, of which one database is ours.

use std::fs;
use std::path::Path;

use eventlog::keys;
use sugang_tests::orders::{AUTOMATIC, order};
use sugang_tests::{Ground, Options, PASSWORD, eventually};

use crate::operations::operate;

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";

/// That neither the password nor what an address has of it is in this text.
#[track_caller]
fn holds_no_secret(ground: &Ground, text: &str) {
    let credentials = ground.redis_url().split_once('@').unwrap().0.rsplit_once(':').unwrap().1;
    for secret in [PASSWORD, credentials] {
        assert!(!text.contains(secret), "it tells the password:\n{text}");
    }
}

/// All that hosts have said so far.
fn logs(state: &Path) -> String {
    let files = fs::read_dir(state).unwrap().map(|file| file.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    logs.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_whole_flow_uses_one_database_of_it_and_no_log_tells_the_password() {
    let mut ground = Ground::with_password();
    let host = ground.host(Options::new().process());
    host.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| host.statuses(1), CONFIRMED);
    let stream_in = |database: &str| -> bool {
        let url = ground.redis_url().replace("/3", database);
        let mut redis = redis::Client::open(url).unwrap().get_connection().unwrap();
        redis::cmd("EXISTS").arg(keys::stream("order")).query(&mut redis).unwrap()
    };
    assert!(stream_in("/3") && !stream_in("/0"));

    ground.kill_redis();
    host.apply(&order(2, AUTOMATIC)).expect(201);
    let said = || logs(ground.state());
    eventually(|| said().contains("no connection to Redis") && said().contains("relaying the events"), true);
    ground.start_redis();
    eventually(|| host.statuses(2), CONFIRMED);
    drop(host);
    holds_no_secret(&ground, &logs(ground.state()));
}

#[test]
fn every_command_of_an_operator_takes_its_address_and_none_tells_the_password() {
    let ground = Ground::with_password();
    let host = ground.host(Options::new());
    host.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| host.statuses(1), CONFIRMED);
    let folder = tempfile::tempdir().unwrap();
    let (backup, elsewhere) = (folder.path().join("backup"), folder.path().join("elsewhere"));
    let backup = backup.to_str().unwrap();
    let on = |state: &Path, url: &str, arguments: &[&str], code: i32, words: &[&str]| {
        let done = operate(state, &[arguments, &["--redis", url]].concat()).says(code, words);
        holds_no_secret(&ground, &done.text);
    };
    let (state, url) = (ground.state(), ground.redis_url());
    let checked = || operate(state, &["check", "--grace", "0", "--redis", url]).text;
    eventually(|| checked().contains("All is well."), true);
    on(state, url, &["check"], 0, &["All is well."]);
    on(state, url, &["events", "list"], 0, &[]);
    operate(state, &["backup", backup]).says(0, &[]);
    on(&elsewhere, url, &["restore", backup], 1, &["has had events of"]);

    // The password is wrong, is missing, or is not written as an address has it.
    let wrong = url.replacen("@", "x@", 1);
    let missing = format!("redis://{}", url.split_once('@').unwrap().1);
    let unreadable = format!("redis://:{PASSWORD}@127.0.0.1");
    for url in [&wrong, &missing, &unreadable] {
        on(state, url, &["check"], 2, &["Redis"]);
        on(state, url, &["events", "list"], 1, &["Redis"]);
        // It may well hold events.
        on(&elsewhere, url, &["restore", backup], 1, &["Redis"]);
    }
}
