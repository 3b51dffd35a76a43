//! Reading TOML: the manifest and the runtime configuration.
//!
//! Any line of them may hold a secret. So what is wrong is told by its place and by what is expected there, and neither a
//! line's text nor a value is ever part of a refusal. Names of keys are.

use anyhow::{Result, anyhow};
use serde::de::DeserializeOwned;

/// What a document's text says. A refusal begins with the line and the column, both counted from 1.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        anyhow!("line {line}, column {column}: {}", expectation(error.message()))
    })
}

/// What one table of a document says. A refusal begins with `place`, and ends with the key that it is about.
pub(crate) fn table<T: DeserializeOwned>(place: &str, table: toml::Table) -> Result<T> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| {
        // A table that was read before has no lines any more, so this shows none: only the message, and where it is.
        let shown = error.to_string();
        let key = shown.lines().rfind(|line| line.starts_with("in `")).map(|key| format!(" ({key})"));
        anyhow!("{place}: {}{}", expectation(error.message()), key.unwrap_or_default())
    })
}

/// What was expected, without what was found: serde puts the value itself into these messages.
fn expectation(message: &str) -> String {
    let message = message.trim_end();
    let tells_the_value = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant "]
        .iter()
        .any(|kind| message.starts_with(kind));
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if tells_the_value => format!("another value is expected: {expected}"),
        _ if tells_the_value => "another value is expected".to_owned(),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(default, rename = "number")]
        _number: u8,
        #[serde(default, rename = "kind")]
        _kind: Option<Kind>,
        #[serde(default, rename = "values")]
        _values: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        #[serde(rename = "spin")]
        Spin,
    }

    /// Whatever is wrong with a document in which each value is a secret.
    const WRONG: [(&str, &str); 12] = [
        ("number = 1\n  kind = 'hunter2", "line 2, column 18: "),
        ("number = hunter2", "line 1, column 10: "),
        ("# 한글\nvalues = { 한 = \"hunter2\" \"hunter2\" }", "line 2, column 26: "),
        ("hunter2 hunter2", "line 1, column 9: "),
        ("values = { pw = \"hunter2\\q\" }", "line 1, column "),
        ("number = 'hunter2'", "line 1, column 10: another value is expected: u8"),
        ("number = 424242", "line 1, column 10: another value is expected: u8"),
        ("kind = 'hunter2'", "line 1, column 8: another value is expected: `spin`"),
        ("values = 'hunter2, expected hunter2'", "line 1, column 10: another value is expected: a map"),
        ("values = ['hunter2']", "line 1, column 10: another value is expected: a map"),
        ("values = { pw = 424242 }", "line 1, column 17: another value is expected: a string"),
        ("other = 'hunter2'", "line 1, column 1: unknown field `other`, expected one of"),
    ];

    #[test]
    fn a_refusal_tells_the_place_and_what_is_expected_and_no_text_of_the_document() {
        for (text, told) in WRONG {
            let refusal = format!("{:?}", parse::<Document>(text).unwrap_err());
            assert!(refusal.starts_with(told), "{text}: {refusal}");
            assert!(!refusal.contains("hunter2") && !refusal.contains("424242"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_refusal_of_a_table_tells_its_place_and_the_key() {
        let refusal = |text: &str| {
            let table = text.parse().unwrap();
            format!("{:#}", super::table::<Document>("[place]", table).unwrap_err())
        };
        let text = "values = { pw = 424242 }";
        assert_eq!(refusal(text), "[place]: another value is expected: a string (in `values.pw`)");
        assert_eq!(refusal("kind = 'hunter2'"), "[place]: another value is expected: `spin` (in `kind`)");
        assert!(refusal("other = 'hunter2'").starts_with("[place]: unknown field `other`"));
    }
}
