//! Sending, with channels that behave in every way.

use super::*;
use crate::samples::{self, BLOCKED, BUSY, Phones};
use ::store::native::{Store, at_once};
use kernel::event::{Event, ReservationConfirmed};
use kernel::{CustomerId, Language};

::store::on_postgres!(
    what_is_being_sent_is_nobody_elses_to_send,
    no_more_is_taken_than_there_is_time_for,
    all_that_is_due_is_sent_a_batch_at_a_time_and_oldest_first,
    only_the_dead_and_the_frozen_lose_a_message,
    a_message_that_the_channel_says_nothing_about_is_tried_again,
    the_last_try_of_a_message_gives_it_up_with_the_latest_problem,
    what_is_handed_over_is_what_was_written_and_what_came_of_it_is_kept,
    what_a_clock_that_was_ahead_has_put_off_is_sent_at_once,
);

/// What was sent arrived, whatever else happened.
const ACCEPTED: Attempt = Attempt::Accepted { at: Timestamp::from_millis(7) };

/// A channel during whose sending another worker looks for something to send.
struct Rival(Store);

impl Channel for Rival {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        let later = Timestamp::now().plus_seconds(LEASE - 1);
        let taken = store::claim(later, later, 10).rows(&self.0).await.unwrap();
        assert!(taken.is_empty(), "two send the same message");
        vec![ACCEPTED; messages.len()]
    }

    async fn forget(&self, _phone: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A channel that takes as long for a batch as there is for all.
struct Slow;

impl Channel for Slow {
    async fn send(&self, messages: Vec<Outgoing>) -> Vec<Attempt> {
        std::thread::sleep(BUDGET);
        vec![ACCEPTED; messages.len()]
    }

    async fn forget(&self, _phone: &str) -> Result<(), String> {
        Ok(())
    }
}

/// A channel that answers for the first message only.
struct Forgetful;

impl Channel for Forgetful {
    async fn send(&self, _messages: Vec<Outgoing>) -> Vec<Attempt> {
        vec![ACCEPTED]
    }

    async fn forget(&self, _phone: &str) -> Result<(), String> {
        Ok(())
    }
}

fn confirmed(order_id: u64, customer: u64) -> Message {
    let customer_id = CustomerId::parse(customer).ok();
    let applicant = kernel::event::Applicant { customer_id, ..samples::applicant(order_id, Language::En) };
    let event = Event::ReservationConfirmed(ReservationConfirmed { applicant });
    Message::about("reservation", 1, &event, None).unwrap()
}

fn service<C: Channel>(channel: C) -> Service<C, Store> {
    Service { channel, storage: Store::new(&store::DATABASE), message_records_days: 1096 }
}

/// A store in which these messages are due.
fn with(messages: &[Message]) -> Store {
    let kept_in = Store::new(&store::DATABASE);
    let now = Timestamp::now();
    at_once(store::add(messages, now, now).run(&kept_in)).unwrap().unwrap();
    kept_in.run("UPDATE messages SET attempts = 0", &[]).unwrap();
    kept_in
}

/// What the store says of each message.
fn kept(kept_in: &Store) -> Vec<String> {
    let sql =
        "SELECT status || ' ' || attempts || ' ' || coalesce(problem, '-') || ' ' || coalesce(sent_at, '-')
        AS shown FROM messages ORDER BY seq";
    kept_in.run(sql, &[]).unwrap().iter().map(|row| row.text("shown").unwrap().to_owned()).collect()
}

#[test]
fn what_is_being_sent_is_nobody_elses_to_send() {
    let kept_in = with(&[confirmed(1, 1)]);
    let service = Service { channel: Rival(kept_in.clone()), storage: kept_in, message_records_days: 1096 };
    at_once(service.deliver()).unwrap().unwrap();
    at_once(service.tell(&[confirmed(2, 1)])).unwrap().unwrap();
    assert_eq!(kept(&service.storage), ["Sent 1 - 1970-01-01T00:00:00.007Z"; 2]);
}

#[test]
fn no_more_is_taken_than_there_is_time_for() {
    let messages: Vec<_> = (1..=u64::from(BATCH) + 1).map(|order_id| confirmed(order_id, 1)).collect();
    let service = Service { channel: Slow, storage: with(&messages), message_records_days: 1096 };
    at_once(service.deliver()).unwrap().unwrap();
    let kept = kept(&service.storage);
    assert!(kept[..100].iter().all(|message| message.starts_with("Sent 1")), "{kept:?}");
    assert_eq!(kept[100], "Pending 0 - -");
}

#[test]
fn all_that_is_due_is_sent_a_batch_at_a_time_and_oldest_first() {
    let messages: Vec<_> = (1..=250).map(|order_id| confirmed(order_id, 1)).collect();
    let service =
        Service { channel: Phones::default(), storage: with(&messages), message_records_days: 1096 };
    at_once(service.deliver()).unwrap().unwrap();
    assert_eq!(service.channel.sendings.get(), 3);
    let sent: Vec<_> = service.channel.handed.take().into_iter().map(|message| message.id).collect();
    let written: Vec<_> = messages.into_iter().map(|message| message.id).collect();
    assert_eq!(sent, written);
}

#[test]
fn only_the_dead_and_the_frozen_lose_a_message() {
    let longest = crate::ports::PATIENCE;
    let lease = Duration::from_secs(LEASE.unsigned_abs());
    assert!(longest < lease && lease <= longest * 3, "{longest:?} {lease:?}");
}

#[test]
fn a_message_that_the_channel_says_nothing_about_is_tried_again() {
    let service = service(Forgetful);
    at_once(service.tell(&[confirmed(1, 1), confirmed(2, 1)])).unwrap().unwrap();
    let kept = kept(&service.storage);
    assert_eq!(kept[0], "Sent 1 - 1970-01-01T00:00:00.007Z");
    assert_eq!(kept[1], "Pending 1 the channel said nothing about it -");
}

#[test]
fn the_last_try_of_a_message_gives_it_up_with_the_latest_problem() {
    let kept_in = with(&[confirmed(1, BUSY)]);
    let tried =
        format!("UPDATE messages SET problem = 'older', attempts = {}", crate::domain::MAX_ATTEMPTS - 1);
    kept_in.run(&tried, &[]).unwrap();
    let service = Service { channel: Phones::default(), storage: kept_in, message_records_days: 1096 };
    at_once(service.deliver()).unwrap().unwrap();
    assert_eq!(kept(&service.storage), ["Failed 11 503 -"]);
}

#[test]
fn what_is_handed_over_is_what_was_written_and_what_came_of_it_is_kept() {
    let messages = [7, BUSY, BLOCKED].map(|customer| confirmed(100 + customer, customer));
    let service = service(Phones::default());
    at_once(service.tell(&messages)).unwrap().unwrap();
    let handed = service.channel.handed.take();
    assert_eq!(handed.len(), 3);
    for ((message, handed), to) in messages.iter().zip(handed).zip(["7", "8", "9"]) {
        let (id, body) = (message.id.clone(), message.body.clone());
        let (language, template) = ("en".to_owned(), "ReservationConfirmed".to_owned());
        let (to, phone, variables) = (to.to_owned(), None, message.variables.clone());
        assert_eq!(handed, Outgoing { id, to, phone, language, template, variables, body });
    }
    let sent = "Sent 1 - 1970-01-01T00:00:00.007Z";
    assert_eq!(kept(&service.storage), [sent, "Pending 1 503 -", "Failed 1 blocked -"]);
}

#[test]
fn what_a_clock_that_was_ahead_has_put_off_is_sent_at_once() {
    let kept_in = with(&[confirmed(1, 1)]);
    let ahead = Timestamp::now().plus_minutes(60).millis();
    kept_in.run(&format!("UPDATE messages SET due_at = {ahead}"), &[]).unwrap();
    let service = Service { channel: Phones::default(), storage: kept_in, message_records_days: 1096 };
    at_once(service.deliver()).unwrap().unwrap();
    assert_eq!(service.channel.sendings.get(), 1);
}
