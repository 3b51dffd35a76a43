//! Whatever is sent: nothing that reads it panics, and what is taken reads back as the same.

use crate::header::Headers;
use crate::{Fields, Method, Query, Request, etag_of};
use kernel::Invalid;
use proptest::collection::vec;
use proptest::prelude::*;

/// Headers that are read somewhere.
const NAMES: [&str; 18] = [
    "accept",
    "accept-language",
    "authorization",
    "content-encoding",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "last-event-id",
    "origin",
    "sec-fetch-site",
    "spin-client-addr",
    "spin-full-url",
    "traceparent",
    "x-forwarded-for",
];

/// A value: any bytes, or pieces of what such values are made of.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces = "(text/csv|\\*/\\*|application/json|q=|0\\.5|;|,|=|\"|\\\\| |W/|\"x\"|for=|\\[::1\\]:9|1\\.2\\.3\\.4|en|-|://|[0-9a-f]{2}|한){0,12}";
    prop_oneof![vec(any::<u8>(), 0..40), pieces.prop_map(String::into_bytes)]
}

fn lines() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    vec((prop::sample::select(&NAMES[..]).prop_map(str::to_owned), value()), 0..12)
}

/// A path and query: any text, or pieces of what those are made of.
fn target() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "(/|orders|%2F|%[0-9A-Fa-f]{2}|%|\\?|&|=|\\+|;|#|한|page|[0-9]){0,20}"]
}

/// A JSON value, as it is written.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,25})?",
        any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
        Just("\"\\ud800\"".to_owned()),
        "[\\[\\]{}\",:a0]{0,8}",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            vec(inner, 0..4).prop_map(|items| {
                let members: Vec<_> = items.iter().map(|item| format!("\"a\":{item}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_request_of_any_path_and_headers_is_read_or_refused(
        target in target(),
        headers in lines(),
        body in vec(any::<u8>(), 0..100),
        proxies in 0_usize..4,
    ) {
        let Ok(mut request) = Request::without_body(Method::PATCH, &target, Headers(headers)) else {
            prop_assert!(target.contains('%'), "{:?} was refused", target);
            return Ok(());
        };
        request.body = body;
        for segment in request.route() {
            prop_assert!(request.path.contains('%') || !segment.contains('/'));
        }
        if let Some(client) = request.client_address(proxies) {
            // It is one that reads as itself, so whatever it is written as counts once.
            let of = |text: &str| crate::request::tests::request("/", &[("spin-client-addr", text)]).client_address(0);
            prop_assert_eq!(of(client.trim_end_matches("/64")), Some(client.clone()));
        }
        if let Ok(Some(key)) = request.idempotency_key() {
            let again = crate::request::tests::request("/", &[("idempotency-key", &key)]);
            prop_assert_eq!(again.idempotency_key().unwrap(), Some(key));
        }
        if let Some(trace) = request.traceparent() {
            prop_assert_eq!(trace.len(), 55);
        }
        prop_assert!(request.negotiate(&[&["application/hal+json"], &["text/csv;header=present"]]) < 2);
        prop_assert!(request.cookies().all(|(name, value)| !name.contains('=') && !value.contains(';')));
        request.language();
        request.is_same_origin();
        request.last_event_id();
        request.credential("authorization");
        // What restrains is never passed over.
        let restrained = NAMES[9..11].iter().any(|name| request.credential(name).is_some());
        prop_assert_eq!(restrained, !request.preconditions().is_unconditional());
        request.preconditions().hold(|| etag_of(&"state"));
        if let Ok(mut fields) = request.fields() {
            fields.number("a", Ok::<_, Invalid>);
        }
    }

    #[test]
    fn a_query_reads_back_from_its_links(raw in target()) {
        let query = Query::parse(&raw);
        let encoded = query.encoded();
        prop_assert!(encoded.is_ascii());
        prop_assert_eq!(Query::parse(&encoded).encoded(), encoded);
        let seventh = Query::parse(&query.with("page", 7));
        prop_assert_eq!(seventh.get("page").unwrap(), Some("7"));
    }

    #[test]
    fn a_state_is_changed_if_its_tag_is_in_the_list_and_only_then(
        tags in vec(("[!#-~]{1,6}", any::<bool>()), 1..6),
        present in 0_usize..8,
        joint in prop::sample::select(vec![",", ", ", " ,\t", ",,"]),
    ) {
        let list: Vec<_> =
            tags.iter().map(|(tag, weak)| format!("{}\"{tag}\"", if *weak { "W/" } else { "" })).collect();
        let tag = tags.get(present).map_or_else(|| "absent!".to_owned(), |(tag, _)| tag.clone());
        let held = |name: &str| {
            let request = crate::request::tests::request("/", &[(name, &list.join(joint))]);
            request.preconditions().hold(|| tag.clone())
        };
        prop_assert_eq!(held("if-match"), tags.contains(&(tag.clone(), false)));
        prop_assert_eq!(held("if-none-match"), !tags.iter().any(|(other, _)| *other == tag));
    }

    #[test]
    fn a_body_of_any_bytes_is_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        if let Ok(fields) = Fields::parse(&body) {
            prop_assert!(fields.finish().is_ok(), "nothing was asked for");
        }
    }

    #[test]
    fn a_field_of_any_value_is_taken_as_what_it_is_or_refused(value in json()) {
        let body = format!("{{\"a\":{value}}}");
        let Ok(parsed) = serde_json::from_str::<serde_json::Value>(&body) else {
            // Some that has a number beyond all floats is JSON all the same, and no member twice is read twice.
            drop(Fields::parse(body.as_bytes()));
            return Ok(());
        };
        let parsed = &parsed["a"];
        let read = || Fields::parse(body.as_bytes()).expect("an object");
        let mut fields = read();
        let number = fields.number("a", Ok::<_, Invalid>);
        if let Some(exact) = parsed.as_u64() {
            prop_assert_eq!(number, Some(exact));
        }
        let text = read().text("a", |text| Ok(text.to_owned()));
        if let Some(exact) = parsed.as_str() {
            prop_assert_eq!(text.as_deref(), Some(exact));
        }
        let flag = read().flag("a");
        if let Some(exact) = parsed.as_bool() {
            prop_assert_eq!(flag, Some(exact));
        }
        prop_assert_eq!(read().has("a"), !parsed.is_null());
        prop_assert!(read().numbers("a", Ok::<_, Invalid>).is_none_or(|list| parsed.as_array().is_some_and(|it| it.len() == list.len())));
        prop_assert!(read().texts("a", |text| Ok(text.to_owned())).is_none_or(|_| parsed.is_array()));
        prop_assert!(read().object("a").is_none_or(|_| parsed.is_object()));
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written(number: u64, zeros in 0_usize..30) {
        let padding = "0".repeat(zeros);
        for written in [
            format!("{number}"),
            format!("\"{number}\""),
            format!("{number}.0{padding}"),
            format!("{number}{padding}e-{zeros}"),
            format!("0.{number:020}e20"),
        ] {
            let mut fields = Fields::parse(format!("{{\"a\":{written}}}").as_bytes()).unwrap();
            prop_assert_eq!(fields.number("a", Ok::<_, Invalid>), Some(number), "{}", written);
        }
        let mut fields = Fields::parse(format!("{{\"a\":{number}.{padding}1}}").as_bytes()).unwrap();
        // Nobody's number is between two numbers.
        prop_assert_eq!(fields.number("a", Ok::<_, Invalid>), Some(u64::MAX));
    }
}
