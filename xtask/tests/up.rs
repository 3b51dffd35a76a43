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
    command.env_remove("REDIS_URL").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
