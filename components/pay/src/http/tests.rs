//! What a client sees, from the request to the tables.

use super::*;
use crate::cashier::{NoReceipt, Receipt, Unavailable};
use crate::store::tests::sqlite;
use ::http::{HeaderMap, HeaderName};
use ::store::native::Sqlite;
use futures::executor::block_on;
use hal::Query;
use kernel::Timestamp;
use std::cell::RefCell;

/// A card company that approves, declines or fails by the card, and remembers nothing.
#[derive(Default)]
struct Cards {
    charges: RefCell<Vec<String>>,
}

impl Gateway for &Cards {
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
            "0119" => Err(NoReceipt::Unavailable("the line is down".to_owned())),
            _ => Ok(Receipt { transaction_id: format!("t-{key}"), amount, card_last4 }),
        }
    }

    async fn cancel(&self, _: String) -> Result<Won, Unavailable> {
        Ok(Won::ZERO)
    }
}

struct Client<'a>(Cashier<&'a Cards, Pays<Sqlite>>);

impl<'a> Client<'a> {
    fn new(cards: &'a Cards) -> Self {
        Self(Cashier {
            gateway: cards,
            payments: Pays(sqlite()),
            clock: || Timestamp::from_millis(1_795_309_323_004),
        })
    }

    fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answered, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let request = Request {
            method,
            segments: path.split('/').skip(1).map(str::to_owned).collect(),
            path: path.to_owned(),
            query: Query::default(),
            headers: map,
            body: body.to_owned().into(),
            base: "http://h".to_owned(),
        };
        block_on(answer(&self.0, &request))
    }

    /// Status, header fields and body of an answer.
    fn see(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Seen {
        let response = match self.ask(method, path, headers, body) {
            Ok(answered) => answered.response,
            Err(Error::Problem(problem)) => (*problem).into(),
            Err(Error::Failure(e) | Error::Unavailable(e)) => panic!("{e:#}"),
        };
        let (parts, body) = response.into_http().into_parts();
        let body = block_on(http_body_util::BodyExt::collect(body)).unwrap().to_bytes();
        Seen {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    fn pay(&self, body: &str) -> Seen {
        self.see(Method::POST, "/pays", &[], body)
    }

    fn get(&self, path: &str) -> Seen {
        self.see(Method::GET, path, &[], "")
    }
}

struct Seen {
    status: u16,
    headers: HeaderMap,
    body: Value,
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
    let cards = Cards::default();
    let client = Client::new(&cards);
    let created = client.pay(PAY);
    assert_eq!(created.status, 201);
    assert_eq!(created.headers["location"], "http://h/pays/1113");
    assert_eq!(created.headers["etag"], "\"1\"");
    assert_eq!(
        created.body,
        json!({
            "orderId": 1113, "customerId": 1, "eduNo": 101, "guest": 2, "amount": 100, "status": "Paid",
            "cardLast4": "1234", "transactionId": "t-1113-1", "paidAt": "2026-11-22T01:02:03.004Z",
            "refundedAt": null, "version": 1, "_links": { "self": { "href": "http://h/pays/1113" }, "pay": { "href": "http://h/pays/1113" } },
        })
    );
    assert_eq!(client.get("/pays/1113").body, created.body);
    assert_eq!(client.get("/pays").body["_embedded"]["pays"], json!([created.body]));
}

#[test]
fn asking_again_is_200_and_no_second_charge() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    assert!(client.ask(Method::POST, "/pays", &[], PAY).unwrap().committed);
    let created = client.get("/pays/1113");
    let again = client.pay(PAY);
    assert_eq!((again.status, again.body), (200, created.body));
    assert_eq!(*cards.charges.borrow(), ["1113-1"]);
    assert!(!client.ask(Method::POST, "/pays", &[], PAY).unwrap().committed);
}

#[test]
fn a_decline_is_an_answer_and_the_next_card_pays() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    let declined = client.pay(&with(json!({ "cardNo": "4000000000000002" })));
    assert_eq!((declined.status, &declined.body["status"]), (201, &json!("Payment Declined")));
    let paid = client.pay(PAY);
    assert_eq!((paid.status, &paid.body["status"], &paid.body["version"]), (201, &json!("Paid"), &json!(2)));
    assert_eq!(*cards.charges.borrow(), ["1113-1", "1113-2"]);
}

#[test]
fn nothing_to_pay_needs_no_card() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    let paid = client.pay(&with(json!({ "amount": 0, "cardNo": null })));
    assert_eq!(
        (paid.status, &paid.body["status"], &paid.body["cardLast4"]),
        (201, &json!("Paid"), &Value::Null)
    );
    assert!(cards.charges.borrow().is_empty());
}

#[test]
fn a_gateway_that_fails_is_502_and_nothing_is_stored() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    let failed = client.pay(&with(json!({ "cardNo": "4000000000000119" })));
    assert_eq!((failed.status, &failed.body["type"]), (502, &json!("/problems/gateway-unavailable")));
    assert!(failed.headers.contains_key("retry-after"));
    assert!(!failed.body.to_string().contains("line is down"));
    assert_eq!(client.get("/pays/1113").status, 404);
}

#[test]
fn other_content_under_the_same_number_is_a_conflict() {
    let cards = Cards::default();
    let client = Client::new(&cards);
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
    let cards = Cards::default();
    let client = Client::new(&cards);
    let applicant = Applicant {
        order_id: OrderId::parse(1113).unwrap(),
        customer_id: None,
        edu_no: EduNo::parse(101).unwrap(),
        guest: Guests::ONE,
        language: Language::Ko,
    };
    block_on(client.0.close(&[crate::cashier::Wish { applicant, traceparent: None }])).unwrap();
    let refused = client.pay(PAY);
    assert_eq!((refused.status, &refused.body["type"]), (409, &json!("/problems/payment-closed")));
    assert_eq!(refused.body["presentStatus"], "Payment Canceled");
    assert!(cards.charges.borrow().is_empty());
    let shown = client.get("/pays/1113");
    assert_eq!((&shown.body["status"], &shown.body["amount"]), (&json!("Payment Canceled"), &json!(0)));
}

#[test]
fn every_field_that_cannot_be_taken_is_named_and_nothing_is_charged() {
    let cards = Cards::default();
    let client = Client::new(&cards);
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
    assert!(cards.charges.borrow().is_empty());
}

#[test]
fn what_is_not_there_and_what_is_not_taken_is_said() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    for path in ["/pays/1113", "/pays/0", "/pays/x", "/pays/1/2", "/pays/search/findByName"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    for (method, path, allow) in [
        (Method::DELETE, "/pays/1113", "GET, HEAD, OPTIONS"),
        (Method::PATCH, "/pays/1113", "GET, HEAD, OPTIONS"),
        (Method::PUT, "/pays", "GET, HEAD, POST, OPTIONS"),
    ] {
        let refused = client.see(method, path, &[], "");
        assert_eq!((refused.status, &refused.headers["allow"]), (405, &allow.parse().unwrap()), "{path}");
    }
    assert_eq!(client.get("/pays/search/findByOrderId").status, 422);
    assert_eq!(client.pay("not json").status, 400);
}

#[test]
fn a_client_that_has_the_present_state_is_not_sent_it_again() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    client.pay(PAY);
    let seen = client.see(Method::GET, "/pays/1113", &[("if-none-match", "\"1\"")], "");
    assert_eq!(seen.status, 304);
}

#[test]
fn a_card_number_is_in_no_answer_and_in_no_table() {
    let cards = Cards::default();
    let client = Client::new(&cards);
    let whole = "4111111111111234";
    assert!(!client.pay(PAY).body.to_string().contains(whole));
    let stored = block_on(client.0.payments.0.query("SELECT data FROM events", vec![])).unwrap();
    assert!(!stored[0].text(0).unwrap().contains(whole));
}
