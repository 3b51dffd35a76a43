//! From the store to the stream.

use super::recorder::content;
use super::store::READ;
use super::world::{STREAM, World, run, shown};
use crate::relay::{BATCH, NEXT};
use rustix::process::Signal;
use std::time::{Duration, Instant};
use store::Value;
use tokio::join;

::store::on_postgres!(
    events_come_to_the_stream_in_their_order_with_their_positions_and_once,
    a_log_without_events_makes_no_stream,
    more_than_a_batch_is_sent_page_by_page,
    a_relay_whose_time_is_spent_leaves_the_rest_to_the_next,
    a_relay_begins_no_batch_after_two_seconds,
    the_second_of_two_relays_is_refused_and_goes_on_where_the_stream_ends,
    what_another_appended_is_not_counted_as_ones_own,
    relays_at_once_send_each_event_once_and_in_order,
    a_relay_that_others_keep_overtaking_ends_when_its_time_is_up,
    a_relay_that_died_leaves_nothing_in_the_way_of_the_next,
    after_a_failure_the_next_one_need_not_wait,
    while_something_else_has_the_streams_name_nothing_is_sent,
    a_redis_that_hangs_is_given_up_after_two_seconds_and_used_again_when_it_is_back,
    a_long_log_is_sent_without_a_pause,
    a_connection_is_used_again,
    a_store_without_its_row_of_the_log_is_an_error,
);

#[test]
fn events_come_to_the_stream_in_their_order_with_their_positions_and_once() {
    run(async |world| {
        world.store.commit([30, 10, 20]);
        assert_eq!(world.relay().await.unwrap(), 3);
        assert_eq!(world.log(), ["1-1 30", "1-2 10", "1-3 20"]);
        assert_eq!(world.relay().await.unwrap(), 0);
        world.store.commit([4]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ["1-1 30", "1-2 10", "1-3 20", "1-4 4"]);
    });
}

#[test]
fn a_log_without_events_makes_no_stream() {
    run(async |world| {
        assert_eq!(world.relay().await.unwrap(), 0);
        world.tick().await;
        assert_eq!(world.redis::<i64>(&["DBSIZE"]), 0);
    });
}

#[test]
fn more_than_a_batch_is_sent_page_by_page() {
    run(async |world| {
        for all in [BATCH, 2 * BATCH, 2 * BATCH + 50] {
            let before = world.store.native.number("SELECT count(*) FROM events").unwrap().unsigned_abs();
            world.store.commit(before + 1..=all);
            assert_eq!(world.relay().await.unwrap(), all - before);
            assert_eq!(world.log(), shown(1, 1..=all));
        }
    });
}

#[test]
fn a_relay_whose_time_is_spent_leaves_the_rest_to_the_next() {
    run(async |world| {
        world.store.commit(1..=2 * BATCH + 50);
        for appended in [BATCH, BATCH, 50, 0] {
            assert_eq!(world.relay_a_little().await, appended);
        }
        assert_eq!(world.log(), shown(1, 1..=2 * BATCH + 50));
    });
}

#[test]
fn a_relay_begins_no_batch_after_two_seconds() {
    run(async |world| {
        world.store.commit(1..=BATCH + 1);
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
fn the_second_of_two_relays_is_refused_and_goes_on_where_the_stream_ends() {
    run(async |world| {
        world.store.commit(1..=3);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            assert_eq!(world.relay().await.unwrap(), 3);
            world.store.commit([4, 5]);
            gate.open();
        });
        assert_eq!(late.unwrap(), 2);
        assert_eq!(world.log(), shown(1, 1..=5));
    });
}

#[test]
fn what_another_appended_is_not_counted_as_ones_own() {
    run(async |world| {
        world.store.commit(1..=3);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            assert_eq!(world.relay().await.unwrap(), 3);
            gate.open();
        });
        assert_eq!(late.unwrap(), 0);
        assert_eq!(world.log(), shown(1, 1..=3));
    });
}

#[test]
fn relays_at_once_send_each_event_once_and_in_order() {
    run(async |world| {
        let relays = async |from: u64| {
            let mut appended = 0;
            for at in 0..25 {
                world.store.commit([from + at]);
                appended += world.relay().await.unwrap();
                tokio::task::yield_now().await;
            }
            appended
        };
        let (a, b, c, d) = join!(relays(100), relays(200), relays(300), relays(400));
        assert_eq!(a + b + c + d, 100);
        let rows =
            world.store.native.run("SELECT position, subject FROM events ORDER BY position", &[]).unwrap();
        let committed = rows
            .iter()
            .map(|row| format!("1-{} {}", row.count("position").unwrap(), row.text("subject").unwrap()));
        assert_eq!(world.log(), committed.collect::<Vec<_>>());
    });
}

#[test]
fn a_relay_that_others_keep_overtaking_ends_when_its_time_is_up() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay_a_little(), async {
            gate.reached().await;
            assert_eq!(world.relay().await.unwrap(), 1);
            world.store.commit([2]);
            gate.open();
        });
        assert_eq!((late, world.log()), (0, shown(1, [1])));
        assert_eq!(world.relay().await.unwrap(), 1);
    });
}

#[test]
fn a_relay_that_died_leaves_nothing_in_the_way_of_the_next() {
    run(async |world| {
        world.store.commit([1]);
        let gate = world.store.hold_after(READ);
        tokio::select! {
            _ = world.relay() => panic!("it should have been held up"),
            () = gate.reached() => {}
        }
        assert_eq!(world.relay().await.unwrap(), 1);
    });
}

#[test]
fn after_a_failure_the_next_one_need_not_wait() {
    run(async |world| {
        world.store.commit([1]);
        world.store.fail(READ);
        let error = world.relay().await.unwrap_err().to_string();
        assert!(error.contains("the store of the events"), "{error}");
        assert_eq!(world.relay().await.unwrap(), 1);
    });
}

#[test]
fn while_something_else_has_the_streams_name_nothing_is_sent() {
    run(async |world| {
        world.store.commit([1]);
        world.redis::<String>(&["SET", STREAM, "in the way"]);
        world.relay().await.unwrap_err();
        world.redis::<i64>(&["DEL", STREAM]);
        assert_eq!(world.relay().await.unwrap(), 1);
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
        // What hung may have been done in the end; either way it is there once.
        world.relay().await.unwrap();
        assert_eq!(world.log(), shown(1, 1..=2));
    });
}

#[test]
fn a_long_log_is_sent_without_a_pause() {
    run(async |world| {
        // With a pause after each batch it would take longer than a relay has.
        let all = BATCH * 25;
        world.store.commit(1..=all);
        assert_eq!(world.relay().await.unwrap(), all);
    });
}

#[test]
fn a_connection_is_used_again() {
    run(async |world| {
        let before = world.opened();
        for subject in 1..=5 {
            world.store.commit([subject]);
            world.tick().await;
            world.claim(&content()).await;
        }
        // Of these, one is of the counting.
        let new = world.opened() - before;
        assert!(new <= 3, "{new} connections");
    });
}

#[test]
fn a_store_without_its_row_of_the_log_is_an_error() {
    run(async |world| {
        world.store.commit([1]);
        world.store.run("DELETE FROM log");
        assert!(world.relay().await.unwrap_err().to_string().contains("`log`"));
    });
}

#[test]
fn what_comes_next_is_found_without_looking_at_what_was_sent() {
    run(async |world: World| {
        let plan = world.store.native.plan(NEXT, &[1, 1, 200].map(Value::Integer)).unwrap();
        assert!(plan.contains("SEARCH e USING INTEGER PRIMARY KEY (rowid>?)"), "{plan}");
        assert!(!plan.contains("SCAN e") && !plan.contains("TEMP B-TREE"), "{plan}");
    });
}
