//! Server-sent events as text (WHATWG HTML §9.2).

use serde::Serialize;
use std::fmt::Write;

/// One event: its id, which comes back as `Last-Event-ID`, its name, and a document as JSON.
pub fn event(id: &str, name: &str, document: &impl Serialize) -> Result<String, serde_json::Error> {
    let data = serde_json::to_string(document)?;
    // A line break would end the field. JSON that is written compactly has none.
    let one_line = |text: &str| text.replace(['\r', '\n', '\0'], " ");
    Ok(format!("id: {}\nevent: {}\ndata: {data}\n\n", one_line(id), one_line(name)))
}

/// How long a client that was cut off waits before it connects again, in milliseconds.
pub fn retry(millis: u64) -> String {
    format!("retry: {millis}\n\n")
}

/// What the client comes back with as the id of the last event, though none was told with it: without data none is.
pub fn id(id: &str) -> String {
    format!("id: {id}\n\n")
}

/// What clients ignore, and what keeps proxies from closing a connection on which nothing happens.
pub fn comment(text: &str) -> String {
    let mut comment = String::new();
    for line in text.lines() {
        // Writing to a string cannot fail.
        _ = writeln!(comment, ": {line}");
    }
    comment + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_id_name_data_and_an_empty_line() {
        let text = event("1\n2", "status", &serde_json::json!({ "a": "\r\n" })).unwrap();
        assert_eq!(text, "id: 1 2\nevent: status\ndata: {\"a\":\"\\r\\n\"}\n\n");
    }

    #[test]
    fn what_is_no_event_ends_with_an_empty_line_too() {
        assert_eq!(retry(1000), "retry: 1000\n\n");
        assert_eq!(id("7"), "id: 7\n\n");
        assert_eq!(comment("nothing\nnew"), ": nothing\n: new\n\n");
    }
}
