//! The contexts, and one history of them, step by step.

use crate::around::{CardCompany, Line, Phones, request};
use crate::invariants;
use crate::paused::{Paused, Work};
use crate::step::{
    Act, Card, Change, Course, Group, Pace, Setting, Step, Tick, Told, Wait, Weather, Which, course_number,
};
use eventlog::{Consumer, Envelope, Unhandled};
use hal::{Method, StatusCode};
use kernel::event::Event;
use kernel::{Timestamp, clock};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;
use store::StoreError;
use store::native::Sqlite;

/// When every history begins: 2026-01-01.
const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// More rounds than any history needs to come to rest.
const MOST_ROUNDS: usize = 30;

/// The stores of all contexts, and of the two sandboxes.
#[derive(Clone)]
pub struct Stores(BTreeMap<&'static str, Sqlite>);

impl Stores {
    /// New ones, with the schemas as the guards that are in force leave them, and as these statements of one store
    /// or another alter them.
    pub fn new(altered: &[(&'static str, &str)]) -> Result<Self, StoreError> {
        let databases = [
            ("order", &order::DATABASE),
            ("pay", &pay::DATABASE),
            ("gateway", &gateway_sandbox::LEDGER),
            ("reservation", &reservation::DATABASE),
            ("notification", &notification::DATABASE),
            ("inbox", &channel_inbox::DATABASE),
            ("information", &information::DATABASE),
        ];
        let open = |(label, database)| Ok((label, Sqlite::in_memory(database)?));
        let stores = Self(databases.into_iter().map(open).collect::<Result<_, StoreError>>()?);
        altered.iter().try_for_each(|(label, statement)| stores.of(label).run(statement, &[]).map(drop))?;
        Ok(stores)
    }

    /// The store under a label.
    #[allow(clippy::indexing_slicing, reason = "the labels are those above, and this is for tests only")]
    pub fn of(&self, label: &'static str) -> &Sqlite {
        &self.0[label]
    }

    /// The store under a label, waiting for the scheduler before every statement.
    pub fn paused(&self, label: &'static str) -> Paused {
        Paused(self.of(label).clone())
    }

    fn conflicts(&self) -> u64 {
        self.0.values().map(Sqlite::conflicts).sum()
    }

    fn all(&self, statement: &str) -> Result<(), StoreError> {
        self.0.values().try_for_each(|store| store.run(statement, &[]).map(drop))
    }
}

/// What all work of one history shares.
pub struct Shared {
    /// The stores.
    pub stores: Stores,
    /// What has been begun and hangs.
    pub hanging: RefCell<Vec<Work>>,
    /// How often messages were claimed.
    pub claims: Cell<u64>,
    settings: Rc<order::Settings>,
    told: RefCell<BTreeMap<&'static str, Vec<Envelope>>>,
    /// Group, context and index of each event that was acknowledged.
    heard: RefCell<BTreeSet<Heard>>,
    /// The same of each event that was handed out and neither acknowledged nor lost in a crash.
    pending: RefCell<BTreeSet<Heard>>,
    /// What each idempotency key stands for: content, order, and since when.
    keys: RefCell<BTreeMap<u8, (String, u64, Timestamp)>>,
    /// Orders that a good card was accepted for after they were placed.
    promised: RefCell<BTreeSet<u64>>,
    /// Orders that somebody tried to pay with a card that does not pay.
    doubtful: RefCell<BTreeSet<u64>>,
    violations: RefCell<Vec<String>>,
    /// What this history got to, to know what the search reaches.
    reached: RefCell<BTreeSet<String>>,
}

/// An event as a group hears it: the group, the context that tells it, and its place in what that tells.
type Heard = (Group, &'static str, usize);

/// Events in the hands of somebody; free again however that ends.
struct Pending(Rc<Shared>, Vec<Heard>);

impl Pending {
    fn new(shared: &Rc<Shared>, events: Vec<Heard>) -> Self {
        shared.pending.borrow_mut().extend(events.iter().copied());
        Self(Rc::clone(shared), events)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut pending = self.0.pending.borrow_mut();
        pending.retain(|event| !self.1.contains(event));
    }
}

/// What happened, line by line, and what is wrong with it.
#[derive(Debug)]
pub struct Violation {
    /// The steps up to where something was wrong, numbered, with what came of each.
    pub history: String,
    /// What is wrong.
    pub wrong: Vec<String>,
}

/// Plays one history to its end and until all is quiet; with what it got to.
pub fn play(stores: &Stores, setting: &Setting, steps: &[Step]) -> Result<BTreeSet<String>, Violation> {
    let broken = |error: StoreError| Violation { history: String::new(), wrong: vec![error.to_string()] };
    // Whatever the history writes is taken back in the end, which is faster than new stores.
    stores.all("BEGIN").map_err(broken)?;
    let played = World::new(stores.clone()).and_then(|mut world| {
        world.play(setting, steps)?;
        Ok(world.shared.reached.take())
    });
    stores.all("ROLLBACK").map_err(broken)?;
    played
}

struct World {
    shared: Rc<Shared>,
    history: String,
    now: Timestamp,
}

impl World {
    fn new(stores: Stores) -> Result<Self, Violation> {
        let wrong =
            |error: order::SealError| Violation { history: String::new(), wrong: vec![error.to_string()] };
        let settings = order::Settings {
            role: order::Role::Http,
            redis_url: String::new(),
            pay_url: String::new(),
            pay_deadline: Duration::from_millis(610),
            breaker: breaker::Settings {
                window: Duration::from_secs(10),
                min_calls: 20,
                failure_ratio: 0.5,
                open: Duration::from_secs(5),
                call: Duration::from_millis(610),
            },
            payment_due_minutes: 30,
            seal: order::Seal::new(&"0f".repeat(32)).map_err(wrong)?,
        };
        let shared = Shared {
            stores,
            hanging: RefCell::default(),
            claims: Cell::default(),
            settings: Rc::new(settings),
            told: RefCell::default(),
            heard: RefCell::default(),
            pending: RefCell::default(),
            keys: RefCell::default(),
            promised: RefCell::default(),
            doubtful: RefCell::default(),
            violations: RefCell::default(),
            reached: RefCell::default(),
        };
        clock::set(BEGINNING);
        Ok(Self { shared: Rc::new(shared), history: String::new(), now: BEGINNING })
    }

    fn play(&mut self, setting: &Setting, steps: &[Step]) -> Result<(), Violation> {
        let _ = writeln!(self.history, "{setting}");
        self.open(setting);
        for (number, step) in (1..).zip(steps) {
            self.pass(1);
            let came = self.take(step);
            let _ = writeln!(self.history, "{number:2}. {step}{came}.");
            self.check(invariants::after_each_step(&self.shared.stores))?;
        }
        if setting.hanging_goes_on {
            self.finish_what_hangs();
            self.check(invariants::after_each_step(&self.shared.stores))?;
        } else {
            self.shared.hanging.borrow_mut().clear();
        }
        self.come_to_rest()?;
        self.check(invariants::at_rest(&self.shared.stores))?;
        self.tell_everything_again()
    }

    fn check(&self, found: Result<Vec<String>, StoreError>) -> Result<(), Violation> {
        let mut wrong = self.shared.violations.take();
        wrong.extend(found.unwrap_or_else(|error| vec![error.to_string()]));
        if wrong.is_empty() { Ok(()) } else { Err(Violation { history: self.history.clone(), wrong }) }
    }

    fn open(&mut self, setting: &Setting) {
        for (course, terms) in (0..).zip(&setting.courses) {
            let opened = self.begin("open", open_course(Rc::clone(&self.shared), course, *terms)).finish();
            if !opened.starts_with("201") {
                self.shared.violated(format!("a course was not opened: {opened}"));
            }
        }
        self.tell(Group::Order, &Told::Next(100)).finish();
    }

    fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Begin { act, weather, pace } => {
                let work = self.act(act, *weather);
                self.drive(work, *pace)
            }
            Step::Meet { first, after, second, weather } => {
                let mut work = self.act(first, *weather);
                let ended = work.go_on(usize::from(*after));
                let second = self.drive(self.act(second, *weather), Pace::Through);
                let first = match ended {
                    Some(outcome) => format!(" (had ended → {outcome})"),
                    None => format!("; and the first{}", self.drive(work, Pace::Through)),
                };
                format!("{second}{first}")
            }
            Step::GoOn(which, pace) => {
                let work = {
                    let mut hanging = self.shared.hanging.borrow_mut();
                    let count = hanging.len();
                    if count == 0 { None } else { Some(hanging.remove(usize::from(*which) % count)) }
                };
                work.map_or_else(
                    || ": nothing hangs".to_owned(),
                    |work| {
                        let name = work.name.clone();
                        format!(" ({name}){}", self.drive(work, *pace))
                    },
                )
            }
            Step::Round => {
                self.round();
                String::new()
            }
            Step::Wait(Wait::Seconds(seconds)) => self.pass(i64::from(*seconds) * 1000),
            Step::Wait(Wait::HalfAnHour) => self.pass(31 * 60_000),
            Step::Wait(Wait::Hours(hours)) => self.pass(i64::from(*hours) * 3_600_000),
        }
    }

    fn pass(&mut self, millis: i64) -> String {
        self.now = self.now.plus_millis(millis);
        clock::set(self.now);
        String::new()
    }

    fn drive(&self, mut work: Work, pace: Pace) -> String {
        let conflicts = self.shared.stores.conflicts();
        let driven = self.drive_on(&mut work, pace);
        if self.shared.stores.conflicts() > conflicts {
            self.shared.reach("a conflict");
        }
        match driven {
            Some(outcome) => {
                self.shared.reach(&outcome);
                format!(" → {outcome}")
            }
            None => {
                if matches!(pace, Pace::Hang(_)) {
                    self.shared.reach("something that hangs");
                    self.shared.hanging.borrow_mut().push(work);
                } else {
                    self.shared.reach("a crash");
                }
                String::new()
            }
        }
    }

    fn drive_on(&self, work: &mut Work, pace: Pace) -> Option<String> {
        match pace {
            Pace::Through => Some(work.finish()),
            Pace::Hang(statements) | Pace::Crash(statements) => work.go_on(usize::from(statements)),
        }
    }

    fn begin(&self, name: &str, future: impl Future<Output = String> + 'static) -> Work {
        Work::new(name.to_owned(), future)
    }

    fn act(&self, act: &Act, weather: Weather) -> Work {
        let shared = Rc::clone(&self.shared);
        let name = act.to_string();
        match act {
            Act::Apply { order, course, guests, card, key } => {
                let mut body = json!({ "eduNo": course_number(*course), "guest": guests, "customerId": 1 });
                add(&mut body, "orderId", order.map(|order| json!(order)));
                add(&mut body, "cardNo", digits(*card).map(|digits| json!(digits)));
                self.begin(&name, apply(shared, weather, body.to_string(), *key))
            }
            Act::Pay(which, card) => {
                let order = shared.number(*which);
                let path = format!("/orders/{order}/payment");
                let good = matches!(card, Card::Good | Card::Other);
                if !good {
                    shared.doubtful.borrow_mut().insert(order);
                }
                let mut body = json!({});
                add(&mut body, "cardNo", digits(*card).map(|digits| json!(digits)));
                self.begin(&name, async move {
                    let told =
                        ask_order(Rc::clone(&shared), weather, Method::POST, path, body.to_string()).await;
                    if good && told.starts_with('2') {
                        shared.promised.borrow_mut().insert(order);
                    }
                    told
                })
            }
            Act::Cancel(which) => {
                let path = format!("/orders/{}", shared.number(*which));
                self.begin(&name, ask_order(shared, weather, Method::DELETE, path, String::new()))
            }
            Act::Confirm(which) => {
                let path = format!("/reservations/{}", shared.number(*which));
                self.begin(&name, ask_reservation(shared, path, json!({ "status": "Reservation Confirmed" })))
            }
            Act::Reject(which) => {
                let path = format!("/reservations/{}", shared.number(*which));
                self.begin(&name, ask_reservation(shared, path, json!({ "status": "Reservation Rejected" })))
            }
            Act::Course(course, change) => {
                let path = format!("/courses/{}", course_number(*course));
                let change = match change {
                    Change::Capacity(seats) => json!({ "capacity": seats }),
                    Change::Fee(fee) => json!({ "fee": fee }),
                    Change::Start => json!({ "status": "Started" }),
                    Change::Finish => json!({ "status": "Finished" }),
                    Change::Cancel => json!({ "status": "Course Canceled" }),
                };
                self.begin(&name, ask_reservation(shared, path, change))
            }
            Act::Tick(tick) => self.begin(&name, do_tick(shared, *tick, weather)),
            Act::Tell(group, told) => self.tell_in(*group, told, weather),
        }
    }

    fn tell(&self, group: Group, told: &Told) -> Work {
        self.tell_in(group, told, Weather::default())
    }

    fn tell_in(&self, group: Group, told: &Told, weather: Weather) -> Work {
        let shared = Rc::clone(&self.shared);
        shared.read_outboxes();
        let batch = shared.choose(group, told);
        let events: Vec<Heard> = batch.iter().map(|(context, index, _)| (group, *context, *index)).collect();
        let pending = Pending::new(&shared, events);
        self.begin(&format!("{} is told", group.name()), async move {
            let names: Vec<_> =
                batch.iter().map(|(context, _, event)| format!("{context} {}", shown(event))).collect();
            let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            let events: Vec<_> = batch.iter().map(|(_, _, event)| event.clone()).collect();
            if events.is_empty() {
                return names;
            }
            match shared.handle(group, &events, weather).await {
                Ok(()) => {
                    shared.heard.borrow_mut().extend(pending.1.iter().copied());
                    names
                }
                Err(Unhandled::Later(reason)) => format!("{names}: left for later ({reason})"),
                Err(Unhandled::Poison(reason)) => {
                    shared.violated(format!("{} cannot handle {names}: {reason}", group.name()));
                    names
                }
            }
        })
    }

    /// Everybody hears everything, and every worker ticks, all of it in fair weather.
    fn round(&self) {
        for group in Group::ALL {
            self.tell(group, &Told::Next(100)).finish();
        }
        for tick in [Tick::Order, Tick::Reservation(true), Tick::Notification] {
            do_now(do_tick(Rc::clone(&self.shared), tick, Weather::default()));
        }
    }

    fn finish_what_hangs(&self) {
        loop {
            // What goes on may leave a late call behind.
            let Some(mut work) = self.shared.hanging.borrow_mut().pop() else { return };
            work.finish();
        }
    }

    /// Until nothing changes, however much later it gets: past all retries, leases and deadlines to pay.
    fn come_to_rest(&mut self) -> Result<(), Violation> {
        for (time, millis) in [0, 31_000, 301_000, 31 * 60_000, 31_000].into_iter().enumerate() {
            self.pass(millis);
            let mut before = None;
            for round in 0.. {
                if round == MOST_ROUNDS {
                    self.shared.violated("it does not come to rest".to_owned());
                    break;
                }
                self.round();
                self.check(invariants::after_each_step(&self.shared.stores))?;
                let after = self.shared.progress();
                if before == Some(after) {
                    break;
                }
                before = Some(after);
            }
            if time == 1 {
                let (promised, doubtful) = (self.shared.promised.borrow(), self.shared.doubtful.borrow());
                let kept = invariants::promised(&self.shared.stores, self.now.millis(), &promised, &doubtful);
                self.check(kept)?;
            }
        }
        self.check(Ok(vec![]))
    }

    /// Whatever was heard once changes nothing when it is heard again, in whatever order.
    fn tell_everything_again(&mut self) -> Result<(), Violation> {
        let before = invariants::dump(&self.shared.stores).unwrap_or_default();
        for group in Group::ALL {
            self.tell(group, &Told::Any((0..=255).rev().collect())).finish();
        }
        let after = invariants::dump(&self.shared.stores).unwrap_or_default();
        let changed = after.iter().filter(|line| !before.contains(line));
        let wrong = changed.map(|line| format!("hearing everything again changed: {line}")).collect();
        self.check(Ok(wrong))
    }
}

impl Shared {
    /// Says that something is wrong.
    pub fn violated(&self, wrong: String) {
        self.violations.borrow_mut().push(wrong);
    }

    fn reach(&self, what: &str) {
        // What came of work, without what it is about.
        let short = what.split(" → ").next().unwrap_or(what);
        if !short.contains(':') {
            self.reached.borrow_mut().insert(short.to_owned());
        }
    }

    fn number(&self, which: Which) -> u64 {
        let orders =
            self.stores.of("order").run("SELECT order_id FROM orders ORDER BY ordered_at, order_id", &[]);
        let orders = orders.unwrap_or_default();
        let order = usize::from(which.0).checked_rem(orders.len()).and_then(|index| orders.get(index));
        order.and_then(|row| row.count(0).ok()).unwrap_or(999)
    }

    fn read_outboxes(&self) {
        for context in ["order", "pay", "reservation"] {
            if let Err(error) = self.read_outbox(context) {
                self.violated(format!("the outbox of {context}: {error}"));
            }
        }
    }

    fn read_outbox(&self, context: &'static str) -> Result<(), StoreError> {
        let mut told = self.told.borrow_mut();
        let told = told.entry(context).or_default();
        let rows = self.stores.of(context).run(
            "SELECT subject, version, type, data, time, traceparent FROM events ORDER BY seq LIMIT -1 OFFSET ?",
            &[store::count(told.len() as u64)],
        )?;
        for row in &rows {
            let (subject, version) = (row.text(0)?.to_owned(), row.count(1)?);
            let event = Event::parse(row.text(2)?, row.text(3)?);
            self.reached.borrow_mut().insert(row.text(2)?.to_owned());
            told.push(Envelope {
                id: format!("{subject}:{version}"),
                source_context: context.to_owned(),
                version,
                subject,
                time: row.parse(4)?,
                traceparent: row.opt_text(5)?.map(str::to_owned),
                event: event.map_err(|e| StoreError::Failure(e.to_string()))?,
            });
        }
        Ok(())
    }

    fn choose(&self, group: Group, which: &Told) -> Vec<(&'static str, usize, Envelope)> {
        let (told, heard, pending) = (self.told.borrow(), self.heard.borrow(), self.pending.borrow());
        let is_new = |event: Heard| !heard.contains(&event) && !pending.contains(&event);
        let of = |context: &'static str| {
            let events = told.get(context).map(Vec::as_slice).unwrap_or_default();
            events.iter().enumerate().map(move |(index, event)| (context, index, event.clone()))
        };
        let sources = group.sources().iter();
        match which {
            Told::Next(count) => sources
                .flat_map(|context| {
                    of(context)
                        .filter(|(context, index, _)| is_new((group, *context, *index)))
                        .take(usize::from(*count))
                })
                .collect(),
            Told::Any(parts) => {
                let all: Vec<_> = sources.flat_map(|context| of(context)).collect();
                let at = |part: &u8| all.get(usize::from(*part) * all.len() / 256).cloned();
                let mut chosen: Vec<_> = parts.iter().filter_map(at).collect();
                chosen.dedup_by_key(|(context, index, _)| (*context, *index));
                chosen
            }
        }
    }

    async fn handle(
        self: &Rc<Self>,
        group: Group,
        events: &[Envelope],
        weather: Weather,
    ) -> Result<(), Unhandled> {
        let storage = self.stores.paused(group.name());
        match group {
            Group::Order => order::Policies { storage: &storage }.handle(events).await,
            Group::Pay => {
                let ledger = self.stores.paused("gateway");
                let gateway = CardCompany { ledger, link: weather.gateway };
                pay::Office { gateway, storage }.handle(events).await
            }
            Group::Reservation => reservation::Office { storage }.react(events).await.map(drop),
            Group::Notification => notification::Scribe { storage }.handle(events).await,
            Group::Information => information::View { storage }.handle(events).await,
        }
    }

    /// A number that grows with everything that happens.
    fn progress(&self) -> [usize; 4] {
        self.read_outboxes();
        let events = self.told.borrow().values().map(Vec::len).sum();
        let count = |label, sql| self.stores.of(label).number(sql).ok().and_then(|n| usize::try_from(n).ok());
        [
            events,
            self.heard.borrow().len(),
            count("order", "SELECT count(*) FROM retries").unwrap_or_default(),
            count("notification", "SELECT count(*) FROM messages WHERE status = 'Pending'")
                .unwrap_or_default(),
        ]
    }
}

fn shown(event: &Envelope) -> String {
    format!("{} {}", event.id, event.event.name())
}

fn do_now(future: impl Future<Output = String> + 'static) -> String {
    Work::new(String::new(), future).finish()
}

async fn do_tick(shared: Rc<Shared>, tick: Tick, weather: Weather) -> String {
    let done = match tick {
        Tick::Order => order_office(&shared, weather).tick().await,
        Tick::Reservation(caught_up) => {
            reservation::Office { storage: shared.stores.paused("reservation") }.tick(caught_up).await
        }
        Tick::Notification => {
            let phones = Phones { shared: Rc::clone(&shared), link: weather.channel };
            let storage = shared.stores.paused("notification");
            let looked_after = notification::look_after(&storage).await;
            let delivered = notification::deliver(&storage, &phones).await;
            looked_after.and(delivered).map_err(anyhow::Error::from)
        }
    };
    if let Err(error) = done {
        shared.violated(format!("{tick:?} failed: {error:#}"));
    }
    "done".to_owned()
}

fn order_office(shared: &Rc<Shared>, weather: Weather) -> order::Office<Paused, Line> {
    order::Office {
        storage: shared.stores.paused("order"),
        around: Line { shared: Rc::clone(shared), call: weather.call, gateway: weather.gateway },
        settings: Rc::clone(&shared.settings),
    }
}

async fn apply(shared: Rc<Shared>, weather: Weather, content: String, key: Option<u8>) -> String {
    let headers: Vec<_> = key.iter().map(|key| ("idempotency-key", format!("k{key}"))).collect();
    let request = request(Method::POST, "/orders", &headers, content.clone());
    let answered = order_office(&shared, weather).answer(&request).await;
    let (status, body) = shared.read(answered, &request.path, weather.gateway).await;
    let answer = Answer::of(status, &body);
    answer.check(&shared);
    if let (Some(key), Some(order)) = (key, answer.order) {
        let now = Timestamp::now();
        let (before, same, since) =
            shared.keys.borrow_mut().entry(key).or_insert_with(|| (content.clone(), order, now)).clone();
        // Keys are remembered for a day.
        if before == content && same != order && now < since.plus_minutes(23 * 60) {
            shared.violated(format!("key k{key} stood for order {same}, and now for {order}"));
        }
    }
    answer.shown
}

async fn ask_order(
    shared: Rc<Shared>,
    weather: Weather,
    method: Method,
    path: String,
    body: String,
) -> String {
    let request = request(method, &path, &[], body);
    let answered = order_office(&shared, weather).answer(&request).await;
    let (status, body) = shared.read(answered, &request.path, weather.gateway).await;
    let answer = Answer::of(status, &body);
    answer.check(&shared);
    answer.shown
}

async fn open_course(shared: Rc<Shared>, course: u8, terms: Course) -> String {
    let body = json!({
        "eduNo": course_number(course),
        "title": format!("course {}", course_number(course)),
        "capacity": terms.capacity,
        "fee": terms.fee,
        "approval": if terms.manual { "manual" } else { "automatic" },
        "startsAt": BEGINNING.plus_minutes(5 * 60).to_string(),
        "endsAt": BEGINNING.plus_minutes(9 * 60).to_string(),
    });
    ask_courses(shared, Method::POST, "/courses".to_owned(), &body).await
}

async fn ask_reservation(shared: Rc<Shared>, path: String, body: Value) -> String {
    ask_courses(shared, Method::PATCH, path, &body).await
}

async fn ask_courses(shared: Rc<Shared>, method: Method, path: String, body: &Value) -> String {
    let request = request(method, &path, &[], body.to_string());
    let answered =
        reservation::Office { storage: shared.stores.paused("reservation") }.answer(&request).await;
    let (status, body) = shared.read(answered, &request.path, Default::default()).await;
    Answer::of(status, &body).shown
}

/// What a client was told.
struct Answer {
    shown: String,
    order: Option<u64>,
    paid: bool,
}

impl Answer {
    fn of(status: StatusCode, body: &[u8]) -> Self {
        let read: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default();
        let words = [field("status"), field("payStatus"), field("type")].join(" ");
        Self {
            shown: format!("{} {}", status.as_u16(), words.trim()),
            order: read.get("orderId").and_then(Value::as_u64).filter(|_| status.is_success()),
            paid: status.is_success() && field("payStatus") == "Paid",
        }
    }

    /// Nobody is told that an order is paid which is not.
    fn check(&self, shared: &Shared) {
        let Some(order) = self.order.filter(|_| self.paid) else { return };
        let sql = format!("SELECT count(*) FROM events WHERE subject = '{order}' AND type = 'Paid'");
        if shared.stores.of("pay").number(&sql) == Ok(0) {
            shared.violated(format!(
                "a customer was told that order {order} is paid, and pay knows nothing of it"
            ));
        }
    }
}

fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (body.as_object_mut(), value) {
        fields.insert(name.to_owned(), value);
    }
}

const fn digits(card: Card) -> Option<&'static str> {
    match card {
        Card::None => None,
        Card::Good => Some("4111111111111234"),
        Card::Other => Some("5555555555554444"),
        Card::Declined => Some("4000000000000002"),
        Card::Failing => Some("4000000000000119"),
    }
}
