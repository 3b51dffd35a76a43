//! What a page may weigh and take.

use crate::{browse, open};
use std::time::Duration;
use sugang_tests::{Api, median};

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

mod timed {
    use super::*;

    #[test]
    fn the_server_answers_a_page_within_ten_milliseconds() {
        let system = open();
        let order = serde_json::json!({ "eduNo": 101, "guest": 1, "cardNo": "1234" });
        let order = system.post("/orders", &order).json()["orderId"].as_u64().unwrap();
        let order = format!("/my/{order}");
        // Pages are not in the contract that the system is held to.
        let pages = Api::new(system.address());
        for path in
            ["/", "/apply/101", "/apply/101/form", "/my", &order, "/manage/102", "/operate", "/sign-in"]
        {
            let get =
                || pages.send(pages.request("GET", path).header("accept", "text/html"), None).expect(200);
            for _ in 0..10 {
                get();
            }
            let took = median(&(0..50).map(|_| get()).collect::<Vec<_>>());
            println!("{path}: {took:?}");
            assert!(took < SERVER, "{path} takes {took:?}");
        }
    }

    #[test]
    fn a_slow_telephone_shows_something_within_a_second() {
        let system = open();
        let browser = browse(&system);
        browser.go("/terms");
        browser.throttle();
        browser.bytes_of("/");
        let script = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null";
        let painted = sugang_tests::until("something to be seen", || browser.run(script, &[]).as_f64());
        println!("first contentful paint after {painted} ms");
        assert!(painted <= FIRST_PAINT, "after {painted} ms");
    }
}
