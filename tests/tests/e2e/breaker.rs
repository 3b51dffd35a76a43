//! The circuit breaker before `pay`, as its callers and `pay` itself see it.
//!
//! `pay` is played by the test: a server that counts who comes in, and how many at the same time, and that fails,
//! keeps silent or answers as it is told. Whether the breaker let somebody through is known there and nowhere else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sugang_tests::orders::{AUTOMATIC, order};
use sugang_tests::{Answer, Ground, Host, Options, PATIENCE, Sugang, eventually, median, stores};

/// What an order may take while the breaker is open.
const BREAKER_OPEN: Duration = Duration::from_millis(50);

/// The fewest calls that open it; the default of 20 would only make the tests longer.
pub(super) const MIN_CALLS: u64 = 6;

/// How `pay` behaves.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Pays,
    Fails,
    /// Answers, but after so long.
    Slow(Duration),
}

/// A `pay` that says who came in.
pub(super) struct Pay {
    pub(super) port: u16,
    mood: Arc<Mutex<Mood>>,
    visits: Arc<Visits>,
}

#[derive(Default)]
struct Visits {
    all: AtomicUsize,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
}

impl Pay {
    pub(super) fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let pay = Self { port, mood: Arc::new(Mutex::new(mood)), visits: Arc::default() };
        let (mood, visits) = (pay.mood.clone(), pay.visits.clone());
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mood, visits) = (mood.clone(), visits.clone());
                thread::spawn(move || serve(stream, &mood, &visits));
            }
        });
        pay
    }

    pub(super) fn is_now(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn visits(&self) -> usize {
        self.visits.all.load(Ordering::SeqCst)
    }

    /// The most that were in at the same time, since this was asked last.
    fn most_inside(&self) -> usize {
        self.visits.most_inside.swap(0, Ordering::SeqCst)
    }

    fn options(&self) -> Options {
        Options::without(&["pay"])
            .variable("pay_url", format!("http://127.0.0.1:{}", self.port))
            .variable("breaker_min_calls", MIN_CALLS)
            .variable("pay_deadline_ms", 300)
    }
}

fn serve(mut stream: TcpStream, mood: &Mutex<Mood>, visits: &Visits) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(body) = request(&mut reader) {
        visits.all.fetch_add(1, Ordering::SeqCst);
        let inside = visits.inside.fetch_add(1, Ordering::SeqCst) + 1;
        visits.most_inside.fetch_max(inside, Ordering::SeqCst);
        let mood = *mood.lock().unwrap();
        if let Mood::Slow(time) = mood {
            thread::sleep(time);
        }
        let (status, answer) = match mood {
            Mood::Fails => ("500 Internal Server Error", json!({})),
            Mood::Pays | Mood::Slow(_) => {
                ("201 Created", json!({ "orderId": body["orderId"], "status": "Paid", "version": 1 }))
            }
        };
        visits.inside.fetch_sub(1, Ordering::SeqCst);
        let answer = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}",
            answer.len()
        );
        if stream.write_all(format!("{head}\r\n\r\n{answer}").as_bytes()).is_err() {
            return;
        }
    }
}

/// The body of the next request; none when the connection is at its end.
fn request(reader: &mut BufReader<TcpStream>) -> Option<Value> {
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = line(reader)?;
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        chunked |= line.starts_with("transfer-encoding:") && line.ends_with("chunked");
    }
    let mut body = Vec::new();
    loop {
        if chunked {
            length = usize::from_str_radix(&line(reader)?, 16).ok()?;
        }
        body.extend(std::iter::repeat_n(0, length));
        let read = body.len() - length;
        reader.read_exact(&mut body[read..]).ok()?;
        if !chunked || length == 0 {
            break;
        }
        line(reader)?;
    }
    if chunked {
        line(reader)?;
    }
    Some(serde_json::from_slice(&body).expect("what order sends is JSON"))
}

fn line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    let read = reader.read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_ascii_lowercase())
}

fn apply_one_by_one(front: &Host, ids: std::ops::Range<u64>) -> Vec<Answer> {
    ids.map(|id| front.apply(&order(id, AUTOMATIC)).expect(201)).collect()
}

/// The breaker is open: whoever applies now is told to wait, at once, and `pay` hears nothing of it.
fn assert_open(front: &Host, pay: &Pay, ids: std::ops::Range<u64>) {
    let before = pay.visits();
    let answers = apply_one_by_one(front, ids);
    for answer in &answers {
        assert_eq!(answer.text("/payStatus"), "Payment Delayed", "{}", answer.body);
        assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{:?}", answer.headers);
    }
    assert!(median(&answers) < BREAKER_OPEN, "{:?}", median(&answers));
    assert_eq!(pay.visits(), before, "pay is left alone");
}

/// Enough calls in this mood open it.
#[track_caller]
fn assert_opened_by(mood: Mood) {
    let pay = Pay::start(mood);
    let ground = Ground::new();
    let front = ground.host(pay.options().variable("breaker_open_s", 600));
    apply_one_by_one(&front, 1..MIN_CALLS + 1);
    assert!(pay.visits() >= usize::try_from(MIN_CALLS).unwrap(), "until it opens, pay is asked");
    assert_open(&front, &pay, 100..110);
}

#[test]
fn failures_open_it_and_then_pay_is_left_alone() {
    assert_opened_by(Mood::Fails);
}

#[test]
fn slowness_opens_it_as_failures_do() {
    assert_opened_by(Mood::Slow(Duration::from_secs(2)));
}

#[test]
fn fewer_failures_than_the_ratio_leave_it_closed() {
    let pay = Pay::start(Mood::Pays);
    let ground = Ground::new();
    let front = ground.host(pay.options().variable("breaker_open_s", 600));
    // A failure is tried again by the worker, which pays; so of every four calls at most one fails.
    for round in 0..4 {
        let first = 1 + round * 10;
        apply_one_by_one(&front, first..first + 6);
        pay.is_now(Mood::Fails);
        apply_one_by_one(&front, first + 6..first + 7);
        pay.is_now(Mood::Pays);
    }
    let before = pay.visits();
    apply_one_by_one(&front, 100..105);
    assert!(pay.visits() >= before + 5, "each of the five was let through to pay");
}

#[test]
fn after_it_was_open_one_probe_at_a_time_goes_through_whichever_replica_asks() {
    let pay = Pay::start(Mood::Fails);
    let ground = Ground::new();
    let options = || pay.options().variable("breaker_open_s", 1);
    let front = ground.host(options());
    let other = ground.host(options());
    apply_one_by_one(&front, 1..MIN_CALLS + 1);
    // The two share what they know: the second has not seen one failure.
    let before = pay.visits();
    let answer = other.apply(&order(50, AUTOMATIC)).expect(201);
    assert_eq!((answer.text("/payStatus"), pay.visits() - before), ("Payment Delayed".to_owned(), 0));

    // Long enough inside that two probes would be seen together, and too late to count as a success.
    pay.is_now(Mood::Slow(Duration::from_millis(400)));
    pay.most_inside();
    let before = pay.visits();
    let mut id = 1_000;
    let begun = Instant::now();
    while pay.visits() < before + 3 {
        assert!(begun.elapsed() < PATIENCE, "{} visits in {PATIENCE:?}", pay.visits() - before);
        thread::scope(|scope| {
            for host in [&front, &other, &front, &other] {
                id += 1;
                scope.spawn(move || host.apply(&order(id, AUTOMATIC)).expect(201));
            }
        });
    }
    assert_eq!(pay.most_inside(), 1, "of {} orders, one at a time asked", id - 1_000);

    // A probe that comes back in time closes it for both.
    pay.is_now(Mood::Pays);
    for host in [&front, &other] {
        eventually(
            || {
                id += 1;
                host.apply(&order(id, AUTOMATIC)).expect(201).text("/payStatus")
            },
            "Paid",
        );
    }
}

#[test]
fn while_all_is_well_it_writes_nothing() {
    let sugang = Sugang::start();
    for answer in apply_one_by_one(&sugang, 1..31) {
        assert_eq!(answer.text("/payStatus"), "Paid");
    }
    let keys = "SELECT COUNT(*) FROM spin_key_value WHERE key LIKE 'breaker:%'";
    assert_eq!(stores::count(sugang.state(), "sqlite_key_value", keys), 0);
}

#[test]
fn a_ratio_that_is_none_is_refused() {
    let ground = Ground::new();
    for ratio in ["0", "1.01", "NaN"] {
        let front = ground.host(Options::without(&["reservation"]).variable("breaker_failure_ratio", ratio));
        front.get("/orders").expect_problem(500, "internal");
    }
}
