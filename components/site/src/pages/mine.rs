//! The applications of whoever looks: a member's by their token, a guest's by the keys that their browser keeps.

use crate::client::{Asked, Client, Context, Trouble, found};
use crate::documents::{Infomation, List, Order};
use crate::filters;
use crate::form::Form;
use crate::format;
use crate::messages::Messages;
use crate::page::{self, Page, Visit};
use crate::view::{Known, Look};
use askama::Template;
use hal::{Response, StatusCode};
use kernel::OrderId;

/// A guest's browser keeps more keys than are looked at.
const SHOWN: usize = 20;

struct Row {
    order_id: OrderId,
    title: String,
    word: &'static str,
    look: Look,
    people: String,
    when: String,
}

impl Row {
    fn of(known: &Known, t: Messages) -> Option<Self> {
        let stage = known.stage();
        let when = known.order.as_ref().map(|order| order.ordered_at);
        let when = when.or_else(|| known.infomation.as_ref().map(|it| it.updated_at))?;
        Some(Self {
            order_id: known.order_id()?,
            title: known.title().to_owned(),
            word: stage.word(t),
            look: stage.look(),
            people: t.people(known.guest()),
            when: format::moment(when, t.0),
        })
    }
}

#[derive(Template)]
#[template(path = "mine.html")]
struct Mine {
    t: Messages,
    page: Page,
    rows: Vec<Row>,
    is_guest: bool,
    is_away: bool,
    /// Whether an order is found by its number alone, as nobody is asked who they are.
    is_open: bool,
    /// A number that was not found, to be corrected.
    not_found: Option<String>,
}

pub(super) async fn show(visit: &Visit<'_>) -> Response {
    shown(visit, None).await
}

async fn shown(visit: &Visit<'_>, not_found: Option<String>) -> Response {
    let t = visit.t();
    let mut page = visit.page("mine");
    let is_guest = !visit.visitor.is_signed_in();
    let (known, is_away) = if is_guest {
        (of_guest(visit, &mut page).await, false)
    } else {
        let asked = of_member(visit.client(), visit.visitor.customer_id().unwrap_or_default()).await;
        let listed = page.expect(asked);
        let is_away = listed.is_none();
        (listed.unwrap_or_default(), is_away)
    };
    let rows = known.iter().filter_map(|known| Row::of(known, t)).collect();
    let code = if not_found.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let is_open = visit.settings.is_open;
    page::html(code, &Mine { t, page, rows, is_guest, is_away, is_open, not_found })
}

/// A member's: those of the view, or while it is away those of `order`, which know less.
async fn of_member(client: Client<'_>, me: u64) -> Asked<Vec<Known>> {
    // A manager reaches more than their own.
    let query = format!("?customerId={me}&sort=orderId,desc&size=50");
    let (told_path, own_path) = (format!("/infomations{query}"), format!("/orders{query}"));
    let told = client.get::<List<Infomation>>(Context::Information, &told_path);
    let own = client.get::<List<Order>>(Context::Order, &own_path);
    let (told, own) = futures::join!(told, own);
    if let (Err(trouble), Err(_)) = (&told, &own) {
        return Err(trouble.clone());
    }
    let mut told = told.map(List::items).unwrap_or_default();
    let mut known: Vec<Known> = Vec::new();
    for order in own.map(List::items).unwrap_or_default() {
        let index = told.iter().position(|it| it.order_id == order.order_id);
        let infomation = index.map(|index| told.remove(index));
        known.push(Known { order: Some(order), infomation, ..Known::default() });
    }
    known.extend(told.into_iter().map(|it| Known { infomation: Some(it), ..Known::default() }));
    Ok(known)
}

/// A guest's, one by one: each by its own key.
async fn of_guest(visit: &Visit<'_>, page: &mut Page) -> Vec<Known> {
    let asked = visit.visitor.orders.iter().take(SHOWN).map(|(order_id, _)| async move {
        let client = visit.client().about(*order_id);
        let (order_path, told_path) = (format!("/orders/{order_id}"), format!("/infomations/{order_id}"));
        futures::join!(
            client.get::<Order>(Context::Order, &order_path),
            client.get::<Infomation>(Context::Information, &told_path),
        )
    });
    let answers = futures::future::join_all(asked).await;
    let known = answers.into_iter().map(|(order, told)| Known {
        order: page.expect(found(order)).flatten(),
        infomation: page.expect(found(told)).flatten(),
        ..Known::default()
    });
    known.collect()
}

/// A guest's order by its number and key, which the browser keeps from then on.
pub(super) async fn find(visit: &mut Visit<'_>, form: &Form) -> Response {
    let given = form.get("order").to_owned();
    // A key has its order's number in it, so that it may be given alone.
    let (number, key) = match given.split_once('.') {
        Some((number, _)) => (number.to_owned(), Some(given.clone())),
        None => (given.clone(), None),
    };
    let Ok(order_id) = number.trim().parse::<OrderId>() else { return shown(visit, Some(given)).await };
    visit.visitor.orders.retain(|(known, _)| *known != order_id);
    if let Some(key) = &key {
        visit.visitor.orders.push((order_id, key.clone()));
    }
    let asked =
        visit.client().about(order_id).get::<Order>(Context::Order, &format!("/orders/{order_id}")).await;
    match asked {
        Ok(_) => {
            visit.visitor.keep_order(order_id, key.as_deref());
            page::see(&format!("/my/{order_id}"))
        }
        Err(Trouble::Problem(_)) => {
            visit.visitor.orders.retain(|(known, _)| *known != order_id);
            shown(visit, Some(given)).await
        }
        Err(trouble) => page::trouble(visit, &trouble),
    }
}
