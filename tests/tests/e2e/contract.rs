//! The published contract. Every answer of every test is held against it; here is what no other test asks for.

use std::collections::BTreeSet;

use serde_json::json;
use sugang_tests::orders::{AUTOMATIC, MANUAL, TWO_SEATS, order};
use sugang_tests::{Sugang, contract, eventually, stores};

store::on_postgres!(
    every_resource_and_every_search_keeps_the_contract,
    a_page_is_asked_for_by_number_or_by_key,
    keyset_paging_goes_through_everything_once,
    a_page_too_long_to_be_read_in_one_go_is_whole,
);

#[test]
fn the_contract_that_is_served_is_the_one_the_answers_are_held_against() {
    let sugang = Sugang::start();
    assert_eq!(&sugang.get("/openapi.json").expect(200).json(), contract::document());
}

#[test]
fn every_resource_and_every_search_keeps_the_contract() {
    let sugang = Sugang::start();
    for (id, course) in [(1, AUTOMATIC), (2, MANUAL), (3, TWO_SEATS), (4, TWO_SEATS), (5, TWO_SEATS)] {
        sugang.apply(&order(id, course)).expect(201);
        eventually(|| sugang.reservation(id).status, 200);
    }
    sugang.cancel(1).expect(200);
    eventually(|| sugang.statuses(1), "Order Canceled / Payment Canceled / Reservation Canceled");
    for path in [
        "/",
        "/orders",
        "/orders?customerId=7&size=2",
        "/orders?eduNo=103&sort=orderId,desc",
        "/orders?status=Ordered",
        "/orders/1",
        "/orders/2",
        "/orders/search",
        "/orders/search/findByOrderId?orderId=2",
        "/pays",
        "/pays?eduNo=103",
        "/pays/1",
        "/pays/2",
        "/pays/search",
        "/pays/search/findByOrderId?orderId=2",
        "/reservations",
        "/reservations?status=Waitlisted",
        "/reservations/1",
        "/reservations/5",
        "/reservations/search",
        "/reservations/search/findByOrderId?orderId=2",
        "/courses",
        "/courses?status=Open",
        "/courses/103",
        "/courses/103/roster",
        "/infomations",
        "/infomations?status=Waitlisted",
        "/infomations/1",
        "/infomations/search",
        "/infomations/search/findByOrderId?orderId=5",
        "/informations",
        "/notifications",
        "/notifications?orderId=1",
        "/notifications/search",
        "/notifications/search/findByOrderId?orderId=1",
        "/problems",
        "/problems/not-found",
        "/.well-known/spin/health",
    ] {
        sugang.get(path).expect(200);
    }
    for (query, orders, pays) in [
        ("eduNo=103", Some(3), Some(3)),
        ("customerId=8", Some(0), Some(0)),
        ("status=Order%20Canceled", Some(1), None),
        ("status=Paid", None, Some(4)),
    ] {
        for (path, total) in [("/orders", orders), ("/pays", pays)] {
            let Some(total) = total else { continue };
            let listed = sugang.get(&format!("{path}?{query}")).expect(200);
            assert_eq!(listed.at("/page/totalElements"), total, "{path}?{query}");
        }
    }
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    eventually(|| sugang.statuses(1), "Ordered / Paid / Reservation Confirmed");
    for path in [
        "/",
        "/openapi.json",
        "/problems/not-found",
        "/orders/1",
        "/orders?customerId=7",
        "/orders/search",
        "/orders/search/findByOrderId?orderId=1",
        "/pays/1",
        "/reservations/1",
        "/courses/101",
        "/courses?after=0",
        "/courses/101/roster",
        "/infomations/1",
        "/infomations",
    ] {
        let etag = sugang.get(path).expect(200).header("etag").to_owned();
        assert!(etag.starts_with('"'), "{path}: {etag}");
        let ask =
            |name: &str, value: &str| sugang.send(sugang.request("GET", path).header(name, value), None);
        assert_eq!(ask("if-none-match", &etag).expect(304).body, "", "{path}");
        ask("if-match", &etag).expect(200);
        ask("if-match", "\"0000000000000000\"").expect(412);
    }
}

#[test]
fn every_path_of_the_contract_takes_the_methods_that_it_names() {
    let sugang = Sugang::start();
    let paths = contract::document()["paths"].as_object().unwrap();
    for (template, item) in paths {
        let path = template.replace("{orderId}", "1").replace("{eduNo}", "101").replace("{id}", "order:1:1");
        let path = path.replace("{slug}", "not-found");
        let path = path.replace("{customerId}", "1").replace("{sessionId}", "x");
        let path = path.replace("{deadLetterId}", "order:1-0");
        // An invitation has a number, and everything else a name.
        let path = if path.starts_with("/invitations/") { "/invitations/1".to_owned() } else { path };
        let answer = sugang.send(sugang.request("OPTIONS", &path), None).expect(204);
        let allowed: BTreeSet<_> = answer.header("allow").split(", ").filter(|it| *it != "HEAD").collect();
        let named = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        let named: BTreeSet<_> = named.map(|method| method.to_uppercase()).collect();
        assert_eq!(allowed, named.iter().map(String::as_str).collect(), "{template}");
    }
    for path in ["/orders/9007199254740992", "/courses/0", "/problems/no-such-kind", "/nothing"] {
        sugang.send(sugang.request("OPTIONS", path), None).expect(404);
    }
}

#[test]
fn a_page_is_asked_for_by_number_or_by_key() {
    let sugang = Sugang::start();
    for path in ["/orders", "/pays", "/reservations", "/courses", "/infomations", "/notifications"] {
        for query in ["after=0&page=0", "after=0&sort=orderId", "page=", "size=", "status=", "size=1&size=2"]
        {
            sugang.get(&format!("{path}?{query}")).expect(422);
        }
        sugang.get(&format!("{path}?after=0&size=2")).expect(200);
        sugang.get(&format!("{path}?page=0&size=2")).expect(200);
    }
}

#[test]
fn keyset_paging_goes_through_everything_once() {
    let sugang = Sugang::start();
    for id in 1..=7 {
        sugang.apply(&order(id, AUTOMATIC)).expect(201);
    }
    let (mut seen, mut path) = (Vec::new(), "/orders?after=0&size=3".to_owned());
    loop {
        let page = sugang.get(&path).expect(200);
        seen.extend(page.items("orders").iter().map(|order| order["orderId"].clone()));
        let next = page.text("/_links/next/href");
        match next.strip_prefix(&sugang.url("")) {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(json!(seen), json!([1, 2, 3, 4, 5, 6, 7]));
}

#[test]
fn a_page_too_long_to_be_read_in_one_go_is_whole() {
    let sugang = Sugang::start();
    sugang.get("/infomations").expect(200);
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
        INSERT INTO infomations SELECT i, 7, 101, 1, 'Title', 10000, 1, 'Ordered', 1, 'Paid', 1,
            'Reservation Confirmed', NULL, '2026-01-01T00:00:00.000Z', NULL FROM n";
    stores::tamper(sugang.state(), "information", rows);
    // Again, when its statement is known; and again, when it is known as a long one.
    for _ in 0..3 {
        let page = sugang.get("/infomations?size=1000").expect(200);
        let ids: Vec<_> = page.items("infomations").iter().map(|it| it["orderId"].clone()).collect();
        assert_eq!(ids, (1..=1000).map(|id| json!(id)).collect::<Vec<_>>());
    }
}

#[test]
fn every_search_is_a_template_and_says_so() {
    let sugang = Sugang::start();
    let collections = ["orders", "pays", "reservations", "infomations", "notifications"];
    for path in collections.map(|collection| format!("/{collection}/search")) {
        let link = sugang.get(&path).expect(200).at("/_links/findByOrderId");
        assert_eq!(link["templated"], true, "{path}: {link}");
        assert_eq!(link["href"], sugang.url(&format!("{path}/findByOrderId{{?orderId}}")), "{path}");
    }
}

#[test]
fn a_message_whose_delivery_has_not_changed_is_not_sent_again() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let path = "/notifications/order:1:1";
    eventually(|| sugang.get(path).text("/status"), "Sent");
    let etag = sugang.get(path).expect(200).header("etag").to_owned();
    let again = sugang.send(sugang.request("GET", path).header("if-none-match", &etag), None).expect(304);
    assert_eq!((again.body.as_str(), again.header("etag")), ("", etag.as_str()));
}
