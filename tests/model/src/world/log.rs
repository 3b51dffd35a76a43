//! What was told, and which consumer has heard what of it.

use super::{Shared, Stores};
use crate::step::Told;
use eventlog::Envelope;
use eventlog::topology::{self, Consumer};
use kernel::event::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use store::{Row, StoreError, Value};

/// An event as it is heard: by which consumer, of which context, and its place in what that tells.
type Heard = (&'static str, &'static str, usize);

/// An event that is handed to a consumer.
#[derive(Clone)]
pub(super) struct Handed {
    heard: Heard,
    pub(super) event: Envelope,
}

/// The events of all contexts.
#[derive(Default)]
pub(super) struct Log {
    told: BTreeMap<&'static str, Vec<Envelope>>,
    /// By context: the position of the last that was read.
    read_to: BTreeMap<&'static str, i64>,
    /// What was acknowledged.
    heard: BTreeSet<Heard>,
    /// What was handed out and neither acknowledged nor lost in a crash.
    pending: BTreeSet<Heard>,
}

impl Log {
    /// Reads what is new in the contexts' stores.
    pub(super) fn read(&mut self, stores: &Stores) -> Result<(), StoreError> {
        for source in topology::sources() {
            let read_to = self.read_to.entry(source).or_default();
            let rows = stores.of(source).run(
                "SELECT position, subject, version, type, data, time, traceparent, actor FROM events
                 WHERE position > $1 ORDER BY position",
                &[Value::Integer(*read_to)],
            )?;
            for row in &rows {
                *read_to = row.int("position")?;
                self.told.entry(source).or_default().push(envelope(source, row)?);
            }
        }
        Ok(())
    }

    /// Of what a consumer reacts to, that which it is to be handed.
    pub(super) fn choose(&self, consumer: &'static Consumer, which: &Told) -> Vec<Handed> {
        match which {
            Told::Next(count) => consumer
                .sources()
                .flat_map(|source| {
                    self.of(consumer, source).filter(|new| self.is_new(new)).take(usize::from(*count))
                })
                .collect(),
            Told::Any(parts) => {
                let all: Vec<_> = consumer.sources().flat_map(|source| self.of(consumer, source)).collect();
                let at = |part: &u8| all.get(usize::from(*part) * all.len() / 256).cloned();
                let mut chosen: Vec<_> = parts.iter().filter_map(at).collect();
                chosen.dedup_by_key(|handed| handed.heard);
                chosen
            }
        }
    }

    fn of(&self, consumer: &'static Consumer, source: &'static str) -> impl Iterator<Item = Handed> {
        let told = self.told.get(source).map(Vec::as_slice).unwrap_or_default();
        told.iter()
            .enumerate()
            .filter(move |(_, event)| consumer.hears(source, event.event.name(), event.actor.as_ref()))
            .map(move |(index, event)| Handed { heard: (consumer.name, source, index), event: event.clone() })
    }

    fn is_new(&self, handed: &Handed) -> bool {
        !self.heard.contains(&handed.heard) && !self.pending.contains(&handed.heard)
    }

    /// Whatever somebody holds without an end is given to others.
    pub(super) fn claim_all(&mut self) {
        self.pending.clear();
    }

    /// The names of everything that was told.
    pub(super) fn names(&self) -> BTreeSet<&'static str> {
        self.told.values().flatten().map(|event| event.event.name()).collect()
    }

    /// How much was told, and how much of it was heard.
    pub(super) fn progress(&self) -> (usize, usize) {
        (self.told.values().map(Vec::len).sum(), self.heard.len())
    }
}

fn envelope(source: &str, row: &Row) -> Result<Envelope, StoreError> {
    let (subject, version) = (row.text("subject")?.to_owned(), row.count("version")?);
    let event = Event::parse(row.text("type")?, row.text("data")?);
    Ok(Envelope {
        id: format!("{subject}:{version}"),
        source: source.to_owned(),
        version,
        subject,
        time: row.parse("time")?,
        traceparent: row.opt_string("traceparent")?,
        actor: row.opt_parse("actor")?,
        event: event.map_err(|unreadable| StoreError::Failure(unreadable.to_string()))?,
    })
}

/// Events in the hands of somebody; free again however that ends.
pub(super) struct Pending(Rc<Shared>, Vec<Heard>);

impl Pending {
    pub(super) fn new(shared: &Rc<Shared>, handed: &[Handed]) -> Self {
        let events: Vec<_> = handed.iter().map(|handed| handed.heard).collect();
        shared.log.borrow_mut().pending.extend(events.iter().copied());
        Self(Rc::clone(shared), events)
    }

    pub(super) fn acknowledge(&self) {
        self.0.log.borrow_mut().heard.extend(self.1.iter().copied());
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.log.borrow_mut().pending.retain(|event| !self.1.contains(event));
    }
}
