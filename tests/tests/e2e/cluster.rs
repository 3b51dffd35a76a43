//! Any number of hosts: three of them over one PostgreSQL and one Redis, behind a balancer.

use std::collections::BTreeSet;
use std::thread;

use sugang_tests::drill::{COURSE, Outcome, liveness, missed, rollout};
use sugang_tests::live::follow;
use sugang_tests::orders::{AUTOMATIC, FAILING_CARD, order, with};
use sugang_tests::{Cluster, PATIENCE, Shape, eventually, until};

use serde_json::json;

fn forgetful(hosts: usize) -> Shape {
    Shape::of(hosts).forgetful()
}

#[test]
fn of_concurrent_orders_at_three_hosts_none_is_doubled_or_lost_and_each_has_its_seat() {
    const EACH: u64 = 40;
    let cluster = Cluster::start(forgetful(3)).unwrap();
    cluster.open_course_for_all(COURSE, 100_000).unwrap();
    let hosts = cluster.hosts();
    thread::scope(|scope| {
        for applicant in 0..6 {
            let (hosts, cluster) = (&hosts, &cluster);
            scope.spawn(move || {
                for number in 0..EACH {
                    // The same numbers from two applicants, at different hosts or through the balancer.
                    let id = 1 + (applicant % 3) * EACH + number;
                    let host = hosts.get((applicant + number) as usize % 4);
                    let answer = host.map_or(&**cluster, |host| host).apply(&order(id, COURSE));
                    assert!([200, 201].contains(&answer.status), "{answer:?}");
                }
            });
        }
    });
    let outcome = Outcome::of(&cluster).unwrap();
    // And the one that showed that the course is known.
    assert_eq!(outcome.orders, 3 * EACH as i64 + 1);
    assert_eq!(missed(&outcome.demands(3 * EACH + 1)), Vec::<String>::new());
    let twice = "SELECT count(*) FROM (SELECT order_id, event FROM messages GROUP BY 1, 2 HAVING count(*) > 1) AS twice";
    assert_eq!(cluster.count("notification", twice).unwrap(), 0);
    eventually(
        || cluster.count("notification", "SELECT count(*) FROM messages").unwrap(),
        3 * outcome.orders,
    );
}

#[test]
fn the_last_seat_is_sold_once_whichever_host_is_asked() {
    let cluster = Cluster::start(forgetful(3)).unwrap();
    cluster.open_course_for_all(COURSE, 3).unwrap();
    thread::scope(|scope| {
        for (id, host) in (1..).zip(cluster.hosts().into_iter().cycle().take(9)) {
            scope.spawn(move || host.apply(&order(id, COURSE)).expect(201));
        }
    });
    let of = |status: &str| {
        let sql = format!("SELECT count(*) FROM reservations WHERE status = '{status}'");
        cluster.count("reservation", &sql).unwrap()
    };
    eventually(|| (of("Reservation Confirmed"), of("Waitlisted")), (3, 7));
}

#[test]
fn links_lead_to_where_the_client_asked() {
    let cluster = Cluster::start(forgetful(2)).unwrap();
    eventually(|| cluster.apply(&order(1, AUTOMATIC)).status == 201, true);
    let links: BTreeSet<_> = (0..4).map(|_| cluster.order(1).expect(200).text("/_links/self/href")).collect();
    assert_eq!(links, BTreeSet::from([cluster.url("/orders/1")]));
}

#[test]
fn a_breaker_that_opened_at_one_host_is_open_at_the_others() {
    let shape = forgetful(2)
        .variable("breaker_open_s", 600)
        .variable("breaker_min_calls", 4)
        .variable("pay_deadline_ms", 200);
    let cluster = Cluster::start(shape).unwrap();
    eventually(|| cluster.apply(&order(1, AUTOMATIC)).status == 201, true);
    let hosts = cluster.hosts();
    // The card company never answers these, which `order` takes for a `pay` that does not.
    let mut ids = 100..;
    until("the breaker to open", || {
        let id = ids.next()?;
        let answer = hosts[0].apply(&with(order(id, AUTOMATIC), &json!({ "cardNo": FAILING_CARD })));
        let reason =
            "SELECT count(*) FROM events WHERE type = 'PaymentDelayed' AND data LIKE '%breaker-open%'";
        (answer.status == 201 && cluster.count("order", reason).unwrap() > 0).then_some(())
    });
    let answer = hosts[1].apply(&order(2, AUTOMATIC)).expect(201);
    assert_eq!(answer.text("/payStatus"), "Payment Delayed");
    let asked = "SELECT count(*) FROM events WHERE subject = '2' AND type = 'PaymentDelayed' AND data LIKE '%breaker-open%'";
    assert_eq!(cluster.count("order", asked).unwrap(), 1, "{answer:?}");
}

#[test]
fn a_change_reaches_whoever_follows_an_order_at_another_host() {
    let cluster = Cluster::start(forgetful(2)).unwrap();
    let [one, other] = <[_; 2]>::try_from(cluster.hosts()).unwrap();
    eventually(|| one.apply(&order(1, AUTOMATIC)).status == 201, true);
    let events = follow(&other, 1);
    let through_balancer = follow(&cluster, 1);
    for stream in [&events, &through_balancer] {
        sugang_tests::live::until(stream, "Ordered / Paid / Reservation Confirmed");
    }
    one.cancel(1).expect(200);
    for stream in [&events, &through_balancer] {
        sugang_tests::live::until(stream, "Order Canceled / Payment Canceled / Reservation Canceled");
        assert!(stream.recv_timeout(PATIENCE).is_err(), "the stream ends");
    }
}

#[test]
fn a_rollout_of_a_release_with_one_more_column_fails_no_request() {
    let rolled = rollout::roll(forgetful, 8, 20).unwrap();
    assert_eq!(missed(&rolled.demands()), Vec::<String>::new(), "{rolled:?}");
}

#[test]
fn a_host_that_stands_still_is_started_anew_while_the_other_takes_orders() {
    let revived = liveness::freeze(forgetful, 1).unwrap();
    assert_eq!(missed(&revived.demands()), Vec::<String>::new(), "{revived:?}");
}
