//! The seed's commands as printed there, and what its readers would see.

use std::time::Duration;

use serde_json::{Value, json};
use sugang_tests::orders::{AUTOMATIC, FREE, GOOD_CARD, MANUAL, order, seed_order, with};
use sugang_tests::{Sugang, eventually, stores, within};

store::on_postgres!(
    the_customer_is_told_once_of_every_change,
    an_answer_is_hal_and_says_where_the_order_is,
    every_collection_is_paged_as_the_seed_pages_it,
    an_order_is_found_by_the_seeds_search,
    the_view_keeps_the_history_of_an_order,
    an_order_without_a_number_gets_one,
    a_course_that_costs_nothing_needs_no_card,
    the_same_order_again_is_the_same_order,
    the_seeds_load_test_orders_the_same_thing_again_and_again,
    a_request_sent_again_with_its_key_is_answered_as_before,
    state_survives_a_restart_of_everything,
    one_trace_goes_through_all_contexts,
    a_customer_whose_line_is_busy_is_tried_again_and_one_who_does_not_exist_is_given_up,
);

/// From the answer until everybody can see it.
const SOON: Duration = Duration::from_secs(1);

#[test]
fn the_customer_is_told_once_of_every_change() {
    let sugang = Sugang::start();
    sugang.apply(&seed_order(1113, AUTOMATIC)).expect(201);
    let told = || -> Vec<(String, String)> {
        let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let mut told: Vec<_> =
            sugang.messages(1113).iter().map(|it| (text(it, "event"), text(it, "status"))).collect();
        told.sort();
        told
    };
    let expected = ["Ordered", "Paid", "Reserved"].map(|event| (event.to_owned(), "Sent".to_owned()));
    eventually(told, expected.to_vec());
    for message in sugang.messages(1113) {
        let body = message["body"].as_str().unwrap_or_default();
        assert!(body.contains("1113"), "a message says which order it is about: {body}");
    }
}

#[test]
fn an_answer_is_hal_and_says_where_the_order_is() {
    let sugang = Sugang::start();
    let answer = sugang.apply(&seed_order(1111, AUTOMATIC)).expect(201);
    assert!(answer.header("content-type").starts_with("application/hal+json"), "{:?}", answer.headers);
    assert_eq!(answer.header("location"), sugang.url("/orders/1111"));
    assert_eq!(answer.text("/_links/self/href"), sugang.url("/orders/1111"));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let expected = json!({ "orderId": 1111, "customerId": 1, "eduNo": 101, "guest": 1, "cardLast4": "1234" });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&answer.json()[name], value, "{name} in {}", answer.body);
    }
    assert!(answer.at("/cardNo").is_null(), "a card number is taken in, never given out");
    assert_eq!(sugang.order(1111).expect(200).at("/orderId"), 1111);
}

#[test]
fn the_field_may_be_spelt_as_the_seed_spells_it_in_one_place() {
    let sugang = Sugang::start();
    let order = with(seed_order(1114, AUTOMATIC), &json!({ "eduNo": null, "EduNo": "101" }));
    assert_eq!(sugang.apply(&order).expect(201).at("/eduNo"), 101);
}

#[test]
fn every_collection_is_paged_as_the_seed_pages_it() {
    let sugang = Sugang::start();
    for id in 1..=5 {
        sugang.apply(&seed_order(id, AUTOMATIC)).expect(201);
    }
    eventually(|| sugang.statuses(5), "Ordered / Paid / Reservation Confirmed");
    for (path, relation) in [
        ("/orders", "orders"),
        ("/pays", "pays"),
        ("/reservations", "reservations"),
        ("/infomations", "infomations"),
    ] {
        eventually(|| sugang.get(path).at("/page/totalElements"), 5);
        let page = sugang.get(&format!("{path}?page=1&size=2&sort=orderId,desc")).expect(200);
        assert_eq!(
            page.at("/page"),
            json!({ "size": 2, "totalElements": 5, "totalPages": 3, "number": 1 }),
            "{path}"
        );
        let ids: Vec<_> = page.items(relation).iter().map(|item| item["orderId"].clone()).collect();
        assert_eq!(ids, [json!(3), json!(2)], "{path}");
        for item in page.items(relation) {
            let href = item["_links"]["self"]["href"].as_str().unwrap_or_default().to_owned();
            assert!(href.starts_with(&sugang.url(path)), "{path}: {href}");
        }
    }
}

#[test]
fn an_order_is_found_by_the_seeds_search() {
    let sugang = Sugang::start();
    sugang.apply(&seed_order(1111, AUTOMATIC)).expect(201);
    assert_eq!(sugang.get("/orders/search/findByOrderId?orderId=1111").expect(200).at("/orderId"), 1111);
    sugang.get("/orders/search/findByOrderId?orderId=1112").expect_problem(404, "not-found");
}

#[test]
fn the_view_answers_under_both_spellings() {
    let sugang = Sugang::start();
    sugang.apply(&seed_order(1111, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1111), "Ordered / Paid / Reservation Confirmed");
    assert_eq!(sugang.get("/informations/1111").expect(200).at("/orderId"), 1111);
    assert_eq!(sugang.get("/informations").expect(200).at("/page/totalElements"), 1);
}

#[test]
fn the_view_keeps_the_history_of_an_order() {
    let sugang = Sugang::start();
    sugang.apply(&seed_order(1111, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1111), "Ordered / Paid / Reservation Confirmed");
    let timeline = sugang.view(1111).at("/timeline");
    let events: Vec<_> =
        timeline.as_array().unwrap().iter().filter_map(|step| step["event"].as_str()).collect();
    assert_eq!(events, ["Ordered", "Paid", "Reserved"], "{timeline}");
}

#[test]
fn an_order_without_a_number_gets_one() {
    let sugang = Sugang::start();
    let anonymous = with(order(0, AUTOMATIC), &json!({ "orderId": null }));
    let first = sugang.apply(&anonymous).expect(201).at("/orderId").as_u64().unwrap();
    let second = sugang.apply(&anonymous).expect(201).at("/orderId").as_u64().unwrap();
    assert_ne!(first, second);
    sugang.order(first).expect(200);
}

#[test]
fn a_course_that_costs_nothing_needs_no_card() {
    let sugang = Sugang::start();
    let answer = sugang.apply(&with(order(1, FREE), &json!({ "cardNo": null }))).expect(201);
    assert_eq!((answer.text("/payStatus"), answer.at("/amount")), ("Paid".to_owned(), json!(0)));
    eventually(|| sugang.statuses(1).starts_with("Ordered / Paid / Reservation"), true);
}

#[test]
fn the_same_order_again_is_the_same_order() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let again = sugang.apply(&order(1, AUTOMATIC)).expect(200);
    assert_eq!(again.text("/payStatus"), "Paid");
    assert_eq!(sugang.get("/orders").at("/page/totalElements"), 1);
    assert_eq!(sugang.get("/pays").at("/page/totalElements"), 1);
}

#[test]
fn the_seeds_load_test_orders_the_same_thing_again_and_again() {
    // siege ... 'POST {"orderId": 2, "eduNo": 102}'
    let sugang = Sugang::start();
    let body = json!({ "orderId": 2, "eduNo": 102 });
    let first = sugang.apply(&body).expect(201);
    assert_eq!(first.text("/payStatus"), "Payment Delayed", "there is no card to charge yet");
    for _ in 0..5 {
        sugang.apply(&body).expect(200);
    }
    assert_eq!(sugang.pay(2, GOOD_CARD).expect(200).text("/payStatus"), "Paid");
    eventually(|| sugang.statuses(2), "Ordered / Paid / Reservation Requested");
}

#[test]
fn a_request_sent_again_with_its_key_is_answered_as_before() {
    let sugang = Sugang::start();
    let send = |key: &str, order: &Value| {
        sugang.send(sugang.json("POST", "/orders").header("idempotency-key", key), Some(order.to_string()))
    };
    let anonymous = with(order(0, AUTOMATIC), &json!({ "orderId": null }));
    let first = send("\"a1b2c3d4\"", &anonymous).expect(201);
    let second = send("\"a1b2c3d4\"", &anonymous);
    assert_eq!((second.status, second.header("idempotency-replayed")), (201, "true"));
    assert_eq!(first.at("/orderId"), second.at("/orderId"), "{}", second.body);
    assert_eq!(sugang.get("/orders").at("/page/totalElements"), 1);
    let another = with(anonymous, &json!({ "guest": 2 }));
    send("\"a1b2c3d4\"", &another).expect_problem(422, "idempotency-key-reused");
}

#[test]
fn the_health_check_the_index_and_the_contract_answer() {
    let sugang = Sugang::start();
    sugang.get("/.well-known/spin/health").expect(200);
    sugang.get("/").expect(200);
    assert!(sugang.get("/openapi.json").expect(200).text("/openapi").starts_with("3."));
}

#[test]
fn state_survives_a_restart_of_everything() {
    let mut ground = sugang_tests::Ground::new();
    let host = ground.host(sugang_tests::Options::new().process());
    host.apply(&seed_order(1113, AUTOMATIC)).expect(201);
    host.kill();
    ground.kill_redis();
    ground.start_redis();
    let host = ground.host(sugang_tests::Options::new().process());
    assert_eq!(host.order(1113).expect(200).text("/payStatus"), "Paid");
    eventually(|| host.statuses(1113), "Ordered / Paid / Reservation Confirmed");
}

#[test]
fn the_schema_of_a_store_is_made_once_and_not_with_every_connection() {
    let ground = sugang_tests::Ground::new();
    let host = ground.host(sugang_tests::Options::new().process());
    host.apply(&order(1, AUTOMATIC)).expect(201);
    for context in ["order", "pay", "reservation", "notification", "information"] {
        let version = || stores::value::<i64>(ground.state(), context, "PRAGMA user_version").unwrap_or(0);
        eventually(|| version() > 0, true);
        let mode: String = stores::value(ground.state(), context, "PRAGMA journal_mode").unwrap();
        assert_eq!(mode, "wal", "{context}");
    }
    // Whoever made the schema again would make this again.
    stores::tamper(ground.state(), "pay", "DROP INDEX pays_by_customer");
    host.kill();
    let host = ground.host(sugang_tests::Options::new().process());
    host.apply(&order(2, AUTOMATIC)).expect(201);
    eventually(|| host.statuses(2), "Ordered / Paid / Reservation Confirmed");
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE name = 'pays_by_customer'";
    assert_eq!(stores::count(ground.state(), "pay", indexes), 0);
}

#[test]
fn one_trace_goes_through_all_contexts() {
    let sugang = Sugang::start();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let apply = sugang.json("POST", "/orders").header("traceparent", trace);
    sugang.send(apply, Some(order(1, MANUAL).to_string())).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Requested");
    sugang.send(sugang.request("DELETE", "/orders/1").header("traceparent", trace), None).expect(204);
    eventually(|| sugang.statuses(1), "Order Canceled / Payment Canceled / Reservation Canceled");
    let untraced =
        format!("SELECT COUNT(*) FROM events WHERE subject = '1' AND traceparent IS DISTINCT FROM '{trace}'");
    for context in ["order", "pay", "reservation"] {
        assert_eq!(stores::count(sugang.state(), context, &untraced), 0, "{context}");
    }
}

#[test]
fn a_customer_whose_line_is_busy_is_tried_again_and_one_who_does_not_exist_is_given_up() {
    let sugang = Sugang::start();
    for (id, customer) in [(1, 9_000_000_000_000_503_u64), (2, 9_000_000_000_000_404)] {
        sugang.apply(&with(order(id, AUTOMATIC), &json!({ "customerId": customer }))).expect(201);
    }
    let of = |condition: &str| {
        let sql = format!("SELECT COUNT(*) FROM messages WHERE {condition}");
        stores::count(sugang.state(), "notification", &sql)
    };
    eventually(|| of("order_id = 2 AND status = 'Failed' AND attempts = 1"), 3);
    eventually(|| of("order_id = 1 AND status = 'Pending' AND attempts >= 2"), 3);
}

/// What holds the whole way of an order to a time: run by itself, as what runs beside it takes time as well.
mod timed {
    use super::*;

    #[test]
    fn an_order_is_paid_at_once_and_confirmed_within_a_second() {
        let sugang = Sugang::start();
        let answer = sugang.apply(&seed_order(1113, AUTOMATIC)).expect(201);
        assert_eq!(answer.text("/payStatus"), "Paid");
        assert_eq!(answer.text("/status"), "Ordered");
        within(SOON, || sugang.statuses(1113), "Ordered / Paid / Reservation Confirmed");
        assert_eq!(sugang.view(1113).text("/courseStatus"), "Open");
    }

    #[test]
    fn a_course_with_manual_approval_asks_its_manager_first() {
        let sugang = Sugang::start();
        sugang.apply(&seed_order(1113, MANUAL)).expect(201);
        within(SOON, || sugang.statuses(1113), "Ordered / Paid / Reservation Requested");
    }
}
