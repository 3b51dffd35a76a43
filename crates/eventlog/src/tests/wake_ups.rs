//! Who is woken by which events, and when.

use super::native::{posted, set_variable};
use super::recorder::content;
use super::store::READ;
use super::world::{STREAM, World, run, shown};
use crate::consume::BUDGET;
use crate::relay::BATCH;
use crate::topology::{By, CONSUMERS, Pace};
use kernel::event::Event;
use std::time::{Duration, Instant};

::store::on_postgres!(
    those_are_woken_who_react_to_an_event_and_nobody_else,
    events_that_nobody_reacts_to_are_appended_and_wake_nobody,
    a_batch_wakes_for_all_of_its_events,
    each_batch_wakes_its_consumers_once,
    only_what_is_appended_wakes,
    beside_an_answer_those_who_follow_are_woken_a_moment_later,
    those_who_follow_are_not_woken_where_they_have_read_by_then,
    those_who_follow_are_woken_once_for_several_batches,
    beside_an_answer_too_only_those_who_react_are_woken,
    who_follows_those_in_charge_is_woken_by_them_alone_and_hears_of_nobody_else,
    a_stream_that_is_lost_meanwhile_wakes_nobody,
    where_nothing_subscribes_those_are_called_who_would_be_woken,
    a_relay_that_fails_gives_way_to_the_next,
    a_look_that_finds_nothing_new_does_not_ask_redis,
);

/// Those who wait for what others decide, and those who follow.
const AT_ONCE: [&str; 2] = ["order", "pay"];
const FOLLOWERS: [&str; 2] = ["notification", "information"];

fn everyone() -> Vec<&'static str> {
    [AT_ONCE, FOLLOWERS].concat()
}

impl World {
    /// Relays beside an answer, and waits until it is over.
    async fn soon(&self) {
        self.relay.soon(&self.url());
        self.rest().await;
    }

    /// Nothing is under way any more: for as long as a look and a pause take no statement comes.
    async fn rest(&self) {
        let mut statements = None;
        while statements != Some(self.store.native.statements()) {
            statements = Some(self.store.native.statements());
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn read_as(&self, group: &str) {
        self.drain_as(group, BUDGET, false, &content()).await;
    }
}

#[test]
fn those_are_woken_who_react_to_an_event_and_nobody_else() {
    for name in Event::NAMES {
        run(async |world| {
            world.store.commit_named(name, [1]);
            let woken = world.woken(async { drop(world.relay().await) }).await;
            let react = CONSUMERS.iter().filter(|consumer| consumer.hears("reservation", name, None));
            assert_eq!(woken, react.map(|consumer| consumer.name).collect::<Vec<_>>(), "{name}");
        });
    }
}

#[test]
fn events_that_nobody_reacts_to_are_appended_and_wake_nobody() {
    run(async |world| {
        // No event of `reservation`.
        world.store.commit_named("Paid", [1]);
        assert!(world.woken(async { assert_eq!(world.relay().await.unwrap(), 1) }).await.is_empty());
        assert_eq!(world.end(), "1-1");
    });
}

#[test]
fn a_batch_wakes_for_all_of_its_events() {
    run(async |world| {
        world.store.commit_named("CourseStarted", [1]);
        world.store.commit_named("Reserved", [2]);
        world.store.commit_named("ReservationCanceled", [3]);
        let woken = world.woken(async { drop(world.relay().await) }).await;
        assert_eq!(woken, ["order", "pay", "reservation", "notification", "information"]);
    });
}

#[test]
fn each_batch_wakes_its_consumers_once() {
    run(async |world| {
        world.store.commit(1..=BATCH + 50);
        let woken = world.woken(async { assert_eq!(world.relay().await.unwrap(), BATCH + 50) }).await;
        assert_eq!(woken, [everyone(), everyone()].concat());
        assert!(world.woken(async { drop(world.relay().await) }).await.is_empty());
    });
}

#[test]
fn only_what_is_appended_wakes() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_after(READ);
        let woken = world.woken(async {
            let relays = tokio::join!(world.relay(), async {
                gate.reached().await;
                world.relay().await.unwrap();
                gate.open();
            });
            assert_eq!(relays.0.unwrap(), 0);
        });
        assert_eq!(woken.await, everyone());
    });
}

#[test]
fn beside_an_answer_those_who_follow_are_woken_a_moment_later() {
    run(async |world| {
        world.store.commit([1]);
        let begun = Instant::now();
        let sent = world.woken(async {
            world.relay.soon(&world.url());
            world.until_sent(1).await;
            assert!(begun.elapsed() < Duration::from_millis(90), "too slow to tell the two apart");
        });
        assert_eq!(sent.await, AT_ONCE);
        assert_eq!(world.woken(world.rest()).await, FOLLOWERS);
    });
}

#[test]
fn those_who_follow_are_not_woken_where_they_have_read_by_then() {
    run(async |world| {
        for reader in FOLLOWERS {
            world.read_as(reader).await;
        }
        world.store.commit([1]);
        let woken = world.woken(async {
            world.relay.soon(&world.url());
            world.until_sent(1).await;
            world.read_as("notification").await;
            world.rest().await;
        });
        assert_eq!(woken.await, ["order", "pay", "information"]);
    });
}

#[test]
fn those_who_follow_are_woken_once_for_several_batches() {
    run(async |world| {
        world.store.commit(1..=BATCH + 50);
        let woken = world.woken(world.soon()).await;
        assert_eq!(woken, [&AT_ONCE[..], &AT_ONCE, &FOLLOWERS].concat());
    });
}

#[test]
fn beside_an_answer_too_only_those_who_react_are_woken() {
    run(async |world| {
        world.store.commit_named("CourseStarted", [1]);
        assert_eq!(world.woken(world.soon()).await, ["order", "reservation", "information"]);
        let gathered = CONSUMERS.iter().filter(|it| it.pace == Pace::Gathered && it.by == By::Everybody);
        assert_eq!(gathered.map(|consumer| consumer.name).collect::<Vec<_>>(), FOLLOWERS);
    });
}

#[test]
fn who_follows_those_in_charge_is_woken_by_them_alone_and_hears_of_nobody_else() {
    run(async |world| {
        for (subject, actor) in [(1, None), (2, Some("customer:7")), (3, Some("guest")), (4, Some("open"))] {
            world.store.commit_by("CourseStarted", subject, actor);
        }
        assert_eq!(world.woken(world.soon()).await, ["order", "reservation", "information"]);
        for (subject, actor) in [(5, "manager:7"), (6, "operator:7"), (7, "machine:m1")] {
            world.store.commit_by("CourseStarted", subject, Some(actor));
            let woken = world.woken(world.soon()).await;
            assert_eq!(woken, ["order", "reservation", "information", "member"], "{actor}");
        }
    });
}

#[test]
fn where_nothing_subscribes_those_are_called_who_would_be_woken() {
    run(async |world| {
        world.store.commit_named("CourseStarted", [1]);
        world.soon().await;
        assert!(posted().is_empty(), "messages do it, unless it is said otherwise");
    });
    run(async |world| {
        set_variable("wake_by", "http");
        set_variable("wake_keys", " the-first , the-second");
        world.store.commit_named("CourseStarted", [1]);
        world.soon().await;
        let called = ["order", "reservation", "information"]
            .map(|name| format!("http://{name}.spin.internal/internal/wake/{name}"));
        assert_eq!(posted(), called.map(|url| (url, "the-first".to_owned())));
        // A worker tells everybody at once, since its request may be its last.
        world.store.commit_named("Reserved", [2]);
        world.relay().await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(posted().len(), FOLLOWERS.len());
    });
    run(async |world| {
        set_variable("wake_by", "http");
        world.store.commit([1]);
        world.soon().await;
        assert_eq!((posted().len(), world.end()), (0, "1-1".to_owned()), "without a key nobody is called");
    });
}

#[test]
fn a_stream_that_is_lost_meanwhile_wakes_nobody() {
    run(async |world| {
        world.store.commit([1]);
        let woken = world.woken(async {
            world.relay.soon(&world.url());
            world.until_sent(1).await;
            world.redis::<i64>(&["DEL", STREAM]);
            world.rest().await;
        });
        assert_eq!(woken.await, AT_ONCE);
    });
}

#[test]
fn work_asked_for_while_a_relay_of_the_same_instance_is_under_way_is_done_by_it() {
    run(async |world| {
        for round in 0..3 {
            world.store.commit([round * 2 + 1]);
            let gate = world.store.hold_after(READ);
            world.relay.soon(&world.url());
            gate.reached().await;
            world.store.commit([round * 2 + 2]);
            let before = world.store.native.statements();
            for _ in 0..5 {
                world.relay.soon(&world.url());
            }
            gate.open();
            world.rest().await;
            assert_eq!(world.store.native.statements() - before, 1, "one more look for all of them");
        }
        assert_eq!(world.log(), shown(1, 1..=6));
    });
}

#[test]
fn a_relay_that_fails_gives_way_to_the_next() {
    run(async |world| {
        world.store.commit([1]);
        world.store.fail(READ);
        world.soon().await;
        assert!(!world.exists(STREAM) && !world.store.is_waiting());
        world.soon().await;
        assert_eq!(world.log(), shown(1, [1]));
    });
}

#[test]
fn commits_that_follow_each_other_share_a_look_and_do_not_wait_long() {
    run(async |world| {
        let begun = Instant::now();
        for subject in 1..=10 {
            world.store.commit([subject]);
            world.relay.soon(&world.url());
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        world.until_sent(10).await;
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
        world.rest().await;
        assert!(world.store.native.statements() < 6, "{} looks", world.store.native.statements());
    });
}

#[test]
fn a_look_that_finds_nothing_new_does_not_ask_redis() {
    run(async |world| {
        world.store.commit([1]);
        world.relay().await.unwrap();
        let commands = || -> String {
            let stats: String = world.redis(&["INFO", "commandstats"]);
            stats.lines().find(|line| line.starts_with("cmdstat_eval:")).unwrap().to_owned()
        };
        let before = commands();
        assert_eq!(world.relay().await.unwrap(), 0);
        assert_eq!(commands(), before);
    });
}
