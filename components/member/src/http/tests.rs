//! What a client sees, from the request to the tables.

use crate::testing::{Client, NOW, OPERATOR, PHONE, Seen, Sent, claims, form, phone};
use eventlog::DeadLetter;
use hal::Method;
use serde_json::{Value, json};

::store::on_postgres!(
    a_code_is_sent_and_the_answer_says_nothing_about_whose_the_number_is,
    whoever_has_the_right_code_and_no_number_may_register_once,
    whoever_registers_agrees_to_what_has_to_be_agreed_to,
    a_member_signs_in_again_with_another_code,
    a_code_counts_once_and_for_five_minutes,
    a_code_is_tried_five_times_and_the_next_one_lets_its_owner_in,
    whoever_guesses_locks_nobody_out,
    codes_are_limited_by_the_minute_by_number_and_by_address,
    a_code_that_could_not_be_sent_does_not_count,
    a_refresh_token_is_replaced_and_one_that_comes_again_ends_the_session,
    a_refresh_token_that_was_replaced_a_moment_ago_gets_an_access_token_alone,
    a_session_that_nobody_uses_for_thirty_days_ends,
    signing_out_ends_a_session_here_there_and_everywhere,
    a_session_whose_end_cannot_be_told_is_told_of_later,
    members_see_and_change_themselves,
    a_telephone_changes_with_a_code_and_never_to_another_members,
    everything_that_is_kept_about_somebody_can_be_taken_away,
    an_operator_finds_members_and_sees_no_more_of_their_numbers_in_lists,
    a_role_that_is_taken_away_ends_the_sessions,
    whoever_is_invited_has_the_role_when_they_sign_in,
    a_machine_has_a_token_until_it_is_ended,
    nothing_is_left_of_whoever_is_erased_and_their_number_can_register_again,
    the_sandboxs_inbox_shows_the_codes,
    an_operator_sees_how_far_behind_consumers_are_and_replays_or_drops_what_they_gave_up_on,
);

fn type_code(client: &Client, Sent { token, code }: &Sent) -> Seen {
    client.post("/sessions", "", json!({ "codeToken": token, "code": code }))
}

fn code_problem(client: &Client, sent: &Sent) -> String {
    type_code(client, sent).problem()
}

#[test]
fn a_code_is_sent_and_the_answer_says_nothing_about_whose_the_number_is() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let asked = |phone: &str| {
        let statements = client.store().statements();
        let mut asked = client.post("/sign-in-codes", "", json!({ "phone": phone }));
        let token = asked.body.as_object_mut().unwrap().remove("codeToken").unwrap();
        assert_eq!(token.as_str().unwrap().len(), 43);
        (asked.status, asked.body, client.store().statements() - statements)
    };
    let known = asked(PHONE);
    assert_eq!(known, asked("010-3333-4444"));
    assert_eq!((known.0, known.1), (202, json!({ "expiresIn": 300, "resendIn": 60, "digits": 6 })));
    let sent = client.service.ports.sent.borrow();
    let message = sent.last().unwrap();
    assert_eq!((message.phone.as_str(), message.template), ("+821033334444", "SignInCode"));
    assert!(message.body.starts_with("[수강] 인증번호는"), "{}", message.body);
    assert!(
        client.post("/sign-in-codes", "", json!({ "phone": "02-123-4567" })).problem().starts_with("422")
    );
}

#[test]
fn whoever_has_the_right_code_and_no_number_may_register_once() {
    let client = Client::new();
    let refused = client.sign_in(PHONE);
    assert_eq!(
        (refused.problem(), &refused.body["expiresIn"]),
        ("403 registration-required".into(), &json!(900))
    );
    let token = refused.text("registrationToken");
    assert_eq!(client.number("SELECT count(*) FROM members"), 0);

    let registered = client.post("/members", "", form(&token));
    assert_eq!(registered.status, 201);
    assert_eq!(
        registered.body["member"],
        json!({ "customerId": 1, "name": "홍길동", "language": "ko", "roles": ["customer"] })
    );
    assert_eq!(registered.response.get("cache-control"), Some("no-store"));
    let claims = claims(&registered.text("accessToken"));
    assert_eq!((&*claims.sub, claims.exp - claims.iat), ("1", 300));
    assert_eq!(client.events(), ["MemberRegistered"]);

    assert_eq!(client.post("/members", "", form(&token)).problem(), "401 registration-ended");
    assert_eq!(client.post("/members", "", form("x")).problem(), "401 registration-ended");
    client.pass(60);
    let late = client.sign_in("010-3333-4444").text("registrationToken");
    client.pass(901);
    assert_eq!(client.post("/members", "", form(&late)).problem(), "401 registration-ended");
}

#[test]
fn whoever_registers_agrees_to_what_has_to_be_agreed_to() {
    let client = Client::new();
    let token = client.sign_in(PHONE).text("registrationToken");
    let mut filled = form(&token);
    filled["consents"] = json!({ "terms": true, "privacy": false, "marketing": true });
    let refused = client.post("/members", "", filled.clone());
    let named: Vec<_> = refused.body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!((refused.status, named), (422, vec!["consents.privacy", "consents.age14"]));
    filled["consents"] = Value::Null;
    assert_eq!(client.post("/members", "", filled.clone()).body["errors"][0]["field"], "consents");
    filled["consents"] = json!({ "terms": true, "privacy": true, "age14": true, "marketing": true });
    let registered = client.post("/members", "", filled);
    let me = client.get("/members/me", &registered.text("accessToken"));
    let given: Vec<_> =
        me.body["consents"].as_array().unwrap().iter().map(|one| (&one["name"], &one["given"])).collect();
    let (yes, names) = (json!(true), ["terms", "privacy", "age14", "marketing"].map(Value::from));
    assert_eq!(given, names.iter().map(|name| (name, &yes)).collect::<Vec<_>>());
}

#[test]
fn a_member_signs_in_again_with_another_code() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let again = client.sign_in("+82 10 1111 2222");
    assert_eq!((again.status, &again.body["member"]["customerId"]), (201, &json!(1)));
    assert_eq!(client.number("SELECT count(*) FROM sessions"), 2);
    assert_eq!(client.number("SELECT count(*) FROM sign_ins WHERE address = '192.0.2.1'"), 2);
}

#[test]
fn a_code_counts_once_and_for_five_minutes() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let sent = client.code(PHONE);
    assert_eq!(type_code(&client, &sent).status, 201);
    assert_eq!(code_problem(&client, &sent), "401 code-wrong");
    client.pass(60);
    let sent = client.code(PHONE);
    client.pass(300);
    assert_eq!(code_problem(&client, &sent), "401 code-wrong");
    assert_eq!(code_problem(&client, &Sent { token: "none".to_owned(), ..sent.clone() }), "401 code-wrong");
    assert_eq!(code_problem(&client, &Sent { code: "geheim".to_owned(), ..sent }), "401 code-wrong");
}

#[test]
fn a_code_is_tried_five_times_and_the_next_one_lets_its_owner_in() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let sent = client.code(PHONE);
    for guess in 1..=5 {
        // From wherever it is guessed.
        client.address.replace(format!("192.0.2.{guess}:9"));
        assert_eq!(code_problem(&client, &sent.wrong()), "401 code-wrong");
    }
    assert_eq!(code_problem(&client, &sent), "401 code-wrong");
    assert_eq!(client.number("SELECT max(tries) FROM codes"), 5);
    client.pass(60);
    assert_eq!(client.sign_in(PHONE).status, 201);
}

/// Whoever guesses has to ask for a code for each five guesses, and takes neither a try nor a code from the number's owner.
#[test]
fn whoever_guesses_locks_nobody_out() {
    let client = Client::new();
    client.register(PHONE);
    client.pass(60);
    let owner = client.code(PHONE);
    for guesser in 1..=3 {
        client.address.replace(format!("198.51.100.{guesser}:9"));
        let theirs = client.code(PHONE).wrong();
        for _ in 0..20 {
            assert_eq!(code_problem(&client, &theirs), "401 code-wrong");
            assert_eq!(
                code_problem(&client, &Sent { token: "x".repeat(43), ..owner.wrong() }),
                "401 code-wrong"
            );
        }
    }
    client.address.replace("192.0.2.1:9".to_owned());
    assert_eq!(type_code(&client, &owner).status, 201);
    client.pass(60);
    assert_eq!(client.sign_in(PHONE).status, 201);
    // A code of another number is of no use, whoever asks for it.
    assert_eq!(client.number("SELECT max(tries) FROM codes"), 5);
}

#[test]
fn codes_are_limited_by_the_minute_by_number_and_by_address() {
    let client = Client::new();
    let ask = |phone: &str| client.post("/sign-in-codes", "", json!({ "phone": phone }));
    let wait = |phone: &str| {
        let refused = ask(phone);
        assert_eq!(refused.problem(), "429 too-many-requests");
        refused.response.get("retry-after").unwrap().parse::<i64>().unwrap()
    };
    assert_eq!(ask(PHONE).status, 202);
    client.pass(20);
    assert_eq!(wait(PHONE), 40);
    client.pass(40);
    for _more in 2..=5 {
        assert_eq!(ask(PHONE).status, 202);
        client.pass(60);
    }
    assert_eq!(wait(PHONE), 3600 - 300);
    // From other addresses five more: that is the number's limit.
    for other in 0..5 {
        client.address.replace(format!("198.51.100.{other}:1"));
        assert_eq!(ask(PHONE).status, 202);
    }
    client.address.replace("198.51.100.7:1".to_owned());
    assert_eq!(wait(PHONE), 3600 - 300);
    client.pass(3300);
    assert_eq!(ask(PHONE).status, 202);

    client.address.replace("203.0.113.5:1".to_owned());
    for other in 0..20 {
        assert_eq!(ask(&format!("010-2000-{other:04}")).status, 202);
    }
    assert_eq!(wait("010-2000-9999"), 3600);
    client.address.replace("203.0.113.6:1".to_owned());
    assert_eq!(ask("010-2000-9999").status, 202);
    client.pass(3601);
    client.tick();
    assert_eq!(client.number("SELECT count(*) FROM codes"), 0, "what no limit counts is forgotten");
}

#[test]
fn a_code_that_could_not_be_sent_does_not_count() {
    let client = Client::new();
    client.service.ports.busy.set(true);
    let busy = client.post("/sign-in-codes", "", json!({ "phone": PHONE }));
    assert_eq!((busy.status, client.number("SELECT count(*) FROM codes")), (503, 0));
    client.service.ports.busy.set(false);
    client.service.ports.blocked.set(true);
    assert!(client.post("/sign-in-codes", "", json!({ "phone": PHONE })).problem().starts_with("422"));
    client.service.ports.blocked.set(false);
    client.code(PHONE);
}

#[test]
fn a_refresh_token_is_replaced_and_one_that_comes_again_ends_the_session() {
    let client = Client::new();
    let first = client.register(PHONE);
    let refresh = |token: &str| client.post("/sessions/refresh", "", json!({ "refreshToken": token }));
    let second = refresh(&first.text("refreshToken"));
    assert_eq!((second.status, second.body.get("member")), (200, None));
    assert_ne!(second.text("refreshToken"), first.text("refreshToken"));
    let session = claims(&second.text("accessToken")).sid;
    assert_eq!(session, claims(&first.text("accessToken")).sid);
    let third = refresh(&second.text("refreshToken"));
    // Two behind: nobody has it by accident.
    assert_eq!(refresh(&first.text("refreshToken")).problem(), "401 session-ended");
    assert!(client.service.ports.ended.borrow().contains(&session));
    assert_eq!(refresh(&third.text("refreshToken")).problem(), "401 session-ended");
    assert_eq!(refresh("x").problem(), "401 session-ended");
    assert_eq!(refresh("x.y").problem(), "401 session-ended");
}

#[test]
fn a_refresh_token_that_was_replaced_a_moment_ago_gets_an_access_token_alone() {
    let client = Client::new();
    let first = client.register(PHONE).text("refreshToken");
    let refresh = |token: &str| client.post("/sessions/refresh", "", json!({ "refreshToken": token }));
    let second = refresh(&first).text("refreshToken");
    client.pass(10);
    let tab = refresh(&first);
    assert_eq!((tab.status, tab.body.get("refreshToken")), (200, None));
    assert_eq!(claims(&tab.text("accessToken")).sub, "1");
    client.pass(1);
    assert_eq!(refresh(&first).problem(), "401 session-ended");
    assert_eq!(refresh(&second).problem(), "401 session-ended");
}

#[test]
fn a_session_that_nobody_uses_for_thirty_days_ends() {
    let client = Client::new();
    let token = client.register(PHONE).text("refreshToken");
    client.pass(30 * 86_400);
    let late = client.post("/sessions/refresh", "", json!({ "refreshToken": token }));
    assert_eq!(late.problem(), "401 session-ended");
    client.pass(1);
    client.tick();
    assert_eq!(client.number("SELECT count(*) FROM sessions"), 0);
    assert_eq!(client.number("SELECT count(*) FROM ended"), 0);
}

#[test]
fn signing_out_ends_a_session_here_there_and_everywhere() {
    let client = Client::new();
    let mut tokens = vec![client.register(PHONE).text("accessToken")];
    for _more in 0..3 {
        client.pass(60);
        tokens.push(client.sign_in(PHONE).text("accessToken"));
    }
    let sessions = client.get("/sessions", &tokens[0]).body["_embedded"]["sessions"].clone();
    let current: Vec<_> = sessions.as_array().unwrap().iter().map(|session| &session["current"]).collect();
    assert_eq!(current, [false, false, false, true], "the newest comes first");

    let ended = |token: &String| client.service.ports.ended.borrow().contains(&claims(token).sid);
    assert_eq!(client.delete("/sessions/current", &tokens[0]).status, 204);
    assert!(ended(&tokens[0]) && !ended(&tokens[1]));
    let there = format!("/sessions/{}", claims(&tokens[1]).sid);
    assert_eq!(client.delete(&there, &tokens[2]).status, 204);
    assert_eq!(client.delete(&there, &tokens[2]).status, 404);
    assert!(ended(&tokens[1]) && !ended(&tokens[2]));
    assert_eq!(client.delete("/sessions", &tokens[2]).status, 204);
    assert!(tokens.iter().all(ended));

    let other = client.register("010-3333-4444").text("accessToken");
    assert_eq!(client.delete(&format!("/sessions/{}", claims(&other).sid), &tokens[2]).status, 404);
    assert!(!ended(&other), "nobody ends another's");

    // Once its last access token has expired nobody needs to know.
    client.pass(361);
    client.tick();
    assert!(client.service.ports.ended.borrow().is_empty());
}

#[test]
fn a_session_whose_end_cannot_be_told_is_told_of_later() {
    let client = Client::new();
    let token = client.register(PHONE).text("accessToken");
    client.service.ports.away.set(true);
    assert_eq!(client.delete("/sessions/current", &token).status, 204);
    assert!(client.service.ports.ended.borrow().is_empty());
    client.service.ports.away.set(false);
    client.pass(1);
    client.tick();
    assert!(client.service.ports.ended.borrow().contains(&claims(&token).sid));
}

#[test]
fn members_see_and_change_themselves() {
    let client = Client::new();
    let token = client.register(PHONE).text("accessToken");
    let me = client.get("/members/me", &token);
    assert_eq!(me.body["phone"], "+821011112222");
    let patch = |body: Value| client.ask(Method::PATCH, "/members/me", &token, body);
    let changed =
        patch(json!({ "name": " 길동 ", "email": "", "language": "en", "consents": { "marketing": true } }));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(
        (&changed.body["name"], &changed.body["email"], &changed.body["language"]),
        (&json!("길동"), &Value::Null, &json!("en"))
    );
    assert_eq!(changed.body["consents"][3]["given"], true);
    assert_eq!(patch(json!({})).status, 200);
    assert_eq!(client.events(), ["MemberRegistered", "MemberChanged"], "what is the same is not told");
    assert_eq!(patch(json!({ "name": "", "consents": { "marketing": 3 } })).problem(), "422 invalid-fields");
    assert_eq!(me.body["messages"], "all");
    assert_eq!(patch(json!({ "messages": "needed" })).body["messages"], "needed");
    assert_eq!(patch(json!({ "messages": "none" })).problem(), "422 invalid-fields");
    assert_eq!(patch(json!({ "language": "ko" })).body["messages"], "needed", "what is not named stays");
    // Roles are not one's own to give.
    patch(json!({ "roles": ["operator"] }));
    assert_eq!(client.get("/members/me", &token).body["roles"], json!(["customer"]));
    assert_eq!(client.get("/members/me", "").problem(), "401 sign-in-required");
}

#[test]
fn a_telephone_changes_with_a_code_and_never_to_another_members() {
    let client = Client::new();
    let token = client.register(PHONE).text("accessToken");
    client.register("010-3333-4444");
    let change = |Sent { token: code_token, code }: &Sent| {
        client.post("/members/me/phone", &token, json!({ "codeToken": code_token, "code": code }))
    };
    let sent = client.code("010-5555-6666");
    assert_eq!(change(&sent.wrong()).problem(), "401 code-wrong");
    assert_eq!(change(&sent).body["phone"], "+821055556666");
    client.pass(60);
    let sent = client.code("010-3333-4444");
    assert_eq!(change(&sent).problem(), "409 phone-taken");
    assert_eq!(client.sign_in(PHONE).problem(), "403 registration-required", "the old number is free");
}

#[test]
fn everything_that_is_kept_about_somebody_can_be_taken_away() {
    let client = Client::new();
    let token = client.register(PHONE).text("accessToken");
    let taken = client.get("/members/me/data", &token);
    assert!(taken.response.get("content-disposition").unwrap().starts_with("attachment"));
    assert_eq!(taken.body["member"]["name"], "홍길동");
    assert_eq!(taken.body["signIns"][0]["address"], "192.0.2.1");
    assert_eq!(taken.body["consents"].as_array().map(Vec::len), Some(4));
    assert_eq!(taken.body["sessions"].as_array().map(Vec::len), Some(1));
    client.pass(91 * 86_400);
    client.tick();
    assert_eq!(client.get("/members/me/data", &token).body["signIns"], json!([]), "after 90 days");
}

#[test]
fn an_operator_finds_members_and_sees_no_more_of_their_numbers_in_lists() {
    let client = Client::new();
    client.register(PHONE);
    let operator = client.register(OPERATOR);
    assert_eq!(operator.body["member"]["roles"], json!(["customer", "operator"]));
    let token = operator.text("accessToken");
    let listed = client.get("/members", &token).body;
    assert_eq!(listed["page"]["totalElements"], 2);
    assert_eq!(listed["_embedded"]["members"][0]["phone"], "010-****-2222");
    assert!(!listed.to_string().contains("1111"), "{listed}");
    let found = client.get("/members?phone=%2B821011112222", &token).body;
    assert_eq!(found["_embedded"]["members"][0]["customerId"], 1);
    assert_eq!(client.get("/members/1", &token).body["phone"], "+821011112222");
    assert_eq!(client.get("/members/9", &token).problem(), "404 not-found");
    // Each look is in the audit trail, but for those at oneself.
    client.get("/members/me", &token);
    let shown = client.store().run(
        "SELECT actor || ' ' || object AS shown FROM audit WHERE action = 'MembersShown' ORDER BY entry",
        &[],
    );
    let shown: Vec<_> = shown.unwrap().iter().map(|row| row.text("shown").unwrap().to_owned()).collect();
    assert_eq!(
        shown,
        ["members", "members", "member/1", "member/9"].map(|object| format!("member:2 {object}"))
    );
}

#[test]
fn a_role_that_is_taken_away_ends_the_sessions() {
    let client = Client::new();
    let manager = client.register(PHONE).text("accessToken");
    let operator = client.register(OPERATOR).text("accessToken");
    let roles = |roles: Value| client.ask(Method::PATCH, "/members/1", &operator, json!({ "roles": roles }));
    assert_eq!(roles(json!(["manager"])).body["roles"], json!(["customer", "manager"]));
    assert!(client.service.ports.ended.borrow().is_empty(), "a new role ends nothing");
    assert_eq!(roles(json!([])).body["roles"], json!(["customer"]));
    assert!(client.service.ports.ended.borrow().contains(&claims(&manager).sid));
    assert_eq!(client.number("SELECT count(*) FROM sessions WHERE customer_id = 1"), 0);
    assert_eq!(roles(json!(["owner"])).problem(), "422 invalid-fields");
    assert_eq!(client.ask(Method::PATCH, "/members/1", &operator, json!({})).problem(), "422 invalid-fields");
}

#[test]
fn whoever_is_invited_has_the_role_when_they_sign_in() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    let invite = |phone: &str| {
        client.post("/invitations", &operator, json!({ "phone": phone, "role": "manager", "language": "en" }))
    };
    let invited = invite(PHONE);
    assert_eq!((invited.status, &invited.body["phone"]), (201, &json!("010-****-2222")));
    let message = client.service.ports.sent.borrow().last().cloned().unwrap();
    assert_eq!((message.phone, message.template), (phone(PHONE), "Invitation"));
    let registered = client.register(PHONE);
    assert_eq!(registered.body["member"]["roles"], json!(["customer", "manager"]));

    client.register("010-3333-4444");
    client.pass(60);
    assert_eq!(invite("010-3333-4444").status, 201);
    let withdrawn = invite("010-7777-8888").body["id"].clone();
    let listed = client.get("/invitations", &operator).body["_embedded"]["invitations"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "what is accepted is gone: {listed}");
    assert_eq!(client.delete(&format!("/invitations/{withdrawn}"), &operator).status, 204);
    assert_eq!(client.delete(&format!("/invitations/{withdrawn}"), &operator).status, 404);
    let signed_in = client.sign_in("010-3333-4444");
    assert_eq!(signed_in.body["member"]["roles"], json!(["customer", "manager"]));
    assert_eq!(client.number("SELECT count(*) FROM invitations"), 0);
    // Once more: they are it already.
    invite("010-3333-4444");
    client.pass(60);
    client.sign_in("010-3333-4444");
    assert_eq!(client.number("SELECT count(*) FROM invitations"), 0);
}

#[test]
fn a_machine_has_a_token_until_it_is_ended() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    let made = client.post(
        "/machines",
        &operator,
        json!({ "name": "nightly", "scopes": ["orders", "courses"], "expiresInDays": 90 }),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let claims = claims(&made.text("accessToken"));
    assert_eq!((&*claims.sub, claims.scope.as_deref()), ("machine:nightly", Some("orders courses")));
    assert_eq!(claims.exp - claims.iat, 90 * 86_400);
    let listed = client.get("/machines", &operator).body;
    assert_eq!(listed["_embedded"]["machines"][0].get("accessToken"), None, "it is shown once");
    for wrong in [
        json!({ "name": "nightly", "scopes": ["orders"], "expiresInDays": 1 }),
        json!({ "name": "A b", "scopes": ["orders"], "expiresInDays": 1 }),
        json!({ "name": "b", "scopes": [], "expiresInDays": 1 }),
        json!({ "name": "b", "scopes": ["root"], "expiresInDays": 1 }),
        json!({ "name": "b", "scopes": ["orders"], "expiresInDays": 91 }),
        json!({ "name": "b" }),
    ] {
        assert_eq!(
            client.post("/machines", &operator, wrong.clone()).problem(),
            "422 invalid-fields",
            "{wrong}"
        );
    }
    assert_eq!(client.delete(&format!("/machines/{}", made.text("id")), &operator).status, 204);
    assert!(client.service.ports.ended.borrow().contains(&claims.sid));
    client.pass(3601);
    client.service.ports.ended.borrow_mut().clear();
    client.tick();
    assert!(
        client.service.ports.ended.borrow().contains(&claims.sid),
        "told again, should it have been lost"
    );
}

#[test]
fn nothing_is_left_of_whoever_is_erased_and_their_number_can_register_again() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    let registered = client.register(PHONE);
    let token = registered.text("accessToken");
    client.ask(Method::PATCH, "/members/me", &token, json!({ "name": "임꺽정" }));
    client.post("/invitations", &operator, json!({ "phone": PHONE, "role": "manager" }));
    client.pass(60);
    client.code(PHONE);

    assert_eq!(client.delete("/members/me", &token).status, 204);
    assert_eq!(client.delete("/members/2", &operator).status, 204, "erasing again changes nothing");
    assert_eq!(client.delete("/members/9", &operator).status, 404);
    assert!(client.service.ports.ended.borrow().contains(&claims(&token).sid));
    let refresh = json!({ "refreshToken": registered.text("refreshToken") });
    assert_eq!(client.post("/sessions/refresh", "", refresh).problem(), "401 session-ended");
    for person in ["홍길동", "임꺽정", "821011112222", "gil@example.com"] {
        for (table, columns) in [
            ("events", "data"),
            ("members", "coalesce(name, '') || coalesce(phone, '') || coalesce(email, '')"),
            ("codes", "phone"),
            ("invitations", "phone"),
            ("registrations", "phone"),
        ] {
            let mine = if table == "events" { " AND subject = 'member/2'" } else { "" };
            let mine = if table == "members" { " AND customer_id = 2" } else { mine };
            let sql = format!("SELECT count(*) FROM {table} WHERE {columns} LIKE '%{person}%'{mine}");
            assert_eq!(client.number(&sql), 0, "{person} is in {table}");
        }
    }
    assert_eq!(client.number("SELECT count(*) FROM sign_ins WHERE customer_id = 2"), 0);
    let shown = client.get("/members/2", &operator).body;
    assert_eq!((&shown["name"], &shown["phone"]), (&Value::Null, &Value::Null));
    assert!(shown["erasedAt"].is_string());
    let others =
        client.number("SELECT count(*) FROM events WHERE subject = 'member/1' AND data LIKE '%홍길동%'");
    assert_eq!(others, 1, "somebody else of that name is left alone");

    // Of the events the kinds are left.
    assert_eq!(client.events()[1..], ["MemberRegistered", "MemberChanged", "MemberErased"]);
    assert_eq!(client.register(PHONE).body["member"]["customerId"], 3);
}

#[test]
fn the_sandboxs_inbox_shows_the_codes() {
    let client = Client::new();
    let operator = client.register(OPERATOR).text("accessToken");
    client.post("/invitations", &operator, json!({ "phone": PHONE, "role": "manager" }));
    let code = client.code(PHONE).code;
    let shown = client.get("/members/inbox", &operator).body["_embedded"]["messages"].clone();
    assert_eq!(shown.as_array().map(Vec::len), Some(2), "codes, and nothing else");
    assert_eq!(shown[0]["to"], "+821011112222");
    assert!(shown[0]["body"].as_str().unwrap().contains(&code));
}

#[test]
fn what_is_not_there_and_what_is_not_taken_is_said() {
    let client = Client::new();
    for path in ["/members/0", "/members/x", "/members/me/x", "/sessions/a/b", "/invitations/x", "/x"] {
        assert_eq!(client.get(path, "").problem(), "404 not-found", "{path}");
    }
    for (method, path, allowed) in [
        (Method::GET, "/sign-in-codes", "POST, OPTIONS"),
        (Method::PUT, "/sessions", "GET, HEAD, POST, DELETE, OPTIONS"),
        (Method::POST, "/members/me", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        (Method::POST, "/members/inbox", "GET, HEAD, OPTIONS"),
    ] {
        let refused = client.ask(method, path, "", json!({}));
        assert_eq!((refused.status, refused.response.get("allow")), (405, Some(allowed)), "{path}");
    }
    let refused = client.post("/sign-in-codes", "", json!([]));
    assert_eq!(refused.problem(), "400 malformed-json");
}

#[test]
fn an_operator_sees_how_far_behind_consumers_are_and_replays_or_drops_what_they_gave_up_on() {
    let client = Client::new();
    let token = client.register(OPERATOR).text("accessToken");
    assert_eq!(client.get("/event-log", &token).problem(), "503 event-log-unavailable");
    let event = r#"{"type":"sugang.pay.Paid","subject":"7"}"#;
    let fields = ["sugang:events:pay", "1-5", "no such column: x", "2026-11-22T01:02:03.004Z", event];
    let letter = |id: &str| DeadLetter::of("order", id.to_owned(), fields.map(str::to_owned));
    client.service.ports.dead.replace(Some(vec![letter("1-0"), letter("2-0")]));
    let log = client.get("/event-log", &token).body;
    assert_eq!((&log["consumers"][0]["unread"], &log["consumers"][0]["deadLetters"]), (&json!(2), &json!(2)));
    assert_eq!(log["consumers"][0]["streams"][0]["oldest"], NOW.to_string());
    let listed = client.get("/event-log/dead-letters", &token).body;
    let first = &listed["_embedded"]["deadLetters"][0];
    assert_eq!((&first["id"], &first["what"]), (&json!("order:1-0"), &json!("Paid of order 7")));
    assert_eq!((&first["source"], &first["cause"]), (&json!("pay"), &json!("failed")));
    // Not the event itself: it may say who somebody is.
    assert!(!listed.to_string().contains("sugang.pay.Paid"), "{listed}");
    assert_eq!(client.get("/event-log/dead-letters/order:2-0", &token).body["id"], "order:2-0");
    let replay = |id: &str| client.post(&format!("/event-log/dead-letters/{id}/replay"), &token, json!({}));
    assert_eq!(replay("order:1-0").status, 204);
    assert_eq!(client.delete("/event-log/dead-letters/order:2-0", &token).status, 204);
    for gone in ["order:1-0", "order:2-0", "pay:1-0", "mail:1-0", "order:1", "order:", "1-0"] {
        assert_eq!(replay(gone).problem(), "404 not-found", "{gone}");
        assert_eq!(client.get(&format!("/event-log/dead-letters/{gone}"), &token).status, 404, "{gone}");
    }
    let kept = client.store().run(
        "SELECT action || ' ' || object AS kept FROM audit WHERE action LIKE 'DeadLetter%' ORDER BY entry",
        &[],
    );
    let kept: Vec<_> = kept.unwrap().iter().map(|row| row.text("kept").unwrap().to_owned()).collect();
    let objects = ["DeadLetterReplayed dead-letter/order:1-0", "DeadLetterDropped dead-letter/order:2-0"];
    assert_eq!(kept, objects);
}
