//! A component that asks a PostgreSQL, from its bytes in to its bytes out.

use std::{sync::LazyLock, time::Duration};

use servers::PostgresServer;
use sugang_host::{
    Running,
    reuse::{Choice, Reuse, Span},
};
use xtask::workspace;

use crate::{misbehaviour::get, support::Fixture};

/// The guest's code, built once.
static GUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (target, profile) = (workspace::COMPONENT_TARGET, workspace::FAULT_PROFILE);
    let mut cargo =
        workspace::cargo(["build", "-p", "postgres-guest", "--target", target, "--profile", profile]);
    workspace::run(&mut cargo).unwrap();
    std::fs::read(workspace::target_dir().join(target).join(profile).join("postgres_guest.wasm")).unwrap()
});

/// An application of the guest alone, and its server.
struct Application {
    fixture: Fixture,
    server: PostgresServer,
    _folder: tempfile::TempDir,
}

impl Application {
    fn new() -> Self {
        let fixture = Fixture::new(
            "spin_manifest_version = 2\n[application]\nname = \"a\"\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"guest\"\n\
             [component.guest]\nsource = \"guest.wasm\"\nallowed_outbound_hosts = [\"postgres://127.0.0.1:*\"]\n",
        )
        .with("guest.wasm", &*GUEST);
        let folder = tempfile::tempdir().unwrap();
        let server = PostgresServer::start(folder.path(), &["fsync=off"]).unwrap();
        Self { fixture, server, _folder: folder }
    }

    async fn start(&self, request_timeout: Duration) -> Running {
        let request_timeout = Choice::Value(Span(request_timeout));
        let environment = vec![("ADDRESS".to_owned(), self.server.url())];
        let reuse = Reuse { request_timeout, ..Reuse::default() };
        sugang_host::Application { environment, reuse, ..self.fixture.application() }.start().await.unwrap()
    }
}

async fn body(running: &Running, path: &str) -> String {
    let answer = get(running.address(), path).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    // Short enough to come as one chunk: its length, itself, and the last one, which is empty.
    body.split("\r\n").nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_asks_a_postgresql_and_reads_what_it_answers() {
    let application = Application::new();
    let running = application.start(Duration::from_secs(30)).await;
    assert_eq!(body(&running, "/types").await, "1 23505 Some(7) Some(\"김철수\") Some(true) Some(None)");
    assert_eq!(body(&running, "/long").await, "450015000");
    let refused = body(&running, "/elsewhere").await;
    assert!(refused.contains("is not permitted") && !refused.contains("hunter2"), "{refused}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_ends_with_the_request_that_waits_for_it() {
    let application = Application::new();
    let running = application.start(Duration::from_millis(500)).await;
    let canceled = get(running.address(), "/forever").await;
    assert!(canceled.starts_with("HTTP/1.1 50"), "{canceled}");
    let none_left = async { while body(&running, "/at-work").await != "Some(0)" {} };
    tokio::time::timeout(Duration::from_secs(20), none_left).await.expect("the server is still at it");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_timeout_a_statement_goes_on() {
    let application = Application::new();
    let running = application.start(Duration::from_secs(30)).await;
    let forever = get(running.address(), "/forever");
    let at_work = async {
        while body(&running, "/at-work").await != "Some(1)" {}
        tokio::time::sleep(Duration::from_millis(600)).await;
        body(&running, "/at-work").await
    };
    tokio::select! {
        answer = forever => panic!("it ended: {answer}"),
        at_work = at_work => assert_eq!(at_work, "Some(1)"),
    }
}
