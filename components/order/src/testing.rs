//! The service on a store of the tests' own, with ports of the tests' own. Its clock stands at [`NOW`].

use crate::ports::Ports;
use crate::service::{Applied, Applying, NotDone, Service};
use crate::settings::{Role, Settings};
use crate::store::{self, DATABASE, Fact, Retry, Stored};
use ::store::StoreError;
use ::store::native::{Store, at_once};
use access::{Caller, Reach};
use breaker::{Admission, Change, Outcome, Permit, Position, Standing};
use bytes::Bytes;
use eventlog::{Envelope, Worker};
use hal::Method;
use http::StatusCode;
use journal::{Journal, Tell};
use kernel::event::{Applicant, Course, DelayReason, Event, Paid};
use kernel::{
    Approval, CardNumber, CourseStatus, CustomerId, EduNo, Guests, Language, OrderId, PayStatus, Timestamp,
    Won,
};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_763_773_323_004);

/// Something that happens while somebody waits.
type Meanwhile = RefCell<Option<Box<dyn FnOnce()>>>;

/// A `pay` that answers so, if at all, behind a breaker that counts who asks and keeps what it is told.
#[derive(Default)]
pub(crate) struct FakePorts {
    /// Status and body of every answer.
    pub(crate) answer: Cell<Option<(u16, &'static str)>>,
    /// Whether the breaker is open.
    pub(crate) open: Cell<bool>,
    /// How often it was asked.
    pub(crate) asked: Cell<u32>,
    /// What it was told.
    pub(crate) told: RefCell<Vec<Outcome>>,
    /// What `pay` was asked.
    pub(crate) bodies: RefCell<Vec<String>>,
    pub(crate) while_waiting: Meanwhile,
    pub(crate) while_paying: Meanwhile,
}

impl Ports for FakePorts {
    async fn admit(&self) -> Admission {
        self.asked.set(self.asked.get() + 1);
        match self.open.get() {
            true => Admission::Refused { retry_after: Duration::from_secs(5) },
            false => Admission::Call(Permit::unasked()),
        }
    }

    async fn post_pay(
        &self,
        body: String,
        _: Option<&str>,
        _: Duration,
    ) -> anyhow::Result<Option<(StatusCode, Bytes)>> {
        self.bodies.borrow_mut().push(body);
        if let Some(act) = self.while_paying.take() {
            act();
        }
        let Some((status, body)) = self.answer.get() else { return Ok(None) };
        Ok(Some((StatusCode::from_u16(status)?, Bytes::from_static(body.as_bytes()))))
    }

    async fn record(&self, _: Permit, outcome: Outcome) {
        self.told.borrow_mut().push(outcome);
    }

    async fn wait(&self, _: Duration) {
        if let Some(act) = self.while_waiting.take() {
            act();
        }
    }

    async fn breaker_standing(&self) -> anyhow::Result<Standing> {
        let at = NOW.millis() - 1_000;
        Ok(match self.open.get() {
            true => Standing {
                position: Position::Open,
                since: at,
                failures: 0,
                history: vec![Change { opened: true, at }],
            },
            false => Standing { position: Position::Closed, since: 0, failures: 3, history: Vec::new() },
        })
    }
}

/// How often something was committed of which others are to hear soon.
#[derive(Clone, Default)]
pub(crate) struct Commits(pub(crate) Rc<Cell<u32>>);

impl Tell for Commits {
    fn committed(&self) {
        self.0.set(self.0.get() + 1);
    }
}

pub(crate) type Orders = Service<FakePorts, Store, Commits>;

/// Runs a future that never waits.
#[track_caller]
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    at_once(future).expect("no store keeps anybody waiting")
}

pub(crate) fn order(number: u64) -> OrderId {
    OrderId::parse(number).unwrap()
}

pub(crate) fn edu(number: u64) -> EduNo {
    EduNo::parse(number).unwrap()
}

pub(crate) fn card(digits: &str) -> CardNumber {
    CardNumber::parse(digits).unwrap()
}

pub(crate) fn applicant(order_id: u64, edu_no: u64) -> Applicant {
    Applicant {
        order_id: order(order_id),
        customer_id: CustomerId::parse(order_id % 3 + 1).ok(),
        edu_no: edu(edu_no),
        guest: Guests::parse(2).unwrap(),
        language: Language::Ko,
    }
}

pub(crate) fn terms(edu_no: u64, fee: u64, status: CourseStatus) -> Course {
    Course {
        edu_no: edu(edu_no),
        title: "러스트 입문".to_owned(),
        capacity: 10,
        fee: Won::fee(fee).unwrap(),
        approval: Approval::Automatic,
        starts_at: NOW.plus_minutes(60),
        ends_at: NOW.plus_minutes(120),
        status,
        managers: vec![],
    }
}

/// An application for course 101, as customers send them.
pub(crate) fn applying(order_id: u64) -> Applying {
    let Applicant { customer_id, edu_no, guest, language, .. } = applicant(order_id, 101);
    let card = Some(card("4111111111111234"));
    Applying {
        order_id: Some(order(order_id)),
        customer_id,
        edu_no,
        guest,
        language,
        card,
        key: None,
        client: None,
    }
}

/// The same with a key and without a number.
pub(crate) fn keyed(key: &str) -> Applying {
    Applying { order_id: None, key: Some(key.to_owned()), ..applying(1) }
}

pub(crate) fn fact(order_id: u64, status: PayStatus, version: u64) -> Fact {
    Fact { order_id: order(order_id), status, version, card_last4: None }
}

pub(crate) fn envelope(source: &str, version: u64, event: Event) -> Envelope {
    Envelope::new(source, version, NOW, event)
}

pub(crate) fn paid(order_id: u64, version: u64) -> Envelope {
    let event = Paid {
        applicant: applicant(order_id, 101),
        amount: Won::amount(100_000).unwrap(),
        card_last4: Some("1234".to_owned()),
        transaction_id: None,
        paid_at: NOW,
    };
    envelope("pay", version, Event::Paid(event))
}

impl Orders {
    /// With the courses 101 (50,000 won) and 104 (free).
    pub(crate) fn new() -> Self {
        let orders = Self::without_courses();
        orders
            .learn(&[(1, &terms(101, 50_000, CourseStatus::Open)), (1, &terms(104, 0, CourseStatus::Open))]);
        orders
    }

    pub(crate) fn without_courses() -> Self {
        kernel::clock::set(NOW);
        Self::over(Store::new(&DATABASE))
    }

    /// Another one of the same store.
    pub(crate) fn over(storage: Store) -> Self {
        let deadline = Duration::from_millis(610);
        let breaker = breaker::Settings {
            window: deadline,
            min_calls: 20,
            failure_ratio: 0.5,
            open: deadline,
            call: deadline,
        };
        let settings = Settings {
            role: Role::Worker,
            redis_url: "".into(),
            pay_url: String::new(),
            service_credential: None,
            pay_deadline: deadline,
            breaker,
            breaker_store: crate::BreakerStore::default(),
            payment_due_minutes: 30,
            contract_records_days: 1827,
            member_tries_per_hour: 60,
            address_tries_per_hour: 600,
            trusted_proxies: 0,
            seal: crate::Seal::new(&"0f".repeat(32)).unwrap(),
        };
        let journal = Journal { storage, tell: Commits::default() };
        Self { ports: FakePorts::default(), journal, settings: Rc::new(settings) }
    }

    pub(crate) fn storage(&self) -> &Store {
        &self.journal.storage
    }

    /// Has another do something before the next decision is committed.
    pub(crate) fn meanwhile(&self, act: impl FnOnce(&Self) + 'static) {
        self.storage().meanwhile(|storage| act(&Self::over(storage.clone())));
    }

    pub(crate) fn learn(&self, courses: &[(u64, &Course)]) {
        block_on(store::learn_courses(self.storage(), courses)).unwrap();
    }

    /// Takes an order without asking `pay`.
    pub(crate) fn try_take(&self, applying: &Applying) -> Result<Applied, NotDone> {
        block_on(self.take(applying, &mut None, None))
    }

    #[track_caller]
    pub(crate) fn take_it(&self, applying: &Applying) -> Stored {
        match self.try_take(applying).unwrap() {
            Applied::Taken(stored, _) => stored,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn stored(&self, order_id: u64) -> Stored {
        block_on(self.find(order(order_id))).unwrap()
    }

    pub(crate) fn pay_status(&self, order_id: u64) -> Option<PayStatus> {
        self.stored(order_id).payment.status
    }

    pub(crate) fn cancel_it(&self, order_id: u64) -> Result<Stored, NotDone> {
        block_on(self.cancel(order(order_id), |_| true, None))
    }

    pub(crate) fn delay_it(&self, order_id: u64) -> Result<Stored, NotDone> {
        let asked = block_on(self.find(order(order_id)))?;
        block_on(self.delay(asked, DelayReason::Deadline, None))
    }

    pub(crate) fn hear(&self, order_id: u64, status: PayStatus, version: u64) {
        block_on(store::hear(self.storage(), &[fact(order_id, status, version)])).unwrap();
    }

    pub(crate) fn handle_all(&self, events: &[Envelope]) {
        block_on(self.handle(events)).unwrap();
    }

    pub(crate) fn ticks(&self) {
        block_on(self.tick(true)).unwrap();
    }

    pub(crate) fn expire_at(&self, at: Timestamp) -> Result<(), StoreError> {
        kernel::clock::set(at);
        block_on(self.expire(Instant::now() + Duration::from_secs(60)))
    }

    pub(crate) fn claim_at(&self, now: Timestamp) -> Vec<Retry> {
        block_on(store::claim_retries(self.storage(), 16, now, now.plus_seconds(5))).unwrap()
    }

    /// Keeps a card for the worker, as whoever pays again does.
    pub(crate) fn keep(&self, order_id: u64, digits: &str, next_at: Timestamp) -> bool {
        let stored = self.stored(order_id);
        let sealed = Some(self.settings.seal.seal(&card(digits), order(order_id)).unwrap());
        let card = store::Card { sealed, next_at: next_at.millis() };
        block_on(store::keep_for_retry(self.storage(), &stored, card)).unwrap()
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.storage().number(sql).unwrap()
    }

    pub(crate) fn run(&self, sql: &str) {
        self.storage().run(sql, &[]).unwrap();
    }

    /// What the client is told.
    pub(crate) fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> hal::Response {
        let headers: Vec<_> = headers.iter().copied().chain([("host", "h")]).collect();
        let request = hal::Request::new(method, path, &headers, body).unwrap();
        block_on(hal::answer(&request, async |request: &hal::Request| {
            crate::answer(self, request, &Reach::open(Caller::default())).await
        }))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> u16 {
        self.ask(Method::POST, path, &[], body).status().as_u16()
    }

    /// Has all events make the lists once more; with what they looked like before and after.
    pub(crate) fn project_again(&self) -> [Vec<Vec<String>>; 2] {
        let dump =
            || ["orders", "tallies", "retries", "idempotency_keys"].map(|t| self.storage().dump(t).unwrap());
        let before = dump().to_vec();
        self.run(
            "UPDATE orders SET customer_id = 9, edu_no = 9, guest = 9, language = 'en', amount = 9, course_title = '',
                 ordered_at = '', cancel_reason = 'expired', version = 9, delayed_at = 9, card_last4 = '',
                 due_at = CASE WHEN pay_status IN ('Paid', 'Payment Canceled') THEN due_at ELSE 9 END",
        );
        self.run("DELETE FROM tallies");
        self.run("INSERT INTO tallies SELECT edu_no, status, count(*) FROM orders GROUP BY 1, 2");
        self.run("INSERT INTO projection SELECT * FROM projection ORDER BY position");
        self.run("DELETE FROM tallies WHERE orders = 0");
        [before, dump().to_vec()]
    }
}
