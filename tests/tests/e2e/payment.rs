//! Paying: declined cards, a gateway that fails, and `pay` being slow or away.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use servers::free_port;
use sugang_tests::orders::{
    AUTOMATIC, DECLINED_CARD, FAILING_CARD, GOOD_CARD, LATE_CARD, UNHEARD_CARD, order, with,
};
use sugang_tests::{Answer, Ground, Host, Options, Sugang, eventually, median, stores, within};

store::on_postgres!(
    a_declined_card_leaves_the_order_open_for_another,
    a_gateway_that_fails_delays_the_payment_and_the_customer_may_take_another_card,
    a_card_company_that_times_out_with_the_charge_made_or_not_has_charged_once_in_the_end,
    over_a_bad_line_to_the_card_company_every_order_is_charged_once_and_given_back_once,
    an_order_that_is_paid_is_not_paid_again,
    an_order_nobody_pays_for_expires,
);

/// The deadline of the one synchronous call, and what an answer may take beyond it.
const DEADLINE: Duration = Duration::from_millis(610);
const MARGIN: Duration = Duration::from_millis(50);

/// What an order may take while the breaker is open.
const BREAKER_OPEN: Duration = Duration::from_millis(50);

/// Where two in five requests to the card company are lost, 20 s are four or five tries, and of a hundred orders two get
/// through none of them. In two minutes there are at least ten.
const BAD_LINE: Duration = Duration::from_secs(120);

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";

/// A system whose `pay` is a host of its own, which may be slow or away.
struct Split {
    front: Host,
    pay_port: u16,
    pay: Option<Host>,
    ground: Ground,
}

impl Split {
    fn new() -> Self {
        let ground = Ground::new();
        let pay_port = free_port().unwrap();
        let front = ground.host(Options::without(&["pay"]).variable("pay_url", pay_url(pay_port)));
        Self { front, pay_port, pay: None, ground }
    }

    fn start_pay(&mut self, options: Options) {
        let options = options.port(self.pay_port).variable("pay_url", pay_url(self.pay_port));
        self.pay = Some(self.ground.host(options));
    }

    /// Orders that arrive at the same moment, and their answers.
    fn apply_at_once(&self, ids: std::ops::RangeInclusive<u64>) -> Vec<Answer> {
        let front = &self.front;
        thread::scope(|scope| {
            let answers: Vec<_> =
                ids.map(|id| scope.spawn(move || front.apply(&order(id, AUTOMATIC)).expect(201))).collect();
            answers.into_iter().map(|answer| answer.join().unwrap()).collect()
        })
    }

    /// Every order is paid in the end, without anyone's doing, and charged exactly once.
    fn assert_each_paid_once(&self, ids: std::ops::RangeInclusive<u64>) {
        for id in ids.clone() {
            eventually(|| self.front.statuses(id), CONFIRMED);
        }
        let balances = "SELECT COUNT(*) FROM balances WHERE outstanding = 1 AND refunded = 0";
        let orders = i64::try_from(ids.count()).unwrap();
        assert_eq!(stores::count(self.ground.state(), "gateway", balances), orders);
        assert_eq!(stores::count(self.ground.state(), "gateway", "SELECT COUNT(*) FROM balances"), orders);
    }
}

fn pay_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn assert_delayed(answer: &Answer) {
    assert_eq!(answer.text("/payStatus"), "Payment Delayed", "{}", answer.body);
    assert!(answer.header("retry-after").parse::<u64>().is_ok(), "{:?}", answer.headers);
    assert!(!answer.text("/_links/payment/href").is_empty(), "it is said how to pay: {}", answer.body);
}

#[test]
fn a_declined_card_leaves_the_order_open_for_another() {
    let sugang = Sugang::start();
    let answer = sugang.apply(&with(order(1, AUTOMATIC), &json!({ "cardNo": DECLINED_CARD }))).expect(201);
    assert_eq!(answer.text("/payStatus"), "Payment Declined");
    eventually(|| sugang.statuses(1), "Ordered / Payment Declined / -");
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 0);
    let paid = sugang.pay(1, GOOD_CARD).expect(200);
    assert_eq!((paid.text("/payStatus"), paid.text("/cardLast4")), ("Paid".to_owned(), "1234".to_owned()));
    eventually(|| sugang.statuses(1), CONFIRMED);
}

#[test]
fn a_gateway_that_fails_delays_the_payment_and_the_customer_may_take_another_card() {
    let sugang = Sugang::start();
    let answer = sugang.apply(&with(order(1, AUTOMATIC), &json!({ "cardNo": FAILING_CARD }))).expect(201);
    assert_delayed(&answer);
    assert_eq!(sugang.pay(1, GOOD_CARD).expect(200).text("/payStatus"), "Paid");
    eventually(|| sugang.statuses(1), CONFIRMED);
    assert_eq!(
        stores::count(sugang.state(), "gateway", "SELECT CAST(SUM(outstanding) AS BIGINT) FROM balances"),
        1
    );
}

#[test]
fn a_card_company_that_times_out_with_the_charge_made_or_not_has_charged_once_in_the_end() {
    let sugang = Sugang::start();
    for (id, card) in [(1, UNHEARD_CARD), (2, LATE_CARD)] {
        assert_delayed(&sugang.apply(&with(order(id, AUTOMATIC), &json!({ "cardNo": card }))).expect(201));
    }
    let charged = |id: u64| {
        let sql = format!("SELECT COUNT(*) FROM charges WHERE outcome = 'Approved' AND order_id = {id}");
        stores::count(sugang.state(), "gateway", &sql)
    };
    assert_eq!((charged(1), charged(2)), (1, 0));
    for id in 1..=2 {
        eventually(|| sugang.statuses(id), CONFIRMED);
        assert_eq!(charged(id), 1);
    }
    let outstanding = "SELECT COUNT(*) FROM balances WHERE outstanding = 1 AND balance = charged";
    assert_eq!(stores::count(sugang.state(), "gateway", outstanding), 2);
}

#[test]
fn over_a_bad_line_to_the_card_company_every_order_is_charged_once_and_given_back_once() {
    let sugang = Sugang::with(Options::new().variable("gateway_fault_percent", 40));
    for id in 1..=12 {
        sugang.apply(&order(id, AUTOMATIC)).expect(201);
    }
    for id in 1..=12 {
        within(BAD_LINE, || sugang.statuses(id), CONFIRMED);
    }
    for id in 1..=6 {
        sugang.cancel(id).expect(200);
    }
    for id in 1..=6 {
        let canceled = "Order Canceled / Payment Canceled / Reservation Canceled";
        within(BAD_LINE, || sugang.statuses(id), canceled);
    }
    let of = |sql: &str| stores::count(sugang.state(), "gateway", sql);
    assert_eq!(of("SELECT COUNT(*) FROM charges WHERE outcome = 'Approved'"), 12);
    assert_eq!(of("SELECT COUNT(*) FROM balances WHERE outstanding = 1"), 6);
    assert_eq!(of("SELECT COUNT(*) FROM refunds"), 6);
}

#[test]
fn an_order_that_is_paid_is_not_paid_again() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let again = sugang.pay(1, GOOD_CARD);
    assert!([200, 409].contains(&again.status), "{} {}", again.status, again.body);
    assert_eq!(stores::count(sugang.state(), "gateway", "SELECT COUNT(*) FROM charges"), 1);
}

#[test]
fn an_order_nobody_pays_for_expires() {
    let sugang = Sugang::with(Options::new().variable("payment_due_minutes", 0));
    sugang.apply(&with(order(1, AUTOMATIC), &json!({ "cardNo": null }))).expect(201);
    eventually(|| sugang.statuses(1).starts_with("Order Canceled / "), true);
    sugang.pay(1, GOOD_CARD).expect_any_problem(&[409]);
}

#[test]
fn no_store_no_event_and_no_log_holds_a_card_number() {
    let mut sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let failing = with(order(2, AUTOMATIC), &json!({ "cardNo": FAILING_CARD }));
    sugang.apply(&failing).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    // What is in memory only is written, too.
    sugang.ground_mut().signal_redis(Signal::TERM);
    let mut folders = vec![sugang.state().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for card in [GOOD_CARD, FAILING_CARD] {
                let found = bytes.windows(card.len()).any(|window| window == card.as_bytes());
                assert!(!found, "{} holds a card number", path.display());
            }
        }
    }
}

#[test]
fn while_pay_is_away_orders_are_taken_at_once_and_paid_by_themselves_later() {
    let mut split = Split::new();
    let answers = split.apply_at_once(1..=40);
    answers.iter().for_each(assert_delayed);
    let open = split.apply_at_once(41..=45);
    open.iter().for_each(assert_delayed);
    assert!(median(&open) < BREAKER_OPEN, "{:?}", median(&open));
    eventually(|| split.front.statuses(1), "Ordered / Payment Delayed / -");

    split.start_pay(Options::only(&["pay"]));
    split.assert_each_paid_once(1..=45);
}

#[test]
fn a_payment_that_was_slow_for_ever_is_still_made_once() {
    // Slower than the deadline every time: only the retries, in the background, find out what became of it.
    let sugang = Sugang::with(Options::new().variable("gateway_delay_ms", 900));
    assert_delayed(&sugang.apply(&order(1, AUTOMATIC)).expect(201));
    eventually(|| sugang.statuses(1), CONFIRMED);
    assert_eq!(stores::count(sugang.state(), "gateway", "SELECT COUNT(*) FROM charges"), 1);
}

#[test]
fn after_the_breaker_has_been_open_a_probe_closes_it() {
    let mut split = Split::new();
    let breaker = |split: &Split| split.front.get("/circuit-breakers/pay").expect(200);
    assert_eq!(breaker(&split).text("/state"), "closed");
    split.apply_at_once(1..=24).iter().for_each(assert_delayed);
    assert_ne!(breaker(&split).text("/state"), "closed");
    split.start_pay(Options::only(&["pay"]));
    let mut id = 100;
    let next = || {
        id += 1;
        split.front.apply(&order(id, AUTOMATIC)).expect(201).text("/payStatus")
    };
    eventually(next, "Paid");
    eventually(|| breaker(&split).text("/state"), "closed");
    let history = || {
        let told = breaker(&split).at("/history").clone();
        told.as_array().unwrap().iter().map(|change| change["state"].clone()).collect::<Vec<_>>()
    };
    eventually(history, vec![json!("closed"), json!("open")]);
}

/// What holds an answer to a time: run by itself, as what runs beside it takes time as well.
mod timed {
    use super::*;

    #[test]
    fn while_pay_is_slow_an_order_takes_no_longer_than_the_deadline_and_then_no_time_at_all() {
        let mut split = Split::new();
        split.start_pay(Options::only(&["pay"]).variable("gateway_delay_ms", 3_000));
        let slow = split.apply_at_once(1..=24);
        slow.iter().for_each(assert_delayed);
        let took = median(&slow);
        assert!(DEADLINE <= took && took <= DEADLINE + MARGIN, "{took:?}");
        let open = split.apply_at_once(25..=30);
        open.iter().for_each(assert_delayed);
        assert!(median(&open) < BREAKER_OPEN, "{:?}", median(&open));

        // Back to normal; what the slow one charges meanwhile counts.
        split.pay = None;
        split.start_pay(Options::only(&["pay"]));
        split.assert_each_paid_once(1..=30);
    }

    #[test]
    fn while_pay_hangs_an_order_takes_no_longer_than_the_deadline() {
        let mut split = Split::new();
        split.start_pay(Options::only(&["pay"]).process());
        split.apply_at_once(1..=1).iter().for_each(|answer| assert_eq!(answer.text("/payStatus"), "Paid"));
        split.pay.as_mut().unwrap().signal(Signal::STOP);
        let answers = split.apply_at_once(2..=6);
        answers.iter().for_each(assert_delayed);
        assert!(median(&answers) <= DEADLINE + MARGIN, "{:?}", median(&answers));
        split.pay.as_mut().unwrap().signal(Signal::CONT);
        split.assert_each_paid_once(1..=6);
    }
}
