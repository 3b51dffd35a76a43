//! Two of everything at once: what must happen once happens once.

use std::collections::BTreeMap;
use std::thread;

use serde_json::json;
use sugang_tests::orders::{AUTOMATIC, course, order};
use sugang_tests::{Ground, Options, eventually, stores};

store::on_postgres!(
    with_two_copies_of_every_worker_no_seat_is_taken_twice_and_no_message_sent_twice,
    one_order_sent_to_both_copies_at_once_is_one_order_and_one_charge,
);

const SEATS: u64 = 10;
const ORDERS: u64 = 40;
const COURSE: u64 = 700;

#[test]
fn with_two_copies_of_every_worker_no_seat_is_taken_twice_and_no_message_sent_twice() {
    let ground = Ground::new();
    let copies = [ground.host(Options::new()), ground.host(Options::new())];
    let [first, second] = &copies;
    first.open_course(&course(COURSE, SEATS, "automatic")).expect(201);
    eventually(|| first.apply(&order(1, COURSE)).status < 300, true);
    thread::scope(|scope| {
        for id in 2..=ORDERS {
            let copy = if id % 2 == 0 { first } else { second };
            scope.spawn(move || copy.apply(&order(id, COURSE)).expect(201));
        }
    });

    eventually(|| first.course(COURSE).at("/waiting"), ORDERS - SEATS);
    assert_eq!(first.course(COURSE).at("/taken"), SEATS);
    let total = |status: &str| {
        let path = format!("/infomations?status={}&size=1", status.replace(' ', "%20"));
        second.get(&path).expect(200).at("/page/totalElements")
    };
    eventually(|| total("Reservation Confirmed"), SEATS);
    eventually(|| total("Waitlisted"), ORDERS - SEATS);
    let paid = "SELECT COUNT(*) FROM balances WHERE outstanding = 1 AND refunded = 0";
    assert_eq!(stores::count(ground.state(), "gateway", paid), i64::try_from(ORDERS).unwrap());

    for id in 1..=ORDERS {
        let events = || {
            let mut events = BTreeMap::<String, u64>::new();
            for message in first.messages(id) {
                *events.entry(message["event"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
            }
            events
        };
        let once = BTreeMap::from(["Ordered", "Paid", "Reserved"].map(|event| (event.to_owned(), 1)));
        eventually(events, once);
    }
}

#[test]
fn one_order_sent_to_both_copies_at_once_is_one_order_and_one_charge() {
    let ground = Ground::new();
    let copies = [ground.host(Options::new()), ground.host(Options::new())];
    thread::scope(|scope| {
        for turn in 0..20 {
            let copy = &copies[turn % 2];
            scope.spawn(move || {
                let answer = copy.apply(&order(1, AUTOMATIC));
                assert!([200, 201].contains(&answer.status), "{} {}", answer.status, answer.body);
            });
        }
    });
    let [first, second] = &copies;
    eventually(|| first.statuses(1), "Ordered / Paid / Reservation Confirmed");
    assert_eq!(second.get("/orders").at("/page/totalElements"), 1);
    assert_eq!(stores::count(ground.state(), "gateway", "SELECT COUNT(*) FROM charges"), 1);
    assert_eq!(first.course(AUTOMATIC).at("/taken"), json!(1));
}
