//! The service on a store of the tests' own, with ports of the tests' own, asked over HTTP. Its clock stands at [`NOW`].

use crate::id_token::Provider;
use crate::messages::Outgoing;
use crate::ports::{NotSent, NotSigned, Ports, Shown};
use crate::service::Service;
use crate::settings::Settings;
use crate::store::DATABASE;
use ::store::native::{Store, at_once};
use access::token::{Claims, SigningKey};
use access::{Caller, Identity};
use data_encoding::BASE64URL_NOPAD;
use eventlog::topology::Consumer;
use eventlog::{DeadLetter, Lag, LogError, StreamLag};
use hal::{Method, Request, Response};
use journal::{Journal, Tell};
use kernel::{Actor, Phone, Role, Timestamp, Unavailable, clock};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

pub(crate) const PHONE: &str = "010-1111-2222";

/// The one who is an operator by the variables.
pub(crate) const OPERATOR: &str = "010-9999-0000";

/// What the service needs from outside, in memory.
#[derive(Default)]
pub(crate) struct FakePorts {
    pub(crate) sent: RefCell<Vec<Outgoing>>,
    pub(crate) ended: RefCell<BTreeSet<String>>,
    /// Whether the store that sessions end in is away.
    pub(crate) away: Cell<bool>,
    /// Whether the channel takes nothing, for now or ever.
    pub(crate) busy: Cell<bool>,
    pub(crate) blocked: Cell<bool>,
    /// What the OpenID provider answers; nothing where it is away.
    pub(crate) document: RefCell<Option<String>>,
    /// How often it was asked.
    pub(crate) fetched: Cell<usize>,
    /// What consumers gave up on; nothing where the event log is away.
    pub(crate) dead: RefCell<Option<Vec<DeadLetter>>>,
}

impl FakePorts {
    fn take_dead(&self, consumer: &Consumer, id: &str) -> Result<bool, LogError> {
        let mut dead = self.dead.borrow_mut();
        let letters = dead.as_mut().ok_or_else(|| LogError::Redis("refused".to_owned()))?;
        let before = letters.len();
        letters.retain(|letter| letter.group != consumer.name || letter.id != id);
        Ok(letters.len() < before)
    }
}

impl Ports for FakePorts {
    async fn send(&self, message: Outgoing) -> Result<(), NotSent> {
        if self.busy.get() {
            return Err(NotSent::Later(Unavailable("503".to_owned())));
        }
        if self.blocked.get() {
            return Err(NotSent::Never("blocked".to_owned()));
        }
        self.sent.borrow_mut().push(message);
        Ok(())
    }

    async fn peek(&self, prefix: &str, limit: u32) -> Option<Vec<Shown>> {
        let sent = self.sent.borrow();
        let newest = sent.iter().rev().filter(|message| message.id.starts_with(prefix));
        let shown =
            |message: &Outgoing| Shown { to: message.phone.as_str().to_owned(), body: message.body.clone() };
        Some(newest.take(limit as usize).map(shown).collect())
    }

    async fn sign(&self, claims: &Claims) -> Result<String, NotSigned> {
        let key = SigningKey::parse(&format!("test:{}", BASE64URL_NOPAD.encode(&[7; 32]))).unwrap();
        Ok(key.sign(claims).unwrap())
    }

    async fn fetch(&self, url: &str) -> Result<String, Unavailable> {
        assert_eq!(url, provider().keys_url);
        self.fetched.set(self.fetched.get() + 1);
        self.document.borrow().clone().ok_or_else(|| Unavailable("refused".to_owned()))
    }

    async fn end_session(&self, session: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!self.away.get(), "the key-value store is away");
        self.ended.borrow_mut().insert(session.to_owned());
        Ok(())
    }

    async fn forget_session(&self, session: &str) -> anyhow::Result<()> {
        self.ended.borrow_mut().remove(session);
        Ok(())
    }

    async fn lag(&self) -> Result<Vec<Lag>, LogError> {
        let dead_letters = self.dead_letters().await?.len() as i64;
        let streams = vec![StreamLag { source: "pay", unread: 2, pending: 1, oldest: Some(NOW) }];
        Ok(vec![Lag { consumer: "order", unread: 2, pending: 1, dead_letters, streams }])
    }

    async fn dead_letters(&self) -> Result<Vec<DeadLetter>, LogError> {
        self.dead.borrow().clone().ok_or_else(|| LogError::Redis("refused".to_owned()))
    }

    async fn dead_letter(
        &self,
        consumer: &'static Consumer,
        id: &str,
    ) -> Result<Option<DeadLetter>, LogError> {
        let letters = self.dead_letters().await?;
        Ok(letters.into_iter().find(|letter| letter.group == consumer.name && letter.id == id))
    }

    async fn replay(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError> {
        self.take_dead(consumer, id)
    }

    async fn drop(&self, consumer: &'static Consumer, id: &str) -> Result<bool, LogError> {
        self.take_dead(consumer, id)
    }
}

#[derive(Clone, Default)]
pub(crate) struct Told(pub(crate) Rc<Cell<usize>>);

impl Tell for Told {
    fn committed(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// What a client sees of an answer.
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) response: Response,
}

impl Seen {
    pub(crate) fn problem(&self) -> String {
        format!(
            "{} {}",
            self.status,
            self.body["type"].as_str().unwrap_or("-").trim_start_matches("/problems/")
        )
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.body)).to_owned()
    }
}

pub(crate) struct Client {
    pub(crate) service: Service<FakePorts, Store, Told>,
    /// Where requests come from.
    pub(crate) address: RefCell<String>,
}

/// A code as it was asked for and arrived.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) token: String,
    pub(crate) code: String,
}

impl Sent {
    /// With a code that is not this one.
    pub(crate) fn wrong(&self) -> Self {
        let code = format!("{:06}", (self.code.parse::<u32>().unwrap() + 1) % 1_000_000);
        Self { code, ..self.clone() }
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        clock::set(NOW);
        Self::over(Store::new(&DATABASE))
    }

    pub(crate) fn over(storage: Store) -> Self {
        let settings = Settings {
            roles: vec![(phone(OPERATOR), Role::Operator)],
            sign_in_records_days: 90,
            consents_version: "1".into(),
            codes: true,
            provider: Some(provider()),
            ..Settings::default()
        };
        let journal = Journal { storage, tell: Told::default() };
        let service = Service { ports: FakePorts::default(), journal, settings: Rc::new(settings) };
        Self { service, address: RefCell::new("192.0.2.1:5".to_owned()) }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.service.journal.storage
    }

    /// Asks with the access token of somebody; an empty one is nobody's.
    pub(crate) fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> Seen {
        let response = self.answer(method, path, token, body, "application/json");
        Seen { status: response.status().as_u16(), body: response.json(), response }
    }

    /// Asks for something as CSV.
    pub(crate) fn csv(&self, path: &str, token: &str) -> String {
        let response = self.answer(Method::GET, path, token, Value::Null, "text/csv");
        assert_eq!(response.status().as_u16(), 200);
        String::from_utf8(response.bytes().to_vec()).unwrap()
    }

    fn answer(&self, method: Method, path: &str, token: &str, body: Value, accept: &str) -> Response {
        let address = self.address.borrow().clone();
        let headers = [("host", "h"), ("spin-client-addr", &*address), ("accept", accept)];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::new(method, path, &headers, body).unwrap();
        let caller = caller(token);
        let answering = hal::answer(&request, async |request: &Request| {
            let answering = crate::answer(&self.service, request, &caller);
            kernel::actor::acting(self.actor(path, &caller), answering).await
        });
        at_once(answering).expect("nothing here waits")
    }

    /// As the table of who may do what has it for the paths here: what is about others is an operator's.
    fn actor(&self, path: &str, caller: &Caller) -> Option<Actor> {
        let Some(customer_id) = caller.customer_id() else { return Some(Actor::Guest) };
        let is_own = ["/members/me", "/sessions"].iter().any(|own| path.starts_with(own));
        let role = if caller.has(Role::Operator) && !is_own { Role::Operator } else { Role::Customer };
        Some(Actor::Member(customer_id, role))
    }

    pub(crate) fn post(&self, path: &str, token: &str, body: Value) -> Seen {
        self.ask(Method::POST, path, token, body)
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Seen {
        self.ask(Method::GET, path, token, Value::Null)
    }

    pub(crate) fn delete(&self, path: &str, token: &str) -> Seen {
        self.ask(Method::DELETE, path, token, Value::Null)
    }

    /// Has a code sent, and reads it.
    pub(crate) fn code(&self, phone: &str) -> Sent {
        let asked = self.post("/sign-in-codes", "", json!({ "phone": phone, "language": "en" }));
        assert_eq!(asked.status, 202, "{}", asked.body);
        Sent { token: asked.text("codeToken"), code: self.newest_code() }
    }

    /// The code in the message that was sent last.
    pub(crate) fn newest_code(&self) -> String {
        let sent = self.service.ports.sent.borrow();
        let (_, code) = sent.last().unwrap().variables[0].clone();
        code
    }

    pub(crate) fn sign_in(&self, phone: &str) -> Seen {
        let Sent { token, code } = self.code(phone);
        self.post("/sessions", "", json!({ "codeToken": token, "code": code }))
    }

    /// Registers somebody, and answers with what they got.
    pub(crate) fn register(&self, phone: &str) -> Seen {
        let refused = self.sign_in(phone);
        assert_eq!(refused.problem(), "403 registration-required");
        let registered = self.post("/members", "", form(&refused.text("registrationToken")));
        assert_eq!(registered.status, 201, "{}", registered.body);
        registered
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, seconds: i64) {
        clock::set(Timestamp::now().plus_seconds(seconds));
    }

    pub(crate) fn tick(&self) {
        at_once(self.service.do_duties(Timestamp::now())).unwrap().unwrap();
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.store().number(sql).unwrap()
    }

    /// The names of all events, in the order of their subjects and versions.
    pub(crate) fn events(&self) -> Vec<String> {
        let rows = self.store().run("SELECT type FROM events ORDER BY subject, version", &[]).unwrap();
        rows.iter().map(|row| row.text("type").unwrap().to_owned()).collect()
    }
}

/// The OpenID provider of the tests.
pub(crate) fn provider() -> Provider {
    Provider {
        issuer: "https://id.example".to_owned(),
        client_id: "sugang".to_owned(),
        keys_url: "https://id.example/keys".to_owned(),
    }
}

pub(crate) fn phone(raw: &str) -> Phone {
    Phone::parse(raw).unwrap()
}

/// What somebody fills in who registers.
pub(crate) fn form(token: &str) -> Value {
    json!({
        "registrationToken": token,
        "name": "홍길동",
        "email": "gil@example.com",
        "language": "ko",
        "consents": { "terms": true, "privacy": true, "age14": true },
    })
}

/// What an access token says, as every context reads it.
pub(crate) fn claims(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

fn caller(token: &str) -> Caller {
    let identity = if token.is_empty() { Identity::Stranger } else { claims(token).into() };
    Caller { identity, ..Caller::default() }
}
