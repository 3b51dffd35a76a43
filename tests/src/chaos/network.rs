//! The network between the system and its database, which can be parted: in one direction, or in both.
//!
//! Nothing that was sent gets lost, and no connection breaks: as on a network, it arrives when the way is open again, however
//! long that takes, and whoever waits hears nothing until then.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};

/// What gets through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Everything.
    #[default]
    Open,
    /// What is asked gets there and is done; its answer does not come back.
    NoAnswers,
    /// Nothing at all.
    Parted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    There,
    Back,
}

impl Way {
    fn is_open(self, direction: Direction) -> bool {
        match self {
            Self::Open => true,
            Self::NoAnswers => direction == Direction::There,
            Self::Parted => false,
        }
    }
}

/// A network in front of a database, for as long as this value lives.
#[derive(Debug)]
pub struct Network {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    way: Way,
    over: bool,
}

/// There are many of these threads, and none needs more.
const STACK: usize = 128 << 10;

impl Network {
    /// Listens on this port, for whom is to reach `database`.
    pub fn start(port: u16, database: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("no port for the network")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        let thread = thread::Builder::new().name("network".to_owned()).spawn(move || {
            for client in listener.incoming() {
                if accepting.lock().over {
                    return;
                }
                // Where nobody listens, the client finds its connection closed.
                if let (Ok(client), Ok(server)) = (client, TcpStream::connect(database)) {
                    // Nor is there anything to be done where there are no more threads.
                    drop(connect(&accepting, client, server));
                }
            }
        })?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where the database is, seen from the system.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What gets through from now on.
    pub fn set(&self, way: Way) {
        self.shared.lock().way = way;
        self.shared.changed.notify_all();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.changed.notify_all();
        // Wakes whoever waits for the next connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until_open(&self, direction: Direction) {
        let mut state = self.lock();
        while !state.over && !state.way.is_open(direction) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Passes on what comes until it ends, each piece as soon as the way is open. Whatever ends it ends the other
    /// direction, too.
    fn pass_on(&self, direction: Direction, mut from: &TcpStream, mut to: &TcpStream) {
        let mut piece = [0; 16 << 10];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            self.wait_until_open(direction);
            if piece.get(..length).is_none_or(|piece| to.write_all(piece).is_err()) {
                break;
            }
        }
        // An end is heard of no sooner than anything else.
        self.wait_until_open(direction);
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}

fn connect(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let both = Arc::new((client, server));
    for direction in [Direction::There, Direction::Back] {
        let (shared, both) = (Arc::clone(shared), Arc::clone(&both));
        thread::Builder::new().stack_size(STACK).spawn(move || match direction {
            Direction::There => shared.pass_on(direction, &both.0, &both.1),
            Direction::Back => shared.pass_on(direction, &both.1, &both.0),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SHORT: Duration = Duration::from_millis(100);

    /// Both ends of a connection.
    fn ends(network: &Network, server: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(network.address()).unwrap();
        let server = server.accept().unwrap().0;
        for end in [&client, &server] {
            end.set_read_timeout(Some(SHORT)).unwrap();
        }
        (client, server)
    }

    fn arrives(mut from: &TcpStream, mut to: &TcpStream) -> bool {
        from.write_all(b"x").unwrap();
        to.read_exact(&mut [0]).is_ok()
    }

    #[test]
    fn what_is_sent_while_it_is_parted_arrives_when_it_is_open_again() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let network = Network::start(0, server.local_addr().unwrap()).unwrap();
        let (client, server) = ends(&network, &server);
        assert!(arrives(&client, &server) && arrives(&server, &client));
        network.set(Way::NoAnswers);
        assert!(arrives(&client, &server) && !arrives(&server, &client));
        network.set(Way::Parted);
        assert!(!arrives(&client, &server));
        network.set(Way::Open);
        server.set_read_timeout(None).unwrap();
        client.set_read_timeout(None).unwrap();
        (&server).read_exact(&mut [0]).unwrap();
        (&client).read_exact(&mut [0]).unwrap();
        drop(server);
        assert_eq!((&client).read(&mut [0]).unwrap(), 0, "the end arrives as well");
    }
}
