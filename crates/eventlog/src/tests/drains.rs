//! From the stream to a consumer.

use super::recorder::{Recorder, Then, but_for, content};
use super::world::{ATTEMPTS, CONTEXT, GROUP, NOTHING, STREAM, World, events, json, run};
use crate::consume::{BUDGET, Drained, Unhandled};
use std::cell::Cell;
use std::time::Duration;
use store::StoreError;

#[test]
fn a_group_that_comes_late_gets_everything_in_order_and_in_batches() {
    run(async |world| {
        world.append(1..=250);
        let consumer = content();
        assert_eq!(world.drain(&consumer).await, Drained { handled: 250, ..NOTHING });
        let batches = consumer.batches();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [100, 100, 50]);
        assert_eq!(batches.concat(), events(1..=250));
        assert_eq!(world.pending(), 0);
        // Once.
        assert_eq!(world.claim(&consumer).await, NOTHING);
        world.append([251]);
        world.drain(&consumer).await;
        assert_eq!(consumer.events(), events([251]));
    });
}

#[test]
fn a_stream_that_is_not_there_yet_can_be_drained() {
    run(async |world| {
        let consumer = content();
        assert_eq!(world.claim(&consumer).await, NOTHING);
        world.append([1]);
        assert_eq!(world.drain(&consumer).await.handled, 1);
    });
}

#[test]
fn several_streams_are_drained_together_and_acknowledged_each_for_itself() {
    run(async |world| {
        let pays = "sugang:events:pay";
        let declined = r#"{"orderId":3,"eduNo":101,"amount":1,"reason":"no"}"#;
        world.append([1, 2]);
        let json = json("pay", "PaymentDeclined", 3).replace(&super::store::data(3), declined);
        world.redis::<String>(&["XADD", pays, "1-1", "e", &json]);
        let consumer = content();
        let drained = world.drain_as("order", BUDGET, false, &consumer).await;
        assert_eq!(drained, Drained { handled: 3, ..NOTHING });
        let batches = consumer.batches();
        assert_eq!((batches.len(), batches[0].len()), (1, 3));
        for stream in [STREAM, pays] {
            let pending: Vec<redis::Value> = world.redis(&["XPENDING", stream, "order", "-", "+", "9"]);
            assert!(pending.is_empty());
        }
    });
}

#[test]
fn nothing_is_acknowledged_before_its_handler_has_come_back() {
    run(async |world| {
        world.append(1..=3);
        let pending = Cell::new(0);
        let consumer = Recorder::new(|_| {
            pending.set(world.pending());
            Then::Handled
        });
        world.drain(&consumer).await;
        assert_eq!((pending.get(), world.pending()), (3, 0));
    });
}

#[test]
fn what_a_handler_has_no_use_for_yet_stays_and_is_no_failure() {
    run(async |world| {
        world.append(1..=150);
        let later = Recorder::new(|_| Then::Later);
        let drained = world.drain(&later).await;
        assert_eq!(drained, Drained { handled: 0, dead: 0, left: 100, to_the_end: false });
        assert!(!drained.has_caught_up());
        // Reading on would only have added to them.
        assert_eq!((later.batches().len(), world.pending()), (1, 100));
        assert!(!world.exists(ATTEMPTS));
        // However often: nothing is counted, nothing lost.
        for _ in 0..8 {
            world.let_pending_wait(6_000);
            world.claim(&later).await;
        }
        let counts: Vec<i64> = world.redis(&["HVALS", ATTEMPTS]);
        assert!(counts.iter().all(|count| *count == 0), "{counts:?}");
        world.let_pending_wait(6_000);
        let consumer = content();
        assert_eq!(world.claim(&consumer).await, Drained { handled: 150, ..NOTHING });
        let mut handled = consumer.events();
        handled.sort_by_key(|id| id.split_once(':').unwrap().0.parse::<u64>().unwrap());
        assert_eq!(handled, events(1..=150));
        assert_eq!((world.pending(), world.dead().len()), (0, 0));
    });
}

#[test]
fn an_event_that_cannot_be_handled_keeps_no_other_from_being() {
    run(async |world| {
        world.append(1..=150);
        let consumer = but_for("5:1", || Then::Poison);
        let drained = world.drain(&consumer).await;
        assert_eq!(drained, Drained { handled: 149, dead: 0, left: 1, to_the_end: true });
        assert!(!drained.has_caught_up());
        assert_eq!(world.pending(), 1);
        let id = world.ids()[4].clone();
        let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
        assert_eq!(attempts, [(format!("{STREAM} {id}"), 1)]);
    });
}

#[test]
fn among_the_poisoned_one_that_has_to_wait_is_not_counted() {
    run(async |world| {
        world.append([1, 2]);
        let consumer = Recorder::new(|ids| match ids {
            [one] if one == "1:1" => Then::Later,
            _ => Then::Poison,
        });
        assert_eq!(world.drain(&consumer).await, Drained { handled: 0, dead: 0, left: 2, to_the_end: true });
        let attempts: Vec<(String, i64)> = world.redis(&["HGETALL", ATTEMPTS]);
        assert_eq!(attempts.iter().map(|(_, count)| count).sum::<i64>(), 1, "{attempts:?}");
    });
}

/// Puts events in the stream that `pay` does not react to.
fn append_others(world: &World, names: &[&str]) {
    for name in names {
        world.append_text(&json(CONTEXT, name, 9));
    }
}

#[test]
fn events_that_lead_to_nothing_are_passed_over_and_acknowledged() {
    run(async |world| {
        append_others(&world, &["ReservationConfirmed", "Reserved", "CourseOpened"]);
        world.append([1]);
        append_others(&world, &["CourseStarted"]);
        let consumer = content();
        assert_eq!(world.drain(&consumer).await, Drained { handled: 1, ..NOTHING });
        assert_eq!((consumer.batches(), world.pending()), (vec![events([1])], 0));
        // Where there is nothing else the handler is not called.
        append_others(&world, &["CourseStarted"]);
        assert_eq!(world.drain(&consumer).await, NOTHING);
        assert_eq!((consumer.batches().len(), world.pending()), (0, 0));
    });
}

#[test]
fn they_are_passed_over_beside_those_that_wait_or_fail_too() {
    for then in [|| Then::Later, || Then::Poison] {
        run(async |world| {
            append_others(&world, &["Reserved"]);
            world.append([1]);
            append_others(&world, &["Reserved"]);
            world.drain(&but_for("1:1", then)).await;
            assert_eq!(world.pending(), 1);
        });
    }
}

#[test]
fn one_that_was_left_and_leads_to_nothing_is_passed_over_too() {
    run(async |world| {
        append_others(&world, &["Reserved"]);
        world.read(GROUP, &world.ids().iter().map(String::as_str).collect::<Vec<_>>());
        world.let_pending_wait(6_000);
        assert_eq!((world.pending(), world.claim(&content()).await, world.pending()), (1, NOTHING, 0));
    });
}

#[test]
fn what_is_no_event_of_ours_is_a_dead_letter_at_once_and_its_neighbours_are_handled() {
    run(async |world| {
        world.append([1]);
        world.append_text("not json");
        world.redis::<String>(&["XADD", STREAM, "1-*", "a", "1", "b", "2"]);
        world.redis_with::<String>(&["XADD", STREAM, "1-*", "e"], &b"\xff"[..]);
        world.append_text(&json(CONTEXT, "Forgotten", 7));
        world.append_text(&json(CONTEXT, "ReservationRejected", 7).replace("/sugang/", "/elsewhere/"));
        world.append([2]);
        let consumer = content();
        assert_eq!(world.drain(&consumer).await, Drained { handled: 2, dead: 5, left: 0, to_the_end: true });
        assert_eq!(consumer.batches(), [events([1, 2])]);
        let dead = world.dead();
        assert_eq!((dead[0]["e"].as_str(), dead[1]["e"].as_str()), ("not json", ""));
        assert_eq!((dead[0]["stream"].as_str(), &dead[0]["id"]), (STREAM, &world.ids()[1]));
        assert!(dead[..3].iter().all(|letter| letter["reason"].contains("CloudEvent")), "{dead:?}");
        assert!(
            dead[3]["reason"].contains("`Forgotten`") && dead[4]["reason"].contains("`source`"),
            "{dead:?}"
        );
        assert_eq!(world.pending(), 0);
    });
}

#[test]
fn a_batch_of_nothing_but_foreign_entries_does_not_end_the_drain() {
    run(async |world| {
        for _ in 0..100 {
            world.append_text("not json");
        }
        world.append([1]);
        assert_eq!(
            world.drain(&content()).await,
            Drained { handled: 1, dead: 100, left: 0, to_the_end: true }
        );
    });
}

#[test]
fn a_drain_whose_time_is_up_wakes_itself_for_the_rest() {
    run(async |world| {
        world.append(1..=150);
        let consumer = content();
        let woken = world.woken(async {
            let drained = world.drain_as(GROUP, Duration::ZERO, false, &consumer).await;
            assert_eq!(drained, Drained { handled: 100, to_the_end: false, ..NOTHING });
            assert!(!drained.has_caught_up());
        });
        assert_eq!((woken.await, world.pending()), (vec![GROUP.to_owned()], 0));
        world.drain(&consumer).await;
        assert_eq!(consumer.events(), events(1..=150));
        // Where nothing is left there is nothing to wake for.
        assert!(world.woken(async { _ = world.drain(&consumer).await }).await.is_empty());
    });
}

#[test]
fn a_drain_begins_nothing_more_after_two_seconds() {
    run(async |world| {
        world.append(1..=150);
        let slow = Recorder::new(|_| {
            std::thread::sleep(Duration::from_millis(2_100));
            Then::Handled
        });
        let drained = world.drain(&slow).await;
        assert_eq!((drained.handled, drained.to_the_end), (100, false));
    });
}

#[test]
fn a_group_that_was_lost_begins_again_at_the_first_entry() {
    run(async |world| {
        world.append([1, 2]);
        let consumer = content();
        world.drain(&consumer).await;
        world.redis::<i64>(&["XGROUP", "DESTROY", STREAM, GROUP]);
        world.claim(&consumer).await;
        assert_eq!(consumer.events(), events([1, 2, 1, 2]));
    });
}

#[test]
fn two_workers_share_what_there_is() {
    run(async |world| {
        world.append(1..=300);
        let (one, other) = (content(), content());
        let (a, b) = tokio::join!(world.drain(&one), world.drain(&other));
        assert_eq!(a.handled + b.handled, 300);
        let mut all = [one.events(), other.events()].concat();
        all.sort();
        all.dedup();
        assert_eq!((all.len(), world.pending()), (300, 0));
    });
}

#[test]
fn a_store_that_is_away_is_waited_for_and_a_mistake_of_ours_is_not() {
    let passing = [
        StoreError::unavailable("disk I/O error"),
        StoreError::Raised("seats".to_owned()),
        StoreError::Unique { constraint: "a".to_owned() },
        StoreError::Check { constraint: "a".to_owned() },
        StoreError::newer(3, 2),
    ];
    for error in passing {
        assert!(matches!(error.into(), Unhandled::Later(_)));
    }
    assert!(matches!(StoreError::Failure("no such table".to_owned()).into(), Unhandled::Poison(_)));
}
