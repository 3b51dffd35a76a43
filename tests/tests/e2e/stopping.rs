//! Liveness, readiness, and how a host leaves while others take its place.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;
use sugang_tests::orders::{AUTOMATIC, MANUAL, order};
use sugang_tests::{Answer, Api, Ground, Options, PATIENCE, Sugang, eventually, stores};

store::on_postgres!(
    a_host_whose_worker_is_told_to_stop_leaves_what_comes_to_others,
    a_host_is_not_ready_while_a_component_of_it_cannot_answer,
);

/// Follows an order, and reads until the stream has begun.
fn follow(api: &Api, order_id: u64) -> TcpStream {
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /infomations/{order_id}/events HTTP/1.1\r\nhost: {}\r\n\r\n", api.address());
    stream.write_all(request.as_bytes()).unwrap();
    let mut begun = Vec::new();
    while !String::from_utf8_lossy(&begun).contains("data: ") {
        let mut part = [0; 1024];
        let read = stream.read(&mut part).unwrap();
        assert!(read > 0, "it ended before it began: {}", String::from_utf8_lossy(&begun));
        begun.extend_from_slice(&part[..read]);
    }
    stream
}

/// What the host itself says of itself, which the application's contract does not know.
fn about(host: &Api, path: &str) -> Answer {
    Api::new(host.address()).get(path)
}

#[test]
fn a_host_that_is_told_to_stop_says_so_first_and_answers_on() {
    let ground = Ground::new();
    let mut leaving = ground.host(Options::new().drain_time("4s"));
    leaving.apply(&order(1, MANUAL)).expect(201);
    eventually(|| leaving.statuses(1), "Ordered / Paid / Reservation Requested");
    let mut stream = follow(&leaving, 1);
    assert_eq!(about(&leaving, "/readyz").expect(200).body, "OK");

    leaving.signal(Signal::TERM);
    eventually(|| about(&leaving, "/readyz").status, 503);
    assert_eq!(about(&leaving, "/readyz").at("/detail"), "The host is about to stop.");
    assert_eq!(about(&leaving, "/livez").expect(200).body, "OK");
    assert_eq!(leaving.apply(&order(2, AUTOMATIC)).expect(201).text("/payStatus"), "Paid");

    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "a stream that is closed as it should be: {rest:?}");
    eventually(|| leaving.exited().map(|status| status.success()), Some(true));

    let other = ground.host(Options::new());
    eventually(|| other.statuses(2), "Ordered / Paid / Reservation Confirmed");
}

#[test]
fn a_host_whose_worker_is_told_to_stop_leaves_what_comes_to_others() {
    let ground = Ground::new();
    let mut leaving = ground.host(Options::new().drain_time("30s"));
    leaving.signal(Signal::TERM);
    eventually(|| about(&leaving, "/readyz").status, 503);
    leaving.apply(&order(1, AUTOMATIC)).expect(201);
    std::thread::sleep(std::time::Duration::from_secs(2));
    leaving.get("/reservations/1").expect(404);
    let _other = ground.host(Options::components(&["reservation-worker", "information-worker"]));
    eventually(|| leaving.statuses(1), "Ordered / Paid / Reservation Confirmed");
}

#[test]
fn a_host_is_not_ready_while_a_component_of_it_cannot_answer() {
    let sugang = Sugang::start();
    eventually(|| about(&sugang, "/readyz").status, 200);
    stores::tamper(
        sugang.state(),
        "pay",
        "INSERT INTO versions VALUES (999, 999); /*sqlite PRAGMA user_version = 999*/",
    );
    // A store from the future is noticed by the next instance that opens it.
    let again = sugang.ground().host(Options::only(&["pay", "order"]));
    let answer = about(&again, "/readyz");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.text("/detail").starts_with("Component `pay` answers `/pays` with 5"), "{answer:?}");
    assert_eq!(about(&again, "/livez").status, 200);
    again.get("/pays").expect_problem(503, "store-unavailable");
}
