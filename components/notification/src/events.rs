//! What this context reacts to: every event about an order becomes one message; the courses' titles are kept.

use crate::domain::Message;
use crate::ports::Channel;
use crate::service::Service;
use crate::store;
use ::store::Storage;
use eventlog::{Envelope, Unhandled, Worker};
use kernel::EduNo;
use kernel::event::newest_courses;
use std::collections::BTreeSet;

impl<C: Channel, S: Storage> Worker for Service<C, S> {
    const NAME: &'static str = "notification";

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
        let titles = store::titles(&self.storage, wanted).await?;
        // Streams are read one after another; by time, the messages stand as things happened.
        let mut told: Vec<_> = events.iter().collect();
        told.sort_by_key(|told| told.time);
        let messages: Vec<_> = told
            .into_iter()
            .filter_map(|told| {
                let title = titles.get(&told.event.applicant()?.edu_no).map(String::as_str);
                Message::about(&told.source, told.version, &told.event, title)
            })
            .collect();
        Ok(self.tell(&messages).await?)
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        Ok(self.deliver().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Phones};
    use ::store::native::{Store, at_once};
    use kernel::event::Event;
    use kernel::{CustomerId, Language, Timestamp};

    ::store::on_postgres!(
        a_message_names_the_course_as_the_same_batch_tells_of_it,
        messages_are_sent_as_things_happened_whichever_stream_was_read_first,
        the_messages_of_a_batch_take_one_reading_two_writes_and_one_sending,
        events_told_again_are_neither_written_nor_sent_again,
        a_channel_that_takes_nothing_keeps_no_event_from_being_handled,
    );

    fn told(source: &str, event: Event) -> Envelope {
        let (subject, time) = (event.subject(), Timestamp::from_millis(0));
        let (id, source) = (format!("{subject}:1"), source.to_owned());
        Envelope { id, source, version: 1, subject, time, traceparent: None, event }
    }

    /// What the phones got of a batch, and the store it was written to.
    fn handled(batch: &[Envelope]) -> (Vec<String>, Store) {
        let storage = Store::new(&store::DATABASE);
        let service = Service { channel: Phones::default(), storage: storage.clone() };
        at_once(service.handle(batch)).unwrap().unwrap();
        (service.channel.bodies(), storage)
    }

    #[test]
    fn a_message_names_the_course_as_the_same_batch_tells_of_it() {
        let opened = told("reservation", samples::course_opened("자바 입문"));
        let (bodies, _) = handled(&[told("pay", samples::paid(Language::Ko)), opened]);
        assert_eq!(bodies.len(), 1);
        assert!(bodies[0].contains("자바 입문"), "{bodies:?}");
    }

    #[test]
    fn messages_are_sent_as_things_happened_whichever_stream_was_read_first() {
        let later = Timestamp::from_millis(5);
        let paid = Envelope { time: later, ..told("pay", samples::paid(Language::Ko)) };
        let ordered = told("order", samples::order_events(Language::Ko).swap_remove(0));
        let (bodies, storage) = handled(&[paid, ordered]);
        let rows = storage.run("SELECT event, body FROM messages ORDER BY seq", &[]).unwrap();
        let written: Vec<_> =
            rows.iter().map(|row| (row.text("event").unwrap(), row.text("body").unwrap())).collect();
        assert_eq!(written, [("Ordered", &*bodies[0]), ("Paid", &*bodies[1])]);
    }

    #[test]
    fn the_messages_of_a_batch_take_one_reading_two_writes_and_one_sending() {
        let events = samples::order_events(Language::Ko).into_iter().zip(1..);
        let batch: Vec<_> =
            events.map(|(event, version)| Envelope { version, ..told("order", event) }).collect();
        let storage = Store::new(&store::DATABASE);
        let service = Service { channel: Phones::default(), storage: storage.clone() };
        at_once(service.handle(&batch)).unwrap().unwrap();
        assert_eq!((storage.statements(), service.channel.sendings.get()), (3, 1));
        let sent = "SELECT count(*) FROM messages WHERE status = 'Sent' AND attempts = 1";
        assert_eq!(storage.number(sent).unwrap(), i64::try_from(batch.len()).unwrap());
    }

    #[test]
    fn events_told_again_are_neither_written_nor_sent_again() {
        let storage = Store::new(&store::DATABASE);
        let service = Service { channel: Phones::default(), storage: storage.clone() };
        let batch = [told("pay", samples::paid(Language::Ko))];
        for _again in 0..2 {
            at_once(service.handle(&batch)).unwrap().unwrap();
        }
        assert_eq!(service.channel.sendings.get(), 1);
        assert_eq!(storage.number("SELECT count(*) FROM messages").unwrap(), 1);
    }

    #[test]
    fn a_channel_that_takes_nothing_keeps_no_event_from_being_handled() {
        let storage = Store::new(&store::DATABASE);
        let mut applicant = samples::applicant(1113, Language::Ko);
        applicant.customer_id = CustomerId::parse(samples::BUSY).ok();
        let event = Event::ReservationConfirmed(kernel::event::ReservationConfirmed { applicant });
        let service = Service { channel: Phones::default(), storage: storage.clone() };
        at_once(service.handle(&[told("reservation", event)])).unwrap().unwrap();
        let waiting = "SELECT count(*) FROM messages WHERE status = 'Pending' AND problem = '503'";
        assert_eq!(storage.number(waiting).unwrap(), 1);
    }
}
