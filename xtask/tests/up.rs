//! `cargo xtask up` as one who types it sees it. The host and the components must have been built.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use xtask::redis_server::RedisServer;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(state: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(["up", "--no-build", "--state-dir"]).arg(state).args(arguments);
    command.env_remove("REDIS_URL").env_remove("DATABASE_URL");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A command that runs until it is told to stop.
struct Up {
    child: Child,
    site: SocketAddr,
    redis: SocketAddr,
}

impl Up {
    fn start(state: &Path) -> Self {
        Self::run(&mut command(state, &["--listen", "127.0.0.1:0"]))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut find = |name: &str, prefix: &str| -> SocketAddr {
            let row = lines.find(|line| line.trim_start().starts_with(name));
            let row = row.unwrap_or_else(|| panic!("it ended without saying where its {name} is"));
            let place = row.split_whitespace().find_map(|word| word.strip_prefix(prefix)).unwrap();
            place.split('/').next().unwrap().parse().unwrap()
        };
        let (site, redis) = (find("site", "http://"), find("redis ", "redis://"));
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, site, redis }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How it ended, and what it complained of.
    fn wait(mut self) -> (ExitStatus, String) {
        let mut errors = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap(), errors)
    }

    fn stop(self) {
        let (site, redis) = (self.site, self.redis);
        self.signal(Signal::INT);
        let (status, errors) = self.wait();
        assert!(status.success(), "{status}: {errors}");
        assert!(!is_up(site) && !is_up(redis), "something it started is still there");
    }
}

fn is_up(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The process ids of the parts, as the state directory has them.
fn parts(state: &Path) -> Vec<(String, i32)> {
    let noted = std::fs::read_to_string(state.join("lock")).unwrap();
    let part = |line: &str| {
        let (name, id) = line.rsplit_once(' ')?;
        Some((name.to_owned(), id.parse().ok()?))
    };
    noted.lines().filter_map(part).collect()
}

fn kill(state: &Path, name: &str) {
    let (_, id) = parts(state).into_iter().find(|(part, _)| part == name).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
}

fn refusal(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn it_serves_and_ctrl_c_stops_all_it_started() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start(state.path());
    assert!(get(up.site, "/.well-known/spin/health").starts_with("HTTP/1.1 200"));
    assert!(get(up.site, "/courses/101").starts_with("HTTP/1.1 200"));
    assert!(is_up(up.redis));
    up.stop();
}

#[test]
fn two_systems_run_side_by_side_and_never_meet() {
    let states = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = states.each_ref().map(|state| Up::start(state.path()));
    assert_ne!((first.site, first.redis), (second.site, second.redis));
    first.stop();
    assert!(get(second.site, "/.well-known/spin/health").starts_with("HTTP/1.1 200"));
    second.stop();
}

#[test]
fn another_redis_is_used_with_its_password_which_is_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let redis = RedisServer::start_with_password(&folder.path().join("redis"), "hunter2/@").unwrap();
    let url = format!("{}/3", redis.url());
    let up = Up::run(command(&state, &["--listen", "127.0.0.1:0"]).env("REDIS_URL", &url));
    let deadline = Instant::now() + PATIENCE;
    // The demonstration courses are there once the tick was heard.
    while !get(up.site, "/courses/101").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "it does not work with that Redis");
    }
    let noted = state.join("redis-url");
    assert_eq!(std::fs::read_to_string(&noted).unwrap().trim(), url);
    assert_eq!(std::fs::metadata(&noted).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, host) = parts(&state).into_iter().find(|(part, _)| part == "host").unwrap();
    let seen = std::fs::read_to_string(format!("/proc/{host}/cmdline")).unwrap();
    let said = std::fs::read_to_string(state.join("logs").join("host.log")).unwrap();
    up.signal(Signal::INT);
    let (status, errors) = up.wait();
    assert!(status.success(), "{status}: {errors}");
    let credentials = url.split_once("@").unwrap().0.rsplit_once(':').unwrap().1;
    for text in [seen, said, errors] {
        assert!(!text.contains("hunter2") && !text.contains(credentials), "it tells the password: {text}");
    }
}

#[test]
fn what_is_no_address_of_a_redis_is_refused_at_once_and_not_repeated() {
    let state = tempfile::tempdir().unwrap();
    let refusal = refusal(command(state.path(), &["--redis-url", "redis://:hunter2/@127.0.0.1"]));
    assert!(refusal.contains("--redis-url") && !refusal.contains("hunter2"), "{refusal}");
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0, "nothing has been created");
}

#[test]
fn the_same_state_directory_is_not_used_twice() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start(state.path());
    let refusal = refusal(command(state.path(), &["--listen", "127.0.0.1:0"]));
    assert!(refusal.contains("in use by another system") && refusal.contains("--state-dir"), "{refusal}");
    up.stop();
}

#[test]
fn a_port_in_use_is_refused_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let state = tempfile::tempdir().unwrap();
    let refusal = refusal(command(state.path(), &["--listen", &address]));
    assert!(refusal.contains(&format!("{address} is in use by another program")), "{refusal}");
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0, "nothing has been created");
}

#[test]
fn when_redis_dies_everything_stops_and_it_is_said_why() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start(state.path());
    let site = up.site;
    kill(state.path(), "redis-server");
    let (status, errors) = up.wait();
    assert!(!status.success() && errors.contains("redis-server has ended"), "{status}: {errors}");
    assert!(!is_up(site));
}

#[test]
fn when_the_host_dies_everything_stops_and_it_is_said_why() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start(state.path());
    let redis = up.redis;
    kill(state.path(), "host");
    let (status, errors) = up.wait();
    assert!(!status.success() && errors.contains("the host has ended"), "{status}: {errors}");
    assert!(!is_up(redis));
}

#[test]
fn what_the_host_refuses_is_told_and_nothing_stays_behind() {
    let state = tempfile::tempdir().unwrap();
    let refusal = refusal(command(state.path(), &["--listen", "127.0.0.1:0", "-c", "nothing-of-this-name"]));
    assert!(refusal.contains("nothing-of-this-name"), "{refusal}");
    assert!(refusal.contains("the host has ended"), "{refusal}");
}

#[test]
fn after_it_was_killed_it_starts_again_on_the_same_state() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start(state.path());
    let site = up.site;
    up.signal(Signal::KILL);
    up.wait();
    let again = Up::start(state.path());
    let deadline = Instant::now() + PATIENCE;
    while is_up(site) && site != again.site {
        assert!(Instant::now() < deadline, "what the killed one had started still serves");
    }
    assert!(get(again.site, "/.well-known/spin/health").starts_with("HTTP/1.1 200"));
    again.stop();
}

/// The addresses of the stores that are on PostgreSQL, as the state directory has them.
fn noted_databases(state: &Path) -> Vec<(String, String)> {
    let noted = std::fs::read_to_string(state.join("database-urls")).unwrap_or_default();
    let pair = |line: &str| line.split_once(' ').map(|(label, url)| (label.to_owned(), url.to_owned()));
    noted.lines().filter_map(pair).collect()
}

fn ask(url: &str, sql: &str) -> String {
    let psql = servers::postgres::programs().unwrap().join("psql");
    let output = Command::new(psql).args([url, "-XAtc", sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Whether the SQLite file of a store has this table. The host makes an empty one for every label.
fn has_table(state: &Path, label: &str, table: &str) -> bool {
    let files = [format!("{label}.db"), format!("{label}.db-wal")];
    let made = format!("CREATE TABLE {table} ");
    files.iter().any(|file| {
        let bytes = std::fs::read(state.join(".spin").join(file)).unwrap_or_default();
        bytes.windows(made.len()).any(|window| window == made.as_bytes())
    })
}

fn apply(site: SocketAddr, order: u64) -> String {
    let body =
        format!(r#"{{"orderId":{order},"customerId":1,"eduNo":101,"guest":1,"cardNo":"4111111111111234"}}"#);
    let mut stream = TcpStream::connect(site).unwrap();
    write!(
        stream,
        "POST /orders HTTP/1.1\r\nhost: {site}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Applies as soon as `order` knows the course, and waits until everybody has heard of it.
fn apply_and_wait(site: SocketAddr, order: u64) {
    let deadline = Instant::now() + PATIENCE;
    while !apply(site, order).starts_with("HTTP/1.1 20") {
        assert!(Instant::now() < deadline, "no order is taken: {}", apply(site, order));
    }
    while !get(site, &format!("/infomations/{order}")).contains("Reservation Confirmed") {
        assert!(Instant::now() < deadline, "{}", get(site, &format!("/infomations/{order}")));
    }
}

#[test]
fn every_store_is_in_a_private_postgresql_and_is_there_again_at_the_next_start() {
    let state = tempfile::tempdir().unwrap();
    let postgres = ["--listen", "127.0.0.1:0", "--postgres"];
    let up = Up::run(command(state.path(), &postgres).env("DATABASE_URL", ""));
    apply_and_wait(up.site, 1);
    let noted = noted_databases(state.path());
    assert_eq!(noted.len(), 8);
    let file = state.path().join("database-urls");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (_, url) = &noted[0];
    assert_eq!(ask(url, "SELECT count(*) FROM \"order\".orders"), "1");
    assert!(!has_table(state.path(), "order", "orders"), "there is a second one in a file");
    let password = url.split('@').next().unwrap().rsplit(':').next().unwrap();
    let (_, host) = parts(state.path()).into_iter().find(|(part, _)| part == "host").unwrap();
    let seen = std::fs::read_to_string(format!("/proc/{host}/cmdline")).unwrap();
    assert!(!seen.contains(password), "it tells the password: {seen}");
    let server = url.rsplit('@').next().unwrap().split('/').next().unwrap().parse().unwrap();
    assert!(is_up(server));
    up.stop();
    assert!(!is_up(server), "the private PostgreSQL is still there");

    let refused = refusal(command(state.path(), &["--listen", "127.0.0.1:0"]));
    assert!(refused.contains("is on PostgreSQL: give --postgres"), "{refused}");
    let again = Up::run(&mut command(state.path(), &postgres));
    assert!(get(again.site, "/orders/1").starts_with("HTTP/1.1 200"));
    again.stop();
}

#[test]
fn one_context_keeps_its_store_in_a_file_while_the_others_are_on_a_postgresql_that_is_there() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server =
        servers::PostgresServer::start(folder.path(), &["fsync=off", "max_connections=300"]).unwrap();
    let mixed = ["--listen", "127.0.0.1:0", "--variable", "notification_database_url="];
    let mut command = command(state.path(), &mixed);
    let up = Up::run(command.env("DATABASE_URL", server.url()));
    apply_and_wait(up.site, 1);
    let labels: Vec<_> = noted_databases(state.path()).into_iter().map(|(label, _)| label).collect();
    assert_eq!(labels, ["order", "pay", "gateway", "reservation", "inbox", "information", "member"]);
    assert_eq!(ask(&server.url(), "SELECT count(*) FROM \"order\".orders"), "1");
    assert_eq!(ask(&server.url(), "SELECT to_regnamespace('notification') IS NULL"), "t");
    assert!(
        has_table(state.path(), "notification", "messages") && !has_table(state.path(), "order", "orders")
    );
    let deadline = Instant::now() + PATIENCE;
    while !get(up.site, "/notifications?orderId=1").contains("\"Reserved\"") {
        assert!(Instant::now() < deadline, "{}", get(up.site, "/notifications?orderId=1"));
    }
    up.stop();
    assert_eq!(ask(&server.url(), "SELECT 1"), "1", "it is somebody else's, and stays");
}

#[test]
fn what_is_no_address_of_a_postgresql_or_leads_to_none_is_refused_at_once_and_not_repeated() {
    let state = tempfile::tempdir().unwrap();
    let no_address = refusal(command(state.path(), &["--database-url", "mysql://u:hunter2@h/d"]));
    assert!(no_address.contains("--database-url") && !no_address.contains("hunter2"), "{no_address}");
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0, "nothing has been created");
    let listen = ["--listen", "127.0.0.1:0", "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"];
    let nobody = refusal(command(state.path(), &listen));
    assert!(nobody.contains("no PostgreSQL to be reached at 127.0.0.1:1"), "{nobody}");
    assert!(!nobody.contains("hunter2"), "{nobody}");
}

#[test]
fn when_the_private_postgresql_dies_everything_stops_and_it_is_said_why() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::run(&mut command(state.path(), &["--listen", "127.0.0.1:0", "--postgres"]));
    let site = up.site;
    kill(state.path(), "postgres");
    let (status, errors) = up.wait();
    assert!(!status.success() && errors.contains("postgres has ended"), "{status}: {errors}");
    assert!(!is_up(site));
}

#[test]
fn of_several_hosts_behind_a_balancer_one_that_is_killed_is_started_anew_while_the_others_answer() {
    let state = tempfile::tempdir().unwrap();
    let several = ["--listen", "127.0.0.1:0", "--postgres", "--hosts", "2"];
    let up = Up::run(&mut command(state.path(), &several));
    apply_and_wait(up.site, 1);
    let hosts = || -> Vec<i32> {
        parts(state.path()).into_iter().filter(|(name, _)| name == "host").map(|(_, id)| id).collect()
    };
    let before = hosts();
    assert_eq!(before.len(), 2);
    assert!(parts(state.path()).iter().any(|(name, _)| name == "haproxy"));
    let seen = std::fs::read_to_string(format!("/proc/{}/cmdline", before[0])).unwrap();
    let (_, url) = &noted_databases(state.path())[0];
    let password = url.split('@').next().unwrap().rsplit(':').next().unwrap();
    assert!(!seen.contains(password), "it tells the password: {seen}");

    kill(state.path(), "host");
    let deadline = Instant::now() + PATIENCE;
    while hosts().contains(&before[0]) || hosts().len() < 2 {
        assert!(get(up.site, "/orders/1").starts_with("HTTP/1.1 200"), "the other answers");
        assert!(Instant::now() < deadline, "nobody has started it anew");
    }
    apply_and_wait(up.site, 2);
    let all = [before, hosts()].concat();
    up.stop();
    for id in all {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "host {id} is still there");
    }
}

#[test]
fn when_the_balancer_dies_everything_stops_and_it_is_said_why() {
    let state = tempfile::tempdir().unwrap();
    let several = ["--listen", "127.0.0.1:0", "--postgres", "--hosts", "2"];
    let up = Up::run(&mut command(state.path(), &several));
    kill(state.path(), "haproxy");
    let (status, errors) = up.wait();
    assert!(!status.success() && errors.contains("haproxy has ended"), "{status}: {errors}");
}

#[test]
fn several_hosts_over_files_are_refused_at_once() {
    let state = tempfile::tempdir().unwrap();
    let refused = refusal(command(state.path(), &["--listen", "127.0.0.1:0", "--hosts", "2"]));
    assert!(refused.contains("give --postgres or --database-url"), "{refused}");
    let mixed = ["--listen", "127.0.0.1:0", "--hosts", "2", "--postgres", "--variable", "pay_database_url="];
    let refused = refusal(command(state.path(), &mixed));
    assert!(refused.contains("these are files: pay"), "{refused}");
}
