//! Whatever is sent, the answer is a problem that says what is wrong, and nothing is stored.

use serde_json::{Value, json};
use sugang_tests::orders::{AUTOMATIC, GOOD_CARD, order, with};
use sugang_tests::{Answer, Sugang, raw};

store::on_postgres!(
    a_field_of_the_wrong_kind_or_size_is_refused_and_named,
    a_course_that_is_not_there_cannot_be_applied_for,
    the_same_number_with_other_content_is_refused_and_changes_nothing,
    a_status_that_does_not_exist_is_refused_and_changes_nothing,
    a_query_that_makes_no_sense_is_refused,
    a_precondition_that_no_longer_holds_is_refused,
);

/// What every test here ends with: nothing has come of it.
fn assert_nothing_stored(sugang: &Sugang) {
    for path in ["/orders", "/pays", "/reservations", "/infomations", "/notifications"] {
        assert_eq!(sugang.get(path).expect(200).at("/page/totalElements"), 0, "{path}");
    }
}

/// Sends a body as it is.
fn post(sugang: &Sugang, body: &str) -> Answer {
    sugang.send(sugang.json("POST", "/orders"), Some(body.to_owned()))
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    let sugang = Sugang::start();
    for body in [
        "",
        "{",
        "orderId=1&eduNo=101",
        "[]",
        "null",
        "\"order\"",
        "1",
        "{\"orderId\":1,}",
        "\u{0}",
        "{}{}",
        "nan",
    ] {
        post(&sugang, body).expect_problem(400, "malformed-json");
    }
    let deep = format!("{}{}", "{\"a\":".repeat(20_000), "1");
    post(&sugang, &deep).expect_any_problem(&[400, 413]);
    assert_nothing_stored(&sugang);
}

#[test]
fn what_says_it_is_not_json_is_refused() {
    let sugang = Sugang::start();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "image/png"]
    {
        let request = sugang.request("POST", "/orders").header("content-type", media_type);
        sugang
            .send(request, Some(order(1, AUTOMATIC).to_string()))
            .expect_problem(415, "unsupported-media-type");
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_field_of_the_wrong_kind_or_size_is_refused_and_named() {
    let sugang = Sugang::start();
    let two_to_the_53 = 9_007_199_254_740_992_u64;
    let table: &[(&str, Value)] = &[
        ("orderId", json!(0)),
        ("orderId", json!(-1)),
        ("orderId", json!(two_to_the_53)),
        ("orderId", json!("9007199254740992")),
        ("orderId", json!(1.5)),
        ("orderId", json!(1e300)),
        ("orderId", json!("one")),
        ("orderId", json!("")),
        ("orderId", json!(true)),
        ("orderId", json!([1])),
        ("orderId", json!({ "id": 1 })),
        ("orderId", json!("99999999999999999999999999999")),
        ("customerId", json!(-5)),
        ("customerId", json!(two_to_the_53)),
        ("customerId", json!("me")),
        ("eduNo", json!(-101)),
        ("eduNo", json!("abc")),
        ("eduNo", json!([101])),
        ("eduNo", Value::Null),
        ("guest", json!(0)),
        ("guest", json!(-1)),
        ("guest", json!(21)),
        ("guest", json!(1_000_000)),
        ("guest", json!("many")),
        ("cardNo", json!("12")),
        ("cardNo", json!("4111-1111-1111-1111-1111-1")),
        ("cardNo", json!("card")),
        ("cardNo", json!([1234])),
    ];
    for (field, value) in table {
        let answer = sugang
            .apply(&with(order(1, AUTOMATIC), &json!({ (*field): value })))
            .expect_problem(422, "invalid-fields");
        let named = answer
            .at("/errors")
            .as_array()
            .is_some_and(|errors| errors.iter().any(|it| it["field"] == *field));
        assert!(named, "{field} = {value}: {}", answer.body);
        assert!(!answer.body.contains(GOOD_CARD), "a card number is never repeated");
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_number_is_the_integer_that_its_digits_say_or_none() {
    let sugang = Sugang::start();
    let apply = |number: &str| {
        post(
            &sugang,
            &format!(r#"{{"orderId":{number},"eduNo":101.0,"guest":2e0,"cardNo":4111111111111234.0}}"#),
        )
    };
    for (written, id) in [
        ("9007199254740991.0", 9_007_199_254_740_991_u64),
        ("9007199254740990e0", 9_007_199_254_740_990),
        ("10000000000000010e-1", 1_000_000_000_000_001),
        ("1.000000000000002E15", 1_000_000_000_000_002),
    ] {
        let taken = apply(written).expect(201);
        assert_eq!((taken.at("/orderId"), taken.at("/guest")), (json!(id), json!(2)), "{written}");
        assert_eq!(taken.text("/cardLast4"), "1234");
    }
    for written in [
        "9007199254740990.9999",
        "2.0000000000000000001",
        "9007199254740992.0",
        "0.9999999999999999999999",
        "1e-400",
        "1e400",
    ] {
        let refused = apply(written).expect_problem(422, "invalid-fields");
        assert_eq!(refused.text("/errors/0/field"), "orderId", "{written}");
    }
    assert_eq!(sugang.get("/orders").expect(200).at("/page/totalElements"), 4);
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let sugang = Sugang::start();
    let order = json!({ "orderId": -1, "eduNo": "x", "guest": 99, "cardNo": "?" });
    let answer = sugang.apply(&order).expect_problem(422, "invalid-fields");
    let mut fields: Vec<_> = answer
        .at("/errors")
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["field"].as_str().map(str::to_owned))
        .collect();
    fields.sort();
    assert_eq!(fields, ["cardNo", "eduNo", "guest", "orderId"]);
}

#[test]
fn a_course_that_is_not_there_cannot_be_applied_for() {
    let sugang = Sugang::start();
    for edu_no in [999, 9_007_199_254_740_991] {
        sugang.apply(&order(1, edu_no)).expect_problem(422, "unknown-course");
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_body_of_ten_megabytes_is_refused_without_being_read() {
    let sugang = Sugang::start();
    let body = format!("{{\"orderId\":1,\"eduNo\":101,\"x\":\"{}\"}}", "x".repeat(10 * 1024 * 1024));
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        sugang.address(),
        body.len()
    );
    let answer = raw(sugang.address(), &[head.as_bytes(), body.as_bytes()].concat());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert_nothing_stored(&sugang);
}

#[test]
fn a_body_of_ten_megabytes_in_chunks_is_refused_too() {
    let sugang = Sugang::start();
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        sugang.address()
    );
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let answer = raw(sugang.address(), format!("{head}{}0\r\n\r\n", chunk.repeat(160)).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_nothing_stored(&sugang);
}

#[test]
fn the_same_number_with_other_content_is_refused_and_changes_nothing() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let before = sugang.order(1).json();
    for other in [json!({ "guest": 2 }), json!({ "eduNo": 102 }), json!({ "customerId": 8 })] {
        sugang.apply(&with(order(1, AUTOMATIC), &other)).expect_problem(409, "order-content-differs");
    }
    assert_eq!(sugang.order(1).json(), before);
    assert_eq!(sugang.get("/pays").at("/page/totalElements"), 1);
}

#[test]
fn a_status_that_does_not_exist_is_refused_and_changes_nothing() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    for status in
        [json!("Order Forgotten"), json!("order canceled!"), json!(1), json!(["Order Canceled"]), json!({})]
    {
        sugang.patch("/orders/1", &json!({ "status": status })).expect_any_problem(&[422]);
    }
    sugang.patch("/orders/1", &json!({ "status": "Paid" })).expect_any_problem(&[409, 422]);
    sugang.patch("/orders/1", &json!({})).expect_any_problem(&[422]);
    sugang.patch("/courses/101", &json!({ "status": "Closed" })).expect_any_problem(&[422]);
    assert_eq!(sugang.order(1).text("/status"), "Ordered");
    assert_eq!(sugang.course(AUTOMATIC).text("/status"), "Open");
}

#[test]
fn a_method_that_a_resource_does_not_have_is_refused_naming_those_it_has() {
    let sugang = Sugang::start();
    for (method, path) in [
        ("PUT", "/orders"),
        ("DELETE", "/orders"),
        ("PUT", "/orders/1"),
        ("POST", "/orders/1"),
        ("DELETE", "/pays/1"),
        ("PATCH", "/pays/1"),
        ("DELETE", "/reservations"),
        ("POST", "/infomations"),
        ("DELETE", "/infomations/1"),
        ("DELETE", "/courses/101"),
        ("POST", "/notifications"),
        ("TRACE", "/orders"),
        ("QUERY", "/orders"),
        ("BREW", "/orders"),
    ] {
        let answer = sugang.send(sugang.json(method, path), None).expect_problem(405, "method-not-allowed");
        assert!(answer.header("allow").contains("GET"), "{method} {path}: {:?}", answer.headers);
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_path_that_is_not_there_is_refused() {
    let sugang = Sugang::start();
    for path in [
        "/nothing",
        "/orders/1",
        "/orders/1/nothing",
        "/orders/one",
        "/orders/-1",
        "/orders/9007199254740992",
        "/orders//1",
        "/orders/1/../../courses/101",
        "/orders/%2e%2e/courses",
        "/orders/search/findByNothing",
        "/pays/1",
        "/reservations/1",
        "/infomations/1",
        "/notifications/nothing",
        "/courses/999",
        "/courses/101/nothing",
        "/favicon.xyz",
    ] {
        sugang.get(path).expect_any_problem(&[400, 404]);
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_query_that_makes_no_sense_is_refused() {
    let sugang = Sugang::start();
    for query in [
        "page=-1",
        "page=x",
        "size=0",
        "size=-1",
        "size=1000000000",
        "size=x",
        "sort=nothing",
        "sort=orderId,sideways",
        "customerId=x",
        "eduNo=-1",
        "status=Nothing",
        "after=%00",
    ] {
        for path in ["/orders", "/infomations"] {
            let answer = sugang.get(&format!("{path}?{query}"));
            // A page that is too large may also be made smaller.
            assert!(answer.status != 500, "{path}?{query}: {}", answer.body);
            if !query.starts_with("size=1000000000") {
                answer.expect_any_problem(&[400, 422]);
            }
        }
    }
    sugang.get("/orders/search/findByOrderId").expect_any_problem(&[400, 422]);
    sugang.get("/orders/search/findByOrderId?orderId=x").expect_any_problem(&[400, 404, 422]);
}

#[test]
fn a_malformed_idempotency_key_is_refused() {
    let sugang = Sugang::start();
    for key in ["", "\"\"", "\"unterminated", "a\tb", &"k".repeat(5_000)] {
        let request = sugang.json("POST", "/orders").header("idempotency-key", key);
        sugang
            .send(request, Some(order(1, AUTOMATIC).to_string()))
            .expect_problem(400, "idempotency-key-malformed");
    }
    assert_nothing_stored(&sugang);
}

#[test]
fn a_precondition_that_no_longer_holds_is_refused() {
    let sugang = Sugang::start();
    sugang.apply(&order(1, AUTOMATIC)).expect(201);
    let request = sugang.json("PATCH", "/orders/1").header("if-match", "\"0\"");
    let body = json!({ "status": "Order Canceled" }).to_string();
    sugang.send(request, Some(body)).expect_problem(412, "precondition-failed");
    let stale = |method, path| sugang.json(method, path).header("if-match", "\"0\"");
    let ordered = json!({ "status": "Ordered" }).to_string();
    sugang.send(stale("PATCH", "/orders/1"), Some(ordered)).expect_problem(412, "precondition-failed");
    let card = json!({ "cardNo": GOOD_CARD }).to_string();
    sugang.send(stale("POST", "/orders/1/payment"), Some(card)).expect_problem(412, "precondition-failed");
    assert_eq!(sugang.order(1).text("/status"), "Ordered");
}

#[test]
fn garbage_on_the_wire_harms_nobody() {
    let sugang = Sugang::start();
    let long = "a".repeat(200_000);
    let garbage: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /orders HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /orders\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        b"GET /orders HTTP/1.1\r\nhost: x\r\n: nothing\r\n\r\n".to_vec(),
        b"GET /orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_vec(),
        b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef".to_vec(),
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").into_bytes(),
        format!(
            "GET /orders HTTP/1.1\r\nhost: x\r\nx-long: {}\r\nconnection: close\r\n\r\n",
            long.repeat(10)
        )
        .into_bytes(),
    ];
    for bytes in garbage {
        let answer = raw(sugang.address(), &bytes);
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        assert!(refused, "{:?}: {answer}", String::from_utf8_lossy(&bytes[..bytes.len().min(60)]));
    }
    for path in ["/orders/%", "/orders/%zz", "/orders/%ff", "/orders?orderId=%ff", "/orders/%00"] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = raw(sugang.address(), head.as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 5") && !answer.is_empty(), "{path}: {answer}");
    }
    for (name, value) in [
        ("accept", "\u{7f}"),
        ("accept-language", ";;;q=,,"),
        ("traceparent", "00-nonsense"),
        ("if-none-match", "\"\"\"\""),
        ("content-type", "application/json; charset=\"\u{1}"),
        ("host", "evil.example/\"><script>"),
    ] {
        let head = format!("GET /orders HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\nconnection: close\r\n\r\n");
        let answer = raw(sugang.address(), head.as_bytes());
        assert!(!answer.starts_with("HTTP/1.1 5") && !answer.is_empty(), "{name}: {value:?}: {answer}");
    }
    assert_nothing_stored(&sugang);
}
