//! Signing in at a provider, from the request to the tables.

use crate::id_token::tests::{Signs, claims};
use crate::secrets::Token;
use crate::service::Service;
use crate::settings::Settings;
use crate::store::{self, Shown};
use crate::testing::{Client, OPERATOR, PHONE, Seen, form, phone};
use hal::Method;
use kernel::Timestamp;
use serde_json::{Value, json};
use std::rc::Rc;

::store::on_postgres!(
    whoever_is_new_registers_and_is_the_same_member_from_then_on,
    a_verified_telephone_links_and_one_that_is_not_leads_to_nobodys_account,
    somebody_whom_the_provider_knows_no_telephone_of_is_a_member_without_one,
    an_id_token_counts_once_however_its_signature_is_written,
    keys_that_the_provider_has_replaced_are_fetched_and_its_old_ones_are_forgotten,
    a_provider_that_does_not_answer_is_left_alone_for_a_moment_and_codes_go_on,
    of_two_who_register_as_one_identity_one_is_told_to_sign_in,
    nothing_is_left_of_who_somebody_was_to_a_provider_who_is_erased,
);

/// A provider with one key, at which people sign in.
struct At {
    client: Client,
    signs: Signs,
}

impl At {
    fn new() -> Self {
        let at = Self { client: Client::new(), signs: Signs::p256() };
        at.publishes(&[at.signs.jwk("first")]);
        at
    }

    fn publishes(&self, keys: &[Value]) {
        *self.client.service.ports.document.borrow_mut() = Some(json!({ "keys": keys }).to_string());
    }

    fn token(&self, subject: &str, more: &Value) -> String {
        let mut claims = claims(subject, "n", Timestamp::now());
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.signs.token("first", &claims)
    }

    fn show(&self, token: &str) -> Seen {
        self.client.post("/sessions", "", json!({ "idToken": token, "nonce": "n" }))
    }

    fn sign_in(&self, subject: &str, more: Value) -> Seen {
        // No two tokens are the same.
        self.client.pass(1);
        self.show(&self.token(subject, &more))
    }

    fn register(&self, subject: &str, more: Value) -> Seen {
        let refused = self.sign_in(subject, more);
        assert_eq!(refused.problem(), "403 registration-required");
        self.client.post("/members", "", form(&refused.text("registrationToken")))
    }

    fn fetched(&self) -> usize {
        self.client.service.ports.fetched.get()
    }
}

fn verified(phone: &str) -> Value {
    json!({ "phone_number": phone, "phone_number_verified": true })
}

#[test]
fn whoever_is_new_registers_and_is_the_same_member_from_then_on() {
    let at = At::new();
    let registered = at.register("7", verified(PHONE));
    assert_eq!((registered.status, &registered.body["member"]["customerId"]), (201, &json!(1)));
    assert_eq!(at.client.events(), ["MemberRegistered"]);
    let again = at.sign_in("7", json!({}));
    assert_eq!((again.status, &again.body["member"]["customerId"]), (201, &json!(1)));
    let me = at.client.get("/members/me", &again.text("accessToken"));
    assert_eq!(
        (&me.body["phone"], &me.body["consents"][1]["given"]),
        (&json!("+821011112222"), &json!(true))
    );
    let data = at.client.get("/members/me/data", &again.text("accessToken")).body;
    assert_eq!(data["identities"][0]["subject"], "7");
    // Somebody else at the same provider is somebody else here.
    assert_eq!(at.register("8", json!({})).body["member"]["customerId"], 2);
    // A code lets the same member in.
    assert_eq!(at.client.sign_in(PHONE).body["member"]["customerId"], 1);
    assert_eq!(at.fetched(), 1, "the keys are kept");
}

#[test]
fn a_verified_telephone_links_and_one_that_is_not_leads_to_nobodys_account() {
    let at = At::new();
    let operator = at.client.register(OPERATOR);
    let unverified = json!({ "phone_number": OPERATOR, "phone_number_verified": false, "email": "gil@example.com", "email_verified": true });
    assert_eq!(at.sign_in("7", unverified).problem(), "403 registration-required", "nor does an address");
    assert_eq!(at.client.number("SELECT count(*) FROM identities"), 0);
    let linked = at.sign_in("8", verified(OPERATOR));
    assert_eq!(linked.body["member"]["customerId"], operator.body["member"]["customerId"]);
    assert_eq!(linked.body["member"]["roles"], json!(["customer", "operator"]));
    at.client.tick();
    let trail = at.client.get("/audit?action=IdentityLinked", &linked.text("accessToken")).body;
    assert_eq!(trail["_embedded"]["entries"][0]["object"], "member/1");
    // Whatever becomes of the number, the identity stays the member's.
    assert_eq!(at.sign_in("8", verified("010-3333-4444")).body["member"]["customerId"], 1);
}

#[test]
fn somebody_whom_the_provider_knows_no_telephone_of_is_a_member_without_one() {
    let at = At::new();
    let token = at.register("7", json!({ "phone_number": "02-555-0100", "phone_number_verified": true }));
    let token = token.text("accessToken");
    assert_eq!(at.client.get("/members/me", &token).body["phone"], Value::Null);
    let sent = at.client.code(PHONE);
    let body = json!({ "codeToken": sent.token, "code": sent.code });
    assert_eq!(at.client.post("/members/me/phone", &token, body).body["phone"], "+821011112222");
}

#[test]
fn an_id_token_counts_once_however_its_signature_is_written() {
    let at = At::new();
    at.register("7", verified(PHONE));
    at.client.pass(1);
    let token = at.token("7", &json!({}));
    assert_eq!(at.show(&token).status, 201);
    assert_eq!(at.show(&token).problem(), "401 id-token-invalid");
    // The other signature that a signature on P-256 can be turned into by anybody.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let signature = p256::ecdsa::Signature::from_slice(&bytes).unwrap();
    let (r, s) = signature.split_scalars();
    let turned = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let turned = format!("{signed}.{}", data_encoding::BASE64URL_NOPAD.encode(&turned.to_bytes()));
    assert_ne!(turned, token);
    let refused = at.show(&turned);
    assert_eq!(
        (refused.problem(), &refused.body["detail"]),
        ("401 id-token-invalid".to_owned(), &json!("It was used already."))
    );
    // It is forgotten once it is too old by itself.
    at.client.pass(721);
    at.client.tick();
    assert_eq!(at.client.number("SELECT count(*) FROM used_id_tokens"), 0);
    assert_eq!(at.show(&token).problem(), "401 id-token-invalid");
}

#[test]
fn a_token_for_another_or_from_another_time_or_place_lets_nobody_in_and_is_not_used_up() {
    let at = At::new();
    at.register("7", verified(PHONE));
    for (more, detail) in [
        (json!({ "aud": "other" }), "`aud`"),
        (json!({ "iss": "https://evil.example" }), "`iss`"),
        (json!({ "exp": 1 }), "`exp`"),
        (json!({ "nonce": "m" }), "`nonce`"),
    ] {
        let refused = at.sign_in("7", more);
        assert_eq!(refused.problem(), "401 id-token-invalid");
        assert!(refused.text("detail").contains(detail), "{}", refused.body);
    }
    let other = Signs::p256().token("first", &claims("7", "n", Timestamp::now()));
    assert_eq!(at.show(&other).problem(), "401 id-token-invalid");
    assert_eq!(at.client.number("SELECT count(*) FROM used_id_tokens"), 1, "the one that registered");
    assert_eq!(
        at.client.post("/sessions", "", json!({ "idToken": at.token("7", &json!({})) })).problem(),
        "422 invalid-fields"
    );
}

#[test]
fn keys_that_the_provider_has_replaced_are_fetched_and_its_old_ones_are_forgotten() {
    let at = At::new();
    at.register("7", verified(PHONE));
    let (new, old) = (Signs::p256(), at.token("7", &json!({ "jti": "old" })));
    let next = || new.token("second", &claims("7", "n", Timestamp::now()));
    at.publishes(&[new.jwk("second")]);
    // A key that is not known is asked for, but anybody can make up a name.
    assert_eq!(at.show(&next()).problem(), "401 id-token-invalid");
    assert_eq!(at.fetched(), 1);
    at.client.pass(60);
    assert_eq!(at.show(&next()).status, 201);
    assert_eq!(at.fetched(), 2);
    assert_eq!(at.show(&old).problem(), "401 id-token-invalid", "its key is taken back");
    // What is taken back without a new one being used is known within the hour.
    at.publishes(&[]);
    at.client.pass(3_599);
    assert_eq!(at.show(&next()).status, 201);
    at.client.pass(1);
    assert_eq!(at.show(&next()).problem(), "401 id-token-invalid");
    assert_eq!(at.fetched(), 3);
}

#[test]
fn a_provider_that_does_not_answer_is_left_alone_for_a_moment_and_codes_go_on() {
    let at = At::new();
    at.client.register(PHONE);
    at.client.pass(60);
    let document = at.client.service.ports.document.take();
    let away = at.sign_in("7", verified(PHONE));
    assert_eq!(
        (away.problem(), away.response.get("retry-after")),
        ("503 provider-unavailable".to_owned(), Some("5"))
    );
    assert_eq!(at.sign_in("7", json!({})).problem(), "503 provider-unavailable");
    assert_eq!(at.fetched(), 1, "nobody else waits for it");
    assert_eq!(at.client.sign_in(PHONE).status, 201);
    *at.client.service.ports.document.borrow_mut() = Some("<html>".to_owned());
    at.client.pass(5);
    assert_eq!(at.sign_in("7", json!({})).problem(), "503 provider-unavailable");
    *at.client.service.ports.document.borrow_mut() = document;
    at.client.pass(5);
    assert_eq!(at.sign_in("7", verified(PHONE)).status, 201);
}

#[test]
fn of_two_who_register_as_one_identity_one_is_told_to_sign_in() {
    let at = At::new();
    let tokens = [(); 2].map(|()| at.sign_in("7", json!({})).text("registrationToken"));
    let [first, second] = tokens;
    at.client.store().meanwhile(move |store| {
        assert_eq!(Client::over(store.clone()).post("/members", "", form(&second)).status, 201);
    });
    assert_eq!(at.client.post("/members", "", form(&first)).problem(), "401 registration-ended");
    assert_eq!(at.client.number("SELECT count(*) FROM members"), 1);
}

#[test]
fn nothing_is_left_of_who_somebody_was_to_a_provider_who_is_erased() {
    let at = At::new();
    let token = at.register("subject-7", verified(PHONE)).text("accessToken");
    assert_eq!(at.client.delete("/members/me", &token).status, 204);
    assert_eq!(at.client.number("SELECT count(*) FROM identities"), 0);
    let again = at.register("subject-7", verified(PHONE));
    assert_eq!(again.body["member"]["customerId"], 2);
}

/// A system with other ways in.
fn set(ways: impl FnOnce(&mut Settings)) -> Client {
    let client = Client::new();
    let mut settings = (*client.service.settings).clone();
    ways(&mut settings);
    let Client { service: Service { ports, journal, .. }, address } = client;
    Client { service: Service { ports, journal, settings: Rc::new(settings) }, address }
}

#[test]
fn a_way_in_that_is_not_set_is_refused_by_name() {
    let without = set(|settings| settings.provider = None);
    let refused = without.post("/sessions", "", json!({ "idToken": "x", "nonce": "n" }));
    assert_eq!(
        (refused.problem(), &refused.body["errors"][0]["field"]),
        ("422 invalid-fields".to_owned(), &json!("idToken"))
    );

    let only = set(|settings| settings.codes = false);
    let refused = only.post("/sessions", "", json!({ "codeToken": "x", "code": "123456" }));
    assert_eq!(refused.body["errors"][0]["field"], "idToken");
    assert_eq!(only.post("/sign-in-codes", "", json!({ "phone": PHONE })).problem(), "422 invalid-fields");
    assert!(only.service.ports.sent.borrow().is_empty());

    // Who is a member shows with a code that they have another telephone.
    let hash = Token::shown("t").hash();
    let shown = Shown { phone: Some(phone(PHONE)), identity: None };
    ::store::native::at_once(store::keep_registration(only.store(), &hash, &shown, Timestamp::now()))
        .unwrap()
        .unwrap();
    let token = only.post("/members", "", form("t")).text("accessToken");
    let asked = only.ask(Method::POST, "/sign-in-codes", &token, json!({ "phone": "010-5555-6666" }));
    assert_eq!(asked.status, 202);
}
