//! From the outbox to the stream.

use super::world::{CONTEXT, LOCK, MARK, NOTE, READ, STREAM, World, content, ids, run};
use crate::keys::Wake;
use crate::outbox::{self, BATCH, NEXT};
use crate::relay_lock::CLAIM;
use rustix::process::Signal;
use std::time::{Duration, Instant};
use tokio::join;

const FULL: u64 = BATCH as u64;

#[test]
fn events_come_to_the_stream_in_their_order_and_are_sent_once() {
    run(async |world| {
        world.store.commit([3, 1, 2]);
        assert_eq!(world.relay().await.unwrap(), 3);
        assert_eq!(world.log(), ids([3, 1, 2]));
        world.assert_positions_are_right();
        assert_eq!(world.relay().await.unwrap(), 0);
        world.store.commit([4]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([3, 1, 2, 4]));
        assert_eq!(world.store.unsent(), 0);
    });
}

#[test]
fn each_batch_wakes_the_consumers_once() {
    run(async |world| {
        world.store.commit(1..=2 * FULL + 50);
        let wakes = world.wake_ups(async { assert_eq!(world.relay().await.unwrap(), 2 * BATCH + 50) }).await;
        assert_eq!(wakes, ["event", "event", "event"]);
        assert_eq!(world.log(), ids(1..=2 * FULL + 50));
        world.store.commit([1_000]);
        assert_eq!(world.wake_ups(async { drop(world.relay().await) }).await, ["event"]);
    });
}

#[test]
fn a_full_last_batch_leaves_nothing_behind() {
    run(async |world| {
        world.store.commit(1..=FULL);
        assert_eq!(world.relay().await.unwrap(), BATCH);
        assert_eq!((world.log().len(), world.store.unsent()), (BATCH, 0));
        assert_eq!(world.redis::<i64>(&["EXISTS", LOCK]), 0);
    });
}

#[test]
fn an_empty_outbox_wakes_nobody_and_makes_no_stream() {
    run(async |world| {
        assert!(world.wake_ups(async { assert_eq!(world.relay().await.unwrap(), 0) }).await.is_empty());
        world.outbox.tick(&world.url()).await.unwrap();
        assert_eq!(world.redis::<i64>(&["DBSIZE"]), 0);
    });
}

#[test]
fn who_finds_the_relay_busy_has_it_look_once_more() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_before(MARK);
        let (first, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.store.commit([2]);
            assert_eq!(world.relay().await.unwrap(), 0);
            assert!((1..=60_000).contains(&world.redis::<i64>(&["PTTL", NOTE])));
            assert_eq!(world.store.unsent(), 2);
            gate.open();
        });
        assert_eq!(first.unwrap(), 2);
        assert_eq!(world.log(), ids([1, 2]));
        assert_eq!(world.redis::<i64>(&["EXISTS", LOCK, NOTE]), 0);
    });
}

#[test]
fn a_relay_whose_time_is_spent_leaves_the_rest_to_the_next() {
    run(async |world| {
        world.store.commit(1..=2 * FULL + 50);
        for (appended, left) in [(BATCH, FULL + 50), (BATCH, 50), (50, 0), (0, 0)] {
            assert_eq!(world.relay_a_little().await, appended);
            assert_eq!(world.store.unsent().unsigned_abs(), left);
            assert_eq!(world.redis::<i64>(&["EXISTS", LOCK]), 0);
        }
        assert_eq!(world.log(), ids(1..=2 * FULL + 50));
    });
}

#[test]
fn commits_that_never_cease_do_not_keep_a_relay_for_ever() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_before(MARK);
        let (first, ()) = join!(world.relay_a_little(), async {
            gate.reached().await;
            world.store.commit([2]);
            assert_eq!(world.relay().await.unwrap(), 0);
            gate.open();
        });
        assert_eq!((first, world.store.unsent()), (1, 1));
        assert_eq!(world.redis::<i64>(&["EXISTS", LOCK, NOTE]), 0);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([1, 2]));
    });
}

#[test]
fn relays_at_once_send_each_event_once_and_in_order() {
    run(async |world| {
        let relays = async |from: u64| {
            for at in 0..25 {
                world.store.commit([from + at]);
                world.relay().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        join!(relays(100), relays(200), relays(300), relays(400));
        let log = world.log();
        let rows = world.store.sqlite.run("SELECT subject || ':1' FROM events ORDER BY seq", &[]).unwrap();
        let committed: Vec<_> = rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect();
        assert_eq!((log.len(), world.store.unsent()), (100, 0));
        assert_eq!(log, committed);
    });
}

#[test]
fn the_lock_of_one_that_died_runs_out() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_before(MARK);
        tokio::select! {
            _ = world.relay() => panic!("it should have been held up"),
            () = gate.reached() => {}
        }
        assert!((1..=3_000).contains(&world.redis::<i64>(&["PTTL", LOCK])));
        assert_eq!(world.relay().await.unwrap(), 0);
        world.redis::<i64>(&["PEXPIRE", LOCK, "1"]);
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(world.relay().await.unwrap(), 1);
        // It was appended, and not marked: the same event, under the same id.
        assert_eq!(world.log(), ids([1, 1]));
        world.assert_positions_are_right();
    });
}

#[test]
fn the_lock_of_one_that_died_when_the_clock_was_ahead_keeps_nobody_out() {
    run(async |world| {
        world.store.commit([1]);
        world.redis::<String>(&["SET", LOCK, "another", "PX", "3000"]);
        assert_eq!(world.relay().await.unwrap(), 0);
        world.redis::<String>(&["SET", LOCK, "another", "PX", "60000"]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.redis::<i64>(&["EXISTS", LOCK]), 0);
    });
}

#[test]
fn the_lock_is_held_for_longer_with_each_batch() {
    run(async |world| {
        world.store.commit(1..=FULL + 1);
        let gate = world.store.hold(READ, 1, false);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.redis::<i64>(&["PEXPIRE", LOCK, "500"]);
            let next = world.store.hold_before(MARK);
            gate.open();
            next.reached().await;
            assert!(world.redis::<i64>(&["PTTL", LOCK]) > 2_000);
            next.open();
        });
        assert_eq!(relayed.unwrap(), BATCH + 1);
    });
}

#[test]
fn the_late_append_of_one_that_stood_still_is_refused_and_leaves_the_next_ones_lock() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.redis::<i64>(&["DEL", LOCK]);
            assert_eq!(world.relay().await.unwrap(), 1);
            world.redis::<String>(&["SET", LOCK, "another"]);
            gate.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.log(), ids([1]));
        assert_eq!(world.redis::<String>(&["GET", LOCK]), "another");
    });
}

#[test]
fn one_that_lost_its_lock_does_not_release_the_next_ones() {
    run(async |world| {
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.redis::<String>(&["SET", LOCK, "another"]);
            world.redis::<String>(&["SET", NOTE, "1"]);
            gate.open();
        });
        assert_eq!(late.unwrap(), 0);
        assert_eq!(world.redis::<i64>(&["EXISTS", LOCK, NOTE]), 2);
    });
}

#[test]
fn after_a_failure_the_next_one_need_not_wait() {
    run(async |world| {
        world.store.commit([1]);
        world.store.fail(MARK, 0);
        assert!(world.relay().await.unwrap_err().to_string().contains("the outbox"));
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([1, 1]));
    });
}

#[test]
fn while_something_else_has_the_streams_name_nothing_is_sent_and_nothing_is_held() {
    run(async |world| {
        world.store.commit([1]);
        world.redis::<String>(&["SET", STREAM, "in the way"]);
        world.relay().await.unwrap_err();
        assert_eq!((world.store.unsent(), world.redis::<i64>(&["EXISTS", LOCK])), (1, 0));
        world.redis::<i64>(&["DEL", STREAM]);
        assert_eq!(world.relay().await.unwrap(), 1);
    });
}

#[test]
fn work_asked_for_while_a_relay_of_the_same_instance_is_under_way_is_done_by_it() {
    run(async |world| {
        let until_sent = async || {
            let begun = Instant::now();
            while world.store.unsent() > 0 || world.redis::<i64>(&["EXISTS", LOCK]) > 0 {
                assert!(begun.elapsed() < Duration::from_secs(10));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        for round in 0..3 {
            world.store.commit([round * 10 + 1]);
            let gate = world.store.hold_before(MARK);
            world.outbox.relay_soon(&world.url());
            gate.reached().await;
            world.store.commit([round * 10 + 2]);
            world.outbox.relay_soon(&world.url());
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(world.redis::<i64>(&["EXISTS", NOTE]), 0);
            gate.open();
            until_sent().await;
        }
        assert_eq!(world.log(), ids([1, 2, 11, 12, 21, 22]));
        // One that fails gives way to the next one.
        world.store.commit([31]);
        world.store.fail(READ, 0);
        world.outbox.relay_soon(&world.url());
        let begun = Instant::now();
        while world.store.unsent() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(2)).await;
            world.outbox.relay_soon(&world.url());
        }
    });
}

#[test]
fn commits_that_follow_each_other_share_a_look_and_do_not_wait_long() {
    run(async |world| {
        let begun = Instant::now();
        let wakes = world.wake_ups(async {
            for subject in 1..=10 {
                world.store.commit([subject]);
                world.outbox.relay_soon(&world.url());
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            while world.store.unsent() > 0 {
                assert!(begun.elapsed() < Duration::from_millis(900));
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(wakes.await.len() < 6);
    });
}

#[test]
fn a_relay_that_nobody_asked_to_look_again_ends() {
    run(async |world| {
        world.store.commit([1]);
        world.outbox.relay_soon(&world.url());
        let begun = Instant::now();
        let mut looked = None;
        while looked != Some(world.store.sqlite.statements()) || world.store.unsent() > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it goes on looking");
            looked = Some(world.store.sqlite.statements());
            tokio::time::sleep(Duration::from_millis(600)).await;
        }
    });
}

#[test]
fn a_relay_begins_no_batch_after_two_seconds() {
    run(async |world| {
        world.store.commit(1..=FULL + 1);
        let gate = world.store.hold_after(READ);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            tokio::time::sleep(Duration::from_millis(2_100)).await;
            gate.open();
        });
        assert_eq!(relayed.unwrap(), BATCH);
    });
}

#[test]
fn a_redis_that_hangs_is_given_up_after_two_seconds_and_used_again_when_it_is_back() {
    run(async |mut world| {
        world.store.commit([1]);
        world.relay().await.unwrap();
        world.store.commit([2]);
        world.server.process().signal(Signal::STOP).unwrap();
        let begun = Instant::now();
        let error = world.relay().await.unwrap_err().to_string();
        let took = begun.elapsed();
        // There is no connection left to use again, and a new one is waited for no longer.
        let again = tokio::time::timeout(Duration::from_secs(6), world.relay()).await;
        world.server.process().signal(Signal::CONT).unwrap();
        let again = again.expect("it to be given up").unwrap_err().to_string();
        assert!(again.contains("connecting") && again.contains("no answer within 2s"), "{again}");
        assert!(error.contains("no answer within 2s"), "{error}");
        assert!(Duration::from_secs(2) <= took && took < Duration::from_secs(6), "{took:?}");
        assert_eq!(world.store.unsent(), 1);
        // What hung may have been done in the end: then its lock has to run out.
        world.redis::<i64>(&["DEL", LOCK]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([1, 2]));
    });
}

#[test]
fn whoever_left_a_note_is_looked_after_together_with_those_who_follow() {
    run(async |world| {
        world.store.commit([1]);
        world.redis::<String>(&["SET", NOTE, "1"]);
        let begun = Instant::now();
        assert_eq!(world.relay().await.unwrap(), 1);
        assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_long_outbox_is_sent_without_a_pause() {
    run(async |world| {
        // With a pause after each batch it would take longer than a relay has.
        let all = u64::try_from(BATCH).unwrap() * 25;
        world.store.commit(1..=all);
        assert_eq!(world.relay().await.unwrap(), usize::try_from(all).unwrap());
    });
}

#[test]
fn a_connection_is_used_again() {
    run(async |world| {
        let before = opened(&world);
        for subject in 1..=5 {
            world.store.commit([subject]);
            world.outbox.tick(&world.url()).await.unwrap();
        }
        // Of these, one is of the counting.
        let new = opened(&world) - before;
        assert!(new <= 3, "{new} connections");
    });
}

#[test]
fn a_connection_is_used_again_by_drains_and_where_the_relay_is_busy() {
    run(async |world| {
        world.redis::<String>(&["SET", LOCK, "another"]);
        world.drain(Wake::Tick, &content()).await;
        let before = opened(&world);
        for _ in 0..5 {
            assert_eq!(world.relay().await.unwrap(), 0);
            world.drain(Wake::Tick, &content()).await;
        }
        assert_eq!(opened(&world) - before, 1, "the counting's own");
    });
}

/// How many connections Redis has ever been opened.
fn opened(world: &World) -> u64 {
    let stats: String = world.redis(&["INFO", "stats"]);
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn neither_reading_nor_marking_slows_down_as_the_log_grows() {
    run(async |world| {
        let plan = world.store.sqlite.plan(NEXT, &[store::int(200)]).unwrap();
        assert!(plan.contains("SCAN events USING INDEX events_unsent"), "{plan}");
        assert!(!plan.contains("SCAN events;"), "{plan}");
        let params = [store::text("[[1,2],[2,3]]"), store::int(0)];
        let plan = world.store.sqlite.plan(outbox::MARK, &params).unwrap();
        assert!(plan.contains("SEARCH events USING INTEGER PRIMARY KEY"), "{plan}");
        assert!(!plan.contains("SCAN events"), "{plan}");
    });
}

#[test]
fn the_tick_relays_too() {
    run(async |world| {
        world.store.commit([1]);
        world.outbox.tick(&world.url()).await.unwrap();
        assert_eq!(world.log(), ids([1]));
        assert_eq!(STREAM, format!("sugang:events:{CONTEXT}"));
    });
}

#[test]
fn a_lock_that_was_taken_this_very_moment_is_its_holders() {
    run(async |world| {
        // Within a script no time goes by: the lock has all of its three seconds left.
        let script = format!("redis.call('SET', KEYS[1], 'another', 'PX', ARGV[2]) {CLAIM}");
        let claimed: Vec<i64> = world.redis(&["EVAL", &script, "3", LOCK, NOTE, STREAM, "mine", "3000"]);
        assert_eq!(claimed, [0]);
        assert_eq!(world.redis::<String>(&["GET", LOCK]), "another");
        assert_eq!(world.redis::<i64>(&["EXISTS", NOTE]), 1);
    });
}

#[test]
fn the_versions_of_a_subject_are_counted_from_one_and_there_is_one_of_each() {
    run(async |world| {
        let told = |version: i64| {
            let sql = "INSERT INTO events (subject, version, type, data, time) VALUES ('1', ?, '', '', '')";
            world.store.sqlite.run(sql, &[store::int(version)])
        };
        assert!(told(0).is_err());
        assert!(told(1).is_ok());
        assert!(told(1).is_err());
    });
}
