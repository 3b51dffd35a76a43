//! What a client sees, from the request to the tables.

use super::*;
use crate::ports::{NoReceipt, Receipt};
use crate::service::Closing;
use ::store::native::Store;
use access::Caller;
use futures::executor::block_on;
use journal::Journal;
use kernel::{Unavailable, clock};
use serde_json::Value;
use serde_json::json;
use std::cell::{Cell, RefCell};

::store::on_postgres!(
    a_payment_is_created_and_found_under_its_location,
    asking_again_is_200_and_no_second_charge,
    a_decline_is_an_answer_and_the_next_card_pays,
    nothing_to_pay_needs_no_card,
    a_gateway_that_fails_is_502_and_nothing_is_stored,
    other_content_under_the_same_number_is_a_conflict,
    a_closed_number_is_a_conflict_that_names_the_present_status,
    every_field_that_cannot_be_taken_is_named_and_nothing_is_charged,
    what_is_not_there_and_what_is_not_taken_is_said,
    a_client_that_has_the_present_state_is_not_sent_it_again,
    a_condition_that_no_new_payment_can_meet_and_a_key_that_is_not_its_number_are_refused,
    the_searches_lead_to_the_payment,
    lists_are_filtered_and_go_by_page_or_by_key,
    a_card_number_is_in_no_answer_and_in_no_table,
    a_payment_costs_one_load_and_one_commit,
    after_five_years_a_payment_is_nobodys_and_is_still_there,
);

#[test]
fn after_five_years_a_payment_is_nobodys_and_is_still_there() {
    use eventlog::Worker as _;
    let client = Client::new();
    let paid = client.pay(r#"{"orderId":1113,"customerId":7,"eduNo":101,"amount":10000,"cardNo":"1234"}"#);
    assert_eq!((&paid.body["customerId"], &paid.body["cardLast4"]), (&json!(7), &json!("1234")));
    let store = &client.0.journal.storage;
    store.run("/*postgres UPDATE events SET position = inserted*/", &[]).unwrap();
    clock::set(Timestamp::now().plus_minutes(24 * 60 * 1827 + 1));
    ::store::native::at_once(client.0.tick(true)).unwrap().unwrap();
    let shown = client.get("/pays/1113").body;
    assert_eq!(
        (&shown["customerId"], &shown["amount"], &shown["status"]),
        (&Value::Null, &json!(10000), &json!("Paid"))
    );
    assert_eq!(client.get("/pays?customerId=7").body["page"]["totalElements"], 0);
    let row = "SELECT count(*) FROM pays WHERE card_last4 IS NULL AND transaction_id IS NOT NULL";
    assert_eq!(store.number(row).unwrap(), 1);
}

/// A card company that approves, declines or fails by the card, and remembers nothing.
#[derive(Default)]
struct Cards {
    charges: RefCell<Vec<String>>,
}

impl Gateway for Cards {
    async fn charge(
        &self,
        key: String,
        _: OrderId,
        amount: Won,
        card: &CardNumber,
    ) -> Result<Receipt, NoReceipt> {
        self.charges.borrow_mut().push(key.clone());
        let card_last4 = card.last4().to_owned();
        match card.last4() {
            "0002" => Err(NoReceipt::Declined { reason: "declined".to_owned(), card_last4 }),
            "0119" => Err(NoReceipt::Unavailable(Unavailable("the connection is down".to_owned()))),
            _ => Ok(Receipt { transaction_id: format!("t-{key}"), amount, card_last4 }),
        }
    }

    async fn cancel(&self, _: String) -> Result<Won, Unavailable> {
        Ok(Won::ZERO)
    }
}

#[derive(Default)]
struct Told(Cell<usize>);

impl Tell for Told {
    fn committed(&self) {
        self.0.set(self.0.get() + 1);
    }
}

/// What a client sees of an answer.
struct Seen {
    status: u16,
    body: Value,
    response: Response,
}

struct Client(Service<Cards, Store, Told>);

impl Client {
    fn new() -> Self {
        clock::set(Timestamp::from_millis(1_795_309_323_004));
        let storage = Store::new(&store::DATABASE);
        let journal = Journal { storage, tell: Told::default() };
        Self(Service { gateway: Cards::default(), journal, contract_records_days: 1827 })
    }

    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let headers = [&[("host", "h")], headers].concat();
        let request = Request::new(method, path, &headers, body).unwrap();
        let response = block_on(hal::answer(&request, async |request: &Request| {
            answer(&self.0, request, &Reach::open(Caller::default())).await
        }));
        Seen { status: response.status().as_u16(), body: response.json(), response }
    }

    fn pay(&self, body: &str) -> Seen {
        self.ask(Method::POST, "/pays", &[], body)
    }

    fn get(&self, path: &str) -> Seen {
        self.ask(Method::GET, path, &[], "")
    }

    fn charges(&self) -> Vec<String> {
        self.0.gateway.charges.borrow().clone()
    }

    fn told(&self) -> usize {
        self.0.journal.tell.0.get()
    }
}

const PAY: &str = r#"{"orderId":"1113","customerId":"1","eduNo":"101","guest":"2","amount":"100","cardNo":"4111111111111234"}"#;

fn with(changes: Value) -> String {
    let mut body: Value = serde_json::from_str(PAY).unwrap();
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

#[test]
fn a_payment_is_created_and_found_under_its_location() {
    let client = Client::new();
    let created = client.pay(PAY);
    assert_eq!(created.status, 201);
    assert_eq!(created.response.get("location"), Some("http://h/pays/1113"));
    assert_eq!(
        created.body,
        json!({
            "orderId": 1113, "customerId": 1, "eduNo": 101, "guest": 2, "amount": 100, "status": "Paid",
            "cardLast4": "1234", "transactionId": "t-1113-1", "paidAt": "2026-11-22T01:02:03.004Z",
            "refundedAt": null, "version": 1, "_links": { "self": { "href": "http://h/pays/1113" }, "pay": { "href": "http://h/pays/1113" } },
        })
    );
    let shown = client.get("/pays/1113");
    assert_eq!((&shown.body, shown.response.get("etag")), (&created.body, created.response.get("etag")));
    assert_eq!(client.get("/pays").body["_embedded"]["pays"], json!([created.body]));
}

#[test]
fn asking_again_is_200_and_no_second_charge() {
    let client = Client::new();
    let created = client.pay(PAY);
    let again = client.pay(PAY);
    assert_eq!((again.status, again.body), (200, created.body));
    assert_eq!(client.charges(), ["1113-1"]);
    assert_eq!(client.told(), 1);
}

#[test]
fn a_decline_is_an_answer_and_the_next_card_pays() {
    let client = Client::new();
    let declined = client.pay(&with(json!({ "cardNo": "4000000000000002" })));
    assert_eq!((declined.status, &declined.body["status"]), (201, &json!("Payment Declined")));
    let paid = client.pay(PAY);
    assert_eq!((paid.status, &paid.body["status"], &paid.body["version"]), (201, &json!("Paid"), &json!(2)));
    assert_eq!(client.charges(), ["1113-1", "1113-2"]);
}

#[test]
fn nothing_to_pay_needs_no_card() {
    let client = Client::new();
    let paid = client.pay(&with(json!({ "amount": 0, "cardNo": null })));
    assert_eq!(
        (paid.status, &paid.body["status"], &paid.body["cardLast4"]),
        (201, &json!("Paid"), &Value::Null)
    );
    assert!(client.charges().is_empty());
}

#[test]
fn a_gateway_that_fails_is_502_and_nothing_is_stored() {
    let client = Client::new();
    let failed = client.pay(&with(json!({ "cardNo": "4000000000000119" })));
    assert_eq!((failed.status, &failed.body["type"]), (502, &json!("/problems/gateway-unavailable")));
    assert!(failed.response.get("retry-after").is_some());
    assert!(!failed.body.to_string().contains("connection is down"));
    assert_eq!(client.get("/pays/1113").status, 404);
}

#[test]
fn other_content_under_the_same_number_is_a_conflict() {
    let client = Client::new();
    client.pay(PAY);
    for other in [json!({ "amount": 99 }), json!({ "eduNo": 102 }), json!({ "amount": 0 })] {
        let refused = client.pay(&with(other));
        assert_eq!(
            (refused.status, &refused.body["type"]),
            (409, &json!("/problems/payment-content-differs"))
        );
    }
}

#[test]
fn a_closed_number_is_a_conflict_that_names_the_present_status() {
    let client = Client::new();
    let applicant = Applicant {
        order_id: OrderId::parse(1113).unwrap(),
        customer_id: None,
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    };
    block_on(client.0.close(&[Closing { applicant, traceparent: None }])).unwrap();
    let refused = client.pay(PAY);
    assert_eq!((refused.status, &refused.body["type"]), (409, &json!("/problems/payment-closed")));
    assert_eq!(refused.body["presentStatus"], "Payment Canceled");
    assert!(client.charges().is_empty());
    let shown = client.get("/pays/1113");
    assert_eq!((&shown.body["status"], &shown.body["amount"]), (&json!("Payment Canceled"), &json!(0)));
}

#[test]
fn every_field_that_cannot_be_taken_is_named_and_nothing_is_charged() {
    let client = Client::new();
    for (changes, fields) in [
        (json!({ "orderId": null, "eduNo": -1, "amount": null }), vec!["orderId", "eduNo", "amount"]),
        (json!({ "orderId": 9_007_199_254_740_992_u64 }), vec!["orderId"]),
        (json!({ "amount": 2_000_000_001_u64, "cardNo": "12a4" }), vec!["amount", "cardNo"]),
        (json!({ "guest": 21, "language": "fr" }), vec!["guest", "language"]),
        (json!({ "cardNo": null }), vec!["cardNo"]),
    ] {
        let refused = client.pay(&with(changes.clone()));
        let errors = refused.body["errors"].as_array().unwrap();
        let named: Vec<_> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!((refused.status, named), (422, fields), "{changes}");
    }
    assert!(client.charges().is_empty());
}

#[test]
fn what_is_not_there_and_what_is_not_taken_is_said() {
    let client = Client::new();
    for path in ["/pays/1113", "/pays/0", "/pays/x", "/pays/1/2", "/pays/search/findByName"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/pays/1113", "GET, HEAD, OPTIONS"),
        (Method::PATCH, "/pays/1113", "GET, HEAD, OPTIONS"),
        (Method::PUT, "/pays", "GET, HEAD, POST, OPTIONS"),
    ] {
        let refused = client.ask(method, path, &[], "");
        assert_eq!((refused.status, refused.response.get("allow")), (405, Some(allow)), "{path}");
    }
    assert_eq!(client.get("/pays/search/findByOrderId").status, 422);
    assert_eq!(client.pay("not json").status, 400);
}

#[test]
fn a_client_that_has_the_present_state_is_not_sent_it_again() {
    let client = Client::new();
    client.pay(&with(json!({ "cardNo": "4000000000000002" })));
    for path in ["/pays/1113", "/pays", "/pays/search/findByOrderId?orderId=1113"] {
        let tag = client.get(path).response.get("etag").unwrap().to_owned();
        let reread = || client.ask(Method::GET, path, &[("if-none-match", &tag)], "").status;
        assert_eq!(reread(), 304, "{path}");
    }
    let tag = client.get("/pays/1113").response.get("etag").unwrap().to_owned();
    client.pay(PAY);
    assert_eq!(client.ask(Method::GET, "/pays/1113", &[("if-none-match", &tag)], "").status, 200);
    assert_eq!(client.ask(Method::GET, "/pays/1113", &[("if-match", &tag)], "").status, 412);
}

#[test]
fn a_condition_that_no_new_payment_can_meet_and_a_key_that_is_not_its_number_are_refused() {
    let client = Client::new();
    for (header, status, kind) in [
        (("if-match", "\"1\""), 412, "precondition-failed"),
        (("if-none-match", "*"), 412, "precondition-failed"),
        (("idempotency-key", "a"), 400, "idempotency-key-not-taken"),
        (("idempotency-key", ""), 400, "idempotency-key-malformed"),
    ] {
        let refused = client.ask(Method::POST, "/pays", &[header], PAY);
        let kind = json!(format!("/problems/{kind}"));
        assert_eq!((refused.status, &refused.body["type"]), (status, &kind), "{header:?}");
    }
    assert!(client.charges().is_empty());
    assert_eq!(client.ask(Method::POST, "/pays", &[("if-match", "*")], PAY).status, 201);
}

#[test]
fn the_searches_lead_to_the_payment() {
    let client = Client::new();
    client.pay(PAY);
    let searches = client.get("/pays/search").body;
    assert_eq!(
        searches["_links"]["findByOrderId"],
        json!({ "href": "http://h/pays/search/findByOrderId{?orderId}", "templated": true })
    );
    let found = client.get("/pays/search/findByOrderId?orderId=1113");
    assert_eq!((found.status, &found.body["orderId"]), (200, &json!(1113)));
}

#[test]
fn lists_are_filtered_and_go_by_page_or_by_key() {
    let client = Client::new();
    for id in 1..=5 {
        client.pay(&with(json!({ "orderId": id, "eduNo": 100 + id % 2 })));
    }
    let numbers = |path: &str| {
        let listed = client.get(path).body["_embedded"]["pays"].clone();
        listed.as_array().unwrap().iter().map(|pay| pay["orderId"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(numbers("/pays?size=2&page=1"), [3, 4]);
    assert_eq!(numbers("/pays?sort=orderId,desc&size=2"), [5, 4]);
    assert_eq!(numbers("/pays?after=3"), [4, 5]);
    assert_eq!(numbers("/pays?eduNo=100&status=Paid"), [2, 4]);
    assert_eq!(client.get("/pays?eduNo=100").body["page"]["totalElements"], 2);
    assert_eq!(client.get("/pays?status=Unpaid").status, 422);
}

#[test]
fn a_card_number_is_in_no_answer_and_in_no_table() {
    let client = Client::new();
    let whole = "4111111111111234";
    assert!(!client.pay(PAY).body.to_string().contains(whole));
    for table in ["events", "pays"] {
        let stored = client.0.journal.storage.dump(table).unwrap();
        assert!(stored.len() == 1 && !stored[0].contains(whole), "{stored:?}");
    }
}

#[test]
fn a_payment_costs_one_load_and_one_commit() {
    let client = Client::new();
    client.pay(PAY);
    assert_eq!(client.0.journal.storage.statements(), 2);
}
