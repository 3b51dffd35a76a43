//! Components that trap, loop or ask for too much memory, and clients that send garbage: each
//! harms only its own request.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::support::Fixture;
use sugang_host::{Application, engine::Limits, http_trigger::RequestLimits};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Asks for 200 MiB more; loops if it gets them, and traps if not.
const HOG: &str = "(if (i32.ne (memory.grow (i32.const 3200)) (i32.const -1)) (then (loop $l (br $l))))";

fn misbehaving() -> Fixture {
    let mut manifest =
        "spin_manifest_version = 2\n[application]\nname = \"a\"\nversion = \"1.2.3\"\n".to_owned();
    for id in ["trap", "loop", "hog"] {
        manifest += &format!(
            "[[trigger.http]]\nroute = \"/{id}/...\"\ncomponent = \"{id}\"\n[component.{id}]\nsource = \"{id}.wasm\"\n"
        );
    }
    Fixture::new(&manifest)
        .with_handler("trap.wasm", "")
        .with_handler("loop.wasm", "(loop $l (br $l))")
        .with_handler("hog.wasm", HOG)
}

/// Sends bytes, and returns what comes back until the connection is closed.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> String {
    send_over(TcpStream::connect(address).await.unwrap(), request).await
}

async fn send_over(mut stream: TcpStream, request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    // A reset after the answer is as good as an end.
    drop(read.await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> String {
    send(address, format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_traps_fails_its_own_request_only() {
    let fixture = misbehaving();
    let running = fixture.start().await;
    for _ in 0..20 {
        let answer = get(running.address(), "/trap").await;
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(answer.contains("application/problem+json") && !answer.contains("wasm"), "{answer}");
    }
    assert!(get(running.address(), "/.well-known/spin/health").await.ends_with("OK"));
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn components_that_loop_are_stopped_and_hold_up_nobody_else() {
    let fixture = misbehaving();
    let running = fixture.start().await;
    let address = running.address();
    // More loops than there are threads.
    let loops: Vec<_> = (0..4).map(|_| tokio::spawn(async move { get(address, "/loop").await })).collect();
    assert!(get(address, "/.well-known/spin/health").await.ends_with("OK"));
    assert!(get(address, "/trap").await.starts_with("HTTP/1.1 500 "));
    assert!(loops.iter().all(|answer| !answer.is_finished()), "they loop on while others are answered");
    for answer in loops {
        let answer = answer.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_gets_no_more_memory_than_it_may_have() {
    let fixture = misbehaving();
    let limits = Limits { max_busy_time: Duration::from_secs(60), ..Limits::default() };
    let running = Application { limits, ..fixture.application() }.start().await.unwrap();
    assert!(get(running.address(), "/hog").await.starts_with("HTTP/1.1 500 "));
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_limit_a_component_does_get_that_memory() {
    let fixture = misbehaving();
    let limits = Limits { max_busy_time: Duration::from_secs(60), max_memory: 1 << 30, ..Limits::default() };
    let running = Application { limits, ..fixture.application() }.start().await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(2), get(running.address(), "/hog"));
    assert!(answer.await.is_err(), "it got its memory, and so it loops");
}

#[test]
fn a_component_that_loops_does_not_outlive_its_application() {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = misbehaving();
            let limits = Limits { max_busy_time: Duration::from_secs(600), ..Limits::default() };
            let running = Application { limits, ..fixture.application() }.start().await.unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(1), get(running.address(), "/loop"));
            assert!(answer.await.is_err(), "it loops");
            drop(running);
            tokio::time::sleep(Duration::from_millis(200)).await;
        });
        // This waits for whatever still runs.
        drop(runtime);
        ended.send(()).unwrap();
    });
    end.recv_timeout(Duration::from_secs(30)).expect("the runtime to end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_while_there_are_as_many_instances_as_there_may_be() {
    let fixture = misbehaving();
    let limits = Limits { max_instances: 1, max_busy_time: Duration::from_millis(500), ..Limits::default() };
    let running = Application { limits, ..fixture.application() }.start().await.unwrap();
    let address = running.address();
    let (looping, trapping) = tokio::join!(get(address, "/loop"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        get(address, "/trap").await
    });
    assert!(looping.starts_with("HTTP/1.1 500 ") && trapping.starts_with("HTTP/1.1 500 "), "{trapping}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_answered_or_dropped_and_the_host_lives() {
    let fixture = misbehaving();
    let running = fixture.start().await;
    let address = running.address();
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "HTTP/1.1 404 "),
        ("GET /trap HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /trap HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /trap HTTP/1.1\r\nhost: a:+80\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /trap HTTP/1.1\r\nhost: a:\r\nconnection: close\r\n\r\n", "HTTP/1.1 500 "),
        ("GET http://a/trap HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n", "HTTP/1.1 500 "),
        ("GET http://a/trap HTTP/1.1\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /trap HTTP/1.0\r\n\r\n", "HTTP/1.0 500 "),
        ("OPTIONS /.well-known/spin/health HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
        ("GET /trap HTTP/1.1\r\nhost: a\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        (
            "GET /.well-known/spin/health HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 204 "),
        ("GET * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /%74r%61p HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "HTTP/1.1 500 "),
        (
            "POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "HTTP/1.1 500 ",
        ),
        (
            "POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 501 ",
        ),
        (
            "POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 501 ",
        ),
        (
            "POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 400 ",
        ),
        ("POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n", "HTTP/1.1 400 "),
        ("POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: identity\r\n\r\n", "HTTP/1.1 400 "),
        ("POST /trap HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400 "),
        ("BREW\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /\u{0} HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        ("POST /trap HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n", "HTTP/1.1 400 "),
        (
            "POST /trap HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 413 ",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 13];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer));
        read.await.unwrap().unwrap_or_else(|error| panic!("{request:?}: {error}"));
        assert_eq!(std::str::from_utf8(&answer).unwrap(), expected, "{request:?}");
    }
    let info = get(address, "/.well-known/spin/info").await;
    assert!(info.contains("\"version\":\"1.2.3\""), "{info}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_applications_in_one_process_do_not_interfere() {
    let (first, second) = (misbehaving(), misbehaving());
    let (first, second) = (first.start().await, second.start().await);
    assert_ne!(first.address(), second.address());
    first.shutdown().await;
    assert!(get(second.address(), "/trap").await.starts_with("HTTP/1.1 500 "));
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_start_takes_the_compiled_code_from_the_cache() {
    let fixture = misbehaving();
    fixture.start().await.shutdown().await;
    let kept = std::fs::read_dir(fixture.path().join("cache")).unwrap().count();
    assert_eq!(kept, 3);
    let started = Instant::now();
    fixture.start().await.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Traps when it is made, before it has seen a request.
const STILLBORN: &str = "unreachable) (func $start unreachable) (start $start) (func (result i32)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_cannot_be_made_is_answered_for_at_once() {
    let fixture = misbehaving().with_handler("trap.wasm", STILLBORN);
    let running = fixture.start().await;
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(3), get(running.address(), "/trap"));
        let answer = answer.await.expect("an answer, and not another try");
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_does_not_wait_for_ever_for_an_instance() {
    let fixture = misbehaving();
    let limits = Limits { max_instances: 1, max_busy_time: Duration::from_secs(10), ..Limits::default() };
    let running = Application { limits, ..fixture.application() }.start().await.unwrap();
    let address = running.address();
    let (_, waiting) = tokio::join!(get(address, "/loop"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        get(address, "/trap").await
    });
    assert!(waiting.starts_with("HTTP/1.1 503 "), "{waiting}");
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_send_slowly_hold_up_nobody_and_are_told_in_the_end() {
    let fixture = misbehaving();
    let limits =
        RequestLimits { max_concurrent: 2, body_timeout: Duration::from_secs(2), ..RequestLimits::default() };
    let running = Application { request_limits: limits, ..fixture.application() }.start().await.unwrap();
    let address = running.address();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let begun = b"POST /trap HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nhalf of it";
        stream.write_all(begun).await.unwrap();
        slow.push(stream);
    }
    let begun = Instant::now();
    assert!(get(address, "/trap").await.starts_with("HTTP/1.1 500 "));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    for mut stream in slow {
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    running.shutdown().await;
}

/// A client at 127.0.0.`n` that asks for a path.
async fn get_from(n: u8, address: SocketAddr, path: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, n], 0))).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    send_over(socket.connect(address).await.unwrap(), request.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_whose_requests_take_long_leave_room_for_those_of_others() {
    let fixture = misbehaving();
    let limits = RequestLimits { max_concurrent: 8, ..RequestLimits::default() };
    let busy = Limits { max_busy_time: Duration::from_secs(4), ..Limits::default() };
    let application = Application { request_limits: limits, limits: busy, ..fixture.application() };
    let running = application.start().await.unwrap();
    let address = running.address();
    let slow: Vec<_> =
        (0..40).map(|i| tokio::spawn(async move { get_from(2 + i % 2, address, "/loop").await })).collect();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    assert!(get_from(4, address, "/trap").await.starts_with("HTTP/1.1 500 "));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(slow.iter().all(|answer| !answer.is_finished()), "they take long");
    slow.into_iter().for_each(|answer| answer.abort());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_turns_out_longer_than_it_may_be_is_refused() {
    let fixture = misbehaving();
    let limits = RequestLimits { max_body: 100_000, ..RequestLimits::default() };
    let running = Application { request_limits: limits, ..fixture.application() }.start().await.unwrap();
    for (size, status) in [(99_000, "500"), (101_000, "413")] {
        let mut request =
            "POST /trap HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
                .to_owned();
        for _ in 0..size / 1000 {
            request += &format!("3e8\r\n{}\r\n", "x".repeat(1000));
        }
        let answer = send(running.address(), (request + "0\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{size}: {answer}");
    }
    running.shutdown().await;
}
