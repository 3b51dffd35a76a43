//! Following orders, while time passes as fast as it is asked to.

use super::*;
use crate::domain::Told;
use crate::http::answer;
use crate::{samples, store};
use ::store::native::{Store, at_once};
use access::Caller;
use futures::channel::mpsc::{Receiver, channel};
use hal::Method;
use kernel::Timestamp;
use kernel::event::Event;
use std::cell::{Cell, RefCell};
use std::pin::Pin;

::store::on_postgres!(
    whoever_follows_an_order_that_was_taken_just_now_is_told_once_it_is_heard_of,
    a_number_that_nothing_is_heard_of_is_given_up_after_a_few_seconds,
    the_present_state_comes_at_once_then_each_change_and_the_final_one_ends_the_stream,
    whoever_comes_back_is_told_only_what_is_new_and_kept_for_five_minutes,
    whoever_comes_back_having_seen_the_end_is_told_to_stop,
    a_client_that_goes_away_is_followed_no_more,
    a_setting_of_live_answers_that_cannot_be_read_is_missed_by_them_alone,
);

const BASE: &str = "http://127.0.0.1:8080";

/// What a stream may be by default.
const LONGEST: Duration = Duration::from_secs(300);

/// What a test has happen at a certain time, in milliseconds.
type Happens = (u64, Box<dyn Fn()>);

/// Everything that goes on beside the answers, in a world of its own.
#[derive(Default)]
struct World {
    now: Cell<u64>,
    happens: RefCell<Vec<Happens>>,
    begun: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
    is_set_wrong: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Beside(&'static World);

impl Background for Beside {
    async fn sleep(&self, time: Duration) {
        let now = self.0.now.get() + u64::try_from(time.as_millis()).unwrap();
        self.0.now.set(now);
        self.0.happens.borrow_mut().retain(|(when, act)| {
            if *when <= now {
                act();
            }
            *when > now
        });
    }

    async fn longest(&self) -> anyhow::Result<Duration> {
        anyhow::ensure!(!self.0.is_set_wrong.get(), "the variable `live_stream_s`");
        Ok(LONGEST)
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        self.0.begun.borrow_mut().push(Box::pin(work));
    }
}

/// A store, a world, and what happens to order 1113 in it.
struct Trial {
    storage: Store,
    world: &'static World,
}

impl Trial {
    fn new() -> Self {
        let storage = Store::new(&store::DATABASE);
        Self { storage, world: Box::leak(Box::default()) }
    }

    fn at(&self, millis: u64, events: &[(u64, i64, Event)]) {
        let (storage, events) = (self.storage.clone(), events.to_vec());
        self.world.happens.borrow_mut().push((millis, Box::new(move || take(&storage, &events))));
    }

    fn follow(&self, last: Option<&str>) -> Response {
        self.get("/infomations/1113/events", last)
    }

    fn get(&self, path: &str, last: Option<&str>) -> Response {
        let mut headers = vec![("host", "127.0.0.1:8080")];
        headers.extend(last.map(|id| ("last-event-id", id)));
        let request = Request::new(Method::GET, path, &headers, "").unwrap();
        let answered = hal::answer(&request, async |request: &Request| {
            answer(&self.storage, Beside(self.world), request, Reach::open(Caller::default())).await
        });
        at_once(answered).unwrap()
    }

    fn follower(&self, last: Option<&str>) -> (Follower<Store, Beside>, Receiver<String>) {
        let (client, reader) = channel(1000);
        let (storage, background) = (self.storage.clone(), Beside(self.world));
        let (order_id, base) = (OrderId::parse(1113).unwrap(), BASE.to_owned());
        (
            Follower {
                storage,
                background,
                reach: Reach::open(Caller::default()),
                order_id,
                base,
                client,
                last: last.map(str::to_owned),
                longest: LONGEST,
            },
            reader,
        )
    }

    fn found(&self) -> Found {
        at_once(store::find(&self.storage, OrderId::parse(1113).unwrap())).unwrap().unwrap().unwrap()
    }

    /// The id that the present state has in the stream.
    fn id(&self) -> String {
        etag_of(&Document::of(&self.found(), BASE))
    }

    /// All that a stream says, to its end.
    fn read(&self, last: Option<&str>) -> Vec<String> {
        self.read_from(last, Some(self.found()))
    }

    fn read_from(&self, last: Option<&str>, found: Option<Found>) -> Vec<String> {
        let (follower, mut reader) = self.follower(last);
        assert!(at_once(follower.run(found)).unwrap().is_ok());
        std::iter::from_fn(|| reader.try_recv().ok()).collect()
    }
}

fn take(storage: &Store, events: &[(u64, i64, Event)]) {
    let told = events.iter().map(|(version, time, event)| {
        Told::of(samples::context(event), *version, Timestamp::from_millis(*time), event)
    });
    at_once(store::take_in(told).run(storage)).unwrap().unwrap();
}

/// How many statuses the timelines in these events have, one after another.
fn timelines(events: &[String]) -> Vec<usize> {
    let documents = events.iter().filter_map(|event| event.split_once("data: "));
    let count = |(_, document): (&str, &str)| {
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        document["timeline"].as_array().unwrap().len()
    };
    documents.map(count).collect()
}

#[test]
fn whoever_follows_an_order_that_was_taken_just_now_is_told_once_it_is_heard_of() {
    for (heard, told) in [(350, 400), (1550, 2000), (4990, 5000)] {
        let trial = Trial::new();
        trial.at(heard, &samples::history());
        let answered = trial.follow(None);
        assert_eq!((answered.status().as_u16(), trial.world.now.get()), (200, 0), "nothing is waited for");
        let said = trial.read_from(None, None);
        assert_eq!((timelines(&said), trial.world.now.get()), (vec![samples::history().len()], told));
    }
    let trial = Trial::new();
    take(&trial.storage, &samples::history()[..1]);
    let answered = trial.follow(None);
    assert_eq!((answered.status().as_u16(), answered.get("content-type")), (200, Some("text/event-stream")));
    assert_eq!(answered.get("cache-control"), Some("no-store"));
    assert_eq!((trial.world.now.get(), trial.world.begun.borrow().len()), (0, 1));
}

#[test]
fn a_number_that_nothing_is_heard_of_is_given_up_after_a_few_seconds() {
    let trial = Trial::new();
    let answered = trial.follow(None);
    assert_eq!((answered.status().as_u16(), answered.get("content-type")), (200, Some("text/event-stream")));
    assert_eq!(trial.read_from(None, None), ["retry: 1000\n\n", "id: unheard\n\n"]);
    assert_eq!(trial.world.now.get(), 5000);
    let refused = trial.follow(Some(UNHEARD));
    assert_eq!((refused.status().as_u16(), trial.world.now.get()), (404, 5000), "nothing is waited for");
    assert_eq!(refused.json()["type"], "/problems/not-found");
    take(&trial.storage, &samples::history()[..1]);
    assert_eq!(trial.follow(Some(UNHEARD)).status().as_u16(), 200, "it has been heard of since");
}

#[test]
fn the_present_state_comes_at_once_then_each_change_and_the_final_one_ends_the_stream() {
    let (trial, history) = (Trial::new(), samples::history());
    take(&trial.storage, &history[..2]);
    trial.at(700, &history[2..3]);
    trial.at(1400, &history);
    let said = trial.read(None);
    assert_eq!(said[0], "retry: 1000\n\n");
    assert_eq!(timelines(&said), [2, 3, history.len()]);
    assert_eq!(said.len(), 4, "nothing is said twice: {said:?}");
    assert!(said[1].starts_with("id: ") && said[1].contains("\nevent: status\n"), "{}", said[1]);
    assert_eq!(trial.world.now.get(), 1500);
}

#[test]
fn whoever_comes_back_is_told_only_what_is_new_and_kept_for_five_minutes() {
    let (trial, history) = (Trial::new(), samples::history());
    take(&trial.storage, &history[..2]);
    let known = trial.id();
    trial.at(40_000, &history[2..3]);
    let said = trial.read(Some(&known));
    assert_eq!(timelines(&said), [3]);
    assert_eq!(trial.world.now.get(), 300_000);
    let quiet = said.iter().filter(|text| *text == ": nothing new\n\n").count();
    assert_eq!((quiet, said.len()), (19, 21), "a sign of life every fifteen seconds: {said:?}");
}

#[test]
fn whoever_comes_back_having_seen_the_end_is_told_to_stop() {
    let trial = Trial::new();
    take(&trial.storage, &samples::history());
    let seen = trial.id();
    assert_eq!(trial.follow(Some(&seen)).status().as_u16(), 204);
    for other in [None, Some("x"), Some("")] {
        assert_eq!(trial.follow(other).status().as_u16(), 200, "{other:?}");
    }
    assert_eq!(timelines(&trial.read(None)), [samples::history().len()]);
}

#[test]
fn a_setting_of_live_answers_that_cannot_be_read_is_missed_by_them_alone() {
    let trial = Trial::new();
    take(&trial.storage, &samples::history()[..1]);
    trial.world.is_set_wrong.set(true);
    let status = |path: &str| trial.get(path, None).status().as_u16();
    assert_eq!(status("/infomations/1113/events"), 500);
    assert_eq!(
        [status("/infomations/1113"), status("/infomations"), status("/infomations/2")],
        [200, 200, 404]
    );
}

#[test]
fn a_client_that_goes_away_is_followed_no_more() {
    let trial = Trial::new();
    take(&trial.storage, &samples::history()[..2]);
    let (follower, reader) = trial.follower(Some(&trial.id()));
    drop(reader);
    assert!(matches!(at_once(follower.run(Some(trial.found()))), Some(Err(End::Gone))));
    assert_eq!(trial.world.now.get(), 0);
}
