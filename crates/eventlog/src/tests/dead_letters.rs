//! What could not be handled, and what becomes of it when it is replayed.

use super::recorder::{Recorder, Then, content};
use super::store::REJECTED;
use super::world::{ATTEMPTS, CONTEXT, DEAD, GROUP, NOTHING, REPLAYED, STREAM, World, events, json, run};
use crate::consume::{BUDGET, Drained};
use crate::topology::{Consumer, readers_of};
use crate::{dead_letter, dead_letters, drop_dead_letter, replay_dead_letter};

impl World {
    /// The event of that subject, which was a dead letter of `pay`, is replayed.
    fn replay_dead(&self, subject: u64) {
        let id = format!("1-{subject}");
        self.put_dead(REPLAYED, STREAM, &id, &json(CONTEXT, REJECTED, subject));
    }
}

#[test]
fn a_replayed_dead_letter_goes_to_its_group_alone_and_is_gone_once_it_is_handled() {
    run(async |world| {
        world.replay_dead(7);
        for other in readers_of(CONTEXT).filter(|reader| reader.name != GROUP) {
            let consumer = content();
            world.drain_as(other.name, BUDGET, true, &consumer).await;
            assert!(consumer.events().is_empty(), "{}", other.name);
        }
        let consumer = content();
        assert_eq!(world.drain(&consumer).await, Drained { handled: 1, ..NOTHING });
        assert_eq!(consumer.events(), events([7]));
        assert_eq!(world.redis::<i64>(&["XLEN", REPLAYED]), 0);
        let pending: Vec<redis::Value> = world.redis(&["XPENDING", REPLAYED, GROUP, "-", "+", "9"]);
        assert!(pending.is_empty());
    });
}

#[test]
fn it_is_handled_beside_what_is_new() {
    run(async |world| {
        world.append([1]);
        world.replay_dead(7);
        let consumer = content();
        world.drain(&consumer).await;
        assert_eq!(consumer.batches(), [events([1, 7])]);
        // What is acknowledged in the stream stays there for the others.
        assert_eq!((world.ids().len(), world.redis::<i64>(&["XLEN", REPLAYED])), (1, 0));
    });
}

#[test]
fn one_that_fails_again_keeps_the_name_of_the_entry_that_it_was_at_first() {
    run(async |world| {
        world.replay_dead(7);
        let poison = Recorder::new(|_| Then::Poison);
        assert_eq!(world.drain(&poison).await, Drained { left: 1, ..NOTHING });
        for attempt in 2..=5 {
            assert_eq!(world.dead().len(), 0, "before attempt {attempt}");
            world.let_pending_wait_in(REPLAYED, 6_000);
            world.claim(&poison).await;
        }
        let dead = world.dead();
        assert_eq!((dead.len(), dead[0]["stream"].as_str(), dead[0]["id"].as_str()), (1, STREAM, "1-7"));
        assert_eq!(dead[0]["e"], json(CONTEXT, REJECTED, 7));
        assert_eq!(dead[0]["reason"], "it makes no sense");
        assert_eq!((world.redis::<i64>(&["XLEN", REPLAYED]), world.exists(ATTEMPTS)), (0, false));
        let pending: Vec<redis::Value> = world.redis(&["XPENDING", REPLAYED, GROUP, "-", "+", "9"]);
        assert!(pending.is_empty());
    });
}

#[test]
fn one_that_is_still_no_event_is_a_dead_letter_again_at_once() {
    run(async |world| {
        for time in 1..=2 {
            world.put_dead(REPLAYED, STREAM, "1-3", "not json");
            assert_eq!(world.drain(&content()).await, Drained { dead: 1, ..NOTHING });
            let dead = world.dead();
            assert_eq!((dead.len(), dead[time - 1]["id"].as_str()), (time, "1-3"));
        }
        assert_eq!(world.redis::<i64>(&["XLEN", REPLAYED]), 0);
    });
}

#[test]
fn one_that_a_crash_left_is_claimed_like_any_other() {
    run(async |world| {
        world.replay_dead(7);
        let traps = Recorder::new(|_| Then::Traps);
        tokio::select! {
            drained = world.drain(&traps) => panic!("it came back: {drained:?}"),
            () = traps.trapped.notified() => {}
        }
        world.let_pending_wait_in(REPLAYED, 6_000);
        assert_eq!(world.claim(&content()).await, Drained { handled: 1, ..NOTHING });
        assert_eq!((world.redis::<i64>(&["XLEN", REPLAYED]), world.exists(ATTEMPTS)), (0, false));
    });
}

#[test]
fn one_that_its_group_no_longer_reacts_to_is_gone() {
    run(async |world| {
        world.put_dead(REPLAYED, STREAM, "1-3", &json(CONTEXT, "Reserved", 3));
        assert_eq!(world.drain(&content()).await, NOTHING);
        assert_eq!((world.redis::<i64>(&["XLEN", REPLAYED]), world.exists(DEAD)), (0, false));
    });
}

#[test]
fn what_the_release_with_an_outbox_left_of_its_replays_is_in_nobodys_way() {
    run(async |world| {
        world.redis::<i64>(&["HSET", "sugang:replayed:pay", "2-1", "1-1"]);
        world.append([1]);
        assert_eq!(world.drain(&content()).await, Drained { handled: 1, ..NOTHING });
        world.store.commit([1]);
        world.store.run("UPDATE log SET generation = 2");
        world.tick().await;
    });
}

#[test]
fn a_dead_letter_is_listed_and_replayed_or_dropped_once() {
    run(async |world| {
        let (pay, url) = (Consumer::named(GROUP).unwrap(), world.url());
        for subject in [7, 8] {
            world.put_dead(DEAD, STREAM, &format!("1-{subject}"), &json(CONTEXT, REJECTED, subject));
        }
        let listed = dead_letters(&url).await.unwrap();
        let events: Vec<_> = listed.iter().map(|letter| (letter.group.as_str(), letter.what())).collect();
        let what = |subject| format!("{REJECTED} of order {subject}");
        assert_eq!(events, [(GROUP, what(7)), (GROUP, what(8))]);
        let [replayed, dropped] = [&listed[0].id, &listed[1].id];
        assert_eq!(dead_letter(&url, pay, replayed).await.unwrap().as_ref(), Some(&listed[0]));
        let woken = world.woken(async {
            assert!(replay_dead_letter(&url, pay, replayed).await.unwrap());
        });
        assert_eq!(woken.await, [GROUP]);
        assert!(drop_dead_letter(&url, pay, dropped).await.unwrap());
        for gone in [replayed, dropped] {
            assert_eq!(dead_letter(&url, pay, gone).await.unwrap(), None);
            assert!(!replay_dead_letter(&url, pay, gone).await.unwrap());
            assert!(!drop_dead_letter(&url, pay, gone).await.unwrap());
        }
        let consumer = content();
        world.drain(&consumer).await;
        assert_eq!(consumer.events(), super::world::events([7]));
    });
}
