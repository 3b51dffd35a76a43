//! What is in the trail, in which order, and that it stays.

use super::*;
use crate::store::DATABASE;
use crate::testing::{Client, OPERATOR, PHONE};
use ::store::native::{Store, at_once};
use eventlog::{Envelope, Worker};
use hal::Method;
use kernel::event::{Event, MemberErased};
use kernel::{CustomerId, Role};
use serde_json::{Value, json};

::store::on_postgres!(
    everything_that_somebody_did_is_there_with_who_did_it,
    a_code_that_is_wrong_is_there_without_whose_number_it_was,
    an_event_that_is_told_twice_is_there_once,
    no_entry_can_be_changed_or_removed,
    of_two_who_seal_at_once_each_place_is_given_by_one,
    a_place_behind_another_end_is_refused,
    pages_filters_and_csv_are_of_the_same_trail,
);

/// What is in the trail: actor, role, action, object.
fn trail(client: &Client) -> Vec<String> {
    at_once(seal(client.store())).unwrap().unwrap();
    let all =
        at_once(audit(client.store(), &AuditFilter::default(), &Page { limit: 1000, ..Page::default() }));
    let mut previous = String::new();
    let shown = all.unwrap().unwrap().into_iter().enumerate().map(|(index, entry)| {
        assert_eq!(entry.position, index as u64 + 1);
        assert_eq!(entry.hash, entry.hash_behind(&previous));
        previous = entry.hash;
        let (actor, role) = (entry.actor.unwrap_or_default(), entry.role.unwrap_or_default());
        format!("{actor} {role} {} {}", entry.action, entry.object)
    });
    shown.collect()
}

fn sessions(client: &Client) -> Vec<String> {
    let all = "SELECT object FROM audit WHERE action = 'SignedIn' ORDER BY entry";
    let rows = client.store().run(all, &[]).unwrap();
    rows.iter().map(|row| row.text("object").unwrap().to_owned()).collect()
}

#[test]
fn everything_that_somebody_did_is_there_with_who_did_it() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    let customer = client.register(PHONE).text("accessToken");
    // What customers change about themselves is nobody else's doing.
    client.ask(Method::PATCH, "/members/me", &customer, json!({ "language": "en" }));
    client.ask(Method::PATCH, "/members/2", &operator, json!({ "roles": ["manager"] }));
    let invited =
        client.post("/invitations", &operator, json!({ "phone": "010-5555-6666", "role": "manager" }));
    let invited = invited.body["id"].as_u64().unwrap();
    client.delete(&format!("/invitations/{invited}"), &operator);
    let machine = json!({ "name": "nightly", "scopes": ["orders"], "expiresInDays": 9 });
    let machine = client.post("/machines", &operator, machine).text("id");
    client.delete(&format!("/machines/{machine}"), &operator);
    client.delete("/sessions/current", &customer);
    client.delete("/members/2", &operator);
    let [first, second] = &*sessions(&client) else { panic!() };
    let expected = [
        format!("member:1 customer SignedIn {first}"),
        format!("member:2 customer SignedIn {second}"),
        "member:1 operator MemberChanged member/2".to_owned(),
        format!("member:1 operator InvitationMade invitation/{invited}"),
        format!("member:1 operator InvitationTakenBack invitation/{invited}"),
        format!("member:1 operator MachineMade machine/{machine}"),
        format!("member:1 operator MachineEnded machine/{machine}"),
        format!("member:2 customer SignedOut {second}"),
        "member:1 operator MemberErased member/2".to_owned(),
    ];
    assert_eq!(trail(&client), expected);
    for table in ["sessions WHERE customer_id = 2", "invitations", "machines"] {
        assert_eq!(client.number(&format!("SELECT count(*) FROM {table}")), 0, "{table}");
    }
    let times = client.number("SELECT count(DISTINCT time) FROM audit");
    assert_eq!(times, 1, "the clock stands, and every form of a time is the same");
    for person in ["홍길동", "11112222", "99990000", "55556666", "gil@example.com", "nightly"] {
        let whole = "coalesce(actor, '') || action || object || coalesce(event, '')";
        let sql = format!("SELECT count(*) FROM audit WHERE {whole} LIKE '%{person}%'");
        assert_eq!(client.number(&sql), 0, "{person}");
    }
}

#[test]
fn a_code_that_is_wrong_is_there_without_whose_number_it_was() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    for phone in [PHONE, "010-7777-8888"] {
        let wrong = client.code(phone).wrong();
        client.post("/sessions", "", json!({ "codeToken": wrong.token, "code": wrong.code }));
    }
    // Where no code is open there is nothing to be tried.
    client.post("/sessions", "", json!({ "codeToken": "none", "code": "000000" }));
    let refused: Vec<_> = trail(&client).into_iter().filter(|line| line.contains("CodeRefused")).collect();
    assert_eq!(refused, ["guest  CodeRefused code/2", "guest  CodeRefused code/3"]);
}

/// An event of another context, asked for by an operator.
fn told(version: u64) -> Envelope {
    let customer_id = CustomerId::parse(9).unwrap();
    let at = Timestamp::from_millis(1_000);
    Envelope {
        id: format!("member/9:{version}"),
        source: "reservation".to_owned(),
        version,
        subject: "member/9".to_owned(),
        time: at,
        traceparent: None,
        actor: Some(Actor::Member(customer_id, Role::Operator)),
        event: Event::MemberErased(MemberErased { customer_id, at }),
    }
}

#[test]
fn an_event_that_is_told_twice_is_there_once() {
    let client = Client::new();
    let tell = |events: &[Envelope]| at_once(client.service.handle(events)).unwrap().unwrap();
    tell(&[told(1), told(2)]);
    tell(&[told(2), told(3), told(3), told(1)]);
    assert_eq!(client.number("SELECT count(*) FROM audit"), 3);
    assert_eq!(trail(&client), ["member:9 operator MemberErased member/9"; 3]);
    assert_eq!(client.number("SELECT count(*) FROM audit WHERE event = 'reservation/member/9:2'"), 1);
}

#[test]
fn no_entry_can_be_changed_or_removed() {
    let client = Client::new();
    client.register(PHONE);
    trail(&client);
    for statement in [
        "UPDATE audit SET actor = 'member:7'",
        "UPDATE audit SET position = 2",
        "UPDATE audit SET hash = NULL, position = NULL",
        "DELETE FROM audit",
    ] {
        let refused = client.store().run(statement, &[]);
        assert!(matches!(refused, Err(StoreError::Raised(_))), "{statement}: {refused:?}");
    }
}

#[test]
fn of_two_who_seal_at_once_each_place_is_given_by_one() {
    let client = Client::new();
    at_once(keep_acts(client.store(), &[act("A"), act("B")])).unwrap().unwrap();
    let first = at_once(unsealed(client.store())).unwrap().unwrap();
    at_once(keep_acts(client.store(), &[act("C")])).unwrap().unwrap();
    let second = at_once(unsealed(client.store())).unwrap().unwrap();
    assert_eq!((first.len(), second.len()), (2, 3));
    at_once(give_places(client.store(), &second)).unwrap().unwrap();
    let late = at_once(give_places(client.store(), &first)).unwrap().unwrap_err();
    assert!(late.is_conflict(), "{late}");
    assert_eq!(trail(&client), ["  A a", "  B a", "  C a"]);
}

#[test]
fn a_place_behind_another_end_is_refused() {
    let client = Client::new();
    at_once(keep_acts(client.store(), &[act("A")])).unwrap().unwrap();
    trail(&client);
    at_once(keep_acts(client.store(), &[act("B")])).unwrap().unwrap();
    for (position, previous) in [(1, ""), (2, ""), (2, "x"), (3, "x")] {
        let insert = format!(
            "INSERT INTO sealing (entry, position, hash, previous)
             SELECT entry, {position}, 'h', '{previous}' FROM audit WHERE position IS NULL"
        );
        let refused = client.store().run(&insert, &[]).unwrap_err();
        assert!(refused.is_conflict(), "{position} {previous:?}: {refused}");
    }
    assert_eq!(trail(&client).len(), 2);
}

fn act(action: &'static str) -> Act {
    Act::new(action, "a".to_owned(), None, Timestamp::from_millis(0))
}

#[test]
fn pages_filters_and_csv_are_of_the_same_trail() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    client.pass(3600);
    let customer = client.register(PHONE).text("accessToken");
    client.delete("/sessions", &customer);
    trail(&client);
    let entries = |query: &str| {
        let answered = client.get(&format!("/audit{query}"), &operator);
        assert_eq!(answered.status, 200, "{query}: {}", answered.body);
        answered.body["_embedded"]["entries"].as_array().unwrap().clone()
    };
    let all = entries("");
    assert_eq!(all.len(), 3);
    assert_eq!((&all[2]["actor"], &all[2]["role"]), (&json!("member:2"), &json!("customer")));
    assert_eq!(entries("?size=2&after=1"), all[1..]);
    assert_eq!(entries("?actor=member:1"), all[..1]);
    assert_eq!(entries("?action=SignedOut"), all[2..]);
    let later = all[1]["time"].as_str().unwrap();
    assert_eq!(entries(&format!("?from={later}")), all[1..]);
    assert_eq!(entries(&format!("?until={later}")), all[..1]);
    assert_eq!(entries("?sort=position,desc")[0], all[2]);
    for query in ["?actor=", "?action=a%20b", "?from=yesterday", "?until=", "?size=0"] {
        assert_eq!(client.get(&format!("/audit{query}"), &operator).status, 422, "{query}");
    }

    let csv = client.csv("/audit?actor=member:2", &operator);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "position,time,actor,role,action,object,event,hash");
    let column = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let line = |entry: &Value| {
        let names = ["time", "actor", "role", "action", "object", "event", "hash"];
        format!("{},{}", entry["position"], names.map(|name| column(entry, name)).join(","))
    };
    assert_eq!(lines[1..], [line(&all[1]), line(&all[2])]);
}

#[test]
fn the_hash_is_the_one_that_is_documented() {
    let entry = Entry {
        position: 1,
        time: "1970-01-01T00:00:00.000Z".to_owned(),
        actor: None,
        role: None,
        action: "A".to_owned(),
        object: "a".to_owned(),
        event: None,
        hash: String::new(),
    };
    let text = "\n[1,\"1970-01-01T00:00:00.000Z\",null,null,\"A\",\"a\",null]";
    assert_eq!(entry.hash_behind(""), HEXLOWER.encode(&Sha256::digest(text)));
    assert_ne!(entry.hash_behind("x"), entry.hash_behind(""));
    let store = Store::new(&DATABASE);
    assert_eq!(at_once(seal(&store)).unwrap(), Ok(()), "of nothing there is nothing to seal");
}
