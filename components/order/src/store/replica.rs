//! What this context keeps of what others have told: `pay` of payments, `reservation` of courses.

use super::{COLUMNS, Stored, read_all};
use kernel::event::Course;
use kernel::{OrderId, PayStatus};
use serde::Serialize;
use std::collections::BTreeMap;
use store::{Statement, Storage, StoreError};

/// Something that `pay` has told of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fact {
    pub(crate) order_id: OrderId,
    pub(crate) status: PayStatus,
    pub(crate) version: u64,
    pub(crate) card_last4: Option<String>,
}

/// Of these orders ($1) those of which something newer is known than what was told.
const NEWS: &str = "SELECT orders.order_id FROM orders
    JOIN (SELECT CAST(value ->> 'orderId' AS BIGINT) AS order_id, CAST(value ->> 'version' AS BIGINT) AS version
        FROM json_each($1)) AS told ON told.order_id = orders.order_id";

const HEAR: &str = "UPDATE orders SET pay_status = told.status, pay_version = told.version,
        pay_card_last4 = coalesce(told.card_last4, pay_card_last4),
        due_at = CASE WHEN told.status <> 'Paid' THEN due_at END
    FROM (SELECT CAST(value ->> 'orderId' AS BIGINT) AS order_id, value ->> 'status' AS status,
            CAST(value ->> 'version' AS BIGINT) AS version, value ->> 'cardLast4' AS card_last4
        FROM json_each($1)) AS told
    WHERE orders.order_id = told.order_id";

const IS_NEWS: &str = "orders.pay_version < told.version";

/// Writes down what `pay` has told, of whatever is news; what came late changes nothing. Returns the orders that it was
/// news of, as they are with it.
pub(crate) async fn hear(storage: &impl Storage, facts: &[Fact]) -> Result<Vec<Stored>, StoreError> {
    let newest = newest(facts);
    if newest.is_empty() {
        return Ok(vec![]);
    }
    // Without the guard: whatever was seen before.
    let only_news = if faults::guard("order.pay-version") { format!("AND {IS_NEWS}") } else { String::new() };
    let hear = Statement::new(format!("{HEAR} {only_news} RETURNING {COLUMNS}"));
    read_all(storage, hear.bind_list(newest.values())).await
}

/// The same for facts of which most are known already: without news nothing is written.
pub(crate) async fn hear_news(storage: &impl Storage, facts: &[Fact]) -> Result<(), StoreError> {
    let mut newest = newest(facts);
    if newest.is_empty() {
        return Ok(());
    }
    if faults::guard("order.pay-version") {
        let asked = Statement::new(format!("{NEWS} WHERE {IS_NEWS}")).bind_list(newest.values());
        let rows = asked.rows(storage).await?;
        let news: Vec<_> =
            rows.iter().map(|row| row.number("order_id", OrderId::parse)).collect::<Result<_, _>>()?;
        newest.retain(|order_id, _| news.contains(order_id));
    }
    let news: Vec<_> = newest.into_values().cloned().collect();
    hear(storage, &news).await.map(drop)
}

fn newest(facts: &[Fact]) -> BTreeMap<OrderId, &Fact> {
    let mut newest: BTreeMap<OrderId, &Fact> = BTreeMap::new();
    for fact in facts {
        let kept = newest.entry(fact.order_id).or_insert(fact);
        if kept.version < fact.version || !faults::guard("order.pay-version") {
            *kept = fact;
        }
    }
    newest
}

/// Takes in courses as events describe them, each with its event's version.
pub(crate) async fn learn_courses(
    storage: &impl Storage,
    courses: &[(u64, &Course)],
) -> Result<(), StoreError> {
    if courses.is_empty() {
        return Ok(());
    }
    let learn = Statement::new(
        "INSERT INTO courses (edu_no, title, fee, status, version)
         SELECT CAST(value ->> 'eduNo' AS BIGINT), value ->> 'title', CAST(value ->> 'fee' AS BIGINT),
             value ->> 'status', CAST(value ->> 'version' AS BIGINT)
         FROM json_each($1) WHERE true
         ON CONFLICT (edu_no) DO UPDATE SET title = excluded.title, fee = excluded.fee,
             status = excluded.status, version = excluded.version
         WHERE courses.version < excluded.version",
    );
    learn.bind_versioned(courses).run(storage).await
}
