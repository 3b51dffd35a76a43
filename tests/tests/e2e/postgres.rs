//! PostgreSQL comes to harm: what cannot be done meanwhile is answered with a 503 that says when to come again, and afterwards
//! all goes on by itself.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sugang_tests::orders::{AUTOMATIC, order};
use sugang_tests::{Answer, Api, Engine, Ground, Options, Sugang, eventually, stores};

const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";
const CANCELED: &str = "Order Canceled / Payment Canceled / Reservation Canceled";

/// From a connection that stands still until whoever waits for it is told, and what a loaded machine adds.
const TOLD_WITHIN: Duration = Duration::from_secs(16);

/// Cannot be done now, and it is said when to come again.
#[track_caller]
fn assert_unavailable(answer: Answer) {
    let retry_after = answer.header("retry-after").parse::<u64>();
    assert!(retry_after.is_ok_and(|seconds| seconds > 0), "{:?}", answer.headers);
    answer.expect_problem(503, "store-unavailable");
}

fn on_postgres() -> Sugang {
    Engine::Postgres.run(Sugang::start)
}

fn ready(host: &Api) -> u16 {
    Api::new(host.address()).get("/readyz").status
}

/// Whoever gives a seat in a course has locked it, and its start waits for that: in the log the seat comes first, too.
#[test]
fn a_course_is_started_in_the_log_behind_the_seats_that_were_given_before() {
    let ground = Ground::with_postgres();
    let sugang = ground.host(Options::new());
    let beside = ground.postgres().unwrap().connect().unwrap();
    let last = || beside.number("SELECT last_value FROM reservation.events_inserted_seq").unwrap();
    beside.run("BEGIN", &[]).unwrap();
    let lock = format!("SELECT edu_no FROM reservation.courses WHERE edu_no = {AUTOMATIC} FOR UPDATE");
    beside.run(&lock, &[]).unwrap();
    let before = last();
    thread::scope(|scope| {
        let starting = scope.spawn(|| sugang.change_course(AUTOMATIC, &json!({ "status": "Started" })));
        thread::sleep(Duration::from_millis(500));
        assert_eq!(last(), before, "it has its place in the log before it has the course");
        beside.run("COMMIT", &[]).unwrap();
        starting.join().unwrap().expect(200);
    });
    assert_eq!(last(), before + 1);
}

#[test]
fn while_the_database_is_away_everybody_is_told_so_and_afterwards_all_goes_on_by_itself() {
    let mut ground = Ground::with_postgres();
    let sugang = ground.host(Options::new());
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    sugang.apply(&order(2, AUTOMATIC)).expect(201);
    eventually(|| ready(&sugang), 200);

    ground.postgres_mut().stop().unwrap();
    assert_unavailable(sugang.apply(&order(3, AUTOMATIC)));
    assert_unavailable(sugang.cancel(1));
    for path in ["/orders", "/pays/1", "/courses/101", "/infomations/1", "/notifications"] {
        assert_unavailable(sugang.get(path));
    }
    eventually(|| ready(&sugang), 503);
    sugang.get("/.well-known/spin/health").expect(200);

    ground.postgres_mut().start().unwrap();
    eventually(|| sugang.apply(&order(3, AUTOMATIC)).status < 300, true);
    eventually(|| sugang.statuses(2), CONFIRMED);
    eventually(|| sugang.statuses(3), CONFIRMED);
    eventually(|| ready(&sugang), 200);
    sugang.cancel(1).expect(200);
    eventually(|| sugang.statuses(1), CANCELED);
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 2);
}

/// Sends an order until it is taken; whatever else is answered is a 503.
fn insist(api: &Api, id: u64) {
    eventually(
        || match api.apply(&order(id, AUTOMATIC)).status {
            200 | 201 => true,
            503 => false,
            other => panic!("order {id} is answered {other}"),
        },
        true,
    );
}

#[test]
fn connections_that_are_cut_cost_nobody_more_than_a_503_and_nothing_happens_twice() {
    let sugang = on_postgres();
    let postgres = sugang.ground().postgres().unwrap();
    let api: &Api = &sugang;
    thread::scope(|scope| {
        let applicants: Vec<_> = (0..4)
            .map(|applicant| {
                scope.spawn(move || (0..25).for_each(|turn| insist(api, 1 + applicant * 25 + turn)))
            })
            .collect();
        let mut cut = 0;
        while applicants.iter().any(|applicant| !applicant.is_finished()) {
            cut += postgres.cut_connections().unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        assert!(cut > 0, "there was no connection to be cut");
        applicants.into_iter().for_each(|applicant| applicant.join().unwrap());
    });
    for id in 1..=100 {
        eventually(|| sugang.statuses(id), CONFIRMED);
    }
    assert_eq!(sugang.course(AUTOMATIC).at("/taken"), 100);
    let once = "SELECT COUNT(*) FROM balances WHERE outstanding = 1 AND refunded = 0";
    assert_eq!(stores::count(sugang.state(), "gateway", once), 100);
    // Of the other two contexts' events there are more where a payment was delayed meanwhile.
    let told = "SELECT COUNT(*) FROM inbox WHERE message_id LIKE 'reservation:%'";
    eventually(|| stores::count(sugang.state(), "inbox", told), 100);
}

#[test]
fn a_database_that_is_read_only_answers_what_is_read() {
    let sugang = on_postgres();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    let postgres = sugang.ground().postgres().unwrap();
    let set = |value: &str| {
        let set = format!(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {value}',
             current_database()); END $$"
        );
        // It is true of new connections, and ours may be one of those it is true of by now.
        let connection = postgres.connect().unwrap();
        connection.run("SET default_transaction_read_only = off", &[]).unwrap();
        connection.run(&set, &[]).unwrap();
        drop(connection);
        postgres.cut_connections().unwrap();
    };
    set("on");
    eventually(|| sugang.order(1).status, 200);
    assert_unavailable(sugang.apply(&order(2, AUTOMATIC)));
    set("off");
    insist(&sugang, 2);
    eventually(|| sugang.statuses(2), CONFIRMED);
}

#[test]
fn a_database_that_is_full_takes_no_order_and_goes_on_when_there_is_room() {
    let sugang = on_postgres();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    // As the server says it when its disk is full.
    for sql in [
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        "CREATE TRIGGER full_disk BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION full_disk()",
    ] {
        sugang.state().open("order").unwrap().run(sql, &[]).unwrap();
    }
    assert_unavailable(sugang.apply(&order(2, AUTOMATIC)));
    sugang.order(1).expect(200);
    stores::tamper(sugang.state(), "order", "DROP FUNCTION full_disk CASCADE");
    sugang.apply(&order(2, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(2), CONFIRMED);
}

#[test]
fn a_connection_that_stands_still_holds_no_request_for_ever() {
    let sugang = on_postgres();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    let serving =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND backend_type = 'client backend'";
    let connection = sugang.ground().postgres().unwrap().connect().unwrap();
    let pids: Vec<_> = connection
        .run(serving, &[])
        .unwrap()
        .iter()
        .map(|row| Pid::from_raw(i32::try_from(row.int("pid").unwrap()).unwrap()).unwrap())
        .collect();
    assert!(!pids.is_empty());
    let signal = |signal| pids.iter().for_each(|pid| _ = kill_process(*pid, signal));
    signal(Signal::STOP);
    let begun = Instant::now();
    // As many of them as there are connections that stand still: whoever comes later gets a new one.
    let answer = sugang.get("/orders/1");
    let took = begun.elapsed();
    signal(Signal::CONT);
    assert!(took < TOLD_WITHIN, "{took:?}");
    if answer.status != 200 {
        assert_unavailable(answer);
    }
    insist(&sugang, 2);
    eventually(|| sugang.statuses(2), CONFIRMED);
}
