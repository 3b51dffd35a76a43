//! One statement with its parameters.

use crate::{Row, Storage, StoreError, Value};
use serde::Serialize;
use std::borrow::Cow;

/// A statement and its parameters, in the order of `$1`, `$2`, … in its text.
///
/// The same text must mean the same to SQLite and PostgreSQL. SQLite numbers `$1` by where it is first seen, so the
/// first mention of each parameter comes in the order of the numbers. Where it cannot mean the same, `/*postgres … */` is
/// read by PostgreSQL alone and `/*sqlite … */` by SQLite alone; a statement of which nothing is left is not run.
///
/// ```
/// # use store::Statement;
/// let statement = Statement::new("SELECT title FROM courses WHERE edu_no = $1").bind(101_i64);
/// assert_eq!(statement.params().len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Statement {
    sql: Cow<'static, str>,
    params: Vec<Value>,
}

impl Statement {
    /// A statement without parameters yet.
    pub fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), params: Vec::new() }
    }

    /// With one more parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Param) -> Self {
        self.params.push(value.into_value());
        self
    }

    /// With a list as one parameter: the JSON text of an array, for `json_each($1)`. So the text of a statement does
    /// not depend on how many rows it is about, and is prepared once.
    #[must_use]
    pub fn bind_list<T: Serialize>(self, rows: impl IntoIterator<Item = T>) -> Self {
        self.bind(json_rows(rows))
    }

    /// The same of what events tell, each with its `version` beside it.
    #[must_use]
    pub fn bind_versioned<T: Serialize>(self, told: &[(u64, &T)]) -> Self {
        #[derive(Serialize)]
        struct Versioned<'a, T> {
            version: u64,
            #[serde(flatten)]
            told: &'a T,
        }
        self.bind_list(told.iter().map(|(version, told)| Versioned { version: *version, told }))
    }

    /// With a list of single values as one parameter: they are `value ->> 'v'` of `json_each($1)`.
    #[must_use]
    pub fn bind_values<T: Serialize>(self, values: impl IntoIterator<Item = T>) -> Self {
        self.bind(json_values(values))
    }

    /// The text.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The parameters.
    pub fn params(&self) -> &[Value] {
        &self.params
    }

    pub(crate) fn extend(mut self, values: Vec<Value>) -> Self {
        self.params.extend(values);
        self
    }

    /// Runs it and gives back all of its rows.
    pub async fn rows(&self, storage: &impl Storage) -> Result<Vec<Row>, StoreError> {
        storage.query(self).await
    }

    /// Runs it and gives back its first row, if there is one.
    pub async fn row(&self, storage: &impl Storage) -> Result<Option<Row>, StoreError> {
        Ok(storage.query(self).await?.into_iter().next())
    }

    /// Runs it and gives back the count in its one column, `total`.
    pub async fn total(&self, storage: &impl Storage) -> Result<u64, StoreError> {
        self.row(storage).await?.map_or(Ok(0), |row| row.count("total"))
    }

    /// Runs it for its effect.
    pub async fn run(&self, storage: &impl Storage) -> Result<(), StoreError> {
        storage.query(self).await.map(drop)
    }
}

/// A single value as an object, since what `json_each` makes of an object is the same in SQLite and PostgreSQL.
#[derive(Serialize)]
struct Single<T> {
    v: T,
}

/// The JSON text of an array of these rows.
pub fn json_rows<T: Serialize>(rows: impl IntoIterator<Item = T>) -> String {
    let rows: Vec<T> = rows.into_iter().collect();
    // Writing plain structures to memory cannot fail.
    serde_json::to_string(&rows).unwrap_or_default()
}

/// The JSON text of an array of these values, each as `value ->> 'v'`.
pub(crate) fn json_values<T: Serialize>(values: impl IntoIterator<Item = T>) -> String {
    json_rows(values.into_iter().map(|v| Single { v }))
}

/// What can be a parameter.
pub trait Param {
    /// As the store takes it.
    fn into_value(self) -> Value;
}

impl Param for Value {
    fn into_value(self) -> Value {
        self
    }
}

impl Param for i64 {
    fn into_value(self) -> Value {
        Value::Integer(self)
    }
}

impl Param for u32 {
    fn into_value(self) -> Value {
        Value::Integer(self.into())
    }
}

/// Counts, versions and identifiers, all of which end before 2^63.
impl Param for u64 {
    fn into_value(self) -> Value {
        Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Param for &str {
    fn into_value(self) -> Value {
        Value::Text(self.to_owned())
    }
}

impl Param for String {
    fn into_value(self) -> Value {
        Value::Text(self)
    }
}

impl<T: Param> Param for Option<T> {
    fn into_value(self) -> Value {
        self.map_or(Value::Null, T::into_value)
    }
}
