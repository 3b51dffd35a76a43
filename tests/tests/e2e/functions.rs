//! The application as on Akamai Functions: its own manifest, the embedded host having nothing that the platform lacks, a real
//! PostgreSQL and a real Redis. Nobody ticks, and nothing subscribes to a channel: what happens comes of the calls after commits,
//! or of a test that plays the scheduler.

use std::ops::Deref;

use serde_json::json;
use sugang_tests::live::{follow, follow_on, until};
use sugang_tests::members::WAKE_KEYS;
use sugang_tests::orders::{
    AUTOMATIC, DECLINED_CARD, FAILING_CARD, GOOD_CARD, MANUAL, TWO_SEATS, order, with,
};
use sugang_tests::{Answer, Api, CONTEXTS, Engine, Ground, Host, Options, PATIENCE, eventually, stores};

use crate::breaker::{MIN_CALLS, Mood, Pay};

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";
const CANCELED: &str = "Order Canceled / Payment Canceled / Reservation Canceled";

struct Functions {
    // The host ends before the ground it stands on.
    host: Host,
    ground: Ground,
}

impl Deref for Functions {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.host
    }
}

impl Functions {
    fn start() -> Self {
        Self::with(Options::functions())
    }

    fn with(options: Options) -> Self {
        let mut ground = Engine::Postgres.run(Ground::new);
        ground.stop_ticking();
        let functions = Self { host: ground.host(options), ground };
        // The first request of all has the demonstration courses opened.
        functions.get("/courses").expect(200);
        functions.ground.wait_for_courses();
        functions
    }

    /// What the scheduler does once a minute: it sends a path and a query, and nothing else.
    fn tick(&self) {
        for context in CONTEXTS {
            let path = format!("/internal/wake/{context}?key={}", WAKE_KEYS[1]);
            assert_eq!(self.get(&path).status, 204, "{context}");
        }
    }

    fn wake(&self, context: &str, key: &str) -> Answer {
        let path = format!("/internal/wake/{context}");
        self.send(self.request("POST", &path).header("wake-key", key), Some("event".to_owned()))
    }
}

#[test]
fn an_order_goes_its_way_and_back_by_the_calls_after_commits_alone() {
    let functions = Functions::start();
    assert_eq!(functions.apply(&order(1, AUTOMATIC)).expect(201).text("/payStatus"), "Paid");
    eventually(|| functions.statuses(1), CONFIRMED);
    eventually(|| functions.messages(1).len(), 3);

    functions.apply(&order(2, MANUAL)).expect(201);
    eventually(|| functions.statuses(2), "Ordered / Paid / Reservation Requested");
    functions.decide(2, "Reservation Confirmed").expect(200);
    eventually(|| functions.statuses(2), CONFIRMED);

    let declined = with(order(3, AUTOMATIC), &json!({ "cardNo": DECLINED_CARD }));
    assert_eq!(functions.apply(&declined).expect(201).text("/payStatus"), "Payment Declined");
    eventually(|| functions.statuses(3), "Ordered / Payment Declined / -");
    assert_eq!(functions.pay(3, GOOD_CARD).expect(200).text("/payStatus"), "Paid");
    eventually(|| functions.statuses(3), CONFIRMED);

    functions.cancel(1).expect(200);
    eventually(|| functions.statuses(1), CANCELED);
    let refunds = "SELECT COUNT(*) FROM refunds";
    assert_eq!(stores::count(functions.ground.state(), "gateway", refunds), 1);
}

#[test]
fn whoever_waits_moves_up_when_a_seat_becomes_free() {
    let functions = Functions::start();
    for id in 1..=2 {
        functions.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| functions.statuses(id), CONFIRMED);
    }
    functions.apply(&order(3, TWO_SEATS)).expect(201);
    eventually(|| functions.statuses(3), "Ordered / Paid / Waitlisted");
    functions.cancel(1).expect(200);
    eventually(|| functions.statuses(3), CONFIRMED);
    eventually(|| functions.statuses(1), CANCELED);
}

#[test]
fn the_scheduler_has_done_what_time_demands_and_what_no_call_did() {
    let functions = Functions::with(Options::functions().variable("payment_due_minutes", 0));
    let unpaid = with(order(1, AUTOMATIC), &json!({ "cardNo": null }));
    functions.apply(&unpaid).expect(201);
    eventually(|| functions.statuses(1).starts_with("Ordered"), true);
    functions.tick();
    eventually(|| functions.statuses(1).starts_with("Order Canceled"), true);
}

#[test]
fn a_payment_that_was_delayed_is_made_by_the_scheduler() {
    let functions = Functions::start();
    let failing = with(order(1, AUTOMATIC), &json!({ "cardNo": FAILING_CARD }));
    assert_eq!(functions.apply(&failing).expect(201).text("/payStatus"), "Payment Delayed");
    assert_eq!(functions.pay(1, GOOD_CARD).expect(200).text("/payStatus"), "Paid");
    eventually(|| functions.statuses(1), CONFIRMED);
    let lost = with(order(2, AUTOMATIC), &json!({ "cardNo": sugang_tests::orders::UNHEARD_CARD }));
    assert_eq!(functions.apply(&lost).expect(201).text("/payStatus"), "Payment Delayed");
    eventually(
        || {
            functions.tick();
            functions.statuses(2)
        },
        CONFIRMED,
    );
}

#[test]
fn nobody_wakes_a_worker_without_a_key() {
    let functions = Functions::start();
    for key in WAKE_KEYS {
        assert_eq!(functions.wake("pay", key).status, 204);
    }
    let refused = functions.wake("pay", "no-key-that-anybody-was-given");
    assert!(refused.body.contains("wake_keys") && !refused.body.contains(WAKE_KEYS[0]), "{}", refused.body);
    refused.expect_problem(403, "not-allowed");
    functions.get("/internal/wake/pay").expect_problem(403, "not-allowed");
    functions.get("/internal/wake/site").expect_any_problem(&[404]);
    functions.send(functions.request("DELETE", "/internal/wake/pay"), None).expect_any_problem(&[405]);
}

#[test]
fn a_live_status_ends_before_the_platform_ends_it_and_misses_nothing() {
    let functions = Functions::with(Options::functions().variable("live_stream_s", 1));
    functions.apply(&order(1, MANUAL)).expect(201);
    let requested = "Ordered / Paid / Reservation Requested";
    eventually(|| functions.statuses(1), requested);
    let stream = follow(&functions, 1);
    let last = until(&stream, requested).pop().unwrap();
    assert!(stream.recv_timeout(PATIENCE).is_err(), "the stream has ended");
    functions.decide(1, "Reservation Confirmed").expect(200);
    let again = until(&follow_on(&functions, 1, &last.id), CONFIRMED);
    assert_eq!(again.last().unwrap().statuses(), CONFIRMED);
    assert!(again.iter().all(|event| event.id != last.id), "nothing is told twice: {again:?}");
}

#[test]
fn the_breaker_opens_without_counters_in_the_key_value_store() {
    let pay = Pay::start(Mood::Fails);
    let options = Options::functions()
        .variable("pay_url", format!("http://127.0.0.1:{}", pay.port))
        .variable("breaker_min_calls", MIN_CALLS)
        .variable("breaker_open_s", 1)
        .variable("pay_deadline_ms", 300);
    let functions = Functions::with(options);
    let apply = |id| functions.apply(&order(id, AUTOMATIC)).expect(201).text("/payStatus");
    let mut id = 0;
    let mut next = || {
        id += 1;
        apply(id)
    };
    // Until it is open each of them asks `pay`; then none does.
    eventually(
        || {
            let before = pay.visits();
            assert_eq!(next(), "Payment Delayed");
            pay.visits() == before
        },
        true,
    );
    assert!(pay.visits() >= usize::try_from(MIN_CALLS).unwrap());
    pay.is_now(Mood::Pays);
    eventually(next, "Paid");
}
