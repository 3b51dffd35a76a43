//! The live status of one order, as a browser's `EventSource` follows it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use sugang_tests::live::{follow, until};
use sugang_tests::orders::{AUTOMATIC, MANUAL, order};
use sugang_tests::{PATIENCE, Sugang, eventually};

store::on_postgres!(
    whoever_follows_an_order_sees_each_change_without_asking,
    whoever_comes_back_having_seen_the_end_is_told_to_stop,
);

#[test]
fn whoever_follows_an_order_sees_each_change_without_asking() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, MANUAL)).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Requested");
    let events = follow(&sugang, 1);
    let first = until(&events, "Ordered / Paid / Reservation Requested");
    assert_eq!(first.len(), 1, "the present state comes first: {first:?}");

    sugang.decide(1, "Reservation Confirmed").expect(200);
    until(&events, "Ordered / Paid / Reservation Confirmed");
    sugang.cancel(1).expect(200);
    let last = until(&events, "Order Canceled / Payment Canceled / Reservation Canceled").pop().unwrap();
    assert!(last.document["timeline"].as_array().unwrap().len() >= 6, "{last:?}");
    assert!(events.recv_timeout(PATIENCE).is_err(), "the stream ends where nothing can change any more");
}

#[test]
fn whoever_comes_back_having_seen_the_end_is_told_to_stop() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    sugang.cancel(1).expect(200);
    let done = "Order Canceled / Payment Canceled / Reservation Canceled";
    eventually(|| sugang.statuses(1), done);
    let last = until(&follow(&sugang, 1), done).pop().unwrap();
    let again = sugang.request("GET", "/infomations/1/events").header("last-event-id", &last.id);
    sugang.send(again, None).expect(204);
    let unheard = sugang.get("/infomations/404/events").expect(200);
    assert!(unheard.body.ends_with("id: unheard\n\n") && !unheard.body.contains("data:"), "{}", unheard.body);
    let again = sugang.request("GET", "/infomations/404/events").header("last-event-id", "unheard");
    sugang.send(again, None).expect_any_problem(&[404]);
}

#[test]
fn whoever_comes_back_before_the_end_goes_on_following() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let confirmed = "Ordered / Paid / Reservation Confirmed";
    eventually(|| sugang.statuses(1), confirmed);
    let last = until(&follow(&sugang, 1), confirmed).pop().unwrap();
    let mut stream = TcpStream::connect(sugang.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET /infomations/1/events HTTP/1.1\r\nhost: x\r\nlast-event-id: {}\r\n\r\n", last.id);
    stream.write_all(head.as_bytes()).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 200"), "{line}");
}
