//! What an operator is told by OTLP, and what that may not cost.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use kernel::Role::{Customer, Operator};
use rustix::process::Signal;
use serde_json::json;
use sugang_tests::collector::{Collector, Span};
use sugang_tests::members::member;
use sugang_tests::orders::{AUTOMATIC, GOOD_CARD, order};
use sugang_tests::{Ground, Host, Options, eventually, stores, until};

const PHONE: &str = "01087654321";
const NAME: &str = "황보관측";

/// A host that tells `endpoint`, soon.
fn telling(endpoint: &str) -> Options {
    Options::new()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_SERVICE_NAME", "sugang-tests")
        .env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=tests")
        .env("OTEL_BSP_SCHEDULE_DELAY", 100)
        .env("OTEL_BLRP_SCHEDULE_DELAY", 100)
        .env("OTEL_METRIC_EXPORT_INTERVAL", 200)
}

/// The threads that the SDK has in a host.
fn threads(host: &Host) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", host.process_id())).unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.contains("OpenTelemetry") || name.contains("telemetry")).count()
}

/// A member with a telephone and a name applies; gives back the number of the order.
fn apply_as_member(host: &Host) -> String {
    let ask = |path: &str, who: Option<&str>, body: &serde_json::Value| {
        let request = host.json("POST", path);
        let request = match who {
            Some(who) => request.header("authorization", who),
            None => request,
        };
        host.send(request, Some(body.to_string()))
    };
    let asked = ask("/sign-in-codes", None, &json!({ "phone": PHONE })).expect(202);
    let operator = member(9_000, &[Customer, Operator]);
    let inbox = host.json("GET", "/members/inbox").header("authorization", &operator);
    let inbox = host.send(inbox, None).expect(200);
    let body = inbox.items("messages")[0]["body"].as_str().unwrap().to_owned();
    let code = body.split(|it: char| !it.is_ascii_digit()).find(|word| word.len() == 6).unwrap().to_owned();
    let typed = json!({ "codeToken": asked.text("/codeToken"), "code": code });
    let unknown = ask("/sessions", None, &typed).expect(403);
    let newcomer = json!({
        "registrationToken": unknown.text("/registrationToken"), "name": NAME, "email": "gwancheuk@example.com",
        "consents": { "terms": true, "privacy": true, "age14": true },
    });
    let token = format!("Bearer {}", ask("/members", None, &newcomer).expect(201).text("/accessToken"));
    let wanted = json!({ "eduNo": AUTOMATIC, "guest": 1, "cardNo": GOOD_CARD });
    ask("/orders?seen=hunter2", Some(&token), &wanted).expect(201).at("/orderId").to_string()
}

/// The spans of the trace in which `POST /orders` is, if three messages are in it already.
fn trace(collector: &Collector) -> Option<Vec<Span>> {
    let told = collector.told();
    let door = told.spans.iter().find(|span| span.name == "POST /orders/...")?;
    let all: Vec<_> = told.spans.iter().filter(|span| span.trace == door.trace).cloned().collect();
    let has = |consumer: &str| {
        all.iter().filter(|it| it.attribute("messaging.consumer.group.name") == consumer).count()
    };
    (has("notification") >= 3 && has("information") >= 3 && has("reservation") >= 1).then_some(all)
}

#[test]
fn one_trace_shows_an_order_from_the_door_to_its_three_messages() {
    let (collector, ground) = (Collector::start(), Ground::new());
    let host = ground.host(telling(&collector.endpoint()).members());
    apply_as_member(&host);
    let all = until("the whole trace", || trace(&collector));
    let named = |name: &str| {
        let mut found = all.iter().filter(|span| span.name == name);
        found.next().unwrap_or_else(|| {
            panic!("no `{name}` among {:?}", all.iter().map(|it| &it.name).collect::<Vec<_>>())
        })
    };
    let below = |span: &Span, name: &str| {
        let found = all.iter().find(|it| it.id == span.parent);
        assert_eq!(found.map(|it| it.name.as_str()), Some(name), "{span:?}");
    };
    // From the door to the card company.
    let door = named("POST /orders/...");
    assert_eq!(door.parent, "");
    assert_eq!(door.attribute("http.response.status_code"), "201");
    assert_eq!(door.attribute("code.function.name"), "spin_trigger_http.handle_http_request");
    below(named("execute_wasm_component order"), "POST /orders/...");
    let call = named("POST");
    assert_eq!(call.attribute("server.address"), "pay.spin.internal");
    below(call, "execute_wasm_component order");
    below(named("execute_wasm_component pay"), "POST");
    let of_stores: BTreeSet<_> = all
        .iter()
        .filter(|it| it.name == "spin_sqlite.execute")
        .map(|it| all.iter().find(|other| other.id == it.parent).map_or("", |it| it.name.as_str()))
        .collect();
    assert_eq!(of_stores, BTreeSet::from(["execute_wasm_component order", "execute_wasm_component pay"]));
    // And on by the events, each handled by whom it concerns.
    let mut messages: Vec<_> = all
        .iter()
        .filter(|it| it.attribute("messaging.consumer.group.name") == "notification")
        .map(|it| (it.name.as_str(), it.attribute("cloudevents.event_type")))
        .collect();
    messages.sort_unstable();
    assert_eq!(
        messages,
        [
            ("process sugang:events:order", "sugang.order.Ordered"),
            ("process sugang:events:pay", "sugang.pay.Paid"),
            ("process sugang:events:reservation", "sugang.reservation.Reserved"),
        ]
    );
    for span in all.iter().filter(|it| it.name.starts_with("process ")) {
        let (_, context) = span.name.rsplit_once(':').unwrap();
        // A reservation is made because somebody paid.
        let cause = if context == "order" { "order" } else { "pay" };
        below(span, &format!("execute_wasm_component {cause}"));
    }
    // The workers' own wake-ups are traces of their own.
    assert!(
        collector.told().spans.iter().any(|it| it.name == "sugang:tick receive" && it.trace != door.trace)
    );
}

#[test]
fn metrics_and_logs_arrive_and_nothing_says_whom_it_is_about() {
    let (collector, ground) = (Collector::start(), Ground::new());
    let mut host = ground.host(telling(&collector.endpoint()).members());
    let number = apply_as_member(&host);
    assert!(number.len() > 8, "{number} could be anything");
    let names = named_in_files();
    let missing = || {
        let told = collector.told();
        names.iter().filter(|name| !told.metrics.contains(*name)).cloned().collect::<Vec<_>>()
    };
    eventually(missing, Vec::<String>::new());
    until("the whole trace", || trace(&collector));
    host.signal(Signal::TERM);
    eventually(|| host.exited().map(|status| status.success()), Some(true));
    let told = collector.told();
    assert!(told.others.contains(&("service.name".to_owned(), "sugang-tests".to_owned())));
    assert!(told.others.contains(&("deployment.environment.name".to_owned(), "tests".to_owned())));
    assert!(told.records.iter().any(|it| it.body.contains("subscribed to")), "the host's own log");
    let attributes = told.spans.iter().flat_map(|it| &it.attributes);
    let attributes = attributes.chain(told.records.iter().flat_map(|it| &it.attributes)).chain(&told.others);
    let texts = attributes.map(|(_, value)| value).chain(told.spans.iter().map(|it| &it.name));
    // What the sandbox's inbox would have sent to a telephone is in the log, for whoever tries things out.
    let bodies = told.records.iter().map(|it| &it.body).filter(|body| !body.starts_with("[inbox] to "));
    for text in texts.chain(bodies) {
        for secret in [GOOD_CARD, PHONE, "87654321", NAME, "gwancheuk", "hunter2", &number, "Bearer"] {
            assert!(!text.contains(secret), "{text:?} contains {secret:?}");
        }
    }
}

/// The metrics that the dashboards and alerts name.
fn named_in_files() -> BTreeSet<String> {
    let folder = xtask::workspace::root().join("deploy/telemetry");
    let mut names = BTreeSet::new();
    for file in ["alerts.yaml", "dashboards/sugang.json"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        let known = ["spin_", "sugang_", "http_server_", "http_client_", "messaging_"];
        let is_label = |word: &str| matches!(word, "http_route" | "messaging_destination_name");
        names.extend(
            words
                .filter(|word| known.iter().any(|prefix| word.starts_with(prefix)) && !is_label(word))
                .map(str::to_owned),
        );
    }
    assert!(names.len() > 10, "{names:?}");
    names
}

#[test]
fn a_component_s_words_lead_to_their_trace() {
    let (collector, ground) = (Collector::start(), Ground::new());
    let host = ground.host(telling(&collector.endpoint()));
    stores::tamper(ground.state(), "order", "DROP TABLE idempotency_keys");
    let key = host.json("POST", "/orders").header("idempotency-key", "k");
    let failed = host.send(key, Some(order(1, AUTOMATIC).to_string()));
    assert!(failed.status >= 500, "{failed:?}");
    until("the record of what failed", || {
        let told = collector.told();
        let door = told.spans.iter().find(|span| span.name == "POST /orders/...")?;
        told.records
            .iter()
            .any(|it| it.trace == door.trace && it.body.contains("idempotency_keys"))
            .then_some(())
    });
}

#[test]
fn a_collector_that_hangs_holds_up_neither_an_order_nor_the_stopping() {
    // It takes connections, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ground = Ground::new();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut host = ground.host(telling(&endpoint).env("OTEL_BSP_MAX_QUEUE_SIZE", 64));
    for id in 1..=30 {
        let begun = Instant::now();
        host.apply(&order(id, AUTOMATIC)).expect(201);
        assert!(begun.elapsed() < Duration::from_secs(2), "order {id} took {:?}", begun.elapsed());
    }
    eventually(|| host.statuses(30), "Ordered / Paid / Reservation Confirmed");
    let begun = Instant::now();
    host.signal(Signal::TERM);
    eventually(|| host.exited().map(|status| status.success()), Some(true));
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?} to stop", begun.elapsed());
}

#[test]
fn a_collector_that_is_away_is_complained_of_once_for_each_signal() {
    let (ground, port) = (Ground::new(), servers::free_port().unwrap());
    let host = ground.host(telling(&format!("http://127.0.0.1:{port}")));
    for id in 1..=5 {
        host.apply(&order(id, AUTOMATIC)).expect(201);
    }
    let complaints = || host.log(&ground).matches("the collector takes no").count();
    eventually(complaints, 3);
    // Many more attempts fail meanwhile.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(complaints(), 3, "{}", host.log(&ground));
}

#[test]
fn without_an_endpoint_nothing_is_set_up_and_nothing_is_said() {
    let ground = Ground::new();
    let host = ground.host(Options::new().process());
    host.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| host.statuses(1), "Ordered / Paid / Reservation Confirmed");
    assert_eq!(threads(&host), 0);
    // Nobody has begun a trace, and no worker prints spans.
    let traced = "SELECT COUNT(*) FROM events WHERE traceparent IS NOT NULL";
    assert_eq!(stores::value::<i64>(ground.state(), "order", traced).unwrap(), 0);
    let log = host.log(&ground);
    assert!(!log.contains("resourceSpans") && !log.contains("resourceMetrics"), "{log}");
    let collector = Collector::start();
    let disabled = ground.host(telling(&collector.endpoint()).env("OTEL_SDK_DISABLED", "true"));
    assert_eq!(threads(&disabled), 0);
    let telling = ground.host(telling(&collector.endpoint()));
    assert!(threads(&telling) >= 3, "what is counted here are the threads of the SDK");
}
