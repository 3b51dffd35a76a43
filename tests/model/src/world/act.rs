//! How whatever may be begun is done.

use super::answer::Answer;
use super::log::Pending;
use super::{BEGINNING, Shared};
use crate::paused::Work;
use crate::step::{Act, Card, Change, Conditions, Course, Link, Tick, Told, course_number};
use eventlog::topology::Consumer;
use eventlog::{Envelope, Unhandled, Worker};
use hal::Method;
use kernel::Timestamp;
use serde_json::{Value, json};
use std::rc::Rc;

/// Begins something.
pub(super) fn begin(shared: &Rc<Shared>, act: &Act, conditions: Conditions) -> Work {
    let (name, shared) = (act.to_string(), Rc::clone(shared));
    let reservation = |order| format!("/reservations/{order}");
    match act {
        Act::Apply { order, course, guests, card, key } => {
            let mut body = json!({ "eduNo": course_number(*course), "guest": guests, "customerId": 1 });
            add(&mut body, "orderId", order.map(|order| json!(order)));
            add(&mut body, "cardNo", digits(*card).map(|digits| json!(digits)));
            Work::new(name, apply(shared, conditions, body.to_string(), *key))
        }
        Act::Pay(which, card) => {
            let order = shared.number(*which);
            Work::new(name, pay(shared, conditions, order, *card))
        }
        Act::Cancel(which) => {
            let path = format!("/orders/{}", shared.number(*which));
            Work::new(name, ask_order(shared, conditions, Method::DELETE, path, String::new()))
        }
        Act::Confirm(which) => {
            let path = reservation(shared.number(*which));
            Work::new(name, patch(shared, path, json!({ "status": "Reservation Confirmed" })))
        }
        Act::Reject(which) => {
            let path = reservation(shared.number(*which));
            Work::new(name, patch(shared, path, json!({ "status": "Reservation Rejected" })))
        }
        Act::Course(course, change) => {
            let path = format!("/courses/{}", course_number(*course));
            Work::new(name, patch(shared, path, changes(*change)))
        }
        Act::Tick(tick) => Work::new(name, do_tick(shared, *tick, conditions)),
        Act::Tell(consumer, told) => tell(&shared, consumer, told, conditions),
    }
}

async fn apply(shared: Rc<Shared>, conditions: Conditions, content: String, key: Option<u8>) -> String {
    let named = key.map(|key| format!("k{key}"));
    let headers: Vec<_> = named.iter().map(|key| ("idempotency-key", key.as_str())).collect();
    let order = shared.order(conditions);
    let answer = async |request: &hal::Request| {
        order::answer(&order, request, &access::Reach::open(access::Caller::default())).await
    };
    let asked =
        shared.ask(Method::POST, "/orders", &headers, content.clone(), conditions.gateway, answer).await;
    let answer = Answer::of(asked.0, &asked.1);
    answer.check(&shared);
    if let (Some(key), Some(order)) = (key, answer.order) {
        let now = Timestamp::now();
        let (before, same, since) =
            shared.keys.borrow_mut().entry(key).or_insert_with(|| (content.clone(), order, now)).clone();
        // Keys are remembered for a day.
        if before == content && same != order && now < since.plus_minutes(23 * 60) {
            shared.violated(format!("key k{key} stood for order {same}, and now for {order}"));
        }
    }
    answer.shown
}

async fn pay(shared: Rc<Shared>, conditions: Conditions, order: u64, card: Card) -> String {
    let good = matches!(card, Card::Good | Card::Other);
    if !good {
        shared.doubtful.borrow_mut().insert(order);
    }
    let mut body = json!({});
    add(&mut body, "cardNo", digits(card).map(|digits| json!(digits)));
    let path = format!("/orders/{order}/payment");
    let told = ask_order(Rc::clone(&shared), conditions, Method::POST, path, body.to_string()).await;
    if good && told.starts_with('2') {
        shared.promised.borrow_mut().insert(order);
    }
    told
}

async fn ask_order(
    shared: Rc<Shared>,
    conditions: Conditions,
    method: Method,
    path: String,
    body: String,
) -> String {
    let order = shared.order(conditions);
    let answer = async |request: &hal::Request| {
        order::answer(&order, request, &access::Reach::open(access::Caller::default())).await
    };
    let (status, body) = shared.ask(method, &path, &[], body, conditions.gateway, answer).await;
    let answer = Answer::of(status, &body);
    answer.check(&shared);
    answer.shown
}

/// The manager opens a course.
pub(super) fn open(shared: &Rc<Shared>, course: u8, terms: Course) -> Work {
    let body = json!({
        "eduNo": course_number(course),
        "title": format!("course {}", course_number(course)),
        "capacity": terms.capacity,
        "fee": terms.fee,
        "approval": if terms.manual { "manual" } else { "automatic" },
        "startsAt": BEGINNING.plus_minutes(5 * 60).to_string(),
        "endsAt": BEGINNING.plus_minutes(9 * 60).to_string(),
    });
    let asked = ask_reservation(Rc::clone(shared), Method::POST, "/courses".to_owned(), body);
    Work::new("open".to_owned(), asked)
}

async fn patch(shared: Rc<Shared>, path: String, change: Value) -> String {
    ask_reservation(shared, Method::PATCH, path, change).await
}

async fn ask_reservation(shared: Rc<Shared>, method: Method, path: String, body: Value) -> String {
    let reservation = shared.reservation();
    let answer = async |request: &hal::Request| {
        reservation::answer(&reservation, request, &access::Reach::open(access::Caller::default())).await
    };
    let (status, body) = shared.ask(method, &path, &[], body.to_string(), Link::Up, answer).await;
    Answer::of(status, &body).shown
}

/// A worker does what time demands.
pub(super) async fn do_tick(shared: Rc<Shared>, tick: Tick, conditions: Conditions) -> String {
    let done = match tick {
        Tick::Order => shared.order(conditions).tick(true).await,
        Tick::Reservation(caught_up) => shared.reservation().tick(caught_up).await,
        Tick::Notification => shared.notification(conditions.channel).tick(true).await,
    };
    if let Err(error) = done {
        shared.violated(format!("{tick:?} failed: {error:#}"));
    }
    "done".to_owned()
}

/// A consumer is handed events, which it acknowledges once it has handled them.
pub(super) fn tell(shared: &Rc<Shared>, consumer: &str, told: &Told, conditions: Conditions) -> Work {
    let name = format!("{consumer} is told");
    let Some(consumer) = Consumer::named(consumer) else {
        shared.violated(format!("the topology has no consumer `{consumer}`"));
        return Work::new(name, std::future::ready(String::new()));
    };
    shared.read_log();
    let handed = shared.log.borrow().choose(consumer, told);
    let (shared, pending) = (Rc::clone(shared), Pending::new(shared, &handed));
    let events: Vec<_> = handed.into_iter().map(|handed| handed.event).collect();
    Work::new(name, async move {
        if events.is_empty() {
            return "nothing".to_owned();
        }
        let names: Vec<_> = events.iter().map(shown).collect();
        let names = names.join(", ");
        match handle(&shared, consumer, &events, conditions).await {
            Ok(()) => {
                pending.acknowledge();
                names
            }
            Err(Unhandled::Later(reason)) => format!("{names}: left for later ({reason})"),
            Err(Unhandled::Poison(reason)) => {
                shared.violated(format!("{} cannot handle {names}: {reason}", consumer.name));
                names
            }
        }
    })
}

async fn handle(
    shared: &Rc<Shared>,
    consumer: &Consumer,
    events: &[Envelope],
    conditions: Conditions,
) -> Result<(), Unhandled> {
    match consumer.name {
        "order" => shared.order(conditions).handle(events).await,
        "pay" => shared.pay(conditions.gateway).handle(events).await,
        "reservation" => shared.reservation().handle(events).await,
        "notification" => shared.notification(conditions.channel).handle(events).await,
        "information" => shared.information().handle(events).await,
        other => Err(Unhandled::Poison(format!("the model has no worker `{other}`"))),
    }
}

fn shown(event: &Envelope) -> String {
    format!("{} {} {}", event.source, event.id, event.event.name())
}

fn changes(change: Change) -> Value {
    match change {
        Change::Capacity(seats) => json!({ "capacity": seats }),
        Change::Fee(fee) => json!({ "fee": fee }),
        Change::Start => json!({ "status": "Started" }),
        Change::Finish => json!({ "status": "Finished" }),
        Change::Cancel => json!({ "status": "Course Canceled" }),
    }
}

fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (body.as_object_mut(), value) {
        fields.insert(name.to_owned(), value);
    }
}

const fn digits(card: Card) -> Option<&'static str> {
    match card {
        Card::None => None,
        Card::Good => Some("4111111111111234"),
        Card::Other => Some("5555555555554444"),
        Card::Declined => Some("4000000000000002"),
        Card::Failing => Some("4000000000000119"),
    }
}
