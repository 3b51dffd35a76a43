//! What nobody sends on purpose, as everybody at once: requests of the contract with something broken in each.
//!
//! Whatever is sent is answered in time and as the contract says, refused with a problem and not with a failure, and no
//! answer tells what is inside.
//! Afterwards the host is as it was: it takes orders, and has grown by no more than a bound.
//!
//! `SUGANG_MUTATED_REQUESTS` says how many requests there are to be, and `SUGANG_MUTATED_SEED` says which:
//! `SUGANG_MUTATED_REQUESTS=100000 SUGANG_MUTATED_SEED=2 cargo test --release -p sugang-tests --test e2e -- mutated`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ::access::Role::Customer;
use serde_json::{Value, json};
use sugang_tests::members::{self, member};
use sugang_tests::mutate::{CARD, Made, Mutator};
use sugang_tests::orders::GOOD_CARD;
use sugang_tests::{Answer, Api, Options, Sugang, contract, raw, until};
use ureq::Agent;
use ureq::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

/// How many clients send at the same time.
const CLIENTS: u64 = 6;

/// In how many parts the requests are sent. The first makes the host as large as it is when it is busy.
const PARTS: u64 = 5;

/// How long an answer may take, with the machine busy with other tests. A stream of events takes as long as it likes.
const IN_TIME: Duration = Duration::from_secs(10);

/// How much the memory of the host may grow from the end of the first part to that of the last.
const GROWTH: u64 = 64 * 1024 * 1024;

/// Up to this size a body is read whole, so that whoever sends it hears the answer.
const WHOLE: usize = 64 * 1024;

/// What only those know who are inside.
const INSIDE: [&str; 17] = [
    "/src/",
    ".rs:",
    "panicked",
    "backtrace",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "rusqlite",
    "sqlite",
    "SQLITE",
    "postgres:",
    "redis:",
    "wasm",
    "InternalError",
    "constraint failed",
    "no such table",
    "/tmp/",
];

#[test]
fn whatever_is_sent_is_answered_in_time_and_tells_nothing_and_the_host_is_as_before() {
    let setting =
        |name: &str, default| env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let requests: u64 = setting("SUGANG_MUTATED_REQUESTS", 5_000);
    let seed: u64 = setting("SUGANG_MUTATED_SEED", 1);
    // Nobody is held up by how often they asked: what is behind that is to be reached.
    let options = Options::new().members().process();
    let options =
        options.variable("member_tries_per_hour", "1000000").variable("address_tries_per_hour", "1000000");
    let sugang = Sugang::with(options);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|number| Client::new(&sugang, seed * 1_000 + number)).collect();
    let mut memory = Vec::new();
    for _ in 0..PARTS {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for client in &mut clients {
                scope.spawn(|| client.send(requests / PARTS / CLIENTS, &stop));
            }
        });
        memory.push(resident(sugang.process_id()));
    }
    let statuses = clients.iter().flat_map(|client| &client.statuses).fold(
        BTreeMap::new(),
        |mut all, (status, count)| {
            *all.entry(*status).or_insert(0) += count;
            all
        },
    );
    let slowest = clients.iter().map(|client| client.slowest).max();
    eprintln!("statuses {statuses:?}, slowest {slowest:?}, memory {memory:?}");
    let failures: Vec<_> = clients.iter().flat_map(|client| &client.failures).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} with seed {seed}:\n{}", failures.len(), failures.join("\n"));
    // What was made up reached what it is about.
    for status in [200, 201, 204, 400, 401, 403, 404, 405, 409, 412, 415, 422] {
        assert!(statuses.contains_key(&status), "nothing was answered with {status}");
    }
    let (first, last) = (memory[0], memory[memory.len() - 1]);
    assert!(last < first + GROWTH, "its memory grew from {first} to {last} bytes: {memory:?}");
    takes_an_order(&sugang);
}

/// The host is up and takes orders for a course that nobody has changed.
fn takes_an_order(sugang: &Api) {
    let operator = sugang.as_caller(&member(9_000, &[::access::Role::Operator]));
    let course = json!({
        "title": "After all", "capacity": 3, "fee": 1000, "approval": "automatic",
        "startsAt": "2099-03-02T10:00:00+09:00", "endsAt": "2099-03-06T18:00:00+09:00",
    });
    let edu_no = operator.open_course(&course).expect(201).at("/eduNo");
    let customer = sugang.as_caller(&member(9_001, &[Customer]));
    let order = until("the course to be known", || {
        let answer = customer.apply(&json!({ "eduNo": edu_no, "cardNo": GOOD_CARD }));
        (answer.status == 201).then(|| answer.at("/orderId").as_u64()).flatten()
    });
    until("it to be paid and confirmed", || {
        (customer.statuses(order) == "Ordered / Paid / Reservation Confirmed").then_some(())
    });
}

/// The memory that a process has to itself or shares, in bytes.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process that runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
}

/// What came back, as far as it can be told.
struct Heard {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    took: Duration,
    /// Whether whoever reads HTTP may have refused it, who knows nothing of problems.
    may_be_bare: bool,
}

struct Client {
    api: Api,
    agent: Agent,
    mutator: Mutator,
    statuses: BTreeMap<u16, u64>,
    slowest: Duration,
    failures: Vec<String>,
}

impl Client {
    fn new(api: &Api, seed: u64) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(IN_TIME * 2))
            .build();
        Self {
            api: api.clone(),
            agent: config.new_agent(),
            mutator: Mutator::new(seed),
            statuses: BTreeMap::new(),
            slowest: Duration::ZERO,
            failures: Vec::new(),
        }
    }

    /// Sends so many, until something is found a few times.
    fn send(&mut self, requests: u64, stop: &AtomicBool) {
        for _ in 0..requests {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let made = self.mutator.make();
            let begun = Instant::now();
            let heard = self.hear(&made);
            let judged = heard.and_then(|heard| {
                *self.statuses.entry(heard.status).or_default() += 1;
                self.learn(&heard);
                judge(&made, &heard).map_err(|why| format!("{why}: {}", shown(&heard)))
            });
            self.slowest = self.slowest.max(begun.elapsed());
            if let Err(why) = judged {
                self.failures.push(format!("{}\n  {why}\n", asked(&made)));
                stop.store(self.failures.len() > 10, Ordering::Relaxed);
            }
        }
    }

    fn learn(&mut self, heard: &Heard) {
        if heard.status == 201
            && let Ok(document) = serde_json::from_slice::<Value>(&heard.body)
        {
            let numbers = ["orderId", "eduNo"].map(|name| document[name].as_u64());
            numbers.into_iter().flatten().for_each(|number| self.mutator.learn(number));
        }
    }

    fn hear(&self, made: &Made) -> Result<Heard, String> {
        let begun = Instant::now();
        let Some(request) = self.request(made) else { return self.hear_raw(made) };
        let answer = match &made.body {
            Some(body) => self.agent.run(request.map(|()| body.as_slice())),
            None => self.agent.run(request),
        };
        let (head, mut body) = answer.map_err(|error| error.to_string())?.into_parts();
        let body = match body.read_to_vec() {
            Ok(body) => body,
            // Whoever follows an order may leave before its end.
            Err(_) if is_stream(&head.headers) => Vec::new(),
            Err(error) => return Err(format!("{}: {error}", head.status)),
        };
        let status = head.status.as_u16();
        Ok(Heard { status, headers: head.headers, body, took: begun.elapsed(), may_be_bare: false })
    }

    /// It as a request that is HTTP; none if it cannot be one.
    fn request(&self, made: &Made) -> Option<Request<()>> {
        let method = Method::from_bytes(made.method.as_bytes()).ok()?;
        // With a body where none is expected, or one that is not read to its end, it is for those who do not mind.
        let bodiless = !matches!(made.method.as_str(), "POST" | "PUT" | "PATCH");
        if made.body.as_ref().is_some_and(|body| bodiless || body.len() > WHOLE) {
            return None;
        }
        let target = str::from_utf8(&made.target).ok()?;
        let uri = self
            .api
            .url(target)
            .parse::<Uri>()
            .ok()
            .filter(|uri| uri.path_and_query().is_some_and(|it| it == target))?;
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in &made.headers {
            let value = HeaderValue::from_bytes(value).ok()?;
            // The client looks into this one, and takes ASCII alone.
            if name == "authorization" && value.to_str().is_err() {
                return None;
            }
            request = request.header(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
        }
        request.body(()).ok()
    }

    fn hear_raw(&self, made: &Made) -> Result<Heard, String> {
        let begun = Instant::now();
        let mut bytes =
            [made.method.as_bytes(), b" ", &made.target, b" HTTP/1.1\r\nhost: sugang\r\n"].concat();
        bytes.extend_from_slice(b"connection: close\r\n");
        for (name, value) in &made.headers {
            bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        let body = made.body.as_deref().unwrap_or_default();
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(body);
        let answer = raw(self.api.address(), &bytes);
        let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let status = status.ok_or_else(|| format!("no answer but {answer:?}"))?;
        let headers = HeaderMap::new();
        Ok(Heard { status, headers, body: answer.into_bytes(), took: begun.elapsed(), may_be_bare: true })
    }
}

fn is_stream(headers: &HeaderMap) -> bool {
    kind_of(headers).starts_with(b"text/event-stream")
}

fn kind_of(headers: &HeaderMap) -> &[u8] {
    headers.get("content-type").map_or(&[], HeaderValue::as_bytes)
}

/// Holds an answer to what every answer must be.
fn judge(made: &Made, heard: &Heard) -> Result<(), String> {
    let body = String::from_utf8_lossy(&heard.body).into_owned();
    let fail = |why: &str| Err(why.to_owned());
    if heard.status >= 500 {
        return fail("it failed");
    }
    if heard.took > IN_TIME && !is_stream(&heard.headers) && !body.contains("text/event-stream") {
        return fail("it took too long");
    }
    let told = format!("{:?}\n{body}", heard.headers);
    let keys = members::keys().map(|(_, key)| key.split(':').next_back().unwrap_or_default().to_owned());
    // The public keys are no secret, but nobody needs them in an answer either.
    let inside = INSIDE.iter().copied().chain(keys.iter().map(String::as_str)).chain([CARD]);
    if let Some(inside) = inside.into_iter().find(|inside| told.contains(inside)) {
        return Err(format!("it tells {inside:?}"));
    }
    if heard.headers.contains_key("x-injected") || told.contains("\r\nx-injected") {
        return fail("what was asked for became a header");
    }
    if heard.may_be_bare || made.method == "HEAD" {
        return Ok(());
    }
    // Whoever asks for a page is shown one, also of what is not there.
    let wants = |(name, value): &(String, Vec<u8>)| name == "accept" && value.starts_with(b"text/html");
    if kind_of(&heard.headers).starts_with(b"text/html") && made.headers.iter().any(wants) {
        return Ok(());
    }
    let target = String::from_utf8_lossy(&made.target).into_owned();
    // A slash at the end makes no difference, and is in no path of the contract.
    if !is_stream(&heard.headers) && !target.split('?').next().unwrap_or_default().ends_with('/') {
        let (request, headers) = (String::new(), heard.headers.clone());
        let answer = Answer { request, status: heard.status, headers, body: body.clone(), took: heard.took };
        contract::check(&made.method, &target, &answer).map_err(|why| format!("{why:#}"))?;
    }
    if (400..500).contains(&heard.status) {
        let problem: Value = serde_json::from_str(&body).unwrap_or_default();
        let is_problem = kind_of(&heard.headers).starts_with(b"application/problem+json")
            && problem["type"].is_string()
            && problem["title"].is_string()
            && problem["status"] == heard.status;
        if !is_problem {
            return fail("it is no problem");
        }
    }
    Ok(())
}

fn asked(made: &Made) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string().chars().take(600).collect::<String>();
    let headers = made.headers.iter().map(|(name, value)| format!("  {name}: {}", text(value)));
    let headers = headers.collect::<Vec<_>>().join("\n");
    let body = made.body.as_deref().map(text).unwrap_or_default();
    format!("{} {}\n{headers}\n  {body}", made.method, text(&made.target))
}

fn shown(heard: &Heard) -> String {
    let body: String = String::from_utf8_lossy(&heard.body).chars().take(800).collect();
    format!("{} after {:?}\n  {:?}\n  {body}", heard.status, heard.took, heard.headers)
}
