//! What this context reacts to: every event about an order becomes one message; the courses' titles are kept.

use crate::domain::Message;
use crate::store;
use ::store::Storage;
use eventlog::{Consumer, Envelope, Unhandled};
use kernel::event::newest_courses;
use kernel::{EduNo, Timestamp};
use std::collections::BTreeSet;

/// The contexts that are listened to.
pub(crate) const SOURCES: &[&str] = &["order", "pay", "reservation"];

/// Writes messages, and leaves sending them to [`crate::delivery`].
pub struct Scribe<S> {
    /// Where the messages are kept.
    pub storage: S,
}

impl<S: Storage> Consumer for Scribe<S> {
    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let courses = newest_courses(events.iter().map(|told| (told.version, &told.event)));
        if !courses.is_empty() {
            store::keep_courses(&courses).run(&self.storage).await?;
        }
        let wanted: BTreeSet<EduNo> =
            events.iter().filter_map(|told| Some(told.event.applicant()?.edu_no)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        let titles = store::titles(&store::ask_titles(&wanted).run(&self.storage).await?)?;
        // Streams are read one after another; by time, the messages stand as things happened.
        let mut told: Vec<_> = events.iter().collect();
        told.sort_by_key(|told| told.time);
        let messages: Vec<_> = told
            .into_iter()
            .filter_map(|told| {
                let title = titles.get(&told.event.applicant()?.edu_no.get()).map(String::as_str);
                Message::about(&told.source_context, told.version, &told.event, title)
            })
            .collect();
        if !messages.is_empty() {
            store::add(&messages, Timestamp::now()).run(&self.storage).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use ::store::native::{Sqlite, at_once};
    use kernel::Language;
    use kernel::event::Event;

    fn told(context: &str, event: Event) -> Envelope {
        let (subject, time) = (event.subject(), Timestamp::from_millis(0));
        let (id, source_context) = (format!("{subject}:1"), context.to_owned());
        Envelope { id, source_context, version: 1, subject, time, traceparent: None, event }
    }

    #[test]
    fn a_message_names_the_course_as_the_same_batch_tells_of_it() {
        let storage = Sqlite::in_memory(&store::DATABASE).unwrap();
        let opened = told("reservation", samples::course_opened("자바 입문"));
        let batch = [told("pay", samples::paid(Language::Ko)), opened];
        at_once(Scribe { storage: &storage }.handle(&batch)).unwrap().unwrap();
        let named = "SELECT count(*) FROM messages WHERE body LIKE '%자바 입문%'";
        assert_eq!(storage.number(named).unwrap(), 1);
    }

    #[test]
    fn messages_stand_as_things_happened_whichever_stream_was_read_first() {
        let storage = Sqlite::in_memory(&store::DATABASE).unwrap();
        let later = Timestamp::from_millis(5);
        let paid = Envelope { time: later, ..told("pay", samples::paid(Language::Ko)) };
        let ordered = told("order", samples::order_events(Language::Ko).swap_remove(0));
        at_once(Scribe { storage: &storage }.handle(&[paid, ordered])).unwrap().unwrap();
        let rows = storage.run("SELECT event FROM messages ORDER BY seq", &[]).unwrap();
        let events: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(events, ["Ordered", "Paid"]);
    }
}
