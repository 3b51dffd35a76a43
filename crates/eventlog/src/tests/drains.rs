//! From the stream to a consumer.

use super::world::{ATTEMPTS, GROUP, NOTHING, Recorder, STREAM, Then, but_for, content, ids, json, run};
use crate::consume::{Drained, Unhandled, drain};
use crate::keys::Wake;
use std::cell::Cell;
use std::time::Duration;
use store::StoreError;

#[test]
fn a_context_that_comes_late_gets_everything_in_order_and_in_batches() {
    run(async |world| {
        world.append(1..=250);
        let consumer = content();
        let drained = world.drain(Wake::Event, &consumer).await;
        assert_eq!(drained, Drained { handled: 250, buried: 0, left: 0, to_the_end: true });
        let batches = consumer.batches();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(batches.concat(), ids(1..=250));
        assert_eq!(world.pending(), 0);
        // Once.
        assert_eq!(world.drain(Wake::Tick, &consumer).await, NOTHING);
        world.append([251]);
        world.drain(Wake::Event, &consumer).await;
        assert_eq!(consumer.events(), ids([251]));
    });
}

#[test]
fn a_stream_that_is_not_there_yet_can_be_drained() {
    run(async |world| {
        let consumer = content();
        assert_eq!(world.drain(Wake::Tick, &consumer).await, NOTHING);
        world.append([1]);
        assert_eq!(world.drain(Wake::Tick, &consumer).await.handled, 1);
    });
}

#[test]
fn several_streams_are_drained_and_acknowledged_each_for_itself() {
    run(async |world| {
        let other = "sugang:events:order";
        let made_there = json(7).replace("reservation", "order").replace("ReservationConfirmed", "Nothing");
        world.append([1, 2]);
        world.redis::<String>(&["XADD", other, "*", "e", &json(3)]);
        world.redis::<String>(&["XADD", other, "*", "e", &made_there]);
        let consumer = content();
        let sources = ["reservation", "order"];
        let drained = drain(&world.url(), GROUP, &sources, Wake::Event, &consumer).await.unwrap();
        assert_eq!(drained, Drained { handled: 3, buried: 1, left: 0, to_the_end: true });
        assert_eq!(consumer.batches(), [ids([1, 2, 3])]);
        for stream in [STREAM, other] {
            assert_eq!(
                world.redis::<Vec<redis::Value>>(&["XPENDING", stream, GROUP, "-", "+", "9"]).len(),
                0
            );
        }
    });
}

#[test]
fn nothing_is_acknowledged_before_its_handler_has_come_back() {
    run(async |world| {
        world.append(1..=3);
        let pending = Cell::new(0);
        let consumer = Recorder::new(|_| {
            pending.set(world.pending());
            Then::Handled
        });
        world.drain(Wake::Event, &consumer).await;
        assert_eq!((pending.get(), world.pending()), (3, 0));
    });
}

#[test]
fn what_a_handler_has_no_use_for_yet_stays_and_is_no_failure() {
    run(async |world| {
        world.append(1..=150);
        let later = Recorder::new(|_| Then::Later);
        assert_eq!(
            world.drain(Wake::Event, &later).await,
            Drained { handled: 0, buried: 0, left: 100, to_the_end: false }
        );
        // Reading on would only have added to them.
        assert_eq!((later.batches().len(), world.pending()), (1, 100));
        assert_eq!(world.redis::<i64>(&["EXISTS", ATTEMPTS]), 0);
        // However often: nothing is counted, nothing lost.
        for _ in 0..8 {
            world.let_pending_wait(6_000);
            world.drain(Wake::Tick, &later).await;
        }
        world.let_pending_wait(6_000);
        let consumer = content();
        assert_eq!(
            world.drain(Wake::Tick, &consumer).await,
            Drained { handled: 150, buried: 0, left: 0, to_the_end: true }
        );
        let mut handled = consumer.events();
        handled.sort_by_key(|id| id.split_once(':').unwrap().0.parse::<u64>().unwrap());
        assert_eq!(handled, ids(1..=150));
        assert_eq!((world.pending(), world.dead().len()), (0, 0));
    });
}

#[test]
fn an_event_that_cannot_be_handled_keeps_no_other_from_being() {
    run(async |world| {
        world.append(1..=150);
        let consumer = but_for("5:1", || Then::Poison);
        assert_eq!(
            world.drain(Wake::Event, &consumer).await,
            Drained { handled: 149, buried: 0, left: 1, to_the_end: true }
        );
        assert_eq!(world.pending(), 1);
        let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].1, 1);
        assert!(attempts[0].0.starts_with(&format!("{STREAM} ")), "{attempts:?}");
    });
}

#[test]
fn among_the_poisoned_one_that_has_to_wait_is_not_counted() {
    run(async |world| {
        world.append([1, 2]);
        let consumer = Recorder::new(|ids| match ids {
            [one] if one == "1:1" => Then::Later,
            _ => Then::Poison,
        });
        assert_eq!(
            world.drain(Wake::Event, &consumer).await,
            Drained { handled: 0, buried: 0, left: 2, to_the_end: true }
        );
        let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
        assert_eq!(attempts.iter().map(|(_, count)| count).sum::<i64>(), 1, "{attempts:?}");
    });
}

#[test]
fn what_is_no_event_is_buried_and_its_neighbours_are_handled() {
    run(async |world| {
        world.append([1]);
        world.redis::<String>(&["XADD", STREAM, "*", "e", "not json"]);
        world.redis::<String>(&["XADD", STREAM, "*", "a", "1", "b", "2"]);
        world.redis_with::<String>(&["XADD", STREAM, "*", "e"], &b"\xff"[..]);
        world.append([2]);
        let consumer = content();
        assert_eq!(
            world.drain(Wake::Event, &consumer).await,
            Drained { handled: 2, buried: 3, left: 0, to_the_end: true }
        );
        assert_eq!(consumer.batches(), [ids([1, 2])]);
        let dead = world.dead();
        assert_eq!(dead[0]["e"], "not json");
        assert_eq!(dead[1]["e"], "a 1 b 2");
        assert!(dead.iter().all(|letter| letter["reason"].contains("CloudEvent")), "{dead:?}");
        assert_eq!(world.pending(), 0);
        // Nothing else but what is no event.
        world.redis::<String>(&["XADD", STREAM, "*", "e", "not json"]);
        world.append([3]);
        assert_eq!(
            world.drain(Wake::Event, &consumer).await,
            Drained { handled: 1, buried: 1, left: 0, to_the_end: true }
        );
    });
}

#[test]
fn a_batch_of_nothing_but_rubbish_does_not_end_the_drain() {
    run(async |world| {
        for _ in 0..100 {
            world.redis::<String>(&["XADD", STREAM, "*", "e", "not json"]);
        }
        world.append([1]);
        assert_eq!(
            world.drain(Wake::Event, &content()).await,
            Drained { handled: 1, buried: 100, left: 0, to_the_end: true }
        );
    });
}

#[test]
fn a_drain_whose_time_is_up_wakes_itself_for_the_rest() {
    run(async |world| {
        world.append(1..=150);
        let consumer = content();
        let wakes = world
            .wake_ups(async { assert_eq!(world.drain_a_little(Wake::Event, &consumer).await.handled, 100) })
            .await;
        assert_eq!(wakes, ["event"]);
        assert_eq!(world.pending(), 0);
        world.drain_a_little(Wake::Event, &consumer).await;
        assert_eq!(consumer.events(), ids(1..=150));
        // Where nothing is left there is nothing to wake for.
        let wakes = world.wake_ups(async { _ = world.drain(Wake::Event, &consumer).await }).await;
        assert!(wakes.is_empty());
    });
}

#[test]
fn a_group_that_was_lost_begins_again_at_the_first_entry() {
    run(async |world| {
        world.append([1, 2]);
        let consumer = content();
        world.drain(Wake::Event, &consumer).await;
        world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        world.drain(Wake::Tick, &consumer).await;
        assert_eq!(consumer.events(), ids([1, 2, 1, 2]));
    });
}

#[test]
fn two_workers_share_what_there_is() {
    run(async |world| {
        world.append(1..=300);
        let (one, other) = (content(), content());
        let (a, b) = tokio::join!(world.drain(Wake::Event, &one), world.drain(Wake::Event, &other));
        assert_eq!(a.handled + b.handled, 300);
        let mut all = [one.events(), other.events()].concat();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), world.pending()), (300, 0));
    });
}

#[test]
fn a_drain_begins_nothing_more_after_two_seconds() {
    run(async |world| {
        world.append(1..=150);
        let slow = Recorder::new(|_| {
            std::thread::sleep(Duration::from_millis(2_100));
            Then::Handled
        });
        let drained = world.drain(Wake::Event, &slow).await;
        assert_eq!((drained.handled, drained.to_the_end), (100, false));
    });
}

#[test]
fn a_store_that_is_away_is_waited_for_and_a_mistake_of_ours_is_not() {
    let passing = [
        StoreError::Unavailable("disk I/O error".to_owned()),
        StoreError::Raised("seats".to_owned()),
        StoreError::Unique { constraint: "a".to_owned() },
        StoreError::Check { constraint: "a".to_owned() },
    ];
    for error in passing {
        assert!(matches!(error.into(), Unhandled::Later(_)));
    }
    assert!(matches!(StoreError::Failure("no such table".to_owned()).into(), Unhandled::Poison(_)));
}
