//! The floor: how far everything is done with, and what is trimmed behind it.

use super::store::NOTE;
use super::world::{CONTEXT, DEAD, GROUP, REPLAYED, STREAM, World, run, shown};
use crate::keys;
use crate::topology::{readers_of, sources};
use tokio::join;

::store::on_postgres!(
    what_every_group_has_acknowledged_is_done_with_and_trimmed,
    the_slowest_of_all_groups_counts_whichever_it_is,
    what_is_read_and_not_acknowledged_is_not_done_with,
    while_a_group_has_not_begun_nothing_is_done_with,
    a_group_that_does_not_read_this_stream_is_not_waited_for,
    a_dead_letter_of_any_group_is_not_done_with_until_it_is_gone,
    nor_is_a_replayed_one_until_it_is_handled,
    a_dead_letter_of_an_older_generation_is_the_same_event,
    the_very_first_event_as_a_dead_letter_is_not_done_with_either,
    dead_letters_of_other_streams_hold_nothing_back,
    among_very_many_dead_letters_nothing_is_taken_for_done,
    ids_are_compared_as_numbers,
    only_what_is_of_the_stores_generation_is_noted,
    what_was_found_before_a_replay_is_not_noted_after_it,
    the_floor_only_rises,
);

impl World {
    /// Events from 1 to 6 are in the stream, and everyone has read them.
    async fn six_read(&self, left_over: &[&str]) {
        self.store.commit(1..=6);
        self.relay().await.unwrap();
        self.all_read(left_over);
    }
}

#[test]
fn what_every_group_has_acknowledged_is_done_with_and_trimmed() {
    run(async |world| {
        world.six_read(&[]).await;
        assert_eq!(world.ids().len(), 6);
        world.tick().await;
        assert_eq!((world.store.floor(), world.ids().len()), (6, 0));
        // The stream goes on where it was.
        world.store.commit([7]);
        world.relay().await.unwrap();
        assert_eq!((world.log(), world.end()), (shown(1, [7]), "1-7".to_owned()));
    });
}

#[test]
fn the_slowest_of_all_groups_counts_whichever_it_is() {
    for slowest in readers_of(CONTEXT) {
        run(async |world| {
            world.six_read(&[]).await;
            world.redis::<String>(&["XGROUP", "SETID", STREAM, slowest.name, "1-4"]);
            world.tick().await;
            assert_eq!((world.store.floor(), world.log()), (4, shown(1, 5..=6)), "{}", slowest.name);
        });
    }
}

#[test]
fn what_is_read_and_not_acknowledged_is_not_done_with() {
    run(async |world| {
        world.six_read(&["1-4", "1-6"]).await;
        world.tick().await;
        assert_eq!((world.store.floor(), world.log()), (3, shown(1, 4..=6)));
        world.redis::<i64>(&["XACK", STREAM, GROUP, "1-4"]);
        world.tick().await;
        assert_eq!((world.store.floor(), world.log()), (5, shown(1, [6])));
    });
}

#[test]
fn while_a_group_has_not_begun_nothing_is_done_with() {
    for missing in readers_of(CONTEXT) {
        run(async |world| {
            world.six_read(&[]).await;
            world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, missing.name]);
            world.tick().await;
            assert_eq!((world.store.floor(), world.ids().len()), (0, 6), "{}", missing.name);
            world.redis::<String>(&["XGROUP", "CREATE", STREAM, missing.name, "0"]);
            world.tick().await;
            assert_eq!((world.store.floor(), world.ids().len()), (0, 6), "{}", missing.name);
        });
    }
}

#[test]
fn a_group_that_does_not_read_this_stream_is_not_waited_for() {
    for source in sources() {
        assert!(readers_of(source).all(|reader| reader.name != "site"));
    }
    run(async |world| {
        world.six_read(&[]).await;
        world.redis::<String>(&["XGROUP", "CREATE", STREAM, "somebody-elses", "0"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn a_dead_letter_of_any_group_is_not_done_with_until_it_is_gone() {
    run(async |world| {
        world.six_read(&[]).await;
        for group in readers_of(CONTEXT) {
            let dead = keys::dead_letters(group.name);
            world.put_dead(&dead, STREAM, "1-3", "{}");
            world.put_dead(&dead, STREAM, "1-5", "{}");
            world.tick().await;
            assert_eq!(world.store.floor(), 2, "{}", group.name);
            world.redis::<i64>(&["DEL", &dead]);
        }
        // It keeps its own text, so the stream need not.
        assert!(world.ids().is_empty());
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn nor_is_a_replayed_one_until_it_is_handled() {
    run(async |world| {
        world.six_read(&[]).await;
        let again = world.put_dead(REPLAYED, STREAM, "1-3", "{}");
        world.tick().await;
        assert_eq!(world.store.floor(), 2);
        world.redis::<i64>(&["XDEL", REPLAYED, &again]);
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn a_dead_letter_of_an_older_generation_is_the_same_event() {
    run(async |world| {
        world.six_read(&[]).await;
        world.put_dead(DEAD, STREAM, "1-3", "{}");
        world.store.replay(1);
        world.tick().await;
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.store.floor(), 2);
    });
}

#[test]
fn the_very_first_event_as_a_dead_letter_is_not_done_with_either() {
    run(async |world| {
        world.six_read(&[]).await;
        world.put_dead(DEAD, STREAM, "1-1", "{}");
        world.tick().await;
        assert_eq!(world.store.floor(), 0);
    });
}

#[test]
fn dead_letters_of_other_streams_hold_nothing_back() {
    run(async |world| {
        world.six_read(&[]).await;
        world.put_dead(DEAD, "sugang:events:order", "1-1", "{}");
        // And `order`, whose it is, does not read `reservation` alone.
        world.put_dead("sugang:dead:order", "sugang:events:pay", "1-2", "{}");
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn among_very_many_dead_letters_nothing_is_taken_for_done() {
    run(async |world| {
        world.six_read(&[]).await;
        let script = "for i = 1, ARGV[1] do
            redis.call('XADD', KEYS[1], '*', 'stream', 'sugang:events:order', 'id', '1-' .. i) end return 1";
        world.redis::<i64>(&["EVAL", script, "1", DEAD, "1000"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 0);
        world.redis::<i64>(&["XTRIM", DEAD, "MAXLEN", "999"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn ids_are_compared_as_numbers() {
    run(async |world| {
        world.store.commit(1..=12);
        world.relay().await.unwrap();
        world.all_read(&["1-10"]);
        world.redis::<String>(&["XGROUP", "SETID", STREAM, "order", "1-11"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 9);
        world.store.run("UPDATE log SET generation = 10");
        world.tick().await;
        assert_eq!(world.end(), "10-12");
        world.all_read(&["10-11"]);
        world.redis::<i64>(&["XACK", STREAM, GROUP, "1-10"]);
        world.tick().await;
        assert_eq!(world.store.floor(), 10);
    });
}

#[test]
fn only_what_is_of_the_stores_generation_is_noted() {
    run(async |world| {
        world.six_read(&[]).await;
        world.store.replay(4);
        // Everyone is done with the generation before it. Nobody has read the new one.
        world.tick().await;
        assert_eq!((world.store.floor(), world.log()), (0, shown(2, 1..=6)));
        world.tick().await;
        assert_eq!(world.store.floor(), 0);
        world.all_read(&["2-6"]);
        world.tick().await;
        assert_eq!((world.store.floor(), world.log()), (5, shown(2, [6])));
    });
}

#[test]
fn what_was_found_before_a_replay_is_not_noted_after_it() {
    run(async |world| {
        world.six_read(&[]).await;
        let gate = world.store.hold_before(NOTE);
        join!(world.tick(), async {
            gate.reached().await;
            world.store.replay(3);
            gate.open();
        });
        assert_eq!(world.store.floor(), 0);
        world.tick().await;
        assert_eq!(world.log(), shown(2, 1..=6));
    });
}

#[test]
fn the_floor_only_rises() {
    run(async |world| {
        world.six_read(&["1-4"]).await;
        let gate = world.store.hold_before(NOTE);
        join!(world.tick(), async {
            gate.reached().await;
            world.redis::<i64>(&["XACK", STREAM, GROUP, "1-4"]);
            world.tick().await;
            assert_eq!(world.store.floor(), 6);
            gate.open();
        });
        assert_eq!(world.store.floor(), 6);
    });
}

#[test]
fn a_tick_with_nothing_to_note_writes_nothing() {
    run(async |world| {
        world.six_read(&["1-5"]).await;
        world.tick().await;
        // Not even a statement that would wait for the lock of whoever writes.
        world.store.fail(NOTE);
        let before = world.store.native.statements();
        for _tick in 0..3 {
            world.tick().await;
        }
        assert_eq!(world.store.native.statements() - before, 3, "one look each");
        assert!(world.store.is_waiting());
        let stats: String = world.redis(&["INFO", "persistence"]);
        let size =
            |stats: &str| stats.lines().find(|line| line.starts_with("aof_current_size")).map(str::to_owned);
        world.tick().await;
        assert_eq!(size(&world.redis::<String>(&["INFO", "persistence"])), size(&stats), "nor does Redis");
    });
}
