//! What Redis loses is sent again.

use super::recorder::content;
use super::store::READ;
use super::world::{STREAM, World, run, shown};
use tokio::join;

::store::on_postgres!(
    a_log_that_was_flushed_is_made_again,
    a_log_that_was_flushed_is_made_again_on_the_tick_with_nothing_new_to_send,
    what_is_lost_is_sent_from_the_floor_on,
    of_a_lost_tail_only_the_tail_is_sent_again_and_before_anything_new,
    of_a_lost_tail_what_everyone_had_acknowledged_is_not_sent_again,
    a_relay_that_froze_while_another_appended_appends_nothing_twice,
    a_relay_that_froze_while_redis_was_flushed_sends_everything,
    a_relay_that_froze_while_redis_was_flushed_and_filled_again_adds_nothing,
    a_relay_that_froze_while_redis_came_to_the_same_end_again_goes_on,
    a_relay_that_froze_while_redis_fell_back_to_an_earlier_state_sends_what_is_missing,
    what_is_lost_between_two_batches_of_one_run_is_sent_again_before_the_next,
    a_trimmed_stream_has_lost_nothing,
);

#[test]
fn a_log_that_was_flushed_is_made_again() {
    run(async |world| {
        world.store.commit(1..=5);
        world.relay().await.unwrap();
        world.redis::<()>(&["FLUSHALL"]);
        world.store.commit([6]);
        assert_eq!(world.relay().await.unwrap(), 6);
        assert_eq!(world.log(), shown(1, 1..=6));
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
        world.drain(&consumer).await;
        assert!(consumer.events().is_empty() && world.exists(STREAM));
        world.tick().await;
        assert_eq!(world.log(), shown(1, 1..=3));
        assert_eq!(world.drain(&consumer).await.handled, 3);
    });
}

#[test]
fn what_is_lost_is_sent_from_the_floor_on() {
    run(async |world| {
        world.store.commit(1..=6);
        world.relay().await.unwrap();
        world.all_read(&["1-5"]);
        world.tick().await;
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay_anew().await, 2);
        assert_eq!(world.log(), shown(1, 5..=6));
        // And once more: what was sent again is as any other.
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay_anew().await, 2);
    });
}

#[test]
fn of_a_lost_tail_only_the_tail_is_sent_again_and_before_anything_new() {
    run(async |world| {
        world.store.commit(1..=4);
        world.relay().await.unwrap();
        let disk = world.snapshot();
        world.store.commit(5..=8);
        world.relay().await.unwrap();
        world.roll_back(&disk);
        assert_eq!(world.log(), shown(1, 1..=4));
        world.store.commit([9]);
        assert_eq!(world.relay().await.unwrap(), 5);
        assert_eq!(world.log(), shown(1, 1..=9));
    });
}

#[test]
fn of_a_lost_tail_what_everyone_had_acknowledged_is_not_sent_again() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        let disk = world.snapshot();
        world.store.commit(4..=8);
        world.relay().await.unwrap();
        world.all_read(&["1-7"]);
        world.tick().await;
        world.roll_back(&disk);
        assert_eq!(world.relay_anew().await, 2);
        assert_eq!(world.log(), [shown(1, 1..=3), shown(1, 7..=8)].concat());
    });
}

impl World {
    /// A relay of an instance that has seen nothing yet.
    async fn relay_anew(&self) -> usize {
        let before: usize = self.redis(&["XLEN", STREAM]);
        self.tick().await;
        self.redis::<usize>(&["XLEN", STREAM]) - before
    }
}

/// While a relay stands still between reading `read` and appending it, `act` does something to a stream of the events
/// from 1 to 3; then the log is whole again in the end.
fn frozen(act: impl AsyncFn(&World) + Sync, appended: u64) {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.store.commit(4..=6);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            act(&world).await;
            gate.open();
        });
        assert_eq!(late.unwrap(), appended);
        world.store.commit([7]);
        world.relay().await.unwrap();
        assert_eq!(world.log(), shown(1, 1..=7));
    });
}

#[test]
fn a_relay_that_froze_while_another_appended_appends_nothing_twice() {
    frozen(async |world| assert_eq!(world.relay().await.unwrap(), 3), 0);
}

#[test]
fn a_relay_that_froze_while_redis_was_flushed_sends_everything() {
    frozen(async |world| world.redis::<()>(&["FLUSHALL"]), 6);
}

#[test]
fn a_relay_that_froze_while_redis_was_flushed_and_filled_again_adds_nothing() {
    let flushed_and_filled = async |world: &World| {
        world.redis::<()>(&["FLUSHALL"]);
        assert_eq!(world.relay().await.unwrap(), 6);
    };
    frozen(flushed_and_filled, 0);
}

#[test]
fn a_relay_that_froze_while_redis_came_to_the_same_end_again_goes_on() {
    let there_and_back = async |world: &World| {
        let disk = world.snapshot();
        world.relay().await.unwrap();
        world.roll_back(&disk);
    };
    frozen(there_and_back, 3);
}

#[test]
fn a_relay_that_froze_while_redis_fell_back_to_an_earlier_state_sends_what_is_missing() {
    run(async |world| {
        world.store.commit([1]);
        world.relay().await.unwrap();
        let disk = world.snapshot();
        world.store.commit([2, 3]);
        world.relay().await.unwrap();
        world.store.commit([4]);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.roll_back(&disk);
            gate.open();
        });
        assert_eq!((late.unwrap(), world.log()), (3, shown(1, 1..=4)));
    });
}

#[test]
fn what_is_lost_between_two_batches_of_one_run_is_sent_again_before_the_next() {
    run(async |world| {
        let all = crate::relay::BATCH + 5;
        world.store.commit(1..=all);
        let first = world.store.hold_after(READ);
        let (relayed, ()) = join!(world.relay(), async {
            first.reached().await;
            let second = world.store.hold_after(READ);
            first.open();
            second.reached().await;
            world.redis::<()>(&["FLUSHALL"]);
            second.open();
        });
        assert_eq!(relayed.unwrap(), crate::relay::BATCH + all);
        assert_eq!(world.log(), shown(1, 1..=all));
    });
}

#[test]
fn a_trimmed_stream_has_lost_nothing() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.redis::<i64>(&["XTRIM", STREAM, "MAXLEN", "0"]);
        assert_eq!(world.relay_anew().await, 0);
        world.store.commit([4]);
        world.relay().await.unwrap();
        assert_eq!(world.log(), shown(1, [4]));
    });
}
