//! What the operator set, put together once per instance.

use crate::sealing::Seal;
use ::settings::{optional, parse, text};
use anyhow::anyhow;
use std::cell::RefCell;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

/// The variables of this context (their meanings and defaults are in `spin.toml` and the README).
pub struct Settings {
    /// For whom they were read.
    pub role: Role,
    /// Where the event log's Redis is.
    pub redis_url: Rc<str>,
    /// Where `pay` is, without a slash at the end.
    pub pay_url: String,
    /// What `pay` knows us by, if it asks.
    pub service_credential: Option<String>,
    /// How long a call to `pay` may take.
    pub pay_deadline: Duration,
    /// The breaker's numbers.
    pub breaker: breaker::Settings,
    /// Where its state is.
    pub breaker_store: BreakerStore,
    /// How many minutes an order that is not paid lives.
    pub payment_due_minutes: i64,
    /// How often a member may apply and pay, per hour; 0 is as often as they like.
    pub member_tries_per_hour: u32,
    /// The same for all guests of one address.
    pub address_tries_per_hour: u32,
    /// How many proxies of our own say where somebody asks from.
    pub trusted_proxies: usize,
    /// For how many days it is kept whose an order was, from its last event on.
    pub contract_records_days: i64,
    /// What cards are sealed with while they wait.
    pub seal: Seal,
}

/// Who reads the settings: it decides where `pay` is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The HTTP component, which Spin lets reach `pay` by service chaining.
    Http,
    /// The worker, which Spin does not: it goes through the application's own address.
    Worker,
}

/// Where the breaker's state is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BreakerStore {
    /// In the key-value store with the label `default`.
    #[default]
    KeyValue,
    /// In the event log's Redis: on a platform whose key-value store has no atomic increment.
    Redis,
}

impl FromStr for BreakerStore {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "" | "key-value" => Ok(Self::KeyValue),
            "redis" => Ok(Self::Redis),
            _ => Err(anyhow!("the variable `breaker_store` must be `key-value` or `redis`")),
        }
    }
}

thread_local! {
    static SETTINGS: RefCell<Option<Rc<Settings>>> = const { RefCell::new(None) };
}

impl Settings {
    pub(crate) async fn load(role: Role) -> anyhow::Result<Rc<Self>> {
        if let Some(settings) = SETTINGS.with_borrow(Clone::clone) {
            return Ok(settings);
        }
        let settings = Rc::new(Self::read(role).await?);
        SETTINGS.set(Some(Rc::clone(&settings)));
        Ok(settings)
    }

    async fn read(role: Role) -> anyhow::Result<Self> {
        let pay_deadline = Duration::from_millis(parse("pay_deadline_ms").await?);
        let failure_ratio: f64 = parse("breaker_failure_ratio").await?;
        if !(failure_ratio > 0.0 && failure_ratio <= 1.0) {
            return Err(anyhow!("the variable breaker_failure_ratio must be above 0 and at most 1"));
        }
        Ok(Self {
            role,
            redis_url: text("redis_url").await?,
            pay_url: pay_url(role).await?,
            service_credential: access::service_credential().await?,
            pay_deadline,
            breaker: breaker::Settings {
                window: Duration::from_secs(parse("breaker_window_s").await?),
                min_calls: parse("breaker_min_calls").await?,
                failure_ratio,
                open: Duration::from_secs(parse("breaker_open_s").await?),
                call: pay_deadline,
            },
            breaker_store: optional("breaker_store").await?.parse()?,
            payment_due_minutes: i64::from(parse::<u32>("payment_due_minutes").await?),
            contract_records_days: i64::from(parse::<u16>("contract_records_days").await?),
            member_tries_per_hour: parse("member_tries_per_hour").await?,
            address_tries_per_hour: parse("address_tries_per_hour").await?,
            trusted_proxies: usize::from(parse::<u8>("trusted_proxies").await?),
            seal: Seal::new(&text("card_key").await?)?,
        })
    }
}

async fn pay_url(role: Role) -> anyhow::Result<String> {
    let pay_url = text("pay_url").await?;
    let url =
        if role == Role::Worker && is_chained(&pay_url) { text("application_url").await? } else { pay_url };
    Ok(url.trim_end_matches('/').to_owned())
}

/// Whether a URL is one that only Spin's service chaining can reach.
fn is_chained(url: &str) -> bool {
    let host = url.parse::<http::Uri>().ok();
    host.as_ref().and_then(http::Uri::host).is_some_and(|host| host.ends_with(".spin.internal"))
}

#[cfg(test)]
mod tests {
    use super::{BreakerStore, is_chained};

    #[test]
    fn the_breaker_is_in_the_key_value_store_unless_it_is_said_otherwise() {
        assert_eq!("".parse::<BreakerStore>().unwrap(), BreakerStore::KeyValue);
        assert_eq!("redis".parse::<BreakerStore>().unwrap(), BreakerStore::Redis);
        assert!("memcached".parse::<BreakerStore>().unwrap_err().to_string().contains("`breaker_store`"));
    }

    #[test]
    fn only_spin_internal_hosts_are_chained() {
        assert!(is_chained("http://pay.spin.internal"));
        assert!(is_chained("http://pay.spin.internal/"));
        assert!(!is_chained("http://127.0.0.1:8082"));
        assert!(!is_chained("http://pay.example/?x=.spin.internal"));
    }
}
