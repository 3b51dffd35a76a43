//! What this context keeps of what others have told: `pay` of payments, `reservation` of courses.

use super::{Stored, read};
use kernel::event::Course;
use kernel::{EduNo, OrderId, PayStatus};
use std::collections::BTreeMap;
use store::{Row, Storage, StoreError, count as number, int, opt_text, placeholders, text};

/// Something that `pay` has told of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) order_id: OrderId,
    pub(crate) status: PayStatus,
    pub(crate) version: u64,
    pub(crate) card_last4: Option<String>,
}

/// Writes down what `pay` answered to this context's own question, which is news even where it repeats a
/// version that was seen before: the payment was taken to be delayed since. Returns the orders concerned.
pub(crate) async fn settle(storage: &impl Storage, facts: &[Fact]) -> Result<Vec<Stored>, StoreError> {
    let rows = write_facts(storage, facts, "<=").await?;
    rows.iter().map(Stored::read).collect()
}

/// Writes down what `pay`'s events tell; what came late changes nothing.
pub(crate) async fn replicate(storage: &impl Storage, facts: &[Fact]) -> Result<(), StoreError> {
    // Without the guard: whatever was seen before.
    let older = if faults::guard("order.pay-version") { "<" } else { "<> -" };
    write_facts(storage, facts, older).await.map(drop)
}

async fn write_facts(
    storage: &impl Storage,
    facts: &[Fact],
    older: &'static str,
) -> Result<Vec<Row>, StoreError> {
    let mut latest: BTreeMap<OrderId, &Fact> = BTreeMap::new();
    for fact in facts {
        let kept = latest.entry(fact.order_id).or_insert(fact);
        if kept.version < fact.version || !faults::guard("order.pay-version") {
            *kept = fact;
        }
    }
    if latest.is_empty() {
        return Ok(vec![]);
    }
    let sql = format!(
        "UPDATE orders SET pay_status = fact.column2, pay_version = fact.column3,
             pay_card_last4 = coalesce(fact.column4, pay_card_last4),
             due_at = CASE WHEN fact.column2 <> 'Paid' THEN due_at END
         FROM (VALUES {}) AS fact
         WHERE orders.order_id = fact.column1 AND orders.pay_version {older} fact.column3
         RETURNING {}",
        placeholders(latest.len(), 4),
        read::COLUMNS,
    );
    let params = latest.values().flat_map(|fact| {
        [
            int(fact.order_id.as_i64()),
            text(fact.status.as_str()),
            number(fact.version),
            opt_text(fact.card_last4.as_deref()),
        ]
    });
    storage.query(&sql, params.collect()).await
}

/// Takes in courses as events describe them, each with its event's version.
pub(crate) async fn learn_courses(
    storage: &impl Storage,
    courses: &[(&Course, u64)],
) -> Result<(), StoreError> {
    let mut latest: BTreeMap<EduNo, (&Course, u64)> = BTreeMap::new();
    for (terms, version) in courses {
        let kept = latest.entry(terms.edu_no).or_insert((terms, *version));
        if kept.1 < *version {
            *kept = (terms, *version);
        }
    }
    if latest.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO courses (edu_no, title, fee, status, version) VALUES {}
         ON CONFLICT (edu_no) DO UPDATE SET title = excluded.title, fee = excluded.fee,
             status = excluded.status, version = excluded.version
         WHERE courses.version < excluded.version",
        placeholders(latest.len(), 5),
    );
    let params = latest.values().flat_map(|(terms, version)| {
        [
            int(terms.edu_no.as_i64()),
            text(terms.title.as_str()),
            int(terms.fee.as_i64()),
            text(terms.status.as_str()),
            number(*version),
        ]
    });
    storage.query(&sql, params.collect()).await.map(drop)
}
