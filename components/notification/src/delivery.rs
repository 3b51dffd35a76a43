//! Getting messages to people: claim what is due, hand it to the channel, write down what became of it.
//!
//! Nothing here is remembered between wake-ups; the store knows all. The channel is whatever is plugged into
//! the port `sugang:notification/channel`.

use crate::domain::{Attempt, LEASE, addressee, judge};
use crate::store::{self, Claimed, Conclusion};
use ::store::{Storage, StoreError};
use futures::{StreamExt, stream};
use kernel::Timestamp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How many messages are claimed at once.
const BATCH: u32 = 100;

/// How many orders are written to at the same time.
const AT_ONCE: usize = 16;

/// No message is begun after this long: Spin handles the wake-ups of all workers one after another.
const BUDGET: Duration = Duration::from_secs(2);

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The same whenever it is sent again.
    pub id: String,
    /// Whom the channel is to find.
    pub to: String,
    /// The language of the body.
    pub language: String,
    /// What the person reads.
    pub body: String,
}

/// What carries messages to people.
#[allow(async_fn_in_trait, reason = "components are single-threaded, so no future needs to be Send")]
pub trait Channel {
    /// Hands one message over, and says what came of it.
    async fn send(&self, message: Outgoing) -> Attempt;

    /// A name for one claim that no other claim has.
    fn claim(&self) -> String;
}

/// What is to be done now and then: makes due what a clock that was ahead has put off.
pub async fn look_after(storage: &impl Storage) -> Result<(), StoreError> {
    store::pull_in(Timestamp::now()).run(storage).await.map(drop)
}

/// Sends what is due until nothing is, or the time is spent.
pub async fn deliver(storage: &impl Storage, channel: &impl Channel) -> Result<(), StoreError> {
    let begun = Instant::now();
    while begun.elapsed() < BUDGET {
        let claim = channel.claim();
        let now = Timestamp::now();
        let rows = store::claim(&claim, now, now.plus_seconds(LEASE), BATCH).run(storage).await?;
        let claimed = store::claimed(&rows)?;
        if claimed.is_empty() {
            return Ok(());
        }
        let orders = stream::iter(by_order(claimed)).map(|messages| send_in_order(channel, messages, begun));
        let conclusions: Vec<_> = orders.buffer_unordered(AT_ONCE).concat().await;
        faults::point("notification", "sent").await;
        store::conclude(&claim, &conclusions, Timestamp::now()).run(storage).await?;
    }
    Ok(())
}

/// The messages of one order, oldest first; the order that has waited longest first.
fn by_order(claimed: Vec<Claimed>) -> Vec<Vec<Claimed>> {
    let mut orders: BTreeMap<u64, Vec<Claimed>> = BTreeMap::new();
    for message in claimed {
        orders.entry(message.order_id).or_default().push(message);
    }
    let mut orders: Vec<_> = orders.into_values().collect();
    orders.sort_by_key(|messages| messages.first().map(|message| message.seq));
    orders
}

/// One after another, so that nobody reads of the payment before the order.
async fn send_in_order(channel: &impl Channel, messages: Vec<Claimed>, begun: Instant) -> Vec<Conclusion> {
    let mut conclusions = Vec::with_capacity(messages.len());
    for message in messages {
        let attempt =
            if begun.elapsed() < BUDGET { channel.send(outgoing(&message)).await } else { Attempt::NotMade };
        let problem = match &attempt {
            Attempt::Busy(problem) | Attempt::Refused(problem) => {
                eprintln!("notification: message {}, try {}: {problem}", message.id, message.attempts);
                Some(problem.clone())
            }
            Attempt::Accepted { .. } | Attempt::NotMade => None,
        };
        let verdict = judge(&attempt, message.attempts, Timestamp::now());
        conclusions.push(Conclusion { seq: message.seq, verdict, problem });
    }
    conclusions
}

fn outgoing(message: &Claimed) -> Outgoing {
    Outgoing {
        id: message.id.clone(),
        to: addressee(message.customer_id, message.order_id),
        language: message.language.clone(),
        body: message.body.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Message;
    use crate::samples;
    use ::store::native::{Sqlite, at_once};
    use kernel::event::{Applicant, Event, ReservationConfirmed};
    use kernel::{CustomerId, Language};
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::task::Poll;

    /// The channel, which keeps what it was handed. The customers 8 and 9 cannot be reached, now or ever.
    #[derive(Default)]
    struct Phones(RefCell<Vec<Outgoing>>);

    impl Channel for Phones {
        async fn send(&self, message: Outgoing) -> Attempt {
            let attempt = match message.to.as_str() {
                "8" => Attempt::Busy("503".to_owned()),
                "9" => Attempt::Refused("blocked".to_owned()),
                _ => Attempt::Accepted { at: Timestamp::from_millis(7) },
            };
            self.0.borrow_mut().push(message);
            attempt
        }

        fn claim(&self) -> String {
            "claim".to_owned()
        }
    }

    /// A channel during whose sending another worker looks for something to send.
    struct Rival(Sqlite);

    impl Channel for Rival {
        async fn send(&self, _message: Outgoing) -> Attempt {
            let later = Timestamp::now().plus_seconds(LEASE - 1);
            let taken = store::claim("rival", later, later, 10).run(&self.0).await.unwrap();
            assert!(taken.is_empty(), "two send the same message");
            Attempt::Accepted { at: later }
        }

        fn claim(&self) -> String {
            "claim".to_owned()
        }
    }

    /// A channel that takes as long for one message as there is for all.
    struct Slow;

    impl Channel for Slow {
        async fn send(&self, _message: Outgoing) -> Attempt {
            std::thread::sleep(BUDGET);
            Attempt::Accepted { at: Timestamp::from_millis(7) }
        }

        fn claim(&self) -> String {
            "claim".to_owned()
        }
    }

    /// A channel that counts how many it is handed at the same time.
    #[derive(Default)]
    struct Counter {
        inside: Cell<usize>,
        most: Cell<usize>,
    }

    impl Channel for Counter {
        async fn send(&self, _message: Outgoing) -> Attempt {
            self.inside.set(self.inside.get() + 1);
            self.most.set(self.most.get().max(self.inside.get()));
            let mut asked = false;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut asked, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            self.inside.set(self.inside.get() - 1);
            Attempt::Accepted { at: Timestamp::from_millis(7) }
        }

        fn claim(&self) -> String {
            "claim".to_owned()
        }
    }

    fn confirmed(order_id: u64, version: u64) -> Message {
        let applicant = samples::applicant(order_id, Language::En);
        let event = Event::ReservationConfirmed(ReservationConfirmed { applicant });
        Message::about("reservation", version, &event, None).unwrap()
    }

    /// A store in which these messages are due.
    fn with(messages: &[Message]) -> Sqlite {
        let sqlite = Sqlite::in_memory(&store::DATABASE).unwrap();
        at_once(store::add(messages, Timestamp::now()).run(&sqlite)).unwrap().unwrap();
        sqlite
    }

    #[test]
    fn what_is_being_sent_is_nobody_elses_to_send() {
        let sqlite = with(&[confirmed(1, 1)]);
        at_once(deliver(&sqlite, &Rival(sqlite.clone()))).unwrap().unwrap();
        assert_eq!(sqlite.number("SELECT count(*) FROM messages WHERE status = 'Sent'").unwrap(), 1);
    }

    #[test]
    fn what_there_is_no_time_left_for_is_put_back_as_if_it_had_never_been_taken() {
        let sqlite = with(&[confirmed(1, 1), confirmed(1, 2)]);
        at_once(deliver(&sqlite, &Slow)).unwrap().unwrap();
        let rows = sqlite.run("SELECT status || ' ' || attempts FROM messages ORDER BY seq", &[]).unwrap();
        let kept: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(kept, ["Sent 1", "Pending 0"]);
    }

    #[test]
    fn only_the_dead_and_the_frozen_lose_a_message() {
        let longest = BUDGET + crate::channel::PATIENCE;
        let lease = Duration::from_secs(LEASE.unsigned_abs());
        assert!(longest < lease && lease < longest * 3, "{longest:?} {lease:?}");
    }

    #[test]
    fn sixteen_orders_are_written_to_at_once_and_one_order_about_one_thing_at_a_time() {
        for (orders, most) in [(40, 16), (1, 1)] {
            let messages: Vec<_> = (0..40).map(|n| confirmed(1 + n % orders, 1 + n)).collect();
            let (sqlite, counter) = (with(&messages), Counter::default());
            let mut delivering = std::pin::pin!(deliver(&sqlite, &counter));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            while delivering.as_mut().poll(&mut context).is_pending() {}
            assert_eq!(counter.most.get(), most);
        }
    }

    #[test]
    fn the_last_try_of_a_message_gives_it_up_with_the_latest_problem() {
        let message = Message { customer_id: CustomerId::parse(8).ok(), ..confirmed(1, 1) };
        let (sqlite, phones) = (with(&[message]), Phones::default());
        let tried =
            format!("UPDATE messages SET problem = 'older', attempts = {}", crate::domain::MAX_ATTEMPTS - 1);
        sqlite.run(&tried, &[]).unwrap();
        at_once(deliver(&sqlite, &phones)).unwrap().unwrap();
        let given_up = "SELECT count(*) FROM messages WHERE status = 'Failed' AND problem = '503'";
        assert_eq!(sqlite.number(given_up).unwrap(), 1);
    }

    #[test]
    fn what_is_handed_over_is_what_was_written_and_what_came_of_it_is_kept() {
        let messages = [7, 8, 9].map(|customer| {
            let customer_id = CustomerId::parse(customer).ok();
            let applicant = Applicant { customer_id, ..samples::applicant(100 + customer, Language::En) };
            let event = Event::ReservationConfirmed(ReservationConfirmed { applicant });
            Message::about("reservation", 1, &event, None).unwrap()
        });
        let (sqlite, phones) = (with(&messages), Phones::default());
        at_once(deliver(&sqlite, &phones)).unwrap().unwrap();
        let handed = phones.0.take();
        assert_eq!(handed.len(), 3);
        for ((message, handed), to) in messages.iter().zip(handed).zip(["7", "8", "9"]) {
            let (id, body) = (message.id.clone(), message.body.clone());
            assert_eq!(handed, Outgoing { id, to: to.to_owned(), language: "en".to_owned(), body });
        }
        let sql = "SELECT status || ' ' || coalesce(problem, '-') || ' ' || coalesce(sent_at, '-')
            FROM messages ORDER BY seq";
        let rows = sqlite.run(sql, &[]).unwrap();
        let kept: Vec<_> = rows.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(kept, ["Sent - 1970-01-01T00:00:00.007Z", "Pending 503 -", "Failed blocked -"]);
    }

    fn claimed(seq: i64, order_id: u64) -> Claimed {
        Claimed {
            seq,
            id: seq.to_string(),
            order_id,
            customer_id: None,
            language: "ko".to_owned(),
            body: String::new(),
            attempts: 1,
        }
    }

    #[test]
    fn messages_of_one_order_stay_together_and_in_order() {
        let orders = by_order(vec![claimed(1, 7), claimed(2, 3), claimed(3, 7), claimed(4, 3)]);
        let shown: Vec<Vec<_>> =
            orders.iter().map(|messages| messages.iter().map(|message| message.seq).collect()).collect();
        assert_eq!(shown, [[1, 3], [2, 4]]);
    }
}
