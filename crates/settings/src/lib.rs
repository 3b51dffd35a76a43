//! What the operator set: the variables of the component (their meanings and defaults are in `spin.toml` and the README).
//!
//! Each is read once per instance, since reading one is a call of the host and it does not change while the application
//! runs. No message shows a value: any of them may be put together from a secret. What one variable means to one component is
//! for that to say; what means the same to several is here.

mod sign_in;

pub use sign_in::SignIn;

use anyhow::{Context, anyhow};
use spin_sdk::variables;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::str::FromStr;

thread_local! {
    static READ: RefCell<HashMap<&'static str, Rc<str>>> = RefCell::default();
}

/// The value of a variable, without white space around it.
pub async fn text(name: &'static str) -> anyhow::Result<Rc<str>> {
    if let Some(value) = READ.with_borrow(|read| read.get(name).cloned()) {
        return Ok(value);
    }
    let value = variables::get(name).await.with_context(|| format!("the variable `{name}`"))?;
    let value: Rc<str> = value.trim().into();
    READ.with_borrow_mut(|read| read.insert(name, Rc::clone(&value)));
    Ok(value)
}

/// The value of a variable that a component need not have; empty where it has not. Whoever asks keeps it.
pub async fn optional(name: &str) -> anyhow::Result<Rc<str>> {
    match variables::get(name).await {
        Ok(value) => Ok(value.trim().into()),
        Err(variables::Error::Undefined(_)) => Ok(Rc::default()),
        Err(error) => Err(error).with_context(|| format!("the variable `{name}`")),
    }
}

/// What `T` makes of a variable: a number, a yes or no, and the like.
pub async fn parse<T: FromStr>(name: &'static str) -> anyhow::Result<T> {
    read(name, &text(name).await?)
}

fn read<T: FromStr>(name: &str, value: &str) -> anyhow::Result<T> {
    let kind = std::any::type_name::<T>();
    value.parse().map_err(|_| anyhow!("the variable `{name}` must be of the kind `{kind}`, and is not"))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_cannot_be_read_is_named_and_not_shown() {
        assert_eq!(read::<u64>("pay_deadline_ms", "610").unwrap(), 610);
        let refused = read::<u64>("pay_deadline_ms", "geheim").unwrap_err().to_string();
        assert!(refused.contains("pay_deadline_ms") && !refused.contains("geheim"), "{refused}");
    }
}
