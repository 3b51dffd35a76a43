//! A course as its manager sees it: numbers, applications as they come in, the roster.

use super::{course, whole};
use crate::client::{Client, Context, Trouble};
use crate::documents::{Course, Infomation, List, Reservation};
use crate::filters;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::pages::catalogue::state;
use crate::view;
use askama::Template;
use hal::{Response, StatusCode};
use kernel::{EduNo, OrderId, PayStatus, ReservationStatus, Timestamp};
use std::collections::BTreeMap;

/// How many days the chart of applications goes back.
const DAYS: i64 = 14;
/// How wide and high a chart is, in its own units.
const WIDTH: u64 = 280;
const HEIGHT: u64 = 80;

/// An application that is to be decided about, or waits.
struct Application {
    order_id: u64,
    who: String,
    people: String,
    when: String,
    state: (&'static str, &'static str),
    position: Option<u64>,
}

impl Application {
    fn of(reservation: &Reservation, names: &Names, t: Messages) -> Self {
        let colour = match reservation.status {
            ReservationStatus::ReservationConfirmed => "good",
            ReservationStatus::ReservationRequested => "warn",
            ReservationStatus::Waitlisted => "busy",
            ReservationStatus::ReservationRejected | ReservationStatus::ReservationCanceled => "over",
        };
        Self {
            order_id: reservation.order_id.get(),
            who: who(reservation, names, t),
            people: t.people(reservation.guest),
            when: reservation.reserved_at.map_or_else(String::new, |at| format::moment(at, t.0)),
            state: (colour, view::reservation_status(reservation.status, t)),
            position: reservation.waiting_position,
        }
    }
}

/// What applicants are called, by the numbers of their orders.
type Names = BTreeMap<OrderId, String>;

fn names(views: &[Infomation]) -> Names {
    views.iter().filter_map(|view| Some((view.order_id, view.customer_name.clone()?))).collect()
}

fn who(reservation: &Reservation, names: &Names, t: Messages) -> String {
    match (names.get(&reservation.order_id), reservation.customer_id) {
        (Some(name), _) => name.clone(),
        (None, Some(member)) => t.member_number(member),
        (None, None) => t.guest_applicant().to_owned(),
    }
}

/// A day of the chart.
struct Bar {
    x: u64,
    y: u64,
    height: u64,
}

/// What moves by itself.
#[derive(Template)]
#[template(path = "manage_live.html")]
struct Live {
    t: Messages,
    edu_no: EduNo,
    tiles: Vec<(&'static str, String, String)>,
    bars: Vec<Bar>,
    chart_says: String,
    first_day: String,
    last_day: String,
    applications: Vec<Application>,
    is_away: bool,
}

#[derive(Template)]
#[template(path = "manage_course.html")]
struct CoursePage {
    t: Messages,
    page: Page,
    course: Course,
    state: (&'static str, &'static str),
    when: String,
    fee: String,
    notices: Vec<(&'static str, String)>,
    live: String,
}

pub(crate) async fn show(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let t = visit.t();
    let course = match course(visit, edu_no).await {
        Ok(course) => course,
        Err(instead) => return instead,
    };
    let mut page = visit.page("manage");
    let live = match look(visit.client(), &course, t).await {
        Ok(live) => live,
        Err(trouble @ Trouble::Problem(_)) => return page::trouble(visit, &trouble),
        Err(trouble) => {
            _ = page.expect::<()>(Err(trouble));
            away(edu_no, t)
        }
    };
    let live = page::written(&live);
    let count =
        |name| visit.request.query.get(name).ok().flatten().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let mut notices = Vec::new();
    if count("done") > 0 {
        notices.push(("good", t.decided(count("done"))));
    }
    if count("refused") > 0 {
        notices.push(("warn", t.decided_too_late(count("refused"))));
    }
    let has = |name| visit.request.query.get(name).is_ok_and(|there| there.is_some());
    if has("away") {
        notices.push(("warn", t.decided_not_all().to_owned()));
    }
    if has("none") {
        notices.push(("warn", t.decided_none().to_owned()));
    }
    page::ok(&CoursePage {
        t,
        page,
        state: state(&course, t),
        when: format::period(course.starts_at, course.ends_at, t.0),
        fee: view::fee(course.fee, t),
        notices,
        live,
        course,
    })
}

/// The part that moves by itself.
pub(crate) async fn live(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let course = match course(visit, edu_no).await {
        Ok(course) => course,
        Err(instead) => return instead,
    };
    match look(visit.client(), &course, visit.t()).await {
        Ok(live) => page::ok(&live),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

const fn away(edu_no: EduNo, t: Messages) -> Live {
    Live {
        t,
        edu_no,
        tiles: Vec::new(),
        bars: Vec::new(),
        chart_says: String::new(),
        first_day: String::new(),
        last_day: String::new(),
        applications: Vec::new(),
        is_away: true,
    }
}

async fn look(client: Client<'_>, course: &Course, t: Messages) -> Result<Live, Trouble> {
    let number = course.edu_no;
    let latest = format!("/reservations?eduNo={number}&size=1000&page=0&sort=orderId,desc");
    let views = format!("/infomations?eduNo={number}&size=1000&page=0&sort=orderId,desc");
    let (latest, views) = futures::join!(
        client.get::<List<Reservation>>(Context::Reservation, &latest),
        client.get::<List<Infomation>>(Context::Information, &views),
    );
    let reservations = latest?.items();
    // Without the view the money is not shown, and all else is.
    let views = views.ok().map(List::items);
    let money = views.as_ref().map(|views| money(views, &reservations));
    let names = names(views.as_deref().unwrap_or_default());
    let with = |status| reservations.iter().filter(move |it| it.status == status);
    let people = |status| with(status).map(|it| it.guest).sum::<u64>();
    let (requested, confirmed, waiting) = (
        ReservationStatus::ReservationRequested,
        ReservationStatus::ReservationConfirmed,
        ReservationStatus::Waitlisted,
    );
    let count = |status| t.orders_of(with(status).count());
    let tile = |name, status| (name, t.people(format::number(people(status))), count(status));
    let mut tiles = vec![
        tile(t.tile_confirmed(), confirmed),
        tile(t.tile_requested(), requested),
        tile(t.tile_waiting(), waiting),
        (t.tile_left(), format::number(course.left()), t.of_seats(format::number(course.capacity))),
    ];
    if let Some((taken, given_back)) = money {
        tiles.push((t.tile_money_in(), format::won(taken, t.0), t.tile_money_in_note().to_owned()));
        tiles.push((t.tile_money_out(), format::won(given_back, t.0), t.tile_money_out_note().to_owned()));
    }
    let now = Timestamp::now();
    let days = per_day(&reservations, now);
    let mut pending: Vec<_> = with(requested).chain(with(waiting)).collect();
    pending.sort_by_key(|it| (it.status != requested, it.waiting_position, it.order_id.get()));
    Ok(Live {
        t,
        edu_no: number,
        tiles,
        chart_says: t.chart_says(DAYS, format::number(days.iter().sum())),
        bars: bars(&days),
        first_day: format::date(now.plus_minutes(-(DAYS - 1) * 24 * 60), t.0),
        last_day: format::date(now, t.0),
        applications: pending.into_iter().map(|it| Application::of(it, &names, t)).collect(),
        is_away: false,
    })
}

/// How much was taken and not given back, and how much was given back. What never had a seat or a place on the waiting list was
/// never paid.
fn money(views: &[Infomation], reservations: &[Reservation]) -> (u64, u64) {
    let sum = |status, was_reserved: bool| {
        let fits = |it: &&Infomation| {
            let reserved =
                || reservations.iter().any(|r| r.order_id == it.order_id && r.reserved_at.is_some());
            it.pay_status == Some(status) && (!was_reserved || reserved())
        };
        views.iter().filter(fits).filter_map(|it| it.amount).sum()
    };
    (sum(PayStatus::Paid, false), sum(PayStatus::PaymentCanceled, true))
}

/// How many applications came on each of the last days, by the clock of Seoul.
fn per_day(reservations: &[Reservation], now: Timestamp) -> Vec<u64> {
    let day = |ago: i64| format::day(now.plus_minutes(-ago * 24 * 60));
    let days = (0..DAYS).rev().map(day);
    let count = |day: String| {
        let on_day = |it: &&Reservation| it.reserved_at.is_some_and(|at| format::day(at) == day);
        reservations.iter().filter(on_day).count() as u64
    };
    days.map(count).collect()
}

fn bars(days: &[u64]) -> Vec<Bar> {
    let most = days.iter().copied().max().unwrap_or(0).max(1);
    let step = WIDTH / (days.len() as u64).max(1);
    let bar = |(index, count): (usize, &u64)| {
        let height = (count * (HEIGHT - 4)).div_ceil(most);
        Bar { x: index as u64 * step + 2, y: HEIGHT - height, height }
    };
    days.iter().enumerate().map(bar).collect()
}

#[derive(Template)]
#[template(path = "roster.html")]
struct Roster {
    t: Messages,
    page: Page,
    course: Course,
    when: String,
    applications: Vec<Application>,
}

pub(crate) async fn roster(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let t = visit.t();
    let course = match course(visit, edu_no).await {
        Ok(course) => course,
        Err(instead) => return instead,
    };
    let client = visit.client();
    let (path, views) = (format!("/courses/{edu_no}/roster"), format!("/infomations?eduNo={edu_no}"));
    let (listed, views) = futures::join!(
        whole::<Reservation>(client, Context::Reservation, &path, |it| it.order_id.get()),
        whole::<Infomation>(client, Context::Information, &views, |it| it.order_id.get()),
    );
    let names = names(&views.unwrap_or_default());
    match listed {
        Ok(reservations) => page::ok(&Roster {
            t,
            page: visit.page("manage"),
            when: format::period(course.starts_at, course.ends_at, t.0),
            applications: reservations.iter().map(|it| Application::of(it, &names, t)).collect(),
            course,
        }),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

/// The whole roster for a spreadsheet, as `reservation` writes it: what people typed is safe in it already.
pub(crate) async fn roster_csv(visit: &Visit<'_>, edu_no: EduNo) -> Response {
    let path = format!("/courses/{edu_no}/roster");
    match visit.client().raw(Context::Reservation, &path, "text/csv").await {
        Ok(csv) => Response::of(StatusCode::OK, "text/csv; charset=utf-8", csv.to_vec())
            .header("content-disposition", &format!("attachment; filename=\"roster-{edu_no}.csv\""))
            .header("cache-control", "no-store"),
        Err(trouble) => page::trouble(visit, &trouble),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn reservation(order: u64, reserved_at: Value) -> Reservation {
        serde_json::from_value(
            json!({ "orderId": order, "customerId": null, "guest": 2, "status": "Reservation Canceled",
            "waitingPosition": null, "reservedAt": reserved_at }),
        )
        .unwrap()
    }

    #[test]
    fn only_what_was_reserved_was_paid_and_so_can_be_given_back() {
        let view = |order: u64, status: &str| -> Infomation {
            serde_json::from_value(
                json!({ "orderId": order, "eduNo": 1, "courseTitle": null, "guest": 1, "amount": 100,
                "orderStatus": null, "payStatus": status, "reservationStatus": null, "courseStatus": null,
                "waitingPosition": null, "updatedAt": "2026-11-22T00:00:00Z" }),
            )
            .unwrap()
        };
        let views = [
            view(1, "Paid"),
            view(2, "Payment Canceled"),
            view(3, "Payment Canceled"),
            view(4, "Payment Delayed"),
        ];
        let reservations = [reservation(2, json!("2026-11-22T00:00:00Z")), reservation(3, Value::Null)];
        assert_eq!(money(&views, &reservations), (100, 100));
    }

    #[test]
    fn a_chart_shows_days_of_seoul_and_fits_its_frame() {
        let now = "2026-11-22T16:00:00Z".parse().unwrap();
        let days = per_day(
            &[reservation(1, json!("2026-11-22T15:30:00Z")), reservation(2, json!("2026-11-22T14:30:00Z"))],
            now,
        );
        assert_eq!(days.iter().rev().take(3).collect::<Vec<_>>(), [&1, &1, &0]);
        let bars = bars(&[0, 5, 10]);
        assert!(bars.iter().all(|bar| bar.y + bar.height == HEIGHT && bar.x < WIDTH));
        assert_eq!((bars[0].height, bars[2].height), (0, HEIGHT - 4));
    }
}
