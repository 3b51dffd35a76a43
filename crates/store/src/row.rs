//! Reading one row.

use crate::StoreError;
use spin_sdk::sqlite::{RowResult, Value};

/// One row of an answer. Columns are read by position, from 0; a column of another type than asked for is a
/// mistake in our SQL, so a [`StoreError::Failure`].
#[derive(Debug)]
pub struct Row(Vec<Value>);

impl Row {
    pub(crate) fn new(row: RowResult) -> Self {
        Self(row.values)
    }

    /// A row made by hand, for tests of what reads rows.
    pub const fn of(values: Vec<Value>) -> Self {
        Self(values)
    }

    /// All of its columns.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// The text in column `index`.
    pub fn text(&self, index: usize) -> Result<&str, StoreError> {
        self.opt_text(index)?.ok_or_else(|| wrong(index, "a text", &Value::Null))
    }

    /// The text in column `index`, or none where it is `NULL`.
    pub fn opt_text(&self, index: usize) -> Result<Option<&str>, StoreError> {
        match self.value(index)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other => Err(wrong(index, "a text", other)),
        }
    }

    /// The integer in column `index`.
    pub fn int(&self, index: usize) -> Result<i64, StoreError> {
        self.opt_int(index)?.ok_or_else(|| wrong(index, "an integer", &Value::Null))
    }

    /// The integer in column `index`, or none where it is `NULL`.
    pub fn opt_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        match self.value(index)? {
            Value::Integer(number) => Ok(Some(*number)),
            Value::Null => Ok(None),
            other => Err(wrong(index, "an integer", other)),
        }
    }

    /// The count, version or identifier in column `index`: an integer that is not negative.
    pub fn count(&self, index: usize) -> Result<u64, StoreError> {
        let number = self.int(index)?;
        u64::try_from(number)
            .map_err(|_| StoreError::Failure(format!("column {index} holds {number}, which is negative")))
    }

    /// The bytes in column `index`.
    pub fn blob(&self, index: usize) -> Result<&[u8], StoreError> {
        match self.value(index)? {
            Value::Blob(bytes) => Ok(bytes),
            other => Err(wrong(index, "bytes", other)),
        }
    }

    /// What `read` makes of the text in column `index`.
    pub fn parse<T>(&self, index: usize) -> Result<T, StoreError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(index)?;
        text.parse().map_err(|e| StoreError::Failure(format!("column {index} holds {text:?}: {e}")))
    }

    fn value(&self, index: usize) -> Result<&Value, StoreError> {
        self.0.get(index).ok_or_else(|| StoreError::Failure(format!("the row has no column {index}")))
    }
}

fn wrong(index: usize, wanted: &str, found: &Value) -> StoreError {
    let found = match found {
        Value::Integer(_) => "an integer",
        Value::Real(_) => "a real",
        Value::Text(_) => "a text",
        Value::Blob(_) => "bytes",
        Value::Null => "NULL",
    };
    StoreError::Failure(format!("column {index} should be {wanted} and is {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_another_type_is_named() {
        let row = Row::of(vec![Value::Integer(7), Value::Null]);
        assert_eq!(row.int(0).unwrap(), 7);
        assert_eq!(row.opt_text(1).unwrap(), None);
        assert_eq!(
            row.text(0).unwrap_err(),
            StoreError::Failure("column 0 should be a text and is an integer".to_owned())
        );
        assert!(row.int(2).is_err());
        assert!(Row::of(vec![Value::Integer(-1)]).count(0).is_err());
    }
}
