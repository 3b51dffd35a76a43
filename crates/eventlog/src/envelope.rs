//! One event as it travels.

use kernel::event::{Event, Unreadable};
use kernel::{Actor, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event with what the log knows about it: a CloudEvent 1.0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// `<subject>:<version>`: the same whenever the event is sent again. Unique within its source.
    pub id: String,
    /// The context that decided it (`pay`), from the CloudEvents `source` `/sugang/pay`.
    pub source: String,
    /// Counts the events of one subject in one context, from 1.
    pub version: u64,
    /// The order's number, or `course/<eduNo>`.
    pub subject: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The W3C trace that it belongs to.
    pub traceparent: Option<String>,
    /// Who asked for it; none for what the application did by itself. It travels as the extension attribute `actor`.
    pub actor: Option<Actor>,
    /// What happened.
    pub event: Event,
}

/// Why the text of a stream entry is not an event of ours.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or not the attributes of a CloudEvent.
    #[error("it is not a CloudEvent in structured JSON: {0}")]
    NotACloudEvent(#[from] serde_json::Error),
    /// `source`, `type`, `id` or `actor` is not what this application writes.
    #[error("its attribute `{attribute}` is {found:?}, which this application does not write")]
    Attribute {
        /// The attribute.
        attribute: &'static str,
        /// Its value.
        found: String,
    },
    /// The data does not fit the type, or the type is unknown.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

#[derive(Serialize, Deserialize)]
struct CloudEvent<'a> {
    specversion: &'a str,
    id: String,
    source: String,
    #[serde(rename = "type")]
    kind: String,
    subject: String,
    time: Timestamp,
    datacontenttype: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What the events table holds of one event, before it is read.
pub(crate) struct Stored<'a> {
    pub(crate) subject: &'a str,
    pub(crate) version: u64,
    pub(crate) name: &'a str,
    pub(crate) data: &'a str,
    pub(crate) time: Timestamp,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) actor: Option<&'a str>,
}

/// The JSON of a stored event. Its data is passed on as it was committed, unread.
pub(crate) fn to_json(context: &str, stored: &Stored<'_>) -> Result<String, serde_json::Error> {
    let data: &RawValue = serde_json::from_str(stored.data)?;
    serde_json::to_string(&CloudEvent {
        specversion: "1.0",
        id: format!("{}:{}", stored.subject, stored.version),
        source: format!("/sugang/{context}"),
        kind: format!("sugang.{context}.{}", stored.name),
        subject: stored.subject.to_owned(),
        time: stored.time,
        datacontenttype: "application/json",
        traceparent: stored.traceparent.map(str::to_owned),
        actor: stored.actor.map(str::to_owned),
        data,
    })
}

impl Envelope {
    /// The `version`th event that the context `source` tells about what this one is about; of no trace, and asked for by nobody.
    pub fn new(source: &str, version: u64, time: Timestamp, event: Event) -> Self {
        let subject = event.subject();
        Self {
            id: format!("{subject}:{version}"),
            source: source.to_owned(),
            version,
            subject,
            time,
            traceparent: None,
            actor: None,
            event,
        }
    }

    /// Reads the JSON of a stream entry.
    pub fn parse(json: &str) -> Result<Self, Malformed> {
        let any = Self::parse_if(json, |_, _, _| true)?;
        // Whatever is wanted comes back.
        any.ok_or_else(|| wrong("type", json))
    }

    /// Reads the JSON of a stream entry if its source, the event's name and who did it are wanted; of others only that they
    /// are ours.
    pub(crate) fn parse_if(
        json: &str,
        wanted: impl Fn(&str, &str, Option<&Actor>) -> bool,
    ) -> Result<Option<Self>, Malformed> {
        let read: CloudEvent<'_> = serde_json::from_str(json)?;
        let source = read.source.strip_prefix("/sugang/").ok_or_else(|| wrong("source", &read.source))?;
        let name = read
            .kind
            .strip_prefix("sugang.")
            .and_then(|rest| rest.strip_prefix(source))
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or_else(|| wrong("type", &read.kind))?;
        let version = read
            .id
            .strip_prefix(&read.subject)
            .and_then(|rest| rest.strip_prefix(':'))
            // A version has one spelling, so that an event has one id.
            .filter(|version| !version.starts_with(['0', '+']))
            .and_then(|version| version.parse().ok())
            .ok_or_else(|| wrong("id", &read.id))?;
        let actor = read.actor.as_deref().map(str::parse::<Actor>).transpose();
        let actor = actor.map_err(|_| wrong("actor", read.actor.as_deref().unwrap_or_default()))?;
        // A name that only a later version knows is nobody's to pass over.
        if Event::NAMES.contains(&name) && !wanted(source, name, actor.as_ref()) {
            return Ok(None);
        }
        let event = Event::parse(name, read.data.get())?;
        Ok(Some(Self {
            source: source.to_owned(),
            version,
            time: read.time,
            event,
            id: read.id,
            subject: read.subject,
            traceparent: read.traceparent,
            actor,
        }))
    }
}

fn wrong(attribute: &'static str, found: &str) -> Malformed {
    Malformed::Attribute { attribute, found: found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATA: &str = r#"{"orderId":1113,"eduNo":101,"guest":1,"language":"ko"}"#;

    fn stored() -> Stored<'static> {
        Stored {
            subject: "1113",
            version: 3,
            name: "ReservationConfirmed",
            data: DATA,
            time: Timestamp::from_millis(0),
            traceparent: None,
            actor: None,
        }
    }

    #[test]
    fn an_event_travels_as_a_cloudevent_and_reads_back() {
        let json = to_json("reservation", &stored()).unwrap();
        assert_eq!(
            json,
            format!(
                r#"{{"specversion":"1.0","id":"1113:3","source":"/sugang/reservation","type":"sugang.reservation.ReservationConfirmed","subject":"1113","time":"1970-01-01T00:00:00.000Z","datacontenttype":"application/json","data":{DATA}}}"#
            )
        );
        let envelope = Envelope::parse(&json).unwrap();
        assert_eq!((envelope.version, envelope.source.as_str()), (3, "reservation"));
        assert_eq!(envelope.event.name(), "ReservationConfirmed");
        assert_eq!(envelope.traceparent, None);
    }

    #[test]
    fn an_event_says_which_request_it_comes_from() {
        let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let json = to_json("reservation", &Stored { traceparent, ..stored() }).unwrap();
        assert_eq!(Envelope::parse(&json).unwrap().traceparent.as_deref(), traceparent);
    }

    #[test]
    fn an_event_says_who_asked_for_it_and_in_which_role() {
        let json = to_json("reservation", &Stored { actor: Some("manager:7"), ..stored() }).unwrap();
        let actor = Envelope::parse(&json).unwrap().actor;
        assert_eq!(actor, Some(Actor::Member(kernel::CustomerId::parse(7).unwrap(), kernel::Role::Manager)));
        let wanted = |json: &str| {
            Envelope::parse_if(json, |_, _, actor| actor.is_some_and(Actor::is_in_charge)).unwrap().is_some()
        };
        assert!(wanted(&json) && !wanted(&json.replace("manager:7", "customer:7")));
        assert!(
            Envelope::parse(&json.replace("manager:7", "owner")).unwrap_err().to_string().contains("`actor`")
        );
    }

    #[test]
    fn an_event_that_nobody_wants_is_passed_over_but_not_one_that_nobody_knows() {
        let json = to_json("reservation", &stored()).unwrap();
        assert_eq!(Envelope::parse_if(&json, |_, _, _| false).unwrap(), None);
        assert!(Envelope::parse_if(&json.replace("Confirmed", "Forgotten"), |_, _, _| false).is_err());
    }

    proptest! {
        #[test]
        fn what_was_stored_travels_and_reads_back(
            subject: String, version in 1..=u64::MAX, at in 0..253_402_300_799_999_i64, traceparent: Option<String>,
        ) {
            let time = Timestamp::from_millis(at);
            let stored = Stored { subject: &subject, version, time, traceparent: traceparent.as_deref(), ..stored() };
            let read = Envelope::parse(&to_json("reservation", &stored).unwrap()).unwrap();
            prop_assert_eq!((read.id, read.subject), (format!("{subject}:{version}"), subject));
            prop_assert_eq!((read.version, read.time, read.traceparent), (version, time, traceparent));
        }

        #[test]
        fn an_entry_of_any_text_is_an_event_or_refused(
            text: String,
            id in "1113:[+0-9]{0,4}|\\PC*",
            source in "/sugang/(pay|reservation)?|\\PC*",
            kind in "sugang\\.(pay|reservation)\\.(Paid|ReservationConfirmed)?|\\PC*",
            actor in "(manager|machine|guest|owner)?:?[0-9]{0,3}",
            place: prop::sample::Index,
        ) {
            prop_assert!(Envelope::parse(&text).is_err());
            let json = to_json("reservation", &Stored { actor: Some("manager:7"), ..stored() }).unwrap();
            for (attribute, value) in [("id", id), ("source", source), ("type", kind), ("actor", actor), ("time", text)] {
                let mut document: serde_json::Value = serde_json::from_str(&json).unwrap();
                document[attribute] = value.into();
                if let Ok(read) = Envelope::parse(&document.to_string()) {
                    prop_assert_eq!(&read.id, &format!("{}:{}", read.subject, read.version));
                    prop_assert_eq!(&document["source"], &format!("/sugang/{}", read.source));
                    prop_assert_eq!(&document["actor"], &read.actor.unwrap().to_string());
                }
            }
            // Cut off anywhere, it is none.
            prop_assert!(Envelope::parse(&json[..place.index(json.len())]).is_err());
        }
    }

    #[test]
    fn what_this_application_does_not_write_is_refused_with_the_attribute() {
        let json = to_json("reservation", &stored()).unwrap();
        for (from, to, attribute) in [
            ("\"/sugang/reservation\"", "\"/elsewhere\"", "source"),
            ("sugang.reservation.R", "sugang.pay.R", "type"),
            ("1113:3", "1114:3", "id"),
            ("1113:3", "1113:0", "id"),
            ("1113:3", "1113:03", "id"),
            ("1113:3", "1113:+3", "id"),
        ] {
            let refusal = Envelope::parse(&json.replace(from, to)).unwrap_err().to_string();
            assert!(refusal.contains(&format!("`{attribute}`")), "{refusal}");
        }
        assert!(Envelope::parse("not json").is_err());
        assert!(Envelope::parse(&json.replace("Confirmed", "Forgotten")).is_err());
    }
}
