//! Reading orders for answers.

use super::Stored;
use hal::{Direction, Paging, Sort};
use kernel::{CustomerId, EduNo, OrderStatus};
use store::{Storage, StoreError, Value, count as number, int, text};

/// What [`Stored`] is read from: of the table `orders`, and where the course stands.
pub(super) const COLUMNS: &str = "orders.order_id, orders.customer_id, orders.edu_no, orders.guest, \
    orders.language, orders.card_last4, orders.amount, orders.course_title, orders.ordered_at, \
    orders.status, orders.cancel_reason, orders.version, orders.pay_status, orders.pay_version, \
    orders.pay_card_last4, (SELECT c.status FROM courses AS c WHERE c.edu_no = orders.edu_no)";

/// How many columns those are.
pub(super) const COLUMN_COUNT: usize = 16;

/// Which orders are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    /// Of this customer.
    pub(crate) customer_id: Option<CustomerId>,
    /// For this course.
    pub(crate) edu_no: Option<EduNo>,
    /// Standing so.
    pub(crate) status: Option<OrderStatus>,
}

impl Filter {
    /// The conditions of a `WHERE`, and their parameters.
    fn conditions(&self) -> (Vec<&'static str>, Vec<Value>) {
        [
            ("orders.customer_id = ?", self.customer_id.map(|id| int(id.as_i64()))),
            ("orders.edu_no = ?", self.edu_no.map(|id| int(id.as_i64()))),
            ("orders.status = ?", self.status.map(|status| text(status.as_str()))),
        ]
        .into_iter()
        .filter_map(|(condition, value)| Some((condition, value?)))
        .unzip()
    }
}

/// Whether any course has been heard of.
pub(crate) async fn knows_courses(storage: &impl Storage) -> Result<bool, StoreError> {
    Ok(!storage.query("SELECT 1 FROM courses LIMIT 1", Vec::new()).await?.is_empty())
}

/// One page of orders, by number unless another order is asked for.
pub(crate) async fn list(
    storage: &impl Storage,
    filter: &Filter,
    paging: &Paging,
) -> Result<Vec<Stored>, StoreError> {
    let (mut conditions, mut params) = filter.conditions();
    if let Some(after) = paging.after {
        conditions.push("orders.order_id > ?");
        params.push(number(after));
    }
    let order = match paging.sort {
        Some(Sort { field: "orderedAt", direction }) => {
            format!("orders.ordered_at {0}, orders.order_id {0}", direction.sql())
        }
        sort => format!("orders.order_id {}", sort.map_or(Direction::Ascending, |s| s.direction).sql()),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM orders{} ORDER BY {order} LIMIT ? OFFSET ?",
        where_clause(&conditions)
    );
    params.extend([number(paging.size), number(paging.offset())]);
    let rows = storage.query(&sql, params).await?;
    rows.iter().map(Stored::read).collect()
}

/// How many orders there are: from the tallies, unless one customer's are asked for.
pub(crate) async fn count(storage: &impl Storage, filter: &Filter) -> Result<u64, StoreError> {
    let (conditions, params) = filter.conditions();
    let clause = where_clause(&conditions);
    let sql = if filter.customer_id.is_some() {
        format!("SELECT count(*) FROM orders{clause}")
    } else {
        format!("SELECT coalesce(sum(orders), 0) FROM tallies AS orders{clause}")
    };
    let rows = storage.query(&sql, params).await?;
    rows.first().map_or(Ok(0), |row| row.count(0))
}

fn where_clause(conditions: &[&str]) -> String {
    if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
}
