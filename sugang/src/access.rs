//! Who may be let in where, and the keys that it takes.

use std::net::SocketAddr;

use ::access::token::SigningKey;
use anyhow::{Context, Result, bail};
use data_encoding::BASE64URL_NOPAD;

use crate::output;

/// What must be set where everybody is asked who they are.
const KEYS: [&str; 3] = ["token_keys", "guest_keys", "service_keys"];

/// Refuses to let everybody do everything where others than this machine can ask, and to ask everybody who they are where
/// nobody could say. An application without the variable `access` is none of ours.
pub(crate) fn check(variable: &dyn Fn(&str) -> Option<String>, listen: SocketAddr) -> Result<()> {
    match variable("access").as_deref() {
        Some("open") if !listen.ip().is_loopback() => bail!(
            "with `access=open` everybody may do everything, so it is served on loopback only, and {listen} is not: \
             leave `access` at `members`, or listen on 127.0.0.1"
        ),
        Some("open") => {
            output::tell(
                "access=open: nobody is asked who they are, and everybody may do everything. For trying out.\n",
            );
            Ok(())
        }
        Some("members") => {
            let missing: Vec<_> =
                KEYS.into_iter().filter(|name| variable(name).is_some_and(|key| key.is_empty())).collect();
            if missing.is_empty() {
                return Ok(());
            }
            bail!(
                "with `access=members` these variables must be set: {}. `sugang keys` prints a set of keys. For trying out, \
                 `--variable access=open` asks nobody who they are",
                missing.join(", ")
            )
        }
        Some(_) => bail!("the variable `access` must be `members` or `open`"),
        None => Ok(()),
    }
}

/// A new set of keys.
pub(crate) struct Keys {
    pub(crate) token_signing_key: String,
    pub(crate) token_keys: String,
    pub(crate) guest_keys: String,
    pub(crate) service_keys: String,
}

impl Keys {
    pub(crate) fn new() -> Result<Self> {
        let kid = BASE64URL_NOPAD.encode(&random::<6>()?);
        let token_signing_key = format!("{kid}:{}", BASE64URL_NOPAD.encode(&random::<32>()?));
        let token_keys = SigningKey::parse(&token_signing_key)?.public()?;
        let secret = || random::<32>().map(|bytes| BASE64URL_NOPAD.encode(&bytes));
        Ok(Self { token_signing_key, token_keys, guest_keys: secret()?, service_keys: secret()? })
    }

    /// As an environment file has them.
    pub(crate) fn environment(&self) -> String {
        [
            ("TOKEN_SIGNING_KEY", &self.token_signing_key),
            ("TOKEN_KEYS", &self.token_keys),
            ("GUEST_KEYS", &self.guest_keys),
            ("SERVICE_KEYS", &self.service_keys),
        ]
        .map(|(name, value)| format!("SPIN_VARIABLE_{name}={value}\n"))
        .concat()
    }
}

/// Prints a new set of keys, as an environment file has them.
pub(crate) fn print_keys() -> Result<()> {
    output::print(&Keys::new()?.environment())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().context("this system has no random numbers")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(access: &str, keys: &str, listen: &str) -> Result<(), String> {
        let variable = |name: &str| Some(if name == "access" { access } else { keys }.to_owned());
        check(&variable, listen.parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_open_system_is_served_on_loopback_only() {
        assert!(checked("open", "", "127.0.0.1:80").is_ok());
        assert!(checked("open", "", "[::1]:80").is_ok());
        for listen in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80"] {
            assert!(checked("open", "", listen).unwrap_err().contains("loopback"), "{listen}");
        }
    }

    #[test]
    fn members_cannot_sign_in_without_keys_so_that_is_refused_with_how_to_make_them() {
        let refused = checked("members", "", "0.0.0.0:80").unwrap_err();
        assert!(
            refused.contains("token_keys, guest_keys, service_keys") && refused.contains("sugang keys"),
            "{refused}"
        );
        assert!(checked("members", "key", "0.0.0.0:80").is_ok());
        assert!(checked("all", "key", "127.0.0.1:80").is_err());
        assert!(check(&|_| None, "0.0.0.0:80".parse().unwrap()).is_ok());
    }

    #[test]
    fn new_keys_are_taken_by_the_components() {
        let keys = Keys::new().unwrap();
        assert!(::access::token::Keys::parse(&keys.token_keys).is_ok());
        assert!(::access::Secrets::parse("guest_keys", &keys.guest_keys).is_ok());
        assert_ne!(keys.guest_keys, keys.service_keys);
        assert_eq!(keys.environment().lines().count(), 4);
    }
}
