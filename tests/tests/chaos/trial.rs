//! A small system for one purpose, with a guard in force or without it.

use std::thread;
use std::time::{Duration, Instant};

use eventlog::{keys, topology};
use operations::Violation;
use serde_json::{Value, json};
use sugang_tests::chaos::client::{Ask, said};
use sugang_tests::chaos::log::{behind, connect};
use sugang_tests::chaos::member::Start;
use sugang_tests::chaos::system::{Settings, Shape, System};
use sugang_tests::chaos::workload::Workload;
use sugang_tests::chaos::{rest, verdict};
use sugang_tests::orders::{self, GOOD_CARD};
use sugang_tests::{Answer, eventually, stores, until};
use tempfile::TempDir;

/// The course that everybody applies for.
pub(crate) const COURSE: u64 = 700;

/// How long a system may take to rest here, where nobody else wants anything of it. One in which something is lost
/// never does.
const WITHIN: Duration = Duration::from_secs(15);

/// A system for one purpose.
pub(crate) struct Trial {
    pub(crate) system: System,
    workload: Workload,
    _folder: TempDir,
}

impl Trial {
    fn start(shape: Shape, without: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("sugang-").tempdir().expect("a folder");
        let mut settings = Settings::new(folder.path().join("state")).variable("demo_courses", false);
        settings.shape = shape;
        settings.without = without.map(str::to_owned);
        let system = System::start(settings).expect("a system");
        Self { system, workload: Workload::new(0, 1.0), _folder: folder }
    }

    /// Opens the course, and waits until one can apply for it.
    pub(crate) fn open_course(&self, seats: u64) {
        let course = orders::course(COURSE, seats, "automatic");
        self.ask("courses", Ask::new("POST", "/courses").body(course)).expect(201);
        let known = || stores::count(self.system.state(), "order", "SELECT COUNT(*) FROM courses");
        eventually(known, 1);
    }

    /// Sends a request until it is answered.
    pub(crate) fn ask(&self, whom: &str, ask: Ask) -> Answer {
        let api = match whom {
            "courses" => self.system.courses(),
            "payments" => self.system.payments(),
            _ => self.system.orders(),
        };
        self.workload.traffic.insist(api, &ask).expect("an answer")
    }

    /// Applies, with this card.
    pub(crate) fn apply(&self, order: u64, card: Option<&str>) -> Answer {
        let wish = json!({ "orderId": order, "customerId": order, "eduNo": COURSE, "guest": 1 });
        // No card is no field.
        let body = orders::with(wish, &json!({ "cardNo": card }));
        let answer = self.ask("orders", Ask::new("POST", "/orders").body(body));
        assert!(answer.status < 300, "{}", answer.body);
        answer
    }

    /// Pays an order again.
    pub(crate) fn pay(&self, order: u64) -> Answer {
        self.ask(
            "orders",
            Ask::new("POST", format!("/orders/{order}/payment")).body(json!({ "cardNo": GOOD_CARD })),
        )
    }

    /// Cancels an order.
    pub(crate) fn cancel(&self, order: u64) {
        let answer = self.ask("orders", Ask::new("DELETE", format!("/orders/{order}")));
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    /// Waits until the view says this of an order: order, payment, reservation.
    pub(crate) fn wait_for(&self, order: u64, expected: &str) {
        let sql = format!(
            "SELECT COALESCE(MAX(order_status || ' / ' || COALESCE(pay_status, '-') || ' / ' || COALESCE(reservation_status, '-')), '')
             FROM infomations WHERE order_id = {order}"
        );
        let look = || stores::value::<String>(self.system.state(), "information", &sql).unwrap_or_default();
        eventually(look, expected);
    }

    /// The entry of the event log that tells this event.
    pub(crate) fn entry(&self, context: &str, id: &str) -> String {
        until("the event to be told", || {
            let mut redis = connect(self.system.redis_url()).ok()?;
            let entries: Vec<(String, Vec<String>)> =
                redis::cmd("XRANGE").arg(keys::stream(context)).arg("-").arg("+").query(&mut redis).ok()?;
            let mut told = entries.into_iter().filter_map(|(_, fields)| fields.into_iter().nth(1));
            told.find(|told| {
                serde_json::from_str::<Value>(told).is_ok_and(|it| it.get("id").is_some_and(|its| its == id))
            })
        })
    }

    /// Tells an event again to everyone who reads it, as if it came late.
    pub(crate) fn tell_again(&self, context: &str, entry: &str) {
        let mut redis = connect(self.system.redis_url()).expect("Redis");
        for reader in topology::readers_of(context) {
            let stream = keys::replayed(reader.name);
            redis::cmd("XADD")
                .arg(&stream)
                .arg("*")
                .arg("e")
                .arg(entry)
                .exec(&mut redis)
                .expect("to be told");
            redis::cmd("PUBLISH")
                .arg(keys::wake(reader.name))
                .arg("event")
                .exec(&mut redis)
                .expect("to wake");
        }
        eventually(|| behind(self.system.redis_url()).unwrap_or(1), 0);
    }

    /// Kills the process of a context exactly there, as soon as `act` brings it there, and starts it again.
    pub(crate) fn kill_at(&self, context: &'static str, point: &str, act: impl FnOnce() + Send) {
        let mut member = self.system.member(self.system.home(context)).expect("a process");
        member.kill().expect("it to end");
        let from = member.log_length();
        member.start(&Start { fault: Some(point.to_owned()), ..Start::default() }).expect("it to start");
        thread::scope(|scope| {
            scope.spawn(act);
            assert!(member.waits_at(point, from, Duration::from_secs(20)), "nobody came by {point}");
            member.restart().expect("it to start again");
        });
    }

    /// Lets the system come to rest, if it does, and says what is wrong then.
    fn verdict(&self) -> Vec<Violation> {
        let unrest = rest::wait(&self.system, &self.workload, Instant::now(), WITHIN).expect("to look");
        let mut violations = verdict::check(&self.system, &self.workload.ledger.books()).expect("to check");
        if let Err(message) = unrest {
            violations.push(Violation {
                invariant: "comes-to-rest",
                subject: "the system".to_owned(),
                message,
            });
        }
        violations
    }
}

/// What an answer says at a JSON pointer, as a text.
pub(crate) fn text(answer: &Answer, pointer: &str) -> String {
    said(answer, pointer).as_str().unwrap_or_default().to_owned()
}

/// Does the same harm twice: with the guard nothing comes of it; without it, this invariant is reported as broken.
pub(crate) fn caught(guard: &str, shape: Shape, invariant: &str, harm: impl Fn(&Trial)) {
    let guarded = Trial::start(shape, None);
    harm(&guarded);
    let violations = guarded.verdict();
    assert!(violations.is_empty(), "with {guard}: {violations:#?}");
    drop(guarded);

    let unguarded = Trial::start(shape, Some(guard));
    harm(&unguarded);
    let violations = unguarded.verdict();
    let found = violations.iter().any(|violation| violation.invariant == invariant);
    assert!(found, "without {guard} nobody noticed `{invariant}`: {violations:#?}");
}
