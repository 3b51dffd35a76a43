//! What was read and not acknowledged.

use super::recorder::{Recorder, Then, but_for, content};
use super::store::REJECTED;
use super::world::{ATTEMPTS, CONTEXT, DEAD, GROUP, NOTHING, STREAM, World, events, json, run};
use crate::consume::Drained;
use kernel::Timestamp;
use std::time::Duration;

/// A drain that is cut off, as a crash or a trap would, once its handler does not come back.
async fn cut_off<F: Fn(&[String]) -> Then>(world: &World, claim: bool, consumer: &Recorder<F>) {
    let drain = world.drain_as(GROUP, Duration::from_secs(2), claim, consumer);
    tokio::select! {
        drained = drain => panic!("it came back: {drained:?}"),
        () = consumer.trapped.notified() => {}
    }
}

/// As a worker that then dies does.
fn read_all(world: &World) {
    world.redis::<String>(&["XGROUP", "CREATE", STREAM, GROUP, "0", "MKSTREAM"]);
    let _: redis::Value =
        world.redis(&["XREADGROUP", "GROUP", GROUP, "worker", "COUNT", "100000", "STREAMS", STREAM, ">"]);
}

#[test]
fn what_a_crash_left_is_handled_on_a_later_tick_and_one_by_one() {
    run(async |world| {
        world.append(1..=3);
        cut_off(&world, false, &Recorder::new(|_| Then::Traps)).await;
        let consumer = content();
        // Whoever read it may still be at it.
        world.let_pending_wait(4_000);
        assert_eq!(world.claim(&consumer).await, NOTHING);
        world.let_pending_wait(5_000);
        assert_eq!(world.drain(&consumer).await, NOTHING);
        assert_eq!(world.claim(&consumer).await, Drained { handled: 3, ..NOTHING });
        assert_eq!(consumer.batches(), [events([1]), events([2]), events([3])]);
        assert_eq!((world.pending(), world.exists(ATTEMPTS)), (0, false));
    });
}

#[test]
fn what_was_claimed_is_its_new_holders_for_a_while() {
    run(async |world| {
        world.append([1]);
        cut_off(&world, false, &Recorder::new(|_| Then::Traps)).await;
        world.let_pending_wait(6_000);
        cut_off(&world, true, &Recorder::new(|_| Then::Traps)).await;
        assert_eq!(world.claim(&content()).await, NOTHING);
    });
}

#[test]
fn the_fifth_failure_is_the_last_and_says_why() {
    run(async |world| {
        world.append([1, 2]);
        let poisoned = but_for("1:1", || Then::Poison);
        assert_eq!(world.drain(&poisoned).await, Drained { handled: 1, left: 1, ..NOTHING });
        for _second_to_fourth in 0..3 {
            world.let_pending_wait(6_000);
            assert_eq!(world.claim(&poisoned).await, Drained { left: 1, ..NOTHING });
        }
        let id = world.ids()[0].clone();
        world.let_pending_wait(6_000);
        let before = Timestamp::now();
        assert_eq!(world.claim(&poisoned).await, Drained { dead: 1, ..NOTHING });
        assert_eq!(poisoned.events().iter().filter(|event| *event == "1:1").count(), 1 + 5);

        let dead = world.dead();
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0]["stream"].as_str(), &dead[0]["id"]), (STREAM, &id));
        assert_eq!(dead[0]["e"], json(CONTEXT, REJECTED, 1));
        assert_eq!(dead[0]["reason"], "it makes no sense");
        let at: Timestamp = dead[0]["at"].parse().unwrap();
        assert!(at >= before && at <= Timestamp::now());
        assert_eq!((world.pending(), world.exists(ATTEMPTS)), (0, false));
        assert_eq!(world.claim(&poisoned).await, NOTHING);
    });
}

#[test]
fn a_handler_that_traps_five_times_is_not_called_a_sixth_time() {
    run(async |world| {
        world.append([1, 2, 3]);
        let traps = but_for("2:1", || Then::Traps);
        cut_off(&world, false, &traps).await;
        assert_eq!(traps.batches(), [events([1, 2, 3])]);
        for time in 1..=5 {
            world.let_pending_wait(6_000);
            cut_off(&world, true, &traps).await;
            let handled = if time == 1 { events([1, 2]) } else { events([2]) };
            assert_eq!(traps.events(), handled, "time {time}");
            // It is counted before its handler begins. What stands behind it gets its turn when another claims it.
            let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
            assert_eq!((attempts.len(), attempts[0].1), (1, time));
        }
        world.let_pending_wait(6_000);
        assert_eq!(world.claim(&traps).await, Drained { handled: 1, dead: 1, ..NOTHING });
        assert_eq!(traps.events(), events([3]));
        assert_eq!(world.dead()[0]["reason"], "its handler did not come back 5 times");
        assert_eq!(world.dead()[0]["e"], json(CONTEXT, REJECTED, 2));
    });
}

#[test]
fn a_success_forgets_the_failures_before_it() {
    run(async |world| {
        world.append([1]);
        let poison = Recorder::new(|_| Then::Poison);
        for _ in 0..3 {
            world.claim(&poison).await;
            world.let_pending_wait(6_000);
        }
        let count: Vec<i64> = world.redis(&["HVALS", ATTEMPTS]);
        assert_eq!(count, [3]);
        world.claim(&content()).await;
        assert_eq!((world.pending(), world.exists(ATTEMPTS)), (0, false));
    });
}

#[test]
fn more_than_one_page_is_claimed_in_one_tick() {
    run(async |world| {
        world.append(1..=250);
        read_all(&world);
        world.let_pending_wait(6_000);
        let consumer = content();
        assert_eq!(world.claim(&consumer).await, Drained { handled: 250, ..NOTHING });
        assert_eq!(consumer.events(), events(1..=250));
    });
}

#[test]
fn however_many_wait_each_is_looked_at_once_in_a_tick() {
    run(async |world| {
        world.append(1..=1_200);
        read_all(&world);
        world.let_pending_wait(6_000);
        let later = Recorder::new(|_| Then::Later);
        let round = world.drain_as(GROUP, Duration::from_secs(20), true, &later).await;
        assert_eq!(round, Drained { left: 1_200, ..NOTHING });
        assert_eq!(later.events(), events(1..=1_200));
    });
}

#[test]
fn what_waits_for_ever_does_not_keep_what_is_behind_it_from_its_turn() {
    run(async |world| {
        world.append(1..=250);
        read_all(&world);
        world.let_pending_wait(6_000);
        // Everything but the last one waits, and a tick has time for one page.
        let consumer = Recorder::new(|ids| if ids == ["250:1"] { Then::Handled } else { Then::Later });
        let mut handled = 0;
        for _tick in 0..3 {
            let drained = world.drain_as(GROUP, Duration::ZERO, true, &consumer).await;
            assert!(!drained.has_caught_up());
            handled += drained.handled;
        }
        assert_eq!((handled, consumer.events()), (1, events(1..=250)));
    });
}

#[test]
fn each_stream_has_its_turn_beside_a_long_one() {
    run(async |world| {
        let other = "sugang:events:pay";
        world.append(1..=150);
        world.redis::<String>(&["XADD", other, "1-1", "e", "not json"]);
        for stream in [STREAM, other] {
            world.redis::<String>(&["XGROUP", "CREATE", stream, "order", "0"]);
            let read = ["XREADGROUP", "GROUP", "order", "worker", "STREAMS", stream, ">"];
            let _: redis::Value = world.redis(&read);
            let script = "for _, entry in ipairs(redis.call('XPENDING', KEYS[1], 'order', '-', '+', 1000)) do
                redis.call('XCLAIM', KEYS[1], 'order', 'worker', 0, entry[1], 'IDLE', 6000, 'JUSTID') end return 1";
            world.redis::<i64>(&["EVAL", script, "1", stream]);
        }
        let later = Recorder::new(|_| Then::Later);
        let drained = world.drain_as("order", Duration::ZERO, true, &later).await;
        assert_eq!((drained.dead, drained.left), (1, 100));
    });
}

#[test]
fn what_is_no_event_is_a_dead_letter_then_and_what_was_deleted_is_passed_over() {
    run(async |world| {
        world.append([1, 2]);
        world.append_text("not json");
        world.append([3]);
        read_all(&world);
        world.let_pending_wait(6_000);
        let second = world.ids()[1].clone();
        world.redis::<i64>(&["XDEL", STREAM, &second]);
        let consumer = content();
        assert_eq!(world.claim(&consumer).await, Drained { handled: 2, dead: 1, ..NOTHING });
        assert_eq!((consumer.events(), world.pending()), (events([1, 3]), 0));
        assert_eq!(world.dead().len(), 1);
    });
}

#[test]
fn an_entry_is_a_dead_letter_once() {
    run(async |world| {
        world.append_text("not json");
        read_all(&world);
        // Two have it in their hands.
        for _ in 0..2 {
            world.let_pending_wait(6_000);
            world.claim(&content()).await;
        }
        assert_eq!(world.redis::<i64>(&["XLEN", DEAD]), 1);
    });
}

#[test]
fn a_tick_that_ran_out_of_time_has_not_come_to_the_end() {
    run(async |world| {
        world.append(1..=150);
        read_all(&world);
        world.let_pending_wait(6_000);
        for handled in [100, 50] {
            let drained = world.drain_as(GROUP, Duration::ZERO, true, &content()).await;
            assert_eq!(drained, Drained { handled, to_the_end: false, ..NOTHING });
        }
        assert_eq!(world.claim(&content()).await, NOTHING);
    });
}

#[test]
fn where_there_is_no_stream_or_no_group_there_is_nothing_to_claim() {
    run(async |world| {
        assert_eq!(world.claim(&content()).await, NOTHING);
        world.append([1]);
        world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        assert_eq!(world.claim(&content()).await.handled, 1);
    });
}
