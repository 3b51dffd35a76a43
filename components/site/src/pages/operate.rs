//! Whether all is well: each number with what to do when it is bad.

mod breaker;
mod dead_letters;
mod log;
mod pace;

use crate::client::{Asked, Client, Context, Trouble};
use crate::documents::{Breaker, EventLog, Infomation, List, PageOf};
use crate::filters;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use askama::Template;
use hal::Response;
use kernel::{OrderId, Timestamp};
use std::time::Instant;

pub(super) use dead_letters::{carry_out, show as dead_letters};

/// An answer that takes longer than this is shown as slow, in milliseconds.
const SLOW: u128 = 500;
/// How many orders whose payment is open are named.
const NAMED: usize = 10;

/// A number with its name, how good it is (a class of badges), and what to do where it is not.
struct Number {
    name: String,
    value: String,
    state: &'static str,
    advice: String,
}

struct Part {
    name: &'static str,
    state: (&'static str, &'static str),
    time: String,
    advice: &'static str,
}

struct Open {
    order_id: OrderId,
    title: String,
    since: String,
}

#[derive(Template)]
#[template(path = "operate_live.html")]
struct Live {
    t: Messages,
    parts: Vec<Part>,
    breaker: Option<breaker::Shown>,
    consumers: Vec<Number>,
    dead_letters: u64,
    pace: Vec<Number>,
    numbers: Vec<Number>,
    open: Vec<Open>,
    word: &'static str,
    state: &'static str,
    at: String,
}

#[derive(Template)]
#[template(path = "operate.html")]
struct Operate {
    t: Messages,
    page: Page,
    live: String,
    version: &'static str,
}

pub(super) async fn show(visit: &Visit<'_>) -> Response {
    let page = visit.page("operate");
    if !page.may_operate {
        return page::trouble(visit, &page::forbidden());
    }
    let live = page::written(&look(visit).await);
    page::ok(&Operate { t: visit.t(), page, live, version: env!("CARGO_PKG_VERSION") })
}

pub(super) async fn live(visit: &Visit<'_>) -> Response {
    if !visit.page("operate").may_operate {
        return page::trouble(visit, &page::forbidden());
    }
    page::ok(&look(visit).await)
}

/// How many there are, and how long it took to say so.
async fn count(client: Client<'_>, context: Context, path: &str) -> (Asked<u64>, u128) {
    let begun = Instant::now();
    let listed = client.get::<Counted>(context, path).await;
    (listed.map(|list| list.page.total_elements), begun.elapsed().as_millis())
}

/// Of a list only how much there is of it.
#[derive(serde::Deserialize)]
struct Counted {
    page: PageOf,
}

async fn look(visit: &Visit<'_>) -> Live {
    let (client, t) = (visit.client(), visit.t());
    let now = Timestamp::now();
    let (
        orders,
        pays,
        courses,
        requested,
        waiting,
        pending,
        failed,
        delayed,
        declined,
        member,
        breaker,
        log,
        pace,
    ) = futures::join!(
        count(client, Context::Order, "/orders?size=1"),
        count(client, Context::Pay, "/pays?size=1"),
        count(client, Context::Reservation, "/courses?size=1&status=Open"),
        count(client, Context::Reservation, "/reservations?size=1&status=Reservation%20Requested"),
        count(client, Context::Reservation, "/reservations?size=1&status=Waitlisted"),
        count(client, Context::Notification, "/notifications?size=1&status=Pending"),
        count(client, Context::Notification, "/notifications?size=1&status=Failed"),
        count(client, Context::Information, "/infomations?size=1&status=Payment%20Delayed"),
        count(client, Context::Information, "/infomations?size=1&status=Payment%20Declined"),
        count(client, Context::Member, "/members?size=1"),
        client.get::<Breaker>(Context::Order, "/circuit-breakers/pay"),
        client.get::<EventLog>(Context::Member, "/event-log"),
        pace::look(client),
    );
    let open = client
        .get::<List<Infomation>>(
            Context::Information,
            "/infomations?status=Payment%20Delayed&size=20&sort=orderId,desc",
        )
        .await
        .map(List::items)
        .unwrap_or_default();
    let open: Vec<_> = open
        .into_iter()
        .filter(|it| it.order_status == Some(kernel::OrderStatus::Ordered))
        .take(NAMED)
        .map(|it| Open {
            order_id: it.order_id,
            title: it.course_title.unwrap_or_default(),
            since: format::moment(it.updated_at, t.0),
        })
        .collect();
    let parts: Vec<_> = [
        (t.part_order(), &orders, t.advice_order()),
        (t.part_pay(), &pays, t.advice_pay()),
        (t.part_reservation(), &courses, t.advice_reservation()),
        (t.part_notification(), &pending, t.advice_notification()),
        (t.part_information(), &delayed, t.advice_information()),
        (t.part_member(), &member, t.advice_member()),
    ]
    .into_iter()
    .map(|(name, (asked, took), advice)| part(name, asked, *took, advice, t))
    .collect();
    let breaker = breaker.ok().map(|breaker| breaker::Shown::of(&breaker, t));
    let log = log.ok();
    let consumers = log::consumers(log.as_ref(), now, t);
    let dead_letters = log.map_or(0, |log| log.consumers.iter().map(|lag| lag.dead_letters).sum());
    let is_away = parts.iter().any(|part| part.state.0 == "bad");
    let number = |name: &str, (asked, _): &(Asked<u64>, u128), bad: bool, advice: &str| Number {
        name: name.to_owned(),
        value: asked.as_ref().map_or_else(|_| t.not_known().to_owned(), |count| format::number(*count)),
        state: match asked {
            Ok(0) => "good",
            Ok(_) if bad => "warn",
            Ok(_) => "",
            Err(_) => "over",
        },
        advice: advice.to_owned(),
    };
    let numbers = vec![
        number(t.number_failed(), &failed, true, t.advice_failed()),
        number(t.number_pending(), &pending, false, t.advice_pending()),
        number(t.number_delayed(), &delayed, true, t.advice_delayed()),
        number(t.number_declined(), &declined, false, t.advice_declined()),
        number(t.number_requested(), &requested, false, t.advice_requested()),
        number(t.number_waiting(), &waiting, false, t.advice_waiting()),
        number(t.number_orders(), &orders, false, t.advice_orders()),
        number(t.number_courses(), &courses, false, t.advice_courses()),
    ];
    let needs_a_look = |numbers: &[Number]| numbers.iter().any(|number| number.state == "warn");
    let is_cut_off = breaker.as_ref().is_some_and(|breaker| breaker.state.0 != "good");
    let look = is_cut_off || dead_letters > 0 || needs_a_look(&numbers) || needs_a_look(&consumers);
    let (state, word) = match (is_away, look) {
        (true, _) => ("bad", t.health_bad()),
        (false, true) => ("warn", t.health_look()),
        (false, false) => ("good", t.health_good()),
    };
    Live {
        t,
        parts,
        breaker,
        consumers,
        dead_letters,
        pace: pace.numbers(now, t),
        numbers,
        open,
        word,
        state,
        at: t.looked_at(format::hour(now, t.0)),
    }
}

fn part(name: &'static str, asked: &Asked<u64>, took: u128, advice: &'static str, t: Messages) -> Part {
    let state = match asked {
        Ok(_) if took > SLOW => ("warn", t.part_slow()),
        Ok(_) => ("good", t.part_well()),
        Err(Trouble::Away(_)) => ("bad", t.part_away()),
        // It answers, and says no: nobody is signed in, say.
        Err(Trouble::Problem(_)) => ("over", t.part_refuses()),
    };
    let time = if asked.is_ok() { t.milliseconds(took) } else { String::new() };
    let advice = match asked {
        Ok(_) if state.0 == "good" => "",
        Err(Trouble::Problem(_)) => t.advice_refuses(),
        _ => advice,
    };
    Part { name, state, time, advice }
}
