//! Who may do what, tried from outside: every path, every method, as everybody.

use ::access::Role::{Customer, Manager, Operator};
use ::access::table::{Path, Rule, SCOPES, TABLE, Who};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use sugang_tests::members::{machine, member, order_key, service};
use sugang_tests::orders::{DECLINED_CARD, GOOD_CARD, with};
use sugang_tests::{Answer, Api, Options, Sugang, eventually, members, until};

store::on_postgres!(
    what_is_not_ones_own_is_as_what_is_not_there,
    a_guest_has_the_key_of_one_order,
    a_list_shows_what_one_may_see_and_counts_that,
    nobody_applies_and_pays_more_often_than_they_may,
);

/// The customers and managers of these tests.
const CUSTOMER: u64 = 7;
const OTHER: u64 = 8;
pub(super) const MANAGER: u64 = 50;
const OTHER_MANAGER: u64 = 51;

pub(super) fn as_customer(sugang: &Api, number: u64) -> Api {
    sugang.as_caller(&member(number, &[Customer]))
}

pub(super) fn as_manager(sugang: &Api, number: u64) -> Api {
    sugang.as_caller(&member(number, &[Customer, Manager]))
}

pub(super) fn as_operator(sugang: &Api) -> Api {
    sugang.as_caller(&member(99, &[Customer, Operator]))
}

fn as_guest(sugang: &Api, order: u64) -> Api {
    sugang.by("order-key", &order_key(order))
}

fn course(approval: &str) -> Value {
    json!({
        "title": "러스트 중급", "capacity": 30, "fee": 1000, "approval": approval,
        "startsAt": "2099-03-02T10:00:00+09:00", "endsAt": "2099-03-06T18:00:00+09:00",
    })
}

/// A course of [`MANAGER`], which `order` has heard of.
pub(super) fn open_course(sugang: &Api, approval: &str) -> u64 {
    let opened = as_manager(sugang, MANAGER).open_course(&course(approval)).expect(201);
    let edu_no = opened.at("/eduNo").as_u64().unwrap();
    assert_eq!(opened.at("/managers"), json!([MANAGER]));
    until("the course to be known", || {
        let answer = as_operator(sugang).apply(&json!({ "eduNo": edu_no, "cardNo": GOOD_CARD }));
        (answer.status == 201).then_some(edu_no)
    })
}

/// An order of this customer, which is known everywhere.
pub(super) fn applied(sugang: &Api, customer: u64, edu_no: u64) -> u64 {
    let order =
        as_customer(sugang, customer).apply(&json!({ "eduNo": edu_no, "cardNo": GOOD_CARD })).expect(201);
    let number = order.at("/orderId").as_u64().unwrap();
    assert_eq!(order.at("/customerId"), customer);
    let view =
        || as_operator(sugang).get(&format!("/infomations/{number}")).json()["reservationStatus"].is_string();
    eventually(view, true);
    number
}

#[test]
fn the_table_and_the_contract_are_about_the_same() {
    let sugang = Sugang::with(Options::new().members());
    let contract = sugang.get("/openapi.json").expect(200).at("/paths");
    let methods = |path: &Value| {
        let named = path
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "post", "patch", "delete", "put"].contains(&key.as_str()));
        named.map(|method| method.to_uppercase()).collect::<BTreeSet<_>>()
    };
    let described: BTreeSet<_> = contract
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| !path.starts_with("/informations"))
        .flat_map(|(path, said)| methods(said).into_iter().map(move |method| format!("{method} {path}")))
        .collect();
    let lines = TABLE
        .iter()
        .flat_map(|path| path.rules.iter().map(move |rule| format!("{} {}", rule.method, path.path)));
    assert_eq!(lines.collect::<BTreeSet<_>>(), described);
}

/// Somebody who asks, and which lines are about them.
struct Caller {
    name: &'static str,
    api: Api,
    is: Is,
    known: bool,
}

/// Whether somebody is who a line is about.
type Is = fn(Who) -> bool;

fn everybody(sugang: &Api, order: u64) -> Vec<Caller> {
    let caller = |name, api: Api, is, known| Caller { name, api, is, known };
    let mut everybody = vec![
        caller("a stranger", sugang.clone(), |who| who == Who::Anyone, false),
        caller("a guest", as_guest(sugang, order), |who| matches!(who, Who::Anyone | Who::Guest), false),
        caller(
            "a customer",
            as_customer(sugang, CUSTOMER),
            |who| matches!(who, Who::Anyone | Who::Customer),
            true,
        ),
        caller(
            "a manager",
            as_manager(sugang, MANAGER),
            |who| matches!(who, Who::Anyone | Who::Customer | Who::Manager),
            true,
        ),
        caller(
            "an operator",
            as_operator(sugang),
            |who| matches!(who, Who::Anyone | Who::Customer | Who::Operator),
            true,
        ),
        caller(
            "a context",
            sugang.as_caller(&service()),
            |who| matches!(who, Who::Anyone | Who::Service),
            true,
        ),
        caller("a machine without scopes", sugang.as_caller(&machine(&[])), |who| who == Who::Anyone, true),
    ];
    let scopes: [(&'static str, Is); 6] = [
        ("orders", |who| matches!(who, Who::Anyone | Who::Scope("orders"))),
        ("payments", |who| matches!(who, Who::Anyone | Who::Scope("payments"))),
        ("reservations", |who| matches!(who, Who::Anyone | Who::Scope("reservations"))),
        ("courses", |who| matches!(who, Who::Anyone | Who::Scope("courses"))),
        ("messages", |who| matches!(who, Who::Anyone | Who::Scope("messages"))),
        ("members", |who| matches!(who, Who::Anyone | Who::Scope("members"))),
    ];
    assert_eq!(scopes.map(|(scope, _)| scope), SCOPES);
    everybody.extend(scopes.map(|(scope, is)| caller(scope, sugang.as_caller(&machine(&[scope])), is, true)));
    everybody
}

/// Every path, every method, as everybody: whoever a line is not about gets 401 or 403, whatever they ask for, and whoever it
/// is about gets neither. A method without a line is 405 for everybody.
#[test]
fn everybody_may_do_what_the_table_says_and_nothing_else() {
    let sugang = Sugang::with(Options::new().members());
    let edu_no = open_course(&sugang, "automatic");
    // One that is over, so that its live status ends at once.
    let order = applied(&sugang, CUSTOMER, edu_no);
    as_customer(&sugang, CUSTOMER).cancel(order).expect(200);
    let view = || as_operator(&sugang).get(&format!("/infomations/{order}")).text("/reservationStatus");
    eventually(view, "Reservation Canceled");
    let pay = || as_operator(&sugang).get(&format!("/infomations/{order}")).text("/payStatus");
    eventually(pay, "Payment Canceled");
    let mut tried = 0;
    for path in TABLE {
        // The pages of the site are for everybody.
        if path.rules.iter().all(|rule| rule.grants == [(Who::Anyone, ::access::table::Whose::Everyones)]) {
            continue;
        }
        let address = address(path, order, edu_no);
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            for caller in everybody(&sugang, order) {
                let rule = path.rules.iter().find(|rule| rule.method.as_str() == method);
                let body = (method != "GET" && method != "DELETE").then(|| "{}".to_owned());
                let answer = caller.api.send(caller.api.json(method, &address), body);
                let who = format!("{method} {address} as {}: {} {}", caller.name, answer.status, answer.body);
                check(rule, &caller, &answer, &who);
                tried += 1;
            }
        }
    }
    assert!(tried > 1_500, "only {tried} were tried");
}

fn check(rule: Option<&Rule>, caller: &Caller, answer: &Answer, who: &str) {
    assert!(answer.status < 500, "{who}");
    let Some(rule) = rule else {
        assert_eq!(answer.status, 405, "{who}");
        return;
    };
    if rule.grants.iter().any(|(grant, _)| (caller.is)(*grant)) {
        // To sign in with nothing is refused in the same words as with something wrong.
        let signs_in = who.contains("/sessions") || who.contains("/members");
        // And a credential that does not count is refused even where none is needed.
        let may_be_unknown = signs_in || caller.name == "a context";
        assert!(!matches!(answer.status, 403 | 405) && (answer.status != 401 || may_be_unknown), "{who}");
    } else {
        // What a context sends is known only to whom it is sent.
        let refused = if caller.known { 403 } else { 401 };
        assert!(answer.status == refused || (caller.name == "a context" && answer.status == 401), "{who}");
        assert_eq!(answer.headers.contains_key("www-authenticate"), answer.status == 401, "{who}");
    }
}

/// A path with what these tests have in its places.
fn address(path: &Path, order: u64, edu_no: u64) -> String {
    let address = path.path.replace("{orderId}", &order.to_string()).replace("{eduNo}", &edu_no.to_string());
    let address = address.replace("{slug}", "not-found").replace("{customerId}", "12345");
    let address = address.replace("{sessionId}", "none").replace("{id}", &format!("order:{order}:1"));
    let address = address.replace("{deadLetterId}", "order:1-0");
    if address.contains("findByOrderId") { format!("{address}?orderId={order}") } else { address }
}

/// Another's number everywhere a number can be put: the answer is that of a number that nobody has.
#[test]
fn what_is_not_ones_own_is_as_what_is_not_there() {
    let sugang = Sugang::with(Options::new().members());
    let edu_no = open_course(&sugang, "manual");
    let order = applied(&sugang, OTHER, edu_no);
    let absent = order + 1;
    let status = json!({ "status": "Order Canceled" });
    let tries: [(&str, &str, Option<&Value>); 12] = [
        ("GET", "/orders/{}", None),
        ("PATCH", "/orders/{}", Some(&status)),
        ("PATCH", "/orders/{}", Some(&json!({ "status": "x" }))),
        ("DELETE", "/orders/{}", None),
        ("POST", "/orders/{}/payment", Some(&json!({ "cardNo": GOOD_CARD }))),
        ("GET", "/orders/search/findByOrderId?orderId={}", None),
        ("GET", "/pays/{}", None),
        ("GET", "/reservations/{}", None),
        ("GET", "/infomations/{}", None),
        ("GET", "/infomations/{}/events", None),
        ("GET", "/notifications/order:{}:1", None),
        ("GET", "/notifications?orderId={}", None),
    ];
    let guest = as_guest(&sugang, absent + 1);
    for caller in [as_customer(&sugang, CUSTOMER), guest] {
        for (method, path, body) in tries {
            let ask = |number: u64| {
                let path = path.replace("{}", &number.to_string());
                let answer = caller.send(caller.json(method, &path), body.map(ToString::to_string));
                (answer.status, answer.body.replace(&number.to_string(), "N"))
            };
            let (found, missing) = (ask(order), ask(absent));
            assert_eq!(found, missing, "{method} {path}");
            // A stream in which nothing is heard ends with that.
            let nothing = found.1.contains("\"totalElements\":0") || found.1.contains("id: unheard");
            assert!(found.0 == 404 || nothing, "{method} {path}: {found:?}");
        }
    }
    // Nor can a manager of another course say anything about it.
    let confirm = |api: Api| api.decide(order, "Reservation Confirmed");
    confirm(as_manager(&sugang, OTHER_MANAGER)).expect_problem(404, "not-found");
    as_manager(&sugang, OTHER_MANAGER)
        .change_course(edu_no, &json!({ "capacity": 1 }))
        .expect_problem(403, "not-allowed");
    as_manager(&sugang, OTHER_MANAGER)
        .get(&format!("/courses/{edu_no}/roster"))
        .expect_problem(403, "not-allowed");
    // No number can be chosen, and nobody applied for but oneself.
    let apply = |order: Value| {
        as_customer(&sugang, CUSTOMER).apply(&with(json!({ "eduNo": edu_no, "cardNo": GOOD_CARD }), &order))
    };
    assert_eq!(apply(json!({ "orderId": order })).body, apply(json!({ "orderId": absent })).expect(422).body);
    apply(json!({ "customerId": OTHER })).expect_problem(403, "not-allowed");
    apply(json!({ "customerId": CUSTOMER })).expect(201);
    // What is left of it is what its owner sees.
    assert_eq!(as_customer(&sugang, OTHER).order(order).expect(200).at("/status"), "Ordered");
    confirm(as_manager(&sugang, MANAGER)).expect(200);
}

#[test]
fn a_key_is_ones_own() {
    let sugang = Sugang::with(Options::new().members());
    let edu_no = open_course(&sugang, "automatic");
    let apply = |api: &Api, key: &str| {
        let request = api.json("POST", "/orders").header("idempotency-key", key);
        api.send(request, Some(json!({ "eduNo": edu_no, "cardNo": GOOD_CARD }).to_string()))
    };
    let (one, other) = (as_customer(&sugang, CUSTOMER), as_customer(&sugang, OTHER));
    let taken = apply(&one, "k").expect(201);
    assert_eq!(apply(&one, "k").expect(201).at("/orderId"), taken.at("/orderId"));
    assert_ne!(apply(&other, "k").expect(201).at("/orderId"), taken.at("/orderId"));
    apply(&sugang, "k").expect_problem(400, "idempotency-key-malformed");
    let guests = apply(&sugang, "8e03978e-40d5-43dd-bc93").expect(201);
    assert_eq!(apply(&sugang, "8e03978e-40d5-43dd-bc93").expect(201).at("/orderKey"), guests.at("/orderKey"));
}

#[test]
fn a_guest_has_the_key_of_one_order() {
    let sugang = Sugang::with(Options::new().members());
    let edu_no = open_course(&sugang, "automatic");
    let application = json!({ "eduNo": edu_no, "cardNo": GOOD_CARD });
    let taken = sugang.apply(&application).expect(201);
    let (order, key) = (taken.at("/orderId").as_u64().unwrap(), taken.text("/orderKey"));
    assert_eq!(key, order_key(order));
    assert!(taken.at("/customerId").is_null());
    let guest = sugang.by("order-key", &key);
    let path = format!("/orders/{order}");
    assert!(guest.get(&path).expect(200).at("/orderKey").is_null(), "it is told once");
    // Its tag is that of the order, whatever else the first answer had.
    assert_eq!(guest.get(&path).header("etag"), taken.header("etag"));
    let cookie = sugang.by("cookie", &format!("sugang-order-{order}={key}"));
    cookie.get(&path).expect(200);
    cookie.delete(&path).expect_problem(401, "sign-in-required");
    eventually(|| guest.get(&format!("/infomations/{order}")).status, 200);
    eventually(
        || guest.get(&format!("/notifications?orderId={order}")).at("/page/totalElements").as_u64() > Some(0),
        true,
    );
    guest.get(&format!("/pays/{order}")).expect(200);
    let another = sugang.apply(&application).expect(201).at("/orderId").as_u64().unwrap();
    guest.order(another).expect_problem(404, "not-found");
    sugang
        .by("order-key", &key.replace(&order.to_string(), &another.to_string()))
        .order(another)
        .expect_problem(401, "token-invalid");
    sugang.order(order).expect_problem(401, "sign-in-required");
    guest.get("/orders").expect_problem(401, "sign-in-required");
    guest.cancel(order).expect(200);
    // A guest has no customer's number, and chooses none for the order.
    sugang
        .apply(&with(application.clone(), &json!({ "customerId": 1 })))
        .expect_problem(401, "sign-in-required");
    sugang.apply(&with(application, &json!({ "orderId": 1 }))).expect_problem(422, "invalid-fields");
}

#[test]
fn a_list_shows_what_one_may_see_and_counts_that() {
    let sugang = Sugang::with(Options::new().members());
    let edu_no = open_course(&sugang, "manual");
    let (own, others) = (applied(&sugang, CUSTOMER, edu_no), applied(&sugang, OTHER, edu_no));
    let listed = |api: &Api, path: &str, relation: &str| {
        let page = api.get(path).expect(200);
        let numbers: Vec<_> =
            page.items(relation).iter().map(|item| item["orderId"].as_u64().unwrap()).collect();
        assert_eq!(page.at("/page/totalElements"), numbers.len(), "{path}");
        numbers
    };
    for (path, relation) in [
        ("/orders", "orders"),
        ("/pays", "pays"),
        ("/reservations", "reservations"),
        ("/infomations", "infomations"),
    ] {
        assert_eq!(listed(&as_customer(&sugang, CUSTOMER), path, relation), [own], "{path}");
        let asked = format!("{path}?customerId={OTHER}");
        assert!(listed(&as_customer(&sugang, CUSTOMER), &asked, relation).is_empty(), "{path}");
        assert_eq!(listed(&as_customer(&sugang, OTHER), &asked, relation), [others], "{path}");
        assert!(listed(&as_operator(&sugang), path, relation).len() >= 3, "{path}");
    }
    let messages = listed(&as_customer(&sugang, CUSTOMER), "/notifications", "notifications");
    assert!(!messages.is_empty() && messages.iter().all(|order| *order == own));
    // The operator's trial order is one of the course as well.
    let of_course = |api: &Api, path: &str, relation: &str| {
        let listed = listed(api, path, relation);
        [own, others].iter().all(|order| listed.contains(order))
    };
    let manager = as_manager(&sugang, MANAGER);
    assert!(of_course(&manager, "/reservations", "reservations"));
    assert!(of_course(&manager, "/infomations", "infomations"));
    assert!(of_course(&manager, &format!("/courses/{edu_no}/roster"), "reservations"));
    assert!(listed(&manager, "/orders", "orders").is_empty() && listed(&manager, "/pays", "pays").is_empty());
    assert!(listed(&as_manager(&sugang, OTHER_MANAGER), "/reservations", "reservations").is_empty());
    // Managers change hands, also once the course has started.
    manager.change_course(edu_no, &json!({ "status": "Started" })).expect(200);
    manager.change_course(edu_no, &json!({ "managers": [OTHER_MANAGER] })).expect(200);
    assert!(listed(&manager, "/reservations", "reservations").is_empty());
    assert!(of_course(&as_manager(&sugang, OTHER_MANAGER), "/reservations", "reservations"));
    // Links say what may be done by the one who asks.
    let links = |api: &Api| {
        api.course(edu_no).expect(200).at("/_links").as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(links(&as_customer(&sugang, CUSTOMER)), ["self"]);
    assert!(links(&as_manager(&sugang, OTHER_MANAGER)).contains(&"finish".to_owned()));
}

#[test]
fn a_token_that_does_not_count_is_refused_even_where_none_is_needed() {
    let sugang = Sugang::with(Options::new().members());
    let claims = |exp: u64| {
        ::access::token::Claims::of_member(
            kernel::CustomerId::parse(CUSTOMER).unwrap(),
            "s",
            &[Operator],
            exp - 300,
            exp,
        )
    };
    let good = members::bearer(&claims(members::now() + 300));
    let (header, rest) = good.trim_start_matches("Bearer ").split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let none = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"at+jwt","kid":"tests"}"#);
    let hs256 = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"HS256","typ":"at+jwt","kid":"tests"}"#);
    for token in [
        members::bearer(&claims(members::now() - 60)),
        format!("Bearer {none}.{payload}."),
        format!("Bearer {none}.{payload}.{signature}"),
        format!("Bearer {hs256}.{payload}.{signature}"),
        format!("Bearer {header}.{payload}."),
        format!("Bearer {header}.{payload}"),
        "Bearer".to_owned(),
        "Basic eDp5".to_owned(),
        "Service wrong".to_owned(),
        service() + "x",
    ] {
        for path in ["/courses", "/orders"] {
            sugang.as_caller(&token).get(path).expect_problem(401, "token-invalid");
        }
    }
    sugang.as_caller(&good).get("/orders").expect(200);
    // A cookie is sent unasked: one that does not count is none.
    sugang.by("cookie", "sugang-access=x").get("/courses").expect(200);
}

/// Whoever is signed in, and all guests of one address, may apply and pay so often and no more. Nobody else is held up by it.
#[test]
fn nobody_applies_and_pays_more_often_than_they_may() {
    let options = Options::new().members();
    let options = options.variable("member_tries_per_hour", "3").variable("address_tries_per_hour", "2");
    let sugang = Sugang::with(options);
    let edu_no = open_course(&sugang, "automatic");
    let order = json!({ "eduNo": edu_no, "cardNo": GOOD_CARD });
    let customer = as_customer(&sugang, CUSTOMER);
    let keyed = || customer.by("idempotency-key", "0123456789abcdef").apply(&order);
    let first = keyed().expect(201).at("/orderId").as_u64().unwrap();
    customer.apply(&json!({ "eduNo": edu_no, "cardNo": DECLINED_CARD })).expect(201);
    let declined = customer.apply(&json!({ "eduNo": edu_no, "cardNo": DECLINED_CARD })).expect(201);
    let refused = customer.apply(&order).expect_problem(429, "too-many-requests");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1100..=1200).contains(&wait), "{wait} s");
    // Cards are not tried out either.
    let declined = declined.at("/orderId").as_u64().unwrap();
    customer.pay(declined, DECLINED_CARD).expect_problem(429, "too-many-requests");
    // What was taken is answered again, and can be looked at and ended.
    assert_eq!(keyed().expect(201).at("/orderId"), first);
    customer.cancel(first).expect(200);
    assert_eq!(as_customer(&sugang, OTHER).apply(&order).expect(201).at("/customerId"), OTHER);

    sugang.apply(&order).expect(201);
    sugang.apply(&order).expect(201);
    sugang.apply(&order).expect_problem(429, "too-many-requests");
    as_customer(&sugang, OTHER).apply(&order).expect(201);
    for _ in 0..5 {
        as_operator(&sugang).apply(&order).expect(201);
    }
}
