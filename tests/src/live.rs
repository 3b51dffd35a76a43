//! The live status of one order, as a browser's `EventSource` follows it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use crate::api::Api;
use crate::wait::PATIENCE;

/// One event of the stream.
#[derive(Debug)]
pub struct Event {
    /// What a client comes back with.
    pub id: String,
    /// The state of the order.
    pub document: Value,
}

impl Event {
    /// The three statuses, as [`Api::statuses`] has them.
    #[must_use]
    pub fn statuses(&self) -> String {
        let status = |name: &str| self.document.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
        format!("{} / {} / {}", status("orderStatus"), status("payStatus"), status("reservationStatus"))
    }
}

/// Follows an order from a thread of its own; the channel ends with the stream.
#[must_use]
pub fn follow(api: &Api, order_id: u64) -> Receiver<Event> {
    follow_on(api, order_id, "")
}

/// The same for a client that comes back, having seen the event of this id.
#[must_use]
pub fn follow_on(api: &Api, order_id: u64, last: &str) -> Receiver<Event> {
    let mut stream = TcpStream::connect(api.address()).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!(
        "GET /infomations/{order_id}/events HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n{}\r\n",
        api.address(),
        if last.is_empty() { String::new() } else { format!("last-event-id: {last}\r\n") }
    );
    stream.write_all(request.as_bytes()).expect("to be heard");
    let (events, received) = channel();
    thread::spawn(move || {
        let mut id = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(value) = line.strip_prefix("id: ") {
                id = value.to_owned();
            } else if let Some(value) = line.strip_prefix("data: ") {
                let document = serde_json::from_str(value).expect("JSON");
                if events.send(Event { id: id.clone(), document }).is_err() {
                    return;
                }
            } else if line == "0" {
                // The chunk that ends the stream: whoever keeps the connection open keeps nothing of it.
                return;
            }
        }
    });
    received
}

/// The events up to the first with these statuses.
#[track_caller]
pub fn until(events: &Receiver<Event>, statuses: &str) -> Vec<Event> {
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
