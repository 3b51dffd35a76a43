//! Conditions that vary, and the part of a list that a page is.

use crate::statement::Param;
use crate::{Statement, Value};

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

/// Which way a list goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// Descending, or not.
    pub const fn descending(yes: bool) -> Self {
        if yes { Self::Descending } else { Self::Ascending }
    }

    const fn sql(self) -> &'static str {
        match self {
            Self::Ascending => "ASC",
            Self::Descending => "DESC",
        }
    }
}

/// Which part of a list, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How many rows at most.
    pub limit: u64,
    /// Only those behind this key, in ascending order of the key: as fast however long the list is.
    pub after: Option<u64>,
    /// Not the first so many: costs more the more they are.
    pub offset: u64,
    /// The column to sort by before the key, if it is not the key.
    pub sort: Option<&'static str>,
    /// Which way.
    pub direction: Direction,
}

impl Filter {
    /// `column` must have this value; without a value this is no condition.
    #[must_use]
    pub fn equal(self, column: &str, value: Option<impl Param>) -> Self {
        match value {
            Some(value) => self.with(column, "=", value),
            None => self,
        }
    }

    /// `column` must be one of these values; an empty list is no condition.
    #[must_use]
    pub fn any_of(mut self, column: &str, values: &[&str]) -> Self {
        if values.is_empty() {
            return self;
        }
        self.params.extend(Statement::new("").bind_values(values).params().iter().cloned());
        self.conditions
            .push(format!("{column} IN (SELECT value ->> 'v' FROM json_each(${}))", self.params.len()));
        self
    }

    fn with(mut self, column: &str, operator: &str, value: impl Param) -> Self {
        self.params.push(value.into_value());
        self.conditions.push(format!("{column} {operator} ${}", self.params.len()));
        self
    }

    /// `select` with these conditions.
    pub fn all(self, select: &str) -> Statement {
        let sql = self.sql(select);
        Statement::new(sql).extend(self.params)
    }

    /// `select` with these conditions, of which `page` in the order of `key`, a unique column.
    pub fn page(self, select: &str, key: &str, page: &Page) -> Statement {
        let (filter, direction) = match page.after {
            Some(after) => (self.with(key, ">", after), Direction::Ascending),
            None => (self, page.direction),
        };
        let direction = direction.sql();
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
    fn going_by_key_begins_behind_it_and_goes_up() {
        let page = Page { limit: 2, after: Some(5), direction: Direction::Descending, ..Page::default() };
        assert_eq!(
            shown(&Filter::default().page("SELECT x FROM t", "id", &page)),
            "SELECT x FROM t WHERE id > $1 ORDER BY id ASC LIMIT $2 OFFSET $3 [Value::Integer(5), Value::Integer(2), Value::Integer(0)]"
        );
    }

    #[test]
    fn the_key_decides_between_rows_that_sort_alike() {
        let page = Page { limit: 2, sort: Some("at"), direction: Direction::Descending, ..Page::default() };
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
