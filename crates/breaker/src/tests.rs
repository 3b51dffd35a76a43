//! A fake store, a fake clock, and a scheduler that interleaves instances at every host call.

use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

const SETTINGS: Settings = Settings {
    window: Duration::from_secs(10),
    min_calls: 20,
    failure_ratio: 0.5,
    open: Duration::from_secs(5),
    call: Duration::from_millis(610),
};

/// In milliseconds, one probe's slot: twice as long as one may take.
const SLOT: i64 = 2 * (610 + 200);

/// When the next slot begins, as slots are counted where the breaker was opened by a clock that was ahead.
fn first_slot_after(now: i64) -> i64 {
    (now / SLOT + 1) * SLOT
}

/// Some time after 1970.
const T0: i64 = 1_763_773_323_000;

/// What every instance and replica shares. Each operation gives way to the others before it happens.
#[derive(Clone, Default)]
struct Fake {
    texts: Rc<RefCell<HashMap<String, String>>>,
    counters: Rc<RefCell<HashMap<String, i64>>>,
    reads: Rc<Cell<usize>>,
    writes: Rc<Cell<usize>>,
}

impl Fake {
    async fn give_way(&self) {
        let mut yielded = false;
        poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    fn keys(&self) -> usize {
        self.texts.borrow().len() + self.counters.borrow().len()
    }
}

impl Shared for Fake {
    type Error = Infallible;

    async fn get(&self, key: &str) -> Result<Option<String>, Infallible> {
        self.give_way().await;
        self.reads.set(self.reads.get() + 1);
        Ok(self.texts.borrow().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &str) -> Result<(), Infallible> {
        self.give_way().await;
        self.writes.set(self.writes.get() + 1);
        self.texts.borrow_mut().insert(key.to_owned(), value.to_owned());
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), Infallible> {
        self.give_way().await;
        self.texts.borrow_mut().remove(key);
        self.counters.borrow_mut().remove(key);
        Ok(())
    }

    async fn increment(&self, key: &str, by: i64) -> Result<i64, Infallible> {
        self.give_way().await;
        self.writes.set(self.writes.get() + 1);
        let mut counters = self.counters.borrow_mut();
        let counter = counters.entry(key.to_owned()).or_default();
        *counter += by;
        Ok(*counter)
    }

    async fn count(&self, key: &str) -> Result<i64, Infallible> {
        self.give_way().await;
        self.reads.set(self.reads.get() + 1);
        Ok(self.counters.borrow().get(key).copied().unwrap_or(0))
    }
}

/// Runs one future by itself.
fn alone<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
    }
}

/// One instance that is driven call by call.
struct Instance {
    breaker: Breaker,
    shared: Fake,
}

impl Instance {
    fn of(shared: &Fake) -> Self {
        Self { breaker: Breaker::new("pay", SETTINGS), shared: shared.clone() }
    }

    fn admit(&self, now: i64) -> Admission {
        alone(self.breaker.admit(&self.shared, now)).unwrap()
    }

    fn permit(&self, now: i64) -> Option<Permit> {
        match self.admit(now) {
            Admission::Call(permit) => Some(permit),
            Admission::Refused { .. } => None,
        }
    }

    fn record(&self, permit: Permit, outcome: Outcome, now: i64) {
        alone(self.breaker.record(&self.shared, permit, outcome, now)).unwrap();
    }

    /// Calls once, if that is allowed; says whether it was.
    fn call(&self, outcome: Outcome, now: i64) -> bool {
        let permit = self.permit(now);
        permit.into_iter().for_each(|permit| self.record(permit, outcome, now));
        permit.is_some()
    }

    fn calls(&self, times: usize, outcome: Outcome, now: i64) {
        for n in 0..times {
            assert!(self.call(outcome, now), "call {n} was refused");
        }
    }

    fn opened(shared: &Fake, now: i64) -> Self {
        let instance = Self::of(shared);
        instance.calls(20, Outcome::Failure, now);
        assert!(!instance.call(Outcome::Success, now));
        instance
    }
}

use Outcome::{Failure, Success};

#[test]
fn a_call_that_succeeds_costs_one_read_and_no_write() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    instance.calls(1000, Success, T0);
    assert_eq!((shared.reads.get(), shared.writes.get()), (1000, 0));
}

#[test]
fn whoever_looks_on_is_told_where_it_stands_and_when_it_opened_and_closed() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    let standing = |now: i64| alone(instance.breaker.standing(&shared, now)).unwrap();
    let told = |now: i64| {
        let Standing { position, since, failures, history } = standing(now);
        (position.as_str(), since, failures, history.iter().map(Change::to_string).collect::<Vec<_>>())
    };
    assert_eq!(told(T0), ("closed", 0, 0, vec![]));
    instance.calls(3, Failure, T0);
    assert_eq!(told(T0 + 9_000), ("closed", 0, 3, vec![]));
    assert_eq!(told(T0 + 11_000), ("closed", 0, 0, vec![]), "the window has gone by");
    instance.calls(20, Failure, T0 + 11_000);
    let opened = format!("opened {}", T0 + 11_000);
    assert_eq!(told(T0 + 11_000), ("open", T0 + 11_000, 0, vec![opened.clone()]));
    assert_eq!(told(T0 + 16_000), ("half-open", T0 + 11_000, 0, vec![opened.clone()]));
    // A probe that fails opens it anew, which is no change.
    assert!(instance.call(Failure, T0 + 16_000));
    assert_eq!(told(T0 + 16_000), ("open", T0 + 16_000, 0, vec![opened.clone()]));
    assert!(instance.call(Success, T0 + 21_000));
    let closed = format!("closed {}", T0 + 21_000);
    assert_eq!(told(T0 + 21_000), ("closed", T0 + 21_000, 0, vec![closed, opened]));
    for time in 2..20 {
        instance.calls(20, Failure, T0 + time * 60_000);
        assert!(instance.call(Success, T0 + time * 60_000 + 5_000));
    }
    assert_eq!(told(T0).3.len(), 20, "no more are kept");
}

#[test]
fn calls_that_nobody_asked_for_count_for_nothing() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    for outcome in [Outcome::Failure, Outcome::Success] {
        (0..40).for_each(|_| instance.record(Permit::unasked(), outcome, T0));
    }
    assert_eq!(shared.writes.get(), 0);
    assert!(!Permit::unasked().is_probe());
    // Not even beside those that count.
    instance.calls(20, Outcome::Failure, T0);
    assert_eq!(instance.permit(T0), None);
    instance.record(Permit::unasked(), Outcome::Success, T0);
    assert_eq!(instance.permit(T0), None);
}

#[test]
fn nineteen_failures_do_not_open_it_and_the_twentieth_does() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    let position = || alone(instance.breaker.standing(&shared, T0)).unwrap().position;
    instance.calls(19, Failure, T0);
    assert_eq!(position(), Position::Closed);
    assert!(instance.call(Failure, T0));
    assert_eq!(position(), Position::Open);
    assert_eq!(instance.admit(T0), Admission::Refused { retry_after: SETTINGS.open });
}

#[test]
fn failures_of_several_instances_count_together() {
    let shared = Fake::default();
    let instances: Vec<_> = (0..20).map(|_| Instance::of(&shared)).collect();
    instances.iter().for_each(|instance| instance.calls(1, Failure, T0));
    assert!(instances.iter().all(|instance| instance.permit(T0).is_none()));
}

#[test]
fn half_of_the_calls_failing_opens_it_and_fewer_do_not() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    instance.calls(21, Success, T0);
    instance.calls(20, Failure, T0);
    assert!(instance.call(Failure, T0), "20 of 41 is less than half");
    assert!(!instance.call(Failure, T0), "21 of 42 is half");
}

#[test]
fn successes_of_an_instance_are_told_with_its_next_failure() {
    let shared = Fake::default();
    let (healthy, failing) = (Instance::of(&shared), Instance::of(&shared));
    healthy.calls(30, Success, T0);
    healthy.calls(1, Failure, T0);
    failing.calls(19, Failure, T0);
    assert!(failing.call(Failure, T0), "20 of 50 is less than half");
}

#[test]
fn what_happened_before_the_window_does_not_count() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    instance.calls(19, Failure, T0);
    instance.calls(19, Failure, T0 + 10_000);
    assert!(instance.call(Failure, T0 + 10_000));
    assert!(!instance.call(Failure, T0 + 10_000));
    // And successes of long ago do not outweigh the failures of now.
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    instance.calls(1000, Success, T0);
    instance.calls(20, Failure, T0 + 10_000);
    assert!(!instance.call(Failure, T0 + 10_000));
}

#[test]
fn it_stays_open_to_the_millisecond_and_then_lets_one_probe_through() {
    let shared = Fake::default();
    let instances = [Instance::opened(&shared, T0), Instance::of(&shared), Instance::of(&shared)];
    assert!(instances.iter().all(|instance| instance.permit(T0 + 4999).is_none()));
    let probes: Vec<_> = instances.iter().filter_map(|instance| instance.permit(T0 + 5000)).collect();
    assert!(matches!(probes[..], [probe] if probe.is_probe()));
}

#[test]
fn a_probe_begins_in_the_first_half_of_its_slot_only() {
    let probes = |into: i64| Instance::opened(&Fake::default(), T0).admit(T0 + 5000 + into);
    assert!(matches!(probes(SLOT / 2 - 1), Admission::Call(permit) if permit.is_probe()));
    assert_eq!(probes(SLOT / 2), Admission::Refused { retry_after: Duration::from_millis(SLOT as u64 / 2) });
}

#[test]
fn a_probe_that_succeeds_closes_it_with_everything_forgotten() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    assert!(instance.call(Success, T0 + 5000));
    // Nineteen more failures are nineteen, not thirty-nine.
    instance.calls(19, Failure, T0 + 5000);
    assert!(instance.call(Failure, T0 + 5000));
    assert!(!instance.call(Success, T0 + 5000));
}

#[test]
fn a_probe_that_fails_opens_it_for_as_long_again() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    assert!(instance.call(Failure, T0 + 5000));
    assert!(!instance.call(Success, T0 + 9999));
    assert!(instance.call(Success, T0 + 10_000));
    assert!(instance.permit(T0 + 10_000).is_some_and(|permit| !permit.is_probe()));
}

#[test]
fn stragglers_from_before_it_opened_do_not_open_it_again() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    let stragglers: Vec<_> = (0..40).filter_map(|_| instance.permit(T0)).collect();
    instance.calls(20, Failure, T0);
    let opened = shared.texts.borrow().get("breaker:pay:state").cloned();
    stragglers.iter().take(20).for_each(|permit| instance.record(*permit, Failure, T0 + 600));
    assert_eq!(shared.texts.borrow().get("breaker:pay:state").cloned(), opened, "it opened a second time");
    assert!(instance.call(Success, T0 + 5000));
    stragglers.iter().skip(20).for_each(|permit| instance.record(*permit, Failure, T0 + 5100));
    assert!(instance.call(Success, T0 + 5200));
}

#[test]
fn a_prober_that_crashed_blocks_nobody_for_longer_than_a_slot() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    assert!(instance.permit(T0 + 5000).is_some(), "and nothing is ever heard of it again");
    let Admission::Refused { retry_after } = instance.admit(T0 + 5001) else { panic!("two probes") };
    let again = T0 + 5001 + i64::try_from(retry_after.as_millis()).unwrap();
    assert_eq!(again, T0 + 5000 + SLOT);
    assert!(instance.call(Success, again));
    assert!(instance.permit(again).is_some_and(|permit| !permit.is_probe()));
}

#[test]
fn a_probe_that_outlived_its_slot_does_not_overrule_the_one_after_it() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    let slow = instance.permit(T0 + 5000).unwrap();
    assert!(instance.call(Success, T0 + 5000 + 1620));
    instance.record(slow, Failure, T0 + 7000);
    assert!(instance.permit(T0 + 7000).is_some_and(|permit| !permit.is_probe()));
}

#[test]
fn nor_does_it_overrule_a_failure_after_it() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    let slow = instance.permit(T0 + 5000).unwrap();
    assert!(instance.call(Failure, T0 + 5000 + SLOT));
    instance.record(slow, Success, T0 + 7000);
    assert!(instance.permit(T0 + 7000).is_none());
}

#[test]
fn once_it_has_closed_again_what_succeeded_since_counts_and_nothing_before() {
    let shared = Fake::default();
    let (instance, failing) = (Instance::of(&shared), Instance::of(&shared));
    instance.calls(1000, Success, T0);
    failing.calls(20, Failure, T0);
    assert!(instance.call(Success, T0 + 5000), "the probe");
    instance.calls(30, Success, T0 + 5000);
    instance.calls(29, Failure, T0 + 5000);
    assert!(instance.call(Failure, T0 + 5000), "29 of 59 is less than half");
    assert!(!instance.call(Failure, T0 + 5000), "30 of 60 is half");
}

#[test]
fn whoever_knows_that_another_probes_writes_no_more() {
    let shared = Fake::default();
    let (prober, other) = (Instance::opened(&shared, T0), Instance::of(&shared));
    assert!(prober.permit(T0 + 5000).is_some());
    assert!(other.permit(T0 + 5001).is_none());
    let writes = shared.writes.get();
    assert!((0..100).all(|_| other.permit(T0 + 5002).is_none()));
    assert_eq!(shared.writes.get(), writes);
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_it_open() {
    let shared = Fake::default();
    let instance = Instance::opened(&shared, T0);
    let now = first_slot_after(T0 - 3_600_000);
    assert!(instance.call(Success, now));
    assert!(instance.call(Success, now));
}

#[test]
fn opened_by_a_clock_that_was_ahead_it_goes_on_probing_one_at_a_time_though_a_prober_crashed() {
    let shared = Fake::default();
    Instance::opened(&shared, T0);
    let now = first_slot_after(T0 - 120_000);
    let (crashed, other, third) = (Instance::of(&shared), Instance::of(&shared), Instance::of(&shared));
    assert!(crashed.permit(now).is_some(), "and nothing is ever heard of it again");
    assert!(other.permit(now + 1).is_none());
    assert!(other.permit(now + SLOT - 1).is_none());
    let probe = other.permit(now + SLOT).unwrap();
    assert!(probe.is_probe());
    assert!(third.permit(now + SLOT).is_none());
    other.record(probe, Success, now + SLOT + 1);
    assert!(third.permit(now + SLOT + 2).is_some_and(|permit| !permit.is_probe()));
}

#[test]
fn a_state_nobody_can_read_is_a_closed_breaker() {
    let shared = Fake::default();
    alone(shared.set("breaker:pay:state", "ajar")).unwrap();
    assert!(Instance::of(&shared).call(Success, T0));
}

#[test]
fn the_store_does_not_fill_up() {
    let shared = Fake::default();
    let mut now = T0;
    for round in 0..300 {
        let instance = Instance::of(&shared);
        instance.call(Success, now);
        // Now and then one failure alone, and now and then enough to open it and probe.
        for _ in 0..if round % 7 == 0 { 20 } else { 1 } {
            instance.call(Failure, now);
        }
        now += if round % 3 == 0 { 60_000 } else { 1_300 };
    }
    assert!(shared.keys() < 30, "{} keys are left", shared.keys());
}

#[test]
fn counters_of_successes_told_late_are_deleted_too() {
    let shared = Fake::default();
    let instance = Instance::of(&shared);
    for second in 0..600 {
        instance.call(Success, T0 + second * 1_000);
        if second % 20 == 9 {
            instance.call(Failure, T0 + second * 1_000);
        }
    }
    assert!(shared.keys() < 30, "{} keys are left", shared.keys());
}

#[test]
fn a_long_outage_leaves_no_claims_behind() {
    let shared = Fake::default();
    let (instance, mut now) = (Instance::opened(&shared, T0), T0);
    for _ in 0..50 {
        now += 5000;
        assert!(instance.permit(now).is_some(), "and nothing is ever heard of it again");
        now += SLOT;
        assert!(instance.call(Failure, now));
    }
    assert!(shared.keys() < 15, "{} keys are left", shared.keys());
}

#[test]
fn an_instance_forgets_successes_that_have_left_the_window() {
    let instance = Instance::of(&Fake::default());
    (0..100).for_each(|second| instance.calls(1, Success, T0 + second * 1_000));
    assert_eq!(instance.breaker.memory.borrow().successes.len(), 10);
}

/// What one instance does in the model: calls that take a while and end somehow, or never.
#[derive(Clone, Copy, Debug)]
struct Call {
    start: i64,
    takes: i64,
    outcome: Option<Outcome>,
}

fn call() -> impl Strategy<Value = Call> {
    let outcome = prop_oneof![3 => Just(Some(Failure)), 2 => Just(Some(Success)), 1 => Just(None)];
    (0..30_000_i64, 0..=700_i64, outcome).prop_map(|(start, takes, outcome)| Call { start, takes, outcome })
}

proptest! {
    /// However host calls interleave, whoever crashes: never two probes at once.
    #[test]
    fn there_is_never_more_than_one_probe_at_a_time(
        late in prop::collection::vec(call(), 1..80),
        order in prop::collection::vec(any::<prop::sample::Index>(), 64),
    ) {
        // Enough failures to open it, and then calls that come sparsely enough to find every part of a slot.
        let burst = Call { start: 0, takes: 100, outcome: Some(Failure) };
        let mut calls = [vec![burst; 20], late].concat();
        calls.sort_by_key(|call| call.start);
        let shared = Fake::default();
        let clock = Rc::new(Cell::new(T0));
        let probing = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        let instances: Vec<_> = (0..4).map(|_| Rc::new(Instance::of(&shared))).collect();
        let mut running: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        let mut pending = calls.iter().enumerate().peekable();
        let mut turn = 0;
        // A millisecond of time passes once everybody has had the turns that a millisecond is good for.
        for tick in 0..32_000_i64 {
            clock.set(T0 + tick);
            while let Some((n, call)) = pending.next_if(|(_, call)| call.start <= tick) {
                let (instance, call) = (Rc::clone(&instances[n % instances.len()]), *call);
                let (clock, probing, most) = (Rc::clone(&clock), Rc::clone(&probing), Rc::clone(&most));
                running.push(Box::pin(async move {
                    let Ok(Admission::Call(permit)) =
                        instance.breaker.admit(&instance.shared, clock.get()).await else { return };
                    let count = |by: i32| if permit.is_probe() { probing.set(probing.get() + by) };
                    count(1);
                    most.set(most.get().max(probing.get()));
                    let end = clock.get() + call.takes;
                    poll_fn(|_| if clock.get() >= end { Poll::Ready(()) } else { Poll::Pending }).await;
                    count(-1);
                    if let Some(outcome) = call.outcome {
                        let _ = instance.breaker.record(&instance.shared, permit, outcome, clock.get()).await;
                    }
                }));
            }
            for _ in 0..running.len().min(40) * 3 {
                if running.is_empty() {
                    break;
                }
                let at = order[turn % order.len()].index(running.len());
                turn += 1;
                if running[at].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    drop(running.swap_remove(at));
                }
            }
        }
        prop_assert!(most.get() <= 1, "{} probes at once", most.get());
    }

    /// One instance by itself opens exactly when the rule says so.
    #[test]
    fn it_opens_exactly_when_the_window_says_so(
        steps in prop::collection::vec((0..900_i64, any::<bool>()), 1..120),
    ) {
        let shared = Fake::default();
        let instance = Instance::of(&shared);
        let window = Window::new(SETTINGS.window);
        let mut seen: Vec<(i64, bool)> = Vec::new();
        let mut now = T0;
        for (pause, failed) in steps {
            now += pause;
            let outcome = if failed { Failure } else { Success };
            prop_assert!(instance.call(outcome, now));
            seen.push((window.bucket(now), failed));
            let bucket = window.bucket(now);
            seen.retain(|&(counted, _)| counted >= window.first(bucket));
            let failures = seen.iter().filter(|(_, failed)| *failed).count();
            if failed && seen.len() >= 20 && failures * 2 >= seen.len() {
                prop_assert!(instance.permit(now).is_none(), "{failures} of {}", seen.len());
                return Ok(());
            }
            prop_assert!(instance.permit(now).is_some(), "{failures} of {}", seen.len());
        }
    }

    /// Whatever happened before, once calls succeed again the breaker closes and stays closed.
    #[test]
    fn it_closes_once_calls_succeed_again(calls in prop::collection::vec(call(), 0..200)) {
        let shared = Fake::default();
        let instances: Vec<_> = (0..3).map(|_| Instance::of(&shared)).collect();
        let mut now = T0;
        for (n, call) in calls.iter().enumerate() {
            now += call.takes;
            let instance = &instances[n % instances.len()];
            if let (Some(permit), Some(outcome)) = (instance.permit(now), call.outcome) {
                instance.record(permit, outcome, now);
            }
        }
        let healed = now;
        while now < healed + 10_000 {
            now += 100;
            for instance in &instances {
                instance.call(Success, now);
            }
        }
        prop_assert!(instances.iter().all(|instance| instance.call(Success, now)));
    }
}
