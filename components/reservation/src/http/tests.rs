//! Requests and answers, on a SQLite of the tests' own. Queries and paging are tested from outside, over HTTP.

use super::*;
use crate::store::testing::{Sqlite, applicant, edu, open, order};
use futures::executor::block_on;
use hal::Query;
use http_body_util::BodyExt;
use serde_json::{Value, json};

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }

    /// What a problem is about, as `409 transition-not-allowed`.
    fn problem(&self) -> String {
        let json = self.json();
        assert!(json["detail"].is_string(), "no word on what was wrong: {json}");
        assert!(json["next"].is_string(), "no word on what to do next: {json}");
        format!("{} {}", self.status, json["type"].as_str().unwrap().trim_start_matches("/problems/"))
    }
}

fn ask(store: &Sqlite, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    let request = Request {
        method: method.parse().unwrap(),
        segments: path.trim_matches('/').split('/').map(str::to_owned).collect(),
        path: path.to_owned(),
        query: Query::default(),
        headers: map,
        body: body.to_string().into(),
        base: "http://h".to_owned(),
    };
    let response = match block_on(answer(store, &request)) {
        Ok(response) => response,
        Err(Error::Problem(problem)) => (*problem).into(),
        Err(error) => panic!("{error:?}"),
    };
    let (parts, body) = response.into_http().into_parts();
    let body = block_on(body.collect()).unwrap().to_bytes().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8(body).unwrap() }
}

fn get(store: &Sqlite, path: &str) -> Answer {
    ask(store, "GET", path, &[], &Value::Null)
}

fn post(store: &Sqlite, body: &Value) -> Answer {
    ask(store, "POST", "/courses", &[], body)
}

fn patch(store: &Sqlite, path: &str, body: &Value) -> Answer {
    ask(store, "PATCH", path, &[], body)
}

fn rust_course() -> Value {
    json!({
        "eduNo": 201, "title": "러스트", "capacity": 2, "fee": 1000, "approval": "manual",
        "startsAt": "2027-01-01T09:00:00+09:00", "endsAt": "2027-01-02T18:00:00+09:00"
    })
}

/// Course 101 with this many seats, and paid orders 1, 2, … of one person each.
fn with_reservations(approval: &str, capacity: u64, people: u64) -> Sqlite {
    let store = Sqlite::new();
    let mut course = rust_course();
    course["eduNo"] = json!(101);
    course["capacity"] = json!(capacity);
    course["approval"] = json!(approval);
    assert_eq!(post(&store, &course).status, 201);
    let paid: Vec<_> = (1..=people).map(|id| Command::Reserve(applicant(id, 101, 1))).collect();
    store.do_all(&paid).unwrap();
    store
}

/// The names of a document's links, in the order of the alphabet.
fn links(document: &Value) -> Vec<&str> {
    let mut names: Vec<_> = document["_links"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_course_is_created_once_and_found_again() {
    let store = Sqlite::new();
    let created = post(&store, &rust_course());
    assert_eq!(
        (created.status, &created.headers["location"]),
        (201, &"http://h/courses/201".parse().unwrap())
    );
    let course = created.json();
    assert_eq!(course["startsAt"], "2027-01-01T00:00:00.000Z");
    assert_eq!(
        (&course["taken"], &course["waiting"], &course["status"]),
        (&json!(0), &json!(0), &json!("Open"))
    );
    assert_eq!(links(&course), ["cancel", "reservations", "roster", "self", "start"]);

    assert_eq!(post(&store, &rust_course()).status, 200);
    assert_eq!(get(&store, "/courses/201").json(), course);
    let mut other = rust_course();
    other["fee"] = json!(0);
    let refused = post(&store, &other);
    assert_eq!(refused.problem(), "409 course-content-differs");
    assert_eq!(refused.json()["present"]["fee"], 1000);
}

#[test]
fn a_course_without_a_number_gets_the_next_one_each_time() {
    let store = Sqlite::new();
    let mut course = rust_course();
    course.as_object_mut().unwrap().remove("eduNo");
    let numbers: Vec<_> = (0..2).map(|_| post(&store, &course).json()["eduNo"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn everything_wrong_with_a_course_is_named_at_once_and_nothing_is_stored() {
    let store = Sqlite::new();
    let refused = post(
        &store,
        &json!({ "eduNo": 0, "title": "\u{7}", "capacity": 100_001, "fee": -1, "approval": "never", "startsAt": "morgen" }),
    );
    assert_eq!(refused.problem(), "422 invalid-fields");
    let json = refused.json();
    let mut named: Vec<_> =
        json["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    named.sort_unstable();
    assert_eq!(named, ["approval", "capacity", "eduNo", "endsAt", "fee", "startsAt", "title"]);

    let mut backwards = rust_course();
    backwards["endsAt"] = backwards["startsAt"].clone();
    assert_eq!(post(&store, &backwards).problem(), "422 invalid-fields");
    assert_eq!(store.number("SELECT count(*) FROM events"), 0);
}

#[test]
fn a_course_goes_on_by_patch_and_shows_what_can_be_done_next() {
    let store = Sqlite::new();
    post(&store, &rust_course());
    let started = patch(&store, "/courses/201", &json!({ "status": "Started" }));
    assert_eq!((started.status, &started.json()["status"]), (200, &json!("Started")));
    assert_eq!(links(&started.json()), ["cancel", "finish", "reservations", "roster", "self"]);

    let again = patch(&store, "/courses/201", &json!({ "status": "Started" }));
    assert_eq!(again.problem(), "409 transition-not-allowed");
    assert_eq!(again.json()["presentStatus"], "Started");
    let late = patch(&store, "/courses/201", &json!({ "fee": 5 }));
    assert_eq!(
        (late.problem(), &late.json()["presentStatus"]),
        ("409 course-not-open".to_owned(), &json!("Started"))
    );
    assert_eq!(patch(&store, "/courses/201", &json!({ "status": "Over" })).problem(), "422 invalid-fields");

    let finished = patch(&store, "/courses/201", &json!({ "status": "Finished" }));
    assert_eq!(links(&finished.json()), ["reservations", "roster", "self"]);
    assert_eq!(patch(&store, "/courses/9", &json!({ "status": "Started" })).problem(), "404 not-found");
}

#[test]
fn a_whole_course_may_be_sent_back_with_one_field_changed() {
    let store = Sqlite::new();
    let mut course = post(&store, &rust_course()).json();
    course["title"] = json!("러스트 심화");
    let changed = patch(&store, "/courses/201", &course);
    assert_eq!((changed.status, &changed.json()["title"]), (200, &json!("러스트 심화")));

    course["approval"] = json!("automatic");
    assert_eq!(patch(&store, "/courses/201", &course).problem(), "422 invalid-fields");
}

#[test]
fn seats_that_are_taken_are_not_taken_away() {
    let store = with_reservations("manual", 2, 2);
    let refused = patch(&store, "/courses/101", &json!({ "capacity": 1 }));
    assert_eq!(
        (refused.problem(), &refused.json()["taken"]),
        ("409 capacity-below-taken".to_owned(), &json!(2))
    );
}

#[test]
fn a_change_meant_for_an_older_state_is_refused() {
    let store = Sqlite::new();
    let etag = post(&store, &rust_course()).etag().to_owned();
    let fee = |tag: &str, fee: u64| {
        ask(&store, "PATCH", "/courses/201", &[("if-match", tag)], &json!({ "fee": fee }))
    };
    let changed = fee(&etag, 2000);
    assert_eq!(changed.status, 200);
    assert_ne!(changed.etag(), etag);
    assert_eq!(fee(&etag, 3000).problem(), "412 precondition-failed");
    assert_eq!(fee("*", 3000).status, 200);

    let etag = get(&store, "/courses/201").etag().to_owned();
    let unchanged = ask(&store, "GET", "/courses/201", &[("if-none-match", &etag)], &Value::Null);
    assert_eq!((unchanged.status, unchanged.body.as_str()), (304, ""));
}

/// Between the answer to `If-Match` and the decision, somebody else may decide.
#[test]
fn a_change_overtaken_after_its_state_was_checked_is_refused() {
    let store = with_reservations("manual", 2, 1);
    let etag = get(&store, "/reservations/1").etag().to_owned();
    let sooner = vec![crate::store::Asked { command: Command::Reject(order(1)), traceparent: None }];
    store.overtake_with(sooner);
    let confirm = json!({ "status": "Reservation Confirmed" });
    let refused = ask(&store, "PATCH", "/reservations/1", &[("if-match", &etag)], &confirm);
    assert_eq!(refused.problem(), "412 precondition-failed");
}

#[test]
fn a_manager_confirms_and_rejects() {
    let store = with_reservations("manual", 2, 3);
    let requested = get(&store, "/reservations/1").json();
    assert_eq!(links(&requested), ["confirm", "course", "reject", "self"]);
    assert_eq!(requested["waitingPosition"], Value::Null);

    let confirmed = patch(&store, "/reservations/1", &json!({ "status": "Reservation Confirmed" }));
    assert_eq!((confirmed.status, &confirmed.json()["status"]), (200, &json!("Reservation Confirmed")));
    assert_eq!(links(&confirmed.json()), ["course", "self"]);

    let waiting = get(&store, "/reservations/3").json();
    assert_eq!((&waiting["status"], &waiting["waitingPosition"]), (&json!("Waitlisted"), &json!(1)));
    assert_eq!(links(&waiting), ["course", "reject", "self"]);
    assert_eq!(patch(&store, "/reservations/2", &json!({ "status": "Reservation Rejected" })).status, 200);
    assert_eq!(get(&store, "/reservations/3").json()["status"], "Reservation Requested");
}

#[test]
fn no_other_transition_exists() {
    let store = with_reservations("manual", 1, 2);
    for (order_id, present, statuses) in [
        (1, "Reservation Requested", &["Reservation Requested", "Waitlisted", "Reservation Canceled"][..]),
        (
            2,
            "Waitlisted",
            &["Reservation Requested", "Waitlisted", "Reservation Confirmed", "Reservation Canceled"],
        ),
    ] {
        for status in statuses {
            let refused = patch(&store, &format!("/reservations/{order_id}"), &json!({ "status": status }));
            assert_eq!(refused.problem(), "409 transition-not-allowed", "{present} to {status}");
            assert_eq!(refused.json()["presentStatus"], present);
        }
    }
    assert_eq!(
        patch(&store, "/reservations/1", &json!({ "status": "confirmed" })).problem(),
        "422 invalid-fields"
    );
    assert_eq!(patch(&store, "/reservations/1", &json!({})).problem(), "422 invalid-fields");
    assert_eq!(
        patch(&store, "/reservations/9", &json!({ "status": "Reservation Confirmed" })).problem(),
        "404 not-found"
    );
}

#[test]
fn a_roster_is_json_by_page_or_csv_as_a_whole() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    let title = json!({ "title": "=1+1, \"장난\"" });
    patch(&store, "/courses/101", &title);
    let canceled = kernel::event::CancelReason::Customer;
    store
        .do_all(&[
            Command::Reserve(applicant(1, 101, 1)),
            Command::Reserve(applicant(2, 101, 1)),
            Command::Cancel(applicant(3, 101, 1), canceled),
        ])
        .unwrap();

    let roster = get(&store, "/courses/101/roster").json();
    let orders: Vec<_> = roster["_embedded"]["reservations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["orderId"].clone())
        .collect();
    assert_eq!(orders, [1, 2], "who canceled takes no part");

    let csv = ask(&store, "GET", "/courses/101/roster", &[("accept", "text/csv")], &Value::Null);
    assert_eq!(csv.headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(csv.headers["content-disposition"], "attachment; filename=\"roster-101.csv\"");
    let lines: Vec<_> = csv.body.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "\u{feff}eduNo,courseTitle,orderId,customerId,guest,status,waitingPosition,reservedAt"
    );
    assert!(
        lines[1].starts_with("101,\"'=1+1, \"\"장난\"\"\",1,7,1,Reservation Confirmed,,2026-"),
        "{}",
        lines[1]
    );
    assert!(lines[2].contains(",2,7,1,Waitlisted,1,"), "{}", lines[2]);
    assert_eq!(get(&store, "/courses/9/roster").problem(), "404 not-found");
}

#[test]
fn what_is_not_there_or_not_allowed_says_so() {
    let store = Sqlite::new();
    store.do_all(&[open(101, 1)]).unwrap();
    for path in [
        "/courses/abc",
        "/courses/0",
        "/courses/9007199254740992",
        "/courses/+1",
        "/courses/102",
        "/courses/101/seats",
        "/reservations/1",
        "/reservations/search",
        "/reservations/1/2",
    ] {
        assert_eq!(get(&store, path).problem(), "404 not-found", "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/courses", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/courses/101", "GET, HEAD, PATCH, OPTIONS"),
        ("POST", "/courses/101/roster", "GET, HEAD, OPTIONS"),
        ("POST", "/reservations", "GET, HEAD, OPTIONS"),
        ("DELETE", "/reservations/1", "GET, HEAD, PATCH, OPTIONS"),
        ("PATCH", "/reservations/search/findByOrderId", "GET, HEAD, OPTIONS"),
    ] {
        let refused = ask(&store, method, path, &[], &json!({}));
        assert_eq!(refused.problem(), "405 method-not-allowed", "{method} {path}");
        assert_eq!(refused.headers["allow"], allow);
    }
    assert_eq!(get(&store, "/reservations/search/findByOrderId").problem(), "422 invalid-fields");
}

#[test]
fn the_list_of_courses_shows_their_seats() {
    let store = with_reservations("automatic", 2, 3);
    let listed = get(&store, "/courses").json();
    let course = &listed["_embedded"]["courses"][0];
    assert_eq!((&course["taken"], &course["waiting"]), (&json!(2), &json!(1)));
    assert_eq!(listed["page"]["totalElements"], 1);
    assert_eq!(get(&store, "/reservations").json()["page"]["totalElements"], 3);
    assert_eq!(edu(101).to_string(), course["eduNo"].to_string());
}

#[test]
fn a_roster_longer_than_what_is_read_at_once_is_whole() {
    let store = with_reservations("automatic", 2_000, 1_001);
    let csv = ask(&store, "GET", "/courses/101/roster", &[("accept", "text/csv")], &Value::Null);
    assert_eq!(csv.body.lines().count(), 1 + 1_001);
}

#[test]
fn a_change_of_a_course_overtaken_after_its_state_was_checked_is_refused() {
    let store = with_reservations("manual", 2, 0);
    let etag = get(&store, "/courses/101").etag().to_owned();
    let changes = crate::domain::Changes { fee: Some(kernel::Won::ZERO), ..Default::default() };
    store.overtake_with(crate::store::testing::asked(&[Command::Change(edu(101), changes)]));
    let refused = ask(&store, "PATCH", "/courses/101", &[("if-match", &etag)], &json!({ "capacity": 3 }));
    assert_eq!(refused.problem(), "412 precondition-failed");
}

#[test]
fn a_number_that_somebody_else_takes_first_is_passed_over() {
    let store = Sqlite::new();
    let mut course = rust_course();
    course.as_object_mut().unwrap().remove("eduNo");
    store.overtake_with(crate::store::testing::asked(&[open(1, 2)]));
    let created = post(&store, &course);
    assert_eq!((created.status, &created.json()["eduNo"]), (201, &json!(2)));
}

#[test]
fn a_refused_transition_names_both_states() {
    let store = with_reservations("manual", 1, 1);
    for (path, present, asked) in
        [("/reservations/1", "Reservation Requested", "Waitlisted"), ("/courses/101", "Open", "Finished")]
    {
        let refused = patch(&store, path, &json!({ "status": asked }));
        assert_eq!(refused.problem(), "409 transition-not-allowed");
        assert_eq!(refused.json()["detail"], format!("It is `{present}` and cannot become `{asked}`."));
    }
}
