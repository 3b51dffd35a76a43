//! What is committed in one statement.

use kernel::event::Event;
use kernel::{Timestamp, actor};
use serde::Serialize;
use serde_json::value::RawValue;
use std::fmt::Display;
use store::{Row, Statement, StoreError};

/// Text and parameter of the one statement; its text is the same for any number of rows.
const COMMIT: &str = "INSERT INTO decisions (kind, subject, version, type, data, time, traceparent, actor)
    SELECT value ->> 'kind', value ->> 'subject', CAST(value ->> 'version' AS BIGINT), value ->> 'type',
        value ->> 'data', value ->> 'time', value ->> 'traceparent', value ->> 'actor'
    FROM json_each($1)";

/// Events to be committed together, with what they were decided from.
#[derive(Debug, Default)]
pub struct Decision {
    expected: Vec<Line>,
    decided: Vec<Line>,
    has_events: bool,
}

/// One row of the view `decisions`.
#[derive(Debug, Serialize)]
struct Line {
    /// `expect`, `event`, or a kind of the context's own.
    kind: &'static str,
    subject: String,
    version: u64,
    /// The event's name, or what is expected.
    #[serde(rename = "type")]
    name: &'static str,
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

impl Decision {
    /// Nothing decided yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// It was decided from this version of something that its own events' versions do not cover: of a course's seats,
    /// say. If it has moved on when the decision is committed, that is a conflict. What there is to expect is said by the
    /// context's schema ([`expectation!`](crate::expectation)).
    pub fn expect(&mut self, what: &'static str, key: impl Display, version: u64) {
        self.expected.push(Line {
            kind: "expect",
            subject: key.to_string(),
            version,
            name: what,
            data: None,
            time: None,
            traceparent: None,
            actor: None,
        });
    }

    /// An event, the `version`th of its subject (counted from 1). Two decisions about the same version of one subject
    /// exclude each other. Who asked
    /// for it ([`actor::current`]) is kept with it.
    pub fn event(&mut self, version: u64, event: &Event, now: Timestamp, traceparent: Option<&str>) {
        self.has_events = true;
        self.decided.push(Line {
            kind: "event",
            subject: event.subject(),
            version,
            name: event.name(),
            data: RawValue::from_string(event.to_data()).ok(),
            time: Some(now),
            traceparent: traceparent.map(str::to_owned),
            actor: actor::current().map(|actor| actor.to_string()),
        });
    }

    /// What must not be in an event and is committed with it, for a trigger of the context's own on this `kind`.
    pub fn beside(&mut self, kind: &'static str, key: impl Display, data: &impl Serialize) {
        self.decided.push(Line {
            kind,
            subject: key.to_string(),
            version: 0,
            name: "",
            data: serde_json::value::to_raw_value(data).ok(),
            time: None,
            traceparent: None,
            actor: None,
        });
    }

    /// Whether there is nothing to commit.
    pub const fn is_empty(&self) -> bool {
        !self.has_events
    }

    /// The statement that commits it. Expectations come first: they are about the state before the events.
    pub(crate) fn statement(&self) -> Statement {
        Statement::new(COMMIT).bind_list(self.expected.iter().chain(&self.decided))
    }
}

/// The event in a row with the columns `type` and `data` of the table `events`.
pub fn history(row: &Row) -> Result<Event, StoreError> {
    let (name, data) = (row.text("type")?, row.text("data")?);
    Event::parse(name, data).map_err(|error| StoreError::Failure(format!("a stored event: {error}")))
}
