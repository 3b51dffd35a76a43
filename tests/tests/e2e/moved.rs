//! An operator's commands on a system that was moved to PostgreSQL.

use std::process::Command;

use operations::LABELS;
use servers::PostgresServer;
use sugang_tests::orders::{AUTOMATIC, order};
use sugang_tests::{Ground, Options, eventually};

use crate::operations::{CONFIRMED, all_sorts, comes_to_rest, operate};

/// Runs a program of PostgreSQL's.
fn tool(name: &str, arguments: &[&str]) {
    let folder = servers::postgres::programs().expect("PostgreSQL");
    let output = Command::new(folder.join(name)).args(arguments).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_system_that_was_moved_there_goes_on_and_every_command_works_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = PostgresServer::start(&folder.path().join("postgres"), &["fsync=off"]).unwrap();
    let url = server.url();
    let (_, password) = url.split_once('@').unwrap().0.rsplit_once(':').unwrap();
    let ground = Ground::new();
    {
        let host = ground.host(Options::new().process());
        all_sorts(&host);
        comes_to_rest(ground.state());
        host.stop();
    }
    let on = |url: &str, arguments: &[&str]| {
        let variables = LABELS.map(|label| format!("{label}_database_url={url}"));
        let variables: Vec<_> = variables.iter().flat_map(|one| ["--variable", one]).collect();
        let done = operate(ground.state(), &[arguments, &variables].concat());
        assert!(!done.text.contains(password), "it tells the password:\n{}", done.text);
        done
    };
    let labels: Vec<_> = LABELS.iter().flat_map(|label| ["--label", label]).collect();
    let move_store = [&["move-store"], &*labels].concat();
    on(&url, &move_store)
        .says(0, &["`order` is on PostgreSQL now", "  orders: 7 rows", "Copied and compared"]);
    on(&url, &move_store).says(1, &["is there already", "no store was moved"]);

    let address = format!("127.0.0.1:{}", server.port());
    let options = Options::new().variable("postgres_address", address);
    let options = LABELS
        .iter()
        .fold(options, |options, label| options.variable(&format!("{label}_database_url"), &url));
    let host = ground.host(options);
    assert_eq!(host.statuses(1), CONFIRMED);
    host.cancel(4).expect(200);
    eventually(|| host.statuses(6), CONFIRMED);
    host.apply(&order(8, AUTOMATIC)).expect(201);
    eventually(|| host.statuses(8), CONFIRMED);

    let rests = |url: &str| {
        let said = || on(url, &["check", "--grace", "0"]).text;
        eventually(|| said().lines().next().unwrap_or_default().to_owned(), "All is well.");
    };
    rests(&url);
    on(&url, &["check", "--grace", "0"]).says(0, &["8 orders"]);
    for context in ["order", "pay", "reservation", "information"] {
        on(&url, &["rebuild", context]).says(0, &["made again", "Nothing differed."]);
    }
    on(&url, &["replay"]).says(0, &["with the next tick"]);
    rests(&url);
    operate(ground.state(), &["events", "list"]).says(0, &["no dead letters"]);
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    on(&url, &["backup", backup])
        .says(1, &["on PostgreSQL are", "pg_dump --format=custom", "--schema=order"]);

    // What the documentation says to do instead.
    let dump = folder.path().join("dump");
    let file = format!("--file={}", dump.to_str().unwrap());
    let schemas = LABELS.map(|label| format!("--schema={label}"));
    let schemas: Vec<_> = schemas.iter().map(String::as_str).collect();
    tool("pg_dump", &[&["--format=custom", &*file], &*schemas, &[&*url]].concat());
    let another = url.rsplit_once('/').unwrap().0.to_owned() + "/another";
    tool("psql", &["--quiet", "--command=CREATE DATABASE another", &url]);
    tool("pg_restore", &["--exit-on-error", &format!("--dbname={another}"), dump.to_str().unwrap()]);
    on(&another, &["check", "--grace", "0"]).says(0, &["All is well.", "8 orders"]);
    on(&another, &["replay"]).says(0, &["with the next tick"]);
}
