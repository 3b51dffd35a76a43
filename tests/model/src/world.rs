//! The contexts, and one history of them, step by step.
//!
//! - [`stores`]: where everything is kept;
//! - [`log`]: the events, and who has heard which;
//! - [`act`]: how whatever may be begun is done;
//! - [`answer`]: requests, and what whoever made them was told.

mod act;
mod answer;
mod log;
mod stores;

pub use stores::Stores;

use crate::invariants;
use crate::paused::Work;
use crate::step::{Act, Conditions, Hanging, Pace, Setting, Step, Tick, Told, Wait, Which};
use eventlog::topology::CONSUMERS;
use kernel::{Timestamp, clock};
use log::Log;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;
use store::StoreError;

/// When every history begins: 2026-01-01.
const BEGINNING: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// More rounds than any history needs to come to rest.
const MOST_ROUNDS: usize = 30;

/// What all work of one history shares.
pub struct Shared {
    /// The stores.
    pub stores: Stores,
    /// What has been begun and hangs.
    pub hanging: RefCell<Vec<Work>>,
    /// What the operator of `order` set.
    pub settings: Rc<order::Settings>,
    log: RefCell<Log>,
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

/// What happened, step by step, and what is wrong with it.
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
            redis_url: "".into(),
            pay_url: String::new(),
            service_credential: None,
            pay_deadline: Duration::from_millis(610),
            breaker: breaker::Settings {
                window: Duration::from_secs(10),
                min_calls: 20,
                failure_ratio: 0.5,
                open: Duration::from_secs(5),
                call: Duration::from_millis(610),
            },
            breaker_store: order::BreakerStore::default(),
            payment_due_minutes: 30,
            contract_records_days: 1827,
            // Nobody is held to a rate here.
            member_tries_per_hour: 0,
            address_tries_per_hour: 0,
            trusted_proxies: 0,
            seal: order::Seal::new(&"0f".repeat(32)).map_err(wrong)?,
        };
        let shared = Shared {
            stores,
            hanging: RefCell::default(),
            settings: Rc::new(settings),
            log: RefCell::default(),
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
        match setting.hanging {
            Hanging::Crashes => self.shared.hanging.borrow_mut().clear(),
            Hanging::GoesOn => self.go_on_with_what_hangs(|work| Some(work.finish()))?,
            Hanging::Frozen(_) => self.shared.log.borrow_mut().claim_all(),
        }
        self.check(invariants::made_again(&self.shared.stores))?;
        self.come_to_rest()?;
        if let Hanging::Frozen(statements) = setting.hanging {
            self.go_on_with_what_hangs(|work| work.go_on(usize::from(statements)))?;
            self.come_to_rest()?;
        }
        self.check(invariants::at_rest(&self.shared.stores))?;
        self.tell_everything_again()
    }

    fn check(&self, found: Result<Vec<String>, StoreError>) -> Result<(), Violation> {
        let mut wrong = self.shared.violations.take();
        wrong.extend(found.unwrap_or_else(|error| vec![error.to_string()]));
        if wrong.is_empty() { Ok(()) } else { Err(Violation { history: self.history.clone(), wrong }) }
    }

    fn open(&self, setting: &Setting) {
        for (course, terms) in (0..).zip(&setting.courses) {
            let opened = act::open(&self.shared, course, *terms).finish();
            if !opened.starts_with("201") {
                self.shared.violated(format!("a course was not opened: {opened}"));
            }
        }
        self.tell("order", &Told::Next(100));
    }

    fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Begin { act, conditions, pace } => self.drive(self.begin(act, *conditions), *pace),
            Step::Meet { first, after, second, conditions } => {
                let mut work = self.begin(first, *conditions);
                let ended = work.go_on(usize::from(*after));
                let second = self.drive(self.begin(second, *conditions), Pace::Through);
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

    fn begin(&self, act: &Act, conditions: Conditions) -> Work {
        act::begin(&self.shared, act, conditions)
    }

    fn drive(&self, mut work: Work, pace: Pace) -> String {
        let conflicts = self.shared.stores.conflicts();
        let driven = match pace {
            Pace::Through => Some(work.finish()),
            Pace::Hang(statements) | Pace::Crash(statements) => work.go_on(usize::from(statements)),
        };
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

    /// A consumer hears these events to the end, with everything outside being well.
    fn tell(&self, consumer: &str, told: &Told) {
        act::tell(&self.shared, consumer, told, Conditions::default()).finish();
    }

    /// Everybody hears everything, and every worker ticks, with everything outside being well.
    fn round(&self) {
        for consumer in CONSUMERS {
            self.tell(consumer.name, &Told::Next(100));
        }
        for tick in [Tick::Order, Tick::Reservation(true), Tick::Notification] {
            self.begin(&Act::Tick(tick), Conditions::default()).finish();
        }
    }

    fn go_on_with_what_hangs(
        &self,
        mut go_on: impl FnMut(&mut Work) -> Option<String>,
    ) -> Result<(), Violation> {
        loop {
            // What goes on may leave a late call behind.
            let Some(mut work) = self.shared.hanging.borrow_mut().pop() else { return Ok(()) };
            if let Some(outcome) = go_on(&mut work) {
                self.shared.reach(&outcome);
            }
            self.check(invariants::after_each_step(&self.shared.stores))?;
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
    fn tell_everything_again(&self) -> Result<(), Violation> {
        let before = invariants::dump(&self.shared.stores);
        for consumer in CONSUMERS {
            self.tell(consumer.name, &Told::Any((0..=255).rev().collect()));
        }
        let changed = before.and_then(|before| {
            let after = invariants::dump(&self.shared.stores)?;
            let differing = before.symmetric_difference(&after);
            Ok(differing.map(|row| format!("hearing everything again changed: {row}")).collect())
        });
        self.check(changed)
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

    /// The number of one of the orders that were placed.
    fn number(&self, which: Which) -> u64 {
        let orders =
            self.stores.of("order").run("SELECT order_id FROM orders ORDER BY ordered_at, order_id", &[]);
        let orders = orders.unwrap_or_default();
        let order = usize::from(which.0).checked_rem(orders.len()).and_then(|index| orders.get(index));
        order.and_then(|row| row.count("order_id").ok()).unwrap_or(999)
    }

    fn read_log(&self) {
        let mut log = self.log.borrow_mut();
        if let Err(error) = log.read(&self.stores) {
            self.violated(format!("reading the events: {error}"));
        }
        self.reached.borrow_mut().extend(log.names().into_iter().map(str::to_owned));
    }

    /// A number that grows with everything that happens.
    fn progress(&self) -> [usize; 4] {
        self.read_log();
        let (told, heard) = self.log.borrow().progress();
        let count = |label, sql| self.stores.of(label).number(sql).ok().and_then(|n| usize::try_from(n).ok());
        [
            told,
            heard,
            count("order", "SELECT count(*) FROM retries").unwrap_or_default(),
            count("notification", "SELECT count(*) FROM messages WHERE status = 'Pending'")
                .unwrap_or_default(),
        ]
    }
}
