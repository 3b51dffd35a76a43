//! Requests and answers, on a store of the tests' own. Queries and paging are tested from outside, over HTTP.

use super::*;
use crate::domain::Command;
use crate::testing::{Reservation, applicant, edu, open, over, reject, service};
use ::store::native::at_once;
use access::Caller;
use futures::executor::block_on;
use kernel::CourseStatus;
use serde_json::{Value, json};

::store::on_postgres!(
    a_course_is_created_once_and_found_again,
    a_course_without_a_number_gets_the_next_one_each_time,
    everything_wrong_with_a_course_is_named_at_once_and_nothing_is_stored,
    a_course_goes_on_by_patch_and_shows_what_can_be_done_next,
    a_whole_course_may_be_sent_back_with_one_field_changed,
    seats_that_are_taken_are_not_taken_away,
    a_change_meant_for_an_older_state_is_refused,
    a_change_overtaken_after_its_state_was_checked_is_refused,
    a_manager_confirms_and_rejects,
    no_other_transition_exists,
    a_roster_is_json_by_page_or_csv_as_a_whole,
    what_is_not_there_or_not_allowed_says_so,
    the_list_of_courses_shows_their_seats,
    a_roster_longer_than_what_is_read_at_once_is_whole,
    a_change_of_a_course_overtaken_after_its_state_was_checked_is_refused,
    a_number_that_somebody_else_takes_first_is_passed_over,
    a_refused_transition_names_both_states,
    forty_courses_opened_at_once_are_forty_courses,
    numbers_that_clients_choose_do_not_move_ours_on_and_are_passed_over,
    an_opening_repeated_with_its_key_is_the_same_course,
    a_key_that_came_with_other_content_is_refused,
    a_key_answers_for_a_course_that_was_open_already,
    of_two_requests_with_one_key_at_once_one_opens_the_course,
    a_key_is_forgotten_after_a_day,
    a_course_is_not_changed_for_a_client_that_has_not_seen_the_latest_seat_given,
    a_waiting_reservation_is_not_rejected_for_a_client_that_saw_it_further_behind,
    no_precondition_is_read_half,
    csv_is_for_whoever_prefers_it,
    a_title_is_what_a_person_can_see_and_no_formula_for_a_spreadsheet,
);

struct Answer(Response);

impl Answer {
    fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    fn json(&self) -> Value {
        self.0.json()
    }

    fn text(&self) -> &str {
        str::from_utf8(self.0.bytes()).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_default()
    }

    fn etag(&self) -> String {
        self.header("etag").to_owned()
    }

    /// What a problem is about, as `409 transition-not-allowed`.
    fn problem(&self) -> String {
        let json = self.json();
        assert!(json["detail"].is_string(), "no word on what was wrong: {json}");
        assert!(json["next"].is_string(), "no word on what to do next: {json}");
        format!("{} {}", self.status(), json["type"].as_str().unwrap().trim_start_matches("/problems/"))
    }
}

fn ask(service: &Reservation, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
    let headers = [&[("host", "h")], headers].concat();
    let request = Request::new(method.parse().unwrap(), path, &headers, body.to_string()).unwrap();
    let answered = at_once(hal::answer(&request, async |request| {
        answer(service, request, &Reach::open(Caller::default())).await
    }));
    Answer(answered.expect("no store keeps anybody waiting"))
}

fn get(service: &Reservation, path: &str) -> Answer {
    ask(service, "GET", path, &[], &Value::Null)
}

fn post(service: &Reservation, body: &Value) -> Answer {
    ask(service, "POST", "/courses", &[], body)
}

fn patch(service: &Reservation, path: &str, body: &Value) -> Answer {
    ask(service, "PATCH", path, &[], body)
}

fn rust_course() -> Value {
    json!({
        "eduNo": 201, "title": "러스트", "capacity": 2, "fee": 1000, "approval": "manual",
        "startsAt": "2027-01-01T09:00:00+09:00", "endsAt": "2027-01-02T18:00:00+09:00"
    })
}

/// Course 101 with this many seats, and paid orders 1, 2, … of one person each.
fn with_reservations(approval: &str, capacity: u64, people: u64) -> Reservation {
    let service = service();
    let mut course = rust_course();
    course["eduNo"] = json!(101);
    course["capacity"] = json!(capacity);
    course["approval"] = json!(approval);
    assert_eq!(post(&service, &course).status(), 201);
    let paid: Vec<_> = (1..=people).map(|id| Command::Reserve(applicant(id, 101, 1))).collect();
    service.do_all(&paid).unwrap();
    service
}

/// The names of a document's links, in the order of the alphabet.
fn links(document: &Value) -> Vec<&str> {
    let mut names: Vec<_> = document["_links"].as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_course_is_created_once_and_found_again() {
    let service = service();
    let created = post(&service, &rust_course());
    assert_eq!((created.status(), created.header("location")), (201, "http://h/courses/201"));
    let course = created.json();
    assert_eq!(course["startsAt"], "2027-01-01T00:00:00.000Z");
    assert_eq!(
        (&course["taken"], &course["waiting"], &course["status"]),
        (&json!(0), &json!(0), &json!("Open"))
    );
    assert_eq!(links(&course), ["cancel", "reservations", "roster", "self", "start"]);

    assert_eq!(post(&service, &rust_course()).status(), 200);
    assert_eq!(get(&service, "/courses/201").json(), course);
    let mut other = rust_course();
    other["fee"] = json!(0);
    let refused = post(&service, &other);
    assert_eq!(refused.problem(), "409 course-content-differs");
    assert_eq!(refused.json()["present"]["fee"], 1000);
}

#[test]
fn a_course_without_a_number_gets_the_next_one_each_time() {
    let service = service();
    let mut course = rust_course();
    course.as_object_mut().unwrap().remove("eduNo");
    let numbers: Vec<_> = (0..2).map(|_| post(&service, &course).json()["eduNo"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn everything_wrong_with_a_course_is_named_at_once_and_nothing_is_stored() {
    let service = service();
    let refused = post(
        &service,
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
    assert_eq!(post(&service, &backwards).problem(), "422 invalid-fields");
    assert_eq!(service.number("SELECT count(*) FROM events"), 0);
}

#[test]
fn a_course_goes_on_by_patch_and_shows_what_can_be_done_next() {
    let service = service();
    post(&service, &rust_course());
    let started = patch(&service, "/courses/201", &json!({ "status": "Started" }));
    assert_eq!((started.status(), &started.json()["status"]), (200, &json!("Started")));
    assert_eq!(links(&started.json()), ["cancel", "finish", "reservations", "roster", "self"]);

    let again = patch(&service, "/courses/201", &json!({ "status": "Started" }));
    assert_eq!(again.problem(), "409 transition-not-allowed");
    assert_eq!(again.json()["presentStatus"], "Started");
    let late = patch(&service, "/courses/201", &json!({ "fee": 5 }));
    assert_eq!(
        (late.problem(), &late.json()["presentStatus"]),
        ("409 course-not-open".to_owned(), &json!("Started"))
    );
    assert_eq!(patch(&service, "/courses/201", &json!({ "status": "Over" })).problem(), "422 invalid-fields");

    let finished = patch(&service, "/courses/201", &json!({ "status": "Finished" }));
    assert_eq!(links(&finished.json()), ["reservations", "roster", "self"]);
    assert_eq!(patch(&service, "/courses/9", &json!({ "status": "Started" })).problem(), "404 not-found");
}

#[test]
fn a_whole_course_may_be_sent_back_with_one_field_changed() {
    let service = service();
    let mut course = post(&service, &rust_course()).json();
    course["title"] = json!("러스트 심화");
    let changed = patch(&service, "/courses/201", &course);
    assert_eq!((changed.status(), &changed.json()["title"]), (200, &json!("러스트 심화")));

    course["approval"] = json!("automatic");
    assert_eq!(patch(&service, "/courses/201", &course).problem(), "422 invalid-fields");
}

#[test]
fn seats_that_are_taken_are_not_taken_away() {
    let service = with_reservations("manual", 2, 2);
    let refused = patch(&service, "/courses/101", &json!({ "capacity": 1 }));
    assert_eq!(
        (refused.problem(), &refused.json()["taken"]),
        ("409 capacity-below-taken".to_owned(), &json!(2))
    );
}

#[test]
fn a_change_meant_for_an_older_state_is_refused() {
    let service = service();
    let etag = post(&service, &rust_course()).etag();
    let fee = |tag: &str, fee: u64| {
        ask(&service, "PATCH", "/courses/201", &[("if-match", tag)], &json!({ "fee": fee }))
    };
    let changed = fee(&etag, 2000);
    assert_eq!(changed.status(), 200);
    assert_ne!(changed.etag(), etag);
    assert_eq!(fee(&etag, 3000).problem(), "412 precondition-failed");
    assert_eq!(fee("*", 3000).status(), 200);

    let etag = get(&service, "/courses/201").etag();
    let unchanged = ask(&service, "GET", "/courses/201", &[("if-none-match", &etag)], &Value::Null);
    assert_eq!((unchanged.status(), unchanged.text()), (304, ""));
}

/// Between the answer to `If-Match` and the decision, somebody else may decide.
#[test]
fn a_change_overtaken_after_its_state_was_checked_is_refused() {
    let service = with_reservations("manual", 2, 1);
    let etag = get(&service, "/reservations/1").etag();
    service.meanwhile(&[reject(1)]);
    let confirm = json!({ "status": "Reservation Confirmed" });
    let refused = ask(&service, "PATCH", "/reservations/1", &[("if-match", &etag)], &confirm);
    assert_eq!(refused.problem(), "412 precondition-failed");
}

#[test]
fn a_manager_confirms_and_rejects() {
    let service = with_reservations("manual", 2, 3);
    let requested = get(&service, "/reservations/1").json();
    assert_eq!(links(&requested), ["confirm", "course", "reject", "self"]);
    assert_eq!(requested["waitingPosition"], Value::Null);

    let confirmed = patch(&service, "/reservations/1", &json!({ "status": "Reservation Confirmed" }));
    assert_eq!((confirmed.status(), &confirmed.json()["status"]), (200, &json!("Reservation Confirmed")));
    assert_eq!(links(&confirmed.json()), ["course", "self"]);

    let waiting = get(&service, "/reservations/3").json();
    assert_eq!((&waiting["status"], &waiting["waitingPosition"]), (&json!("Waitlisted"), &json!(1)));
    assert_eq!(links(&waiting), ["course", "reject", "self"]);
    assert_eq!(
        patch(&service, "/reservations/2", &json!({ "status": "Reservation Rejected" })).status(),
        200
    );
    assert_eq!(get(&service, "/reservations/3").json()["status"], "Reservation Requested");
}

#[test]
fn no_other_transition_exists() {
    let service = with_reservations("manual", 1, 2);
    for (order_id, present, statuses) in [
        (1, "Reservation Requested", &["Reservation Requested", "Waitlisted", "Reservation Canceled"][..]),
        (
            2,
            "Waitlisted",
            &["Reservation Requested", "Waitlisted", "Reservation Confirmed", "Reservation Canceled"],
        ),
    ] {
        for status in statuses {
            let refused = patch(&service, &format!("/reservations/{order_id}"), &json!({ "status": status }));
            assert_eq!(refused.problem(), "409 transition-not-allowed", "{present} to {status}");
            assert_eq!(refused.json()["presentStatus"], present);
        }
    }
    assert_eq!(
        patch(&service, "/reservations/1", &json!({ "status": "confirmed" })).problem(),
        "422 invalid-fields"
    );
    assert_eq!(patch(&service, "/reservations/1", &json!({})).problem(), "422 invalid-fields");
    assert_eq!(
        patch(&service, "/reservations/9", &json!({ "status": "Reservation Confirmed" })).problem(),
        "404 not-found"
    );
}

#[test]
fn a_roster_is_json_by_page_or_csv_as_a_whole() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    let title = json!({ "title": "=1+1, \"장난\"" });
    patch(&service, "/courses/101", &title);
    let canceled = kernel::event::CancelReason::Customer;
    service
        .do_all(&[
            Command::Reserve(applicant(1, 101, 1)),
            Command::Reserve(applicant(2, 101, 1)),
            Command::Cancel(applicant(3, 101, 1), canceled),
        ])
        .unwrap();

    let roster = get(&service, "/courses/101/roster").json();
    let orders: Vec<_> = roster["_embedded"]["reservations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["orderId"].clone())
        .collect();
    assert_eq!(orders, [1, 2], "who canceled takes no part");

    let csv = ask(&service, "GET", "/courses/101/roster", &[("accept", "text/csv")], &Value::Null);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"roster-101.csv\"");
    let lines: Vec<_> = csv.text().lines().collect();
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
    assert_eq!(get(&service, "/courses/9/roster").problem(), "404 not-found");
}

#[test]
fn what_is_not_there_or_not_allowed_says_so() {
    let service = service();
    service.do_all(&[open(101, 1)]).unwrap();
    for path in [
        "/courses/abc",
        "/courses/0",
        "/courses/9007199254740992",
        "/courses/+1",
        "/courses/102",
        "/courses/101/seats",
        "/reservations/1",
        "/reservations/search/findByNothing",
        "/reservations/1/2",
    ] {
        assert_eq!(get(&service, path).problem(), "404 not-found", "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/courses", "GET, HEAD, POST, OPTIONS"),
        ("POST", "/courses/101", "GET, HEAD, PATCH, OPTIONS"),
        ("POST", "/courses/101/roster", "GET, HEAD, OPTIONS"),
        ("POST", "/reservations", "GET, HEAD, OPTIONS"),
        ("DELETE", "/reservations/1", "GET, HEAD, PATCH, OPTIONS"),
        ("PATCH", "/reservations/search/findByOrderId", "GET, HEAD, OPTIONS"),
    ] {
        let refused = ask(&service, method, path, &[], &json!({}));
        assert_eq!(refused.problem(), "405 method-not-allowed", "{method} {path}");
        assert_eq!(refused.header("allow"), allow);
    }
    assert_eq!(get(&service, "/reservations/search/findByOrderId").problem(), "422 invalid-fields");
}

#[test]
fn the_list_of_courses_shows_their_seats() {
    let service = with_reservations("automatic", 2, 3);
    let listed = get(&service, "/courses").json();
    let course = &listed["_embedded"]["courses"][0];
    assert_eq!((&course["taken"], &course["waiting"]), (&json!(2), &json!(1)));
    assert_eq!(listed["page"]["totalElements"], 1);
    assert_eq!(get(&service, "/reservations").json()["page"]["totalElements"], 3);
    assert_eq!(edu(101).to_string(), course["eduNo"].to_string());
}

#[test]
fn a_roster_longer_than_what_is_read_at_once_is_whole() {
    let service = with_reservations("automatic", 2_000, 1_001);
    let csv = ask(&service, "GET", "/courses/101/roster", &[("accept", "text/csv")], &Value::Null);
    assert_eq!(csv.text().lines().count(), 1 + 1_001);
}

#[test]
fn a_change_of_a_course_overtaken_after_its_state_was_checked_is_refused() {
    let service = with_reservations("manual", 2, 0);
    let etag = get(&service, "/courses/101").etag();
    let changes = crate::domain::Changes { fee: Some(kernel::Won::ZERO), ..Default::default() };
    service.meanwhile(&[Command::Change(edu(101), changes)]);
    let refused = ask(&service, "PATCH", "/courses/101", &[("if-match", &etag)], &json!({ "capacity": 3 }));
    assert_eq!(refused.problem(), "412 precondition-failed");
}

#[test]
fn a_number_that_somebody_else_takes_first_is_passed_over() {
    let service = service();
    let mut course = rust_course();
    course.as_object_mut().unwrap().remove("eduNo");
    service.meanwhile(&[open(1, 2)]);
    let created = post(&service, &course);
    assert_eq!((created.status(), &created.json()["eduNo"]), (201, &json!(2)));
}

#[test]
fn a_refused_transition_names_both_states() {
    let service = with_reservations("manual", 1, 1);
    for (path, present, asked) in
        [("/reservations/1", "Reservation Requested", "Waitlisted"), ("/courses/101", "Open", "Finished")]
    {
        let refused = patch(&service, path, &json!({ "status": asked }));
        assert_eq!(refused.problem(), "409 transition-not-allowed");
        assert_eq!(refused.json()["detail"], format!("It is `{present}` and cannot become `{asked}`."));
    }
}

fn key(service: &Reservation, key: &str, body: &Value) -> Answer {
    ask(service, "POST", "/courses", &[("idempotency-key", key)], body)
}

fn unnumbered() -> Value {
    let mut course = rust_course();
    course.as_object_mut().unwrap().remove("eduNo");
    course
}

#[test]
fn forty_courses_opened_at_once_are_forty_courses() {
    let service = service();
    service.store().meanwhile(|store| {
        let others = over(store.clone());
        for _ in 0..39 {
            assert_eq!(post(&others, &unnumbered()).status(), 201);
        }
    });
    assert_eq!(post(&service, &unnumbered()).status(), 201);
    assert_eq!(service.store().conflicts(), 0, "nobody was in anybody's way");
    assert_eq!(service.number("SELECT count(DISTINCT edu_no) FROM courses"), 40);
}

#[test]
fn numbers_that_clients_choose_do_not_move_ours_on_and_are_passed_over() {
    let service = service();
    let number = |body: &Value| post(&service, body).json()["eduNo"].clone();
    for chosen in [json!(9_007_199_254_740_991_u64), json!(2), json!(3), json!(101)] {
        let mut course = rust_course();
        course["eduNo"] = chosen.clone();
        assert_eq!(number(&course), chosen);
    }
    assert_eq!([0, 1, 2].map(|_| number(&unnumbered())), [1, 4, 5]);
}

#[test]
fn an_opening_repeated_with_its_key_is_the_same_course() {
    let service = service();
    let first = key(&service, "k1", &unnumbered());
    let again = key(&service, "k1", &unnumbered());
    assert_eq!((first.status(), again.status()), (201, 201));
    assert_eq!((first.json(), again.header("idempotency-replayed")), (again.json(), "true"));
    assert_eq!(key(&service, "k2", &unnumbered()).json()["eduNo"], 2);
    assert_eq!(post(&service, &unnumbered()).json()["eduNo"], 3);
    assert_eq!(service.events().len(), 3);
}

#[test]
fn a_key_that_came_with_other_content_is_refused() {
    let service = service();
    key(&service, "k1", &rust_course());
    for other in [unnumbered(), json!({ "title": "x" })] {
        let mut body = rust_course();
        body["title"] = other["title"].clone();
        body["eduNo"] = other["eduNo"].clone();
        assert_eq!(key(&service, "k1", &body).problem(), "422 idempotency-key-reused");
    }
    assert_eq!(key(&service, "한", &rust_course()).status(), 400);
}

#[test]
fn a_key_answers_for_a_course_that_was_open_already() {
    let service = service();
    post(&service, &rust_course());
    assert_eq!(key(&service, "k1", &rust_course()).status(), 200);
    assert_eq!(key(&service, "k1", &unnumbered()).problem(), "422 idempotency-key-reused");
    let again = key(&service, "k1", &rust_course());
    assert_eq!((again.status(), again.header("idempotency-replayed")), (200, "true"));
}

#[test]
fn of_two_requests_with_one_key_at_once_one_opens_the_course() {
    let service = service();
    service.store().meanwhile(|store| {
        let other = over(store.clone());
        assert_eq!(key(&other, "k1", &unnumbered()).status(), 201);
    });
    let replayed = key(&service, "k1", &unnumbered());
    assert_eq!((replayed.status(), replayed.header("idempotency-replayed")), (201, "true"));
    assert_eq!(service.events().len(), 1);
}

#[test]
fn a_key_is_forgotten_after_a_day() {
    let service = service();
    key(&service, "k1", &unnumbered());
    let keys = || service.number("SELECT count(*) FROM idempotency_keys");
    let tick = || block_on(eventlog::Worker::tick(&service, false)).unwrap();
    tick();
    assert_eq!(keys(), 1);
    service.store().run("UPDATE idempotency_keys SET made_at = made_at - 86400001", &[]).unwrap();
    tick();
    assert_eq!(keys(), 0);
}

/// The seat is given between what `If-Match` is compared with and the change.
#[test]
fn a_course_is_not_changed_for_a_client_that_has_not_seen_the_latest_seat_given() {
    for (change, done) in [
        (json!({ "status": "Course Canceled" }), CourseStatus::CourseCanceled),
        (json!({ "status": "Started" }), CourseStatus::Started),
        (json!({ "capacity": 9 }), CourseStatus::Open),
    ] {
        let service = with_reservations("manual", 2, 0);
        let etag = get(&service, "/courses/101").etag();
        service.meanwhile(&[Command::Reserve(applicant(1, 101, 1))]);
        let refused = ask(&service, "PATCH", "/courses/101", &[("if-match", &etag)], &change);
        assert_eq!(refused.problem(), "412 precondition-failed", "{change}");
        assert_eq!(service.course_status(101), CourseStatus::Open);
        let etag = get(&service, "/courses/101").etag();
        assert_eq!(ask(&service, "PATCH", "/courses/101", &[("if-match", &etag)], &change).status(), 200);
        assert_eq!(service.course_status(101), done);
    }
}

/// The waiting position is shown, and moves without an event of the reservation itself.
#[test]
fn a_waiting_reservation_is_not_rejected_for_a_client_that_saw_it_further_behind() {
    let service = with_reservations("manual", 1, 3);
    let etag = get(&service, "/reservations/3").etag();
    service.meanwhile(&[Command::Cancel(applicant(1, 101, 1), kernel::event::CancelReason::Customer)]);
    let rejected = json!({ "status": "Reservation Rejected" });
    let refused = ask(&service, "PATCH", "/reservations/3", &[("if-match", &etag)], &rejected);
    assert_eq!(refused.problem(), "412 precondition-failed");
}

#[test]
fn no_precondition_is_read_half() {
    let service = with_reservations("manual", 1, 1);
    let fee = json!({ "fee": 7 });
    let etag = get(&service, "/courses/101").etag();
    let patch = |headers: &[(&str, &str)]| ask(&service, "PATCH", "/courses/101", headers, &fee).status();
    assert_eq!(patch(&[("if-match", "\"한\"")]), 412);
    assert_eq!(patch(&[("if-none-match", "*")]), 412);
    assert_eq!(patch(&[("if-none-match", "\"x\""), ("if-none-match", &etag)]), 412);
    assert_eq!(patch(&[("if-match", "\"x\""), ("if-match", &etag)]), 200);
    let missing = ask(&service, "PATCH", "/courses/9", &[("if-match", "\"x\"")], &fee);
    assert_eq!(missing.problem(), "404 not-found", "what is not there has no state to compare");
    let mut course = rust_course();
    course["eduNo"] = json!(300);
    for headers in [("if-none-match", "*"), ("if-match", "\"x\"")] {
        assert_eq!(ask(&service, "POST", "/courses", &[headers], &course).status(), 412);
    }
    assert_eq!(ask(&service, "POST", "/courses", &[("if-match", "*")], &course).status(), 201);
}

#[test]
fn csv_is_for_whoever_prefers_it() {
    let service = with_reservations("automatic", 1, 1);
    for (accept, kind) in [
        ("*/*", "application/hal+json"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/json, text/csv;q=0.5", "application/hal+json"),
        ("application/json;q=0.5, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ("Text/CSV; Charset=utf-8", "text/csv; charset=utf-8"),
        ("text/*;q=0.9, text/csv;q=0", "application/hal+json"),
    ] {
        let roster = ask(&service, "GET", "/courses/101/roster", &[("accept", accept)], &Value::Null);
        assert_eq!((roster.header("content-type"), roster.header("vary")), (kind, "accept"), "{accept}");
    }
}

#[test]
fn a_title_is_what_a_person_can_see_and_no_formula_for_a_spreadsheet() {
    let service = service();
    let mut course = rust_course();
    for unseen in ["\u{200b}\u{2060}", "  ", "\u{202e}abc"] {
        course["title"] = json!(unseen);
        assert_eq!(post(&service, &course).problem(), "422 invalid-fields", "{unseen:?}");
    }
    course["title"] = json!("＝1+1");
    post(&service, &course);
    service.do_all(&[Command::Reserve(applicant(1, 201, 1))]).unwrap();
    let csv = ask(&service, "GET", "/courses/201/roster", &[("accept", "text/csv")], &Value::Null);
    assert!(csv.text().contains(",'＝1+1,"), "{}", csv.text());
}
