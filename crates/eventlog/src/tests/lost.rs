//! What Redis lost is sent again.

use super::world::{LOCK, MARK, PUT_BACK, READ, STREAM, World, content, ids, run};
use crate::keys::Wake;
use crate::outbox::{BATCH, CHUNK};
use tokio::join;

/// The stream as it is now, to come back to: what Redis has on disk when it loses what it has not.
fn snapshot(world: &World) -> Vec<u8> {
    world.redis(&["DUMP", STREAM])
}

/// Redis starts again with what it had then; `locked` says whether the lock was on disk as well.
fn lose_all_since(world: &World, snapshot: &[u8]) {
    let _: () = world.redis_with(&["RESTORE", STREAM, "0"], (snapshot, "REPLACE"));
}

#[test]
fn a_log_that_was_flushed_is_made_again() {
    run(async |world| {
        world.store.commit(1..=5);
        world.relay().await.unwrap();
        let before = world.store.sent(1);
        world.redis::<()>(&["FLUSHALL"]);
        world.store.commit([6]);
        assert_eq!(world.relay().await.unwrap(), 6);
        assert_eq!(world.log(), ids(1..=6));
        assert!(world.store.sent(1) > before);
        world.assert_positions_are_right();
        assert_eq!(world.relay().await.unwrap(), 0);
    });
}

#[test]
fn a_log_that_was_flushed_is_made_again_on_the_tick_with_nothing_new_to_send() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        // A consumer may be first, and makes an empty stream.
        let consumer = content();
        world.drain(Wake::Event, &consumer).await;
        assert!(consumer.events().is_empty());
        world.outbox.tick(&world.url()).await.unwrap();
        assert_eq!(world.log(), ids(1..=3));
        world.drain(Wake::Event, &consumer).await;
        assert_eq!(consumer.events(), ids(1..=3));
    });
}

#[test]
fn of_a_lost_tail_only_the_tail_is_sent_again_and_before_anything_new() {
    run(async |world| {
        world.store.commit(1..=4);
        world.relay().await.unwrap();
        let disk = snapshot(&world);
        world.store.commit(5..=8);
        world.relay().await.unwrap();
        lose_all_since(&world, &disk);
        assert_eq!(world.log(), ids(1..=4));
        world.store.commit([9]);
        assert_eq!(world.relay().await.unwrap(), 5);
        assert_eq!(world.log(), ids(1..=9));
        world.assert_positions_are_right();
    });
}

#[test]
fn a_long_log_is_put_back_in_chunks_and_all_of_it() {
    run(async |world| {
        let all = 2 * CHUNK as u64 + 500;
        world.store.commit(1..=all);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay().await.unwrap() as u64, all);
        assert_eq!(world.log(), ids(1..=all));
    });
}

#[test]
fn putting_back_that_was_cut_off_is_finished_by_the_next() {
    run(async |world| {
        let all = 2 * CHUNK as u64 + 500;
        world.store.commit(1..=all);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        world.store.fail(PUT_BACK, 1);
        world.relay().await.unwrap_err();
        assert_eq!(world.store.unsent(), CHUNK);
        // In between, one has come to the stream again.
        assert_eq!(world.relay().await.unwrap() as u64, all);
        assert_eq!(world.log(), ids(1..=all));
        world.assert_positions_are_right();
    });
}

#[test]
fn putting_back_keeps_the_lock_and_stops_without_it() {
    run(async |world| {
        world.store.commit(1..=2 * CHUNK as u64);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        let gate = world.store.hold_before(PUT_BACK);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.redis::<i64>(&["PEXPIRE", LOCK, "500"]);
            let second = world.store.hold_before(PUT_BACK);
            gate.open();
            second.reached().await;
            assert!(world.redis::<i64>(&["PTTL", LOCK]) > 2_000);
            world.redis::<String>(&["SET", LOCK, "another"]);
            second.open();
        });
        assert!(relayed.unwrap_err().to_string().contains("took over"));
        assert!(world.log_is_empty());
    });
}

impl World {
    fn log_is_empty(&self) -> bool {
        self.redis::<i64>(&["EXISTS", STREAM]) == 0
    }
}

#[test]
fn a_trimmed_stream_has_lost_nothing() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.redis::<i64>(&["XTRIM", STREAM, "MAXLEN", "0"]);
        assert_eq!(world.relay().await.unwrap(), 0);
        world.store.commit([4]);
        world.relay().await.unwrap();
        assert_eq!(world.log(), ids([4]));
    });
}

#[test]
fn a_clock_that_is_wrong_in_either_direction_loses_nothing_and_repeats_nothing() {
    run(async |world| {
        world.store.commit([1]);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        // The stream begins again long ago.
        world.redis::<String>(&["XADD", STREAM, "1-1", "e", &super::world::json(77)]);
        world.store.commit([2]);
        assert_eq!(world.relay().await.unwrap(), 2);
        // And goes on far ahead, where every id follows on the last one.
        world.redis::<String>(&["XADD", STREAM, "3000000000000-5", "e", &super::world::json(78)]);
        world.store.commit([3]);
        assert_eq!(world.relay().await.unwrap(), 1);
        world.store.commit([4]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([77, 1, 2, 78, 3, 4]));
        assert_eq!(world.entries()[5].0, "3000000000000-7");
    });
}

#[test]
fn what_is_lost_between_two_batches_of_one_run_is_sent_again_before_the_next() {
    run(async |world| {
        let all = BATCH as u64 + 10;
        world.store.commit(1..=all);
        let gate = world.store.hold(READ, 2, true);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            let _: i64 = world.redis(&["DEL", STREAM]);
            gate.open();
        });
        assert_eq!(relayed.unwrap() as u64, all + BATCH as u64);
        assert_eq!(world.log(), ids(1..=all));
        world.assert_positions_are_right();
    });
}

#[test]
fn what_is_lost_within_one_millisecond_is_noticed_too() {
    run(async |world| {
        // From here every id follows on the last one, within its millisecond.
        world.redis::<String>(&["XADD", STREAM, "3000000000000-5", "e", &super::world::json(777)]);
        let disk = snapshot(&world);
        let all = BATCH as u64 + 10;
        world.store.commit(1..=all);
        let gate = world.store.hold(READ, 2, true);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            lose_all_since(&world, &disk);
            gate.open();
        });
        assert_eq!(relayed.unwrap() as u64, all + BATCH as u64);
        assert_eq!(world.log(), ids(std::iter::once(777).chain(1..=all)));
    });
}

#[test]
fn a_lock_that_was_flushed_stops_its_holder() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.store.commit([4]);
        let gate = world.store.hold_after(READ);
        let (relayed, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.redis::<()>(&["FLUSHALL"]);
            gate.open();
        });
        relayed.unwrap_err();
        assert!(world.log_is_empty());
        assert_eq!(world.relay().await.unwrap(), 4);
        assert_eq!(world.log(), ids(1..=4));
    });
}

/// Whatever a mark that comes late does, the log is whole in the end.
async fn mark_late(world: &World, sent_before: u64, until: (&'static str, usize, bool)) {
    world.store.commit(1..=sent_before);
    world.relay().await.unwrap();
    world.mark_late([8, 9], until).await;
    world.store.commit([10]);
    world.relay().await.unwrap();
    world.relay().await.unwrap();
    let mut log = world.log();
    log.sort();
    log.dedup();
    let mut all = ids((1..=sent_before).chain([8, 9, 10]));
    all.sort();
    assert_eq!(log, all, "{until:?}");
}

#[test]
fn a_mark_that_comes_after_the_log_was_lost_hides_nothing() {
    for until in [(READ, 0, false), (READ, 0, true), (PUT_BACK, 0, false), (PUT_BACK, 0, true)] {
        run(async |world| mark_late(&world, 5, until).await);
    }
    for until in [(READ, 1, false), (READ, 1, true), (READ, 2, false), (READ, 2, true)] {
        run(async |world| mark_late(&world, 5, until).await);
    }
    for until in [(MARK, 0, false), (MARK, 0, true)] {
        run(async |world| mark_late(&world, 5, until).await);
    }
}

#[test]
fn nor_does_the_late_mark_of_the_very_first_events() {
    for until in [(READ, 0, false), (READ, 0, true), (MARK, 0, false), (MARK, 0, true)] {
        run(async |world| mark_late(&world, 0, until).await);
    }
}

#[test]
fn of_two_marks_the_later_position_stays() {
    run(async |world| {
        world.store.commit([1]);
        let frozen = world.store.hold_before(MARK);
        let (late, ()) = join!(world.relay(), async {
            frozen.reached().await;
            world.redis::<i64>(&["DEL", LOCK]);
            world.relay().await.unwrap();
            frozen.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.log(), ids([1, 1]));
        world.assert_positions_are_right();
    });
}

#[test]
fn what_was_sent_before_positions_were_kept_is_sent_again_only_after_a_loss() {
    run(async |world| {
        world.store.commit(1..=2);
        world.relay().await.unwrap();
        (1..=2).for_each(|subject| world.store.set_sent(subject, 1));
        assert_eq!(world.relay().await.unwrap(), 0);
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay().await.unwrap(), 2);
        assert_eq!(world.log(), ids(1..=2));
    });
}

#[test]
fn what_an_operator_has_sent_again_is_made_again_with_the_rest() {
    run(async |world| {
        world.store.commit(1..=4);
        world.relay().await.unwrap();
        (1..=2).for_each(|subject| world.store.set_sent(subject, 0));
        assert_eq!(world.relay().await.unwrap(), 2);
        assert_eq!(world.log(), ids([1, 2, 3, 4, 1, 2]));
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay().await.unwrap(), 4);
        assert_eq!(world.log(), ids(1..=4));
    });
}
