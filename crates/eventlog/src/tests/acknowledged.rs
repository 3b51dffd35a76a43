//! What every group has acknowledged is not sent again when Redis loses it.

use super::world::{CONTEXT, DEAD, GROUP, LOCK, MARK, PUT_BACK, READ, STREAM, World, ids, json, run};
use crate::acknowledged::{IS_NEWS, NOTE};
use crate::keys;
use crate::outbox::CHUNK;
use tokio::join;

/// How the statement begins that notes it.
const NOTED: &str = "UPDATE stream SET acknowledged";

/// What `sugang events replay` leaves.
const REPLAYED: &str = "sugang:replayed:reservation";

impl World {
    /// Has a group read everything in the stream, and acknowledge all but these.
    fn read(&self, group: &str, but_for: &[u64]) {
        let _: redis::RedisResult<String> = self.try_redis(&["XGROUP", "CREATE", STREAM, group, "0"]);
        let _: redis::Value =
            self.redis(&["XREADGROUP", "GROUP", group, "worker", "COUNT", "100000", "STREAMS", STREAM, ">"]);
        let left_over = ids(but_for.iter().copied());
        for (entry, event) in self.entries() {
            if !left_over.contains(&event) {
                self.redis::<i64>(&["XACK", STREAM, group, &entry]);
            }
        }
    }

    /// Has every group read everything and acknowledge it, but for one that leaves these.
    fn all_read(&self, but_for: &[u64]) {
        for group in keys::consumers_of(CONTEXT) {
            self.read(group, if *group == GROUP { but_for } else { &[] });
        }
    }

    /// Commits and sends events of the subjects from 1 to 6.
    async fn six(&self) {
        self.store.commit(1..=6);
        self.relay().await.unwrap();
    }

    async fn tick(&self) {
        self.outbox.tick(&self.url()).await.unwrap();
    }

    fn acknowledged(&self) -> i64 {
        self.store.number("SELECT acknowledged FROM stream")
    }

    /// Redis loses everything; what is sent again.
    async fn sent_again(&self) -> Vec<String> {
        self.redis::<()>(&["FLUSHALL"]);
        self.relay().await.unwrap();
        self.assert_sent_positions_are_right();
        self.log()
    }

    /// The entry of the event of this subject.
    fn entry(&self, subject: u64) -> String {
        let event = ids([subject]).remove(0);
        self.entries().into_iter().find(|(_, id)| *id == event).unwrap().0
    }

    /// Makes a dead letter of an entry of a stream.
    fn bury(&self, stream: &str, entry: &str) {
        self.bury_for(DEAD, stream, entry);
    }

    fn bury_for(&self, dead_letters: &str, stream: &str, entry: &str) {
        let fields = ["stream", stream, "id", entry, "e", "{}", "reason", "no", "at", "now"];
        self.redis_with::<String>(&["XADD", dead_letters, "*"], &fields);
    }
}

#[test]
fn what_all_have_acknowledged_is_not_sent_again_but_for_the_last() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 5);
        world.store.commit(7..=8);
        assert_eq!(world.sent_again().await, ids(6..=8));
        // And once more: what was sent again is as any other.
        assert_eq!(world.sent_again().await, ids(6..=8));
        world.all_read(&[]);
        world.tick().await;
        assert_eq!((world.acknowledged(), world.sent_again().await), (7, ids([8])));
    });
}

#[test]
fn what_one_group_has_not_acknowledged_is_sent_again_with_everything_after_it() {
    run(async |world| {
        world.six().await;
        world.all_read(&[4, 6]);
        world.tick().await;
        assert_eq!((world.acknowledged(), world.sent_again().await), (3, ids(4..=6)));
    });
}

#[test]
fn an_event_of_which_nobody_knows_where_it_was_sent_to_is_not_done_with() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.store.set_sent(4, 1);
        world.tick().await;
        assert_eq!(world.acknowledged(), 3);
    });
}

#[test]
fn while_a_group_has_not_begun_everything_is_sent_again() {
    run(async |world| {
        world.six().await;
        keys::consumers_of(CONTEXT).iter().skip(1).for_each(|group| world.read(group, &[]));
        world.tick().await;
        assert_eq!((world.acknowledged(), world.sent_again().await), (0, ids(1..=6)));
    });
}

#[test]
fn what_was_never_sent_is_not_done_with_whoever_has_read_everything() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.store.set_sent(3, 0);
        let gate = world.store.hold_before(READ);
        let ((), ()) = join!(world.tick(), async {
            gate.reached().await;
            // Somebody has them sent again just now.
            let noted = world.store.hold_before(NOTED);
            gate.open();
            noted.reached().await;
            world.store.set_sent(2, 0);
            noted.open();
        });
        assert_eq!(world.acknowledged(), 1);
    });
}

#[test]
fn a_dead_letter_is_not_done_with_until_it_is_gone() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.bury(STREAM, &world.entry(3));
        world.bury(STREAM, &world.entry(5));
        // It has no part in what others could not handle.
        world.bury("sugang:events:order", "1-1");
        world.tick().await;
        assert_eq!(world.acknowledged(), 2);
        assert_eq!(world.sent_again().await, ids(3..=6));
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 5);
    });
}

#[test]
fn nor_is_a_dead_letter_of_any_other_group() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        let entry = world.entry(3);
        for group in keys::consumers_of(CONTEXT) {
            let dead = keys::dead_letters(group);
            world.bury_for(&dead, STREAM, &entry);
            world.tick().await;
            assert_eq!(world.acknowledged(), 2, "{group}");
            world.redis::<i64>(&["DEL", &dead]);
        }
    });
}

#[test]
fn among_very_many_dead_letters_nothing_is_taken_for_done() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        for other in 1..100 {
            world.bury("sugang:events:order", &format!("{other}-1"));
        }
        world.bury(STREAM, &world.entry(1));
        world.tick().await;
        assert_eq!(world.acknowledged(), 0);
        let oldest: Vec<(String, Vec<String>)> = world.redis(&["XRANGE", DEAD, "-", "+", "COUNT", "1"]);
        world.redis::<i64>(&["XDEL", DEAD, &oldest[0].0]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 0);
        world.redis::<i64>(&["DEL", DEAD]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 5);
    });
}

/// Event 3 was a dead letter whose entry is gone from the stream, and was appended again; says what stands for what.
fn replay_three(world: &World) -> (String, String) {
    let entry = world.entry(3);
    world.redis::<i64>(&["XTRIM", STREAM, "MAXLEN", "0"]);
    world.append([3]);
    let copy = world.entry(3);
    world.redis::<i64>(&["HSET", REPLAYED, &copy, &entry]);
    (copy, entry)
}

#[test]
fn a_replayed_dead_letter_is_done_with_when_its_copy_is() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        replay_three(&world);
        world.all_read(&[3]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 2);
        world.append([77]);
        world.redis::<i64>(&["XACK", STREAM, GROUP, &world.entry(3)]);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 6);
        assert_eq!(world.redis::<i64>(&["EXISTS", REPLAYED]), 0);
    });
}

#[test]
fn a_dead_letter_that_was_replayed_and_failed_again_is_not_done_with() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        let (copy, _) = replay_three(&world);
        world.append([77]);
        world.all_read(&[]);
        world.bury(STREAM, &copy);
        for _again_and_again in 0..2 {
            world.tick().await;
            assert_eq!(world.acknowledged(), 2);
        }
        assert_eq!(world.sent_again().await, ids(3..=6));
    });
}

#[test]
fn what_was_sent_before_positions_were_kept_is_not_taken_for_done() {
    run(async |world| {
        world.six().await;
        world.all_read(&[4]);
        (1..=6).for_each(|subject| world.store.set_sent(subject, 1));
        world.tick().await;
        assert_eq!((world.acknowledged(), world.sent_again().await), (0, ids(1..=6)));
    });
}

#[test]
fn what_an_operator_has_sent_again_hides_no_loss() {
    for again in [1, 2] {
        run(async |world| {
            world.six().await;
            world.all_read(&[4, 6]);
            world.tick().await;
            world.store.set_sent(again, 0);
            assert_eq!(world.sent_again().await, ids(again..=6));
        });
    }
}

#[test]
fn what_an_operator_has_sent_again_is_missed_if_it_alone_is_lost() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        let disk: Vec<u8> = world.redis(&["DUMP", STREAM]);
        world.store.set_sent(3, 0);
        world.relay().await.unwrap();
        let _: () = world.redis_with(&["RESTORE", STREAM, "0"], (disk, "REPLACE"));
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([1, 2, 3, 4, 5, 6, 3]));
    });
}

#[test]
fn nor_does_a_late_mark_hide_the_second_of_two_losses() {
    run(async |world| {
        world.six().await;
        world.append([77]);
        world.all_read(&[]);
        world.tick().await;
        world.store.commit([8, 9]);
        let frozen = world.store.hold_before(MARK);
        let (_, ()) = join!(world.relay(), async {
            frozen.reached().await;
            world.redis::<()>(&["FLUSHALL"]);
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            world.store.commit([10]);
            world.relay().await.unwrap();
            let first = world.entry(8);
            world.redis::<i64>(&["DEL", STREAM]);
            world.redis::<String>(&["XADD", STREAM, &first, "e", &json(8)]);
            let other = world.store.hold_after(PUT_BACK);
            let (_, ()) = join!(world.relay(), async {
                other.reached().await;
                frozen.open();
                tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                other.open();
            });
        });
        world.relay().await.unwrap();
        assert_eq!(world.log(), ids([8, 9, 10]));
    });
}

#[test]
fn a_putting_back_that_stood_still_while_another_did_it_takes_nothing_back() {
    run(async |world| {
        world.six().await;
        world.redis::<()>(&["FLUSHALL"]);
        let frozen = world.store.hold_before("UPDATE stream SET reached");
        let (late, ()) = join!(world.relay(), async {
            frozen.reached().await;
            world.redis::<i64>(&["DEL", LOCK]);
            world.relay().await.unwrap();
            frozen.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.log(), ids(1..=6));
        let reached = world.store.number("SELECT reached FROM stream");
        assert_eq!(reached, world.store.sent(6));
    });
}

#[test]
fn what_an_operator_has_sent_again_is_needed_again() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        world.store.set_sent(3, 0);
        world.store.set_sent(4, 0);
        assert_eq!(world.acknowledged(), 2);
        world.relay().await.unwrap();
        assert_eq!(world.log(), ids([1, 2, 3, 4, 5, 6, 3, 4]));
        assert_eq!(world.sent_again().await, ids(3..=6));
    });
}

#[test]
fn the_very_last_that_was_done_with_is_needed_again_when_it_is_sent_again() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 5);
        world.store.set_sent(5, 0);
        assert_eq!(world.acknowledged(), 4);
    });
}

#[test]
fn a_tick_with_nothing_new_writes_nothing() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.tick().await;
        // Not even a statement that would wait for the lock of whoever writes.
        world.store.fail(NOTED, 0);
        world.store.fail("UPDATE stream SET epoch", 0);
        world.tick().await;
    });
}

#[test]
fn a_system_that_is_done_with_everything_goes_on_after_a_loss() {
    run(async |world| {
        world.six().await;
        // The last is acknowledged too, and somebody else's entry behind it.
        world.append([77]);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 6);
        assert!(world.sent_again().await.is_empty());
        world.store.commit([7]);
        assert_eq!(world.relay().await.unwrap(), 1);
        assert_eq!(world.log(), ids([7]));
        assert_eq!(world.sent_again().await, ids([7]));
    });
}

#[test]
fn a_long_log_is_put_back_down_to_what_is_done_with() {
    run(async |world| {
        let all = 2 * CHUNK as u64 + 500;
        world.store.commit(1..=all);
        world.relay().await.unwrap();
        world.all_read(&[700]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 699);
        world.store.fail(PUT_BACK, 1);
        world.redis::<()>(&["FLUSHALL"]);
        world.relay().await.unwrap_err();
        assert_eq!(world.store.unsent(), CHUNK);
        assert_eq!(world.sent_again().await, ids(700..=all));
        assert_eq!(world.store.unsent(), 0);
    });
}

/// A mark comes late, and what is before its events is done with, so that nobody puts that back.
async fn mark_late(world: &World, until: (&'static str, usize, bool)) {
    world.six().await;
    world.append([77]);
    world.all_read(&[]);
    world.tick().await;
    assert_eq!(world.acknowledged(), 6);
    world.mark_late([8, 9], until).await;
    world.relay().await.unwrap();
    world.relay().await.unwrap();
    let mut log = world.log();
    log.dedup();
    assert!(log.ends_with(&ids([8, 9])), "{until:?}: {log:?}");
    assert_eq!(world.sent_again().await, ids([8, 9]), "{until:?}");
}

#[test]
fn a_late_mark_hides_nothing_where_all_before_it_is_done_with() {
    for until in [(READ, 0, false), (READ, 0, true), (MARK, 0, false), (MARK, 0, true)] {
        run(async |world| mark_late(&world, until).await);
    }
}

#[test]
fn ids_are_compared_as_numbers() {
    run(async |world| {
        for id in ["9-9", "9-10", "10-1"] {
            world.redis::<String>(&["XADD", STREAM, id, "e", &json(1)]);
        }
        let trim = async || {
            let redis = crate::redis::Redis::connect(&world.url()).await.unwrap();
            crate::acknowledged::trim(&redis, CONTEXT).await.unwrap().map(|at| at.to_string())
        };
        for group in keys::consumers_of(CONTEXT) {
            world.redis::<String>(&["XGROUP", "CREATE", STREAM, group, "10-1"]);
        }
        assert_eq!(trim().await.unwrap(), "10-1");
        world.redis::<String>(&["XGROUP", "SETID", STREAM, "order", "9-10"]);
        assert_eq!(trim().await.unwrap(), "9-10");
        world.redis::<String>(&["XGROUP", "SETID", STREAM, "information", "9-9"]);
        assert_eq!(trim().await.unwrap(), "9-9");
    });
}

#[test]
fn noting_it_does_not_slow_down_as_the_log_grows() {
    run(async |world| {
        for (sql, params) in [(NOTE, vec![store::int(7), store::int(0)]), (IS_NEWS, vec![store::int(7)])] {
            let plan = world.store.sqlite.plan(sql, &params).unwrap();
            assert!(plan.contains("SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"), "{plan}");
            assert!(!plan.contains("SCAN events"), "{plan}");
        }
    });
}

/// A relay has appended an event and stands still; Redis loses just that, so that nobody can find a loss. Another relay
/// sends what is older first, and comes no further than that; then the first one wants to mark its event.
#[test]
fn a_late_mark_of_what_was_lost_unnoticed_is_refused_while_older_events_are_sent_again() {
    run(async |world| {
        let many = crate::outbox::BATCH as u64 + 10;
        world.store.commit(1..=many);
        world.relay().await.unwrap();
        let disk: Vec<u8> = world.redis(&["DUMP", STREAM]);
        world.store.commit([1_000]);
        let frozen = world.store.hold_before(MARK);
        let (late, ()) = join!(world.relay(), async {
            frozen.reached().await;
            let _: () = world.redis_with(&["RESTORE", STREAM, "0"], (disk, "REPLACE"));
            world.redis::<i64>(&["DEL", LOCK]);
            (1..=many).for_each(|subject| world.store.set_sent(subject, 0));
            assert_eq!(world.relay_a_little().await as u64, crate::outbox::BATCH as u64);
            frozen.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.relay().await.unwrap(), 11);
        assert!(world.log().contains(&"1000:1".to_owned()));
    });
}

#[test]
fn nor_is_it_marked_where_the_one_that_sent_it_again_was_killed_before_it_could() {
    run(async |world| {
        world.store.commit(1..=6);
        let frozen = world.store.hold_before(MARK);
        let (late, ()) = join!(world.relay(), async {
            frozen.reached().await;
            world.redis::<()>(&["FLUSHALL"]);
            world.store.fail(MARK, 0);
            world.relay().await.unwrap_err();
            frozen.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.store.unsent(), 6);
    });
}

#[test]
fn a_relay_that_lost_its_turn_before_it_began_finds_no_loss() {
    run(async |world| {
        world.six().await;
        let frozen = world.store.hold_before(READ);
        let (late, ()) = join!(world.relay(), async {
            frozen.reached().await;
            world.redis::<i64>(&["DEL", LOCK]);
            world.store.commit([7]);
            world.relay().await.unwrap();
            world.store.number("DELETE FROM events WHERE subject < 7 RETURNING 0");
            world.all_read(&[]);
            world.append([77]);
            world.all_read(&[]);
            world.tick().await;
            frozen.open();
        });
        assert!(late.unwrap_err().to_string().contains("took over"));
        assert_eq!(world.store.number("SELECT reached FROM stream"), world.store.sent(7));
    });
}

#[test]
fn what_is_noted_is_of_the_stream_that_was_looked_at() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        let noted = world.store.hold_before(NOTED);
        let ((), ()) = join!(world.tick(), async {
            noted.reached().await;
            world.store.commit([7]);
            world.relay().await.unwrap();
            noted.open();
        });
        assert_eq!(world.acknowledged(), 0);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 6);
    });
}

#[test]
fn a_group_that_begins_again_with_an_event_handed_to_it_has_not_read_what_is_before() {
    run(async |world| {
        world.six().await;
        world.all_read(&[]);
        world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        world.redis::<String>(&["XGROUP", "CREATE", STREAM, GROUP, &world.entry(2)]);
        let handed = ["XCLAIM", STREAM, GROUP, "worker", "0", &world.entry(5), "FORCE", "JUSTID"];
        world.redis::<Vec<String>>(&handed);
        world.tick().await;
        assert_eq!((world.acknowledged(), world.sent_again().await), (1, ids(2..=6)));
    });
}

#[test]
fn a_store_without_its_row_of_the_stream_is_an_error() {
    run(async |world| {
        world.store.number("DELETE FROM stream RETURNING 0");
        world.store.commit([1]);
        assert!(world.relay().await.unwrap_err().to_string().contains("`stream`"));
    });
}

#[test]
fn what_was_done_with_when_the_clock_was_ahead_does_not_keep_what_comes_after_it_from_being() {
    run(async |world| {
        // The clock is far ahead: every id follows on this one.
        world.redis::<String>(&["XADD", STREAM, "3000000000000-5", "e", &json(77)]);
        world.six().await;
        world.append([78]);
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 6);
        // The stream begins again, by a clock that is right.
        world.redis::<()>(&["FLUSHALL"]);
        world.store.commit(7..=9);
        assert_eq!(world.relay().await.unwrap(), 3);
        assert!(world.store.sent(9) < world.store.sent(6));
        world.all_read(&[]);
        world.tick().await;
        assert_eq!(world.acknowledged(), 8);
    });
}
