//! What the operator set, put together once per instance.

use crate::id_token::Provider;
use ::settings::{SignIn, parse, text};
use anyhow::{anyhow, ensure};
use kernel::{Phone, Role};
use std::cell::RefCell;
use std::rc::Rc;

/// The variables of this context (their meanings and defaults are in `spin.toml` and the README).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where the event log's Redis is.
    pub redis_url: Rc<str>,
    /// Whoever signs in with one of these has the role, whatever was decided about them.
    pub roles: Vec<(Phone, Role)>,
    /// How many proxies of our own stand between us and the client.
    pub trusted_proxies: usize,
    /// For how many days it is kept who signed in, when and from where.
    pub sign_in_records_days: i64,
    /// Which version of the terms and the privacy notice is being agreed to.
    pub consents_version: Rc<str>,
    /// Whether whoever has a telephone is let in by a code.
    pub codes: bool,
    /// Whose ID tokens let somebody in; none where nobody's do.
    pub provider: Option<Provider>,
}

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

impl Settings {
    /// The settings of this instance.
    pub(crate) async fn load() -> anyhow::Result<Rc<Self>> {
        if let Some(settings) = SETTINGS.with_borrow(Clone::clone) {
            return Ok(settings);
        }
        let settings = Rc::new(Self::read().await?);
        SETTINGS.set(Some(Rc::clone(&settings)));
        Ok(settings)
    }

    async fn read() -> anyhow::Result<Self> {
        let mut roles = phones("operators", &text("operators").await?, Role::Operator)?;
        roles.extend(phones("managers", &text("managers").await?, Role::Manager)?);
        let sign_in = SignIn::read().await?;
        Ok(Self {
            redis_url: text("redis_url").await?,
            roles,
            trusted_proxies: usize::from(parse::<u8>("trusted_proxies").await?),
            sign_in_records_days: i64::from(parse::<u16>("sign_in_records_days").await?),
            consents_version: text("consents_version").await?,
            codes: sign_in.codes,
            provider: if sign_in.provider { Some(provider().await?) } else { None },
        })
    }

    /// What whoever has this telephone is by the variables.
    pub(crate) fn roles_of(&self, phone: &Phone) -> impl Iterator<Item = Role> {
        self.roles.iter().filter(move |(known, _)| known == phone).map(|(_, role)| *role)
    }
}

/// The provider. An empty issuer, say, would be that of any token that has none.
async fn provider() -> anyhow::Result<Provider> {
    let (issuer, client_id) = (text("oidc_issuer").await?, text("oidc_client_id").await?);
    for (name, value) in [("oidc_issuer", &issuer), ("oidc_client_id", &client_id)] {
        ensure!(!value.is_empty(), "the variable `{name}` is not set, and `sign_in` has `oidc`");
    }
    let keys_url = format!("{}{}", text("oidc_keys_origin").await?, text("oidc_keys_path").await?);
    Ok(Provider { issuer: issuer.to_string(), client_id: client_id.to_string(), keys_url })
}

/// Numbers separated by commas, each with the role. No number is shown.
fn phones(name: &str, text: &str, role: Role) -> anyhow::Result<Vec<(Phone, Role)>> {
    let numbers = text.split(',').map(str::trim).filter(|number| !number.is_empty());
    let parse = |number| Phone::parse(number).map(|phone| (phone, role));
    numbers.map(parse).collect::<Result<_, _>>().map_err(|invalid| {
        anyhow!("the variable `{name}`: each of the numbers, which commas separate, {}", invalid.problem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_separated_by_commas_and_a_wrong_one_is_not_shown() {
        let read = phones("operators", " 010-1111-2222, +821033334444,", Role::Operator).unwrap();
        assert_eq!(read.len(), 2);
        assert!(phones("operators", "", Role::Operator).unwrap().is_empty());
        let refused = phones("operators", "010-1111-2222,02-555-0000", Role::Operator).unwrap_err();
        assert!(refused.to_string().contains("`operators`") && !refused.to_string().contains("555"));
    }
}
