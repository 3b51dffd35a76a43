//! Where the event log is, as far as it can be said before anybody connects.

use anyhow::{Result, bail};

/// Refuses a `redis_database` that makes no address of a database: `-1` is none, and without its slash a number would
/// become the end of the port. The value is not repeated, like that of any variable.
pub(crate) fn check(variable: &dyn Fn(&str) -> Option<String>) -> Result<()> {
    let Some(database) = variable("redis_database").filter(|database| !database.is_empty()) else {
        return Ok(());
    };
    let number = database.strip_prefix('/').filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    if number.is_none_or(|number| number.parse::<u32>().is_err()) {
        bail!(
            "the variable `redis_database` must be empty, or a slash and the number of a database, as in `/3`"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_database_is_a_number_behind_a_slash() {
        let checked = |database: &str| check(&|_| Some(database.to_owned()));
        for taken in ["", "/0", "/3", "/15"] {
            assert!(checked(taken).is_ok(), "{taken}");
        }
        for wrong in ["/-1", "3", "/", "/+1", "/x", "/3/4", "/3?x", " /3", "/99999999999"] {
            let refused = checked(wrong).unwrap_err().to_string();
            assert!(refused.contains("`redis_database`") && refused.contains("`/3`"), "{wrong}: {refused}");
        }
        assert!(check(&|_| None).is_ok(), "an application without it is none of ours");
    }
}
