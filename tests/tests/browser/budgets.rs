//! What a page may weigh and take.

use crate::{browse, open};
use std::time::Duration;
use sugang_tests::median;

/// A first view, with all that is loaded for it.
const BYTES: u64 = 60 * 1024;
/// What the server may take for a page under light load.
const SERVER: Duration = Duration::from_millis(10);
/// Until something is seen on a slow telephone, in milliseconds.
const FIRST_PAINT: f64 = 1000.0;

#[test]
fn a_first_view_weighs_less_than_sixty_kilobytes() {
    let system = open();
    let browser = browse(&system);
    for path in ["/", "/apply/101", "/apply/101/form", "/my", "/manage/102"] {
        let bytes = browser.bytes_of(path);
        println!("{path}: {bytes} bytes");
        assert!((1000..BYTES).contains(&bytes), "{path} weighs {bytes} bytes");
    }
}

#[test]
fn a_slow_telephone_shows_something_within_a_second() {
    let system = open();
    let browser = browse(&system);
    browser.go("/terms");
    browser.throttle();
    browser.bytes_of("/");
    let painted = browser.run(
        "return performance.getEntriesByName('first-contentful-paint').map(({ startTime }) => startTime)[0] ?? 0",
        &[],
    );
    let painted = painted.as_f64().unwrap();
    println!("first contentful paint after {painted} ms");
    assert!(painted > 0.0 && painted <= FIRST_PAINT, "after {painted} ms");
}

mod timed {
    use super::*;

    #[test]
    fn the_server_answers_a_page_within_ten_milliseconds() {
        let system = open();
        let order = serde_json::json!({ "eduNo": 101, "guest": 1, "cardNo": "1234" });
        let order = system.post("/orders", &order).json()["orderId"].as_u64().unwrap();
        let order = format!("/my/{order}");
        for path in
            ["/", "/apply/101", "/apply/101/form", "/my", &order, "/manage/102", "/operate", "/sign-in"]
        {
            let get =
                || system.send(system.request("GET", path).header("accept", "text/html"), None).expect(200);
            for _ in 0..10 {
                get();
            }
            let took = median(&(0..50).map(|_| get()).collect::<Vec<_>>());
            println!("{path}: {took:?}");
            assert!(took < SERVER, "{path} takes {took:?}");
        }
    }
}
