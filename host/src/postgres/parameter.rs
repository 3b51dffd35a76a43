//! Values that components give to statements.
//!
//! They are encoded here rather than while a statement is sent, so that one that does not fit is named.

use std::fmt;

use bytes::BytesMut;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use rust_decimal::Decimal;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use super::{
    binary::{Bound, Range, Refused},
    bindings::spin::postgres::postgres::ParameterValue,
    error::Error,
};

/// A value in PostgreSQL's binary form; none for NULL.
pub(super) struct Encoded(Option<BytesMut>);

/// Without the value: whoever has the client library log what it does need not see it.
impl fmt::Debug for Encoded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

impl ToSql for Encoded {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Encodes the parameters of a statement that has these `types`.
pub(super) fn encode(values: Vec<ParameterValue>, types: &[Type]) -> Result<Vec<Encoded>, Error> {
    if values.len() != types.len() {
        return Err(Error::BadParameter(format!(
            "the statement has {} parameters, and {} were given",
            types.len(),
            values.len()
        )));
    }
    let each = values.into_iter().zip(types).zip(1..);
    each.map(|((value, of), number)| {
        let encoded = to_sql(value).and_then(|value| {
            let Some(value) = value else { return Ok(Encoded(None)) };
            let mut bytes = BytesMut::new();
            value.to_sql_checked(of, &mut bytes)?;
            Ok(Encoded(Some(bytes)))
        });
        encoded.map_err(|refused| Error::BadParameter(format!("parameter {number}: {refused}")))
    })
    .collect()
}

type Value = Box<dyn ToSql>;

/// What a value is to the client library, which knows the types that each goes into; none for NULL.
fn to_sql(value: ParameterValue) -> Result<Option<Value>, Refused> {
    let value: Value = match value {
        ParameterValue::DbNull => return Ok(None),
        ParameterValue::Boolean(value) => Box::new(value),
        ParameterValue::Int8(value) => Box::new(value),
        ParameterValue::Int16(value) => Box::new(value),
        ParameterValue::Int32(value) => Box::new(value),
        ParameterValue::Int64(value) => Box::new(value),
        ParameterValue::Floating32(value) => Box::new(value),
        ParameterValue::Floating64(value) => Box::new(value),
        ParameterValue::Str(value) => Box::new(value),
        ParameterValue::Binary(value) => Box::new(value),
        ParameterValue::Date(value) => Box::new(date(value)?),
        ParameterValue::Time(value) => Box::new(time(value)?),
        ParameterValue::Datetime((year, month, day, hour, minute, second, nanosecond)) => {
            Box::new(NaiveDateTime::new(date((year, month, day))?, time((hour, minute, second, nanosecond))?))
        }
        ParameterValue::Timestamp(seconds) => {
            Box::new(DateTime::<Utc>::from_timestamp(seconds, 0).ok_or("there is no such time")?)
        }
        ParameterValue::Uuid(value) => Box::new(Uuid::parse_str(&value)?),
        ParameterValue::Jsonb(value) => Box::new(serde_json::from_slice::<serde_json::Value>(&value)?),
        ParameterValue::Decimal(value) => Box::new(decimal(value)?),
        ParameterValue::RangeInt32((lower, upper)) => Box::new(Range(lower, upper)),
        ParameterValue::RangeInt64((lower, upper)) => Box::new(Range(lower, upper)),
        ParameterValue::RangeDecimal((lower, upper)) => {
            let bound = |bound: Bound<String>| {
                bound.map(|(value, kind)| Ok::<_, Refused>((decimal(value)?, kind))).transpose()
            };
            Box::new(Range(bound(lower)?, bound(upper)?))
        }
        ParameterValue::ArrayInt32(values) => Box::new(values),
        ParameterValue::ArrayInt64(values) => Box::new(values),
        ParameterValue::ArrayDecimal(values) => {
            let each = values.into_iter().map(|value| value.map(decimal).transpose());
            Box::new(each.collect::<Result<Vec<_>, _>>()?)
        }
        ParameterValue::ArrayStr(values) => Box::new(values),
        ParameterValue::Interval(value) => Box::new(value),
    };
    Ok(Some(value))
}

fn date((year, month, day): (i32, u8, u8)) -> Result<NaiveDate, Refused> {
    Ok(NaiveDate::from_ymd_opt(year, month.into(), day.into()).ok_or("there is no such date")?)
}

fn time((hour, minute, second, nanosecond): (u8, u8, u8, u32)) -> Result<NaiveTime, Refused> {
    let time = NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nanosecond);
    Ok(time.ok_or("there is no such time of day")?)
}

#[expect(clippy::needless_pass_by_value, reason = "it takes the place of what it is made from")]
fn decimal(text: String) -> Result<Decimal, Refused> {
    Ok(Decimal::from_str_exact(&text)?)
}
