//! What a client sees.

use super::*;
use crate::testing::*;
use kernel::CourseStatus;
use serde_json::json;

::store::on_postgres!(
    a_path_asks_for_one_thing,
    an_order_that_is_paid_in_time_is_answered_so,
    an_order_that_is_not_paid_in_time_says_when_to_look_again,
    an_order_has_half_an_hour_to_be_paid_and_its_request_the_deadline_and_a_second,
    paying_without_a_card_is_refused_and_the_card_that_is_kept_stays,
    a_card_that_is_none_is_refused_even_where_none_is_needed,
    others_are_to_hear_soon_of_an_order_of_its_delay_and_of_its_end,
    a_key_answers_for_whatever_it_came_with,
    a_key_that_nothing_is_done_with_is_refused_in_words,
    a_change_is_made_to_the_state_that_its_client_has_seen_only,
    a_change_that_was_overtaken_is_refused_and_one_without_a_condition_is_not,
    a_tag_changes_with_everything_that_is_answered,
    what_is_added_to_the_orders_has_no_state_to_be_compared_with,
    what_has_ended_does_not_come_back,
    orders_are_listed_found_and_searched_for,
    every_path_says_which_methods_it_takes,
    an_operator_sees_how_the_breaker_stands,
);

const APPLICATION: &str = r#"{"orderId":7,"eduNo":101,"cardNo":"4111111111111234"}"#;
const OTHER: &str = r#"{"orderId":8,"eduNo":101,"cardNo":"4111111111111234"}"#;
const PAID: &str = r#"{"status":"Paid","version":1,"cardLast4":"1234"}"#;

fn keyed(key: &str) -> [(&str, &str); 1] {
    [("idempotency-key", key)]
}

/// The present tag of an order, quoted.
fn tag(orders: &Orders) -> String {
    orders.ask(Method::GET, "/orders/7", &[], "").get("etag").unwrap().to_owned()
}

fn status(orders: &Orders, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    orders.ask(method, path, headers, body).status().as_u16()
}

#[test]
fn a_path_asks_for_one_thing() {
    let id = OrderId::parse(1113).unwrap();
    for (path, route) in [
        (&["orders"][..], Some(Route::Orders)),
        (&["orders", "search"], Some(Route::Searches)),
        (&["orders", "search", "findByOrderId"], Some(Route::FindByOrderId)),
        (&["orders", "1113"], Some(Route::Order(id))),
        (&["orders", "1113", "payment"], Some(Route::Payment(id))),
        (&["orders", "0"], None),
        (&["orders", "x"], None),
        (&["orders", "9007199254740992"], None),
        (&["orders", "1113", "payment", "x"], None),
        (&["orders", "1113", "card"], None),
        (&[], None),
    ] {
        assert_eq!(Route::of(path), route, "{path:?}");
    }
}

#[test]
fn an_order_that_is_paid_in_time_is_answered_so() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, PAID)));
    let taken = orders.ask(Method::POST, "/orders", &[], APPLICATION);
    assert_eq!((taken.status(), taken.get("location")), (StatusCode::CREATED, Some("http://h/orders/7")));
    assert_eq!((&taken.json()["payStatus"], taken.get("retry-after")), (&json!("Paid"), None));
    let shown = orders.ask(Method::GET, "/orders/7", &[], "");
    assert_eq!((shown.json(), shown.get("etag")), (taken.json(), taken.get("etag")));
}

#[test]
fn an_order_that_is_not_paid_in_time_says_when_to_look_again() {
    let orders = Orders::new();
    let taken = orders.ask(Method::POST, "/orders", &[], APPLICATION);
    assert_eq!((taken.status(), taken.get("retry-after")), (StatusCode::CREATED, Some("2")));
    assert_eq!(taken.json()["payStatus"], "Payment Delayed");
    orders.ports.open.set(true);
    let barred = orders.ask(Method::POST, "/orders", &[], OTHER);
    assert_eq!((barred.status(), barred.get("retry-after")), (StatusCode::CREATED, Some("6")));
    let body = r#"{"cardNo":"5555"}"#;
    let again = orders.ask(Method::POST, "/orders/7/payment", &[], body);
    assert_eq!((again.status(), again.get("retry-after")), (StatusCode::ACCEPTED, Some("6")));
    orders.ports.open.set(false);
    orders.ports.answer.set(Some((201, PAID)));
    let paid = orders.ask(Method::POST, "/orders/7/payment", &[], body);
    assert_eq!((paid.status(), &paid.json()["payStatus"]), (StatusCode::OK, &json!("Paid")));
}

#[test]
fn an_order_has_half_an_hour_to_be_paid_and_its_request_the_deadline_and_a_second() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let after = |sql| orders.number(sql) - NOW.millis();
    assert_eq!(after("SELECT due_at FROM orders WHERE order_id = 7"), 1_800_000);
    assert_eq!(after("SELECT next_at FROM retries"), 1_610);
}

#[test]
fn paying_without_a_card_is_refused_and_the_card_that_is_kept_stays() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let refused = orders.ask(Method::POST, "/orders/7/payment", &[], "{}");
    assert_eq!((refused.status().as_u16(), &refused.json()["errors"][0]["field"]), (422, &json!("cardNo")));
    assert_eq!(orders.number("SELECT count(*) FROM retries WHERE sealed IS NOT NULL"), 1);
}

#[test]
fn a_card_that_is_none_is_refused_even_where_none_is_needed() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", r#"{"orderId":7,"eduNo":104}"#), 201);
    orders.ports.asked.set(0);
    assert_eq!(orders.post("/orders/7/payment", r#"{"cardNo":"12"}"#), 422);
    assert_eq!(orders.ports.asked.get(), 0);
}

#[test]
fn others_are_to_hear_soon_of_an_order_of_its_delay_and_of_its_end() {
    let orders = Orders::new();
    let commits = || orders.journal.tell.0.get();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    assert_eq!(orders.number("SELECT count(*) FROM events"), 2);
    assert_eq!(commits(), 2);
    assert_eq!(status(&orders, Method::DELETE, "/orders/7", &[], ""), 204);
    assert_eq!(commits(), 3);
}

#[test]
fn a_key_answers_for_whatever_it_came_with() {
    let orders = Orders::new();
    let post = |key: &str, body: &str| {
        let answer = orders.ask(Method::POST, "/orders", &keyed(key), body);
        (answer.status().as_u16(), answer.get("idempotency-replayed").is_some())
    };
    assert_eq!(post("a", APPLICATION), (201, false));
    assert_eq!(post("a", APPLICATION), (201, true));
    assert_eq!(post("a", OTHER), (422, false));
    // Of an order of before: what it is answered with is what it stands for.
    kernel::clock::set(NOW.plus_seconds(1));
    assert_eq!(post("b", APPLICATION), (200, false));
    assert_eq!(post("b", APPLICATION), (200, true));
    assert_eq!(post("b", OTHER), (422, false));
    assert_eq!(orders.number("SELECT count(*) FROM orders"), 1);
    // What was refused leaves the key free.
    assert_eq!(post("c", r#"{"orderId":7,"eduNo":104}"#).0, 409);
    assert_eq!(post("c", OTHER), (201, false));
}

#[test]
fn a_key_that_nothing_is_done_with_is_refused_in_words() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let refused = orders.ask(Method::POST, "/orders/7/payment", &keyed("k"), r#"{"cardNo":"5555"}"#);
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert_eq!(refused.json()["type"], "/problems/idempotency-key-not-taken");
    assert_eq!(orders.ports.bodies.borrow().len(), 1);
}

#[test]
fn a_change_is_made_to_the_state_that_its_client_has_seen_only() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let seen = tag(&orders);
    orders.hear(7, PayStatus::PaymentDeclined, 1);
    let present = tag(&orders);
    assert_ne!(seen, present);
    let cancel = r#"{"status":"Order Canceled"}"#;
    let card = r#"{"cardNo":"5555"}"#;
    for headers in
        [("if-match", &*seen), ("if-none-match", "*"), ("if-none-match", &present), ("if-match", "한")]
    {
        for (method, path, body) in [
            (Method::DELETE, "/orders/7", ""),
            (Method::PATCH, "/orders/7", cancel),
            (Method::PATCH, "/orders/7", r#"{"status":"Ordered"}"#),
            (Method::POST, "/orders/7/payment", card),
        ] {
            assert_eq!(
                status(&orders, method.clone(), path, &[headers], body),
                412,
                "{method} {path} {headers:?}"
            );
        }
    }
    assert_eq!(status(&orders, Method::DELETE, "/orders/9", &[("if-match", &seen)], ""), 404);
    assert_eq!(status(&orders, Method::POST, "/orders/7/payment", &[("if-match", &present)], card), 202);
    let delayed = tag(&orders);
    assert_ne!(delayed, present);
    assert_eq!(status(&orders, Method::PATCH, "/orders/7", &[("if-match", &delayed)], cancel), 200);
}

#[test]
fn a_change_that_was_overtaken_is_refused_and_one_without_a_condition_is_not() {
    for (headers, answered) in [(true, 412), (false, 204)] {
        let orders = Orders::new();
        assert_eq!(orders.post("/orders", APPLICATION), 201);
        let seen = tag(&orders);
        orders.meanwhile(|other| other.learn(&[(2, &terms(101, 50_000, CourseStatus::Started))]));
        orders.meanwhile(|other| other.hear(7, PayStatus::PaymentDeclined, 1));
        let headers = if headers { vec![("if-match", &*seen)] } else { vec![] };
        assert_eq!(status(&orders, Method::DELETE, "/orders/7", &headers, ""), answered);
    }
}

#[test]
fn a_tag_changes_with_everything_that_is_answered() {
    let orders = Orders::new();
    orders.ports.answer.set(Some((201, PAID)));
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let seen = tag(&orders);
    orders.learn(&[(2, &terms(101, 50_000, CourseStatus::Finished))]);
    let shown = orders.ask(Method::GET, "/orders/7", &[("if-none-match", &seen)], "");
    assert_eq!(shown.status(), StatusCode::OK);
    assert!(shown.json()["_links"]["cancel"].is_null(), "{}", shown.json());
    let same = tag(&orders);
    assert_eq!(status(&orders, Method::GET, "/orders/7", &[("if-none-match", &same)], ""), 304);
}

#[test]
fn what_is_added_to_the_orders_has_no_state_to_be_compared_with() {
    let orders = Orders::new();
    for (headers, answered) in
        [(("if-match", "\"x\""), 412), (("if-none-match", "*"), 412), (("if-match", "*"), 201)]
    {
        assert_eq!(
            status(&orders, Method::POST, "/orders", &[headers], APPLICATION),
            answered,
            "{headers:?}"
        );
    }
}

#[test]
fn what_has_ended_does_not_come_back() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    let ordered = r#"{"status":"Ordered"}"#;
    assert_eq!(status(&orders, Method::PATCH, "/orders/7", &[], ordered), 200);
    assert_eq!(status(&orders, Method::DELETE, "/orders/7", &[], ""), 204);
    assert_eq!(status(&orders, Method::DELETE, "/orders/7", &[], ""), 204);
    let refused = orders.ask(Method::PATCH, "/orders/7", &[], ordered);
    assert_eq!(
        (refused.status().as_u16(), &refused.json()["presentStatus"]),
        (409, &json!("Order Canceled"))
    );
}

#[test]
fn orders_are_listed_found_and_searched_for() {
    let orders = Orders::new();
    assert_eq!(orders.post("/orders", APPLICATION), 201);
    assert_eq!(orders.post("/orders", OTHER), 201);
    let get = |path: &str| orders.ask(Method::GET, path, &[], "");
    let listed = get("/orders?size=1&sort=orderedAt,desc").json();
    assert_eq!(listed["_embedded"]["orders"][0]["orderId"], 8);
    assert_eq!(listed["page"]["totalElements"], 2);
    let after = get("/orders?after=7").json();
    assert_eq!(
        (&after["_embedded"]["orders"][0]["orderId"], &after["page"]["totalElements"]),
        (&json!(8), &json!(null))
    );
    assert_eq!(get("/orders/search/findByOrderId?orderId=7").json(), get("/orders/7").json());
    assert_eq!(get("/orders/search").json()["_links"]["findByOrderId"]["templated"], true);
    for path in ["/orders/search/findByOrderId", "/orders?customerId=1&customerId=", "/orders?status="] {
        assert_eq!(get(path).status().as_u16(), 422, "{path}");
    }
    assert_eq!(get("/orders/9").status().as_u16(), 404);
}

#[test]
fn every_path_says_which_methods_it_takes() {
    let orders = Orders::new();
    for (path, methods) in [
        ("/orders", "GET, HEAD, POST, OPTIONS"),
        ("/orders/7", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("/orders/7/payment", "POST, OPTIONS"),
        ("/orders/search", "GET, HEAD, OPTIONS"),
        ("/orders/search/findByOrderId", "GET, HEAD, OPTIONS"),
    ] {
        for (method, answered) in [(Method::OPTIONS, 204), (Method::PUT, 405)] {
            let answer = orders.ask(method, path, &[], "");
            assert_eq!((answer.status().as_u16(), answer.get("allow")), (answered, Some(methods)), "{path}");
        }
    }
}

#[test]
fn an_operator_sees_how_the_breaker_stands() {
    let orders = Orders::new();
    let shown = || orders.ask(Method::GET, "/circuit-breakers/pay", &[], "").json();
    let closed = shown();
    assert_eq!((&closed["state"], &closed["failures"]), (&json!("closed"), &json!(3)));
    assert_eq!((&closed["since"], &closed["history"]), (&json!(null), &json!([])));
    orders.ports.open.set(true);
    let open = shown();
    let at = "2025-11-22T01:02:02.004Z";
    assert_eq!((&open["state"], &open["since"]), (&json!("open"), &json!(at)));
    assert_eq!(open["history"], json!([{ "state": "open", "at": at }]));
    assert_eq!(status(&orders, Method::POST, "/circuit-breakers/pay", &[], ""), 405);
    assert_eq!(status(&orders, Method::GET, "/circuit-breakers/mail", &[], ""), 404);
}
