//! Conditions that vary, and the part of a list that a page is.

use crate::statement::{Param, json_values};
use crate::{Statement, Value};
use kernel::{Owners, Page};

/// Conditions joined by `AND`, with their parameters. The texts are ours; only values come from outside.
///
/// ```
/// # use store::{Filter, Page};
/// let open = Filter::default().equal("status", Some("Open")).equal("edu_no", None::<u64>);
/// let first = Page { limit: 20, ..Page::default() };
/// let statement = open.page("SELECT edu_no FROM courses", "edu_no", &first);
/// assert_eq!(
///     statement.sql(),
///     "SELECT edu_no FROM courses WHERE status = $1 ORDER BY edu_no ASC LIMIT $2 OFFSET $3"
/// );
/// ```
#[derive(Clone, Debug, Default)]
pub struct Filter {
    conditions: Vec<String>,
    params: Vec<Value>,
}

impl Filter {
    /// `column` must have this value; without a value this is no condition.
    #[must_use]
    pub fn equal(self, column: &str, value: Option<impl Param>) -> Self {
        self.with(column, "=", value)
    }

    /// `column` must have this value or more; without a value this is no condition.
    #[must_use]
    pub fn at_least(self, column: &str, value: Option<impl Param>) -> Self {
        self.with(column, ">=", value)
    }

    /// `column` must have less than this value; without a value this is no condition.
    #[must_use]
    pub fn below(self, column: &str, value: Option<impl Param>) -> Self {
        self.with(column, "<", value)
    }

    /// `column` must be one of these values; an empty list is no condition.
    #[must_use]
    pub fn any_of(mut self, column: &str, values: &[&str]) -> Self {
        if values.is_empty() {
            return self;
        }
        let these = self.bind(json_values(values));
        self.conditions.push(format!("{column} IN (SELECT value ->> 'v' FROM json_each({these}))"));
        self
    }

    /// Rows of applications that belong to one of these; without them this is no condition. `of` is what the columns
    /// `customer_id`, `order_id` and `edu_no` are qualified with (`i.`). A manager's are found by the table `course_managers`,
    /// which whoever has managers among its owners must have.
    #[must_use]
    pub fn owned(mut self, of: &str, owners: Option<&Owners>) -> Self {
        let Some(owners) = owners else { return self };
        let mut any = Vec::new();
        if let Some(customer) = owners.customer {
            any.push(format!("{of}customer_id = {}", self.bind(customer.get())));
        }
        match &*owners.orders {
            [] => {}
            // One is found by its key in any list.
            [order] => any.push(format!("{of}order_id = {}", self.bind(order.get()))),
            orders => {
                let these = self.bind(json_values(orders));
                any.push(format!(
                    "{of}order_id IN (SELECT CAST(value ->> 'v' AS BIGINT) FROM json_each({these}))"
                ));
            }
        }
        if let Some(manager) = owners.manager {
            let manager = self.bind(manager.get());
            any.push(format!(
                "{of}edu_no IN (SELECT edu_no FROM course_managers WHERE customer_id = {manager})"
            ));
        }
        self.conditions.push(match &*any {
            [] => "1 = 0".to_owned(),
            [one] => one.clone(),
            any => format!("({})", any.join(" OR ")),
        });
        self
    }

    /// Adds a parameter, and says how it is named.
    fn bind(&mut self, value: impl Param) -> String {
        self.params.push(value.into_value());
        format!("${}", self.params.len())
    }

    fn with(mut self, column: &str, operator: &str, value: Option<impl Param>) -> Self {
        if let Some(value) = value {
            let value = self.bind(value);
            self.conditions.push(format!("{column} {operator} {value}"));
        }
        self
    }

    /// `select` with these conditions.
    pub fn all(self, select: &str) -> Statement {
        let sql = self.sql(select);
        Statement::new(sql).extend(self.params)
    }

    /// `select` with these conditions, of which `page` in the order of `key`, a unique column.
    pub fn page(self, select: &str, key: &str, page: &Page) -> Statement {
        let filter = self.with(key, ">", page.after);
        let direction = if page.descending && page.after.is_none() { "DESC" } else { "ASC" };
        let order = match page.sort.filter(|sort| *sort != key) {
            Some(column) => format!("{column} {direction}, {key} {direction}"),
            None => format!("{key} {direction}"),
        };
        let next = filter.params.len() + 1;
        let sql = format!("{} ORDER BY {order} LIMIT ${next} OFFSET ${}", filter.sql(select), next + 1);
        Statement::new(sql).extend(filter.params).bind(page.limit).bind(page.offset)
    }

    fn sql(&self, select: &str) -> String {
        if self.conditions.is_empty() {
            select.to_owned()
        } else {
            format!("{select} WHERE {}", self.conditions.join(" AND "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(statement: &Statement) -> String {
        format!("{} {:?}", statement.sql(), statement.params())
    }

    #[test]
    fn rows_are_of_whom_they_belong_to() {
        let id = |raw| kernel::CustomerId::parse(raw).unwrap();
        let order = |raw| kernel::OrderId::parse(raw).unwrap();
        let sql = |owners: Option<&Owners>| {
            Filter::default().owned("", owners).all("SELECT x FROM t").sql().to_owned()
        };
        assert_eq!(sql(None), "SELECT x FROM t");
        assert_eq!(sql(Some(&Owners::default())), "SELECT x FROM t WHERE 1 = 0");
        let owners = Owners { customer: Some(id(7)), ..Owners::default() };
        assert_eq!(sql(Some(&owners)), "SELECT x FROM t WHERE customer_id = $1");
        let owners = Owners { orders: vec![order(1)], manager: Some(id(8)), ..owners };
        assert_eq!(
            shown(&Filter::default().owned("i.", Some(&owners)).all("SELECT x FROM t")),
            "SELECT x FROM t WHERE (i.customer_id = $1 OR i.order_id = $2 OR \
             i.edu_no IN (SELECT edu_no FROM course_managers WHERE customer_id = $3)) \
             [Value::Integer(7), Value::Integer(1), Value::Integer(8)]"
        );
    }

    #[test]
    fn going_by_key_begins_behind_it_and_goes_up() {
        let page = Page { limit: 2, after: Some(5), descending: true, ..Page::default() };
        assert_eq!(
            shown(&Filter::default().page("SELECT x FROM t", "id", &page)),
            "SELECT x FROM t WHERE id > $1 ORDER BY id ASC LIMIT $2 OFFSET $3 [Value::Integer(5), Value::Integer(2), Value::Integer(0)]"
        );
    }

    #[test]
    fn the_key_decides_between_rows_that_sort_alike() {
        let page = Page { limit: 2, sort: Some("at"), descending: true, ..Page::default() };
        let sql = Filter::default().page("SELECT x FROM t", "id", &page);
        assert!(sql.sql().ends_with("ORDER BY at DESC, id DESC LIMIT $1 OFFSET $2"), "{}", sql.sql());
    }

    #[test]
    fn a_list_of_values_is_one_parameter_however_long_it_is() {
        let filter = Filter::default().any_of("status", &["a", "b"]).equal("id", Some(7_u64));
        assert_eq!(
            shown(&filter.all("SELECT x FROM t")),
            r#"SELECT x FROM t WHERE status IN (SELECT value ->> 'v' FROM json_each($1)) AND id = $2 [Value::Text("[{\"v\":\"a\"},{\"v\":\"b\"}]"), Value::Integer(7)]"#
        );
        assert_eq!(Filter::default().any_of("status", &[]).all("SELECT 1").sql(), "SELECT 1");
    }
}
