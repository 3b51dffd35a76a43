//! The connections of one component, by address.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use deadpool_postgres::{Manager, ManagerConfig, Pool, QueueMode, RecyclingMethod};
use tokio_postgres::NoTls;

use super::{
    address::Address,
    connection::Lent,
    error::{Error, connection_failed, refused},
    tls::Tls,
};

/// How many connections a component has to one address at the most; Spin's own limit. Whoever needs one more waits.
const CONNECTIONS: usize = 64;

/// How many addresses keep their connections while nobody uses them; Spin's own limit.
const IDLE_ADDRESSES: usize = 16;

/// An address, and the certificate that was given with it.
type Key = (String, Option<String>);

/// The connections of one component.
#[derive(Default)]
pub struct Pools {
    by_key: Mutex<HashMap<Key, (Pool, Tls)>>,
}

/// Without the addresses, which hold passwords.
impl fmt::Debug for Pools {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl Pools {
    /// A connection to a server that answers. Waits, for as long as its caller does, while all are lent.
    pub(super) async fn lend(&self, address: &Address, root: Option<&str>) -> Result<Lent, Error> {
        let (pool, tls) = self.to(address, root)?;
        let client = pool.get().await.map_err(|error| connection_failed(&error))?;
        Ok(Lent::new(client, tls))
    }

    fn to(&self, address: &Address, root: Option<&str>) -> Result<(Pool, Tls), Error> {
        let mut pools = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.text.clone(), root.map(str::to_owned));
        if let Some((pool, tls)) = pools.get(&key) {
            return Ok((pool.clone(), tls.clone()));
        }
        if pools.len() >= IDLE_ADDRESSES {
            pools.retain(|_, (pool, _)| pool.status().available < pool.status().size);
        }
        let tls = Tls::new(&address.config, root)?;
        let pool = pool(address, &tls)?;
        pools.insert(key, (pool.clone(), tls.clone()));
        Ok((pool, tls))
    }
}

/// What came back last is lent first, so that those beyond what is needed grow old and are closed.
fn pool(address: &Address, tls: &Tls) -> Result<Pool, Error> {
    // A connection is cleaned when it comes back: here it is only seen whether it is still open.
    let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match tls {
        Tls::Off => Manager::from_config(address.config.clone(), NoTls, config),
        Tls::On(tls) => Manager::from_config(address.config.clone(), tls.clone(), config),
    };
    let pool = Pool::builder(manager).max_size(CONNECTIONS).queue_mode(QueueMode::Lifo).build();
    pool.map_err(|error| refused(error.to_string()))
}
