//! What this context reacts to: every event about an order becomes one message; the courses' titles and the members' telephones
//! are kept.

use crate::domain::{LEASE, Message};
use crate::ports::Channel;
use crate::service::Service;
use crate::store;
use ::store::{Storage, StoreError};
use eventlog::{Envelope, Unhandled, Worker};
use kernel::event::{newest_courses, newest_members};
use kernel::{EduNo, Timestamp};
use std::collections::BTreeSet;

impl<C: Channel, S: Storage> Worker for Service<C, S> {
    const NAME: &'static str = "notification";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        let courses = newest_courses(events.iter().map(|told| (told.version, &told.event)));
        if !courses.is_empty() {
            store::keep_courses(&courses).run(&self.storage).await?;
        }
        self.keep_recipients(events).await?;
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
        self.forget().await?;
        self.forget_messages().await?;
        Ok(self.deliver().await?)
    }
}

impl<C: Channel, S: Storage> Service<C, S> {
    /// Empties what was written longer ago than it has to be kept.
    async fn forget_messages(&self) -> Result<(), StoreError> {
        let kept_from = Timestamp::now().plus_days(-i64::from(self.message_records_days));
        store::empty(&self.storage, kept_from).await
    }

    /// Keeps where members are reached, and notes which numbers nobody is reached by any more.
    async fn keep_recipients(&self, events: &[Envelope]) -> Result<(), StoreError> {
        let members = newest_members(events.iter().map(|told| (told.version, &told.event)));
        if members.is_empty() {
            return Ok(());
        }
        let told = events.iter().filter_map(|told| told.event.person()?.phone.as_ref());
        let newest: BTreeSet<_> =
            members.iter().filter_map(|(_, event)| event.person()?.phone.as_ref()).collect();
        let passed: BTreeSet<_> = told.filter(|phone| !newest.contains(phone)).collect();
        let due = Timestamp::now().plus_seconds(LEASE);
        if !passed.is_empty() {
            store::note_gone(&passed, due).run(&self.storage).await?;
        }
        store::note_replaced(&members, due).run(&self.storage).await?;
        store::keep_recipients(&members).run(&self.storage).await?;
        if members.iter().any(|(_, event)| event.person().is_none()) {
            ::store::wipe(&self.storage).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{self, Phones};
    use ::store::native::{Store, at_once};
    use kernel::event::{Event, Member, MemberErased};
    use kernel::{CustomerId, Language, Phone, WantedMessages};

    ::store::on_postgres!(
        a_message_names_the_course_as_the_same_batch_tells_of_it,
        messages_are_sent_as_things_happened_whichever_stream_was_read_first,
        the_messages_of_a_batch_take_one_reading_two_writes_and_one_sending,
        events_told_again_are_neither_written_nor_sent_again,
        a_channel_that_takes_nothing_keeps_no_event_from_being_handled,
        a_member_is_written_to_by_telephone_until_they_are_erased,
        an_older_event_of_somebody_erased_tells_nothing_any_more,
        the_number_of_somebody_gone_is_forgotten_once_nobody_can_be_sending_to_it,
        what_was_written_to_whom_is_forgotten_after_three_years_and_is_not_written_again,
        whoever_wants_only_what_is_needed_is_sent_that_and_no_more,
    );

    #[test]
    fn whoever_wants_only_what_is_needed_is_sent_that_and_no_more() {
        let storage = Store::new(&store::DATABASE);
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
        let handle = |batch: &[Envelope]| at_once(service.handle(batch)).unwrap().unwrap();
        let wants = |version, messages| match registered("010-1234-5678") {
            Event::MemberRegistered(registered) => {
                member(version, Event::MemberChanged(Member { messages, ..registered }))
            }
            other => panic!("{other:?}"),
        };
        let all = |version: u64| {
            let events = samples::order_events(Language::Ko).into_iter().zip(1..);
            let told =
                events.map(|(event, number)| Envelope { version: version + number, ..told("order", event) });
            told.collect::<Vec<_>>()
        };
        handle(&[wants(1, WantedMessages::Needed)]);
        handle(&all(0));
        let written = samples::order_events(Language::Ko).len();
        let of = |status: &str| {
            kept(&storage, "event", &format!("messages WHERE status = '{status}' ORDER BY seq"))
                .into_iter()
                .flatten()
                .collect::<BTreeSet<_>>()
        };
        let unwanted = of("Unwanted");
        assert_eq!(unwanted, ["Ordered", "PaymentDelayed", "Reserved"].map(str::to_owned).into());
        for needed in ["Paid", "PaymentDeclined", "PaymentCanceled", "ReservationConfirmed", "OrderCanceled"]
        {
            assert!(of("Sent").contains(needed), "{needed}");
        }
        let sent = storage.number("SELECT count(*) FROM messages WHERE status = 'Sent'").unwrap();
        assert_eq!(i64::try_from(service.channel.bodies().len()).unwrap(), sent);
        assert_eq!(storage.number("SELECT count(*) FROM messages").unwrap(), i64::try_from(written).unwrap());
        // Nor is it sent later.
        at_once(service.tick(true)).unwrap().unwrap();
        assert_eq!(of("Unwanted"), unwanted);
        handle(&[wants(2, WantedMessages::All)]);
        handle(&all(100));
        assert_eq!(
            storage
                .number("SELECT count(*) FROM messages WHERE event = 'Ordered' AND status = 'Sent'")
                .unwrap(),
            1
        );
    }

    #[test]
    fn what_was_written_to_whom_is_forgotten_after_three_years_and_is_not_written_again() {
        let batch = [1, 2, 3].map(|version| Envelope { version, ..told("pay", samples::paid(Language::Ko)) });
        let (_, storage) = handled(&batch);
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
        let written = |days: i64| Timestamp::now().plus_days(-days).to_string();
        for (seq, days) in [(1, 1097), (2, 1095), (3, 1097)] {
            let change = format!("UPDATE messages SET created_at = '{}' WHERE seq = {seq}", written(days));
            storage.run(&change, &[]).unwrap();
        }
        // What waits is not done with, however old it is.
        storage
            .run("UPDATE messages SET status = 'Pending', due_at = 9000000000000000 WHERE seq = 3", &[])
            .unwrap();
        at_once(service.forget_messages()).unwrap().unwrap();
        let left = |column: &str| {
            kept(&storage, column, "messages ORDER BY seq")
                .iter()
                .map(|kept| kept.as_deref().is_some_and(|kept| !kept.is_empty()))
                .collect::<Vec<_>>()
        };
        assert_eq!(left("body"), [false, true, true]);
        assert_eq!(left("CAST(customer_id AS TEXT)"), [false, true, true]);
        let before = storage.statements();
        at_once(service.forget_messages()).unwrap().unwrap();
        assert_eq!(storage.statements() - before, 1, "where nothing is due it is one look");
        at_once(service.handle(&batch)).unwrap().unwrap();
        assert_eq!(service.channel.sendings.get(), 0);
    }

    fn member(version: u64, event: Event) -> Envelope {
        Envelope { version, ..told("member", event) }
    }

    fn registered(phone: &str) -> Event {
        Event::MemberRegistered(Member {
            customer_id: CustomerId::parse(1).unwrap(),
            name: None,
            phone: Some(Phone::parse(phone).unwrap()),
            email: None,
            language: Language::Ko,
            messages: kernel::WantedMessages::All,
            roles: vec![],
            at: Timestamp::from_millis(0),
        })
    }

    fn erased() -> Event {
        let (customer_id, at) = (CustomerId::parse(1).unwrap(), Timestamp::from_millis(1));
        Event::MemberErased(MemberErased { customer_id, at })
    }

    fn kept(storage: &Store, column: &str, table: &str) -> Vec<Option<String>> {
        let rows = storage.run(&format!("SELECT {column} AS kept FROM {table}"), &[]).unwrap();
        rows.iter().map(|row| row.opt_string("kept").unwrap()).collect()
    }

    #[test]
    fn a_member_is_written_to_by_telephone_until_they_are_erased() {
        let storage = Store::new(&store::DATABASE);
        let service = Service { channel: Phones::default(), storage, message_records_days: 1096 };
        let handle = |batch: &[Envelope]| at_once(service.handle(batch)).unwrap().unwrap();
        let paid = told("pay", samples::paid(Language::Ko));
        handle(&[paid.clone(), member(1, registered("010-1234-5678"))]);
        handle(&[member(2, erased())]);
        handle(&[Envelope { version: 2, ..paid }]);
        let phones: Vec<_> = service.channel.handed.borrow().iter().map(|sent| sent.phone.clone()).collect();
        assert_eq!(phones, [Some("+821012345678".to_owned()), None]);
    }

    #[test]
    fn an_older_event_of_somebody_erased_tells_nothing_any_more() {
        let (_, storage) = handled(&[member(3, erased())]);
        let service = Service { channel: Phones::default(), storage, message_records_days: 1096 };
        at_once(service.handle(&[member(1, registered("010-1234-5678"))])).unwrap().unwrap();
        assert_eq!(kept(&service.storage, "phone", "recipients"), [None]);
    }

    #[test]
    fn the_number_of_somebody_gone_is_forgotten_once_nobody_can_be_sending_to_it() {
        let storage = Store::new(&store::DATABASE);
        let service = Service { channel: Phones::default(), storage, message_records_days: 1096 };
        let handle = |batch: &[Envelope]| at_once(service.handle(batch)).unwrap().unwrap();
        handle(&[member(1, registered("010-1111-1111"))]);
        handle(&[member(2, registered("010-2222-2222")), member(3, erased())]);
        assert_eq!(kept(&service.storage, "phone", "gone ORDER BY phone").len(), 2);
        at_once(service.tick(true)).unwrap().unwrap();
        assert_eq!(service.channel.forgotten.take(), Vec::<String>::new(), "a message may be under way");
        service.storage.run("UPDATE gone SET due_at = 0", &[]).unwrap();
        at_once(service.tick(true)).unwrap().unwrap();
        let mut forgotten = service.channel.forgotten.take();
        forgotten.sort();
        assert_eq!(forgotten, ["+821011111111", "+821022222222"]);
        assert_eq!(kept(&service.storage, "phone", "gone"), []);
    }

    fn told(source: &str, event: Event) -> Envelope {
        Envelope::new(source, 1, Timestamp::from_millis(0), event)
    }

    /// What the phones got of a batch, and the store it was written to.
    fn handled(batch: &[Envelope]) -> (Vec<String>, Store) {
        let storage = Store::new(&store::DATABASE);
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
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
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
        at_once(service.handle(&batch)).unwrap().unwrap();
        assert_eq!((storage.statements(), service.channel.sendings.get()), (3, 1));
        let sent = "SELECT count(*) FROM messages WHERE status = 'Sent' AND attempts = 1";
        assert_eq!(storage.number(sent).unwrap(), i64::try_from(batch.len()).unwrap());
    }

    #[test]
    fn events_told_again_are_neither_written_nor_sent_again() {
        let storage = Store::new(&store::DATABASE);
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
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
        let service =
            Service { channel: Phones::default(), storage: storage.clone(), message_records_days: 1096 };
        at_once(service.handle(&[told("reservation", event)])).unwrap().unwrap();
        let waiting = "SELECT count(*) FROM messages WHERE status = 'Pending' AND problem = '503'";
        assert_eq!(storage.number(waiting).unwrap(), 1);
    }
}
