//! Values of a database, as components see them.

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use rust_decimal::Decimal;
use tokio_postgres::{
    Row,
    types::{FromSql, Type},
};
use uuid::Uuid;

use super::{
    binary::{Bound, Range, Raw, Refused},
    bindings::spin::postgres::postgres::{Column, DbDataType, DbValue, Interval},
    error::Error,
};

/// A column of an answer.
pub(super) fn column(column: &tokio_postgres::Column) -> Column {
    Column { name: column.name().to_owned(), data_type: data_type(column.type_()) }
}

/// Spin's table, of which `timestamptz` is a part although its values cannot be read.
fn data_type(of: &Type) -> DbDataType {
    match *of {
        Type::BOOL => DbDataType::Boolean,
        Type::INT2 => DbDataType::Int16,
        Type::INT4 => DbDataType::Int32,
        Type::INT8 => DbDataType::Int64,
        Type::FLOAT4 => DbDataType::Floating32,
        Type::FLOAT8 => DbDataType::Floating64,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
        Type::BYTEA => DbDataType::Binary,
        Type::DATE => DbDataType::Date,
        Type::TIME => DbDataType::Time,
        Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
        Type::UUID => DbDataType::Uuid,
        Type::JSONB => DbDataType::Jsonb,
        Type::NUMERIC => DbDataType::Decimal,
        Type::INT4_RANGE => DbDataType::RangeInt32,
        Type::INT8_RANGE => DbDataType::RangeInt64,
        Type::NUM_RANGE => DbDataType::RangeDecimal,
        Type::INT4_ARRAY => DbDataType::ArrayInt32,
        Type::INT8_ARRAY => DbDataType::ArrayInt64,
        Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY => DbDataType::ArrayStr,
        Type::INTERVAL => DbDataType::Interval,
        _ => DbDataType::Other(of.name().to_owned()),
    }
}

/// The values of a row that has these `columns`. One that cannot be read is named by its column.
pub(super) fn row(row: &Row, columns: &[Column]) -> Result<Vec<DbValue>, Error> {
    let each = columns.iter().enumerate();
    each.map(|(index, column)| {
        value(row, index, &column.data_type)
            .map_err(|refused| Error::ValueConversionFailed(format!("column `{}`: {refused}", column.name)))
    })
    .collect()
}

fn value(row: &Row, index: usize, of: &DbDataType) -> Result<DbValue, Refused> {
    match of {
        DbDataType::Boolean => read(row, index, DbValue::Boolean, Ok),
        DbDataType::Int8 => read(row, index, DbValue::Int8, Ok),
        DbDataType::Int16 => read(row, index, DbValue::Int16, Ok),
        DbDataType::Int32 => read(row, index, DbValue::Int32, Ok),
        DbDataType::Int64 | DbDataType::Timestamp => read(row, index, DbValue::Int64, Ok),
        DbDataType::Floating32 => read(row, index, DbValue::Floating32, Ok),
        DbDataType::Floating64 => read(row, index, DbValue::Floating64, Ok),
        DbDataType::Str => read(row, index, DbValue::Str, Ok),
        DbDataType::Binary => read(row, index, DbValue::Binary, Ok),
        DbDataType::Date => read(row, index, DbValue::Date, |value: NaiveDate| date(&value)),
        DbDataType::Time => read(row, index, DbValue::Time, |value: NaiveTime| time(&value)),
        DbDataType::Datetime => read(row, index, DbValue::Datetime, |value: NaiveDateTime| {
            let ((year, month, day), (hour, minute, second, nanosecond)) = (date(&value)?, time(&value)?);
            Ok((year, month, day, hour, minute, second, nanosecond))
        }),
        DbDataType::Uuid => read(row, index, DbValue::Uuid, |value: Uuid| Ok(value.to_string())),
        DbDataType::Jsonb => {
            read(row, index, DbValue::Jsonb, |value: serde_json::Value| Ok(serde_json::to_vec(&value)?))
        }
        DbDataType::Decimal => read(row, index, DbValue::Decimal, |value: Decimal| Ok(value.to_string())),
        DbDataType::RangeInt32 => {
            read(row, index, DbValue::RangeInt32, |Range(lower, upper)| Ok((lower, upper)))
        }
        DbDataType::RangeInt64 => {
            read(row, index, DbValue::RangeInt64, |Range(lower, upper)| Ok((lower, upper)))
        }
        DbDataType::RangeDecimal => read(row, index, DbValue::RangeDecimal, |Range(lower, upper)| {
            let bound = |bound: Bound<Decimal>| bound.map(|(value, kind)| (value.to_string(), kind));
            Ok((bound(lower), bound(upper)))
        }),
        DbDataType::ArrayInt32 => read(row, index, DbValue::ArrayInt32, Ok),
        DbDataType::ArrayInt64 => read(row, index, DbValue::ArrayInt64, Ok),
        DbDataType::ArrayDecimal => {
            read(row, index, DbValue::ArrayDecimal, |values: Vec<Option<Decimal>>| {
                Ok(values.iter().map(|value| value.map(|value| value.to_string())).collect())
            })
        }
        DbDataType::ArrayStr => read(row, index, DbValue::ArrayStr, Ok),
        DbDataType::Interval => read(row, index, DbValue::Interval, Ok::<Interval, _>),
        DbDataType::Other(_) => read(row, index, DbValue::Unsupported, |Raw(bytes)| Ok(bytes)),
    }
}

/// Reads a value that the client library has as a `T`, and components as a `V`.
fn read<'a, T: FromSql<'a>, V>(
    row: &'a Row,
    index: usize,
    wrap: fn(V) -> DbValue,
    convert: fn(T) -> Result<V, Refused>,
) -> Result<DbValue, Refused> {
    let value: Option<T> = row
        .try_get(index)
        .map_err(|error| error.into_source().unwrap_or_else(|| "there is no such column".into()))?;
    value.map_or(Ok(DbValue::DbNull), |value| convert(value).map(wrap))
}

fn date(value: &impl Datelike) -> Result<(i32, u8, u8), Refused> {
    Ok((value.year(), value.month().try_into()?, value.day().try_into()?))
}

fn time(value: &impl Timelike) -> Result<(u8, u8, u8, u32), Refused> {
    Ok((value.hour().try_into()?, value.minute().try_into()?, value.second().try_into()?, value.nanosecond()))
}

/// How much memory a row takes, roughly.
pub(super) fn memory_size(row: &[DbValue]) -> usize {
    size_of::<Vec<DbValue>>() + row.iter().map(|value| size_of::<DbValue>() + beside(value)).sum::<usize>()
}

/// What a value has outside of itself.
fn beside(value: &DbValue) -> usize {
    let texts = |values: &[Option<String>]| -> usize {
        size_of_val(values) + values.iter().flatten().map(String::len).sum::<usize>()
    };
    match value {
        DbValue::Str(text) | DbValue::Uuid(text) | DbValue::Decimal(text) => text.len(),
        DbValue::Binary(bytes) | DbValue::Jsonb(bytes) | DbValue::Unsupported(bytes) => bytes.len(),
        DbValue::ArrayInt32(values) => size_of_val(values.as_slice()),
        DbValue::ArrayInt64(values) => size_of_val(values.as_slice()),
        DbValue::ArrayDecimal(values) | DbValue::ArrayStr(values) => texts(values),
        DbValue::RangeDecimal((lower, upper)) => {
            [lower, upper].into_iter().flatten().map(|(text, _)| text.len()).sum()
        }
        _ => 0,
    }
}
