//! Requests that nobody sends on purpose: made from the published contract, then broken in a few places.
//!
//! The same seed makes the same requests, but for the numbers that the system gave out meanwhile and the times in tokens.

use access::Role::{self, Customer, Manager, Operator};
use access::token::Claims;
use fastrand::Rng;
use kernel::CustomerId;
use serde_json::{Value, json};

use crate::{contract, members};
use odd::{HEADERS, ODD_JSON, ODD_TEXTS, ODD_VALUES, PARAMETERS};

mod odd;

/// The card that is sent wherever one is: no answer may repeat it.
pub const CARD: &str = "4539578763621486";

/// Courses that there are from the beginning.
const COURSES: std::ops::RangeInclusive<u64> = 101..=106;

/// How many numbers that were given out are remembered.
const REMEMBERED: usize = 500;

/// How many customers, managers and operators ask.
const PEOPLE: u64 = 50;

/// Stands where odd JSON comes to be, and is no text that anything else sends.
const MARK: &str = "\u{1}odd\u{1}";

/// A request, as it is sent; it need not be HTTP.
#[derive(Clone, Debug)]
pub struct Made {
    /// The method.
    pub method: String,
    /// The path and the query.
    pub target: Vec<u8>,
    /// The headers, but those that say how the body is sent.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Option<Vec<u8>>,
}

/// What an operation of the contract takes.
#[derive(Clone, Debug)]
struct Operation {
    method: String,
    path: String,
    bodies: Vec<Value>,
}

/// Makes them up.
#[derive(Debug)]
pub struct Mutator {
    rng: Rng,
    operations: Vec<Operation>,
    /// Numbers of orders and courses that were given out.
    known: Vec<u64>,
}

impl Mutator {
    /// With a seed of its own.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::with_seed(seed), operations: operations(), known: COURSES.collect() }
    }

    /// Has heard that something has this number.
    pub fn learn(&mut self, number: u64) {
        if self.known.len() < REMEMBERED {
            self.known.push(number);
        } else {
            let place = self.rng.usize(..self.known.len());
            if let Some(known) = self.known.get_mut(place) {
                *known = number;
            }
        }
    }

    /// The next request.
    pub fn make(&mut self) -> Made {
        let operation = self.operation();
        let number = self.number();
        let mut target = operation.path.clone();
        while let (Some(begin), Some(end)) = (target.find('{'), target.find('}')) {
            target.replace_range(begin..=end, &number.to_string());
        }
        let mut made = Made {
            method: operation.method,
            target: target.into_bytes(),
            headers: self.caller(number),
            body: self.body(&operation.bodies),
        };
        if made.body.is_some() {
            made.headers.push(("content-type".to_owned(), b"application/json".to_vec()));
        }
        let times = self.of(&[0, 0, 1, 1, 1, 2, 2, 3, 6]);
        for _ in 0..times {
            match self.rng.u8(..10) {
                0 => made.method = self.method(),
                1 | 2 => self.break_path(&mut made.target),
                3 | 4 => self.break_query(&mut made.target),
                5 | 6 => self.break_header(&mut made.headers),
                _ => self.break_body(&mut made.body),
            }
        }
        made
    }

    fn operation(&mut self) -> Operation {
        loop {
            let operation = self.rng.choice(&self.operations).cloned().expect("operations in the contract");
            // A stream of a made up order is waited for, which takes five seconds. What changes something is of most interest.
            let share = match operation.method.as_str() {
                _ if operation.path.ends_with("/events") => 1,
                "OPTIONS" => 2,
                "GET" => 8,
                _ => 20,
            };
            if self.rng.u8(..20) < share {
                return operation;
            }
        }
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        *self.rng.choice(choices).expect("a choice")
    }

    fn number(&mut self) -> u64 {
        if self.rng.u8(..8) > 0 {
            return self.known();
        }
        let size = self.rng.u8(1..63);
        self.rng.u64(..1 << size)
    }

    fn known(&mut self) -> u64 {
        self.rng.choice(&self.known).copied().unwrap_or(1)
    }

    fn method(&mut self) -> String {
        self.of(&[
            "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "X",
        ])
        .to_owned()
    }

    /// Who asks: a stranger, a guest, a customer, a manager, an operator or a machine.
    fn caller(&mut self, order: u64) -> Vec<(String, Vec<u8>)> {
        let header = |name: &str, value: String| vec![(name.to_owned(), value.into_bytes())];
        let roles: &[Role] = match self.rng.u8(..8) {
            0 => return Vec::new(),
            1 => return header("order-key", members::order_key(order.clamp(1, 1 << 52))),
            2 => return header("authorization", members::machine(&["orders", "payments", "members"])),
            3 | 4 => &[Customer],
            5 | 6 => &[Customer, Manager],
            _ => &[Customer, Operator],
        };
        // Whoever signs out is signed out for good, so sessions are many.
        let session = format!("mutated-{}", self.rng.u32(..));
        let customer = CustomerId::parse(self.rng.u64(1..=PEOPLE)).expect("a customer's number");
        let now = members::now();
        header(
            "authorization",
            members::bearer(&Claims::of_member(customer, &session, roles, now, now + 300)),
        )
    }

    fn body(&mut self, bodies: &[Value]) -> Option<Vec<u8>> {
        let mut body = self.rng.choice(bodies)?.clone();
        if let Some(fields) = body.as_object_mut() {
            if fields.contains_key("cardNo") {
                fields.insert("cardNo".to_owned(), CARD.into());
            }
            // Whoever applies is given a number, and applies for themselves.
            if self.rng.u8(..4) > 0 {
                fields.remove("orderId");
                fields.remove("customerId");
            }
            if fields.contains_key("eduNo") {
                let course = if self.rng.bool() { self.rng.u64(COURSES) } else { self.known() };
                fields.insert("eduNo".to_owned(), course.into());
            }
        }
        Some(body.to_string().into_bytes())
    }

    fn odd_text(&mut self) -> String {
        match self.rng.u8(..12) {
            0 => "a".repeat(self.rng.usize(1..9_000)),
            1 => "%F0%9F%A6%80".repeat(self.rng.usize(1..300)),
            2 => (0..self.rng.usize(1..20)).map(|_| format!("%{:02X}", self.rng.u8(..))).collect(),
            3 => self.number().to_string(),
            _ => self.of(ODD_TEXTS).to_owned(),
        }
    }

    fn break_path(&mut self, target: &mut Vec<u8>) {
        let text = String::from_utf8_lossy(target).into_owned();
        let (path, query) = text.split_once('?').map_or((&*text, None), |(path, query)| (path, Some(query)));
        let mut segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        let odd = self.odd_text();
        let place = self.rng.usize(1..segments.len().max(2)).min(segments.len() - 1);
        match self.rng.u8(..5) {
            0 => segments.push(odd),
            1 => segments.insert(place, odd),
            2 => drop(segments.remove(place)),
            _ => {
                if let Some(segment) = segments.last_mut() {
                    *segment = odd;
                }
            }
        }
        let path = segments.join("/");
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        *target = query.map_or(path.clone(), |query| format!("{path}?{query}")).into_bytes();
        // Bytes that no URI has.
        if self.rng.u8(..30) == 0 {
            target.extend_from_slice(self.of(&[&b"\0"[..], b"\xff", b" x", b"\t"]));
        }
    }

    fn break_query(&mut self, target: &mut Vec<u8>) {
        let joint = if target.contains(&b'?') { b'&' } else { b'?' };
        target.push(joint);
        let name = self.of(PARAMETERS);
        let value = self.odd_text();
        let pair = match self.rng.u8(..8) {
            0 => name.to_owned(),
            1 => format!("{name}={value}&{name}={value}"),
            2 => format!("{name}={value}&")
                .repeat(self.rng.usize(1..(40_000 / (value.len() + 20)).clamp(2, 1_000))),
            3 => format!("{value}={name}"),
            4 => format!("{name}[]={value}"),
            5 => "&=&&==?".to_owned(),
            _ => format!("{name}={value}"),
        };
        target.extend_from_slice(pair.as_bytes());
    }

    fn break_header(&mut self, headers: &mut Vec<(String, Vec<u8>)>) {
        let credential = headers.iter().position(|(name, _)| name == "authorization" || name == "order-key");
        if let Some((name, mut value)) = credential.and_then(|place| headers.get(place).cloned())
            && self.rng.u8(..3) == 0
        {
            let place = self.rng.usize(..=value.len());
            match self.rng.u8(..6) {
                0 => value.truncate(place),
                1 => value.insert(place, b'.'),
                2 => value.extend_from_slice(b", x"),
                3 => value = [b"Bearer ".as_slice(), &value].concat(),
                // Once more, as it is.
                4 => {}
                _ => {
                    if let Some(byte) = value.get_mut(place) {
                        *byte = byte.wrapping_add(1).clamp(b'!', b'~');
                    }
                }
            }
            // As another header that says who asks, or in the place of the first.
            match self.rng.u8(..4) {
                0 => headers.push(("cookie".to_owned(), [b"sugang-access=".as_slice(), &value].concat())),
                1 => headers.push((name, value)),
                _ => {
                    headers.retain(|(other, _)| *other != name);
                    headers.push((name, value));
                }
            }
            return;
        }
        let name = self.of(HEADERS);
        let value = match self.rng.u8(..12) {
            0 => b"a".repeat(self.rng.usize(1..6_000)),
            1 => b"\"x\",".repeat(self.rng.usize(1..1_000)),
            2 => (0..self.rng.usize(1..40)).map(|_| self.rng.u8(0x20..=0xff)).collect(),
            // What no header has: what follows is refused by whoever reads HTTP.
            3 if self.rng.u8(..4) == 0 => self.of(&[&b"a\0b"[..], b"a\rb", b"\x01", b"\x7f"]).to_vec(),
            _ => self.of(ODD_VALUES).to_vec(),
        };
        if self.rng.bool() {
            headers.retain(|(other, _)| other != name);
        }
        headers.push((name.to_owned(), value));
    }

    fn break_body(&mut self, body: &mut Option<Vec<u8>>) {
        let Some(bytes) = body else {
            if self.rng.bool() {
                *body = Some(self.of(ODD_JSON).as_bytes().to_vec());
            }
            return;
        };
        let place = self.rng.usize(..=bytes.len());
        match self.rng.u8(..16) {
            0 => bytes.truncate(place),
            1 => *bytes = (0..self.rng.usize(..200)).map(|_| self.rng.u8(..)).collect(),
            2 => bytes.insert(place, self.rng.u8(..)),
            3 => bytes.splice(place..place, *b"\xed\xa0\x80").for_each(drop),
            4 => bytes.extend_from_slice(b"{}"),
            5 => {
                let depth = self.rng.usize(1..6_000);
                let (open, close) = self.of(&[("[", "]"), ("{\"a\":", "}")]);
                let end = if self.rng.bool() { close.repeat(depth) } else { String::new() };
                *bytes = format!("{{\"eduNo\":{}1{end}}}", open.repeat(depth)).into_bytes();
            }
            6 if self.rng.u8(..8) == 0 => bytes.extend(b" ".repeat(self.rng.usize(60_000..300_000))),
            _ => self.break_fields(bytes),
        }
    }

    /// Takes a field away, gives it twice, or gives it another value.
    fn break_fields(&mut self, bytes: &mut Vec<u8>) {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else { return };
        let names: Vec<_> = fields.keys().cloned().collect();
        let Some(name) = self.rng.choice(&names).cloned() else { return };
        let odd = match self.rng.u8(..10) {
            0 => "9".repeat(self.rng.usize(1..5_000)),
            1 => format!("\"{}\"", "가".repeat(self.rng.usize(1..3_000))),
            2 => format!("[{}1]", "1,".repeat(self.rng.usize(1..3_000))),
            _ => self.of(ODD_JSON).to_owned(),
        };
        let mut text = match self.rng.u8(..4) {
            0 => {
                fields.remove(&name);
                json!(fields).to_string()
            }
            1 => json!(fields).to_string().replacen('{', &format!("{{{}:{odd},", json!(name)), 1),
            _ => {
                // One of what is in it, where there is something in it.
                let value = fields.entry(name).or_insert(Value::Null);
                let inner = match value {
                    Value::Object(inner) if self.rng.bool() => inner.values_mut().next(),
                    Value::Array(inner) if self.rng.bool() => inner.first_mut(),
                    _ => None,
                };
                match inner {
                    Some(inner) => *inner = MARK.into(),
                    None => *value = MARK.into(),
                }
                json!(fields).to_string()
            }
        };
        text = text.replace(&json!(MARK).to_string(), &odd);
        *bytes = text.into_bytes();
    }
}

/// What the contract has, with an example of each body.
fn operations() -> Vec<Operation> {
    let paths = contract::document().get("paths").and_then(Value::as_object).expect("paths");
    let of = |path: &str, method: &str, operation: &Value| {
        let examples = operation.pointer("/requestBody/content/application~1json/examples");
        let given = examples.and_then(Value::as_object).into_iter().flat_map(|examples| examples.values());
        let mut bodies: Vec<_> = given.filter_map(|example| example.get("value").cloned()).collect();
        if bodies.is_empty() && operation.get("requestBody").is_some() {
            bodies.push(sample(path));
        }
        Operation { method: method.to_uppercase(), path: path.to_owned(), bodies }
    };
    let methods = ["get", "post", "put", "patch", "delete", "options"];
    let operations = paths.iter().flat_map(|(path, item)| {
        let named = item.as_object().into_iter().flatten();
        named.filter(|(name, _)| methods.contains(&name.as_str())).map(|(method, it)| of(path, method, it))
    });
    operations.collect()
}

/// A body of an operation that has no example in the contract.
fn sample(path: &str) -> Value {
    let token = "eyJhbGciOiJFZERTQSJ9.e30.AAAA";
    match path {
        "/sign-in-codes" => json!({ "phone": "010-1234-5678", "language": "ko" }),
        "/sessions" | "/members/me/phone" => json!({ "codeToken": token, "code": "123456" }),
        "/sessions/refresh" => json!({ "refreshToken": token }),
        "/members" => json!({
            "registrationToken": token, "name": "홍길동", "email": "gildong@example.com", "language": "ko",
            "consents": { "terms": true, "privacy": true, "age14": true, "marketing": false },
        }),
        "/members/me" => json!({ "name": "홍길동", "email": "", "consents": { "marketing": true } }),
        "/invitations" => json!({ "phone": "010-1234-5679", "role": "manager", "language": "en" }),
        "/machines" => json!({ "name": "mutated", "scopes": ["orders"], "expiresInDays": 30 }),
        _ => json!({ "roles": ["customer", "manager"] }),
    }
}
