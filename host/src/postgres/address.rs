//! Where a PostgreSQL is: a URL (`postgres://…`) or a connection string (`host=… dbname=…`), as libpq has them.
//!
//! An address holds a password, and a mistake in it can put any part of that anywhere. So no message here shows
//! any part of it: hosts go by their number.

use tokio_postgres::{Config, config::Host};

use super::error::{Error, refused};
use crate::outbound::allowed_hosts::AllowedHosts;

/// The longest address, since the host keeps it.
const BYTES: usize = 8 << 10;

/// An address that a component may connect to.
#[derive(Clone)]
pub(super) struct Address {
    /// As the component wrote it.
    pub(super) text: String,
    pub(super) config: Config,
}

impl Address {
    /// Reads an address, if the component may reach every host of it.
    pub(super) fn parse(text: String, allowed: &AllowedHosts) -> Result<Self, Error> {
        let parsed = if text.len() > BYTES { None } else { postgres_connect::config(&text) };
        let Some(config) = parsed else {
            return Err(refused(
                "the address is none: write postgres://user:password@host:port/database, or host=… port=… user=…",
            ));
        };
        check(&config, allowed)?;
        Ok(Self { text, config })
    }
}

/// Makes sure that the component may reach every host that could be connected to. A `hostaddr` is what is connected
/// to in place of its host, so both are looked at.
fn check(config: &Config, allowed: &AllowedHosts) -> Result<(), Error> {
    let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    if count == 0 {
        return Err(refused("the address names no host"));
    }
    for index in 0..count {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        let may = |host: &str| allowed.allows_host("postgres", host, port);
        let host_allowed = match hosts.get(index) {
            Some(Host::Tcp(host)) => may(host),
            Some(Host::Unix(_)) => {
                return Err(refused("the address names a socket of the machine, which is not supported"));
            }
            None => true,
        };
        if !host_allowed || addresses.get(index).is_some_and(|address| !may(&address.to_string())) {
            return Err(refused(format!(
                "host {} of the {count} in the address is not permitted: allowed_outbound_hosts of the component \
                 must have it as postgres://<host>:<port>",
                index + 1
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variables::Variables;

    fn parse(address: &str, granted: &[&str]) -> Result<Address, Error> {
        let granted: Vec<String> = granted.iter().map(|entry| (*entry).to_owned()).collect();
        let allowed = AllowedHosts::parse(&granted, &Variables::default(), &[]).unwrap();
        Address::parse(address.to_owned(), &allowed)
    }

    #[test]
    fn every_host_of_an_address_has_to_be_granted() {
        let granted = ["postgres://db.example:5432", "postgres://10.0.0.1:5433", "postgres://[::1]:5432"];
        for address in [
            "postgres://u:p@db.example/d",
            "postgres://u:p@db.example:5432",
            "postgres://u:p@db.example:5432,10.0.0.1:5433/d",
            "postgres://u:p@[::1]/d",
            "host=db.example user=u password='p w'",
            "host=db.example hostaddr=10.0.0.1 port=5433 user=u",
            "hostaddr=10.0.0.1 port=5433",
            "host=::1",
        ] {
            let ports = if address.contains("hostaddr=10.0.0.1 port=5433 user") {
                parse(address, &["postgres://db.example:5433", "postgres://10.0.0.1:5433"])
            } else {
                parse(address, &granted)
            };
            assert!(ports.is_ok(), "{address}: {:?}", ports.err());
        }
        for address in [
            "postgres://u:p@db.example:5433/d",
            "postgres://u:p@evil.example/d",
            "postgres://u:p@db.example:5432,evil.example:5432/d",
            "postgres://u:p@db.example,10.0.0.1/d",
            "host=db.example hostaddr=10.0.0.2",
            "host=evil.example hostaddr=10.0.0.1 port=5433",
            "host=db.example,db.example hostaddr=10.0.0.2",
            "host=db.example:5432/@evil.example",
            "host='evil.example#@db.example'",
        ] {
            let refused = format!("{:?}", parse(address, &granted).err().unwrap());
            assert!(refused.contains("is not permitted"), "{address}: {refused}");
        }
    }

    #[test]
    fn any_host_may_be_granted_and_a_socket_of_the_machine_never() {
        assert!(parse("postgres://u@anywhere:1234/d", &["postgres://*:*"]).is_ok());
        assert!(parse("postgres://u@anywhere:1234/d", &["redis://*:*"]).is_err());
        for address in ["host=/var/run/postgresql", "postgres://u@%2Ftmp/d", "host=db.example,/tmp"] {
            let refused = format!("{:?}", parse(address, &["*://*:*"]).err().unwrap());
            assert!(refused.contains("socket"), "{address}: {refused}");
        }
    }

    #[test]
    fn no_refusal_shows_any_part_of_an_address() {
        for address in [
            "postgres://hunter2:hunter2@hunter2:1/hunter2",
            "postgres://u:p@hunter2/w@db.example",
            "postgres://u:hunter2@h:port/d",
            "host=h password=a hunter2=b",
            "host=h hunter2",
            "user=hunter2",
            "hunter2",
            &"hunter2".repeat(10_000),
        ] {
            let refused = format!("{:?}", parse(address, &["postgres://h:5432"]).err().unwrap());
            assert!(!refused.contains("hunter2"), "{address}: {refused}");
        }
    }
}
