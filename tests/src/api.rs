//! The API as a client sees it: a method per endpoint.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::http::{Method, Request, request};
use ureq::{Agent, Body};

use crate::answer::Answer;
use crate::contract;

/// A client of one address, with connections it keeps.
#[derive(Clone, Debug)]
pub struct Api {
    address: SocketAddr,
    agent: Agent,
    held_to_contract: bool,
    /// What goes with every request.
    headers: Vec<(&'static str, String)>,
}

impl Api {
    /// A client of whoever listens there.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self::with_patience(address, Duration::from_secs(30))
    }

    /// The same, which waits no longer than this for an answer.
    #[must_use]
    pub fn with_patience(address: SocketAddr, patience: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(patience))
            .build();
        Self { address, agent: config.new_agent(), held_to_contract: false, headers: Vec::new() }
    }

    /// The same, where every answer is held against the published contract.
    #[must_use]
    pub fn held_to_contract(self) -> Self {
        Self { held_to_contract: true, ..self }
    }

    /// Where requests go.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Applies for a course.
    #[track_caller]
    pub fn apply(&self, order: &Value) -> Answer {
        self.post("/orders", order)
    }

    /// One order.
    #[track_caller]
    pub fn order(&self, id: u64) -> Answer {
        self.get(&format!("/orders/{id}"))
    }

    /// Pays an order (again), with this card.
    #[track_caller]
    pub fn pay(&self, id: u64, card: &str) -> Answer {
        self.post(&format!("/orders/{id}/payment"), &json!({ "cardNo": card }))
    }

    /// Cancels an order the seed's way.
    #[track_caller]
    pub fn cancel(&self, id: u64) -> Answer {
        self.patch(&format!("/orders/{id}"), &json!({ "status": "Order Canceled" }))
    }

    /// What `pay` knows of an order.
    #[track_caller]
    pub fn payment(&self, id: u64) -> Answer {
        self.get(&format!("/pays/{id}"))
    }

    /// What `reservation` knows of an order.
    #[track_caller]
    pub fn reservation(&self, id: u64) -> Answer {
        self.get(&format!("/reservations/{id}"))
    }

    /// The course manager decides on a reservation: `Reservation Confirmed` or `Reservation Rejected`.
    #[track_caller]
    pub fn decide(&self, id: u64, status: &str) -> Answer {
        self.patch(&format!("/reservations/{id}"), &json!({ "status": status }))
    }

    /// One course.
    #[track_caller]
    pub fn course(&self, edu_no: u64) -> Answer {
        self.get(&format!("/courses/{edu_no}"))
    }

    /// Opens a course.
    #[track_caller]
    pub fn open_course(&self, course: &Value) -> Answer {
        self.post("/courses", course)
    }

    /// Starts, finishes or cancels a course, or changes it.
    #[track_caller]
    pub fn change_course(&self, edu_no: u64, changes: &Value) -> Answer {
        self.patch(&format!("/courses/{edu_no}"), changes)
    }

    /// The view of one order.
    #[track_caller]
    pub fn view(&self, id: u64) -> Answer {
        self.get(&format!("/infomations/{id}"))
    }

    /// The three statuses that the view shows of an order, as `Ordered / Paid / Reservation Confirmed`; `-` for one
    /// that is not known (yet).
    #[track_caller]
    #[must_use]
    pub fn statuses(&self, id: u64) -> String {
        let view = self.view(id);
        if view.status != 200 {
            return format!("{} {}", view.status, view.text("/title"));
        }
        let status = |name: &str| match view.text(name) {
            text if text.is_empty() => "-".to_owned(),
            text => text,
        };
        format!("{} / {} / {}", status("/orderStatus"), status("/payStatus"), status("/reservationStatus"))
    }

    /// The messages sent about an order, oldest first.
    #[track_caller]
    #[must_use]
    pub fn messages(&self, id: u64) -> Vec<Value> {
        self.get(&format!("/notifications?orderId={id}&size=100&sort=createdAt,asc"))
            .expect(200)
            .items("notifications")
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path), None)
    }

    /// `POST` of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.json("POST", path), Some(body.to_string()))
    }

    /// `PATCH` with JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.json("PATCH", path), Some(body.to_string()))
    }

    /// `DELETE`.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path), None)
    }

    /// A request to add headers to, for [`Api::send`].
    #[track_caller]
    #[must_use]
    pub fn request(&self, method: &str, path: &str) -> request::Builder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = Request::builder().method(method).uri(self.url(path));
        self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value))
    }

    /// The same, for a body that is JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self, method: &str, path: &str) -> request::Builder {
        self.request(method, path).header("content-type", "application/json")
    }

    /// The same client, as somebody else: this header goes with everything that [`Api::request`] begins, in the place of one
    /// of its name.
    #[must_use]
    pub fn by(&self, header: &'static str, value: &str) -> Self {
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| *name != header);
        headers.push((header, value.to_owned()));
        Self { headers, ..self.clone() }
    }

    /// As whoever this `Authorization` is of.
    #[must_use]
    pub fn as_caller(&self, authorization: &str) -> Self {
        self.by("authorization", authorization)
    }

    /// Sends a request; a test in which it cannot be sent has failed.
    #[track_caller]
    pub fn send(&self, request: request::Builder, body: Option<String>) -> Answer {
        let method = request.method_ref().map_or_else(String::new, ToString::to_string);
        let path = request.uri_ref().map(ToString::to_string).unwrap_or_default();
        let path = path.strip_prefix(&self.url("")).unwrap_or(&path).to_owned();
        match self.attempt(request, body) {
            Ok(answer) => {
                if self.held_to_contract
                    && let Err(broken) = contract::check(&method, &path, &answer)
                {
                    fail(&format!("{broken:#}\n{}: {} {}", answer.request, answer.status, answer.body));
                }
                answer
            }
            Err(error) => fail(&format!("{method} {path}: {error}")),
        }
    }

    /// Sends a request that may go unanswered, because something breaks meanwhile.
    pub fn attempt(&self, request: request::Builder, body: Option<String>) -> Result<Answer, ureq::Error> {
        let (head, body) = request.body(body)?.into_parts();
        let name = format!("{} {}", head.method, head.uri.path_and_query().map_or("", |path| path.as_str()));
        let started = Instant::now();
        let response = match body {
            Some(body) => self.agent.run(Request::from_parts(head, body)),
            None => self.agent.run(Request::from_parts(head, ())),
        };
        read(&name, response?, started)
    }

    /// Whether anybody answers at all, whatever the answer.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.agent.get(self.url("/.well-known/spin/health")).call().is_ok()
    }
}

fn read(
    request: &str,
    response: ureq::http::Response<Body>,
    started: Instant,
) -> Result<Answer, ureq::Error> {
    let (head, mut body) = response.into_parts();
    let body = body.read_to_string()?;
    Ok(Answer {
        request: request.to_owned(),
        status: head.status.as_u16(),
        headers: head.headers,
        body,
        took: started.elapsed(),
    })
}

#[track_caller]
fn fail(why: &str) -> ! {
    panic!("{why}")
}

/// Sends bytes that need not be HTTP at all, and gives back whatever comes before the connection ends (or ten
/// seconds have passed). Reads while it still writes, since who refuses a request need not read it to its end.
#[must_use]
pub fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    thread::scope(|scope| {
        scope.spawn(|| {
            // It may be refused before all of it is sent.
            let _ = (&stream).write_all(bytes);
        });
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = (&stream).read(&mut buffer) {
            answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        String::from_utf8_lossy(&answer).into_owned()
    })
}
