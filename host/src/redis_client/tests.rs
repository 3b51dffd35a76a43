//! What sessions promise, asked of a real Redis that each test starts for itself.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use redis::{PushKind, Value, cmd};

use super::{
    Link, Links, Session,
    bindings::spin::redis::redis::{Error, RedisResult as Item},
    guest,
    reply::flatten,
};
use crate::outbound::allowed_hosts::AllowedHosts;

/// A `redis-server` of the test's own, which ends with it.
pub(crate) struct Server {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let directory = tempfile::tempdir().unwrap();
        let server = Self { process: Self::launch(port, &directory), port, directory };
        server.ready().await;
        server
    }

    fn launch(port: u16, directory: &tempfile::TempDir) -> Child {
        Command::new("redis-server")
            .args([
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "yes",
                "--dir",
            ])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs `redis-server` on the PATH; `cargo xtask doctor` says how to get it")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    async fn ready(&self) {
        let link = Link::to(&self.url()).unwrap();
        let answering = async {
            while link.check().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), answering).await.expect("redis-server does not answer");
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn restart(&mut self) {
        self.stop();
        self.process = Self::launch(self.port, &self.directory);
        self.ready().await;
    }

    async fn session(&self, links: &Links) -> Session {
        Session::open(links.to(&self.url()).unwrap()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn ask(session: &Session, command: &[&str]) -> Result<String, String> {
    let (name, arguments) = command.split_first().unwrap();
    let answer = session.run(cmd(name).arg(arguments).clone()).await.and_then(flatten);
    answer.map(|items| show(&items)).map_err(|error| error.to_string())
}

fn show(items: &[Item]) -> String {
    let show = |item: &Item| match item {
        Item::Nil => "nil".to_owned(),
        Item::Status(status) => format!("+{status}"),
        Item::Int64(integer) => format!(":{integer}"),
        Item::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    };
    items.iter().map(show).collect::<Vec<_>>().join(" ")
}

async fn check(session: &Session, command: &[&str], expected: &str) {
    assert_eq!(ask(session, command).await.as_deref(), Ok(expected), "{command:?}");
}

async fn connections(session: &Session) -> usize {
    ask(session, &["CLIENT", "LIST"]).await.unwrap().matches("addr=").count() / 2
}

#[test]
fn what_only_newer_answers_have_comes_out_as_spin_hands_it_over_or_is_an_error() {
    let number = Value::BigNumber(b"12345678901234567890".to_vec());
    let known = Value::Set(vec![Value::Boolean(true), Value::Double(1.5), number, Value::Okay]);
    assert_eq!(show(&flatten(known).unwrap()), ":1 1.5 12345678901234567890 +OK");
    let push = Value::Push { kind: PushKind::Invalidate, data: vec![] };
    for (unknown, what) in [(Value::Map(vec![]), "Map"), (push, "Pub/Sub")] {
        let error = flatten(Value::Array(vec![unknown])).unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[tokio::test]
async fn answers_come_out_flat() {
    let server = Server::start().await;
    let session = server.session(&Links::default()).await;
    check(&session, &["SET", "k", "v"], "+OK").await;
    check(&session, &["GET", "k"], "v").await;
    check(&session, &["GET", "absent"], "nil").await;
    check(&session, &["MGET", "k", "absent", "k"], "v nil v").await;
    check(&session, &["INCR", "n"], ":1").await;
    check(&session, &["HSET", "h", "a", "1", "b", "2"], ":2").await;
    check(&session, &["HGETALL", "h"], "a 1 b 2").await;
    check(
        &session,
        &["EVAL", "return {1, {'two', {3}}, redis.status_reply('four')}", "0"],
        ":1 two :3 +four",
    )
    .await;
    check(&session, &["XGROUP", "CREATE", "st", "g", "0", "MKSTREAM"], "+OK").await;
    check(&session, &["XREADGROUP", "GROUP", "g", "c", "COUNT", "9", "STREAMS", "st", ">"], "nil").await;
    check(&session, &["XADD", "st", "1-1", "e", "1"], "1-1").await;
    check(&session, &["XADD", "st", "1-2", "e", "2"], "1-2").await;
    check(&session, &["XREADGROUP", "GROUP", "g", "c", "STREAMS", "st", ">"], "st 1-1 e 1 1-2 e 2").await;
}

#[tokio::test]
async fn errors_of_the_server_reach_the_component() {
    let server = Server::start().await;
    let session = server.session(&Links::default()).await;
    check(&session, &["XGROUP", "CREATE", "st", "g", "0", "MKSTREAM"], "+OK").await;
    for (command, part) in [
        (&["XGROUP", "CREATE", "st", "g", "0"][..], "BUSYGROUP"),
        (&["XREADGROUP", "GROUP", "absent", "c", "STREAMS", "st", ">"], "NOGROUP"),
        (&["INCR", "st"], "WRONGTYPE"),
        (&["NONSENSE"], "unknown command"),
    ] {
        let error = ask(&session, command).await.unwrap_err();
        assert!(error.contains(part), "{command:?}: {error}");
    }
    check(&session, &["PING"], "+PONG").await;
}

#[tokio::test]
async fn sessions_of_one_address_share_a_connection() {
    let server = Server::start().await;
    let links = Links::default();
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(server.session(&links).await);
    }
    let watcher = server.session(&Links::default()).await;
    // The shared one, the watcher's two.
    let before = connections(&watcher).await;
    assert!(before <= 3, "{before} connections");
}

#[tokio::test]
async fn what_lives_on_a_connection_gets_one_of_its_own() {
    let server = Server::start().await;
    let links = Links::default();
    let (one, two) = (server.session(&links).await, server.session(&links).await);

    check(&one, &["MULTI"], "+OK").await;
    check(&one, &["SET", "k", "1"], "+QUEUED").await;
    check(&two, &["GET", "k"], "nil").await;
    check(&one, &["EXEC"], "+OK").await;
    check(&two, &["GET", "k"], "1").await;

    check(&one, &["SELECT", "1"], "+OK").await;
    check(&one, &["GET", "k"], "nil").await;
    check(&two, &["GET", "k"], "1").await;
}

#[tokio::test]
async fn a_command_that_blocks_holds_up_nobody_else() {
    let server = Server::start().await;
    let links = Links::default();
    let (waits, works) = (server.session(&links).await, server.session(&links).await);
    let popped = tokio::spawn(async move { ask(&waits, &["BLPOP", "queue", "0"]).await });
    let read = {
        let waits = server.session(&links).await;
        tokio::spawn(async move { ask(&waits, &["XREAD", "BLOCK", "0", "STREAMS", "st", "$"]).await })
    };
    // Longer than the client would wait for an ordinary answer by default.
    tokio::time::sleep(Duration::from_millis(700)).await;
    check(&works, &["XADD", "st", "5-5", "e", "1"], "5-5").await;
    check(&works, &["RPUSH", "queue", "x"], ":1").await;
    assert_eq!(popped.await.unwrap().as_deref(), Ok("queue x"));
    assert_eq!(read.await.unwrap().as_deref(), Ok("st 5-5 e 1"));
}

#[tokio::test]
async fn after_a_restart_the_next_to_open_finds_a_working_connection() {
    let mut server = Server::start().await;
    let links = Links::default();
    let old = server.session(&links).await;
    check(&old, &["SET", "k", "v"], "+OK").await;

    server.restart().await;
    let new = server.session(&links).await;
    check(&new, &["GET", "k"], "v").await;
    // The old handle goes on over the new connection.
    check(&old, &["GET", "k"], "v").await;

    server.stop();
    assert!(Session::open(links.to(&server.url()).unwrap()).await.is_err());
    assert!(ask(&old, &["GET", "k"]).await.is_err());
}

#[tokio::test]
async fn only_granted_addresses_are_opened() {
    let server = Server::start().await;
    let links = Links::default();
    let open = async |grant: &str, address: &str| {
        let grants = [grant.to_owned()];
        let allowed = AllowedHosts::parse(&grants, &crate::variables::Variables::default(), &[]).unwrap();
        guest::open(&links, &allowed, address).await.map(drop)
    };
    let url = server.url();
    assert!(open(&url, &url).await.is_ok());
    assert!(matches!(open("redis://127.0.0.1:1", &url).await, Err(Error::InvalidAddress)));
    assert!(matches!(open("*://*:*", "nonsense://127.0.0.1").await, Err(Error::InvalidAddress)));
    assert!(matches!(open("redis://127.0.0.1:1", "redis://127.0.0.1:1").await, Err(Error::Other(_))));
}

#[tokio::test]
async fn an_address_is_kept_only_while_there_is_room() {
    let links = Links::default();
    let used = links.to("redis://127.0.0.1:1").unwrap();
    let idle = Arc::downgrade(&links.to("redis://127.0.0.1:2").unwrap());
    for port in 2..200 {
        links.to(&format!("redis://127.0.0.1:{port}")).unwrap();
    }
    assert!(idle.upgrade().is_none());
    assert!(Arc::ptr_eq(&used, &links.to("redis://127.0.0.1:1").unwrap()));
}

#[tokio::test]
async fn commands_follow_each_other_on_one_connection() {
    let server = Server::start().await;
    let session = server.session(&Links::default()).await;
    let made = async || {
        let stats = ask(&session, &["INFO", "stats"]).await.unwrap();
        stats.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap().to_owned()
    };
    let before = made().await;
    for _ in 0..20 {
        check(&session, &["PING"], "+PONG").await;
    }
    assert_eq!(made().await, before);
}

#[tokio::test]
async fn a_password_and_a_database_of_its_own_are_part_of_an_address() {
    let server = Server::start().await;
    let session = server.session(&Links::default()).await;
    check(&session, &["CONFIG", "SET", "requirepass", "p@ss/word"], "+OK").await;
    let address = server.url().replace("redis://", "redis://:p%40ss%2Fword@") + "/3";
    let grants = [server.url()];
    let allowed = AllowedHosts::parse(&grants, &crate::variables::Variables::default(), &[]).unwrap();
    let links = Links::default();
    let open = async |address: &str| guest::open(&links, &allowed, address).await;
    let session = open(&address).await.unwrap();
    check(&session, &["SET", "k", "v"], "+OK").await;
    let in_first = open(&address.replace("/3", "/0")).await.unwrap();
    check(&in_first, &["GET", "k"], "nil").await;
    let refused = open(&address.replace("p%40ss", "wrong")).await.unwrap_err();
    assert!(!format!("{refused:?}").contains("wrong"), "{refused:?}");
}

#[tokio::test]
async fn an_address_with_two_s_is_spoken_to_in_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("rediss://:secret@{}", listener.local_addr().unwrap());
    let opening = tokio::spawn(async move { Session::open(Links::default().to(&address).unwrap()).await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let first = tokio::io::AsyncReadExt::read_u8(&mut stream).await.unwrap();
    // A handshake record: RFC 8446, section 5.1.
    assert_eq!(first, 22);
    drop(stream);
    let refused = opening.await.unwrap().unwrap_err();
    assert!(!format!("{refused} {refused:?}").contains("secret"), "{refused:?}");
}
