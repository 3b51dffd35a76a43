//! The binary forms of what PostgreSQL has and its client library has no type for: ranges, intervals, and the rest.

use bytes::{Buf as _, BufMut as _, BytesMut};
use postgres_protocol::{
    IsNull as Null,
    types::{self, RangeBound, range_from_sql, range_to_sql},
};
use tokio_postgres::types::{FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};

use super::bindings::spin::postgres::postgres::{Interval, RangeBoundKind};

/// Why a value has no form on the other side.
pub(super) type Refused = Box<dyn std::error::Error + Send + Sync>;

/// A bound of a range; none where the range has no end.
pub(super) type Bound<T> = Option<(T, RangeBoundKind)>;

/// A range, of whatever type. An empty one comes out without bounds, since the interface has no word for it.
#[derive(Debug)]
pub(super) struct Range<T>(pub(super) Bound<T>, pub(super) Bound<T>);

fn type_of_bounds(range: &Type) -> Option<&Type> {
    match range.kind() {
        Kind::Range(of) => Some(of),
        _ => None,
    }
}

impl<'a, T: FromSql<'a>> FromSql<'a> for Range<T> {
    fn from_sql(range: &Type, raw: &'a [u8]) -> Result<Self, Refused> {
        let of = type_of_bounds(range).ok_or("no range")?;
        let read = |raw: Option<&'a [u8]>| T::from_sql_nullable(of, raw);
        let bound = |bound| {
            Ok::<_, Refused>(match bound {
                RangeBound::Inclusive(raw) => Some((read(raw)?, RangeBoundKind::Inclusive)),
                RangeBound::Exclusive(raw) => Some((read(raw)?, RangeBoundKind::Exclusive)),
                RangeBound::Unbounded => None,
            })
        };
        Ok(match range_from_sql(raw)? {
            types::Range::Empty => Self(None, None),
            types::Range::Nonempty(lower, upper) => Self(bound(lower)?, bound(upper)?),
        })
    }

    fn accepts(range: &Type) -> bool {
        type_of_bounds(range).is_some_and(T::accepts)
    }
}

impl<T: ToSql> ToSql for Range<T> {
    fn to_sql(&self, range: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        let of = type_of_bounds(range).ok_or("no range")?;
        let write = |bound: &Bound<T>, out: &mut BytesMut| {
            let Some((value, kind)) = bound else { return Ok(RangeBound::Unbounded) };
            let null = match value.to_sql(of, out)? {
                IsNull::Yes => Null::Yes,
                IsNull::No => Null::No,
            };
            Ok(match kind {
                RangeBoundKind::Inclusive => RangeBound::Inclusive(null),
                RangeBoundKind::Exclusive => RangeBound::Exclusive(null),
            })
        };
        range_to_sql(|out| write(&self.0, out), |out| write(&self.1, out), out)?;
        Ok(IsNull::No)
    }

    fn accepts(range: &Type) -> bool {
        type_of_bounds(range).is_some_and(T::accepts)
    }

    to_sql_checked!();
}

impl FromSql<'_> for Interval {
    fn from_sql(_: &Type, mut raw: &[u8]) -> Result<Self, Refused> {
        if raw.len() != 16 {
            return Err("no interval".into());
        }
        Ok(Self { micros: raw.get_i64(), days: raw.get_i32(), months: raw.get_i32() })
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::INTERVAL
    }
}

impl ToSql for Interval {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Refused> {
        out.put_i64(self.micros);
        out.put_i32(self.days);
        out.put_i32(self.months);
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        *of == Type::INTERVAL
    }

    to_sql_checked!();
}

/// A value of any type, as the server sent it.
pub(super) struct Raw(pub(super) Vec<u8>);

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, raw: &[u8]) -> Result<Self, Refused> {
        Ok(Self(raw.to_owned()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
