//! Reading one row.

use crate::{StoreError, Value};
use kernel::event::Applicant;
use kernel::{CustomerId, EduNo, Guests, OrderId};
use std::fmt::Display;
use std::rc::Rc;
use std::str::FromStr;

/// One row of an answer. Columns are read by their names; one that is missing, or of another type than asked for, is a
/// mistake in our SQL, and so a [`StoreError::Failure`].
#[derive(Clone, Debug)]
pub struct Row {
    columns: Rc<[String]>,
    values: Vec<Value>,
}

impl Row {
    pub(crate) const fn new(columns: Rc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// Its values, in the order of the columns.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The text in a column.
    pub fn text(&self, column: &str) -> Result<&str, StoreError> {
        self.opt_text(column)?.ok_or_else(|| wrong(column, "a text", &Value::Null))
    }

    /// The text in a column, or none where it is `NULL`.
    pub fn opt_text(&self, column: &str) -> Result<Option<&str>, StoreError> {
        match self.value(column)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other => Err(wrong(column, "a text", other)),
        }
    }

    /// The text in a column as a text of its own, or none where it is `NULL`.
    pub fn opt_string(&self, column: &str) -> Result<Option<String>, StoreError> {
        Ok(self.opt_text(column)?.map(str::to_owned))
    }

    /// The integer in a column.
    pub fn int(&self, column: &str) -> Result<i64, StoreError> {
        self.opt_int(column)?.ok_or_else(|| wrong(column, "an integer", &Value::Null))
    }

    /// The integer in a column, or none where it is `NULL`.
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>, StoreError> {
        match self.value(column)? {
            Value::Integer(number) => Ok(Some(*number)),
            Value::Null => Ok(None),
            other => Err(wrong(column, "an integer", other)),
        }
    }

    /// The count, version or identifier in a column: an integer that is not negative.
    pub fn count(&self, column: &str) -> Result<u64, StoreError> {
        self.opt_count(column)?.ok_or_else(|| wrong(column, "an integer", &Value::Null))
    }

    /// The same, or none where it is `NULL`.
    pub fn opt_count(&self, column: &str) -> Result<Option<u64>, StoreError> {
        let negative = |number| StoreError::Failure(format!("`{column}` holds {number}, which is negative"));
        self.opt_int(column)?.map(|number| u64::try_from(number).map_err(|_| negative(number))).transpose()
    }

    /// What `T` makes of the text in a column.
    pub fn parse<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, StoreError> {
        read(column, self.text(column)?, str::parse)
    }

    /// The same, or none where it is `NULL`.
    pub fn opt_parse<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>, StoreError> {
        self.opt_text(column)?.map(|text| read(column, text, str::parse)).transpose()
    }

    /// What `parse` makes of the number in a column, which must not be negative.
    pub fn number<T, E: Display>(
        &self,
        column: &str,
        parse: impl Fn(u64) -> Result<T, E>,
    ) -> Result<T, StoreError> {
        read(column, self.count(column)?, parse)
    }

    /// The same, or none where it is `NULL`.
    pub fn opt_number<T, E: Display>(
        &self,
        column: &str,
        parse: impl Fn(u64) -> Result<T, E>,
    ) -> Result<Option<T>, StoreError> {
        self.opt_count(column)?.map(|number| read(column, number, parse)).transpose()
    }

    /// Who applied for what: what every list of applications has columns for.
    pub fn applicant(&self) -> Result<Applicant, StoreError> {
        Ok(Applicant {
            order_id: self.number("order_id", OrderId::parse)?,
            customer_id: self.opt_number("customer_id", CustomerId::parse)?,
            edu_no: self.number("edu_no", EduNo::parse)?,
            guest: self.number("guest", Guests::parse)?,
            language: self.parse("language")?,
        })
    }

    fn value(&self, column: &str) -> Result<&Value, StoreError> {
        let found = self.columns.iter().position(|name| name == column);
        found
            .and_then(|index| self.values.get(index))
            .ok_or_else(|| StoreError::Failure(format!("the row has no column `{column}`")))
    }
}

/// What was stored once can be read again, unless another version wrote it.
fn read<R: Display + Copy, T, E: Display>(
    column: &str,
    raw: R,
    parse: impl Fn(R) -> Result<T, E>,
) -> Result<T, StoreError> {
    parse(raw).map_err(|error| StoreError::Failure(format!("`{column}` holds {raw}: {error}")))
}

fn wrong(column: &str, wanted: &str, found: &Value) -> StoreError {
    let found = match found {
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "a text",
        Value::Blob(_) => "bytes",
        Value::Null => "NULL",
    };
    StoreError::Failure(format!("`{column}` should be {wanted} and is {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_missing_or_of_another_type_is_named() {
        let columns = ["id", "title"].map(str::to_owned);
        let row = Row::new(columns.into(), vec![Value::Integer(-7), Value::Null]);
        assert_eq!(row.int("id").unwrap(), -7);
        assert_eq!(row.opt_text("title").unwrap(), None);
        let failure = |text: &str| StoreError::Failure(text.to_owned());
        assert_eq!(row.text("id").unwrap_err(), failure("`id` should be a text and is an integer"));
        assert_eq!(row.count("id").unwrap_err(), failure("`id` holds -7, which is negative"));
        assert_eq!(row.int("guest").unwrap_err(), failure("the row has no column `guest`"));
    }
}
