//! What was read and not acknowledged.

use super::world::{
    ATTEMPTS, DEAD, GROUP, NOTHING, Recorder, STREAM, Then, World, but_for, content, ids, json, run,
};
use crate::consume::{Drained, HEED_CLOCK, drain_within};
use crate::keys::Wake;
use kernel::Timestamp;
use std::time::Duration;

/// A drain that is cut off, as a crash or a trap would, once its handler does not come back.
async fn cut_off<F: Fn(&[String]) -> Then>(world: &World, wake: Wake, consumer: &Recorder<F>) {
    tokio::select! {
        drained = world.drain(wake, consumer) => panic!("it came back: {drained:?}"),
        () = consumer.trapped.notified() => {}
    }
}

#[test]
fn what_a_crash_left_is_handled_on_a_later_tick_and_one_by_one() {
    run(async |world| {
        world.append(1..=3);
        cut_off(&world, Wake::Event, &Recorder::new(|_| Then::Traps)).await;
        let consumer = content();
        // Whoever read it may still be at it.
        world.let_pending_wait(4_000);
        assert_eq!(world.drain(Wake::Tick, &consumer).await, NOTHING);
        world.let_pending_wait(6_000);
        assert_eq!(world.drain(Wake::Event, &consumer).await, NOTHING);
        assert_eq!(
            world.drain(Wake::Tick, &consumer).await,
            Drained { handled: 3, buried: 0, left: 0, to_the_end: true }
        );
        assert_eq!(consumer.batches(), [ids([1]), ids([2]), ids([3])]);
        assert_eq!(world.pending(), 0);
        assert_eq!(world.redis::<i64>(&["EXISTS", ATTEMPTS]), 0);
    });
}

#[test]
fn what_was_claimed_is_its_new_holders_for_a_while() {
    run(async |world| {
        world.append([1]);
        cut_off(&world, Wake::Event, &Recorder::new(|_| Then::Traps)).await;
        world.let_pending_wait(6_000);
        cut_off(&world, Wake::Tick, &Recorder::new(|_| Then::Traps)).await;
        assert_eq!(world.drain(Wake::Tick, &content()).await, NOTHING);
    });
}

#[test]
fn the_fifth_failure_is_the_last_and_says_why() {
    run(async |world| {
        world.append([1, 2]);
        let poisoned = but_for("1:1", || Then::Poison);
        assert_eq!(
            world.drain(Wake::Event, &poisoned).await,
            Drained { handled: 1, buried: 0, left: 1, to_the_end: true }
        );
        for _second_to_fourth in 0..3 {
            world.let_pending_wait(6_000);
            assert_eq!(
                world.drain(Wake::Tick, &poisoned).await,
                Drained { handled: 0, buried: 0, left: 1, to_the_end: true }
            );
        }
        let id = world.entries()[0].0.clone();
        world.let_pending_wait(6_000);
        let before = Timestamp::now();
        assert_eq!(
            world.drain(Wake::Tick, &poisoned).await,
            Drained { handled: 0, buried: 1, left: 0, to_the_end: true }
        );
        assert_eq!(poisoned.events().iter().filter(|event| *event == "1:1").count(), 1 + 5);

        let dead = world.dead();
        assert_eq!(dead.len(), 1);
        assert_eq!((dead[0]["stream"].as_str(), &dead[0]["id"]), (STREAM, &id));
        assert_eq!((&dead[0]["e"], dead[0]["reason"].as_str()), (&json(1), "it makes no sense"));
        let at: Timestamp = dead[0]["at"].parse().unwrap();
        assert!(at >= before && at <= Timestamp::now());
        assert_eq!((world.pending(), world.redis::<i64>(&["EXISTS", ATTEMPTS])), (0, 0));
        world.let_pending_wait(6_000);
        assert_eq!(world.drain(Wake::Tick, &poisoned).await, NOTHING);
    });
}

#[test]
fn a_handler_that_traps_five_times_is_not_called_a_sixth_time() {
    run(async |world| {
        world.append([1, 2, 3]);
        let traps = but_for("2:1", || Then::Traps);
        cut_off(&world, Wake::Event, &traps).await;
        assert_eq!(traps.batches(), [ids([1, 2, 3])]);
        for time in 1..=5 {
            world.let_pending_wait(6_000);
            cut_off(&world, Wake::Tick, &traps).await;
            let handled = if time == 1 { ids([1, 2]) } else { ids([2]) };
            assert!(traps.events().starts_with(&handled[..1]), "time {time}");
            // What stands behind it gets its turn when somebody else claims it.
            world.let_pending_wait(6_000);
            let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
            assert_eq!(attempts[0].1, time);
        }
        assert_eq!(
            world.drain(Wake::Tick, &traps).await,
            Drained { handled: 1, buried: 1, left: 0, to_the_end: true }
        );
        assert_eq!(traps.events(), ids([3]));
        assert_eq!(world.dead()[0]["reason"], "its handler did not come back 5 times");
        assert_eq!(world.dead()[0]["e"], json(2));
    });
}

#[test]
fn a_success_forgets_the_failures_before_it() {
    run(async |world| {
        world.append([1]);
        let poison = Recorder::new(|_| Then::Poison);
        for _ in 0..3 {
            world.drain(Wake::Tick, &poison).await;
            world.let_pending_wait(6_000);
        }
        let count: Vec<i64> = world.redis(&["HVALS", ATTEMPTS]);
        assert_eq!(count, [3]);
        world.drain(Wake::Tick, &content()).await;
        assert_eq!(world.redis::<i64>(&["EXISTS", ATTEMPTS]), 0);
        assert_eq!(world.pending(), 0);
    });
}

#[test]
fn more_than_one_page_is_claimed_in_one_tick() {
    run(async |world| {
        world.append(1..=250);
        create_group(&world);
        read_all(&world);
        assert_eq!(world.pending(), 250);
        world.let_pending_wait(6_000);
        let consumer = content();
        assert_eq!(world.drain(Wake::Tick, &consumer).await.handled, 250);
        assert_eq!(consumer.events(), ids(1..=250));
    });
}

#[test]
fn however_many_wait_each_is_looked_at_once_in_a_round() {
    run(async |world| {
        world.append(1..=1_200);
        create_group(&world);
        let _: redis::Value =
            world.redis(&["XREADGROUP", "GROUP", "pay", "worker", "COUNT", "2000", "STREAMS", STREAM, ">"]);
        let all = "local pending = redis.call('XPENDING', KEYS[1], 'pay', '-', '+', 2000)
for i = 1, #pending do redis.call('XCLAIM', KEYS[1], 'pay', 'worker', 0, pending[i][1], 'IDLE', 6000, 'JUSTID') end
return #pending";
        assert_eq!(world.redis::<i64>(&["EVAL", all, "1", STREAM]), 1_200);
        let later = Recorder::new(|_| Then::Later);
        let long = Duration::from_secs(20);
        let round = drain_within(long, &world.url(), "pay", &["reservation"], Wake::Tick, &later).await;
        assert_eq!(round.unwrap().left, 1_200);
        assert_eq!(later.events(), ids(1..=1_200));
    });
}

#[test]
fn what_waits_for_ever_does_not_keep_what_is_behind_it_from_its_turn() {
    run(async |world| {
        world.append(1..=250);
        create_group(&world);
        read_all(&world);
        // Everything but the last one waits, and a tick has time for one page.
        let consumer = Recorder::new(|ids| if ids == ["250:1"] { Then::Handled } else { Then::Later });
        let mut handled = 0;
        for _tick in 0..3 {
            world.let_pending_wait(6_000);
            handled += world.drain_a_little(Wake::Tick, &consumer).await.handled;
        }
        assert_eq!(handled, 1);
        // Then it begins from the front again.
        world.let_pending_wait(6_000);
        consumer.events();
        world.drain_a_little(Wake::Tick, &consumer).await;
        assert_eq!(consumer.events()[0], "1:1");
    });
}

#[test]
fn the_round_goes_on_with_the_stream_it_stopped_in() {
    run(async |world| {
        let other = "sugang:events:order";
        create_group(&world);
        world.redis::<String>(&["XGROUP", "CREATE", other, "pay", "0", "MKSTREAM"]);
        world.append(1..=150);
        for subject in 501..=650 {
            world.redis::<String>(&["XADD", other, "*", "e", &json(subject)]);
        }
        for stream in [STREAM, other] {
            let _: redis::Value = world.redis(&[
                "XREADGROUP",
                "GROUP",
                "pay",
                "worker",
                "COUNT",
                "1000",
                "STREAMS",
                stream,
                ">",
            ]);
        }
        let later = Recorder::new(|_| Then::Later);
        let mut begun = Vec::new();
        for _tick in 0..4 {
            for stream in [STREAM, other] {
                let pending: Vec<(String, String, i64, i64)> =
                    world.redis(&["XPENDING", stream, "pay", "-", "+", "1000"]);
                for (id, ..) in pending {
                    let _: redis::Value =
                        world.redis(&["XCLAIM", stream, "pay", "worker", "0", &id, "IDLE", "6000", "JUSTID"]);
                }
            }
            let sources = ["reservation", "order"];
            drain_within(Duration::ZERO, &world.url(), "pay", &sources, Wake::Tick, &later).await.unwrap();
            begun.push(later.events()[0].clone());
        }
        // The third had time for the front of the first stream as well.
        assert_eq!(begun, ["1:1", "101:1", "601:1", "101:1"]);
    });
}

#[test]
fn rubbish_that_was_left_is_buried_and_what_was_deleted_is_passed_over() {
    run(async |world| {
        create_group(&world);
        world.append([1, 2]);
        world.redis::<String>(&["XADD", STREAM, "*", "e", "not json"]);
        world.append([3]);
        read_all(&world);
        let second = world.raw_ids()[1].clone();
        world.redis::<i64>(&["XDEL", STREAM, &second]);
        world.let_pending_wait_all(6_000);
        let consumer = content();
        assert_eq!(
            world.drain(Wake::Tick, &consumer).await,
            Drained { handled: 2, buried: 1, left: 0, to_the_end: true }
        );
        assert_eq!(consumer.events(), ids([1, 3]));
        assert_eq!(world.dead().len(), 1);
    });
}

#[test]
fn an_entry_is_buried_once() {
    run(async |world| {
        world.redis::<String>(&["XADD", STREAM, "*", "e", "not json"]);
        create_group(&world);
        read_all(&world);
        world.let_pending_wait(6_000);
        let (one, other) = (content(), content());
        let _ = tokio::join!(world.drain(Wake::Tick, &one), world.drain(Wake::Tick, &other));
        assert_eq!(world.redis::<i64>(&["XLEN", DEAD]), 1);
        let id = world.raw_ids()[0].clone();
        crate::consume::bury_again(&world.url(), STREAM, &id).await;
        assert_eq!(world.redis::<i64>(&["XLEN", DEAD]), 1);
    });
}

fn create_group(world: &World) {
    world.redis::<String>(&["XGROUP", "CREATE", STREAM, "pay", "0", "MKSTREAM"]);
}

/// As a worker that then dies does.
fn read_all(world: &World) -> redis::Value {
    world.redis(&["XREADGROUP", "GROUP", "pay", "worker", "COUNT", "1000", "STREAMS", STREAM, ">"])
}

impl World {
    fn raw_ids(&self) -> Vec<String> {
        let entries: Vec<(String, Vec<String>)> = self.redis(&["XRANGE", STREAM, "-", "+"]);
        entries.into_iter().map(|(id, _)| id).collect()
    }

    /// Of those that are still in the stream: claiming would forget the others.
    fn let_pending_wait_all(&self, milliseconds: u64) {
        let idle = milliseconds.to_string();
        for id in self.raw_ids() {
            let _: redis::Value =
                self.redis(&["XCLAIM", STREAM, "pay", "worker", "0", &id, "IDLE", &idle, "JUSTID"]);
        }
    }
}

#[test]
fn a_round_that_ran_out_of_time_has_not_come_to_the_end() {
    run(async |world| {
        world.append(1..=150);
        create_group(&world);
        read_all(&world);
        world.let_pending_wait(6_000);
        for (handled, to_the_end) in [(100, false), (50, true)] {
            let drained = world.drain_a_little(Wake::Tick, &content()).await;
            assert_eq!(drained, Drained { handled, buried: 0, left: 0, to_the_end });
        }
    });
}

#[test]
fn what_was_read_when_the_clock_was_ahead_is_claimed_as_soon_as_anything_else() {
    run(async |world| {
        world.append(1..=3);
        cut_off(&world, Wake::Event, &Recorder::new(|_| Then::Traps)).await;
        world.read_ahead(600_000);
        let before: i64 = world.now();
        assert!(world.read_at().iter().all(|time| *time > before + 500_000), "{:?}", world.read_at());

        // Whoever read it may still be at it.
        assert_eq!(world.drain(Wake::Tick, &content()).await, NOTHING);
        let times = world.read_at();
        assert_eq!(times.len(), 3);
        assert!(times.iter().all(|time| (before..=world.now()).contains(time)), "{times:?}, {before}");
        let pending: Vec<(String, String, i64, i64)> =
            world.redis(&["XPENDING", STREAM, GROUP, "-", "+", "10"]);
        assert!(pending.iter().all(|(.., begun)| *begun == 1), "nobody has begun to handle it: {pending:?}");

        world.let_pending_wait(6_000);
        let consumer = content();
        world.drain(Wake::Tick, &consumer).await;
        assert_eq!((consumer.events(), world.pending()), (ids([1, 2, 3]), 0));
    });
}

#[test]
fn what_was_read_just_now_is_left_as_it_is() {
    run(async |world| {
        world.append(1..=2);
        cut_off(&world, Wake::Event, &Recorder::new(|_| Then::Traps)).await;
        world.let_pending_wait(4_000);
        let before = world.read_at();
        // The third is handed out at the moment at which it is looked.
        world.append([3]);
        let script = format!(
            "redis.call('XREADGROUP', 'GROUP', KEYS[2], 'worker', 'STREAMS', KEYS[1], '>') {HEED_CLOCK}"
        );
        world.redis::<i64>(&["EVAL", &script, "2", STREAM, GROUP, GROUP, "worker", "1000"]);
        let after = world.read_at();
        assert_eq!((&after[..2], after.len()), (&before[..], 3));
    });
}

#[test]
fn where_there_is_no_stream_or_no_group_there_is_nothing_to_heed() {
    run(async |world| {
        assert_eq!(world.drain(Wake::Tick, &content()).await, NOTHING);
        world.append([1]);
        world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        assert_eq!(world.drain(Wake::Tick, &content()).await.handled, 1);
    });
}
