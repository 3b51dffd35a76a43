//! How many apply, and how long they wait until they are paid and have their seat. Reckoned from what lists tell anyway.

use super::Number;
use crate::client::{Client, Context};
use crate::documents::{Infomation, List, Order};
use crate::messages::Messages;
use futures::future::join_all;
use kernel::Timestamp;

/// How many of the newest orders are looked at.
const ORDERS: usize = 100;
/// For how many of them it is told how long they took.
const FOLLOWED: usize = 5;
/// How far back orders count, in minutes.
const MINUTES: i64 = 5;
/// An order that takes longer than this until it is paid, or from then until its seat, is slow, in milliseconds.
const SLOW: i64 = 5_000;

/// What the newest orders tell.
#[derive(Default)]
pub(super) struct Pace {
    /// When they came, newest first; none where nobody answers.
    ordered: Option<Vec<Timestamp>>,
    /// How long some of them took until they were paid, and from then until they had a seat or their place on the waiting
    /// list, in milliseconds.
    paid: Vec<i64>,
    seated: Vec<i64>,
}

pub(super) async fn look(client: Client<'_>) -> Pace {
    let newest = format!("/orders?size={ORDERS}&page=0&sort=orderedAt,desc");
    let Ok(orders) = client.get::<List<Order>>(Context::Order, &newest).await.map(List::items) else {
        return Pace::default();
    };
    let followed = orders.iter().take(FOLLOWED).map(|order| {
        let path = format!("/infomations/{}", order.order_id);
        async move { client.get::<Infomation>(Context::Information, &path).await.ok() }
    });
    let followed: Vec<_> = join_all(followed).await.into_iter().flatten().collect();
    Pace {
        ordered: Some(orders.iter().map(|order| order.ordered_at).collect()),
        paid: followed.iter().filter_map(|view| between(view, "Ordered", "Paid")).collect(),
        seated: followed.iter().filter_map(|view| between(view, "Paid", "Reserved")).collect(),
    }
}

/// From the first event of one name to the first of another.
fn between(view: &Infomation, from: &str, to: &str) -> Option<i64> {
    let first = |name: &str| view.timeline.iter().find(|it| it.event == name).map(|it| it.time.millis());
    Some((first(to)? - first(from)?).max(0))
}

impl Pace {
    pub(super) fn numbers(&self, now: Timestamp, t: Messages) -> Vec<Number> {
        let rate = Number {
            name: t.pace_rate().to_owned(),
            value: self
                .per_minute(now)
                .map_or_else(|| t.not_known().to_owned(), |rate| t.pace_per_minute(rate)),
            state: "",
            advice: t.pace_rate_text(MINUTES),
        };
        let longest = |name: &str, times: &[i64], advice: &str| {
            times.iter().max().map(|longest| Number {
                name: name.to_owned(),
                value: t.pace_seconds(tenths(longest / 100)),
                state: if *longest > SLOW { "warn" } else { "good" },
                advice: format!("{} {advice}", t.pace_of(times.len())),
            })
        };
        let paid = longest(t.pace_paid(), &self.paid, t.advice_pace_paid());
        let seated = longest(t.pace_seated(), &self.seated, t.advice_pace_seated());
        std::iter::once(rate).chain(paid).chain(seated).collect()
    }

    /// In tenths, as text. Where all that were looked at are newer, for as long as they took to come.
    fn per_minute(&self, now: Timestamp) -> Option<String> {
        let ordered = self.ordered.as_ref()?;
        let since = now.plus_millis(-MINUTES * 60_000);
        let newer = ordered.iter().filter(|at| **at >= since).count() as i64;
        let millis = match ordered.last() {
            Some(oldest) if newer as usize == ORDERS => (now.millis() - oldest.millis()).max(1_000),
            _ => MINUTES * 60_000,
        };
        Some(tenths(newer * 600_000 / millis))
    }
}

/// `12` as `1.2`.
fn tenths(value: i64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kernel::Language;

    const NOW: Timestamp = Timestamp::from_millis(1_795_309_323_004);

    fn ago(seconds: i64) -> Timestamp {
        NOW.plus_millis(-1000 * seconds)
    }

    fn per_minute(ordered: Vec<Timestamp>) -> String {
        Pace { ordered: Some(ordered), ..Pace::default() }.per_minute(NOW).unwrap()
    }

    #[test]
    fn orders_are_counted_over_five_minutes_or_for_as_long_as_a_hundred_took() {
        assert_eq!(per_minute(Vec::new()), "0.0");
        assert_eq!(per_minute(vec![ago(1), ago(299), ago(301)]), "0.4");
        assert_eq!(per_minute((0..100).map(|_| ago(30)).collect()), "200.0");
        assert_eq!(per_minute((0..100).map(|_| NOW).collect()), "6000.0");
        assert_eq!(Pace::default().per_minute(NOW), None);
    }

    #[test]
    fn the_longest_of_those_that_are_followed_counts() {
        let pace = Pace { ordered: None, paid: vec![200, 6_400, 300], seated: vec![150] };
        let numbers = pace.numbers(NOW, Messages(Language::En));
        let told: Vec<_> = numbers.iter().map(|it| (it.value.as_str(), it.state)).collect();
        assert_eq!(told, [("Unknown", ""), ("6.4 s", "warn"), ("0.1 s", "good")]);
    }
}
