//! Replays, streams of before, and streams of another store.

use super::recorder::content;
use super::store::{READ, REJECTED};
use super::world::{CONTEXT, GROUP, STREAM, World, json, run, shown};
use tokio::join;

::store::on_postgres!(
    a_replay_sends_again_from_where_it_begins_in_a_new_generation,
    a_replay_of_what_everyone_had_acknowledged_is_sent_again_too,
    a_replay_also_sends_again_what_not_everyone_has_acknowledged_before_it,
    of_several_replays_before_the_next_tick_the_last_generation_counts,
    a_redis_that_loses_a_replay_gets_it_again,
    a_relay_that_froze_during_a_replay_takes_nothing_from_it,
    a_relay_that_froze_until_a_replay_was_sent_appends_nothing,
    nothing_is_sent_to_a_stream_of_a_later_generation,
    nothing_is_sent_to_a_stream_that_ends_beyond_the_store,
    what_is_done_with_in_another_stores_stream_is_not_noted,
    the_stream_of_an_older_release_goes_on_in_a_new_generation,
    the_floor_moves_again_once_everyone_is_past_the_older_releases_entries,
    an_older_releases_dead_letter_keeps_the_floor_down,
    it_is_said_that_a_stream_belongs_to_another_store,
);

impl World {
    /// The events from 1 to 6 are in the stream.
    async fn six(&self) {
        self.store.commit(1..=6);
        self.relay().await.unwrap();
    }
}

#[test]
fn a_replay_sends_again_from_where_it_begins_in_a_new_generation() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        world.store.replay(4);
        world.tick().await;
        assert_eq!(world.log(), shown(2, 4..=6));
        // Once, and what is new goes on behind it.
        world.store.commit([7]);
        world.tick().await;
        assert_eq!(world.log(), shown(2, 4..=7));
        let consumer = content();
        assert_eq!(world.drain(&consumer).await.handled, 4);
        assert_eq!(consumer.events(), ["4:1", "5:1", "6:1", "7:1"]);
    });
}

#[test]
fn a_replay_of_what_everyone_had_acknowledged_is_sent_again_too() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
        world.store.replay(3);
        world.tick().await;
        assert_eq!((world.log(), world.store.floor()), (shown(2, 3..=6), 2));
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn a_replay_also_sends_again_what_not_everyone_has_acknowledged_before_it() {
    run(async |world| {
        world.store.commit(1..=3);
        world.relay().await.unwrap();
        world.store.commit(4..=6);
        world.store.replay(6);
        world.tick().await;
        assert_eq!(world.log(), [shown(1, 1..=3), shown(2, 1..=6)].concat());
    });
}

#[test]
fn of_several_replays_before_the_next_tick_the_last_generation_counts() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        world.store.replay(3);
        world.store.replay(5);
        world.tick().await;
        assert_eq!(world.log(), shown(3, 3..=6), "the one before is not forgotten");
    });
}

#[test]
fn a_redis_that_loses_a_replay_gets_it_again() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        let disk = world.snapshot();
        world.store.replay(3);
        world.tick().await;
        for lost in 0..2 {
            world.roll_back(&disk);
            world.tick().await;
            assert_eq!(world.log(), shown(2, 3..=6), "{lost}");
        }
        // What everyone has read of it by then is done with.
        world.all_read(&["2-5"]);
        world.tick().await;
        world.roll_back(&disk);
        world.tick().await;
        assert_eq!(world.log(), shown(2, 5..=6));
        world.redis::<()>(&["FLUSHALL"]);
        world.tick().await;
        assert_eq!(world.log(), shown(2, 5..=6));
    });
}

#[test]
fn a_relay_that_froze_during_a_replay_takes_nothing_from_it() {
    run(async |world| {
        world.six().await;
        world.store.commit([7]);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.store.replay(3);
            gate.open();
        });
        late.unwrap();
        world.tick().await;
        assert_eq!(world.log(), [shown(1, 1..=7), shown(2, 1..=7)].concat());
    });
}

#[test]
fn a_relay_that_froze_until_a_replay_was_sent_appends_nothing() {
    run(async |world| {
        world.six().await;
        world.store.commit([7]);
        let gate = world.store.hold_after(READ);
        let (late, ()) = join!(world.relay(), async {
            gate.reached().await;
            world.store.replay(5);
            world.relay().await.unwrap();
            gate.open();
        });
        assert_eq!(late.unwrap(), 0);
        assert_eq!(world.log(), [shown(1, 1..=6), shown(2, 1..=7)].concat());
    });
}

/// Nothing is sent to a stream that ends at `end`, and once it is gone everything is.
fn belongs_to_another(end: &'static str) {
    run(async |world| {
        world.store.commit(1..=3);
        world.redis::<String>(&["XADD", STREAM, end, "e", &json(CONTEXT, REJECTED, 9)]);
        for _again in 0..2 {
            assert_eq!(world.relay().await.unwrap(), 0);
            world.tick().await;
            assert_eq!((world.ids(), world.store.floor()), (vec![end.to_owned()], 0));
        }
        world.redis::<i64>(&["DEL", STREAM]);
        // The same instance, without a tick.
        assert_eq!(world.relay().await.unwrap(), 3);
        assert_eq!(world.log(), shown(1, 1..=3));
    });
}

#[test]
fn nothing_is_sent_to_a_stream_of_a_later_generation() {
    belongs_to_another("2-1");
    belongs_to_another("1789000000000-0");
}

#[test]
fn nothing_is_sent_to_a_stream_that_ends_beyond_the_store() {
    belongs_to_another("1-4");
}

#[test]
fn what_is_done_with_in_another_stores_stream_is_not_noted() {
    run(async |world| {
        world.store.commit(1..=3);
        world.redis::<String>(&["XADD", STREAM, "2-9", "e", &json(CONTEXT, REJECTED, 9)]);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.store.floor(), 0);
    });
}

/// The stream of a release that let Redis give the ids, in a store that was taken over from it.
async fn taken_over(world: &World, acknowledged: u64) {
    world.store.commit(1..=5);
    for (subject, id) in ["1700000000000-0", "1700000000000-1", "1700000000700-0", "1700000000700-1"]
        .into_iter()
        .enumerate()
        .map(|(index, id)| (index as u64 + 1, id))
    {
        world.redis::<String>(&["XADD", STREAM, id, "e", &json(CONTEXT, REJECTED, subject)]);
    }
    world.store.run(&format!("UPDATE log SET generation = 1800000000000, floor = {acknowledged}"));
}

#[test]
fn the_stream_of_an_older_release_goes_on_in_a_new_generation() {
    run(async |world| {
        taken_over(&world, 2).await;
        // One had read everything, and everyone else is in the middle of it.
        world.read(GROUP, &[]);
        world.tick().await;
        let sent = shown(1_800_000_000_000, 3..=5);
        assert_eq!(world.log()[4..], sent, "what all had acknowledged is not sent again");
        world.store.commit([6]);
        assert_eq!(world.relay().await.unwrap(), 1);
        let consumer = content();
        world.drain(&consumer).await;
        assert_eq!(consumer.events(), ["3:1", "4:1", "5:1", "6:1"]);
    });
}

#[test]
fn the_floor_moves_again_once_everyone_is_past_the_older_releases_entries() {
    run(async |world| {
        taken_over(&world, 2).await;
        world.all_read(&["1700000000700-1"]);
        world.tick().await;
        assert_eq!((world.store.floor(), world.ids()[0].as_str()), (2, "1700000000700-1"));
        world.all_read(&["1700000000700-1"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 2);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!((world.store.floor(), world.ids()), (5, vec![]));
    });
}

#[test]
fn an_older_releases_dead_letter_keeps_the_floor_down() {
    run(async |world| {
        taken_over(&world, 2).await;
        let dead = world.put_dead(super::world::DEAD, STREAM, "1700000000700-1", "{}");
        world.all_read(&[]);
        world.tick().await;
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.store.floor(), 2);
        world.redis::<i64>(&["XDEL", super::world::DEAD, &dead]);
        world.tick().await;
        assert_eq!(world.store.floor(), 5);
    });
}

#[test]
fn it_is_said_that_a_stream_belongs_to_another_store() {
    let test = "tests::generations::nothing_is_sent_to_a_stream_that_ends_beyond_the_store";
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the stream of reservation ends at 1-4, and its store at 1-3"), "{said}");
    assert!(said.contains("belongs to another store, and nothing is sent"), "{said}");
}
