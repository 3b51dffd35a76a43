//! A context or Redis is away: the others go on, and when it is back it catches up, in order.

use rustix::process::Signal;
use serde_json::{Value, json};
use sugang_tests::orders::{AUTOMATIC, MANUAL, TWO_SEATS, order, with};
use sugang_tests::{Ground, Host, Options, Sugang, eventually, stores};

store::on_postgres!(
    an_order_is_accepted_and_paid_while_reservation_is_down,
    reservation_catches_up_in_the_order_in_which_things_happened,
    while_redis_is_away_orders_are_taken_and_paid_and_nothing_is_lost,
    a_log_that_redis_lost_is_made_again_for_whoever_has_not_read_it,
    a_host_killed_in_the_middle_loses_nothing_it_acknowledged,
    without_a_tick_everybody_hears_of_everything_all_the_same,
    a_message_put_off_by_a_wrong_clock_is_sent_though_nothing_new_happens,
);

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";
const WAITLISTED: &str = "Ordered / Paid / Waitlisted";
const UNRESERVED: &str = "Ordered / Paid / -";

#[test]
fn an_order_is_accepted_and_paid_while_reservation_is_down() {
    let ground = Ground::new();
    // The courses are made known once; from then on `order` needs nobody.
    ground.host(Options::new()).stop();
    let front = ground.host(Options::without(&["reservation"]));
    assert_eq!(front.apply(&order(1114, AUTOMATIC)).expect(201).text("/payStatus"), "Paid");
    eventually(|| front.statuses(1114), UNRESERVED);

    let reservation = ground.host(Options::only(&["reservation"]));
    eventually(|| front.statuses(1114), CONFIRMED);
    assert_eq!(reservation.course(AUTOMATIC).at("/taken"), 1);
}

#[test]
fn reservation_catches_up_in_the_order_in_which_things_happened() {
    let ground = Ground::new();
    let reservation = ground.host(Options::only(&["reservation"]).process());
    let front = ground.host(Options::without(&["reservation"]));
    ground.wait_for_courses();
    front.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| front.statuses(1), CONFIRMED);
    reservation.kill();

    // Two seats: the first is given up again, so that the second and the third get them; the fourth waits.
    for id in 11..=14 {
        front.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| front.statuses(id), UNRESERVED);
    }
    front.cancel(11).expect(200);
    eventually(|| front.statuses(11), "Order Canceled / Paid / -");

    let reservation = ground.host(Options::only(&["reservation"]).process());
    eventually(|| front.statuses(11), "Order Canceled / Payment Canceled / Reservation Canceled");
    eventually(|| front.statuses(12), CONFIRMED);
    eventually(|| front.statuses(13), CONFIRMED);
    eventually(|| front.statuses(14), WAITLISTED);
    assert_eq!(reservation.course(TWO_SEATS).at("/taken"), 2);
}

#[test]
fn notification_catches_up_with_every_message_in_order() {
    let ground = Ground::new();
    let front = ground.host(Options::without(&["notification"]));
    front.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| front.statuses(1), CONFIRMED);
    front.cancel(1).expect(200);
    eventually(|| front.statuses(1), "Order Canceled / Payment Canceled / Reservation Canceled");

    let notification = ground.host(Options::only(&["notification"]));
    let expected = ["Ordered", "Paid", "Reserved", "OrderCanceled", "ReservationCanceled", "PaymentCanceled"];
    eventually(|| events(&notification, 1), expected.map(str::to_owned).to_vec());
}

fn events(api: &Host, id: u64) -> Vec<String> {
    let event = |message: &Value| message["event"].as_str().unwrap_or_default().to_owned();
    api.messages(id).iter().map(event).collect()
}

#[test]
fn information_catches_up_with_everything_it_missed() {
    let ground = Ground::new();
    let front = ground.host(Options::without(&["information"]));
    for id in 1..=10 {
        front.apply(&order(id, AUTOMATIC)).expect(201);
    }
    eventually(|| front.course(AUTOMATIC).at("/taken"), 10);
    let information = ground.host(Options::only(&["information"]));
    for id in 1..=10 {
        eventually(|| information.statuses(id), CONFIRMED);
    }
    assert_eq!(information.get("/infomations").at("/page/totalElements"), 10);
}

#[test]
fn while_redis_is_away_orders_are_taken_and_paid_and_nothing_is_lost() {
    let mut ground = Ground::new();
    let sugang = ground.host(Options::new());
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);

    ground.kill_redis();
    for id in 2..=10 {
        assert_eq!(sugang.apply(&order(id, AUTOMATIC)).expect(201).text("/payStatus"), "Paid");
    }
    sugang.cancel(2).expect(200);
    assert_eq!(sugang.statuses(1), CONFIRMED, "the view answers all the same");

    ground.start_redis();
    eventually(|| sugang.statuses(2), "Order Canceled / Payment Canceled / Reservation Canceled");
    for id in 3..=10 {
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 9);
}

#[test]
fn a_log_that_redis_lost_is_made_again_for_whoever_has_not_read_it() {
    let ground = Ground::new();
    let front = ground.host(Options::without(&["information", "notification"]));
    for id in 1..=5 {
        front.apply(&order(id, AUTOMATIC)).expect(201);
    }
    eventually(|| front.course(AUTOMATIC).at("/taken"), 5);
    front.cancel(5).expect(200);
    eventually(|| front.course(AUTOMATIC).at("/taken"), 4);

    flush(&ground);
    // Nothing new is decided; what happened before must reach these two all the same.
    let late = ground.host(Options::only(&["information", "notification"]));
    for id in 1..=4 {
        eventually(|| late.statuses(id), CONFIRMED);
        // Each once; three contexts send their streams again, each at its own time.
        let told = || {
            let mut told = events(&late, id);
            told.sort();
            told
        };
        eventually(told, ["Ordered", "Paid", "Reserved"].map(str::to_owned).to_vec());
    }
    eventually(|| late.statuses(5), "Order Canceled / Payment Canceled / Reservation Canceled");

    // And those that had read everything have it again, and change nothing.
    front.apply(&order(6, AUTOMATIC)).expect(201);
    eventually(|| late.statuses(6), CONFIRMED);
    assert_eq!(front.course(AUTOMATIC).at("/taken"), 5);
}

fn flush(ground: &Ground) {
    let client = redis::Client::open(ground.redis_url()).unwrap();
    redis::cmd("FLUSHALL").exec(&mut client.get_connection().unwrap()).unwrap();
}

#[test]
fn while_redis_hangs_orders_are_taken() {
    let mut ground = Ground::new();
    let sugang = ground.host(Options::new());
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    ground.signal_redis(Signal::STOP);
    for id in 2..=6 {
        let answer = sugang.apply(&order(id, AUTOMATIC)).expect(201);
        assert_eq!(answer.text("/payStatus"), "Paid");
    }
    ground.signal_redis(Signal::CONT);
    for id in 2..=6 {
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
}

#[test]
fn a_host_killed_in_the_middle_loses_nothing_it_acknowledged() {
    let ground = Ground::new();
    let sugang = ground.host(Options::new().process());
    for id in 1..=30 {
        sugang.apply(&order(id, AUTOMATIC)).expect(201);
    }
    sugang.kill();
    let sugang = ground.host(Options::new().process());
    for id in 1..=30 {
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), json!(30));
}

#[test]
fn without_a_tick_everybody_hears_of_everything_all_the_same() {
    let mut sugang = Sugang::start();
    sugang.ground_mut().stop_ticking();
    sugang.apply(&with(order(1, AUTOMATIC), &json!({ "cardNo": null }))).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Payment Delayed / -");
    sugang.apply(&order(2, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(2), CONFIRMED);
    sugang.cancel(2).expect(200);
    eventually(|| sugang.statuses(2), "Order Canceled / Payment Canceled / Reservation Canceled");
    sugang.apply(&order(3, MANUAL)).expect(201);
    eventually(|| sugang.statuses(3), "Ordered / Paid / Reservation Requested");
    sugang.decide(3, "Reservation Rejected").expect(200);
    eventually(|| sugang.statuses(3), "Order Canceled / Payment Canceled / Reservation Rejected");
    let sent = || sugang.messages(2).iter().filter(|it| it["status"] == "Sent").count();
    eventually(sent, 6);
}

#[test]
fn a_message_put_off_by_a_wrong_clock_is_sent_though_nothing_new_happens() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let sent = || sugang.messages(1).iter().filter(|it| it["status"] == "Sent").count();
    eventually(sent, 3);
    let put_off = "UPDATE messages SET status = 'Pending', attempts = 0, due_at = due_at + 3600000";
    stores::tamper(sugang.state(), "notification", put_off);
    eventually(sent, 3);
}

#[test]
fn a_log_that_cannot_be_read_is_told_to_the_operator() {
    for (context, stream) in [("notification", "order"), ("reservation", "order"), ("pay", "reservation")] {
        let ground = Ground::new();
        let mut redis = redis::Client::open(ground.redis_url()).unwrap().get_connection().unwrap();
        // Redis is there and wakes everybody, but this is no stream.
        let key = format!("sugang:events:{stream}");
        redis::cmd("SET").arg(key).arg("rubbish").exec(&mut redis).unwrap();
        let host = ground.host(Options::only(&[context]).env("RUST_BACKTRACE", 1));
        let log = ground.state().join(format!("host-{}.log", host.address().port()));
        let log = || std::fs::read_to_string(&log).unwrap();
        let failed = format!("component `{context}-worker` failed to handle a message: it answered");
        eventually(|| log().contains(&failed), true);
        assert!(!log().to_lowercase().contains("backtrace"), "it is told in words: {}", log());
    }
}
