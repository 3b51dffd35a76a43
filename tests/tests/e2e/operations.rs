//! What an operator does beside the running system: the command `sugang`, as it is typed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use eventlog::keys;
use rustix::process::Signal;
use serde_json::{Value, json};
use sugang_tests::orders::{AUTOMATIC, DECLINED_CARD, MANUAL, TWO_SEATS, order, with};
use sugang_tests::{Api, Ground, Host, Options, Sugang, eventually, stores};
use xtask::workspace;

pub(crate) const CONFIRMED: &str = "Ordered / Paid / Reservation Confirmed";

/// Whose events there are.
const CONTEXTS: [&str; 3] = ["order", "pay", "reservation"];

/// What a command printed, on both outputs, and how it ended.
#[derive(Debug)]
pub(crate) struct Done {
    code: i32,
    pub(crate) text: String,
}

impl Done {
    /// That it ended so, and said all of this.
    #[track_caller]
    pub(crate) fn says(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        for word in words {
            assert!(self.text.contains(word), "it does not say `{word}`:\n{}", self.text);
        }
        self
    }
}

/// Runs `sugang` with these arguments.
pub(crate) fn run(arguments: &[&str]) -> Done {
    let mut command = Command::new(workspace::host_binary());
    command.current_dir(workspace::root()).env_remove("REDIS_URL").args(arguments);
    let output = command.output().expect("the command sugang, which `cargo xtask build` builds");
    let text = [output.stdout, output.stderr].concat();
    Done { code: output.status.code().unwrap_or(-1), text: String::from_utf8_lossy(&text).into_owned() }
}

/// Runs `sugang` on the system that keeps its state there.
pub(crate) fn operate(state: &Path, arguments: &[&str]) -> Done {
    run(&[arguments, &["--state-dir", state.to_str().unwrap()]].concat())
}

/// Waits until the strictest check has nothing to say.
#[track_caller]
pub(crate) fn comes_to_rest(state: &Path) {
    let said = || operate(state, &["check", "--grace", "0"]).text;
    eventually(|| said().lines().next().unwrap_or_default().to_owned(), "All is well.");
}

/// One order of each kind: 1 is confirmed, 2 canceled, 3 declined, 4 and 5 in the course with two seats, 6 waits for
/// one, 7 is rejected.
pub(crate) fn all_sorts(api: &Host) {
    api.apply(&order(1, AUTOMATIC)).expect(201);
    api.apply(&order(2, AUTOMATIC)).expect(201);
    api.apply(&with(order(3, AUTOMATIC), &json!({ "cardNo": DECLINED_CARD }))).expect(201);
    eventually(|| api.statuses(2), CONFIRMED);
    api.cancel(2).expect(200);
    for id in [4, 5] {
        api.apply(&order(id, TWO_SEATS)).expect(201);
        eventually(|| api.statuses(id), CONFIRMED);
    }
    api.apply(&order(6, TWO_SEATS)).expect(201);
    eventually(|| api.statuses(6), "Ordered / Paid / Waitlisted");
    api.apply(&order(7, MANUAL)).expect(201);
    eventually(|| api.statuses(7), "Ordered / Paid / Reservation Requested");
    api.decide(7, "Reservation Rejected").expect(200);
    eventually(|| api.statuses(7), "Order Canceled / Payment Canceled / Reservation Rejected");
}

/// Applies for a course with ever new orders while `during` runs; gives back the number of the last.
fn under_load<T>(api: &Host, during: impl FnOnce(&AtomicU64) -> T) -> T {
    let (stop, last) = (AtomicBool::new(false), AtomicU64::new(1000));
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in 1001.. {
                api.apply(&order(id, AUTOMATIC)).expect(201);
                last.store(id, Ordering::SeqCst);
                if id % 10 == 9 {
                    api.cancel(id - 5).expect(200);
                }
                if stop.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        // Also where something fails meanwhile: it would go on for ever.
        let _stop = Stop(&stop);
        eventually(|| last.load(Ordering::SeqCst) >= 1050, true);
        during(&last)
    })
}

/// Says stop when it goes.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn check_has_nothing_to_say_of_a_system_at_rest_nor_of_a_busy_one() {
    let sugang = Sugang::start();
    all_sorts(&sugang);
    comes_to_rest(sugang.state());
    under_load(&sugang, |_| {
        for _ in 0..5 {
            operate(sugang.state(), &["check"]).says(0, &["All is well."]);
        }
    });
    comes_to_rest(sugang.state());
}

#[test]
fn check_says_what_somebody_did_to_the_stores() {
    let sugang = Sugang::start();
    all_sorts(&sugang);
    comes_to_rest(sugang.state());
    let state = sugang.state();
    let check = |words: &[&str]| operate(state, &["check", "--grace", "0"]).says(1, words);

    stores::tamper(state, "information", "DELETE FROM infomations WHERE order_id = 4");
    check(&[
        "order 4: `information` shows something else than was told: it is missing",
        "sugang rebuild information",
    ]);

    stores::tamper(state, "reservation", "UPDATE courses SET taken = 0 WHERE edu_no = 101");
    check(&["course 101: it counts 0 seats as taken", "its reservations are 1"]);

    let charge = "INSERT INTO charges (key, order_id, amount, outcome, at)
        VALUES ('1-2', 1, 120000, 'Approved', '2026-01-01T00:00:00.000Z')";
    stores::tamper(state, "gateway", charge);
    check(&["order 1: the card company has 2 charges that were not given back (1-1, 1-2)"]);

    stores::tamper(state, "pay", "DELETE FROM events WHERE subject = '2' AND version = 1");
    check(&["order 2: its events in `pay` have the versions [2]"]);

    stores::tamper(state, "order", "UPDATE events SET subject = '99' WHERE subject = '5' AND version = 1");
    check(&["event 1 of it in `order` cannot be read: its data is about `5`"]);

    let json = operate(state, &["check", "--grace", "0", "--json"]).says(1, &[]).text;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let of =
        |rule: &str| report["violations"].as_array().unwrap().iter().any(|told| told["invariant"] == rule);
    assert!(["view", "seats", "one-outstanding-charge", "history-gap-free"].into_iter().all(of), "{json}");
}

#[test]
fn a_check_that_cannot_look_is_told_apart_from_one_that_finds_something() {
    let nothing = tempfile::tempdir().unwrap();
    operate(nothing.path(), &["check"]).says(2, &["information.db", "--state-dir"]);
    operate(nothing.path(), &["events", "list"]).says(1, &["--redis"]);
}

/// How many dead letters each group has, as `events list` says it.
fn dead(state: &Path) -> Vec<(String, usize)> {
    let list = operate(state, &["events", "list"]).says(0, &[]).text;
    operate(state, &["events", "list", "--group", "nobody"])
        .says(1, &["there is no group `nobody`", "order, pay, reservation"]);
    let groups = ["order", "pay", "reservation", "notification", "information"];
    let count = |group: &str| list.matches(&format!("given up by {group}\n")).count();
    groups.map(|group| (group.to_owned(), count(group))).into_iter().filter(|(_, count)| *count > 0).collect()
}

#[test]
fn what_nobody_can_read_is_listed_explained_handed_back_to_one_group_and_dropped() {
    let sugang = Sugang::start();
    let state = sugang.state();
    operate(state, &["events", "list"]).says(0, &["There are no dead letters."]);
    let groups = ["order", "reservation", "notification", "information"];
    for group in groups {
        sugang.ground().hand_rubbish_to(group).unwrap();
    }

    let each = groups.map(|group| (group.to_owned(), 1));
    eventually(|| dead(state), each.to_vec());
    operate(state, &["check"]).says(1, &["group order: it gave up on something that is no event"]);
    let list = operate(state, &["events", "list", "--group", "order"]);
    let list = list.says(
        0,
        &["something that is no event, given up by order", "it is not a CloudEvent", "1 dead letter."],
    );
    let id = list.text.split(": ").next().unwrap().to_owned();
    operate(state, &["events", "show", &id, "--group", "order"])
        .says(0, &["of sugang:events:pay", "nothing that Sugang writes", "rubbish"]);

    // It cannot be read this time either; but nobody else sees it again.
    operate(state, &["events", "replay", &id, "--group", "order"]).says(0, &["handed back"]);
    let back = || operate(state, &["events", "list", "--group", "order"]).text;
    eventually(|| back().contains("given up by order") && !back().contains(&id), true);
    assert_eq!(dead(state), each);

    operate(state, &["events", "drop", "--all"]).says(1, &["4 dead letters", "--yes"]);
    operate(state, &["events", "drop", "--all", "--group", "order", "--yes"]).says(0, &["dropped"]);
    assert_eq!(dead(state), each[1..]);
    operate(state, &["events", "drop", "--all", "--yes"]).says(0, &["dropped"]);
    assert_eq!(dead(state), []);
    operate(state, &["events", "drop", &id]).says(1, &["there is no dead letter"]);
}

#[test]
fn an_operator_sees_the_same_over_http() {
    let sugang = Sugang::start();
    let lag = |consumer: &str| {
        let log = sugang.get("/event-log").expect(200);
        let consumers = log.at("/consumers").as_array().unwrap().clone();
        consumers.into_iter().find(|lag| lag["consumer"] == consumer).unwrap()
    };
    eventually(|| lag("order")["unread"] == 0 && lag("order")["pending"] == 0, true);
    for group in ["order", "pay"] {
        sugang.ground().hand_rubbish_to(group).unwrap();
    }
    let letters = || sugang.get("/event-log/dead-letters").expect(200).items("deadLetters");
    eventually(|| letters().len(), 2);
    assert_eq!(lag("order")["deadLetters"], 1);
    let here = |letter: &Value| format!("/event-log/dead-letters/{}", letter["id"].as_str().unwrap());
    let [of_order, of_pay] = <[Value; 2]>::try_from(letters()).unwrap();
    assert_eq!((&of_order["consumer"], &of_order["cause"]), (&json!("order"), &json!("not-an-event")));
    assert_eq!(sugang.get(&here(&of_order)).expect(200).at("/what"), "something that is no event");
    // It cannot be read this time either, and has another id then.
    sugang.post(&format!("{}/replay", here(&of_order)), &json!({})).expect(204);
    sugang.get(&here(&of_order)).expect_problem(404, "not-found");
    sugang.post(&format!("{}/replay", here(&of_order)), &json!({})).expect_problem(404, "not-found");
    eventually(|| letters().len(), 2);
    sugang.delete(&here(&of_pay)).expect(204);
    assert_eq!(letters().iter().map(|letter| letter["consumer"].clone()).collect::<Vec<_>>(), ["order"]);
}

#[test]
fn what_a_consumer_failed_at_is_handled_after_all_once_the_cause_is_mended() {
    let sugang = Sugang::start();
    let state = sugang.state();
    comes_to_rest(state);
    stores::tamper(state, "notification", "ALTER TABLE messages RENAME TO broken");
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), CONFIRMED);
    // Four tries are as good as five, and take fewer times five seconds.
    let mut redis = redis::Client::open(sugang.ground().redis_url()).unwrap().get_connection().unwrap();
    let attempts = "sugang:attempts:notification";
    let mut tried = || redis::cmd("HKEYS").arg(attempts).query::<Vec<String>>(&mut redis).unwrap();
    eventually(|| tried().len(), 3);
    let tried = tried();
    for entry in tried {
        redis::cmd("HSET").arg(attempts).arg(entry).arg(4).exec(&mut redis).unwrap();
    }
    eventually(|| dead(state), vec![("notification".to_owned(), 3)]);
    operate(state, &["events", "list"])
        .says(0, &["Paid of order 1, given up by notification", "no such table"]);

    stores::tamper(state, "notification", "ALTER TABLE broken RENAME TO messages");
    operate(state, &["check", "--grace", "0"]).says(1, &["nobody was told of its `Paid`"]);
    // Its group alone has it again, whether or not its stream still does.
    let orders = keys::stream("order");
    redis::cmd("XTRIM").arg(&orders).arg("MAXLEN").arg(0).exec(&mut redis).unwrap();
    operate(state, &["events", "replay", "--all"]).says(0, &["handed back, to its group alone"]);
    eventually(|| sugang.messages(1).len(), 3);
    assert_eq!(redis::cmd("XLEN").arg(&orders).query::<u64>(&mut redis).unwrap(), 0);
    let replayed = keys::replayed("notification");
    eventually(|| redis::cmd("XLEN").arg(&replayed).query::<u64>(&mut redis).unwrap(), 0);
    sugang.apply(&order(2, AUTOMATIC)).expect(201);
    comes_to_rest(state);
}

#[test]
fn a_view_that_was_damaged_is_made_again_while_orders_come_in() {
    let sugang = Sugang::start();
    all_sorts(&sugang);
    comes_to_rest(sugang.state());
    let state = sugang.state();
    under_load(&sugang, |_| {
        let damage = "DELETE FROM infomations WHERE order_id = 4;
            DELETE FROM timeline WHERE order_id = 5;
            UPDATE infomations SET pay_status = 'Payment Declined' WHERE order_id = 1;
            INSERT INTO timeline VALUES (77, 'order', 1, 'Ordered', 'Ordered', '2026-01-01T00:00:00.000Z');
            UPDATE courses SET title = 'nonsense' WHERE edu_no = 101;
            UPDATE counts SET rows = 5 WHERE name = 'all'";
        stores::tamper(state, "information", damage);
        // Four rows of orders and timelines are missing or wrong at least, and a course.
        let rebuilt = operate(state, &["rebuild", "information"])
            .says(0, &["was made again", "1 row stood for nothing"]);
        assert!(!rebuilt.text.contains("Nothing differed"), "{}", rebuilt.text);
        assert_eq!(sugang.statuses(4), CONFIRMED);
        assert_eq!(sugang.statuses(1), CONFIRMED);
    });
    comes_to_rest(state);
    operate(state, &["rebuild", "information"]).says(0, &["Nothing differed."]);
    assert_eq!(scratch_files(state), [""; 0]);
}

/// The files of rebuilds that are not over.
fn scratch_files(state: &Path) -> Vec<String> {
    let names = std::fs::read_dir(state.join(".spin")).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains("rebuild")).collect()
}

#[test]
fn a_rebuild_that_is_killed_leaves_the_view_as_it_was_or_makes_it_whole() {
    let sugang = Sugang::start();
    let state = sugang.state();
    all_sorts(&sugang);
    comes_to_rest(state);
    let rows = || stores::count(state, "information", "SELECT count(*) FROM infomations");
    let rebuild = || {
        let mut command = Command::new(workspace::host_binary());
        command.args(["rebuild", "information", "--state-dir"]).arg(state).current_dir(workspace::root());
        command.stdout(Stdio::null()).spawn().expect("to rebuild")
    };
    let begun = Instant::now();
    assert!(rebuild().wait().unwrap().success());
    let whole = begun.elapsed();
    let all = rows();
    assert_eq!(all, 7);

    let mut left = BTreeSet::new();
    for part in 0..20 {
        stores::tamper(state, "information", "DELETE FROM infomations; DELETE FROM timeline");
        let mut rebuilding = rebuild();
        thread::sleep(whole * part / 16);
        rebuilding.kill().unwrap();
        rebuilding.wait().unwrap();
        left.insert(rows());
        if rows() == all {
            comes_to_rest(state);
        }
    }
    assert!(left.is_subset(&BTreeSet::from([0, all])), "{left:?}");
    assert!(left.contains(&0), "none was killed in time");

    stores::tamper(state, "information", "DELETE FROM infomations; DELETE FROM timeline");
    operate(state, &["rebuild", "information"]).says(0, &["was made again"]);
    comes_to_rest(state);
    assert_eq!(scratch_files(state), [""; 0]);
}

#[test]
fn what_groups_have_passed_over_is_sent_to_them_again_by_replay() {
    let ground = Ground::new();
    // Their stores are made, and then they are away.
    ground.host(Options::only(&["notification", "information"])).stop();
    let front = ground.host(Options::without(&["notification", "information"]));
    for id in 1..=10 {
        front.apply(&order(id, AUTOMATIC)).expect(201);
    }
    front.cancel(3).expect(200);
    eventually(|| front.payment(3).text("/status"), "Payment Canceled");
    let mut redis = redis::Client::open(ground.redis_url()).unwrap().get_connection().unwrap();
    let told = |words: &str| operate(ground.state(), &["check", "--grace", "1"]).text.contains(words);
    for (group, context) in ["notification", "information"].iter().flat_map(|g| CONTEXTS.map(|c| (g, c))) {
        let stream = keys::stream(context);
        redis::cmd("XGROUP").arg("DESTROY").arg(stream).arg(group).exec(&mut redis).unwrap();
        eventually(|| told(&format!("group {group}: it has not read events of `{context}`")), true);
    }
    let pay = "sugang:events:pay";
    redis::cmd("XGROUP").arg(&["CREATE", pay, "information", "0"]).exec(&mut redis).unwrap();
    let read = ["GROUP", "information", "worker", "STREAMS", pay, ">"];
    redis::cmd("XREADGROUP").arg(&read).exec(&mut redis).unwrap();
    eventually(|| told("events of `pay` that it read are not acknowledged"), true);
    redis::cmd("XGROUP").arg(&["DESTROY", pay, "information"]).exec(&mut redis).unwrap();
    // As if they had read all of it, by somebody's mistake.
    for (group, context) in ["notification", "information"].iter().flat_map(|g| CONTEXTS.map(|c| (g, c))) {
        let stream = keys::stream(context);
        redis::cmd("XGROUP").arg("CREATE").arg(stream).arg(group).arg("$").exec(&mut redis).unwrap();
    }
    let behind = ground.host(Options::only(&["notification", "information"]));
    operate(ground.state(), &["check", "--grace", "0"])
        .says(1, &["order 1: nobody was told", "order 10: `information`"]);

    let replayed = operate(ground.state(), &["replay"]);
    replayed.says(0, &["order: 11 events to be sent again", "pay: 11 events", "with the next tick"]);
    for id in [1, 2, 10] {
        eventually(|| behind.statuses(id), CONFIRMED);
    }
    comes_to_rest(ground.state());
    operate(ground.state(), &["replay", "pay", "--since", "2099-01-01T00:00:00Z"])
        .says(0, &["pay: 0 events"]);
    operate(ground.state(), &["replay", "site"]).says(1, &["`site` sends no events"]);
}

#[test]
fn a_backup_under_load_restored_elsewhere_comes_to_rest_with_all_that_was_answered_before() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    let answered = {
        let sugang = Sugang::start();
        all_sorts(&sugang);
        under_load(&sugang, |last| {
            let answered = last.load(Ordering::SeqCst);
            operate(sugang.state(), &["backup", backup])
                .says(0, &["holds the system as it was at", "in 8 stores"]);
            operate(sugang.state(), &["backup", backup]).says(1, &["exists already"]);
            answered
        })
    };

    let ground = Ground::new();
    operate(ground.state(), &["restore", backup]).says(0, &["will be sent again"]);
    let sugang = ground.host(Options::new());
    for id in (1..=7).chain(1001..=answered) {
        assert_eq!(sugang.order(id).status, 200, "order {id} is gone");
    }
    comes_to_rest(ground.state());
    eventually(|| sugang.statuses(1), CONFIRMED);
    eventually(|| sugang.statuses(2), "Order Canceled / Payment Canceled / Reservation Canceled");
    eventually(|| sugang.statuses(6), "Ordered / Paid / Waitlisted");
    sugang.cancel(4).expect(200);
    eventually(|| sugang.statuses(6), CONFIRMED);
}

#[test]
fn where_a_restore_was_cut_off_nothing_starts_and_nothing_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("restore-unfinished"), "/backups/1").unwrap();
    let again = "sugang restore /backups/1 --state-dir";
    operate(folder.path(), &["up", "--listen", "127.0.0.1:0"]).says(1, &["was cut off", again]);
    operate(folder.path(), &["check"]).says(2, &[again]);
    operate(folder.path(), &["rebuild", "information"]).says(1, &[again]);
}

#[test]
fn nothing_is_restored_under_a_system_that_runs() {
    let sugang = Sugang::start();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    operate(sugang.state(), &["backup", backup]).says(0, &[]);
    operate(sugang.state(), &["restore", backup, "--force"])
        .says(1, &["is open in another program (process"]);
    comes_to_rest(sugang.state());
    let elsewhere = tempfile::tempdir().unwrap();
    operate(elsewhere.path(), &["restore", backup, "--redis", sugang.ground().redis_url()])
        .says(1, &["has had events of `reservation`"]);
}

#[test]
fn a_host_whose_output_nobody_can_write_down_goes_on_serving() {
    let ground = Ground::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let redis = ground.redis_url().strip_prefix("redis://").expect("no more than host and port");
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a disk that is full");
    let mut host = Command::new(workspace::host_binary())
        .current_dir(workspace::root())
        .args(["up", "--runtime-config-file", workspace::runtime_config().to_str().unwrap()])
        .args(["--listen", &port.to_string(), "--state-dir", ground.state().to_str().unwrap()])
        .args(["-c", "information", "-c", "information-worker"])
        .args(["--variable", &format!("redis_address={redis}"), "--variable", "access=open"])
        .stdout(full())
        .stderr(full())
        .spawn()
        .expect("the command sugang, which `cargo xtask build` builds");
    let api = Api::new(port);
    eventually(|| api.is_up(), true);
    assert_eq!(api.get("/infomations/1").status, 404);
    rustix::process::kill_process(rustix::process::Pid::from_child(&host), Signal::TERM).unwrap();
    assert!(host.wait().unwrap().success());
}
