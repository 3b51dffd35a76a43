//! What Redis answered, in the flat shape in which Spin hands it to components.
//!
//! Nested arrays lose their brackets: `XREADGROUP` comes out as stream, id, field, value, id, …
//! What Spin has no word for (maps, attributes, pushes, all of RESP3) is an error there and here.

use redis::{ErrorKind, RedisError, RedisResult, Value};

use super::bindings::spin::redis::redis::RedisResult as Item;

/// The items of `value`, in their order.
pub(super) fn flatten(value: Value) -> RedisResult<Vec<Item>> {
    let mut items = Vec::new();
    append(&mut items, value)?;
    Ok(items)
}

fn append(items: &mut Vec<Item>, value: Value) -> RedisResult<()> {
    items.push(match value {
        Value::Array(values) | Value::Set(values) => {
            return values.into_iter().try_for_each(|value| append(items, value));
        }
        Value::Nil => Item::Nil,
        Value::Int(integer) => Item::Int64(integer),
        Value::Boolean(boolean) => Item::Int64(boolean.into()),
        Value::BulkString(bytes) => Item::Binary(bytes),
        Value::Double(double) => Item::Binary(double.to_string().into_bytes()),
        Value::BigNumber(digits) => Item::Binary(digits),
        Value::SimpleString(status) => Item::Status(status),
        Value::Okay => Item::Status("OK".to_owned()),
        Value::ServerError(error) => return Err(error.into()),
        Value::Map(_) => return Err(not_supported("Redis Map type is not supported")),
        Value::Attribute { .. } => return Err(not_supported("Redis Attribute type is not supported")),
        Value::VerbatimString { .. } => {
            return Err(not_supported("Redis string with format attribute is not supported"));
        }
        Value::Push { .. } => return Err(not_supported("Redis Pub/Sub types are not supported")),
        _ => return Err(not_supported("this Redis type is not supported")),
    });
    Ok(())
}

fn not_supported(what: &str) -> RedisError {
    (ErrorKind::UnexpectedReturnType, "Could not convert Redis response", what.to_owned()).into()
}

/// How much memory `item` takes, roughly.
pub(super) fn memory_size(item: &Item) -> usize {
    size_of::<Item>()
        + match item {
            Item::Binary(bytes) => bytes.len(),
            Item::Status(status) => status.len(),
            Item::Int64(_) | Item::Nil => 0,
        }
}
