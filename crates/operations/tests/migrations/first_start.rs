//! What the workers do when they are started on stores that were taken over.

use eventlog::{Envelope, Worker, topology};
use information::View;
use kernel::Timestamp;
use kernel::event::Event;
use notification::{Attempt, Channel, Outgoing};
use rusqlite::params;
use store::native::at_once;

use crate::fixtures::{System, number};

/// The view hears everything again that not all had acknowledged.
pub fn hear_what_is_told_again(system: &System) {
    let view = View { storage: system.migrate("information").unwrap(), contract_records_days: 1827 };
    for source in topology::sources() {
        let store = system.open(source);
        let sql = "SELECT version, type, data, time FROM events WHERE position > ? ORDER BY position";
        let mut statement = store.prepare(sql).unwrap();
        let told = statement.query_map([number(&store, "SELECT floor FROM log")], |row| {
            let time = row.get_ref(3)?.as_str().unwrap().parse().unwrap();
            let event = Event::parse(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?).unwrap();
            Ok(Envelope::new(source, row.get::<_, u32>(0)?.into(), time, event))
        });
        let told: Vec<_> = told.unwrap().map(Result::unwrap).collect();
        at_once(view.handle(&told)).unwrap().unwrap();
    }
}

/// The messages are sent that were not.
pub fn deliver(system: &System) {
    let service = notification::Service {
        channel: Inbox(system),
        storage: system.migrate("notification").unwrap(),
        message_records_days: 1096,
    };
    at_once(service.deliver()).unwrap().unwrap();
}

struct Inbox<'a>(&'a System);

impl Channel for Inbox<'_> {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        let store = self.0.open("inbox");
        let put = "INSERT INTO inbox (message_id, recipient, language, body, at) VALUES (?, ?, ?, ?, ?)";
        let at = Timestamp::now();
        let take = |message: Outgoing| {
            let Outgoing { id, to, language, body, .. } = message;
            store.execute(put, params![id, to, language, body, at.to_string()]).unwrap();
            Attempt::Accepted { at }
        };
        messages.into_iter().map(take).collect()
    }

    async fn forget(&self, _phone: &str) -> Result<(), String> {
        Ok(())
    }
}
