//! How much of what all clients share one client may have: of the requests that are worked on at
//! once, and of the connections.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many addresses are remembered before those that hold nothing are forgotten.
const REMEMBERED: usize = 1024;

/// The shares of clients, each by itself.
pub(super) struct Shares {
    share: usize,
    clients: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

impl Shares {
    /// `share` for each client.
    pub(super) fn new(share: usize) -> Self {
        Self { share, clients: Mutex::default() }
    }

    /// The share of one client.
    pub(super) fn of(&self, client: IpAddr) -> Arc<Semaphore> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = clients.get(&client).and_then(Weak::upgrade) {
            return share;
        }
        if clients.len() >= REMEMBERED {
            clients.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Semaphore::new(self.share));
        clients.insert(client, Arc::downgrade(&share));
        share
    }
}

/// Lets requests in. A request comes here when it is complete, so that nothing here is held at the
/// pace of a client.
pub(super) struct Admission {
    all: Arc<Semaphore>,
    /// Half of it for each client, so that there is always room for another.
    shares: Shares,
}

/// Held while a request is worked on.
pub(super) struct Admitted {
    _all: OwnedSemaphorePermit,
    _share: OwnedSemaphorePermit,
}

impl Admission {
    /// At most `max` requests at once.
    pub(super) fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self { all: Arc::new(Semaphore::new(max)), shares: Shares::new(max.div_ceil(2)) }
    }

    /// Waits until there is room for a request of `client`; none if there never will be.
    pub(super) async fn enter(&self, client: IpAddr) -> Option<Admitted> {
        // First its own share: who waits for that holds nothing of what is everybody's.
        let share = self.shares.of(client).acquire_owned().await.ok()?;
        Some(Admitted { _share: share, _all: self.all.clone().acquire_owned().await.ok()? })
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn one_client_takes_half_at_most_and_leaves_room_for_another() {
        let admission = Admission::new(4);
        let (one, two) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let held = [admission.enter(one).await, admission.enter(one).await];
        let mut third = Box::pin(admission.enter(one));
        assert!(third.as_mut().now_or_never().is_none());
        let others = [admission.enter(two).await, admission.enter(two).await];
        drop(held);
        assert!(third.await.is_some());
        drop(others);
        for n in 0..2 * REMEMBERED as u32 {
            assert!(admission.enter(IpAddr::from(n.to_be_bytes())).await.is_some());
        }
        assert!(admission.shares.clients.lock().unwrap().len() <= REMEMBERED);
    }
}
