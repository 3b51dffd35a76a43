//! Values, rows and errors, as components see them.

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

pub use super::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// The most that one answer may hold in the host's memory; Spin's own limit.
pub(super) const ANSWER_BYTES: usize = 128 << 20;

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(integer) => ValueRef::Integer(*integer),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
            Self::Null => ValueRef::Null,
        }))
    }
}

impl Value {
    fn from_sqlite(value: ValueRef<'_>) -> Result<Self, Error> {
        Ok(match value {
            ValueRef::Integer(integer) => Self::Integer(integer),
            ValueRef::Real(real) => Self::Real(real),
            ValueRef::Text(bytes) => {
                let text = std::str::from_utf8(bytes)
                    .map_err(|problem| Error::Io(format!("text column: {problem}")))?;
                Self::Text(text.to_owned())
            }
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
            ValueRef::Null => Self::Null,
        })
    }

    fn memory_size(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Text(text) => text.len(),
                Self::Blob(bytes) => bytes.len(),
                Self::Integer(_) | Self::Real(_) | Self::Null => 0,
            }
    }
}

impl RowResult {
    pub(super) fn from_sqlite(row: &rusqlite::Row<'_>, columns: usize) -> Result<Self, Error> {
        let value = |column| Value::from_sqlite(row.get_ref(column).map_err(failure)?);
        Ok(Self { values: (0..columns).map(value).collect::<Result<_, _>>()? })
    }

    /// How much memory the row takes, roughly.
    pub(super) fn memory_size(&self) -> usize {
        size_of::<Self>() + self.values.iter().map(Value::memory_size).sum::<usize>()
    }
}

/// SQLite's own message, in the shape in which Spin hands it to a component: which constraint
/// failed is what a component decides by.
pub(crate) fn failure(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

/// What a component is told whose answer would fill the host's memory.
pub(super) fn too_large() -> Error {
    Error::Io(format!("query result exceeds limit of {ANSWER_BYTES} bytes"))
}
