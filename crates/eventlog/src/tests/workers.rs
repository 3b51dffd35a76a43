//! What a worker does with a message.

use super::recorder::{Recorder, Then, content};
use super::store::{READ, REJECTED, Store};
use super::world::{CONTEXT, STREAM, World, json, run, shown};
use crate::consume::Unhandled;
use crate::envelope::Envelope;
use crate::worker::{EventLog, Worker};
use anyhow::bail;
use journal::Tell;
use rustix::process::Signal;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

/// The worker of `reservation`, which commits an event of its own for each that it hears of.
struct Answering<'a, F> {
    world: &'a World,
    log: EventLog<Store>,
    recorder: Recorder<F>,
    fails: Cell<bool>,
    /// What each tick was told.
    ticks: RefCell<Vec<bool>>,
}

impl<'a, F: Fn(&[String]) -> Then> Answering<'a, F> {
    fn new(world: &'a World, recorder: Recorder<F>) -> Self {
        let log = EventLog::working(&world.url(), world.relay.clone());
        Self { world, log, recorder, fails: Cell::default(), ticks: RefCell::default() }
    }

    async fn hears(&self, message: &str) -> anyhow::Result<()> {
        self.log.work(self, message.as_bytes()).await
    }
}

impl<F: Fn(&[String]) -> Then> Worker for Answering<'_, F> {
    const NAME: &'static str = "reservation";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        self.recorder.handle(events).await?;
        for event in events {
            self.world.store.commit([event.subject.parse().unwrap()]);
            self.log.committed();
        }
        Ok(())
    }

    async fn tick(&self, caught_up: bool) -> anyhow::Result<()> {
        self.ticks.borrow_mut().push(caught_up);
        if self.fails.get() {
            bail!("a duty failed");
        }
        Ok(())
    }
}

/// `order` tells of a cancellation.
fn cancel(world: &World, subject: u64) {
    let data = format!(r#"{{"orderId":{subject},"eduNo":101,"reason":"customer"}}"#);
    let json = json("order", "OrderCanceled", subject).replace(&super::store::data(subject), &data);
    world.redis::<String>(&["XADD", "sugang:events:order", "1-*", "e", &json]);
}

#[test]
fn messages_that_come_while_one_is_worked_on_are_together_one_more_look() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        let messages = tokio::join!(worker.hears("event"), worker.hears("tick"), worker.hears("event"));
        assert!(messages.0.is_ok() && messages.1.is_ok() && messages.2.is_ok());
        assert_eq!(worker.ticks.take(), [true], "the tick is not forgotten over the others");
        worker.hears("tick").await.unwrap();
        assert_eq!(worker.ticks.take(), [true]);
    });
}

#[test]
fn an_event_leads_to_what_it_leads_to_and_that_is_relayed_before_the_message_is_done_with() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        cancel(&world, 7);
        let woken = world.woken(async { worker.hears("event").await.unwrap() }).await;
        assert_eq!(
            (worker.recorder.events(), world.log()),
            (vec!["7:1".to_owned()], vec!["1-1 7".to_owned()])
        );
        // Its instance may end now: nobody is left to be woken later.
        assert_eq!(woken, ["order", "pay", "notification", "information"]);
        assert!(worker.ticks.take().is_empty());
    });
}

#[test]
fn where_nothing_was_committed_an_event_costs_no_look_at_the_store() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        worker.hears("event").await.unwrap();
        worker.hears("whatever else").await.unwrap();
        assert_eq!(world.store.native.statements(), 0);
        cancel(&world, 7);
        worker.hears("event").await.unwrap();
        worker.hears("event").await.unwrap();
        assert_eq!(world.store.native.statements(), 1);
    });
}

#[test]
fn a_tick_relays_what_others_left_and_notes_the_floor() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        world.store.commit(1..=3);
        worker.hears("tick").await.unwrap();
        assert_eq!(world.log(), shown(1, 1..=3));
        world.all_read(&[]);
        worker.hears("tick").await.unwrap();
        assert_eq!((world.store.floor(), worker.ticks.take()), (3, vec![true, true]));
    });
}

#[test]
fn a_tick_says_whether_everything_that_was_told_has_been_heard() {
    run(async |world| {
        let then = Cell::new(0);
        let steps = Recorder::new(|_| match then.get() {
            0 => Then::Later,
            1 => Then::Poison,
            _ => Then::Handled,
        });
        let worker = Answering::new(&world, steps);
        cancel(&world, 7);
        for (step, caught_up) in [(0, false), (1, false), (2, true), (2, true)] {
            then.set(step);
            let late = "local key, group = KEYS[1], 'reservation'
                for _, entry in ipairs(redis.pcall('XPENDING', key, group, '-', '+', 9)) do
                    redis.call('XCLAIM', key, group, 'worker', 0, entry[1], 'IDLE', 6000, 'JUSTID') end return 1";
            if world.exists(STREAM) {
                world.redis::<i64>(&["EVAL", late, "1", "sugang:events:order"]);
            }
            worker.hears("tick").await.unwrap();
            assert_eq!(worker.ticks.take(), [caught_up], "step {step}");
        }
    });
}

#[test]
fn duties_after_one_that_fails_are_done_and_the_failure_is_told() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        // The tick fails, and still what there is is relayed.
        worker.fails.set(true);
        world.store.commit([1]);
        let error = worker.hears("tick").await.unwrap_err().to_string();
        assert_eq!((error.as_str(), world.log()), ("a duty failed", shown(1, [1])));
        // The drain fails, and still time has passed, though not everything has been heard.
        worker.fails.set(false);
        world.redis::<i64>(&["DEL", "sugang:events:order"]);
        world.redis::<String>(&["SET", "sugang:events:order", "in the way"]);
        world.store.commit([2]);
        worker.ticks.take();
        worker.hears("tick").await.unwrap_err();
        assert_eq!((worker.ticks.take(), world.log()), (vec![false], shown(1, 1..=2)));
        // The relay fails alone.
        world.redis::<i64>(&["DEL", "sugang:events:order"]);
        world.store.fail(READ);
        let error = worker.hears("tick").await.unwrap_err().to_string();
        assert!(error.contains("disk I/O error"), "{error}");
        assert_eq!(worker.ticks.take(), [true]);
    });
}

#[test]
fn a_worker_that_failed_to_relay_does_so_on_the_tick() {
    run(async |world| {
        let worker = Answering::new(&world, content());
        cancel(&world, 7);
        world.store.fail(READ);
        worker.hears("event").await.unwrap_err();
        assert!(world.ids().is_empty());
        worker.hears("tick").await.unwrap();
        assert_eq!(world.log(), ["1-1 7"]);
    });
}

#[test]
fn while_redis_is_away_time_passes_all_the_same() {
    run(async |mut world| {
        world.server.process().signal(Signal::STOP).unwrap();
        let begun = Instant::now();
        let (error, ticks) = {
            let worker = Answering::new(&world, content());
            let error = worker.hears("tick").await.unwrap_err().to_string();
            (error, worker.ticks.take())
        };
        world.server.process().signal(Signal::CONT).unwrap();
        assert_eq!((ticks, error.contains("no answer within 2s")), (vec![false], true), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    });
}

#[test]
fn what_answers_requests_relays_beside_its_answer() {
    run(async |world| {
        let log = EventLog::answering(&world.url(), world.relay.clone());
        world.store.commit([1]);
        let begun = Instant::now();
        log.committed();
        assert!(begun.elapsed() < Duration::from_millis(50) && !world.exists(STREAM));
        world.until_sent(1).await;
    });
}

/// The worker of a context that decides nothing.
struct Reading<'a, F>(&'a Recorder<F>, Cell<usize>);

impl<F: Fn(&[String]) -> Then> Worker for Reading<'_, F> {
    const NAME: &'static str = "information";

    async fn handle(&self, events: &[Envelope]) -> Result<(), Unhandled> {
        self.0.handle(events).await
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        self.1.set(self.1.get() + 1);
        Ok(())
    }
}

#[test]
fn a_worker_that_decides_nothing_reads_and_has_nothing_to_relay() {
    run(async |world| {
        let log = EventLog::<Store>::reading(&world.url());
        let recorder = content();
        let worker = Reading(&recorder, Cell::default());
        world.append([1]);
        log.committed();
        for message in ["event", "tick"] {
            log.work(&worker, message.as_bytes()).await.unwrap();
        }
        assert_eq!((recorder.events(), worker.1.get()), (vec!["1:1".to_owned()], 1));
        assert_eq!(world.store.native.statements(), 0);
    });
}

/// A worker that the topology does not know.
struct Unknown;

impl Worker for Unknown {
    const NAME: &'static str = "site";

    async fn handle(&self, _events: &[Envelope]) -> Result<(), Unhandled> {
        Ok(())
    }

    async fn tick(&self, _caught_up: bool) -> anyhow::Result<()> {
        Ok(())
    }
}

#[test]
fn a_worker_that_is_not_in_the_topology_is_refused_by_name() {
    run(async |world| {
        let log = EventLog::<Store>::reading(&world.url());
        let error = log.work(&Unknown, b"event").await.unwrap_err().to_string();
        assert!(error.contains("no consumer `site`"), "{error}");
        assert_eq!((CONTEXT, REJECTED), ("reservation", "ReservationRejected"));
    });
}
