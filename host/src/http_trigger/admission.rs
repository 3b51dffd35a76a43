//! How much of what all clients share one client may have: of the requests that are worked on at once, and of the
//! connections.
//!
//! A client may hold as many places as are free, and no more. One alone gets half of all; two get a third each, and the
//! last third is free; however many they are, there is always room for another. So it does not matter how long a client
//! manages to hold what it has. In switches this is known as a dynamic threshold, for the buffers that queues share.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// So many places, shared by all clients.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<State>>);

struct State {
    free: usize,
    /// Those that hold something or wait for it.
    clients: HashMap<IpAddr, Client>,
    /// The clients of which requests wait, each once. They take turns, however many requests each of them has.
    turns: VecDeque<IpAddr>,
}

#[derive(Default)]
struct Client {
    held: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// Held by a client for as long as this lives.
pub(super) struct Place {
    places: Places,
    client: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.client);
    }
}

impl Places {
    /// So many places, all of them free.
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, clients: HashMap::new(), turns: VecDeque::new() })))
    }

    /// A place, if the client may have one now.
    pub(super) fn try_take(&self, address: IpAddr) -> Option<Place> {
        let client = client_at(address);
        self.state().take(client).then(|| Place { places: self.clone(), client })
    }

    /// A place, as soon as the client may have one; none if there never will be one.
    pub(super) async fn take(&self, address: IpAddr) -> Option<Place> {
        let client = client_at(address);
        let turn = {
            let mut state = self.state();
            if !state.waits(client) && state.take(client) {
                return Some(Place { places: self.clone(), client });
            }
            state.queue(client)
        };
        turn.await.ok()
    }

    fn give_back(&self, client: IpAddr) {
        // What nobody is there any more to take is given back in its turn, when the state is no longer locked.
        let mut left = Vec::new();
        let mut state = self.state();
        state.give_back(client);
        while let Some((client, turn)) = state.next_turn() {
            if let Err(place) = turn.send(Place { places: self.clone(), client }) {
                left.push(place);
            }
        }
        drop(state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place for a client, if it holds fewer than are free.
    fn take(&mut self, client: IpAddr) -> bool {
        let held = self.clients.get(&client).map_or(0, |client| client.held);
        if held >= self.free {
            return false;
        }
        self.free -= 1;
        self.clients.entry(client).or_default().held += 1;
        true
    }

    fn give_back(&mut self, client: IpAddr) {
        self.free += 1;
        if let Some(holder) = self.clients.get_mut(&client) {
            holder.held = holder.held.saturating_sub(1);
            self.forget_if_done(client);
        }
    }

    /// Whether requests of a client wait, which come before its next one.
    fn waits(&self, client: IpAddr) -> bool {
        self.clients.get(&client).is_some_and(|client| !client.waiting.is_empty())
    }

    fn queue(&mut self, client: IpAddr) -> oneshot::Receiver<Place> {
        let (sender, turn) = oneshot::channel();
        let waiting = &mut self.clients.entry(client).or_default().waiting;
        waiting.push_back(sender);
        if waiting.len() == 1 {
            self.turns.push_back(client);
        }
        turn
    }

    /// Takes a place for whoever's turn it is; none while nobody who waits may have one.
    fn next_turn(&mut self) -> Option<(IpAddr, oneshot::Sender<Place>)> {
        for _ in 0..self.turns.len() {
            let client = self.turns.pop_front()?;
            let waiting = &mut self.clients.entry(client).or_default().waiting;
            // Whoever has gone away needs no place.
            while waiting.front().is_some_and(oneshot::Sender::is_closed) {
                waiting.pop_front();
            }
            if waiting.is_empty() {
                self.forget_if_done(client);
            } else if self.take(client) {
                let waiting = &mut self.clients.entry(client).or_default().waiting;
                let turn = waiting.pop_front();
                if !waiting.is_empty() {
                    self.turns.push_back(client);
                }
                return Some((client, turn?));
            } else {
                self.turns.push_back(client);
            }
        }
        None
    }

    fn forget_if_done(&mut self, client: IpAddr) {
        if self.clients.get(&client).is_some_and(|client| client.held == 0 && client.waiting.is_empty()) {
            self.clients.remove(&client);
        }
    }
}

/// Who an address stands for: IPv4 as itself, however it is written, and of IPv6 the network of 64 bits, all of which one
/// client has.
fn client_at(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::BoxFuture};

    use super::*;

    fn client(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Everything that a client may have now.
    fn all(places: &Places, n: u8) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(client(n))).collect()
    }

    /// A client that waits for a place, as far as it comes now.
    fn waiting(places: &Places, n: u8) -> BoxFuture<'static, Option<Place>> {
        let places = places.clone();
        let mut taken = async move { places.take(client(n)).await }.boxed();
        assert!(taken.as_mut().now_or_never().is_none(), "it does not have to wait");
        taken
    }

    #[tokio::test]
    async fn whoever_holds_as_much_as_it_gets_leaves_room_for_another() {
        let places = Places::new(512);
        let one = all(&places, 1);
        assert_eq!(one.len(), 256);
        let two = all(&places, 2);
        assert_eq!(two.len(), 128);
        // Those who hold more than is left get none before they have given back more than others need.
        let third = places.try_take(client(3));
        assert!(third.is_some() && places.try_take(client(1)).is_none());
        drop((one, two, third));
        assert_eq!(all(&places, 1).len(), 256);
    }

    #[tokio::test]
    async fn two_that_take_whatever_they_get_come_to_a_third_each() {
        let places = Places::new(90);
        let mut held = [all(&places, 1), all(&places, 2)];
        for n in (0..1000).map(|n| n % 2) {
            held[n].pop();
            for (other, held) in (1..).zip(&mut held) {
                held.extend(all(&places, other));
            }
        }
        let held = held.map(|places| places.len());
        assert!(held.iter().all(|held| (29..=31).contains(held)), "{held:?}");
    }

    #[tokio::test]
    async fn clients_take_turns_however_many_requests_each_has() {
        let places = Places::new(1);
        let held = places.try_take(client(1)).unwrap();
        let (first, mut second) = (waiting(&places, 1), waiting(&places, 1));
        let other = waiting(&places, 2);
        drop(held);
        let first = first.await.unwrap();
        drop(first);
        let other = other.await.unwrap();
        assert!(second.as_mut().now_or_never().is_none(), "the other's turn came first");
        drop(other);
        assert!(second.await.is_some());
    }

    #[tokio::test]
    async fn whoever_goes_away_while_it_waits_takes_nothing() {
        let places = Places::new(1);
        let held = places.try_take(client(1)).unwrap();
        let (gone, stays) = (waiting(&places, 1), waiting(&places, 2));
        drop(gone);
        drop(held);
        assert!(stays.await.is_some());
        assert!(places.try_take(client(1)).is_some());
        // One that was given its place and never looked.
        let held = places.try_take(client(1)).unwrap();
        let gone = waiting(&places, 2);
        drop(held);
        assert!(places.try_take(client(3)).is_none());
        drop(gone);
        assert!(places.try_take(client(3)).is_some());
        assert!(places.state().clients.is_empty() && places.state().turns.is_empty());
    }

    #[test]
    fn a_client_is_the_same_however_its_address_is_written() {
        for (address, client) in [
            ("10.0.0.1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:3::", "2001:db8:1:3::"),
        ] {
            assert_eq!(client_at(address.parse().unwrap()), client.parse::<IpAddr>().unwrap());
        }
    }
}
