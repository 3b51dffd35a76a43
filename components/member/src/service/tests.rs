//! What happens at the same time.

use crate::domain::Changes;
use crate::secrets::{Code, KeptCode, RefreshToken, Token};
use crate::service::NotDone;
use crate::store::{self, NewCode, NotKept, Refreshed};
use crate::testing::{Client, NOW, PHONE, claims, form, phone};
use ::store::native::at_once;
use futures::executor::block_on;
use kernel::{CustomerId, PersonName, Timestamp};
use serde_json::json;

::store::on_postgres!(
    two_who_register_at_once_both_succeed_and_no_number_is_skipped,
    of_two_who_register_with_one_number_at_once_one_is_told_that_it_is_taken,
    of_two_who_use_one_code_at_once_one_is_let_in,
    whoever_is_erased_meanwhile_is_not_let_in,
    whoever_is_erased_meanwhile_is_not_changed,
    of_two_refreshes_at_once_one_replaces_the_token,
    a_code_that_is_asked_for_at_the_same_moment_is_counted,
);

fn one() -> CustomerId {
    CustomerId::parse(1).unwrap()
}

#[test]
fn two_who_register_at_once_both_succeed_and_no_number_is_skipped() {
    let client = Client::new();
    let [first, second] =
        [PHONE, "010-3333-4444"].map(|phone| client.sign_in(phone).text("registrationToken"));
    client.store().meanwhile(move |store| {
        let other = Client::over(store.clone());
        assert_eq!(other.post("/members", "", form(&second)).body["member"]["customerId"], 1);
    });
    let registered = client.post("/members", "", form(&first));
    assert_eq!((registered.status, &registered.body["member"]["customerId"]), (201, &json!(2)));
    assert_eq!(client.number("SELECT last FROM numbering"), 2);
}

#[test]
fn of_two_who_register_with_one_number_at_once_one_is_told_that_it_is_taken() {
    let client = Client::new();
    let first = client.sign_in(PHONE).text("registrationToken");
    client.pass(60);
    let second = client.sign_in(PHONE).text("registrationToken");
    client.store().meanwhile(move |store| {
        assert_eq!(Client::over(store.clone()).post("/members", "", form(&second)).status, 201);
    });
    assert_eq!(client.post("/members", "", form(&first)).problem(), "409 phone-taken");
    assert_eq!(client.number("SELECT count(*) FROM members"), 1);
}

#[test]
fn of_two_who_use_one_code_at_once_one_is_let_in() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let sent = client.code(PHONE);
    let hash = Token::shown(&sent.token).hash();
    let tries = [(); 2].map(|()| at_once(store::try_code(client.store(), &hash, Timestamp::now())));
    let tried = tries.map(|tried| tried.unwrap().unwrap().unwrap());
    assert!(tried.iter().all(|tried| tried.kept.is(&Code::typed(&sent.code).unwrap(), &phone(PHONE))));
    let used = tried.map(|tried| at_once(store::use_code(client.store(), tried.code_id)).unwrap().unwrap());
    assert_eq!(used, [true, false]);
}

#[test]
fn whoever_is_erased_meanwhile_is_not_let_in() {
    let client = Client::new();
    client.register(PHONE);
    let token = RefreshToken::random().unwrap();
    block_on(client.service.erase(one(), None)).unwrap();
    let session = store::NewSession { session_id: "s", customer_id: one(), token: &token, address: None };
    assert!(!at_once(store::begin_session(client.store(), &session, NOW)).unwrap().unwrap());
    assert_eq!(client.number("SELECT count(*) FROM sessions"), 0);
    assert_eq!(client.number("SELECT count(*) FROM sign_ins"), 0);
}

#[test]
fn whoever_is_erased_meanwhile_is_not_changed() {
    let client = Client::new();
    client.register(PHONE);
    client.store().meanwhile(|store| {
        at_once(Client::over(store.clone()).service.erase(one(), None)).unwrap().unwrap();
    });
    let changes = Changes { name: PersonName::parse("임꺽정").ok(), ..Changes::default() };
    let refused = block_on(client.service.change(one(), &changes, None)).unwrap_err();
    assert!(matches!(refused, NotDone::Refused(crate::domain::Refusal::Unknown)), "{refused:?}");
    assert_eq!(client.number("SELECT count(*) FROM events WHERE data LIKE '%임꺽정%'"), 0);
}

#[test]
fn of_two_refreshes_at_once_one_replaces_the_token() {
    let client = Client::new();
    let registered = client.register(PHONE);
    let token = RefreshToken::shown(&registered.text("refreshToken")).unwrap();
    let refresh = || {
        let next = token.next().unwrap();
        at_once(store::refresh(client.store(), &token, &next, Timestamp::now())).unwrap().unwrap()
    };
    let session_id = claims(&registered.text("accessToken")).sid;
    assert_eq!(refresh(), Refreshed::Replaced { session_id: session_id.clone(), customer_id: one() });
    assert_eq!(refresh(), Refreshed::JustNow { session_id, customer_id: one() });
}

#[test]
fn a_code_that_is_asked_for_at_the_same_moment_is_counted() {
    let client = Client::new();
    let number = phone(PHONE);
    let kept = KeptCode::of(&Code::random().unwrap(), &number).unwrap();
    let asked = NewCode { token_hash: "x", phone: &number, address: "192.0.2.1", kept: &kept };
    let keep = || at_once(store::keep_code(client.store(), &asked, NOW)).unwrap();
    keep().unwrap();
    assert!(matches!(keep(), Err(NotKept::TooMany(store::Limit::Asker))));
    assert_eq!(client.number("SELECT count(*) FROM codes"), 1);
}
