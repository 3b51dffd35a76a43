//! The audit trail: who did what when, asked for and verified from outside.

use super::access::{MANAGER, applied, as_customer, as_manager, as_operator, open_course};
use super::members::{ask, bearer, code, register, sign_in};
use super::operations::{comes_to_rest, operate, run};
use serde_json::{Value, json};
use sugang_tests::{Options, Sugang, eventually, until};

store::on_postgres!(what_is_done_is_in_the_trail_with_who_did_it);

const PHONE: &str = "010-2323-4545";

fn trail(sugang: &Sugang, filter: &str) -> Vec<Value> {
    let answer = as_operator(sugang).get(&format!("/audit?size=1000{filter}")).expect(200);
    answer.items("entries")
}

/// `member:50 manager ReservationConfirmed order/7`.
fn in_words(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
    ["actor", "role", "action", "object"].map(text).join(" ")
}

#[test]
fn what_is_done_is_in_the_trail_with_who_did_it() {
    let sugang = Sugang::with(Options::new().members());
    // The course is one that an operator had to order, until `order` knew it.
    let edu_no = open_course(&sugang, "manual");
    let somebody = register(&sugang, PHONE, "감사대상");
    let number = somebody.at("/member/customerId").as_u64().unwrap();
    let session = |who: &Value| who.as_str().unwrap().to_owned();
    let order = applied(&sugang, number, edu_no);
    as_manager(&sugang, MANAGER).decide(order, "Reservation Confirmed").expect(200);
    as_operator(&sugang).change_course(edu_no, &json!({ "capacity": 40 })).expect(200);
    let roles = json!({ "roles": ["customer", "manager"] });
    as_operator(&sugang).patch(&format!("/members/{number}"), &roles).expect(200);
    let right = code(&sugang, PHONE);
    sign_in(&sugang, &right.wrong()).expect_problem(401, "code-wrong");
    let who = bearer(&sign_in(&sugang, &right).expect(201));
    ask(&sugang, "DELETE", "/sessions/current", Some(&who), None).expect(204);

    let member = format!("member:{number}");
    let is_of_this = |entry: &Value| {
        let about = [format!("order/{order}"), format!("member/{number}"), format!("course/{edu_no}")];
        let is_about = about.iter().any(|object| entry["object"] == **object);
        is_about || entry["actor"] == *member || entry["action"] == "CodeRefused"
    };
    let wanted = 8;
    let mut found = until("everything to be in the trail", || {
        let found: Vec<_> = trail(&sugang, "").into_iter().filter(is_of_this).collect();
        (found.len() >= wanted).then_some(found)
    });
    found.sort_by_key(|entry| entry["time"].as_str().unwrap().to_owned());
    let sessions: Vec<_> = found
        .iter()
        .filter(|entry| entry["action"] == "SignedIn")
        .map(|entry| session(&entry["object"]))
        .collect();
    let refused = found.iter().find(|entry| entry["action"] == "CodeRefused").unwrap();
    let expected = [
        format!("member:{MANAGER} manager CourseOpened course/{edu_no}"),
        format!("{member} customer SignedIn {}", sessions[0]),
        format!("member:{MANAGER} manager ReservationConfirmed order/{order}"),
        format!("member:99 operator CourseChanged course/{edu_no}"),
        format!("member:99 operator MemberChanged member/{number}"),
        format!("guest - CodeRefused {}", session(&refused["object"])),
        format!("{member} customer SignedIn {}", sessions[1]),
        format!("{member} customer SignedOut {}", sessions[1]),
    ];
    assert_eq!(found.iter().map(in_words).collect::<Vec<_>>(), expected);
    assert_eq!(found[2]["event"], format!("reservation/{order}:2"));
    assert!(trail(&sugang, "").iter().all(|entry| !entry.to_string().contains("감사대상")));

    // What customers do is in nobody's trail; what an operator orders and has paid is.
    let all = trail(&sugang, "");
    assert!(
        !all.iter().any(|entry| entry["action"] == "Ordered" && entry["object"] == format!("order/{order}"))
    );
    let ordered = all.iter().find(|entry| entry["action"] == "Ordered").unwrap();
    let paid = until("the operator's payment to be in the trail", || {
        trail(&sugang, "&action=Paid").into_iter().next()
    });
    assert_eq!((&ordered["actor"], &paid["actor"]), (&json!("member:99"), &json!("member:99")));
    assert_eq!(paid["object"], ordered["object"]);

    as_customer(&sugang, number).get("/audit").expect_problem(403, "not-allowed");
    as_manager(&sugang, MANAGER).get("/audit").expect_problem(403, "not-allowed");
    sugang.get("/audit").expect_problem(401, "sign-in-required");
    assert_eq!(trail(&sugang, &format!("&actor=member:{MANAGER}")).len(), 2);
}

#[test]
fn a_trail_is_verified_where_it_is_and_where_it_was_exported_to() {
    let sugang = Sugang::with(Options::new().members());
    register(&sugang, PHONE, "감사대상");
    open_course(&sugang, "automatic");
    eventually(|| trail(&sugang, "&action=CourseOpened").len(), 1);
    comes_to_rest(sugang.state());
    let exported = || {
        let csv = as_operator(&sugang);
        let answer = csv.send(csv.request("GET", "/audit").header("accept", "text/csv"), None).expect(200);
        answer.body
    };
    let (csv, file) = (exported(), sugang.state().join("audit.csv"));
    let verify = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&["audit", "verify", file.to_str().unwrap()])
    };
    let last = csv.lines().last().unwrap().rsplit(',').next().unwrap().to_owned();
    verify(&csv).says(0, &["All is well up to entry", &last]);
    verify(&csv.replace("manager,CourseOpened", "operator,CourseOpened")).says(1, &["is not what it was"]);
    // Whoever can write to the store can change it, and is seen.
    for tamper in ["DROP TRIGGER sealed_stays", "UPDATE audit SET actor = 'member:3' WHERE position = 1"] {
        sugang.state().open("member").unwrap().run(tamper, &[]).unwrap();
    }
    operate(sugang.state(), &["check"]).says(1, &["audit entry 1", "[audit]"]);
    assert_ne!(exported(), csv);
}
