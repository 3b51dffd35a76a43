//! Pages while something is slow or away: they say what is delayed, and the rest of them works.

use crate::{TOLD, browse, open, options};
use sugang_tests::{Ground, Options, Sugang};

#[test]
fn while_pay_is_slow_an_order_says_until_when_it_is_tried_again() {
    let system = Sugang::with(options().variable("gateway_delay_ms", "1500"));
    for (told, words) in TOLD.iter().zip(["결제가 지연되고 있습니다", "The payment is delayed"]) {
        let browser = told.browse(&system);
        told.apply(&browser, 101, "1", "1234");
        browser.wait_for(words);
        browser.check(&told.picture("order-delayed"));
        // It is paid without anyone's doing.
        browser.wait_for(told.confirmed);
    }
}

/// The application without some contexts, on ground on which it knows the courses.
fn without(contexts: &[&str]) -> (Ground, sugang_tests::Host) {
    let ground = Ground::new();
    ground.host(options()).stop();
    let host = ground.host(Options::without(contexts).variable("access", "open"));
    (ground, host)
}

#[test]
fn while_reservation_is_away_the_catalogue_says_so() {
    let (_ground, host) = without(&["reservation"]);
    for (told, words) in
        TOLD.iter().zip(["과정과 자리 정보가 지연되고 있습니다", "Courses and seats are delayed"])
    {
        let browser = sugang_tests::browser::Browser::open(&host.url(""));
        browser.resize(told.size);
        browser.speak(told.language);
        browser.go("/");
        browser.wait_for(words);
        browser.check(&told.picture("catalogue-away"));
    }
}

#[test]
fn while_reservation_information_and_notification_are_away_an_order_is_still_shown() {
    let (_ground, host) = without(&["reservation", "information", "notification"]);
    let order = serde_json::json!({ "eduNo": 101, "guest": 1, "cardNo": "1234" });
    let order = host.post("/orders", &order).json()["orderId"].as_u64().unwrap();
    let told = &TOLD[0];
    let browser = sugang_tests::browser::Browser::open(&host.url(""));
    browser.speak(told.language);
    browser.go(&format!("/my/{order}"));
    browser.wait_for("결제가 완료되었습니다");
    browser.wait_for("상태 이력이 지연되고 있습니다");
    browser.go(&format!("/my/{order}/messages"));
    browser.wait_for("메시지 기록이 지연되고 있습니다");
    browser.check("messages-away");
}

#[test]
fn nothing_is_changed_for_a_page_of_another_site() {
    let system = open();
    let form = "guest=1&cardNo=1234&agree=1&key=0123456789abcdef0123456789abcdef";
    let post = |headers: &[(&str, &str)]| {
        let request = system.request("POST", "/apply/101/form");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        system.send(request, Some(form.to_owned()))
    };
    assert_eq!(post(&[]).status, 403);
    assert_eq!(post(&[("origin", "http://evil.example")]).status, 403);
    assert_eq!(post(&[("sec-fetch-site", "cross-site")]).status, 403);
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]).status, 303);
    // Sent again it is the same application.
    let again = post(&[("sec-fetch-site", "same-origin")]);
    assert_eq!(again.status, 303);
    let orders = system.get("/orders").json();
    assert_eq!(orders["page"]["totalElements"], 1);
    let browser = browse(&system);
    browser.go("/nothing/here");
    browser.check("not-found");
}
