//! The live status of one order, as a browser's `EventSource` follows it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;
use sugang_tests::orders::{AUTOMATIC, MANUAL, order};
use sugang_tests::{Api, PATIENCE, Sugang, eventually};

store::on_postgres!(
    whoever_follows_an_order_sees_each_change_without_asking,
    whoever_comes_back_having_seen_the_end_is_told_to_stop,
);

/// One event of the stream.
#[derive(Debug)]
struct Event {
    id: String,
    document: Value,
}

impl Event {
    fn statuses(&self) -> String {
        let status = |name: &str| self.document[name].as_str().unwrap_or("-").to_owned();
        format!("{} / {} / {}", status("orderStatus"), status("payStatus"), status("reservationStatus"))
    }
}

/// Follows an order from a thread of its own; the channel ends with the stream.
fn follow(api: &Api, order_id: u64) -> Receiver<Event> {
    let mut stream = TcpStream::connect(api.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!(
        "GET /infomations/{order_id}/events HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        api.address()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (events, received) = channel();
    thread::spawn(move || {
        let mut id = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(value) = line.strip_prefix("id: ") {
                id = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                let event = Event { id: id.clone(), document: serde_json::from_str(value).unwrap() };
                if events.send(event).is_err() {
                    return;
                }
            }
        }
    });
    received
}

/// The events up to the first with these statuses.
fn until(events: &Receiver<Event>, statuses: &str) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {statuses} after {seen:?}"));
        let arrived = event.statuses() == statuses;
        seen.push(event);
        if arrived {
            return seen;
        }
    }
}

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
    sugang.get("/infomations/404/events").expect_any_problem(&[404]);
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
